package proxy_test

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/proxy"
)

// rawParts lays an object in clear on the storage, in parts of these sizes.
func (s *storage) rawParts(t *testing.T, b, key string, sizes ...int) []byte {
	t.Helper()
	up, err := s.raw.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &b, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	var done []types.CompletedPart
	var whole []byte
	for i, size := range sizes {
		n, body := aws.Int32(int32(i+1)), pattern(size)
		out, err := s.raw.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &b, Key: &key, UploadId: up.UploadId, PartNumber: n, Body: bytes.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		done, whole = append(done, types.CompletedPart{ETag: out.ETag, PartNumber: n}), append(whole, body...)
	}
	if _, err := s.raw.CompleteMultipartUpload(t.Context(), completeInput(b, key, *up.UploadId, done)); err != nil {
		t.Fatal(err)
	}
	return whole
}

func TestABucketInClearIsSealedInPlaceWhileClientsRead(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, passing())
		b := s.bucket(t, "pass-migrate")
		bodies := st.layOld(t, b)
		bodies["6 MiB parts"] = st.rawParts(t, b, "6 MiB parts", 6<<20, 6<<20, 100)
		bodies["one part"] = st.rawParts(t, b, "one part", 300_000)
		if _, err := st.raw.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: &b, Key: str("said"), Body: bytes.NewReader([]byte("said")), ContentType: str("text/x-said"), CacheControl: str("no-store"),
			Metadata: map[string]string{"note": "kept"}, Tagging: str("ward=b"),
		}); err != nil {
			t.Fatal(err)
		}
		bodies["said"] = []byte("said")
		seen := map[string]sight{}
		for key, body := range bodies {
			seen[key] = s.wantEverywhere(t, b, key, body)
		}
		tags := s.visible(t, b, "said")["tags"]

		var done atomic.Bool
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for n := 0; !done.Load() || n < 2; n++ {
					for key, body := range bodies {
						out, err := s.client.GetObject(context.Background(), &s3.GetObjectInput{Bucket: &b, Key: &key})
						if err != nil {
							t.Errorf("read %s: %v", key, err)
							continue
						}
						got, err := io.ReadAll(out.Body)
						out.Body.Close()
						if err != nil || !bytes.Equal(got, body) {
							t.Errorf("read %s: %d bytes, %v", key, len(got), err)
						}
					}
				}
			})
		}
		report, kinds := s.rewrite(t, b, proxy.RewriteConfig{Unsealed: true})
		done.Store(true)
		readers.Wait()
		if report.Rewritten != int64(len(bodies)) || len(kinds) > 0 {
			t.Fatalf("%+v, %v", report, kinds)
		}
		// From now on the bucket refuses what is not sealed, and that is nothing.
		strict := newSite(t, st, siteConfig{identity: s.identity, store: s.store})
		for key, body := range bodies {
			if got := strict.wantEverywhere(t, b, key, body); got != seen[key] {
				t.Errorf("%s: %+v, before %+v", key, got, seen[key])
			}
			_ = st.envelopeOf(t, b, key, "")
			if _, raw := st.rawObject(t, b, key); len(body) > 10 && bytes.Contains(raw, body[:10]) {
				t.Errorf("%s lies in clear", key)
			}
		}
		if head := s.send(t, request{method: "HEAD", bucket: b, key: "said"}); head.header.Get("Content-Type") != "text/x-said" ||
			head.header.Get("Cache-Control") != "no-store" || head.header.Get("X-Amz-Meta-Note") != "kept" {
			t.Errorf("headers %v", head.header)
		}
		if got := s.visible(t, b, "said")["tags"]; got != tags {
			t.Errorf("tags %s, before %s", got, tags)
		}
		if head := s.send(t, request{method: "HEAD", bucket: b, key: "6 MiB parts", query: "partNumber=2"}); head.header.Get("Content-Length") != "6291456" {
			t.Errorf("part 2 has %s bytes", head.header.Get("Content-Length"))
		}
	})
}

func TestWhatCannotBeSealedInPlaceIsListed(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, passing())
		b := s.bucket(t, "pass-odd")
		s.enableVersioning(t, b)
		st.rawPut(t, b, "twice", []byte("first"), nil)
		st.rawPut(t, b, "twice", []byte("second"), nil)
		st.rawParts(t, b, "odd parts", 5<<20, 6<<20, 77)
		s.put(t, b, "sealed", []byte("a client's"))
		want := []string{"odd parts parts", "twice noncurrent", "twice replaced"}
		report, kinds := s.rewrite(t, b, proxy.RewriteConfig{Unsealed: true})
		if !slices.Equal(kinds, want) || report.Rewritten != 1 || report.Refused != 1 {
			t.Errorf("%+v, %q, want %q", report, kinds, want)
		}
	})
}

// TestAnObjectThatWasSealedIsNotSealedAgain when it is found in clear: the storage may have put it there.
func TestAnObjectThatWasSealedIsNotSealedAgain(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, passing())
		b := s.bucket(t, "pass-swapped")
		s.put(t, b, "k", []byte("the client's"))
		st.rawPut(t, b, "k", []byte("the storage's"), nil)
		if report, kinds := s.rewrite(t, b, proxy.RewriteConfig{Unsealed: true}); report.Rewritten != 0 || !slices.Equal(kinds, []string{"k was_sealed"}) {
			t.Errorf("%+v, %v", report, kinds)
		}
	})
}
