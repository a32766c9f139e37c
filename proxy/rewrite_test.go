package proxy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"cofre/keys"
	"cofre/proxy"
	"cofre/seal"
)

// closed gives the same site as it is after a member left: the bucket's KEKs are closed, and a new one is made.
func (s *site) closed(t *testing.T, bucket string, cfg siteConfig) *site {
	t.Helper()
	if err := s.store.CloseKEKs(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	cfg.identity, cfg.store = s.identity, s.store
	return newSite(t, s.storage, cfg)
}

// findings collects what a rewrite tells of objects that stay.
type findings struct {
	mu   sync.Mutex
	kind map[string]string // by key and version
}

func (f *findings) add(found proxy.RewriteFinding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kind == nil {
		f.kind = map[string]string{}
	}
	f.kind[strings.TrimSuffix(found.Key+" "+found.Kind, " ")] = found.Reason
}

func (f *findings) kinds() []string { return slices.Sorted(maps.Keys(f.kind)) }

// rewrite runs to its end.
func (s *site) rewrite(t *testing.T, bucket string, c proxy.RewriteConfig) (proxy.RewriteReport, []string) {
	t.Helper()
	var f findings
	c.Found = f.add
	report, err := s.handler.RewriteBucket(t.Context(), bucket, c)
	if err != nil {
		t.Fatalf("rewrite %s: %v", bucket, err)
	}
	return report, f.kinds()
}

// envelopeOf reads the envelope of an object as it lies on the storage.
func (s *storage) envelopeOf(t *testing.T, bucket, key, version string) seal.Envelope {
	t.Helper()
	in := &s3.HeadObjectInput{Bucket: &bucket, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	out, err := s.raw.HeadObject(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	env, err := seal.ParseEnvelope(out.Metadata["cofre-envelope"])
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return env
}

// visible is all that a client sees of an object but its Last-Modified and its version.
func (s *site) visible(t *testing.T, bucket, key string) map[string]any {
	t.Helper()
	seen := map[string]any{}
	head := s.send(t, request{method: "HEAD", bucket: bucket, key: key, header: map[string]string{"X-Amz-Checksum-Mode": "ENABLED"}}).want(t, 200, "")
	for name, v := range head.header {
		switch name {
		case "Last-Modified", "X-Amz-Version-Id", "Date", "X-Amz-Request-Id", "X-Amz-Id-2":
		default:
			seen["HEAD "+name] = v
		}
	}
	all := "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"
	seen["attributes"] = string(s.send(t, request{method: "GET", bucket: bucket, key: key, query: "attributes=", header: map[string]string{"X-Amz-Object-Attributes": all}}).want(t, 200, "").body)
	seen["part 1"] = s.send(t, request{method: "HEAD", bucket: bucket, key: key, query: "partNumber=1"}).header.Get("Content-Length")
	seen["tags"] = string(s.send(t, request{method: "GET", bucket: bucket, key: key, query: "tagging="}).want(t, 200, "").body)
	seen["body"] = sha256.Sum256(s.get(t, bucket, key))
	return seen
}

// layAll puts an object of every shape, and gives their keys.
func (s *site) layAll(t *testing.T, b string) []string {
	t.Helper()
	for key, size := range map[string]int{"empty": 0, "short": 1, "chunk": 65536, "long": 200_001} {
		if _, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: &b, Key: str(key), Body: bytes.NewReader(pattern(size)), ContentType: str("text/x-" + key), CacheControl: str("no-store"),
			Metadata: map[string]string{"note": "kept " + key}, Tagging: str("ward=b%2F2&kind=scan"), ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		}); err != nil {
			t.Fatal(err)
		}
	}
	s.uploadTwo(t, b, "in two parts", pattern(5<<20), pattern(77), "")
	for _, alg := range []types.ChecksumAlgorithm{types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmSha256, types.ChecksumAlgorithmCrc64nvme} {
		if err := s.twoParts(b, "parts of "+string(alg), alg); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"empty", "short", "chunk", "long", "in two parts", "parts of CRC32", "parts of SHA256", "parts of CRC64NVME"}
}

func TestARewriteChangesTheKeyAndNothingThatClientsSee(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		before := newSite(t, st, siteConfig{})
		b := before.bucket(t, "rewrite")
		objects := before.layAll(t, b)
		views, raws := map[string]map[string]any{}, map[string][]byte{}
		for _, key := range objects {
			views[key] = before.visible(t, b, key)
			_, raws[key] = st.rawObject(t, b, key)
		}
		old := st.envelopeOf(t, b, "long", "")
		s := before.closed(t, b, siteConfig{})

		listed, kinds := s.rewrite(t, b, proxy.RewriteConfig{ListOnly: true})
		unable := slices.ContainsFunc(kinds, func(k string) bool { return !strings.HasSuffix(k, " "+proxy.RewriteRewritable) })
		if listed.Rewritten != 0 || len(kinds) != len(objects) || unable || listed.Looked != int64(len(objects)) || st.envelopeOf(t, b, "long", "") != old {
			t.Fatalf("listing: %+v, %v", listed, kinds)
		}
		report, kinds := s.rewrite(t, b, proxy.RewriteConfig{})
		if report.Rewritten != int64(len(objects)) || report.Refused != 0 || len(kinds) > 0 {
			t.Fatalf("%+v, %v", report, kinds)
		}
		for _, key := range objects {
			if diff := cmp.Diff(views[key], s.visible(t, b, key)); diff != "" {
				t.Errorf("%s:\n%s", key, diff)
			}
			env := st.envelopeOf(t, b, key, "")
			if env.KEKID == old.KEKID || env.ObjectID == old.ObjectID {
				t.Errorf("%s is still under KEK %s", key, env.KEKID)
			}
			if _, raw := st.rawObject(t, b, key); bytes.Equal(raw, raws[key]) {
				t.Errorf("the stored bytes of %s are what they were", key)
			}
		}
		again, kinds := s.rewrite(t, b, proxy.RewriteConfig{})
		if again.Rewritten != 0 || again.Already != int64(len(objects)) || len(kinds) > 0 {
			t.Errorf("again: %+v, %v", again, kinds)
		}
		// What was replaced is buried: the storage cannot put it back.
		if row, err := s.store.ByEnvelope(t.Context(), b, "long", old.Bytes()); err != nil || row.Tombstoned.IsZero() {
			t.Errorf("row of what was replaced: %+v, %v", row, err)
		}
	})
}

// TestOnlyTheKEKsThatWereNamedAreRewritten, or all but the active one, or the closed ones.
func TestOnlyTheKEKsThatWereNamedAreRewritten(t *testing.T) {
	st := diskStorage(t)
	first := newSite(t, st, siteConfig{})
	b := first.bucket(t, "named")
	first.put(t, b, "first", []byte("1"))
	kek := st.envelopeOf(t, b, "first", "").KEKID
	if err := first.store.SetKEKState(t.Context(), b, kek, keys.ReadOnly); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, st, siteConfig{identity: first.identity, store: first.store})
	s.put(t, b, "second", []byte("2"))
	for name, c := range map[string]struct {
		cfg  proxy.RewriteConfig
		want []string
	}{
		"closed":   {proxy.RewriteConfig{}, nil},
		"named":    {proxy.RewriteConfig{KEKs: []keys.KEKID{kek}}, []string{"first rewritable"}},
		"all":      {proxy.RewriteConfig{All: true}, []string{"first rewritable"}},
		"stranger": {proxy.RewriteConfig{KEKs: []keys.KEKID{{1}}}, nil},
	} {
		c.cfg.ListOnly = true
		if _, kinds := s.rewrite(t, b, c.cfg); !slices.Equal(kinds, c.want) {
			t.Errorf("%s: %v, want %v", name, kinds, c.want)
		}
	}
}

// TestARewriteNeverSealsUnderAKEKThatWasJustClosed at another replica, though this one goes on with it for some seconds.
func TestARewriteNeverSealsUnderAKEKThatWasJustClosed(t *testing.T) {
	st := diskStorage(t)
	s := newSite(t, st, siteConfig{})
	b := s.bucket(t, "just-closed")
	s.put(t, b, "k", []byte("x"))
	old := st.envelopeOf(t, b, "k", "").KEKID
	s.closed(t, b, siteConfig{}).put(t, b, "other", []byte("under the new one"))
	report, kinds := s.rewrite(t, b, proxy.RewriteConfig{})
	if report.Rewritten != 1 || len(kinds) > 0 {
		t.Errorf("%+v, %v", report, kinds)
	}
	if now := st.envelopeOf(t, b, "k", "").KEKID; now == old || now != st.envelopeOf(t, b, "other", "").KEKID {
		t.Errorf("rewritten from KEK %s under %s", old, now)
	}
}

// atFirstByte calls do once, when the first byte of an object has been read.
func atFirstByte(do func()) func(context.Context, int) error {
	var once sync.Once
	return func(context.Context, int) error {
		once.Do(do)
		return nil
	}
}

func TestAWriterInBetweenWins(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(t *testing.T, s *site, b string){
		"put":   func(t *testing.T, s *site, b string) { s.put(t, b, "k", []byte("the client's")) },
		"parts": func(t *testing.T, s *site, b string) { s.uploadTwo(t, b, "k", pattern(5<<20), []byte("x"), "") },
		"same":  func(t *testing.T, s *site, b string) { s.put(t, b, "k", pattern(100_000)) },
		"delete": func(t *testing.T, s *site, b string) {
			s.send(t, request{method: "DELETE", bucket: b, key: "k"}).want(t, 204, "")
		},
		"tags": func(t *testing.T, s *site, b string) {
			s.send(t, sub2("PUT", b, "k", "tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>")).want(t, 200, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachStorage(t, func(t *testing.T, st *storage) {
				old := newSite(t, st, siteConfig{})
				b := old.bucket(t, "between")
				old.put(t, b, "k", pattern(100_000))
				s := old.closed(t, b, siteConfig{})
				client := newSite(t, st, siteConfig{identity: s.identity, store: s.store}) // another replica
				var after map[string]any
				report, kinds := s.rewrite(t, b, proxy.RewriteConfig{Throttle: atFirstByte(func() {
					act(t, client, b)
					if name != "delete" {
						after = client.visible(t, b, "k")
					}
				})})
				if report.Dropped == 0 || len(kinds) > 0 {
					t.Errorf("%+v, %v", report, kinds)
				}
				if name == "delete" {
					s.send(t, request{method: "GET", bucket: b, key: "k"}).want(t, 404, "NoSuchKey")
					return
				}
				if diff := cmp.Diff(after, s.visible(t, b, "k")); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// TestReadersOfAnObjectThatIsRewrittenSeeIt and nothing else, whole and in ranges, however often that happens.
func TestReadersOfAnObjectThatIsRewrittenSeeIt(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "readers")
		body := pattern(300_000)
		s.put(t, b, "k", body)
		var done atomic.Bool
		var readers sync.WaitGroup
		client := newSite(t, st, siteConfig{identity: s.identity, store: s.store})
		for i := range 3 {
			readers.Go(func() {
				for n := 0; !done.Load() || n < 5; n++ {
					in := &s3.GetObjectInput{Bucket: &b, Key: str("k")}
					want := body
					if i > 0 {
						in.Range, want = str(fmt.Sprintf("bytes=%d-%d", i*70_000, i*70_000+99_999)), body[i*70_000:i*70_000+100_000]
					}
					out, err := client.client.GetObject(context.Background(), in)
					if err != nil {
						t.Errorf("read %d: %v", n, err)
						return
					}
					got, err := io.ReadAll(out.Body)
					out.Body.Close()
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("read %d: %d bytes, %v", n, len(got), err)
					}
				}
			})
		}
		for range 5 {
			kek := st.envelopeOf(t, b, "k", "").KEKID
			if report, kinds := s.rewrite(t, b, proxy.RewriteConfig{KEKs: []keys.KEKID{kek}}); report.Rewritten == 0 || len(kinds) > 0 {
				t.Errorf("%+v, %v", report, kinds)
			}
		}
		done.Store(true)
		readers.Wait()
	})
}

func TestWhatCannotBeRewrittenIsListed(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		old := newSite(t, st, siteConfig{keysOverHTTP: true})
		b := old.bucket(t, "listed")
		old.enableVersioning(t, b)
		mine := newCustomer()
		if _, err := old.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: str("customer"), Body: strings.NewReader("x"),
			SSECustomerAlgorithm: aes256, SSECustomerKey: mine.key, SSECustomerKeyMD5: mine.sum}); err != nil {
			t.Fatal(err)
		}
		old.put(t, b, "twice", []byte("first"))
		old.put(t, b, "twice", []byte("second"))
		old.put(t, b, "gone", []byte("x"))
		old.send(t, request{method: "DELETE", bucket: b, key: "gone"}).want(t, 204, "")
		old.put(t, b, "damaged", []byte("damaged"))
		raw, bytes := st.rawObject(t, b, "damaged")
		bytes[len(bytes)-100] ^= 1
		st.rawPut(t, b, "damaged", bytes, raw.Metadata)
		open, _ := old.upload(t, b, "open", []byte("part"))
		s := old.closed(t, b, siteConfig{keysOverHTTP: true})
		want := []string{"customer customer_key", "damaged noncurrent", "damaged unreadable", "gone noncurrent", "open open_upload", "twice noncurrent"}
		report, kinds := s.rewrite(t, b, proxy.RewriteConfig{})
		want = append(want, "twice replaced")
		slices.Sort(want)
		// The second pass lists the version that the first replaced.
		kinds = slices.DeleteFunc(kinds, func(k string) bool { return k == "damaged noncurrent" })
		want = slices.DeleteFunc(want, func(k string) bool { return k == "damaged noncurrent" })
		if !slices.Equal(kinds, want) || report.Rewritten != 1 || report.Refused != 3 {
			t.Errorf("%+v\n%q\nwant\n%q", report, kinds, want)
		}
		if got, err := s.getWith(t, b, "customer", mine); err != nil || string(got) != "x" {
			t.Errorf("object under a customer's key: %q, %v", got, err)
		}
		s.send(t, request{method: "DELETE", bucket: b, key: "open", query: "uploadId=" + open}).want(t, 204, "")
	})
}

func TestReplacedVersionsAreRemovedOnceTheNewOneIsRead(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		old := newSite(t, st, siteConfig{})
		b := old.bucket(t, "versions")
		old.put(t, b, "null", []byte("from before versioning"))
		old.enableVersioning(t, b)
		for _, key := range []string{"a", "b"} {
			old.put(t, b, key, []byte("older "+key))
			old.put(t, b, key, []byte("newer "+key))
		}
		s := old.closed(t, b, siteConfig{})
		report, kinds := s.rewrite(t, b, proxy.RewriteConfig{RemoveReplaced: true})
		if report.Rewritten != 3 || report.Removed != 3 || !slices.Equal(kinds, []string{"a noncurrent", "b noncurrent"}) {
			t.Fatalf("%+v, %v", report, kinds)
		}
		list, err := s.client.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &b})
		if err != nil || len(list.Versions) != 5 {
			t.Fatalf("%d versions, %v", len(list.Versions), err)
		}
		for key, body := range map[string]string{"null": "from before versioning", "a": "newer a", "b": "newer b"} {
			if got := s.get(t, b, key); string(got) != body {
				t.Errorf("%s: %q", key, got)
			}
		}
	})
}

// TestNothingIsLostWhereVersioningIsSuspended: a new null version would take the place of the one that lies below.
func TestNothingIsLostWhereVersioningIsSuspended(t *testing.T) {
	s := newSite(t, rgwStorage(t), siteConfig{})
	b := s.bucket(t, "suspended")
	s.put(t, b, "k", []byte("null version"))
	s.put(t, b, "only null", []byte("null version"))
	s.enableVersioning(t, b)
	s.put(t, b, "k", []byte("a version"))
	s.put(t, b, "no null", []byte("a version"))
	s.send(t, sub2("PUT", b, "", "versioning", "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>")).want(t, 200, "")
	n := s.closed(t, b, siteConfig{})
	report, kinds := n.rewrite(t, b, proxy.RewriteConfig{})
	if report.Rewritten != 2 || !slices.Equal(kinds, []string{"k noncurrent", "k suspended", "no null noncurrent", "no null replaced"}) {
		t.Errorf("%+v, %v", report, kinds)
	}
}
