package proxy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cofre/access"
)

const corsRules = `<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>` +
	`<AllowedOrigin>https://*.example</AllowedOrigin><AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>` +
	`<MaxAgeSeconds>30</MaxAgeSeconds></CORSRule></CORSConfiguration>`

func from(origin string, rq request, more ...string) request {
	rq = header(rq, "Origin", origin)
	for i := 0; i+1 < len(more); i += 2 {
		rq = header(rq, more[i], more[i+1])
	}
	return rq
}

// allowed fails unless the answer lets a script of the origin see it, and its ETag.
func (r reply) allowed(t *testing.T, what, origin string) {
	t.Helper()
	if got := r.header.Get("Access-Control-Allow-Origin"); got != origin {
		t.Errorf("%s: Access-Control-Allow-Origin %q, want %q", what, got, origin)
	}
	want := "ETag"
	if origin == "" {
		want = ""
	}
	if got := r.header.Get("Access-Control-Expose-Headers"); !strings.EqualFold(got, want) {
		t.Errorf("%s: Access-Control-Expose-Headers %q, want %q", what, got, want)
	}
}

// TestBrowsersOfAllowedOriginsSeeAnswersOfPrivateBuckets covers preflights, which are never signed, and the headers on real
// answers: good ones, errors of the storage, and errors of cofre itself.
func TestBrowsersOfAllowedOriginsSeeAnswersOfPrivateBuckets(t *testing.T) {
	s := newSite(t, rgwStorage(t), siteConfig{})
	b := s.bucket(t, "cors")
	etag := s.put(t, b, "k", []byte("x")).ETag
	const good, bad = "https://app.example", "https://app.elsewhere"
	preflight := func(origin string, more ...string) request {
		rq := from(origin, request{method: "OPTIONS", bucket: b, key: "k"}, more...)
		rq.unsigned = true
		return rq
	}
	get := request{method: "GET", bucket: b, key: "k"}

	s.send(t, preflight(good, "Access-Control-Request-Method", "GET")).want(t, 403, "AccessForbidden")
	s.send(t, from(good, get)).want(t, 200, "").allowed(t, "no rules", "")
	s.send(t, sub2("PUT", b, "", "cors", corsRules)).want(t, 200, "")

	got := s.send(t, preflight(good, "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "x-amz-meta-a, x-amz-date")).want(t, 200, "")
	got.allowed(t, "preflight", good)
	if len(got.body) != 0 || got.header.Get("Access-Control-Max-Age") != "30" || !strings.Contains(got.header.Get("Access-Control-Allow-Headers"), "x-amz-meta-a") {
		t.Errorf("preflight %v %q", got.header, got.body)
	}
	presigned := preflight(good, "Access-Control-Request-Method", "GET")
	presigned.query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Date=20261122T000000Z&X-Amz-Expires=9&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
	s.send(t, presigned).want(t, 200, "").allowed(t, "preflight of a presigned URL", good)
	s.send(t, preflight(good, "Access-Control-Request-Method", "DELETE")).want(t, 403, "AccessForbidden").allowed(t, "method", "")
	s.send(t, preflight(good, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "x-other")).want(t, 403, "AccessForbidden")
	s.send(t, preflight(bad, "Access-Control-Request-Method", "GET")).want(t, 403, "AccessForbidden").allowed(t, "origin", "")
	s.send(t, preflight(good)).want(t, 400, "BadRequest")
	s.send(t, request{method: "OPTIONS", bucket: b, unsigned: true}).want(t, 400, "BadRequest")
	nowhere := preflight(good, "Access-Control-Request-Method", "GET")
	nowhere.bucket = "no-such-bucket" + s.bucketTag
	s.send(t, nowhere).want(t, 403, "AccessForbidden")

	s.send(t, from(good, get)).want(t, 200, "").allowed(t, "GET", good)
	s.send(t, from(good, get, "If-None-Match", *etag)).want(t, 304, "").allowed(t, "304", good)
	s.send(t, from(good, get, "If-Match", `"0"`)).want(t, 412, "PreconditionFailed").allowed(t, "412", good)
	s.send(t, from(good, get, "Range", "bytes=9-")).want(t, 416, "InvalidRange").allowed(t, "416", good)
	s.send(t, from(good, request{method: "GET", bucket: b, key: "nothing"})).want(t, 404, "NoSuchKey").allowed(t, "404", good)
	unsigned := from(good, get)
	unsigned.unsigned = true
	s.send(t, unsigned).want(t, 403, "AccessDenied").allowed(t, "403", good)
	forged := from(good, get)
	forged.spoil = func(r *http.Request) { r.Header.Set("X-Amz-Date", "20200101T000000Z") }
	s.send(t, forged).allowed(t, "a bad signature", good)
	upload := put("up")
	upload.bucket = b
	s.send(t, from(good, upload)).want(t, 200, "").allowed(t, "PUT", good)
	s.send(t, from(bad, get)).want(t, 200, "").allowed(t, "another origin", "")
	s.send(t, get).want(t, 200, "").allowed(t, "no origin", "")

	s.send(t, sub2("PUT", b, "", "cors", strings.Replace(corsRules, "https://*.example", "*", 1))).want(t, 200, "")
	s.send(t, from(bad, get)).want(t, 200, "").allowed(t, "any origin", "*")
	s.send(t, sub2("DELETE", b, "", "cors", "")).want(t, 204, "")
	s.send(t, from(good, get)).want(t, 200, "").allowed(t, "rules deleted", "")
}

// TestPreflightsShowNothingOfTheSystemBucket and of what has no bucket.
func TestPreflightsShowNothingOfTheSystemBucket(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	for _, bucket := range []string{s.system, ""} {
		s.backend.take()
		s.send(t, request{method: "OPTIONS", bucket: bucket, unsigned: true, header: map[string]string{"Origin": "https://a", "Access-Control-Request-Method": "GET"}}).
			want(t, 403, "AccessForbidden")
		if asked := s.backend.take(); len(asked) != 0 {
			t.Errorf("the storage was asked: %v", asked)
		}
	}
}

// TestCORSAnswersAreRememberedForAWhile keeps a page of many requests from asking as many times.
func TestCORSAnswersAreRememberedForAWhile(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "cors")
	s.put(t, b, "k", []byte("x"))
	s.backend.take()
	for range 3 {
		s.send(t, from("https://a", request{method: "GET", bucket: b, key: "k"})).want(t, 200, "")
	}
	asked := 0
	for _, call := range s.backend.take() {
		if strings.HasPrefix(call, "OPTIONS") {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// TestStrangersDoNotHaveTheStorageAsked: what is refused asks little of the storage, whatever origins it names, and keeps no client's
// browser from its answer.
func TestStrangersDoNotHaveTheStorageAsked(t *testing.T) {
	s := newSite(t, rgwStorage(t), siteConfig{})
	b := s.bucket(t, "cors")
	s.send(t, sub2("PUT", b, "", "cors", corsRules)).want(t, 200, "")
	s.put(t, b, "k", []byte("x"))
	s.backend.take()
	began := time.Now()
	for i := range 200 {
		rq := from(fmt.Sprintf("https://a%d.example", i), request{method: "GET", bucket: b, key: "k"})
		code := "AccessDenied"
		if rq.unsigned = i%2 == 0; !rq.unsigned {
			rq.spoil, code = wrongSignature, "SignatureDoesNotMatch"
		}
		s.send(t, rq).want(t, 403, code)
	}
	// Ten at once and ten a second; each asks once more, for whether it is every origin that may.
	asked, most := len(s.backend.take()), 2*(11+int(10*time.Since(began).Seconds()))
	if asked == 0 || asked > most {
		t.Errorf("200 strangers had the storage asked %d times, at most %d is right", asked, most)
	}
	s.send(t, from("https://client.example", request{method: "GET", bucket: b, key: "k"})).want(t, 200, "").allowed(t, "a client behind them", "https://client.example")
}

// TestUnsignedRequestsAreStillTheStoragesToRefuse has reading open to anybody in cofre: then the object's ACL or the
// bucket's policy decides, and the request must reach the storage unsigned.
func TestUnsignedRequestsAreStillTheStoragesToRefuse(t *testing.T) {
	st := rgwStorage(t)
	s := newSite(t, st, siteConfig{anon: access.AnonymousIdentity([]access.BucketRule{
		{Bucket: "open" + st.bucketTag, Actions: []access.Action{access.Read, access.List}, Prefixes: []string{"pub/"}},
	})})
	open, shut := s.bucket(t, "open"), s.bucket(t, "shut")
	body := pattern(100_000)
	for _, b := range []string{open, shut} {
		s.put(t, b, "pub/k", body)
		s.put(t, b, "k", body)
	}
	get := func(bucket, key string) reply {
		return s.send(t, request{method: "GET", bucket: bucket, key: key, unsigned: true})
	}
	get(open, "pub/k").want(t, 403, "AccessDenied")
	for _, b := range []string{open, shut} {
		for _, key := range []string{"pub/k", "k"} {
			s.send(t, header(sub2("PUT", b, key, "acl", ""), "X-Amz-Acl", "public-read")).want(t, 200, "")
		}
	}
	if got := get(open, "pub/k").want(t, 200, ""); string(got.body) != string(body) {
		t.Error("other bytes")
	}
	get(open, "k").want(t, 403, "AccessDenied")     // outside the prefix that cofre opens
	get(shut, "pub/k").want(t, 403, "AccessDenied") // the storage alone never opens a door
	s.send(t, request{method: "PUT", bucket: open, key: "pub/k", unsigned: true}).want(t, 403, "AccessDenied")
	s.send(t, request{method: "GET", bucket: open, query: "prefix=pub%2F", unsigned: true}).want(t, 403, "AccessDenied")
	s.send(t, header(sub2("PUT", open, "", "acl", ""), "X-Amz-Acl", "public-read")).want(t, 200, "")
	s.send(t, request{method: "GET", bucket: open, query: "prefix=pub%2F", unsigned: true}).want(t, 200, "")
	s.send(t, request{method: "GET", bucket: open, unsigned: true}).want(t, 403, "AccessDenied")
}
