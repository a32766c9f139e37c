package sigv4_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"cofre/sigv4"
	"cofre/sigv4/sigv4test"
)

func TestVersion2SignsBucketSubresourcesAndHeaders(t *testing.T) {
	type sign func(r *http.Request, bucket, subresource string)
	signer := sigv4test.New(signedAt)
	for how, s := range map[string]sign{
		"header": func(r *http.Request, b, sub string) { signer.SignV2(r, b, sub, unsigned) },
		"query":  func(r *http.Request, b, sub string) { signer.PresignV2(r, signedAt.Add(time.Hour), b, sub, unsigned) },
	} {
		for _, c := range []struct{ host, target, bucket, signed string }{
			{"s3.example.org", "/b/k", "", ""},
			{"s3.example.org", "/b/caf%c3%a9%20x", "", ""},
			{"johnsmith.s3.amazonaws.com", "/k?acl", "johnsmith", "?acl"},
			{"s3.example.org", "/b?uploads=", "", "?uploads"},
			{"s3.example.org", "/b?uploads=", "", "?uploads="},
			{"s3.example.org", "/b/k?uploadId=x&partNumber=2", "", "?partNumber=2&uploadId=x"},
			{"s3.example.org", "/b/k?response-content-type=text%2Fplain&prefix=p", "", "?response-content-type=text/plain"},
			{"s3.example.org", "/b?prefix=a&max-keys=2", "", ""},
		} {
			r := request(t, c.target, "X-Amz-Meta-B", "2", "X-Amz-Meta-A", "1", "Content-Type", "text/plain")
			r.Host = c.host
			s(r, c.bucket, c.signed)
			got := sigv4test.Receive(r)
			auth, err := verifierAt(signedAt).Verify(got)
			if err != nil || auth.AccessKeyID() != "AKIAIOSFODNN7EXAMPLE" {
				t.Errorf("%s, %s: %v", how, c.target, err)
			}
			for name, change := range map[string]func(*http.Request){
				"header value":   func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", "3") },
				"header added":   func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") },
				"type":           func(r *http.Request) { r.Header.Set("Content-Type", "text/html") },
				"MD5":            func(r *http.Request) { r.Header.Set("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==") },
				"path":           func(r *http.Request) { r.RequestURI = strings.Replace(r.RequestURI, "/b", "/c", 1) + "/" },
				"subresource":    func(r *http.Request) { r.RequestURI += "&tagging" },
				"expiry":         func(r *http.Request) { r.RequestURI = strings.Replace(r.RequestURI, "Expires=1", "Expires=2", 1) },
				"another bucket": func(r *http.Request) { r.Host = "other.s3.amazonaws.com" },
				"method":         func(r *http.Request) { r.Method = http.MethodPut },
			} {
				if name == "expiry" && how == "header" {
					continue
				}
				changed := got.Clone(context.Background())
				if change(changed); !strings.Contains(changed.RequestURI, "?") {
					changed.RequestURI = strings.Replace(changed.RequestURI, "&", "?", 1)
				}
				if _, err := verifierAt(signedAt).Verify(changed); !errors.Is(err, sigv4.ErrSignatureDoesNotMatch) {
					t.Errorf("%s, %s, %s changed: %v", how, c.target, name, err)
				}
			}
		}
	}
}

// botocore moves headers into the URL of Version 2 after signing them as headers.
func TestVersion2TakesHoistedHeaders(t *testing.T) {
	r := request(t, "/b/k", "Content-Type", "text/plain", "X-Amz-Meta-A", "1")
	sigv4test.New(signedAt).PresignV2(r, signedAt.Add(time.Hour), "", "", unsigned)
	r.URL.RawQuery += "&content-type=text%2Fplain&x-amz-meta-a=1"
	for _, name := range []string{"Content-Type", "X-Amz-Meta-A", "-"} {
		auth, err := verifierAt(signedAt).Verify(sigv4test.Receive(r))
		if err != nil {
			t.Fatalf("before %s went: %v", name, err)
		}
		if h := auth.Hoisted(); h.Get("Content-Type") != "text/plain" || h.Get("X-Amz-Meta-A") != "1" || len(h) != 2 {
			t.Errorf("hoisted %q", h)
		}
		r.Header.Del(name)
	}
	r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "meta-a=1", "meta-a=2", 1)
	if _, err := verifierAt(signedAt).Verify(sigv4test.Receive(r)); !errors.Is(err, sigv4.ErrSignatureDoesNotMatch) {
		t.Errorf("hoisted header changed: %v", err)
	}
}

func TestVersion2Expiry(t *testing.T) {
	for late, good := range map[time.Duration]bool{59*time.Minute + 59*time.Second: true, time.Hour: false} {
		r := request(t, "/b/k")
		sigv4test.New(signedAt).PresignV2(r, signedAt.Add(time.Hour), "", "", unsigned)
		_, err := verifierAt(signedAt.Add(late)).Verify(sigv4test.Receive(r))
		if good && err != nil {
			t.Errorf("%s late: %v", late, err)
		} else if !good {
			wantCode(t, err, "AccessDenied", "Request has expired")
		}
	}
	_, err := verifierAt(signedAt).Verify(sigv4test.Receive(request(t, "/?AWSAccessKeyId=a&Signature=b&Expires=soon")))
	wantCode(t, err, "AccessDenied", "Invalid date (should be seconds since epoch): soon")
}
