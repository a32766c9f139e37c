package proxy_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cofre/keys"
	"cofre/metadata"
	"cofre/proxy"
	"cofre/seal"
)

// tampering is what the storage, or whoever has its hands on it, does to a bucket with the objects "victim", "other" and "parts".
type tampering struct {
	name string
	do   func(t *testing.T, s *site, bucket string)
	want []string // as wantFindings has them
}

// rewrite puts the victim back with its bytes and metadata changed.
func rewrite(change func(body []byte, meta map[string]string) []byte) func(*testing.T, *site, string) {
	return func(t *testing.T, s *site, b string) {
		t.Helper()
		raw, sealed := s.rawObject(t, b, "victim")
		meta := maps.Clone(raw.Metadata)
		s.rawPut(t, b, "victim", change(bytes.Clone(sealed), meta), meta)
	}
}

func flipVictim(at int) func(*testing.T, *site, string) {
	return rewrite(func(body []byte, _ map[string]string) []byte {
		body[(at+len(body))%len(body)] ^= 1
		return body
	})
}

// flipText changes one character of a text in base64url.
func flipText(s string, at int) string {
	b := []byte(s)
	if b[at] == 'A' {
		b[at] = 'B'
	} else {
		b[at] = 'A'
	}
	return string(b)
}

func (s *site) rawDelete(t *testing.T, bucket, key string) {
	t.Helper()
	if _, err := s.raw.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
		t.Fatal(err)
	}
}

// systemNames gives the names in the system bucket that hold a word.
func (s *site) systemNames(t *testing.T, prefix, word string) []string {
	t.Helper()
	names, err := proxy.NewSystem(s.backend, s.system).List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.Contains(n, word) })
	if len(names) == 0 {
		t.Fatalf("no %s below %s", word, prefix)
	}
	return names
}

var tamperings = []tampering{
	{"header", flipVictim(20), []string{"header victim"}},
	{"first chunk", flipVictim(70), []string{"chunk victim"}},
	{"last chunk", flipVictim(-100), []string{"chunk victim"}},
	{"footer", flipVictim(-5), []string{"footer victim"}},
	{"envelope", rewrite(func(b []byte, meta map[string]string) []byte {
		meta["cofre-envelope"] = flipText(meta["cofre-envelope"], 150)
		return b
	}), []string{"envelope victim"}},
	{"envelope of another KEK", rewrite(func(b []byte, meta map[string]string) []byte {
		meta["cofre-envelope"] = flipText(meta["cofre-envelope"], 30)
		return b
	}), []string{"kek-missing victim"}},
	{"envelope lost", rewrite(func(b []byte, meta map[string]string) []byte {
		delete(meta, "cofre-envelope")
		return b
	}), []string{"unsealed victim"}},
	{"attributes", rewrite(func(b []byte, meta map[string]string) []byte {
		meta["cofre-attributes"] = flipText(meta["cofre-attributes"], 90)
		return b
	}), []string{"attributes victim"}},
	{"attributes lost", rewrite(func(b []byte, meta map[string]string) []byte {
		delete(meta, "cofre-attributes")
		return b
	}), []string{"attributes victim"}},
	{"cut within a chunk", rewrite(func(b []byte, _ map[string]string) []byte { return b[:len(b)-1000] }), []string{"footer victim"}},
	{"cut to no size that a part has", rewrite(func(b []byte, _ map[string]string) []byte { return b[:100] }), []string{"size victim"}},
	{"two objects exchanged", func(t *testing.T, s *site, b string) {
		one, oneBody := s.rawObject(t, b, "victim")
		two, twoBody := s.rawObject(t, b, "other")
		s.rawPut(t, b, "victim", twoBody, two.Metadata)
		s.rawPut(t, b, "other", oneBody, one.Metadata)
	}, []string{"envelope other", "envelope victim"}},
	{"an old one put back", func(t *testing.T, s *site, b string) {
		old, body := s.rawObject(t, b, "victim")
		s.put(t, b, "victim", pattern(10))
		s.rawPut(t, b, "victim", body, old.Metadata)
	}, []string{"tombstoned victim"}},
	{"a deleted one put back", func(t *testing.T, s *site, b string) {
		old, body := s.rawObject(t, b, "victim")
		if _, err := s.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: str("victim")}); err != nil {
			t.Fatal(err)
		}
		s.rawPut(t, b, "victim", body, old.Metadata)
	}, []string{"tombstoned victim"}},
	{"deleted behind cofre's back", func(t *testing.T, s *site, b string) { s.rawDelete(t, b, "victim") }, []string{"row-without-object victim"}},
	{"plaintext put there", func(t *testing.T, s *site, b string) { s.rawPut(t, b, "new", []byte("clear"), nil) }, []string{"unsealed new"}},
	{"layout removed", func(t *testing.T, s *site, b string) {
		for _, name := range s.systemNames(t, "buckets/"+b, "/layouts/") {
			s.rawDelete(t, s.system, name)
		}
	}, []string{"layout-missing parts"}},
	{"layout altered", func(t *testing.T, s *site, b string) {
		for _, name := range s.systemNames(t, "buckets/"+b, "/layouts/") {
			_, doc := s.rawObject(t, s.system, name)
			doc[40] ^= 1
			s.rawPut(t, s.system, name, doc, nil)
		}
	}, []string{"layout-altered parts"}},
	{"chunk of a part", func(t *testing.T, s *site, b string) { s.flipPart(t, b, 1000) }, []string{"chunk parts"}},
	{"footer of a first part", func(t *testing.T, s *site, b string) { s.flipPart(t, b, int(seal.StoredSize(5<<20))-5) }, []string{"footer parts"}},
	{"footer of the last part", func(t *testing.T, s *site, b string) { s.flipPart(t, b, -5) }, []string{"footer parts"}},
	{"grant removed", func(t *testing.T, s *site, b string) {
		s.rawDelete(t, s.system, s.systemNames(t, "buckets/"+b, "/grants/")[0])
	}, []string{"grant-missing"}},
	{"grant altered", func(t *testing.T, s *site, b string) {
		name := s.systemNames(t, "buckets/"+b, "/grants/")[0]
		_, doc := s.rawObject(t, s.system, name)
		s.rawPut(t, s.system, name, bytes.Replace(doc, []byte(`"payload":"`), []byte(`"payload":"A`), 1), nil)
	}, []string{"grant-untrusted"}},
	{"KEK record removed", func(t *testing.T, s *site, b string) {
		s.rawDelete(t, s.system, s.systemNames(t, "buckets/"+b, "record.json")[0])
	}, []string{"kek-record-missing"}},
	{"KEK record replaced", func(t *testing.T, s *site, b string) {
		name := s.systemNames(t, "buckets/"+b, "record.json")[0]
		stranger := must(keys.GenerateIdentity("stranger"))
		record := must(keys.NewRecord(stranger, keys.NewKEK(b, stranger.ID()), time.Now()))
		s.rawPut(t, s.system, name, record.Bytes(), nil)
	}, []string{"kek-record-differs"}},
	{"row of another size", func(t *testing.T, s *site, b string) {
		rec := must(s.store.Latest(t.Context(), b, "victim", ""))
		s.replaceRow(t, rec, func(r *metadata.Record) { r.ETag = strings.Repeat("0", 32) })
	}, []string{"row-differs victim"}},
	{"row lost", func(t *testing.T, s *site, b string) {
		raw, body := s.rawObject(t, b, "victim")
		fresh := newSite(t, s.storage, siteConfig{identity: s.identity})
		fresh.system = s.system
		s.store, s.handler, s.ring = fresh.store, fresh.handler, fresh.ring
		s.rawPut(t, b, "victim", body, raw.Metadata)
	}, []string{"object-without-row other", "object-without-row parts", "object-without-row victim"}},
	{"upload ended behind cofre's back", func(t *testing.T, s *site, b string) {
		up := must(s.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &b, Key: str("up")}))
		must(s.raw.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &b, Key: str("up"), UploadId: up.UploadId}))
	}, []string{"upload-unknown up"}},
	{"upload begun behind cofre's back", func(t *testing.T, s *site, b string) {
		must(s.raw.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &b, Key: str("up é +")}))
	}, []string{"upload-without-row up é +"}},
	{"multipart object gone, its layout left", func(t *testing.T, s *site, b string) {
		if _, err := s.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: str("parts")}); err != nil {
			t.Fatal(err)
		}
	}, []string{"layout-of-no-object"}},
}

// flipPart changes a byte of the object "parts", as the storage that joined it could.
func (s *site) flipPart(t *testing.T, b string, at int) {
	t.Helper()
	raw, body := s.rawObject(t, b, "parts")
	body[(at+len(body))%len(body)] ^= 1
	s.rawPut(t, b, "parts", body, raw.Metadata)
}

// replaceRow exchanges a row by another of the same object, in a store that this test alone uses.
func (s *site) replaceRow(t *testing.T, rec metadata.Record, change func(*metadata.Record)) {
	t.Helper()
	fresh := newSite(t, s.storage, siteConfig{identity: s.identity})
	fresh.system = s.system
	change(&rec)
	rec.Began = fresh.store.Now()
	for _, other := range []string{"other", "parts"} {
		if err := fresh.store.Add(t.Context(), must(s.store.Latest(t.Context(), rec.Bucket, other, "")), metadata.Healed); err != nil {
			t.Fatal(err)
		}
	}
	if err := fresh.store.Add(t.Context(), rec, metadata.Healed); err != nil {
		t.Fatal(err)
	}
	s.store, s.handler, s.ring = fresh.store, fresh.handler, fresh.ring
}

func TestVerifyNamesEachKindOfTampering(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		for i, c := range tamperings {
			t.Run(c.name, func(t *testing.T) {
				s := newSite(t, st, siteConfig{})
				b := s.bucket(t, fmt.Sprint("tampered-", i))
				s.put(t, b, "victim", pattern(3*seal.ChunkSize+100))
				s.put(t, b, "other", pattern(3*seal.ChunkSize+100))
				s.uploadTwo(t, b, "parts", pattern(5<<20), pattern(100), "")
				c.do(t, s, b)
				findings, report := s.verify(t, b, proxy.VerifyConfig{LayoutAge: time.Nanosecond})
				wantFindings(t, findings, c.want...)
				var total int64
				for _, n := range report.Kinds {
					total += n
				}
				if total != int64(len(c.want)) || report.Faults+report.Infos != total {
					t.Errorf("report %+v", report)
				}
			})
		}
	})
}
