package proxy_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// TestRangesAreReadAsS3ReadsThem walks the table of what S3 makes of each form of Range, end to end.
func TestRangesAreReadAsS3ReadsThem(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "ranges")
		bodies := map[string][]byte{"hundred": pattern(100), "none": {}, "chunks": pattern(65536*2 + 100)}
		for key, body := range bodies {
			s.put(t, b, key, body)
		}
		const whole, refused = -1, -2
		cases := []struct {
			key, header string
			from, to    int // whole: 200 with everything; refused: 416
		}{
			{"hundred", "bytes=0-0", 0, 0}, {"hundred", "bytes=50-", 50, 99}, {"hundred", "bytes=0-999999", 0, 99},
			{"hundred", "bytes=-10", 90, 99}, {"hundred", "bytes=-101", 0, 99}, {"hundred", "bytes=00-01", 0, 1},
			{"hundred", "bytes=99-99", 99, 99}, {"hundred", "bytes=0-99", 0, 99},
			{"hundred", "bytes=0-0,1-2", whole, 0}, {"hundred", "bytes=10-5", whole, 0}, {"hundred", "bytes=abc", whole, 0},
			{"hundred", "bytes=,", whole, 0}, {"hundred", "bytes=--1", whole, 0}, {"hundred", "foo=0-1", whole, 0},
			{"hundred", "bytes=-0", refused, 0}, {"hundred", "bytes=100-", refused, 0}, {"hundred", "bytes=100-200", refused, 0},
			{"none", "bytes=0-", refused, 0}, {"none", "bytes=0-0", refused, 0}, {"none", "bytes=-0", refused, 0}, {"none", "bytes=-5", whole, 0},
			{"chunks", "bytes=65535-65536", 65535, 65536}, {"chunks", "bytes=65536-131071", 65536, 131071}, {"chunks", "bytes=131072-", 131072, 131171},
			{"chunks", "bytes=-1", 131171, 131171},
		}
		for _, c := range cases {
			body := bodies[c.key]
			for _, method := range []string{"GET", "HEAD"} {
				name := method + " " + c.key + " " + c.header
				got := s.send(t, request{method: method, bucket: b, key: c.key, header: map[string]string{"Range": c.header}})
				want, status := body, http.StatusOK
				switch c.from {
				case whole:
				case refused:
					if got.status != 416 || method == "GET" && (got.code != "InvalidRange" || got.header.Get("Content-Range") != fmt.Sprintf("bytes */%d", len(body))) {
						t.Errorf("%s: %d %s %q", name, got.status, got.code, got.header.Get("Content-Range"))
					}
					continue
				default:
					want, status = body[c.from:c.to+1], http.StatusPartialContent
				}
				if got.status != status || got.header.Get("Content-Length") != strconv.Itoa(len(want)) || got.cut != nil {
					t.Errorf("%s: %d, length %s, %v; want %d, %d", name, got.status, got.header.Get("Content-Length"), got.cut, status, len(want))
				}
				if method == "GET" && !bytes.Equal(got.body, want) || method == "HEAD" && len(got.body) != 0 {
					t.Errorf("%s: %d bytes", name, len(got.body))
				}
				rng := ""
				if status == http.StatusPartialContent {
					rng = fmt.Sprintf("bytes %d-%d/%d", c.from, c.to, len(body))
				}
				if got.header.Get("Content-Range") != rng {
					t.Errorf("%s: Content-Range %q, want %q", name, got.header.Get("Content-Range"), rng)
				}
			}
		}
		s.send(t, request{method: "GET", bucket: b, key: "hundred", query: "partNumber=1", header: map[string]string{"Range": "bytes=0-1"}}).want(t, 400, "InvalidRequest")
		s.send(t, request{method: "GET", bucket: b, key: "hundred", query: "partNumber=2"}).want(t, 416, "InvalidPartNumber")
		if got := s.send(t, request{method: "GET", bucket: b, key: "hundred", query: "partNumber=1"}); got.status != 206 || len(got.body) != 100 {
			t.Errorf("part 1 of an object of one PUT: %d, %d bytes", got.status, len(got.body))
		}
	})
}

func TestReadConditionsAreJudgedByThePlaintextETag(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "conditions")
	out := s.put(t, b, "k", []byte("body"))
	etag := *out.ETag
	past, future := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	cases := []struct {
		header map[string]string
		status int
	}{
		{map[string]string{"If-Match": etag}, 200},
		{map[string]string{"If-Match": "*"}, 200},
		{map[string]string{"If-Match": etag[1 : len(etag)-1]}, 200},
		{map[string]string{"If-Match": "W/" + etag}, 200},
		{map[string]string{"If-Match": `"other", ` + etag}, 200},
		{map[string]string{"If-Match": `"other"`}, 412},
		{map[string]string{"If-None-Match": etag}, 304},
		{map[string]string{"If-None-Match": "*"}, 304},
		{map[string]string{"If-None-Match": `"other"`}, 200},
		{map[string]string{"If-Modified-Since": past}, 200},
		{map[string]string{"If-Modified-Since": future}, 304},
		{map[string]string{"If-Unmodified-Since": past}, 412},
		{map[string]string{"If-Unmodified-Since": future}, 200},
		{map[string]string{"If-Match": etag, "If-Unmodified-Since": past}, 200},
		{map[string]string{"If-None-Match": etag, "If-Unmodified-Since": past}, 412},
		{map[string]string{"If-None-Match": `"other"`, "If-Modified-Since": future}, 200},
		{map[string]string{"If-None-Match": etag, "Range": "bytes=0-1"}, 304},
		{map[string]string{"If-Match": `"other"`, "Range": "bytes=0-1"}, 412},
		{map[string]string{"If-Match": etag, "Range": "bytes=0-1"}, 206},
	}
	for _, c := range cases {
		for _, method := range []string{"GET", "HEAD"} {
			got := s.send(t, request{method: method, bucket: b, key: "k", header: c.header})
			if got.status != c.status {
				t.Errorf("%s %v: %d, want %d", method, c.header, got.status, c.status)
			}
			switch {
			case got.status == 304 && (got.header.Get("ETag") != etag || len(got.body) != 0 || got.header.Get("Last-Modified") == ""):
				t.Errorf("%s %v: a 304 with %v and %d bytes", method, c.header, got.header, len(got.body))
			case got.status == 412 && method == "GET" && got.code != "PreconditionFailed":
				t.Errorf("%s %v: %s", method, c.header, got.code)
			case got.status == 412 && got.header.Get("ETag") != "":
				t.Errorf("%s %v: a refusal names the ETag", method, c.header)
			}
		}
	}
}

func TestResponseHeadersMayBeOverriddenBySignedRequestsOnly(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{anon: anyoneReads("*")})
	b := s.bucket(t, "overrides")
	s.put(t, b, "k", []byte("body"))
	query := "response-content-type=text%2Fx&response-content-disposition=attachment%3B%20filename%3D%22a.txt%22&response-cache-control=no-store&response-content-language=de&response-content-encoding=identity&response-expires=never"
	for _, method := range []string{"GET", "HEAD"} {
		got := s.send(t, request{method: method, bucket: b, key: "k", query: query}).want(t, 200, "")
		for name, want := range map[string]string{
			"Content-Type": "text/x", "Content-Disposition": `attachment; filename="a.txt"`, "Cache-Control": "no-store",
			"Content-Language": "de", "Content-Encoding": "identity", "Expires": "never",
		} {
			if got.header.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", method, name, got.header.Get(name), want)
			}
		}
	}
	got := s.send(t, request{method: "GET", bucket: b, key: "k", query: "response-content-type=a%0d%0aSet-Cookie:x"}).want(t, 400, "InvalidArgument")
	if got.header.Get("ETag") != "" || got.header.Get("Set-Cookie") != "" {
		t.Errorf("headers of a refusal: %v", got.header)
	}
	s.send(t, request{method: "GET", bucket: b, key: "k", query: "response-content-type=text%2Fx", unsigned: true}).want(t, 400, "InvalidRequest")
}
