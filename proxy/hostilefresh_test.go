package proxy_test

import (
	"bytes"
	"cmp"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/internal/longtest"
)

// replacing is a way in which an object goes: another takes its place, or none.
type replacing struct {
	name string
	do   func(t *testing.T, s *site, bucket, key string)
}

func replacings(other string) []replacing {
	must := func(t *testing.T, err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	copied := func(from string) func(*testing.T, *site, string, string) {
		return func(t *testing.T, s *site, bucket, key string) {
			_, err := s.client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &bucket, Key: &key, CopySource: str(cmp.Or(from, bucket) + "/source")})
			must(t, err)
		}
	}
	return []replacing{
		{"PUT", func(t *testing.T, s *site, bucket, key string) { s.put(t, bucket, key, []byte("the next")) }},
		{"DELETE", func(t *testing.T, s *site, bucket, key string) {
			_, err := s.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
			must(t, err)
		}},
		{"DELETE of the version", func(t *testing.T, s *site, bucket, key string) {
			_, err := s.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key, VersionId: str("null")})
			must(t, err)
		}},
		{"DeleteObjects", func(t *testing.T, s *site, bucket, key string) {
			_, err := s.client.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: &key}}}})
			must(t, err)
		}},
		{"Complete", func(t *testing.T, s *site, bucket, key string) {
			up, err := s.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
			must(t, err)
			part, err := s.client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader([]byte("in parts"))})
			must(t, err)
			_, err = s.client.CompleteMultipartUpload(t.Context(), completeInput(bucket, key, *up.UploadId, []types.CompletedPart{{ETag: part.ETag, PartNumber: aws.Int32(1)}}))
			must(t, err)
		}},
		{"copy", copied("")},
		{"copy from another bucket", copied(other)},
	}
}

// TestWhatWasReplacedIsRefusedWhenPutBack has the storage put back what was replaced or deleted, with all its metadata, in buckets that never
// had versioning, and the null version in one where it is suspended. Nobody is given it any more: by the process that
// knew, by another replica, and by one that was started since.
func TestWhatWasReplacedIsRefusedWhenPutBack(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		replica := newSite(t, st, siteConfig{identity: s.identity, store: s.store})
		other := s.bucket(t, "fresh-other")
		s.put(t, other, "source", []byte("copied from elsewhere"))
		tried := 0
		for _, versioning := range []string{"", "Suspended"} {
			b := s.bucket(t, "fresh"+map[string]string{"": "", "Suspended": "-suspended"}[versioning])
			if versioning != "" {
				s.version(t, b)
				s.send(t, sub2("PUT", b, "", "versioning", "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>")).want(t, 200, "")
			}
			s.put(t, b, "source", []byte("copied"))
			for _, r := range replacings(other) {
				if versioning == "" && r.name == "DELETE of the version" {
					continue
				}
				key := r.name
				etag := *s.put(t, b, key, []byte("the first")).ETag
				old := st.stored(t, b, key)
				if got := replica.get(t, b, key); string(got) != "the first" {
					t.Fatalf("%q", got)
				}
				r.do(t, s, b, key)
				st.rawPut(t, b, key, old.body, map[string]string{"cofre-envelope": old.header.Get("X-Amz-Meta-Cofre-Envelope"), "cofre-attributes": old.header.Get("X-Amz-Meta-Cofre-Attributes")})
				replica.handler.ForgetRecords() // what it remembers for five seconds is told in docs/THREATS.md
				for who, reader := range map[string]*site{"the same process": s, "a replica": replica, "a new process": newSite(t, st, siteConfig{identity: s.identity, store: s.store})} {
					for _, method := range []string{http.MethodGet, http.MethodHead} {
						code := map[string]string{http.MethodGet: "InternalError", http.MethodHead: ""}[method]
						if got := reader.try(t, request{method: method, bucket: b, key: key}); got.status != 500 || got.code != code {
							t.Errorf("%s %s, replaced by %s: %s reads %d %s %q", versioning, key, r.name, who, got.status, got.code, got.body)
						}
						tried++
					}
					if seen := reader.listed(t, b, "&prefix="+escaped(key), key); seen.ETag == etag {
						t.Errorf("%s %s, replaced by %s: %s lists it again", versioning, key, r.name, who)
					}
					if reader.findings(t, "tombstoned") == 0 {
						t.Errorf("%s %s: nothing was counted by %s", versioning, key, who)
					}
				}
			}
		}
		longtest.Figure(t, "old objects put back and refused", tried)
	})
}

// TestADeletedVersionIsRefusedWhenPutBack: in a bucket with versions every one of them stays good until it is deleted itself.
func TestADeletedVersionIsRefusedWhenPutBack(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "fresh-versions")
		s.put(t, b, "null", []byte("from before versioning"))
		null := st.stored(t, b, "null")
		s.version(t, b)
		one := *s.put(t, b, "k", []byte("one")).VersionId
		old := st.stored(t, b, "k")
		s.put(t, b, "k", []byte("two"))
		s.put(t, b, "null", []byte("a version"))
		for key, v := range map[string]string{"k": one, "null": "null"} {
			if _, err := s.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: &key, VersionId: &v}); err != nil {
				t.Fatal(err)
			}
			was := map[string]*stored{"k": old, "null": null}[key]
			st.rawPut(t, b, key, was.body, map[string]string{"cofre-envelope": was.header.Get("X-Amz-Meta-Cofre-Envelope"), "cofre-attributes": was.header.Get("X-Amz-Meta-Cofre-Attributes")})
			for who, reader := range map[string]*site{"the same process": s, "a new process": newSite(t, st, siteConfig{identity: s.identity, store: s.store})} {
				reader.try(t, request{method: "GET", bucket: b, key: key}).want(t, 500, "InternalError")
				if seen := reader.listed(t, b, "versions=&prefix="+escaped(key), key); len(seen.ETag) < 3 || seen.ETag[len(seen.ETag)-3:] != `-0"` {
					t.Errorf("%s lists what was put back of %q as %+v", who, key, seen)
				}
			}
		}
	})
}

// TestVersionsCannotBeExchanged has the storage answer each version of a key with the other's object, under either name.
func TestVersionsCannotBeExchanged(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, honest *storage) {
		st, l := lying(t, honest)
		s := newSite(t, st, siteConfig{client: onceOnly})
		b := s.bucket(t, "exchanged")
		s.version(t, b)
		bodies := map[string]string{}
		objects := map[string]*stored{}
		var ids []string
		for _, body := range []string{"version one", "version two"} {
			id := *s.put(t, b, "k", []byte(body)).VersionId
			ids, bodies[id], objects[id] = append(ids, id), body, honest.stored(t, b, "k")
		}
		fresh := newSite(t, st, siteConfig{identity: s.identity, client: onceOnly})
		for i, id := range ids {
			other := ids[1-i]
			for name, shown := range map[string]*stored{"its own name": objects[other], "the name that was asked for": renamed(objects[other], objects[id])} {
				l.tells(shows(b, "k", shown))
				for _, method := range []string{"GET", "HEAD"} {
					if got := s.try(t, request{method: method, bucket: b, key: "k", query: "versionId=" + id}); got.status != 500 {
						t.Errorf("%s of version %d, answered by the other under %s: %d %q", method, i, name, got.status, got.body)
					}
				}
				// Who names no version is given one version, under its own name.
				got := s.try(t, request{method: "GET", bucket: b, key: "k"}).want(t, 200, "")
				if v := got.header.Get("x-amz-version-id"); bodies[v] != string(got.body) {
					t.Errorf("%q was called version %s", got.body, v)
				}
			}
			// A site that has no record yet learns no version's object under the name of another.
			l.tells(shows(b, "k", objects[other]))
			if got := fresh.try(t, request{method: "GET", bucket: b, key: "k", query: "versionId=" + id}); got.status != 500 {
				t.Errorf("a fresh site took one version for the other: %d %q", got.status, got.body)
			}
		}
		l.tells(nil)
		for id, body := range bodies {
			for who, reader := range map[string]*site{"known": s, "fresh": fresh} {
				got := reader.try(t, request{method: "GET", bucket: b, key: "k", query: "versionId=" + id}).want(t, 200, "")
				if string(got.body) != body || got.header.Get("x-amz-version-id") != id {
					t.Errorf("%s: version %s is %q, called %s, once the storage is honest again", who, id, got.body, got.header.Get("x-amz-version-id"))
				}
			}
		}
	})
}
