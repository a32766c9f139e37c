package proxy_test

import (
	"cmp"
	"crypto/md5"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// item is one line of a listing: an object, a version, a delete marker, or (a Name alone) a common prefix.
type item struct {
	Name    string
	Version string
	Deleted bool
	Size    int64
	ETag    string
}

func (i item) isPrefix() bool { return i.ETag == "" && !i.Deleted }

// query is one walk through a listing, page by page.
type query struct {
	Form              string // "v1", "v2" or "versions"
	Prefix, Delimiter string
	MaxKeys           int
	Marker            string // behind which the first page begins: Marker, StartAfter or KeyMarker
	VersionMarker     string
	URLEncode         bool
}

// page is what one request of a walk shows.
type page struct {
	Items     []item
	Truncated bool
}

// listModel is a bucket as S3's documents describe its listings: versions in order of key, then newest first.
type listModel struct {
	versions []item
	// leaps says that a marker inside a common prefix hides all of it. Ceph RGW does so; else what is behind the marker shows
	// it again.
	leaps bool
}

// walk gives the pages that a client sees who follows the markers.
func (m *listModel) walk(q query) []page {
	items := m.behind(q)
	var pages []page
	for {
		n := min(q.MaxKeys, len(items))
		p := page{Items: append([]item{}, items[:n]...), Truncated: n < len(items) && q.MaxKeys > 0}
		// S3 shows the common prefixes of a page behind its keys.
		slices.SortStableFunc(p.Items, func(a, b item) int { return cmp.Compare(btoi(a.isPrefix()), btoi(b.isPrefix())) })
		pages = append(pages, p)
		if items = items[n:]; !p.Truncated {
			return pages
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// behind gives all that comes after the first marker, rolled up.
func (m *listModel) behind(q query) []item {
	var out []item
	passed := false // whether the version marker was passed
	seen := map[string]bool{}
	group := func(key string) (string, bool) {
		i := strings.Index(key[len(q.Prefix):], q.Delimiter)
		if q.Delimiter == "" || i < 0 {
			return "", false
		}
		return key[:len(q.Prefix)+i+len(q.Delimiter)], true
	}
	if strings.HasPrefix(q.Marker, q.Prefix) {
		if g, ok := group(q.Marker); ok && (m.leaps || g == q.Marker) {
			seen[g] = true
		}
	}
	for i, v := range m.versions {
		latest := i == 0 || m.versions[i-1].Name != v.Name
		switch {
		case q.Form != "versions" && (v.Deleted || !latest):
			continue
		case !strings.HasPrefix(v.Name, q.Prefix), v.Name < q.Marker:
			continue
		case v.Name == q.Marker && q.VersionMarker != "" && passed:
		case v.Name == q.Marker && q.Marker != "":
			passed = passed || v.Version == q.VersionMarker
			continue
		}
		if g, ok := group(v.Name); ok {
			if !seen[g] {
				out = append(out, item{Name: g})
			}
			seen[g] = true
			continue
		}
		if q.Form != "versions" {
			v.Version = ""
		}
		out = append(out, v)
	}
	return out
}

// write is one change of a bucket with versions.
type write struct {
	Key    string
	Delete bool
}

// listCase is a bucket and what is asked of it.
type listCase struct {
	Versioned bool
	// Before are keys written before versioning was enabled.
	Before  []string
	Writes  []write
	Queries []query
	// pick chooses a version marker among those of a key.
	pick int
}

// genListCase draws keys that share beginnings, delimiters of one and several characters, and markers that are keys,
// common prefixes, or neither.
func genListCase() *rapid.Generator[listCase] {
	letter := rapid.RuneFrom([]rune("aab//-é%+ &<\u4e2d"))
	key := rapid.StringOfN(letter, 1, 6, -1)
	delimiters := []string{"", "/", "/", "a", "//", "a/", "ab", "\u4e2d", "é/"}
	return rapid.Custom(func(t *rapid.T) listCase {
		c := listCase{Versioned: rapid.Bool().Draw(t, "versioned"), pick: rapid.IntRange(0, 3).Draw(t, "pick")}
		c.Before = rapid.SliceOfNDistinct(key, 0, 12, rapid.ID[string]).Draw(t, "keys")
		names := append([]string{""}, c.Before...)
		forms := []string{"v1", "v2"}
		if c.Versioned {
			forms = append(forms, "versions", "versions")
			for range rapid.IntRange(0, 16).Draw(t, "writes") {
				w := write{Delete: rapid.IntRange(0, 3).Draw(t, "delete") == 0}
				if w.Key = rapid.SampledFrom(names).Draw(t, "write"); w.Key == "" {
					w.Key = key.Draw(t, "new key")
				}
				c.Writes, names = append(c.Writes, w), append(names, w.Key)
			}
		}
		for range rapid.IntRange(1, 6).Draw(t, "queries") {
			q := query{
				Form: rapid.SampledFrom(forms).Draw(t, "form"), Delimiter: rapid.SampledFrom(delimiters).Draw(t, "delimiter"),
				MaxKeys: rapid.SampledFrom([]int{0, 1, 1, 2, 3, 5, 1000}).Draw(t, "max"), URLEncode: rapid.Bool().Draw(t, "url"),
				Prefix: beginning(t, names, "prefix"), Marker: rapid.SampledFrom([]string{"", beginning(t, names, "marker"), rapid.SampledFrom(names).Draw(t, "marker key"), key.Draw(t, "odd marker")}).Draw(t, "which marker"),
			}
			c.Queries = append(c.Queries, q)
		}
		return c
	})
}

// beginning draws the first runes of a name.
func beginning(t *rapid.T, names []string, label string) string {
	name := []rune(rapid.SampledFrom(names).Draw(t, label))
	return string(name[:rapid.IntRange(0, len(name)).Draw(t, label+" length")])
}

// buildCase makes the bucket of a case and its model.
func (s *site) buildCase(t *testing.T, bucket string, c listCase) (*listModel, error) {
	if _, err := s.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		return nil, err
	}
	byKey := map[string][]item{}
	put := func(key string, n int) error {
		body := fmt.Sprint(key, n)
		got := s.putRaw(t, bucket, key, []byte(body), nil)
		if got.status != 200 {
			return fmt.Errorf("put %q: %d %s", key, got.status, got.body)
		}
		i := item{Name: key, Version: cmp.Or(got.header.Get("X-Amz-Version-Id"), "null"), Size: int64(len(body)), ETag: fmt.Sprintf("%x", md5.Sum([]byte(body)))}
		byKey[key] = append([]item{i}, byKey[key]...)
		return nil
	}
	for n, key := range c.Before {
		if err := put(key, n); err != nil {
			return nil, err
		}
	}
	if c.Versioned {
		s.enableVersioning(t, bucket)
	}
	for n, w := range c.Writes {
		if !w.Delete {
			if err := put(w.Key, 100+n); err != nil {
				return nil, err
			}
			continue
		}
		got := s.send(t, request{method: "DELETE", bucket: bucket, key: w.Key})
		if latest := byKey[w.Key]; s.bucketTag != "" && got.status == 204 && len(latest) > 0 && latest[0].Deleted {
			continue // RGW 16 puts no delete marker upon another
		}
		if got.status != 204 || got.header.Get("X-Amz-Delete-Marker") != "true" {
			return nil, fmt.Errorf("delete %q: %d %v", w.Key, got.status, got.header)
		}
		byKey[w.Key] = append([]item{{Name: w.Key, Version: got.header.Get("X-Amz-Version-Id"), Deleted: true}}, byKey[w.Key]...)
	}
	m := &listModel{leaps: s.bucketTag != ""}
	for _, versions := range byKey {
		m.versions = append(m.versions, versions...)
	}
	slices.SortStableFunc(m.versions, func(a, b item) int { return strings.Compare(a.Name, b.Name) })
	return m, nil
}

// deleteBucket deletes the bucket with all that the model says is in it: a store allows one user so many buckets.
func (s *site) deleteBucket(t *testing.T, bucket string, m *listModel) error {
	for _, v := range m.versions {
		if got := s.send(t, request{method: "DELETE", bucket: bucket, key: v.Name, query: "versionId=" + escaped(v.Version)}); got.status != 204 {
			return fmt.Errorf("delete %q, version %s: %d %s", v.Name, v.Version, got.status, got.code)
		}
	}
	if got := s.send(t, request{method: "DELETE", bucket: bucket}); got.status != 204 {
		return fmt.Errorf("delete bucket: %d %s", got.status, got.body)
	}
	return nil
}

// TestListingsEqualTheModel walks random listings of random buckets page by page, and wants every page as the model has it.
func TestListingsEqualTheModel(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		n := 0
		check := func(c listCase) error {
			n++
			bucket := fmt.Sprintf("model-%d%s", n, st.bucketTag)
			m, err := s.buildCase(t, bucket, c)
			if err != nil {
				return err
			}
			for _, q := range c.Queries {
				if err := s.checkWalk(t, bucket, m, q, c.pick); err != nil {
					return err
				}
			}
			return s.deleteBucket(t, bucket, m)
		}
		if st.bucketTag != "" {
			for seed := range 12 {
				c := genListCase().Example(seed)
				if err := check(c); err != nil {
					t.Errorf("seed %d: %v\n%+v", seed, err, c)
				}
			}
			return
		}
		rapid.Check(t, func(rt *rapid.T) {
			if err := check(genListCase().Draw(rt, "case")); err != nil {
				rt.Fatal(err)
			}
		})
	})
}

func (s *site) checkWalk(t *testing.T, bucket string, m *listModel, q query, pick int) error {
	// No page ends with a version that the delimiter hides, so what such a marker means is nobody's to say.
	if q.Form == "versions" && q.Marker != "" && (q.Delimiter == "" || !strings.Contains(q.Marker, q.Delimiter)) {
		var ids []string
		for _, v := range m.versions {
			if v.Name == q.Marker {
				ids = append(ids, v.Version)
			}
		}
		if len(ids) > 0 && pick > 0 {
			q.VersionMarker = ids[pick%len(ids)]
		}
	}
	got, err := s.walk(t, bucket, q)
	if err != nil {
		return fmt.Errorf("%+v: %w", q, err)
	}
	if want := m.walk(q); !gocmp.Equal(got, want) {
		return fmt.Errorf("%+v: got -, want +\n%s", q, gocmp.Diff(got, want))
	}
	return nil
}
