package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/seal"
)

// rawPut puts an object past cofre, as whoever runs the storage can.
func (s *storage) rawPut(t *testing.T, bucket, key string, body []byte, meta map[string]string) {
	t.Helper()
	if _, err := s.raw.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body), Metadata: meta}); err != nil {
		t.Fatal(err)
	}
}

// wantNoBytesBut fails if a read gives anything but an error, or bytes that begin like the true body and end in an error.
func wantNoBytesBut(t *testing.T, s *site, bucket, key, rng string, truth []byte) {
	t.Helper()
	in := &s3.GetObjectInput{Bucket: &bucket, Key: &key}
	if rng != "" {
		in.Range = &rng
	}
	out, err := s.client.GetObject(context.Background(), in)
	if err != nil {
		return
	}
	defer out.Body.Close()
	got, err := io.ReadAll(out.Body)
	if err == nil {
		t.Fatalf("range %q: a clean answer of %d bytes from a tampered object", rng, len(got))
	}
	if !bytes.HasPrefix(truth, got) && rng == "" {
		t.Fatalf("wrong bytes came out of a tampered object")
	}
}

func TestTamperedObjectsNeverComeOutClean(t *testing.T) {
	st := diskStorage(t)
	s := newSite(t, st, siteConfig{})
	b := s.bucket(t, "hostile")
	body := pattern(3*seal.ChunkSize + 100)
	s.put(t, b, "victim", body)
	s.put(t, b, "other", pattern(len(body)+0))
	victim, sealed := st.rawObject(t, b, "victim")
	other, otherSealed := st.rawObject(t, b, "other")

	flip := func(at int) []byte {
		p := bytes.Clone(sealed)
		p[at] ^= 1
		return p
	}
	chunk := seal.ChunkSize + seal.TagSize
	swapped := bytes.Clone(sealed)
	copy(swapped[64:], sealed[64+chunk:64+2*chunk])
	copy(swapped[64+chunk:], sealed[64:64+chunk])
	cases := []struct {
		name string
		body []byte
		meta map[string]string
	}{
		{"header salt", flip(20), victim.Metadata},
		{"header length", flip(15), victim.Metadata},
		{"commitment", flip(40), victim.Metadata},
		{"first chunk", flip(70), victim.Metadata},
		{"middle chunk", flip(64 + chunk + 5), victim.Metadata},
		{"last chunk", flip(64 + 3*chunk + 5), victim.Metadata},
		{"footer", flip(len(sealed) - 5), victim.Metadata},
		{"truncated at a chunk", sealed[:64+chunk], victim.Metadata},
		{"truncated off a chunk", sealed[:64+chunk+100], victim.Metadata},
		{"without footer", sealed[:len(sealed)-80], victim.Metadata},
		{"appended", append(bytes.Clone(sealed), 0), victim.Metadata},
		{"chunks swapped", swapped, victim.Metadata},
		{"body of another", otherSealed, victim.Metadata},
		{"whole other object", otherSealed, other.Metadata},
		{"envelope of another", sealed, map[string]string{"cofre-envelope": other.Metadata["cofre-envelope"], "cofre-attributes": victim.Metadata["cofre-attributes"]}},
		{"attributes of another", sealed, map[string]string{"cofre-envelope": victim.Metadata["cofre-envelope"], "cofre-attributes": other.Metadata["cofre-attributes"]}},
		{"attributes stripped", sealed, map[string]string{"cofre-envelope": victim.Metadata["cofre-envelope"]}},
		{"envelope stripped", sealed, nil},
		{"empty", nil, victim.Metadata},
		{"plaintext", body, nil},
		{"plaintext with envelope", body, victim.Metadata},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			st.rawPut(t, b, "victim", c.body, c.meta)
			// Two readers: one that knows the object, one that must heal it.
			for name, reader := range map[string]*site{"known": s, "fresh": newSite(t, st, siteConfig{identity: s.identity})} {
				for _, rng := range []string{"", "bytes=0-9", "bytes=65536-", "bytes=-5"} {
					if name == "known" && rng == "bytes=0-9" && bytes.HasPrefix(c.body, sealed[:64+chunk]) && len(c.body) > 64+chunk && c.meta["cofre-envelope"] == victim.Metadata["cofre-envelope"] && c.meta["cofre-attributes"] == victim.Metadata["cofre-attributes"] {
						continue // a range opens only the chunk that it needs, and that one is true
					}
					if rangeUntouched(c.name, rng) {
						continue
					}
					if c.name == "footer" && name == "known" && rng != "" {
						continue // the record was written after the commit: a range need not read the footer again
					}
					wantNoBytesBut(t, reader, b, "victim", rng, body)
				}
			}
		})
	}
	st.rawPut(t, b, "victim", sealed, victim.Metadata)
	if got := s.get(t, b, "victim"); !bytes.Equal(got, body) {
		t.Fatal("the true object does not read any more")
	}
}

// rangeUntouched says that a case leaves the chunks of a range, and what opens them, as they were written.
func rangeUntouched(name, rng string) bool {
	switch name {
	case "header salt", "header length", "commitment": // a range need not read the header
		return rng != ""
	case "first chunk":
		return rng == "bytes=65536-" || rng == "bytes=-5"
	case "middle chunk":
		return rng == "bytes=0-9" || rng == "bytes=-5"
	case "last chunk":
		return rng == "bytes=0-9"
	case "chunks swapped":
		return rng == "bytes=-5"
	}
	return false
}

func TestAnOldObjectPutBackIsRefused(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "replay")
		s.put(t, b, "k", []byte("the first"))
		old, oldBody := st.rawObject(t, b, "k")
		s.put(t, b, "k", []byte("the second"))
		st.rawPut(t, b, "k", oldBody, old.Metadata)
		_, err := s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b, Key: str("k")})
		wantCode(t, err, "InternalError")

		if _, err := s.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: str("k")}); err != nil {
			t.Fatal(err)
		}
		st.rawPut(t, b, "k", oldBody, old.Metadata)
		_, err = s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b, Key: str("k")})
		wantCode(t, err, "InternalError")
	})
}

func TestVersionsCannotBeExchanged(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "versions")
		if _, err := s.client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &b, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
			t.Fatal(err)
		}
		var versions []string
		for i := range 3 {
			out := s.put(t, b, "k", []byte(fmt.Sprint("version ", i)))
			if out.VersionId == nil {
				t.Fatal("no version id")
			}
			versions = append(versions, *out.VersionId)
		}
		for i, v := range versions {
			out, err := s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b, Key: str("k"), VersionId: &v})
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(out.Body)
			if err != nil || string(got) != fmt.Sprint("version ", i) {
				t.Fatalf("version %d: %q %v", i, got, err)
			}
		}
		list, err := s.client.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &b})
		if err != nil || len(list.Versions) != 3 || *list.Versions[0].Size != 9 {
			t.Fatalf("versions: %+v %v", list, err)
		}
	})
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
