package proxy_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cofre/metadata"
	"cofre/proxy"
	"cofre/sigv4/sigv4test"
)

// fill puts n objects into a bucket, a hundred to a directory; the size of each follows from its number.
func (s *site) fill(t *testing.T, bucket string, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := worker; i < n; i += 8 {
				rq := request{method: "PUT", bucket: bucket, key: filledKey(i), payload: sigv4test.Payload{Mode: sigv4test.Unsigned, Data: pattern(i % 50)}}
				resp, err := clientTransport.RoundTrip(s.build(t, rq))
				if err != nil {
					t.Error(err)
					return
				}
				if got := read(resp); got.status != 200 {
					t.Errorf("put %d: %d %s", i, got.status, got.body)
					return
				}
			}
		}()
	}
	wg.Wait()
}

func filledKey(i int) string { return fmt.Sprintf("%03d/%02d", i/100, i%100) }

// TestManyKeysAreWalkedPageByPage in all three listings, by the process that wrote them and by one that has no rows: every
// page full, every object once, with its size.
func TestManyKeysAreWalkedPageByPage(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		n := 2_100
		s := newSite(t, st, siteConfig{})
		fresh := newSite(t, st, siteConfig{identity: s.identity})
		if st.bucketTag != "" {
			// Of the two listings RGW's is the one that nobody here wrote. To heal them all again would take longer than the rest.
			n, fresh = 10_000, s
		}
		b := s.bucket(t, "many")
		s.fill(t, b, n)
		for _, c := range []struct {
			who  *site
			form string
			max  int
		}{{s, "v1", 1000}, {s, "v2", 1001}, {s, "versions", 1000}, {s, "v2", 999}, {fresh, "v2", 1000}} {
			pages, err := c.who.walk(t, b, query{Form: c.form, MaxKeys: c.max})
			if err != nil {
				t.Fatal(err)
			}
			size, i := min(c.max, 1000), 0
			for at, p := range pages {
				if want := min(size, n-i); len(p.Items) != want || p.Truncated != (at < len(pages)-1) {
					t.Fatalf("%s, page %d: %d entries, truncated %v, want %d", c.form, at, len(p.Items), p.Truncated, want)
				}
				for _, e := range p.Items {
					if e.Name != filledKey(i) || e.Size != int64(i%50) || len(e.ETag) != 32 {
						t.Fatalf("%s: entry %d is %+v", c.form, i, e)
					}
					i++
				}
			}
			if i != n {
				t.Errorf("%s: %d entries, want %d", c.form, i, n)
			}
		}
		for _, form := range []string{"v1", "v2", "versions"} {
			pages, err := s.walk(t, b, query{Form: form, Delimiter: "/", MaxKeys: 7})
			if err != nil {
				t.Fatal(err)
			}
			i := 0
			for _, p := range pages {
				for _, e := range p.Items {
					if e.Name != fmt.Sprintf("%03d/", i) || !e.isPrefix() {
						t.Fatalf("%s with delimiter: entry %d is %+v", form, i, e)
					}
					i++
				}
			}
			if i != n/100 {
				t.Errorf("%s with delimiter: %d prefixes, want %d", form, i, n/100)
			}
		}
	})
}

// TestPageSizesAreReadAsS3ReadsThem for every listing that has one.
func TestPageSizesAreReadAsS3ReadsThem(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "pages")
	for _, key := range []string{"a", "b", "c"} {
		s.put(t, b, key, nil)
	}
	id, _ := s.upload(t, b, "u", []byte("part"))
	for form, rq := range map[string]struct{ key, query, name, shown string }{
		"ListObjects":          {"", "", "max-keys", "MaxKeys"},
		"ListObjectsV2":        {"", "list-type=2", "max-keys", "MaxKeys"},
		"ListObjectVersions":   {"", "versions=", "max-keys", "MaxKeys"},
		"ListMultipartUploads": {"", "uploads=", "max-uploads", "MaxUploads"},
		"ListParts":            {"u", "uploadId=" + id, "max-parts", "MaxParts"},
	} {
		send := func(value string) reply {
			return s.send(t, request{method: "GET", bucket: b, key: rq.key, query: strings.TrimPrefix(rq.query+"&"+rq.name+"="+value, "&")})
		}
		for value, shown := range map[string]string{"0": "0", "1": "1", "1000": "1000", "1001": "1000", "2147483647": "1000", "": "1000"} {
			got := send(value).want(t, 200, "")
			if textOf(got.body, rq.shown) != shown {
				t.Errorf("%s of %q shows %s", form, value, textOf(got.body, rq.shown))
			}
			entries := bytes.Count(got.body, []byte("<Key>")) + bytes.Count(got.body, []byte("<Part>"))
			if rq.key != "" {
				entries-- // ListParts names its own key
			}
			if value == "0" && (entries != 0 || textOf(got.body, "IsTruncated") != "false") || value == "1" && entries != 1 {
				t.Errorf("%s of %q: %d entries: %s", form, value, entries, got.body)
			}
		}
		for _, value := range []string{"-1", "blah", "1.5", "%0A", "2147483648", "0x10"} {
			send(value).want(t, 400, "InvalidArgument")
		}
	}
}

// TestAPageOfVersionsBeginsBehindAllOfTheKeyMarker also on RGW, where a key marker alone shows the versions of its key.
func TestAPageOfVersionsBeginsBehindAllOfTheKeyMarker(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "behind")
		s.put(t, b, "k", nil) // the null version
		s.enableVersioning(t, b)
		for range 4 {
			s.put(t, b, "k", nil)
		}
		s.send(t, request{method: "DELETE", bucket: b, key: "k"}).want(t, 204, "")
		for _, max := range []int{1, 2, 5, 6, 1000} {
			q := query{Form: "versions", MaxKeys: max, Marker: "k"}
			if pages, err := s.walk(t, b, q); err != nil || len(pages) != 1 || len(pages[0].Items) != 0 {
				t.Errorf("max-keys %d, behind the last key: %+v, %v", max, pages, err)
			}
		}
		s.put(t, b, "l", nil)
		s.put(t, b, "m", nil)
		for _, max := range []int{1, 2, 5, 6, 1000} {
			pages, err := s.walk(t, b, query{Form: "versions", MaxKeys: max, Marker: "k"})
			if err != nil || pages[0].Items[0].Name != "l" || len(pages) != (max+1)/max {
				t.Errorf("max-keys %d: %+v, %v", max, pages, err)
			}
		}
	})
}

// TestTamperedContinuationTokensAreRefused with AWS's code.
func TestTamperedContinuationTokensAreRefused(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "tokens")
	for _, key := range []string{"a", "b", "c"} {
		s.put(t, b, key, nil)
	}
	first := s.send(t, request{method: "GET", bucket: b, query: "list-type=2&max-keys=1"}).want(t, 200, "")
	token := textOf(first.body, "NextContinuationToken")
	list := func(token string) reply {
		return s.send(t, request{method: "GET", bucket: b, query: "list-type=2&max-keys=1&continuation-token=" + escaped(token)})
	}
	if got := list(token).want(t, 200, ""); textOf(got.body, "Key") != "b" || textOf(got.body, "ContinuationToken") != token {
		t.Errorf("the second page: %s", got.body)
	}
	for _, bad := range []string{token[1:], token[:len(token)-1], token + "A", strings.ToUpper(token), "b", "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM="} {
		if got := list(bad); got.status != 400 || got.code != "InvalidArgument" || textOf(got.body, "Message") != "The continuation token provided is incorrect" {
			t.Errorf("token %q: %d %s", bad, got.status, got.body)
		}
	}
	// A replica understands the token too.
	other := newSite(t, s.storage, siteConfig{identity: s.identity})
	if got := other.send(t, request{method: "GET", bucket: b, query: "list-type=2&continuation-token=" + escaped(token)}).want(t, 200, ""); textOf(got.body, "Key") != "b" {
		t.Errorf("another process: %s", got.body)
	}
}

// TestMoreThanAThousandUploadsAreWalked by markers and rolled up by a delimiter.
func TestMoreThanAThousandUploadsAreWalked(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "uploads")
	const keys, each = 700, 3
	for i := range keys * each {
		// The rows are the uploads: what the backend has is asked for only when a part comes.
		up := metadata.Upload{ID: fmt.Sprintf("id-%d-%04d", i%each, i), Bucket: b, Key: filledKey(i / each), Initiator: accessKey}
		if err := s.store.CreateUpload(t.Context(), up); err != nil {
			t.Fatal(err)
		}
	}
	for _, max := range []int{999, 1000, 1001} {
		if got := s.walkUploads(t, b, fmt.Sprint("max-uploads=", max)); len(got) != keys*each || got[0] != "000/00 id-0-0000" || got[keys*each-1] != "006/99 id-2-2099" {
			t.Errorf("pages of %d: %d uploads, from %s", max, len(got), got[0])
		}
	}
	for _, c := range []struct {
		query string
		want  string
	}{
		{"delimiter=/&max-uploads=2", "[000/ 001/ 002/ 003/ 004/ 005/ 006/]"},
		{"delimiter=/&key-marker=004/", "[005/ 006/]"},
		{"prefix=006/9&delimiter=9&max-uploads=1", "[006/90 id-0-2070 006/90 id-1-2071 006/90 id-2-2072]"},
		{"prefix=003/11&key-marker=003/11&upload-id-marker=id-1-0934", "[003/11 id-2-0935]"},
		{"prefix=003/11&key-marker=003/11", "[]"},
		{"prefix=003/11&upload-id-marker=id-2-0935", "[003/11 id-0-0933 003/11 id-1-0934 003/11 id-2-0935]"},
		{"prefix=nothing", "[]"},
	} {
		got := s.walkUploads(t, b, c.query)
		if c.query == "prefix=006/9&delimiter=9&max-uploads=1" {
			// 006/9 is the prefix itself, so it is the second nine that rolls up: 006/99.
			if len(got) != 28 || got[27] != "006/99" {
				t.Errorf("%s: %v", c.query, got)
			}
			got = got[:3]
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", c.query, got, c.want)
		}
	}
}

// walkUploads lists uploads by the markers of the pages, uploads before prefixes on each.
func (s *site) walkUploads(t *testing.T, bucket, query string) []string {
	t.Helper()
	out := []string{}
	markers := ""
	for {
		got := s.send(t, request{method: "GET", bucket: bucket, query: "uploads=&" + query + markers}).want(t, 200, "")
		var page struct {
			IsTruncated    bool
			NextKeyMarker  string
			NextID         string `xml:"NextUploadIdMarker"`
			Upload         []struct{ Key, UploadId string }
			CommonPrefixes []struct{ Prefix string }
		}
		if err := xml.Unmarshal(got.body, &page); err != nil {
			t.Fatal(err)
		}
		for _, u := range page.Upload {
			out = append(out, u.Key+" "+u.UploadId)
		}
		for _, p := range page.CommonPrefixes {
			out = append(out, p.Prefix)
		}
		if !page.IsTruncated {
			return out
		}
		query = strings.Split(query, "&key-marker")[0]
		markers = "&key-marker=" + escaped(page.NextKeyMarker) + "&upload-id-marker=" + escaped(page.NextID)
	}
}

// TestPartsAreWalkedByTheirMarkers with numbers that leave gaps, and each number once, however often it was sent.
func TestPartsAreWalkedByTheirMarkers(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "parts")
	up, err := s.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &b, Key: str("k")})
	if err != nil {
		t.Fatal(err)
	}
	numbers := []int{1, 2, 3, 7, 100, 9999, 10000}
	for _, n := range append([]int{7, 2}, numbers...) {
		s.send(t, request{method: "PUT", bucket: b, key: "k", query: fmt.Sprintf("partNumber=%d&uploadId=%s", n, *up.UploadId), payload: sigv4test.Payload{Data: pattern(n)}}).want(t, 200, "")
	}
	for _, max := range []int{1, 2, 3, 7, 1000} {
		var got []int
		marker := "0"
		for {
			answer := s.send(t, request{method: "GET", bucket: b, key: "k", query: fmt.Sprintf("uploadId=%s&max-parts=%d&part-number-marker=%s", *up.UploadId, max, marker)}).want(t, 200, "")
			var page struct {
				IsTruncated          bool
				PartNumberMarker     string
				NextPartNumberMarker string
				Part                 []struct {
					PartNumber, Size int
					ETag             string
					LastModified     time.Time
				}
			}
			if err := xml.Unmarshal(answer.body, &page); err != nil || page.PartNumberMarker != marker || len(page.Part) > max {
				t.Fatalf("%v: %s", err, answer.body)
			}
			for _, p := range page.Part {
				got = append(got, p.PartNumber)
				if p.Size != p.PartNumber || len(p.ETag) != 34 || p.LastModified.IsZero() {
					t.Errorf("part %+v", p)
				}
			}
			if marker = page.NextPartNumberMarker; !page.IsTruncated {
				break
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(numbers) {
			t.Errorf("pages of %d: %v", max, got)
		}
	}
	answer := s.send(t, request{method: "GET", bucket: b, key: "k", query: "uploadId=" + *up.UploadId + "&part-number-marker=10000"}).want(t, 200, "")
	if bytes.Contains(answer.body, []byte("<Part>")) || textOf(answer.body, "IsTruncated") != "false" {
		t.Errorf("behind the last part: %s", answer.body)
	}
	s.send(t, request{method: "GET", bucket: b, key: "k", query: "uploadId=none"}).want(t, 404, "NoSuchUpload")
}

// TestWhatCannotBeHealedStaysListed beside what can: an object of another site, one that is not sealed, one whose row is gone.
func TestWhatCannotBeHealedStaysListed(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{policy: func(string) proxy.BucketPolicy { return proxy.BucketPolicy{PassUnsealed: true} }})
		b := s.bucket(t, "mixed")
		s.put(t, b, "own", pattern(100_000))
		st.rawPut(t, b, "plain", []byte("in clear"), nil)
		newSite(t, st, siteConfig{}).put(t, b, "stranger", pattern(70_000))
		fresh := newSite(t, st, siteConfig{identity: s.identity, policy: func(string) proxy.BucketPolicy { return proxy.BucketPolicy{PassUnsealed: true} }})
		for range 2 { // the second time from what is remembered
			for _, form := range []string{"v1", "v2", "versions"} {
				pages, err := fresh.walk(t, b, query{Form: form, MaxKeys: 2})
				if err != nil || len(pages) != 2 {
					t.Fatalf("%s: %+v, %v", form, pages, err)
				}
				all := append(pages[0].Items, pages[1].Items...)
				for i, want := range []struct {
					name string
					size int64
				}{{"own", 100_000}, {"plain", 8}, {"stranger", 70_000}} {
					if all[i].Name != want.name || all[i].Size != want.size {
						t.Errorf("%s: %+v, want %+v", form, all[i], want)
					}
				}
				// Nobody may take the stand-in for an MD5.
				if len(all[0].ETag) != 32 || len(all[1].ETag) != 32 || !strings.HasSuffix(all[2].ETag, "-0") {
					t.Errorf("%s: ETags %s, %s, %s", form, all[0].ETag, all[1].ETag, all[2].ETag)
				}
			}
		}
		s.wantEverywhere(t, b, "plain", []byte("in clear"))
		fresh.wantEverywhere(t, b, "own", pattern(100_000))
	})
}
