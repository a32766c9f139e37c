package proxy_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"cofre/access"
	"cofre/checksum"
	"cofre/sigv4/sigv4test"
)

// anyoneReads lets unsigned requests read a bucket.
func anyoneReads(bucket string) access.Identity {
	return access.AnonymousIdentity([]access.BucketRule{{Bucket: bucket, Actions: []access.Action{access.Read}}})
}

// calls are one request for each operation that needs a grant, and the grant.
func calls(bucket string) map[string]struct {
	needs access.Action
	rq    request
} {
	type call = struct {
		needs access.Action
		rq    request
	}
	versioning := []byte(`<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`)
	tags := []byte(`<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>`)
	parts := []byte(`<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"x"</ETag></Part></CompleteMultipartUpload>`)
	doc := func(d []byte) sigv4test.Payload { return sigv4test.Payload{Data: d} }
	copySource := map[string]string{"X-Amz-Copy-Source": "/" + bucket + "/source"}
	return map[string]call{
		"CreateBucket":            {access.Admin, request{method: "PUT", bucket: bucket}},
		"DeleteBucket":            {access.Admin, request{method: "DELETE", bucket: bucket}},
		"PutBucketVersioning":     {access.Admin, request{method: "PUT", bucket: bucket, query: "versioning=", payload: doc(versioning)}},
		"GetBucketVersioning":     {access.List, request{method: "GET", bucket: bucket, query: "versioning="}},
		"ListObjects":             {access.List, request{method: "GET", bucket: bucket}},
		"ListObjectsV2":           {access.List, request{method: "GET", bucket: bucket, query: "list-type=2"}},
		"ListObjectVersions":      {access.List, request{method: "GET", bucket: bucket, query: "versions="}},
		"ListMultipartUploads":    {access.List, request{method: "GET", bucket: bucket, query: "uploads="}},
		"GetObject":               {access.Read, request{method: "GET", bucket: bucket, key: "k"}},
		"HeadObject":              {access.Read, request{method: "HEAD", bucket: bucket, key: "k"}},
		"GetObjectAttributes":     {access.Read, request{method: "GET", bucket: bucket, key: "k", query: "attributes=", header: map[string]string{"X-Amz-Object-Attributes": "ETag"}}},
		"GetObjectTagging":        {access.Read, request{method: "GET", bucket: bucket, key: "k", query: "tagging="}},
		"PutObject":               {access.Write, request{method: "PUT", bucket: bucket, key: "k", payload: doc([]byte("x"))}},
		"PutObjectTagging":        {access.Write, request{method: "PUT", bucket: bucket, key: "k", query: "tagging=", payload: doc(tags)}},
		"DeleteObjectTagging":     {access.Write, request{method: "DELETE", bucket: bucket, key: "k", query: "tagging="}},
		"CopyObject to":           {access.Write, request{method: "PUT", bucket: bucket, key: "k", header: copySource}},
		"CopyObject from":         {access.Read, request{method: "PUT", bucket: bucket, key: "k", header: copySource}},
		"CreateMultipartUpload":   {access.Write, request{method: "POST", bucket: bucket, key: "k", query: "uploads="}},
		"UploadPart":              {access.Write, request{method: "PUT", bucket: bucket, key: "k", query: "partNumber=1&uploadId=u", payload: doc([]byte("x"))}},
		"UploadPartCopy to":       {access.Write, request{method: "PUT", bucket: bucket, key: "k", query: "partNumber=1&uploadId=u", header: copySource}},
		"UploadPartCopy from":     {access.Read, request{method: "PUT", bucket: bucket, key: "k", query: "partNumber=1&uploadId=u", header: copySource}},
		"CompleteMultipartUpload": {access.Write, request{method: "POST", bucket: bucket, key: "k", query: "uploadId=u", payload: doc(parts)}},
		"AbortMultipartUpload":    {access.Write, request{method: "DELETE", bucket: bucket, key: "k", query: "uploadId=u"}},
		"ListParts":               {access.Write, request{method: "GET", bucket: bucket, key: "k", query: "uploadId=u"}},
		"DeleteObject":            {access.Delete, request{method: "DELETE", bucket: bucket, key: "k"}},
	}
}

// TestEveryOperationNeedsItsGrant has every action granted but the one that an operation needs, and wants AccessDenied
// before anything reaches the storage; then it wants that grant to be what was missing.
func TestEveryOperationNeedsItsGrant(t *testing.T) {
	st := diskStorage(t)
	owner := newSite(t, st, siteConfig{})
	b := owner.bucket(t, "granted")
	owner.put(t, b, "source", []byte("source"))
	for _, missing := range access.AllActions() {
		others := slices.DeleteFunc(access.AllActions(), func(a access.Action) bool { return a == missing })
		s := newSite(t, st, siteConfig{identity: owner.identity, store: owner.store, grants: []access.Grant{{Bucket: "*", Actions: others}}})
		for name, c := range calls(b) {
			if c.needs != missing {
				continue
			}
			s.backend.take()
			got := s.send(t, c.rq)
			if got.status != http.StatusForbidden || c.rq.method != "HEAD" && got.code != "AccessDenied" {
				t.Errorf("%s without %v: %d %s", name, missing, got.status, got.code)
			}
			if asked := s.backend.take(); len(asked) != 0 {
				t.Errorf("%s without %v reached the storage: %v", name, missing, asked)
			}
		}
	}
	for name, c := range calls(b) {
		if c.rq.method == "DELETE" && c.rq.key == "" {
			continue
		}
		if got := owner.send(t, c.rq); got.status == http.StatusForbidden {
			t.Errorf("%s with every grant: %d %s", name, got.status, got.code)
		}
	}
}

func TestGrantsOfAPrefixEndThere(t *testing.T) {
	st := diskStorage(t)
	owner := newSite(t, st, siteConfig{})
	b := owner.bucket(t, "prefixed")
	owner.put(t, b, "home/ann/a", []byte("hers"))
	owner.put(t, b, "home/bob/b", []byte("his"))
	s := newSite(t, st, siteConfig{identity: owner.identity, store: owner.store, grants: []access.Grant{
		{Bucket: b, Prefixes: []string{"home/ann/"}, Actions: access.AllActions()},
	}})
	s.send(t, request{method: "GET", bucket: b, key: "home/ann/a"}).want(t, 200, "")
	s.send(t, request{method: "GET", bucket: b, key: "home/bob/b"}).want(t, 403, "AccessDenied")
	s.send(t, request{method: "GET", bucket: b, key: "home/ann/../bob/b"}).want(t, 404, "NoSuchKey")
	s.send(t, request{method: "GET", bucket: b, query: "prefix=home%2Fann%2F"}).want(t, 200, "")
	s.send(t, request{method: "GET", bucket: b, query: "prefix=home%2F"}).want(t, 403, "AccessDenied")
	s.send(t, request{method: "GET", bucket: b}).want(t, 403, "AccessDenied")
	s.send(t, request{method: "PUT", bucket: b, key: "home/ann/c", header: map[string]string{"X-Amz-Copy-Source": "/" + b + "/home/bob/b"}}).want(t, 403, "AccessDenied")

	body := []byte(`<Delete><Object><Key>home/ann/a</Key></Object><Object><Key>home/bob/b</Key></Object></Delete>`)
	got := s.send(t, request{method: "POST", bucket: b, query: "delete=", payload: sigv4test.Payload{Data: body, Checksum: checksum.CRC32}}).want(t, 200, "")
	text := string(got.body)
	if !strings.Contains(text, "<Deleted><Key>home/ann/a</Key>") || !strings.Contains(text, "<Error><Key>home/bob/b</Key><Code>AccessDenied</Code>") {
		t.Errorf("DeleteObjects over a border: %s", text)
	}
	if body := owner.get(t, b, "home/bob/b"); string(body) != "his" {
		t.Error("an object was deleted without the grant")
	}
}

func TestTheSystemBucketIsHiddenOnEveryWay(t *testing.T) {
	st := diskStorage(t)
	s := newSite(t, st, siteConfig{domains: []string{"s3.example.com"}})
	b := s.bucket(t, "open")
	s.put(t, b, "k", []byte("x")) // so that the system bucket is there
	for _, name := range []string{s.system, strings.ToUpper(s.system)} {
		for op, c := range calls(name) {
			s.backend.take()
			if got := s.send(t, c.rq); got.status != http.StatusForbidden {
				t.Errorf("%s on %s: %d %s", op, name, got.status, got.code)
			}
			if asked := s.backend.take(); len(asked) != 0 {
				t.Errorf("%s on %s reached the storage: %v", op, name, asked)
			}
		}
		for _, source := range []string{name + "/k", "/" + name + "/k", "%2F" + name + "%2Fk", strings.Replace(name, "-", "%2D", 1) + "/k"} {
			got := s.send(t, request{method: "PUT", bucket: b, key: "copy", header: map[string]string{"X-Amz-Copy-Source": source}})
			got.want(t, 403, "AccessDenied")
		}
		s.send(t, request{method: "GET", host: name + ".s3.example.com", bucket: name}).want(t, 403, "AccessDenied")
	}
	for _, bucket := range []string{":" + s.system, "x:" + s.system, s.system + "%2Fbuckets", s.system + "/"} {
		if got := s.send(t, request{method: "GET", bucket: bucket}); got.status < 400 {
			t.Errorf("listing of %q: %d", bucket, got.status)
		}
	}
	if got := s.send(t, request{method: "GET"}).want(t, 200, ""); strings.Contains(string(got.body), s.system) {
		t.Error("ListBuckets shows the system bucket")
	}
}

func TestUnsignedRequestsGetOnlyWhatIsConfigured(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{anon: anyoneReads("public*")})
	open, shut := s.bucket(t, "public-one"), s.bucket(t, "private")
	s.put(t, open, "k", []byte("x"))
	s.put(t, shut, "k", []byte("x"))
	s.backend.take()
	for name, c := range calls(shut) {
		c.rq.unsigned = true
		if got := s.send(t, c.rq); got.status != http.StatusForbidden {
			t.Errorf("%s unsigned: %d %s", name, got.status, got.code)
		}
	}
	s.send(t, request{method: "GET", unsigned: true}).want(t, 403, "AccessDenied")
	s.send(t, request{method: "PUT", bucket: open, key: "k", unsigned: true, payload: sigv4test.Payload{Data: []byte("y")}}).want(t, 403, "AccessDenied")
	if asked := s.backend.take(); len(asked) != 0 {
		t.Errorf("the storage was asked: %v", asked)
	}
	bad := request{method: "GET", bucket: open, key: "k", spoil: func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "Signature=", "Signature=0", 1))
	}}
	if got := s.send(t, bad); got.status != http.StatusForbidden && got.status != http.StatusBadRequest {
		t.Errorf("a bad signature was taken for none: %d", got.status)
	}
}

// TestBypassOfRetentionNeedsAdmin keeps a right that is its own in S3 from everyone who may only delete.
func TestBypassOfRetentionNeedsAdmin(t *testing.T) {
	st := diskStorage(t)
	owner := newSite(t, st, siteConfig{})
	b := owner.bucket(t, "retained")
	owner.put(t, b, "k", []byte("x"))
	s := newSite(t, st, siteConfig{identity: owner.identity, store: owner.store, grants: []access.Grant{{Bucket: "*", Actions: []access.Action{access.Delete}}}})
	bypass := map[string]string{"X-Amz-Bypass-Governance-Retention": "true"}
	s.send(t, request{method: "DELETE", bucket: b, key: "k", header: bypass}).want(t, 403, "AccessDenied")
	got := s.send(t, request{method: "POST", bucket: b, query: "delete=", header: bypass,
		payload: sigv4test.Payload{Data: []byte(`<Delete><Object><Key>k</Key></Object></Delete>`), Checksum: checksum.SHA256}}).want(t, 200, "")
	if !strings.Contains(string(got.body), "AccessDenied") {
		t.Errorf("%s", got.body)
	}
	s.send(t, request{method: "DELETE", bucket: b, key: "k"}).want(t, 204, "")
}
