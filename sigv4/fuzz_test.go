package sigv4_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cofre/checksum"
	"cofre/sigv4"
	"cofre/sigv4/sigv4test"
)

// FuzzAuthorization: whatever the header, a request with one is verified by the exact signature or refused, never anonymous.
func FuzzAuthorization(f *testing.F) {
	good := signed(f, "/b/k?acl").Header.Get("Authorization")
	f.Add(good)
	f.Add(strings.ReplaceAll(good, ",", ", "))
	f.Add("AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=")
	f.Add("AWS4-HMAC-SHA256 Credential=/////,SignedHeaders=;;,Signature==")
	f.Add("AWS4-HMAC-SHA256 ")
	f.Fuzz(func(t *testing.T, header string) {
		r := signed(t, "/b/k?acl")
		r.Header["Authorization"] = []string{header}
		auth, err := verifierAt(signedAt).Verify(r)
		switch {
		case err != nil && auth != nil:
			t.Fatal("both an answer and an error")
		case err == nil && auth.Scheme() == sigv4.HeaderV4:
			signature := good[strings.LastIndexByte(good, '=')+1:]
			if !strings.Contains(header, signature) {
				t.Fatalf("verified without the signature: %q", header)
			}
		case err == nil:
			t.Fatalf("verified as %s: %q", auth.Scheme(), header)
		}
	})
}

// FuzzQuery: a query with a trace of credentials is verified by the exact signature or refused.
func FuzzQuery(f *testing.F) {
	good := presigned(f, "/b/k?acl", time.Hour).RequestURI
	_, good, _ = strings.Cut(good, "?")
	v2 := request(f, "/b/k?acl")
	sigv4test.New(signedAt).PresignV2(v2, signedAt.Add(time.Hour), "", "?acl", unsigned)
	f.Add(good)
	f.Add(v2.URL.RawQuery)
	f.Add("X-Amz-Signature&a;b=c&%zz&=")
	f.Add("AWSAccessKeyId=&Signature=&Expires=")
	f.Add("prefix=a/b+c&uploads&delimiter=%2F")
	values, _ := url.ParseQuery(good)
	signatureV4, signatureV2 := values.Get("X-Amz-Signature"), v2.URL.Query().Get("Signature")
	f.Fuzz(func(t *testing.T, query string) {
		r := sigv4test.Receive(request(t, "/b/k"))
		r.RequestURI = "/b/k?" + query
		auth, err := verifierAt(signedAt).Verify(r)
		if err != nil {
			if auth != nil {
				t.Fatal("both an answer and an error")
			}
			return
		}
		unescaped, _ := url.QueryUnescape(query)
		switch auth.Scheme() {
		case sigv4.Anonymous:
			for piece := range strings.SplitSeq(query, "&") {
				raw, _, _ := strings.Cut(piece, "=")
				if name, _ := url.QueryUnescape(raw); strings.EqualFold(name, "X-Amz-Signature") || name == "Signature" {
					t.Fatalf("anonymous: %q", query)
				}
			}
		case sigv4.QueryV4:
			if !strings.Contains(unescaped, signatureV4) {
				t.Fatalf("verified without the signature: %q", query)
			}
		case sigv4.QueryV2:
			if !strings.Contains(unescaped, signatureV2) {
				t.Fatalf("verified without the signature: %q", query)
			}
		default:
			t.Fatalf("verified as %s", auth.Scheme())
		}
	})
}

// fuzzBody reads a body of which the fuzzer has the encoded bytes, and demands that nothing but the signed payload ever comes out whole.
func fuzzBody(t *testing.T, r *http.Request, encoded, payload []byte, mustMatch bool) {
	sigv4test.SetBody(r, encoded, true)
	got := sigv4test.Receive(r)
	body := open(t, got, sigv4.BodyOptions{})
	data, err := io.ReadAll(body)
	if int64(len(data)) > body.Length() {
		t.Fatalf("%d bytes given out, %d declared", len(data), body.Length())
	}
	if err == nil && (int64(len(data)) != body.Length() || mustMatch && !bytes.Equal(data, payload)) {
		t.Fatalf("accepted %q as %q", encoded, data)
	}
}

func FuzzSignedChunks(f *testing.F) {
	payload := []byte("some payload in chunks")
	p := sigv4test.Payload{Mode: sigv4test.SignedTrailer, Data: payload, Chunk: 8, Checksum: checksum.CRC32C}
	_, encoded := wire(f, p)
	f.Add(encoded)
	p.MinioTrailer = true
	_, minio := wire(f, p)
	f.Add(minio)
	f.Add(encoded[:len(encoded)-2])
	f.Add([]byte("0;chunk-signature="))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		r, _ := wire(t, p)
		fuzzBody(t, r, encoded, payload, true)
	})
}

func FuzzUnsignedChunks(f *testing.F) {
	payload := []byte("some payload in chunks")
	p := sigv4test.Payload{Mode: sigv4test.UnsignedTrailer, Data: payload, Chunk: 8, Checksum: checksum.SHA256}
	_, encoded := wire(f, p)
	f.Add(encoded)
	f.Add([]byte("16\r\nsome payload in chunks\r\n0\r\n\r\n"))
	f.Add([]byte("ffffffffffffffff\r\n"))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		r, _ := wire(t, p)
		fuzzBody(t, r, encoded, payload, true)
	})
}

// FuzzTrailer fuzzes what follows the last chunk of a body without announced trailer: nothing but blank lines may.
func FuzzTrailer(f *testing.F) {
	f.Add([]byte("\r\n"))
	f.Add([]byte("\n\r\n\r\n"))
	f.Add([]byte("x-amz-checksum-crc32:AAAAAA==\r\n\r\n"))
	f.Add([]byte("x-amz-trailer-signature:00\r\n\r\n"))
	f.Add([]byte(":\r\n"))
	f.Fuzz(func(t *testing.T, tail []byte) {
		r, _ := wire(t, sigv4test.Payload{Mode: sigv4test.UnsignedTrailer, Data: []byte("hello")})
		sigv4test.SetBody(r, append([]byte("5\r\nhello\r\n0\r\n"), tail...), true)
		_, err := io.ReadAll(open(t, sigv4test.Receive(r), sigv4.BodyOptions{}))
		if err == nil && len(bytes.Trim(tail, "\r\n")) > 0 {
			t.Fatalf("%q passed", tail)
		}
	})
}
