package proxy_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/seal"
)

// shape is a kind of object on which the storage tries its lies, in a bucket of its own, together with everything that a storage could
// put in its place.
type shape struct {
	name   string
	bucket string
	key    string
	body   []byte
	// parts are the plaintext sizes of a multipart object's parts; nil for one PUT.
	parts []int
	// customer is the client's own key, nil for none.
	customer *customer
	// version is the version that readers ask for by name; empty where the bucket has none.
	version string

	now       *stored // the object
	old       *stored // what stood there before it, of the same size
	twin      *stored // another key's, of the same size
	elsewhere *stored // the same key's in another bucket, of the same size
	resent    []byte  // the sealed bytes of a part that was sent twice: those of the first time
}

const (
	hostileKey  = "victim é+%/key"
	hostileTwin = "twin"
)

// hostileSizes are the plaintext sizes of the shapes of one PUT.
var hostileSizes = map[string]int{"empty": 0, "byte": 1, "chunks": 2 * seal.ChunkSize, "chunks and a byte": 2*seal.ChunkSize + 1}

var shapeNames = []string{"empty", "byte", "chunks", "chunks and a byte", "customer key", "copy", "version", "parts"}

// makeShape writes the objects of a shape through an honest storage.
func makeShape(t *testing.T, s *site, l *liar, name string) *shape {
	t.Helper()
	tag := strings.ReplaceAll(name, " ", "-")
	sh := &shape{name: name, key: hostileKey, bucket: s.bucket(t, "hostile-"+tag)}
	other := s.bucket(t, "hostile-other-"+tag)
	size, ok := hostileSizes[name]
	switch {
	case ok:
	case name == "parts":
		sh.parts = []int{5<<20 + 3, 70_001}
		size = sh.parts[0] + sh.parts[1]
	default:
		size = 70_000
	}
	if name == "customer key" {
		c := newCustomer()
		sh.customer = &c
	}
	if name == "version" {
		s.version(t, sh.bucket)
	}
	sh.body = pattern(size)
	write := func(bucket, key string, body []byte) {
		if sh.parts != nil {
			sh.resent = s.putParts(t, l, bucket, key, body, sh.parts[0])
			return
		}
		sh.version = aws.ToString(s.putShape(t, bucket, key, body, sh.customer).VersionId)
	}
	write(sh.bucket, hostileTwin, reversed(sh.body))
	sh.twin = s.stored(t, sh.bucket, hostileTwin)
	write(other, sh.key, reversed(sh.body))
	sh.elsewhere = s.stored(t, other, sh.key)
	write(sh.bucket, sh.key, reversed(sh.body))
	sh.old = s.stored(t, sh.bucket, sh.key)
	if name == "copy" {
		write(sh.bucket, "source", sh.body)
		if _, err := s.client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &sh.bucket, Key: &sh.key, CopySource: str(sh.bucket + "/source")}); err != nil {
			t.Fatal(err)
		}
	} else {
		write(sh.bucket, sh.key, sh.body)
	}
	sh.now = s.stored(t, sh.bucket, sh.key)
	return sh
}

// reversed is another body of the same size.
func reversed(body []byte) []byte {
	out := make([]byte, len(body))
	for i, b := range body {
		out[len(body)-1-i] = b ^ 0x55
	}
	return out
}

// putShape writes an object with metadata, so that exchanged metadata shows.
func (s *site) putShape(t *testing.T, bucket, key string, body []byte, c *customer) *s3.PutObjectOutput {
	t.Helper()
	in := &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(body), ContentType: str(fmt.Sprintf("text/x-%d", len(bucket+key)+int(checkByte(body)))),
		Metadata: map[string]string{"of": fmt.Sprintf("%s %s %d", bucket, url.PathEscape(key), checkByte(body))}, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
	}
	if c != nil {
		in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = aes256, c.key, c.sum
	}
	out, err := s.client.PutObject(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// checkByte tells two bodies apart.
func checkByte(body []byte) (sum byte) {
	for i, b := range body {
		sum += b * byte(i|1)
	}
	return sum
}

// putParts writes an object of two parts, the second of which is sent twice, and gives the sealed bytes of the first time.
func (s *site) putParts(t *testing.T, l *liar, bucket, key string, body []byte, cut int) []byte {
	t.Helper()
	up, err := s.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key, Metadata: map[string]string{"of": url.PathEscape(key)}})
	if err != nil {
		t.Fatal(err)
	}
	var sent [][]byte
	l.mu.Lock()
	l.watch = func(r *wire, sealed []byte) {
		if r.URL.Query().Get("partNumber") == "2" {
			sent = append(sent, bytes.Clone(sealed))
		}
	}
	l.mu.Unlock()
	var done []types.CompletedPart
	for i, part := range [][]byte{body[:cut], reversed(body[cut:]), body[cut:]} {
		number := aws.Int32(min(int32(i+1), 2))
		out, err := s.client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, PartNumber: number, Body: bytes.NewReader(part)})
		if err != nil {
			t.Fatal(err)
		}
		if i != 1 {
			done = append(done, types.CompletedPart{ETag: out.ETag, PartNumber: number})
		}
	}
	l.mu.Lock()
	l.watch = nil
	l.mu.Unlock()
	if _, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(bucket, key, *up.UploadId, done)); err != nil {
		t.Fatal(err)
	}
	return sent[0]
}

// partSpans gives the stored bytes of each part: where it begins, and how many plaintext bytes it has.
func (sh *shape) partSpans() (begins, sizes []int) {
	sizes = sh.parts
	if sizes == nil {
		sizes = []int{len(sh.body)}
	}
	at := 0
	for _, n := range sizes {
		begins = append(begins, at)
		at += int(seal.StoredSize(int64(n)))
	}
	return begins, sizes
}

// envelope gives a field of the object's metadata as bytes.
func metaBytes(s *stored, name string) []byte {
	raw, err := base64.RawURLEncoding.DecodeString(s.header.Get("X-Amz-Meta-Cofre-" + name))
	if err != nil {
		panic(err)
	}
	return raw
}

// setMeta puts bytes into the object's metadata.
func setMeta(s *stored, name string, raw []byte) {
	s.header.Set("X-Amz-Meta-Cofre-"+name, base64.RawURLEncoding.EncodeToString(raw))
}

// takeMeta takes a field of the metadata from another object.
func takeMeta(s, from *stored, name string) {
	name = http.CanonicalHeaderKey("X-Amz-Meta-Cofre-" + name)
	s.header[name] = from.header[name]
}
