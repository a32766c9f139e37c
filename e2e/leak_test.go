package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// needle is something that must not be on the backend.
type needle struct {
	what  string
	bytes []byte
}

// spellings are the ways in which a digest or a metadata value could be written down.
func spellings(what string, value []byte) []needle {
	return []needle{
		{what + ", raw", value},
		{what + ", hexadecimal", []byte(hex.EncodeToString(value))},
		{what + ", HEXADECIMAL", []byte(strings.ToUpper(hex.EncodeToString(value)))},
		{what + ", base64", []byte(base64.RawStdEncoding.EncodeToString(value))},
		{what + ", base64url", []byte(base64.RawURLEncoding.EncodeToString(value))},
		{what + ", escaped", []byte(url.QueryEscape(string(value)))},
	}
}

// needles are what of a body must stay secret: the marker, windows of the plaintext at both ends and in between, its MD5 and
// those of its parts.
func (p payload) needles(partSize int64) []needle {
	list := []needle{{"the marker", p.marker()}}
	list = append(list, spellings("the MD5 of the plaintext", p.md5())...)
	if partSize > 0 && p.size > partSize {
		for i, sum := range p.partMD5s(partSize) {
			list = append(list, spellings(fmt.Sprintf("the MD5 of part %d", i+1), sum)...)
		}
		whole, _ := hex.DecodeString(p.multipartETag(partSize)[:32])
		list = append(list, spellings("the ETag's digest", whole)...)
	}
	if p.size < markerLength {
		return list
	}
	// Offsets that the reader passes in rising order; one window in each sixteenth of the body.
	r, at := p.reader(), int64(0)
	stretch := (p.size - markerLength) / 16
	for i := range int64(16) {
		off := i * stretch
		if stretch > 0 {
			off += rand.Int64N(stretch)
		}
		if off < at {
			continue
		}
		window := make([]byte, markerLength)
		_, _ = io.CopyN(io.Discard, r, off-at)
		_, _ = io.ReadFull(r, window)
		at = off + markerLength
		list = append(list, needle{fmt.Sprintf("plaintext at %d", off), window})
	}
	return list
}

// findLeaks gives what of needles is in a haystack.
func findLeaks(haystack []byte, needles []needle) []string {
	var found []string
	for _, n := range needles {
		if bytes.Contains(haystack, n.bytes) {
			found = append(found, n.what)
		}
	}
	return found
}

// rawRequest makes a signed request to the gateway and gives everything it answered: status, headers, body.
func (b rgw) rawRequest(t *testing.T, method, target string) (status int, head, body []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, b.endpoint+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	const unsigned = "UNSIGNED-PAYLOAD"
	req.Header.Set("X-Amz-Content-Sha256", unsigned)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	who := aws.Credentials{AccessKeyID: b.access, SecretAccessKey: b.secret}
	if err := signer.SignHTTP(ctx, who, req, unsigned, "s3", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var h bytes.Buffer
	_ = resp.Header.Write(&h) // a buffer takes everything
	return resp.StatusCode, h.Bytes(), body
}

// escapePath writes a key as signatures want it: every byte escaped but letters, digits and -._~/.
func escapePath(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(key), "+", "%20"), "%2F", "/")
}

// wantSealed fails if the storage operator can find any of the needles: in the raw object, its headers, the listings of its
// bucket, or anything in the system bucket.
func (s *site) wantSealed(t *testing.T, bucket, key string, size int64, needles ...needle) {
	t.Helper()
	path := "/" + bucket + "/" + escapePath(key)
	status, head, body := s.rgw.rawRequest(t, http.MethodGet, path)
	if status != http.StatusOK {
		t.Fatalf("raw GET %s: status %d: %s", path, status, body)
	}
	if int64(len(body)) <= size {
		t.Errorf("%s: %d bytes are stored for %d of plaintext: not sealed", path, len(body), size)
	}
	look := func(where string, haystack []byte) {
		t.Helper()
		for _, found := range findLeaks(haystack, needles) {
			t.Errorf("%s is in %s of %s", found, where, path)
		}
	}
	look("the body", body)
	look("the headers", head)
	_, head, _ = s.rgw.rawRequest(t, http.MethodHead, path)
	look("the headers of a HEAD", head)
	for _, query := range []string{"list-type=2&fetch-owner=true", "versions=", "uploads="} {
		status, head, body := s.rgw.rawRequest(t, http.MethodGet, "/"+bucket+"?"+query)
		if status != http.StatusOK {
			t.Fatalf("raw GET ?%s: status %d", query, status)
		}
		look("the listing ?"+query, append(head, body...))
	}
	system := s.rgw.client()
	pages := s3.NewListObjectsV2Paginator(system, &s3.ListObjectsV2Input{Bucket: &s.systemBucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatalf("list the system bucket: %v", err)
		}
		for _, object := range page.Contents {
			_, head, body := s.rgw.rawRequest(t, http.MethodGet, "/"+s.systemBucket+"/"+escapePath(*object.Key))
			look("the system object "+*object.Key, append(head, body...))
		}
	}
}

// The search itself must be able to find: what lies on the gateway in clear is found in every spelling.
func TestLeakSearchFindsWhatIsInClear(t *testing.T) {
	b := backendOf(t)
	client, bucket, key := b.client(), "clear-"+randomHex(6), "a b"
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	p := newPayload(100_000)
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(p.bytes()), Metadata: map[string]string{"note": "metadata value in clear"},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, head, body := b.rawRequest(t, http.MethodGet, "/"+bucket+"/a%20b")
	for _, n := range p.needles(0) {
		if strings.HasPrefix(n.what, "plaintext") || n.what == "the marker" {
			if len(findLeaks(body, []needle{n})) == 0 {
				t.Errorf("%s was not found", n.what)
			}
		}
	}
	if len(findLeaks(head, spellings("metadata", []byte("metadata value in clear")))) == 0 {
		t.Error("the metadata value was not found")
	}
	// RGW's own ETag is the MD5 of what it stores.
	if len(findLeaks(head, spellings("MD5", p.md5()))) == 0 {
		t.Error("the MD5 was not found")
	}
}
