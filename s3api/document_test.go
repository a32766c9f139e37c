package s3api

import (
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"cofre/checksum"
)

func open(t *testing.T, name string) io.Reader {
	t.Helper()
	f, err := os.Open("testdata/rgw16/" + name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestScanDocumentsOfCephRGW(t *testing.T) {
	if id, err := ScanInitiateMultipartUpload(open(t, "initiate.xml")); err != nil || id != "2~mjAH188fyZ6HjLH1Xy-bRdm8w0aPW3o" {
		t.Errorf("initiate: %q, %v", id, err)
	}
	etag := "f5c72844814e523517b0bcbc17eb638b"
	if got, err := ScanListParts(open(t, "parts.xml")); err != nil || !reflect.DeepEqual(got, BackendParts{Parts: []BackendPart{{1, etag}, {2, etag}}}) {
		t.Errorf("parts: %+v, %v", got, err)
	}
	if got, err := ScanListParts(open(t, "parts-truncated.xml")); err != nil || !reflect.DeepEqual(got, BackendParts{Parts: []BackendPart{{1, etag}}, Truncated: true}) {
		t.Errorf("truncated parts: %+v, %v", got, err)
	}
	if got, err := ScanListBuckets(open(t, "buckets.xml")); err != nil || got.OwnerID != "u1" || len(got.Buckets) != 2 || got.Buckets[1].Name != "vers" || got.Buckets[1].CreationDate != "2026-11-22T16:40:30.223Z" {
		t.Errorf("buckets: %+v, %v", got, err)
	}
	if got, err := ScanVersioning(open(t, "versioning.xml")); err != nil || got != VersioningEnabled {
		t.Errorf("versioning: %q, %v", got, err)
	}
	if got, err := ScanDeleteResult(open(t, "delete.xml")); err != nil || !reflect.DeepEqual(got.Deleted, []DeletedObject{{Key: "nothing&"}, {Key: "zz"}}) {
		t.Errorf("delete: %+v, %v", got, err)
	}
	if got, err := ScanTagging(open(t, "tagging.xml")); err != nil || !reflect.DeepEqual(got, []Tag{{"k", "v & w"}}) {
		t.Errorf("tagging: %+v, %v", got, err)
	}
	if got, err := ScanCopyResult(open(t, "copy.xml")); err != nil || got != "aba369f7d2b28a9098a0a26feb7dc965" {
		t.Errorf("copy: %q, %v", got, err)
	}
	if _, err := ScanCopyResult(open(t, "error-nosuchkey.xml")); !errors.Is(err, ErrNoSuchKey) {
		t.Errorf("copy that failed: %v", err)
	}
	if _, err := ScanInitiateMultipartUpload(strings.NewReader("<InitiateMultipartUploadResult/>")); !errors.Is(err, errNoUploadID) {
		t.Errorf("no upload id: %v", err)
	}
	if _, err := ScanListParts(open(t, "buckets.xml")); !errors.Is(err, errXML) {
		t.Errorf("another document: %v", err)
	}
	if _, err := ScanListParts(strings.NewReader("<ListPartsResult><Part><PartNumber>x</PartNumber></Part></ListPartsResult>")); err == nil {
		t.Error("a part without number was taken")
	}
}

func TestWrittenDocuments(t *testing.T) {
	at := time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)
	crc := []byte{1, 2, 3, 4}
	const head = xmlHeader
	const ns = ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`
	for _, c := range []struct {
		write func(io.Writer) error
		want  string
	}{
		{func(w io.Writer) error { return WriteLocation(w, "eu-central-1") }, "<LocationConstraint" + ns + ">eu-central-1</LocationConstraint>"},
		{func(w io.Writer) error { return WriteLocation(w, "us-east-1") }, "<LocationConstraint" + ns + "></LocationConstraint>"},
		{func(w io.Writer) error { return WriteInitiateMultipartUpload(w, "b", "k&", "u") }, "<InitiateMultipartUploadResult" + ns + "><Bucket>b</Bucket><Key>k&amp;</Key><UploadId>u</UploadId></InitiateMultipartUploadResult>"},
		{func(w io.Writer) error {
			return WriteCompleteMultipartUpload(w, CompleteResult{Location: "http://h/b/k", Bucket: "b", Key: "k", ETag: "e-2", ChecksumAlgorithm: checksum.CRC32, ChecksumType: "COMPOSITE", Checksum: "AQIDBA==-2"})
		}, "<CompleteMultipartUploadResult" + ns + "><Location>http://h/b/k</Location><Bucket>b</Bucket><Key>k</Key><ETag>&quot;e-2&quot;</ETag><ChecksumCRC32>AQIDBA==-2</ChecksumCRC32><ChecksumType>COMPOSITE</ChecksumType></CompleteMultipartUploadResult>"},
		{func(w io.Writer) error { return WriteCopyObjectResult(w, CopyResult{ETag: "e", LastModified: at}) }, "<CopyObjectResult" + ns + "><LastModified>2026-11-22T16:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag></CopyObjectResult>"},
		{func(w io.Writer) error {
			return WriteCopyPartResult(w, CopyResult{ETag: "e", LastModified: at, ChecksumAlgorithm: checksum.CRC64NVME, Checksum: "x"})
		}, "<CopyPartResult" + ns + "><LastModified>2026-11-22T16:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag><ChecksumCRC64NVME>x</ChecksumCRC64NVME></CopyPartResult>"},
		{func(w io.Writer) error {
			return WriteListParts(w, ListPartsResult{Request: ListPartsRequest{UploadID: "u", MaxParts: 1, PartNumberMarker: 1, URLEncode: true}, Bucket: "b", Key: "k ", Initiator: "me", StorageClass: "STANDARD",
				ChecksumAlgorithm: "CRC32", ChecksumType: "FULL_OBJECT", Truncated: true, Parts: []ListedPart{{Number: 2, Size: 5, ETag: "e", LastModified: at, ChecksumAlgorithm: checksum.CRC32, Checksum: crc}}})
		}, "<ListPartsResult" + ns + "><Bucket>b</Bucket><Key>k%20</Key><UploadId>u</UploadId><Initiator><ID>me</ID><DisplayName>me</DisplayName></Initiator><Owner><ID>me</ID><DisplayName>me</DisplayName></Owner><StorageClass>STANDARD</StorageClass><PartNumberMarker>1</PartNumberMarker><NextPartNumberMarker>2</NextPartNumberMarker><MaxParts>1</MaxParts><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Part><PartNumber>2</PartNumber><LastModified>2026-11-22T16:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>5</Size><ChecksumCRC32>AQIDBA==</ChecksumCRC32></Part></ListPartsResult>"},
		{func(w io.Writer) error {
			return WriteListMultipartUploads(w, "b", ListUploadsResult{Request: ListUploadsRequest{Prefix: "p", Delimiter: "/", KeyMarker: "p1", UploadIDMarker: "i", MaxUploads: 2}, Truncated: true, NextKeyMarker: "p2", NextUploadIDMarker: "j",
				Uploads: []ListedUpload{{Key: "p2", UploadID: "j", Initiated: at, StorageClass: "STANDARD"}}, CommonPrefixes: []string{"p1/"}})
		}, "<ListMultipartUploadsResult" + ns + "><Bucket>b</Bucket><KeyMarker>p1</KeyMarker><UploadIdMarker>i</UploadIdMarker><NextKeyMarker>p2</NextKeyMarker><NextUploadIdMarker>j</NextUploadIdMarker><Prefix>p</Prefix><Delimiter>/</Delimiter><MaxUploads>2</MaxUploads><IsTruncated>true</IsTruncated><Upload><Key>p2</Key><UploadId>j</UploadId><StorageClass>STANDARD</StorageClass><Initiated>2026-11-22T16:00:00.000Z</Initiated></Upload><CommonPrefixes><Prefix>p1/</Prefix></CommonPrefixes></ListMultipartUploadsResult>"},
		{func(w io.Writer) error {
			return WriteObjectAttributes(w, ObjectAttributes{Request: AttributesRequest{ETag: true, Checksum: true, ObjectParts: true, StorageClass: true, ObjectSize: true, MaxParts: 1}, ETag: "e-2", ChecksumAlgorithm: checksum.CRC32, ChecksumType: "FULL_OBJECT", Checksum: "AQIDBA==",
				TotalParts: 2, Parts: []AttributePart{{Number: 1, Size: 5, ChecksumAlgorithm: checksum.CRC32, Checksum: crc}}, PartsTruncated: true, StorageClass: "STANDARD", Size: 9})
		}, "<GetObjectAttributesResponse" + ns + "><ETag>e-2</ETag><Checksum><ChecksumCRC32>AQIDBA==</ChecksumCRC32><ChecksumType>FULL_OBJECT</ChecksumType></Checksum><ObjectParts><PartsCount>2</PartsCount><PartNumberMarker>0</PartNumberMarker><NextPartNumberMarker>1</NextPartNumberMarker><MaxParts>1</MaxParts><IsTruncated>true</IsTruncated><Part><PartNumber>1</PartNumber><Size>5</Size><ChecksumCRC32>AQIDBA==</ChecksumCRC32></Part></ObjectParts><StorageClass>STANDARD</StorageClass><ObjectSize>9</ObjectSize></GetObjectAttributesResponse>"},
		{func(w io.Writer) error {
			return WriteObjectAttributes(w, ObjectAttributes{ETag: "e", TotalParts: 1, Size: 9})
		}, "<GetObjectAttributesResponse" + ns + "></GetObjectAttributesResponse>"},
		{func(w io.Writer) error {
			return WriteListBuckets(w, BucketList{OwnerID: "o", OwnerName: "n", Buckets: []BucketEntry{{Name: "b", CreationDate: "d", Region: "r"}}, Prefix: "p", ContinuationToken: "t"})
		}, "<ListAllMyBucketsResult" + ns + "><Owner><ID>o</ID><DisplayName>n</DisplayName></Owner><Buckets><Bucket><Name>b</Name><CreationDate>d</CreationDate><BucketRegion>r</BucketRegion></Bucket></Buckets><Prefix>p</Prefix><ContinuationToken>t</ContinuationToken></ListAllMyBucketsResult>"},
	} {
		var b strings.Builder
		if err := c.write(&b); err != nil || b.String() != head+c.want {
			t.Errorf("got  %s\nwant %s%s (%v)", b.String(), head, c.want, err)
		}
	}
	if err := WriteLocation(failingWriter{}, "x"); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("broken connection: %v", err)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
