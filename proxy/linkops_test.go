package proxy_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"cofre/sigv4/sigv4test"
)

// attempt is a request that is made while a link fails, what it left behind, and what was there before.
type attempt struct {
	bucket, key string
	before      []byte // the object of before; nil for none
	body        []byte // what is written
	uploadID    string
	etag        string // of a part that was sent before
	got         reply
	err         error // no answer at all
}

func newAttempt(bucket, key string) *attempt {
	key = strings.ReplaceAll(key, " ", "-")
	return &attempt{bucket: bucket, key: key, body: objectOf("body of " + key)}
}

// ok says that the client was told of success.
func (a *attempt) ok() bool {
	return a.err == nil && a.got.cut == nil && a.got.status/100 == 2 && a.got.code == ""
}

// operation is one class of S3 calls: what it needs, what it asks for, and what must be true afterwards whatever was answered.
type operation struct {
	name    string
	reads   bool // it goes on while the metadata store is away
	prepare func(t *testing.T, s *site, a *attempt)
	ask     func(a *attempt) request
	// judge looks through a site without faults, once all is over. It makes up for what failed, as a client does.
	judge func(t *testing.T, s *site, a *attempt) error
}

func (op operation) conditional() bool { return strings.HasPrefix(op.name, "PUT if") }

// linkOperations are all classes. Sizes are such that bodies take more than a few packets, and whole runs not too long.
func linkOperations() []operation {
	return []operation{
		{"PUT", false, putBefore, putting(nil), isBeforeOrBody},
		{"PUT if there is none", false, nil, putting(map[string]string{"If-None-Match": "*"}), isBeforeOrBody},
		{"PUT if it is there", false, putBefore, putting(map[string]string{"If-Match": "*"}), isBeforeOrBody},
		{"GET", true, putBefore, getting(nil), readWell(0, -1)},
		{"GET of a range", true, putBefore, getting(map[string]string{"Range": "bytes=70000-139999"}), readWell(70_000, 140_000)},
		{"HEAD", true, putBefore, func(a *attempt) request { return request{method: "HEAD", bucket: a.bucket, key: a.key} }, headWell},
		{"LIST", true, putBefore, func(a *attempt) request {
			return request{method: "GET", bucket: a.bucket, query: "list-type=2&prefix=" + escaped(a.key)}
		}, listsWell},
		{"DELETE", false, putBefore, func(a *attempt) request { return request{method: "DELETE", bucket: a.bucket, key: a.key} }, isBeforeOrGone},
		{"DeleteObjects", false, putBefore, func(a *attempt) request {
			doc := "<Delete><Object><Key>" + a.key + "</Key></Object></Delete>"
			return request{method: "POST", bucket: a.bucket, query: "delete", header: map[string]string{"Content-MD5": md5Base64([]byte(doc))}, payload: sigv4test.Payload{Data: []byte(doc)}}
		}, isBeforeOrGone},
		{"CopyObject", false, copyBefore, func(a *attempt) request {
			return request{method: "PUT", bucket: a.bucket, key: a.key, header: map[string]string{"X-Amz-Copy-Source": "/" + a.bucket + "/" + a.key + ".source"}}
		}, isBeforeOrBody},
		{"CreateMultipartUpload", false, nil, func(a *attempt) request {
			return request{method: "POST", bucket: a.bucket, key: a.key, query: "uploads"}
		}, createdWell},
		{"UploadPart", false, partBefore, func(a *attempt) request {
			return request{method: "PUT", bucket: a.bucket, key: a.key, query: "partNumber=1&uploadId=" + escaped(a.uploadID), payload: sigv4test.Payload{Data: a.body}}
		}, partWell},
		{"UploadPartCopy", false, partCopyBefore, func(a *attempt) request {
			return request{method: "PUT", bucket: a.bucket, key: a.key, query: "partNumber=1&uploadId=" + escaped(a.uploadID),
				header: map[string]string{"X-Amz-Copy-Source": "/" + a.bucket + "/" + a.key + ".source"}}
		}, partWell},
		{"CompleteMultipartUpload", false, uploadBefore, completeAsk, completeWell},
		{"AbortMultipartUpload", false, uploadBefore, func(a *attempt) request {
			return request{method: "DELETE", bucket: a.bucket, key: a.key, query: "uploadId=" + escaped(a.uploadID)}
		}, abortWell},
		{"PutObjectTagging", false, putBefore, func(a *attempt) request {
			doc := "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
			return request{method: "PUT", bucket: a.bucket, key: a.key, query: "tagging", payload: sigv4test.Payload{Data: []byte(doc)}}
		}, readWellAfterwards},
	}
}

// objectSize is the size of objects here: some chunks, and a piece of one.
const objectSize = 200_003

func objectOf(seed string) []byte {
	body := pattern(objectSize)
	copy(body, seed)
	return body
}

func putBefore(t *testing.T, s *site, a *attempt) {
	a.before = objectOf("before " + a.key)
	s.putRaw(t, a.bucket, a.key, a.before, nil).want(t, 200, "")
}

func copyBefore(t *testing.T, s *site, a *attempt) {
	putBefore(t, s, a)
	s.putRaw(t, a.bucket, a.key+".source", a.body, nil).want(t, 200, "")
}

func createBefore(t *testing.T, s *site, a *attempt) {
	var created struct{ UploadId string }
	got := s.send(t, request{method: "POST", bucket: a.bucket, key: a.key, query: "uploads"}).want(t, 200, "")
	if err := xml.Unmarshal(got.body, &created); err != nil {
		t.Fatal(err)
	}
	a.uploadID = created.UploadId
}

func (s *site) sendPart(t *testing.T, a *attempt, body []byte) string {
	t.Helper()
	return s.send(t, request{method: "PUT", bucket: a.bucket, key: a.key, query: "partNumber=1&uploadId=" + escaped(a.uploadID), payload: sigv4test.Payload{Data: body}}).
		want(t, 200, "").header.Get("ETag")
}

// partBefore has the part there already, with other bytes.
func partBefore(t *testing.T, s *site, a *attempt) {
	createBefore(t, s, a)
	a.etag = s.sendPart(t, a, objectOf("part before"))
}

func partCopyBefore(t *testing.T, s *site, a *attempt) {
	createBefore(t, s, a)
	s.putRaw(t, a.bucket, a.key+".source", a.body, nil).want(t, 200, "")
}

func uploadBefore(t *testing.T, s *site, a *attempt) {
	createBefore(t, s, a)
	a.etag = s.sendPart(t, a, a.body)
}

func putting(header map[string]string) func(*attempt) request {
	return func(a *attempt) request {
		return request{method: "PUT", bucket: a.bucket, key: a.key, header: header, payload: sigv4test.Payload{Data: a.body}}
	}
}

func getting(header map[string]string) func(*attempt) request {
	return func(a *attempt) request { return request{method: "GET", bucket: a.bucket, key: a.key, header: header} }
}

func completeAsk(a *attempt) request {
	doc := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + strings.Trim(a.etag, `"`) + "</ETag></Part></CompleteMultipartUpload>"
	return request{method: "POST", bucket: a.bucket, key: a.key, query: "uploadId=" + escaped(a.uploadID), payload: sigv4test.Payload{Data: []byte(doc)}}
}

// state reads an object by GET, HEAD and LIST, which must agree; nil where it is not there.
func (s *site) state(t *testing.T, a *attempt) ([]byte, error) {
	got := s.send(t, request{method: "GET", bucket: a.bucket, key: a.key})
	head := s.send(t, request{method: "HEAD", bucket: a.bucket, key: a.key})
	list := s.send(t, request{method: "GET", bucket: a.bucket, query: "list-type=2&prefix=" + escaped(a.key)})
	listed := listedSize(list.body, a.key)
	if got.status == 404 {
		if head.status != 404 || listed >= 0 {
			return nil, fmt.Errorf("GET finds nothing, HEAD says %d, LIST %d bytes", head.status, listed)
		}
		return nil, nil
	}
	if got.status != 200 || got.cut != nil {
		return nil, fmt.Errorf("GET answers %d %s, cut: %w", got.status, got.code, got.cut)
	}
	if head.status != 200 || head.header.Get("Content-Length") != fmt.Sprint(len(got.body)) || head.header.Get("ETag") != got.header.Get("ETag") || listed != len(got.body) {
		return nil, fmt.Errorf("GET has %d bytes, ETag %s; HEAD %d %s, ETag %s; LIST %d bytes",
			len(got.body), got.header.Get("ETag"), head.status, head.header.Get("Content-Length"), head.header.Get("ETag"), listed)
	}
	return got.body, nil
}

func listedSize(doc []byte, key string) int {
	var list struct {
		Contents []struct {
			Key  string
			Size int
		}
	}
	if xml.Unmarshal(doc, &list) != nil {
		return -2
	}
	for _, c := range list.Contents {
		if c.Key == key {
			return c.Size
		}
	}
	return -1
}

// isBeforeOrBody: the old object or the new one, whole; the new one where success was told. Sending it again makes it the new one.
func isBeforeOrBody(t *testing.T, s *site, a *attempt) error {
	now, err := s.state(t, a)
	if err != nil {
		return err
	}
	if isNew := bytes.Equal(now, a.body); !isNew && (a.ok() || !bytes.Equal(now, a.before)) {
		return fmt.Errorf("%d bytes that begin %.20q are there, success %v", len(now), now, a.ok())
	}
	s.putRaw(t, a.bucket, a.key, a.body, nil).want(t, 200, "")
	if now, err = s.state(t, a); err != nil || !bytes.Equal(now, a.body) {
		return fmt.Errorf("after sending it again %d bytes that begin %.20q are there, %w", len(now), now, err)
	}
	return nil
}

// isBeforeOrGone: there as before, or gone; gone where success was told. What is there can be read, and deleted again.
func isBeforeOrGone(t *testing.T, s *site, a *attempt) error {
	now, err := s.state(t, a)
	if err != nil {
		return err
	}
	told := a.ok() && !bytes.Contains(a.got.body, []byte("<Error>"))
	if now != nil && (told || !bytes.Equal(now, a.before)) {
		return fmt.Errorf("%d bytes that begin %.20q are there, success %v", len(now), now, told)
	}
	s.send(t, request{method: "DELETE", bucket: a.bucket, key: a.key}).want(t, 204, "")
	if now, err = s.state(t, a); err != nil || now != nil {
		return fmt.Errorf("after deleting it again %d bytes are there, %w", len(now), err)
	}
	return nil
}

// readWell: the bytes that were asked for, or fewer and a broken connection.
func readWell(from, to int) func(*testing.T, *site, *attempt) error {
	return func(t *testing.T, s *site, a *attempt) error {
		want := a.before[from:]
		if to >= 0 {
			want = a.before[from:to]
		}
		switch {
		case a.err != nil || a.got.status/100 != 2:
		case a.got.cut == nil && !bytes.Equal(a.got.body, want):
			return fmt.Errorf("a clean answer of %d bytes, want %d", len(a.got.body), len(want))
		case !bytes.HasPrefix(want, a.got.body):
			return fmt.Errorf("other bytes than were written")
		}
		return readWellAfterwards(t, s, a)
	}
}

func readWellAfterwards(t *testing.T, s *site, a *attempt) error {
	now, err := s.state(t, a)
	if err == nil && !bytes.Equal(now, a.before) {
		err = fmt.Errorf("a read changed the object")
	}
	return err
}

func headWell(t *testing.T, s *site, a *attempt) error {
	if a.ok() && (a.got.header.Get("Content-Length") != fmt.Sprint(len(a.before)) || a.got.header.Get("ETag") != `"`+md5Hex(a.before)+`"`) {
		return fmt.Errorf("HEAD tells %s bytes, ETag %s", a.got.header.Get("Content-Length"), a.got.header.Get("ETag"))
	}
	return readWellAfterwards(t, s, a)
}

func listsWell(t *testing.T, s *site, a *attempt) error {
	if a.ok() {
		if n := listedSize(a.got.body, a.key); n != len(a.before) || !bytes.Contains(a.got.body, []byte(md5Hex(a.before))) {
			return fmt.Errorf("LIST tells %d bytes: %.600s", n, a.got.body)
		}
	}
	return readWellAfterwards(t, s, a)
}

// createdWell: an upload that the client was told of takes parts; after a failure another one is made.
func createdWell(t *testing.T, s *site, a *attempt) error {
	var created struct{ UploadId string }
	if a.ok() {
		if err := xml.Unmarshal(a.got.body, &created); err != nil {
			return err
		}
		a.uploadID = created.UploadId
	} else {
		createBefore(t, s, a)
	}
	return finishUpload(t, s, a)
}

// partWell: the part that the client was told of is the one that is joined; after a failure it is sent again.
func partWell(t *testing.T, s *site, a *attempt) error {
	if !a.ok() {
		return finishUpload(t, s, a)
	}
	a.etag = `"` + md5Hex(a.body) + `"`
	return completeAgain(t, s, a)
}

func finishUpload(t *testing.T, s *site, a *attempt) error {
	a.etag = s.sendPart(t, a, a.body)
	return completeAgain(t, s, a)
}

func completeAgain(t *testing.T, s *site, a *attempt) error {
	s.send(t, completeAsk(a)).want(t, 200, "")
	now, err := s.state(t, a)
	if err == nil && !bytes.Equal(now, a.body) {
		err = fmt.Errorf("joined to %d bytes that begin %.20q", len(now), now)
	}
	return err
}

// completeWell: where success was told the object is there; and completing again, which is what a client does, gives the same.
func completeWell(t *testing.T, s *site, a *attempt) error {
	if a.ok() {
		if now, err := s.state(t, a); err != nil || !bytes.Equal(now, a.body) {
			return fmt.Errorf("success was told, and %d bytes are there: %w", len(now), err)
		}
	}
	return completeAgain(t, s, a)
}

// abortWell: an abort is repeated until the upload is gone, and leaves no object.
func abortWell(t *testing.T, s *site, a *attempt) error {
	got := s.send(t, request{method: "DELETE", bucket: a.bucket, key: a.key, query: "uploadId=" + escaped(a.uploadID)})
	if !slices.Contains([]int{http.StatusNoContent, http.StatusNotFound}, got.status) {
		return fmt.Errorf("aborted again: %d %s", got.status, got.code)
	}
	if now, err := s.state(t, a); err != nil || now != nil {
		return fmt.Errorf("%d bytes are there, %w", len(now), err)
	}
	return nil
}

func md5Hex(body []byte) string {
	sum := md5.Sum(body)
	return hex.EncodeToString(sum[:])
}

func md5Base64(body []byte) string {
	sum := md5.Sum(body)
	return base64.StdEncoding.EncodeToString(sum[:])
}
