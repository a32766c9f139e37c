package s3api

import (
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// known fails unless an error is one that clients know, with all that they need of it.
func known(t *testing.T, err *Error) {
	t.Helper()
	if err != nil && (ErrorByCode(err.Code) == nil || err.Message == "" || err.Status < 300) {
		t.Errorf("no client knows %+v", err)
	}
}

// FuzzHeaders reads any value as each of the headers that are read, and holds that what was read of tags is written the same.
func FuzzHeaders(f *testing.F) {
	for _, seed := range []string{
		"", "a=1&b=2&c", "%zz=&=", `id="a", emailAddress="b"`, "uri=http://acs.amazonaws.com/groups/global/AllUsers", "private", "GOVERNANCE", "2026-11-28T12:00:00Z", "ON",
		`"e", W/"f", *`, "*", "Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", "bytes=0-9", "ETag,ObjectParts", "BucketOwnerEnforced", "b/k?versionId=1", "1000", "-1", "\xff\r\n",
	} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		h := http.Header{}
		for _, name := range append([]string{
			"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "X-Amz-Copy-Source-If-Match", "X-Amz-Copy-Source-If-Modified-Since", "X-Amz-Object-Attributes",
			"X-Amz-Max-Parts", "X-Amz-Part-Number-Marker", "X-Amz-If-Match-Size", "X-Amz-If-Match-Last-Modified-Time", "X-Amz-Meta-Fuzzed",
		}, singleHeaders...) {
			one := http.Header{name: {value}}
			h[name] = one[name]
			for op := range routes {
				known(t, CheckHeaders(routes[op].op, one))
			}
		}
		for _, err := range []func() *Error{
			func() *Error { _, err := ParseConditions(h); return err },
			func() *Error { _, err := ParseCopySourceConditions(h); return err },
			func() *Error { _, err := ParseWriteConditions(h); return err },
			func() *Error { _, err := ParseDeleteConditions(h); return err },
			func() *Error { _, err := ParseObjectLock(h, now); return err },
			func() *Error { _, err := ParseAttributesRequest(h); return err },
			func() *Error { _, err := UserMetadata(h); return err },
			func() *Error { return CheckCannedACL(value) },
		} {
			known(t, err())
		}
		if r, err := ParseCopySourceRange(value, 1000); err == nil && (r.Off < 0 || r.Len <= 0 || r.Off+r.Len > 1000) {
			t.Errorf("%q is %+v of 1,000 bytes", value, r)
		}
		if tags, err := ParseTaggingHeader(value); err == nil {
			again, err := ParseTaggingHeader(EncodeTaggingHeader(tags))
			if err != nil || len(tags)+len(again) > 0 && !reflect.DeepEqual(tags, again) {
				t.Errorf("%+v came back as %+v, %v", tags, again, err)
			}
		}
	})
}

// FuzzHosts holds that a bucket is only ever what stands before a base domain.
func FuzzHosts(f *testing.F) {
	for _, seed := range []string{"photos.s3.test", "S3.TEST:9000", "a.b.s3.test.", "[::1]:80", "127.0.0.1", ".s3.test", "s3.test.s3.test", "photos.s3.test:80:80", "\x00.s3.test"} {
		f.Add(seed)
	}
	hosts := Hosts{Domains: []string{"s3.test", "deep.s3.test"}}
	f.Fuzz(func(t *testing.T, host string) {
		bucket := hosts.Bucket(host)
		if bucket == "" {
			return
		}
		if whole := strings.ToLower(host); !strings.HasPrefix(whole, bucket+".") || strings.ToLower(bucket) != bucket {
			t.Errorf("%q is bucket %q", host, bucket)
		}
	})
}

// FuzzScanBackend reads any document as each that a storage answers with.
func FuzzScanBackend(f *testing.F) {
	entries, err := os.ReadDir("testdata/rgw16")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile("testdata/rgw16/" + e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, seed := range []string{
		"<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>u</UploadId><Initiated>2026-11-28T12:00:00.000Z</Initiated></Upload><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>",
		"<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>1</NextPartNumberMarker><Part><PartNumber>1</PartNumber><ETag>&quot;e&quot;</ETag><Size>5</Size></Part></ListPartsResult>",
		"<DeleteResult><Deleted><Key>k</Key></Deleted><Error><Key>l</Key><Code>AccessDenied</Code></Error></DeleteResult>",
		"<AccessControlPolicy><Owner><ID>o</ID></Owner><AccessControlList><Grant><Grantee><ID>g</ID></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>",
		"<CopyObjectResult><ETag>e</ETag></CopyObjectResult>", "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
		"<ListAllMyBucketsResult><Buckets><Bucket><Name>b</Name></Bucket></Buckets></ListAllMyBucketsResult>", "<VersioningConfiguration/>", "<Tagging><TagSet/></Tagging>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		r := func() *strings.Reader { return strings.NewReader(string(doc)) }
		_, _ = ScanACL(r())
		_, _ = ScanUploads(r())
		if parts, err := ScanListParts(r()); err == nil {
			for _, p := range parts.Parts {
				if p.Number < 0 {
					t.Errorf("part %+v", p)
				}
			}
		}
		_, _ = ScanDeleteResult(r())
		_, _ = ScanListBuckets(r())
		_, _ = ScanVersioning(r())
		_, _ = ScanInitiateMultipartUpload(r())
		_, _ = ScanCopyResult(r())
		if tags, err := ScanTagging(r()); err == nil {
			again, err := ScanTagging(strings.NewReader(string(EncodeTagging(tags))))
			if err != nil || len(tags)+len(again) > 0 && !reflect.DeepEqual(tags, again) {
				t.Errorf("%+v came back as %+v, %v", tags, again, err)
			}
		}
	})
}

// FuzzListRequests reads any query as that of each listing.
func FuzzListRequests(f *testing.F) {
	for _, seed := range []string{"prefix=a&delimiter=/&max-keys=5", "list-type=2&continuation-token=x&start-after=y", "versions&key-marker=k&version-id-marker=v", "uploads&upload-id-marker=u&max-uploads=0", "uploadId=u&max-parts=99999999999&part-number-marker=-1", "encoding-type=url&max-keys=%00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/bucket", "/bucket/key"} {
			r := newRequest("GET", path)
			r.RequestURI = path + "?" + query
			call, err := Parse(r, Hosts{})
			if err != nil {
				continue
			}
			switch call.Op {
			case ListObjects, ListObjectsV2, ListObjectVersions:
				l, err := ParseListRequest(call)
				known(t, err)
				if err == nil && (l.MaxKeys < 0 || l.MaxKeys > MaxListKeys) {
					t.Errorf("%d keys", l.MaxKeys)
				}
			case ListMultipartUploads:
				_, err := ParseListUploadsRequest(call)
				known(t, err)
			case ListParts:
				_, err := ParseListPartsRequest(call)
				known(t, err)
			}
		}
	})
}
