package proxy_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"cofre/internal/longtest"
	"cofre/sigv4/sigv4test"
)

// signedLink is what somebody has been given: a method and an address.
type signedLink struct {
	method, path string
	query        url.Values
	rawQuery     string
	header       http.Header
}

func (s *site) follow(t *testing.T, l signedLink) reply {
	t.Helper()
	r := s.build(t, request{method: l.method, bucket: "x", key: "x", unsigned: true})
	raw := l.rawQuery
	if raw == "" {
		raw = l.query.Encode()
	}
	r.URL.Opaque = "//" + r.URL.Host + l.path
	r.URL.RawQuery = raw
	maps.Copy(r.Header, l.header)
	if l.method == "PUT" || l.method == "POST" {
		sigv4test.SetBody(r, []byte("widened"), false)
	}
	resp, err := clientTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	return read(resp)
}

// links are good for one method on mine/k of a bucket, by both versions of the signature.
func (s *site) links(t *testing.T, method, bucket, key string) map[string]signedLink {
	t.Helper()
	made := map[string]signedLink{}
	for name, sign := range map[string]func(*http.Request){
		"version 4": func(r *http.Request) { signer().Presign(r, time.Hour, sigv4test.Payload{Mode: sigv4test.Unsigned}) },
		"version 2": func(r *http.Request) {
			signer().PresignV2(r, time.Now().Add(time.Hour), "", "", sigv4test.Payload{Mode: sigv4test.Unsigned})
		},
	} {
		r := s.build(t, request{method: method, bucket: bucket, key: key, unsigned: true})
		sign(r)
		made[name] = signedLink{method: method, path: r.URL.EscapedPath(), query: r.URL.Query()}
	}
	return made
}

// TestALinkCannotBeWidened takes links to read and to write one object and changes them in every way that would make them good for
// more. AWS's rule is held: the method, the path, the host, all parameters and all x-amz- headers are signed.
func TestALinkCannotBeWidened(t *testing.T) {
	w := watchedStorage(t)
	s := newSite(t, w.storage, siteConfig{})
	b, other := s.bucket(t, "mine"), s.bucket(t, "theirs")
	s.putRaw(t, b, "k", []byte("the object"), nil).want(t, 200, "")
	s.putRaw(t, b, "k2", []byte("another object"), nil).want(t, 200, "")
	s.putRaw(t, other, "k", []byte("another's object"), nil).want(t, 200, "")
	model := readModel(t)
	tried := 0
	refused := func(what string, l signedLink) {
		t.Helper()
		tried++
		w.take()
		got := s.follow(t, l)
		if got.status < 400 {
			t.Errorf("%s: answer %d %.100s", what, got.status, got.body)
		}
		if asked := w.take(); len(asked) > 0 {
			t.Errorf("%s: the storage was asked: %v", what, asked)
		}
	}
	for _, method := range []string{"GET", "PUT"} {
		for version, l := range s.links(t, method, b, "k") {
			name := method + " by " + version + ", "
			if method == "GET" {
				if got := s.follow(t, l); got.status != 200 || string(got.body) != "the object" {
					t.Fatalf("%sas it is: %d %s", name, got.status, got.body)
				}
			}
			for _, m := range []string{"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"} {
				if changed := l; m != method {
					changed.method = m
					refused(name+"as "+m, changed)
				}
			}
			for _, path := range []string{"/" + b + "/k2", "/" + other + "/k", "/" + b, "/" + b + "/", "/", "/" + b + "/k/", "/" + b + "//k", "/" + b + "/../" + other + "/k", "/" + s.system + "/k"} {
				changed := l
				changed.path = path
				refused(name+"to "+path, changed)
			}
			for _, param := range slices.Sorted(maps.Keys(model.params)) {
				for _, value := range []string{"", "1"} {
					changed := l
					changed.query = maps.Clone(l.query)
					changed.query.Set(param, value)
					if strings.Contains(version, "4") || model.subresources[param] || strings.HasPrefix(param, "response-") || slices.Contains([]string{"versionId", "partNumber", "uploadId"}, param) {
						refused(name+"with "+param+"="+value, changed)
					} else if got := s.follow(t, changed); method == "GET" && got.status < 400 && string(got.body) != "the object" {
						t.Errorf("%swith %s=%s: %d %.100s", name, param, value, got.status, got.body) // not signed by version 2, and so without effect
					}
				}
			}
			for _, header := range []string{
				"x-amz-acl", "x-amz-copy-source", "x-amz-copy-source-range", "x-amz-meta-a", "x-amz-tagging", "x-amz-storage-class", "x-amz-grant-full-control", "x-amz-object-lock-mode",
				"x-amz-bypass-governance-retention", "x-amz-server-side-encryption", "x-amz-server-side-encryption-customer-key", "x-amz-server-side-encryption-customer-algorithm", "x-amz-website-redirect-location",
				"x-amz-metadata-directive", "x-amz-security-token", "x-amz-checksum-crc32", "x-amz-request-payer", "x-amz-expected-bucket-owner", "x-amz-anything",
			} {
				changed := l
				changed.header = http.Header{http.CanonicalHeaderKey(header): {b + "/k2"}}
				refused(name+"with header "+header, changed)
				for _, param := range []string{header, http.CanonicalHeaderKey(header), strings.ToUpper(header)} {
					changed := l
					changed.query = maps.Clone(l.query)
					changed.query.Set(param, b+"/k2")
					refused(name+"with parameter "+param, changed)
				}
			}
			for param := range l.query {
				for _, spelled := range []string{param, strings.ToLower(param), strings.ToUpper(param)} {
					changed := l
					changed.rawQuery = l.query.Encode() + "&" + spelled + "=" + url.QueryEscape(l.query.Get(param))
					if spelled != param && !strings.Contains(version, "4") && !strings.HasPrefix(strings.ToLower(param), "x-amz") {
						continue // unknown, and not signed by version 2
					}
					refused(name+"with "+spelled+" twice", changed)
					changed.rawQuery = spelled + "=x&" + l.query.Encode()
					refused(name+"with another "+spelled+" before", changed)
				}
				changed := l
				changed.query = maps.Clone(l.query)
				changed.query.Del(param)
				if param == "Expires" || strings.HasPrefix(param, "X-Amz") || param == "Signature" || param == "AWSAccessKeyId" {
					refused(name+"without "+param, changed)
				}
			}
			for param, value := range map[string]string{"X-Amz-Expires": "604800", "Expires": "4000000000", "X-Amz-Date": "20990101T000000Z", "X-Amz-SignedHeaders": "", "X-Amz-Algorithm": "none"} {
				if changed := l; l.query.Has(param) {
					changed.query = maps.Clone(l.query)
					changed.query.Set(param, value)
					refused(name+"with "+param+"="+value, changed)
				}
			}
			changed := l
			changed.header = http.Header{"Authorization": {"AWS " + accessKey + ":AAAA"}}
			refused(name+"with a header as well", changed)
			changed.header = http.Header{"X-Amz-Content-Sha256": {"STREAMING-UNSIGNED-PAYLOAD-TRAILER"}}
			if strings.Contains(version, "4") {
				refused(name+"with another framing", changed)
			}
		}
	}
	longtest.Figure(t, "widened links refused", tried)
	if got := s.get(t, b, "k"); string(got) != "the object" {
		t.Errorf("the object is %q now", got)
	}
}

// TestALinkIsGoodForItsTimeAlone: none from the future, none that has ended, none for more than seven days.
func TestALinkIsGoodForItsTimeAlone(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "timed")
	s.putRaw(t, b, "k", []byte("the object"), nil).want(t, 200, "")
	for name, c := range map[string]struct {
		signed, life time.Duration
		status       int
	}{
		"now": {0, time.Minute, 200}, "ended": {-time.Hour, time.Minute, 403}, "ended this moment": {-time.Minute, time.Minute, 403}, "in an hour": {time.Hour, time.Minute, 403},
		"seven days": {0, 7 * 24 * time.Hour, 200}, "a second more": {0, 7*24*time.Hour + time.Second, 400}, "never ending": {0, 1 << 62, 400}, "no time": {0, 0, 403}, "less": {0, -time.Second, 400},
	} {
		r := s.build(t, request{method: "GET", bucket: b, key: "k", unsigned: true})
		sg := signer()
		sg.Time = sg.Time.Add(c.signed)
		sg.Presign(r, c.life, sigv4test.Payload{Mode: sigv4test.Unsigned})
		if got := s.follow(t, signedLink{method: "GET", path: r.URL.EscapedPath(), rawQuery: r.URL.RawQuery}); got.status != c.status {
			t.Errorf("%s: %d %s", name, got.status, got.code)
		}
	}
	for name, expires := range map[string]time.Time{"ended": time.Now().Add(-time.Second), "before all time": time.Unix(-5, 0)} {
		r := s.build(t, request{method: "GET", bucket: b, key: "k", unsigned: true})
		signer().PresignV2(r, expires, "", "", sigv4test.Payload{Mode: sigv4test.Unsigned})
		if got := s.follow(t, signedLink{method: "GET", path: r.URL.EscapedPath(), rawQuery: r.URL.RawQuery}); got.status != 403 {
			t.Errorf("version 2, %s: %d %s", name, got.status, got.code)
		}
	}
}

// TestASignatureInTheHeaderCoversParametersThatAreHeaders: Version 2 signs few parameters, and x-amz- ones are taken for headers.
func TestASignatureInTheHeaderCoversParametersThatAreHeaders(t *testing.T) {
	w := watchedStorage(t)
	s := newSite(t, w.storage, siteConfig{})
	b := s.bucket(t, "covered")
	s.putRaw(t, b, "k", []byte("the object"), nil).want(t, 200, "")
	for _, added := range []string{"x-amz-acl=public-read", "X-Amz-Acl=public-read", "x-amz-copy-source=" + b + "/k", "x-amz-meta-a=1", "x-amz-tagging=a%3D1"} {
		for version, sign := range map[string]func(*http.Request){
			"version 2": func(r *http.Request) {
				signer().SignV2(r, "", "", sigv4test.Payload{Mode: sigv4test.Unsigned, Data: []byte("b")})
			},
			"version 4": func(r *http.Request) {
				signer().Sign(r, sigv4test.Payload{Mode: sigv4test.Unsigned, Data: []byte("b")})
			},
		} {
			w.take()
			got := s.send(t, request{method: "PUT", bucket: b, key: "k2", unsigned: true, spoil: func(r *http.Request) { sign(r); r.URL.RawQuery = added }})
			if got.status != 403 || len(w.take()) > 0 {
				t.Errorf("%s with %s added: %d %s", version, added, got.status, got.code)
			}
		}
	}
}
