package proxy_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"cofre/checksum"
	"cofre/s3api"
	"cofre/sigv4/sigv4test"
)

// hardKeys are keys that something on the way would like to clean, join, decode again or normalise.
var hardKeys = []string{
	"a//b", "a/b", "a/./b", "a/../b", "..", ".", "./a", "../a", "/lead", "//lead", "trail/", "trail", "//",
	"a+b", "a b", "a%2Bb", "a%2Fb", "a%252Fb", "%", "a?b", "a#b", "a&b=c;d", "a\\b", "a\"b'c<d>", "a:b", "a*b|c", "~-_.!$",
	"\u00e9", "e\u0301", "\u4e2d\u6587/\U0001f511", "\u200b", "a\x01b", "a\nb", "a\tb", "a\rb", " lead and trail ", "\x7f",
	strings.Repeat("k", 1024), strings.Repeat("\u00e9", 512), "x-amz-meta-cofre-envelope", "bucket/versions", "+", "&amp;",
}

// TestKeysAreBytes takes every hard key through all that a client does with an object: each stays the key that it is, and
// its neighbours stay theirs.
func TestKeysAreBytes(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		const domain = "s3.example.com"
		s := newSite(t, st, siteConfig{domains: []string{domain}})
		b := s.bucket(t, "hardkeys")
		host := b + "." + domain
		var kept []string
		for _, key := range hardKeys {
			put := s.putRaw(t, b, key, []byte("body of "+key), nil)
			if put.status != 200 {
				t.Errorf("put %q: %d %s", key, put.status, put.code)
				continue
			}
			kept = append(kept, key)
		}
		for i, key := range kept {
			for _, vhost := range []string{"", host} {
				got := s.send(t, request{method: "GET", bucket: b, host: vhost, key: key})
				if got.status != 200 || string(got.body) != "body of "+key {
					t.Errorf("get %q (host %q): %d %q", key, vhost, got.status, got.body)
				}
			}
			if list := s.names(t, b, "prefix="+escaped(key)); !slices.Contains(list, key) {
				t.Errorf("listing by prefix %q: %q", key, list)
			}
			// A copy from it, and onto another hard key.
			to := fmt.Sprintf("copy%d/%s", i, key)
			if len(to) > 1024 {
				to = fmt.Sprint("copy", i)
			}
			got := s.send(t, request{method: "PUT", bucket: b, key: to, header: map[string]string{"X-Amz-Copy-Source": "/" + b + "/" + strings.ReplaceAll(url.QueryEscape(key), "+", "%20")}})
			if got.status != 200 || bytes.Contains(got.body, []byte("<Error>")) {
				t.Errorf("copy of %q: %d %.300s", key, got.status, got.body)
				continue
			}
			if got := s.send(t, request{method: "GET", bucket: b, key: to}); string(got.body) != "body of "+key {
				t.Errorf("copy of %q: %d %q", key, got.status, got.body)
			}
		}
		all := s.names(t, b, "")
		for _, key := range kept {
			if !slices.Contains(all, key) {
				t.Errorf("%q is not in the listing", key)
			}
		}
		if len(all) != 2*len(kept) {
			t.Errorf("%d entries, want %d", len(all), 2*len(kept))
		}
		s.hardUploads(t, b)
		// One by one and by lists, every second each.
		var doc strings.Builder
		doc.WriteString("<Delete>")
		for i, key := range kept {
			if i%2 == 0 || !s3api.ValidXMLText(key) {
				s.send(t, request{method: "DELETE", bucket: b, key: key}).want(t, 204, "")
				continue
			}
			doc.WriteString("<Object><Key>")
			var text bytes.Buffer
			xml.EscapeText(&text, []byte(key))
			doc.WriteString(text.String() + "</Key></Object>")
		}
		doc.WriteString("</Delete>")
		got := s.send(t, request{method: "POST", bucket: b, query: "delete=", payload: sigv4test.Payload{Data: []byte(doc.String()), Checksum: checksum.CRC32C}}).want(t, 200, "")
		if bytes.Contains(got.body, []byte("<Error>")) {
			t.Errorf("DeleteObjects: %s", got.body)
		}
		left := s.names(t, b, "")
		for _, key := range kept {
			if slices.Contains(left, key) {
				t.Errorf("%q was not deleted", key)
			}
		}
		if len(left) != len(kept) {
			t.Errorf("%d entries left, want the %d copies", len(left), len(kept))
		}
	})
}

// hardUploads takes some of the keys through a multipart upload; not those that the SDK's XML reader refuses in answers.
func (s *site) hardUploads(t *testing.T, b string) {
	t.Helper()
	for _, key := range []string{"a//b", "a/../b", "a+b", "a\nb", "/lead", "trail/", "a%2Fb", "\u00e9"} {
		id, parts := s.upload(t, b, key, []byte("parts of "+key))
		list := s.send(t, request{method: "GET", bucket: b, query: "uploads=&encoding-type=url&prefix=" + escaped(key)}).want(t, 200, "")
		if !bytes.Contains(list.body, []byte(id)) {
			t.Errorf("upload to %q is not listed: %s", key, list.body)
		}
		if _, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, key, id, parts)); err != nil {
			t.Errorf("complete %q: %v", key, err)
			continue
		}
		got := s.send(t, request{method: "GET", bucket: b, key: key})
		if string(got.body) != "parts of "+key {
			t.Errorf("%q after its upload: %d %q", key, got.status, got.body)
		}
	}
}

// names lists a bucket's keys by url encoding, page by page.
func (s *site) names(t *testing.T, b, query string) []string {
	t.Helper()
	var out []string
	token := ""
	for {
		q := "list-type=2&encoding-type=url&max-keys=17"
		if query != "" {
			q += "&" + query
		}
		if token != "" {
			q += "&continuation-token=" + escaped(token)
		}
		got := s.send(t, request{method: "GET", bucket: b, query: q}).want(t, 200, "")
		var page struct {
			NextContinuationToken string
			Contents              []struct{ Key string }
		}
		if err := xml.Unmarshal(got.body, &page); err != nil {
			t.Fatalf("listing: %v: %s", err, got.body)
		}
		for _, e := range page.Contents {
			key, err := url.QueryUnescape(e.Key)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, key)
		}
		if token = page.NextContinuationToken; token == "" {
			return out
		}
	}
}

func TestKeysBeyondS3AreRefused(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "beyond")
	s.putRaw(t, b, strings.Repeat("k", 1025), nil, nil).want(t, 400, "KeyTooLongError")
	for _, key := range []string{"a\x00b", "\xff\xfe"} {
		if got := s.putRaw(t, b, key, nil, nil); got.status != 400 {
			t.Errorf("%q: %d %s", key, got.status, got.code)
		}
	}
}

// TestDeleteObjectsNeedsADigestThatProvesTrue since RGW looks at none.
func TestDeleteObjectsNeedsADigestThatProvesTrue(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "digests")
	s.put(t, b, "k", []byte("x"))
	doc := []byte(`<Delete><Object><Key>k</Key></Object></Delete>`)
	send := func(p sigv4test.Payload, header map[string]string, spoil bool) reply {
		rq := request{method: "POST", bucket: b, query: "delete=", payload: p, header: header}
		if spoil {
			rq.spoil = spoiledBody(flipAt(24))
		}
		return s.send(t, rq)
	}
	send(sigv4test.Payload{Data: doc}, nil, false).want(t, 400, "InvalidRequest")
	send(sigv4test.Payload{Data: doc}, map[string]string{"Content-Md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, false).want(t, 400, "BadDigest")
	send(sigv4test.Payload{Data: doc, Mode: sigv4test.Unsigned, Checksum: checksum.CRC32}, nil, true).want(t, 400, "BadDigest")
	send(sigv4test.Payload{Data: []byte("<Delete></Delete>"), Checksum: checksum.CRC32}, nil, false).want(t, 400, "MalformedXML")
	send(sigv4test.Payload{Data: []byte("<Delete><Object><Key></Key></Object></Delete>"), Checksum: checksum.CRC32}, nil, false).want(t, 400, "MalformedXML")
	many := []byte("<Delete>" + strings.Repeat("<Object><Key>k</Key></Object>", 1001) + "</Delete>")
	send(sigv4test.Payload{Data: many, Checksum: checksum.CRC32}, nil, false).want(t, 400, "MalformedXML")
	if got := s.get(t, b, "k"); string(got) != "x" {
		t.Fatal("deleted without a digest that proves true")
	}
	got := send(sigv4test.Payload{Data: []byte(`<Delete><Quiet>true</Quiet><Object><Key>k</Key></Object><Object><Key>none</Key></Object></Delete>`), Checksum: checksum.CRC64NVME}, nil, false).want(t, 200, "")
	if strings.Contains(string(got.body), "<Deleted>") || strings.Contains(string(got.body), "<Error>") {
		t.Errorf("quiet: %s", got.body)
	}
	s.send(t, request{method: "GET", bucket: b, key: "k"}).want(t, 404, "NoSuchKey")
}
