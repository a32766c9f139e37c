package proxy_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"cofre/internal/longtest"
	"cofre/proxy"
	"cofre/s3api"
)

// listLie changes a page of a listing, as XML. It says whether what it shows may be taken for a shorter bucket: that names are hidden
// is not to be found out.
type listLie struct {
	name   string
	hides  bool
	change func(page string) string
}

var (
	entryIn    = regexp.MustCompile(`(?s)<(Contents|Version)>.*?</(Contents|Version)>`)
	etagIn     = regexp.MustCompile(`<ETag>[^<]*</ETag>`)
	sizeIn     = regexp.MustCompile(`<Size>[^<]*</Size>`)
	versionIDs = regexp.MustCompile(`<VersionId>[^<]*</VersionId>`)
)

// exchanged exchanges the first two finds of a pattern.
func exchanged(text string, what *regexp.Regexp) string {
	at := what.FindAllStringIndex(text, 2)
	if len(at) < 2 {
		return text
	}
	one, two := text[at[0][0]:at[0][1]], text[at[1][0]:at[1][1]]
	return text[:at[0][0]] + two + text[at[0][1]:at[1][0]] + one + text[at[1][1]:]
}

func replacedAll(what *regexp.Regexp, with string) func(string) string {
	return func(page string) string { return what.ReplaceAllString(page, with) }
}

var listLies = []listLie{
	{"other sizes", false, replacedAll(sizeIn, "<Size>5</Size>")}, {"sizes below zero", false, replacedAll(sizeIn, "<Size>-9</Size>")},
	{"sizes that overflow", false, replacedAll(sizeIn, "<Size>99999999999999999999</Size>")}, {"no sizes", false, replacedAll(sizeIn, "")},
	{"other ETags", false, replacedAll(etagIn, "<ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag>")}, {"no ETags", false, replacedAll(etagIn, "")},
	{"ETags exchanged", false, func(p string) string { return exchanged(p, etagIn) }},
	{"sizes exchanged", false, func(p string) string { return exchanged(p, sizeIn) }},
	{"version ids exchanged", false, func(p string) string { return exchanged(p, versionIDs) }},
	{"out of order", false, func(p string) string { return exchanged(p, entryIn) }},
	{"a name hidden", true, func(p string) string {
		at := entryIn.FindStringIndex(p)
		if at == nil {
			return p
		}
		return p[:at[0]] + p[at[1]:]
	}},
	{"a name invented", false, func(p string) string {
		entry := entryIn.FindString(p)
		return strings.Replace(p, entry, strings.Replace(entry, "<Key>", "<Key>+", 1)+entry, 1)
	}},
	{"a name without its prefix", false, func(p string) string { return strings.Replace(p, "<Key>k", "<Key>zz", 1) }},
	{"an empty name", false, func(p string) string { return regexp.MustCompile(`<Key>[^<]*`).ReplaceAllString(p, "<Key>") }},
	{"more to come, from where it began", false, func(p string) string {
		p = strings.Replace(p, "<IsTruncated>false", "<IsTruncated>true", 1)
		return strings.Replace(p, "</IsTruncated>", "</IsTruncated><NextMarker>a</NextMarker><NextKeyMarker>a</NextKeyMarker>", 1)
	}},
	{"no listing at all", false, func(string) string { return "<html>not here</html>" }},
	{"half a listing", false, func(p string) string { return p[:len(p)/2] }},
}

// TestNoLieOfAListingIsBelieved has the storage lie in its listings: what an entry shows of an object that this site knows is true,
// or marked as not known; names are in order; and a page leads on.
func TestNoLieOfAListingIsBelieved(t *testing.T) {
	t.Parallel()
	st, l := lying(t, diskStorage(t))
	s := newSite(t, st, siteConfig{client: onceOnly})
	b := s.bucket(t, "lists")
	s.version(t, b)
	truth := map[string]bool{}
	for i := range 6 {
		for v := range 2 {
			body := pattern(1000*i + 70_000*v + 1)
			out := s.put(t, b, fmt.Sprint("k", i), body)
			truth[fmt.Sprintf("k%d %s %d %s", i, *out.ETag, len(body), *out.VersionId)] = true
			truth[fmt.Sprintf("k%d %s %d ", i, *out.ETag, len(body))] = true
		}
	}
	blank := newSite(t, st, siteConfig{identity: s.identity, client: onceOnly})
	tried := 0
	for _, x := range listLies {
		for who, reader := range map[string]*site{"known": s, "fresh": blank} {
			for _, query := range []string{"prefix=k&marker=b", "list-type=2&prefix=k&start-after=b", "versions=&prefix=k&key-marker=b"} {
				l.tells(&lie{about: listsOf(b), tell: func(r *wire) *answer {
					a := r.ask()
					a.body = []byte(x.change(string(a.body)))
					a.header.Del("Content-Length")
					return a
				}})
				tried++
				got := s.listedBy(t, reader, b, query)
				if got.status != http.StatusOK {
					if got.status < 400 {
						t.Errorf("%s, %s, %s: %d", x.name, who, query, got.status)
					}
					continue
				}
				wantTrueListing(t, fmt.Sprintf("%s, %s, %s", x.name, who, query), got.body, truth)
			}
		}
	}
	l.tells(nil)
	longtest.Figure(t, "lying listings", tried)
}

func (s *site) listedBy(t *testing.T, reader *site, bucket, query string) reply {
	t.Helper()
	return reader.try(t, request{method: "GET", bucket: bucket, query: query})
}

// wantTrueListing fails unless the names are in order and each entry is true, or says that it is not known.
func wantTrueListing(t *testing.T, what string, body []byte, truth map[string]bool) {
	t.Helper()
	var page struct {
		Contents, Version []struct {
			Key, ETag, VersionId string // as S3 spells it
			Size                 int64
		}
	}
	if err := xml.Unmarshal(body, &page); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	last := ""
	for _, e := range append(page.Contents, page.Version...) {
		if e.Key < last || !strings.HasPrefix(e.Key, "k") {
			t.Errorf("%s: %q stands behind %q", what, e.Key, last)
		}
		last = e.Key
		marked := strings.HasSuffix(e.ETag, `-0"`)
		if !marked && !truth[fmt.Sprintf("%s %s %d %s", e.Key, e.ETag, e.Size, e.VersionId)] {
			t.Errorf("%s: shows %q with ETag %s, %d bytes, version %s", what, e.Key, e.ETag, e.Size, e.VersionId)
		}
	}
}

// TestAWalkOverPagesThatLeadBackEnds: a storage whose markers go round keeps no walk of cofre's own going, and tells no client to come again.
func TestAWalkOverPagesThatLeadBackEnds(t *testing.T) {
	t.Parallel()
	st, l := lying(t, diskStorage(t))
	s := newSite(t, st, siteConfig{client: onceOnly})
	b := s.bucket(t, "round")
	s.version(t, b)
	s.put(t, b, "k", []byte("x"))
	for name, next := range map[string]func(n int) (key, version string){
		"the same": func(int) (string, string) { return "k", "v" }, "two in turn": func(n int) (string, string) { return "k", fmt.Sprint("v", n%2) },
		"keys in turn": func(n int) (string, string) { return []string{"k", "l"}[n%2], "" }, "none": func(int) (string, string) { return "", "" },
	} {
		l.tells(&lie{about: func(r *wire) bool {
			return r.Method == "GET" && r.key == "" && (listsOf(r.bucket)(r) || r.URL.Query().Has("uploads"))
		}, tell: func(r *wire) *answer {
			a := r.ask()
			key, version := next(r.n)
			page := strings.Replace(string(a.body), "<IsTruncated>false</IsTruncated>", "<IsTruncated>true</IsTruncated>", 1)
			page = regexp.MustCompile(`<Next[A-Za-z]*>[^<]*</Next[A-Za-z]*>`).ReplaceAllString(page, "")
			page = strings.Replace(page, "</IsTruncated>", "</IsTruncated><NextMarker>"+key+"</NextMarker><NextKeyMarker>"+key+"</NextKeyMarker><NextVersionIdMarker>"+version+"</NextVersionIdMarker><NextUploadIdMarker>"+version+"</NextUploadIdMarker>", 1)
			return &answer{status: a.status, header: http.Header{"Content-Type": {"application/xml"}}, body: []byte(page)}
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		walks := map[string]func() error{
			"heal": func() error { _, err := s.handler.HealBucket(ctx, b, proxy.HealConfig{}); return err },
			"versions": func() error {
				return s.handler.EachVersion(ctx, b, "", func([]s3api.ListEntry) error { return nil })
			},
			"system bucket": func() error { _, err := proxy.NewSystem(s.backend, s.system).List(ctx, "buckets/"); return err },
			"verify": func() error {
				_, err := s.handler.Verify(ctx, b, proxy.VerifyConfig{KEKs: s.ring.CheckKEKs, Found: func(proxy.Finding) {}, Settle: time.Millisecond})
				return err
			},
		}
		for what, walk := range walks {
			if err := walk(); ctx.Err() != nil {
				t.Errorf("%s, next is %s: went on for a minute, %v", what, name, err)
			}
			if n := l.told(); n > 2000 {
				t.Errorf("%s, next is %s: asked %d times", what, name, n)
			}
		}
		cancel()
		for _, query := range []string{"prefix=k&marker=k", "list-type=2&start-after=k", "versions=&key-marker=k"} {
			got := s.try(t, request{method: "GET", bucket: b, query: query})
			var page struct {
				IsTruncated                       bool
				NextMarker, NextContinuationToken string
				NextKeyMarker                     string
			}
			if got.status == http.StatusOK && xml.Unmarshal(got.body, &page) == nil && page.IsTruncated && (page.NextMarker == "k" || page.NextKeyMarker < "k" && page.NextContinuationToken == "") {
				t.Errorf("%s, next is %s: a client is led back by %s", query, name, got.body)
			}
		}
	}
	l.tells(nil)
}
