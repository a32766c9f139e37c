package proxy_test

import (
	"bytes"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// rawPut puts an object past cofre, as whoever runs the storage can.
func (s *storage) rawPut(t *testing.T, bucket, key string, body []byte, meta map[string]string) {
	t.Helper()
	if _, err := s.raw.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body), Metadata: meta}); err != nil {
		t.Fatal(err)
	}
}

func TestAnotherKEKCannotOpenThis(t *testing.T) {
	st := diskStorage(t)
	s := newSite(t, st, siteConfig{})
	b := s.bucket(t, "theirs")
	s.put(t, b, "k", []byte("for members only"))
	stranger := newSite(t, st, siteConfig{})
	_, err := stranger.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b, Key: str("k")})
	if err == nil {
		t.Fatal("a site that is no recipient read the object")
	}
	// The same key name in another bucket has another KEK: bytes moved there do not open.
	other := s.bucket(t, "ours-too")
	raw, sealed := st.rawObject(t, b, "k")
	s.put(t, other, "k", []byte("something else"))
	st.rawPut(t, other, "k", sealed, raw.Metadata)
	_, err = s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &other, Key: str("k")})
	if err == nil {
		t.Fatal("an object moved to another bucket was read")
	}
}
