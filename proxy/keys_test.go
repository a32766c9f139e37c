package proxy_test

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

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
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		const domain = "s3.example.com"
		s := newSite(t, st, siteConfig{domains: []string{domain}})
		b := s.bucket(t, "hardkeys")
		host := b + "." + domain
		for i, key := range hardKeys {
			vhost := ""
			if i%2 == 0 {
				vhost = host
			}
			if i%3 == 0 {
				s.presigned(t, request{method: "PUT", bucket: b, host: vhost, key: key}, "body of "+key).want(t, 200, "")
				continue
			}
			s.send(t, request{method: "PUT", bucket: b, host: vhost, key: key, payload: sigv4test.Payload{Data: []byte("body of " + key)}}).want(t, 200, "")
		}
		for i, key := range hardKeys {
			for _, vhost := range []string{"", host} {
				s.readHard(t, request{bucket: b, host: vhost, key: key}, "body of "+key)
			}
			if list := s.names(t, b, "prefix="+escaped(key)); !slices.Contains(list, key) {
				t.Errorf("listing by prefix %q: %q", key, list)
			}
			// A copy from it, and onto another hard key.
			to := fmt.Sprintf("copy%d/%s", i, key)
			if len(to) > 1024 {
				to = fmt.Sprint("copy", i)
			}
			got := s.send(t, request{method: "PUT", bucket: b, key: to, header: map[string]string{"X-Amz-Copy-Source": "/" + b + "/" + escaped(key)}})
			if got.status != 200 || bytes.Contains(got.body, []byte("<Error>")) {
				t.Errorf("copy of %q: %d %.300s", key, got.status, got.body)
				continue
			}
			if got := s.send(t, request{method: "GET", bucket: b, key: to}); string(got.body) != "body of "+key {
				t.Errorf("copy of %q: %d %q", key, got.status, got.body)
			}
		}
		all := s.names(t, b, "")
		for _, key := range hardKeys {
			if !slices.Contains(all, key) {
				t.Errorf("%q is not in the listing", key)
			}
		}
		if len(all) != 2*len(hardKeys) {
			t.Errorf("%d entries, want %d", len(all), 2*len(hardKeys))
		}
		s.hardUploads(t, b)
		s.deleteHard(t, b)
	})
}

// readHard reads an object by HEAD, by GET, and by both with a presigned URL.
func (s *site) readHard(t *testing.T, rq request, want string) {
	t.Helper()
	for _, rq.method = range []string{"GET", "HEAD"} {
		for how, got := range map[string]reply{"signed": s.send(t, rq), "presigned": s.presigned(t, rq, "")} {
			body := string(got.body)
			if rq.method == "HEAD" {
				body = want
			}
			if got.status != 200 || body != want || got.header.Get("Content-Length") != fmt.Sprint(len(want)) {
				t.Errorf("%s %s %q (host %q): %d %q, length %s", how, rq.method, rq.key, rq.host, got.status, got.body, got.header.Get("Content-Length"))
			}
		}
	}
}

// presigned sends a request whose signature is in the URL.
func (s *site) presigned(t *testing.T, rq request, body string) reply {
	t.Helper()
	rq.unsigned = true
	r := s.build(t, rq)
	signer().Presign(r, time.Minute, sigv4test.Payload{Mode: sigv4test.Unsigned, Data: []byte(body)})
	resp, err := clientTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	return read(resp)
}

// hardUploads takes the keys through a multipart upload, with a part that is sent and one that is copied from the key.
func (s *site) hardUploads(t *testing.T, b string) {
	t.Helper()
	for _, key := range hardKeys {
		id := textOf(s.send(t, request{method: "POST", bucket: b, key: key, query: "uploads="}).want(t, 200, "").body, "UploadId")
		list := s.send(t, request{method: "GET", bucket: b, query: "uploads=&encoding-type=url&prefix=" + escaped(key)}).want(t, 200, "")
		if listed, err := url.PathUnescape(textOf(list.body, "Key")); listed != key || err != nil || textOf(list.body, "UploadId") != id {
			t.Errorf("upload to %q is not listed: %s", key, list.body)
		}
		part := s.send(t, request{method: "PUT", bucket: b, key: key, query: "partNumber=2&uploadId=" + escaped(id),
			header: map[string]string{"X-Amz-Copy-Source": b + "/" + escaped(key)}})
		etag := textOf(part.body, "ETag")
		parts := s.send(t, request{method: "GET", bucket: b, key: key, query: "encoding-type=url&uploadId=" + escaped(id)}).want(t, 200, "")
		if listed, err := url.PathUnescape(textOf(parts.body, "Key")); listed != key || err != nil || textOf(parts.body, "ETag") != etag {
			t.Errorf("parts of %q: %s", key, parts.body)
		}
		doc := "<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>" + etag + "</ETag></Part></CompleteMultipartUpload>"
		done := s.send(t, request{method: "POST", bucket: b, key: key, query: "uploadId=" + escaped(id), payload: sigv4test.Payload{Data: []byte(doc)}})
		if done.status != 200 || bytes.Contains(done.body, []byte("<Error>")) {
			t.Errorf("complete %q: %d %s", key, done.status, done.body)
			continue
		}
		if got := s.send(t, request{method: "GET", bucket: b, key: key}); string(got.body) != "body of "+key || !strings.HasSuffix(got.header.Get("ETag"), `-1"`) {
			t.Errorf("%q after its upload: %d %q %s", key, got.status, got.body, got.header.Get("ETag"))
		}
	}
}

// textOf gives the text of the first element of this name, as it stands in a document; "" for none. No XML reader takes
// the control characters that an answer may hold.
func textOf(doc []byte, element string) string {
	_, rest, _ := strings.Cut(string(doc), "<"+element+">")
	text, _, _ := strings.Cut(rest, "</"+element+">")
	return text
}

// deleteHard deletes the hard keys, one by one and by lists, and wants the copies of them left.
func (s *site) deleteHard(t *testing.T, b string) {
	t.Helper()
	var doc strings.Builder
	doc.WriteString("<Delete>")
	for i, key := range hardKeys {
		switch {
		case i%4 == 0:
			s.send(t, request{method: "DELETE", bucket: b, key: key}).want(t, 204, "")
		case i%4 == 1:
			s.presigned(t, request{method: "DELETE", bucket: b, key: key}, "").want(t, 204, "")
		case s3api.ValidXMLText(key):
			doc.WriteString("<Object><Key>")
			xml.EscapeText(&doc, []byte(key))
			doc.WriteString("</Key></Object>")
		default: // as botocore writes it; other SDKs write it as a reference
			doc.WriteString("<Object><Key>" + key + "</Key></Object>")
		}
	}
	doc.WriteString("</Delete>")
	got := s.send(t, request{method: "POST", bucket: b, query: "delete=", payload: sigv4test.Payload{Data: []byte(doc.String()), Checksum: checksum.CRC32C}}).want(t, 200, "")
	if bytes.Contains(got.body, []byte("<Error>")) {
		t.Errorf("DeleteObjects: %s", got.body)
	}
	left := s.names(t, b, "")
	for _, key := range hardKeys {
		if slices.Contains(left, key) {
			t.Errorf("%q was not deleted", key)
		}
	}
	if len(left) != len(hardKeys) {
		t.Errorf("%d entries left, want the %d copies", len(left), len(hardKeys))
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
	s.put(t, b, "k", nil)
	for _, key := range []string{strings.Repeat("k", 1025), strings.Repeat("\u00e9", 512) + "k"} {
		for _, rq := range []request{
			{method: "PUT"}, {method: "GET"}, {method: "DELETE"}, {method: "POST", query: "uploads="},
			{method: "PUT", header: map[string]string{"X-Amz-Copy-Source": b + "/k"}},
		} {
			rq.bucket, rq.key = b, key
			s.send(t, rq).want(t, 400, "KeyTooLongError")
		}
		s.send(t, request{method: "HEAD", bucket: b, key: key}).want(t, 400, "")
		s.send(t, request{method: "PUT", bucket: b, key: "copy", header: map[string]string{"X-Amz-Copy-Source": b + "/" + escaped(key)}}).want(t, 400, "InvalidArgument")
		doc := "<Delete><Object><Key>" + key + "</Key></Object></Delete>"
		s.send(t, request{method: "POST", bucket: b, query: "delete=", payload: sigv4test.Payload{Data: []byte(doc), Checksum: checksum.CRC32C}}).want(t, 400, "KeyTooLongError")
	}
	for _, key := range []string{"a\x00b", "\xff\xfe"} {
		if got := s.putRaw(t, b, key, nil, nil); got.status != 400 {
			t.Errorf("%q: %d %s", key, got.status, got.code)
		}
	}
}

// TestEverySpellingOfAPathIsTheKeyItMeans, whatever a client chose to escape: the signature is over the path as it is sent,
// and nothing on the way cleans it.
func TestEverySpellingOfAPathIsTheKeyItMeans(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "spellings")
	for _, key := range []string{"a/b", "a//b", "a/./b", "a/../b", "a+b", "a%2Fb", "a b~c", "\u00e9"} {
		s.put(t, b, key, []byte("body of "+key))
	}
	for raw, key := range map[string]string{
		"a/b": "a/b", "a%2Fb": "a/b", "a%2fb": "a/b", "%61/b": "a/b",
		"a//b": "a//b", "a/%2Fb": "a//b", "a%2F%2fb": "a//b", "a/./b": "a/./b", "a/%2E/b": "a/./b", "a/../b": "a/../b", "a/%2e%2e/b": "a/../b",
		"a+b": "a+b", "a%2Bb": "a+b", "a%252Fb": "a%2Fb", "a%20b~c": "a b~c", "a%20b%7Ec": "a b~c", "%C3%A9": "\u00e9", "%c3%a9": "\u00e9",
	} {
		// By hand: net/http would clean the path, and net/url escape it its own way.
		r := s.build(t, request{method: "GET", bucket: b, key: key})
		conn, err := net.Dial("tcp", r.URL.Host)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /%s/%s HTTP/1.1\r\nHost: %s\r\n", b, raw, r.URL.Host)
		r.Header.Write(conn)
		io.WriteString(conn, "\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), r)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(resp); got.status != 200 || string(got.body) != "body of "+key {
			t.Errorf("GET %s: %d %.200q, want the object %q", raw, got.status, got.body, key)
		}
		conn.Close()
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
