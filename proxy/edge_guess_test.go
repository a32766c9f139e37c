package proxy_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"cofre/access"
	"cofre/internal/source"
	"cofre/proxy"
	"cofre/sigv4/sigv4test"
)

// counter gives the sum of a counter's values over all its labels, gauge that of a gauge's.
func (s *site) counter(t *testing.T, name string) float64 { t.Helper(); return s.metric(t, name) }
func (s *site) gauge(t *testing.T, name string) float64   { t.Helper(); return s.metric(t, name) }

func (s *site) metric(t *testing.T, name string) float64 {
	t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.Metric {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() // one of them is there
			}
		}
	}
	return sum
}

// guess signs with a wrong secret, from an address that the balancer names.
func guess(bucket, from, key string) request {
	return request{method: "GET", bucket: bucket, key: "k", unsigned: true, spoil: func(r *http.Request) {
		s := signer()
		s.AccessKeyID, s.SecretAccessKey = key, "not-the-secret-of-the-test-client-0000000"
		s.Sign(r, sigv4test.Payload{Mode: sigv4test.SHA256})
		r.Header.Set("X-Forwarded-For", from) // behind the signature, as a balancer does
	}}
}

func TestGuessingIsSlowedAndTheOwnerIsNot(t *testing.T) {
	var told []proxy.Guessing
	s := newSite(t, diskStorage(t), siteConfig{
		attempts: access.NewAttempts(access.AttemptsConfig{KeyFailures: 3, SourceFailures: 6, LongestWait: time.Hour}),
		guessing: func(g proxy.Guessing) { told = append(told, g) },
		proxies:  source.Proxies{netip.MustParsePrefix("127.0.0.0/8")},
	})
	b := s.bucket(t, "guessed")
	s.putRaw(t, b, "k", []byte("the body"), nil).want(t, 200, "")
	s.backend.take()

	const guesser, owner = "192.0.2.66", "203.0.113.5"
	for range 3 {
		s.send(t, guess(b, guesser, accessKey)).want(t, 403, "SignatureDoesNotMatch")
	}
	got := s.send(t, guess(b, guesser, accessKey)).want(t, 503, "SlowDown")
	if after := got.header.Get("Retry-After"); after == "" || after == "0" {
		t.Errorf("Retry-After is %q", after)
	}
	right := request{method: "GET", bucket: b, key: "k", spoil: setHeader("X-Forwarded-For", guesser)}
	s.send(t, right).want(t, 503, "SlowDown") // a guess that is right tells nothing either while the source has to wait
	right.spoil = setHeader("X-Forwarded-For", owner)
	s.send(t, right).want(t, 200, "")

	// A guesser does not become somebody else by a header of his own: the balancer's word stands behind it.
	s.send(t, guess(b, "198.51.100.1, "+guesser, accessKey)).want(t, 503, "SlowDown")
	// Other access keys of the source have their own count, and it has one for all of them.
	for range 3 {
		s.send(t, guess(b, guesser, "AKIANOBODY")).want(t, 403, "InvalidAccessKeyId")
	}
	s.send(t, guess(b, guesser, "AKIAFRESH")).want(t, 503, "SlowDown")
	s.send(t, right).want(t, 200, "")
	s.send(t, request{method: "GET", bucket: b, key: "k", unsigned: true, spoil: setHeader("X-Forwarded-For", guesser)}).want(t, 403, "AccessDenied") // unsigned is no guess

	if n := s.counter(t, "cofre_authentication_failures_total"); n != 6 {
		t.Errorf("%v failures counted, want 6", n)
	}
	if n := s.counter(t, "cofre_authentication_refused_total"); n != 4 {
		t.Errorf("%v refusals counted, want 4", n)
	}
	want := []proxy.Guessing{{Source: netip.MustParsePrefix(guesser + "/32"), AccessKeyID: accessKey}} // one a minute
	if !slices.Equal(told, want) {
		t.Errorf("told of %v, want %v", told, want)
	}
}

// TestFormsAndLinksAreGuessesToo: every road on which a signature is judged counts.
func TestFormsAndLinksAreGuessesToo(t *testing.T) {
	ways := map[string]func(s *site, b string) request{
		"link": func(_ *site, b string) request {
			return request{method: "GET", bucket: b, key: "k", unsigned: true, spoil: func(r *http.Request) {
				signer().Presign(r, time.Hour, sigv4test.Payload{Mode: sigv4test.Unsigned})
				r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "X-Amz-Signature=", "X-Amz-Signature=0", 1)
			}}
		},
		"link of version 2": func(_ *site, b string) request {
			return request{method: "GET", bucket: b, key: "k", unsigned: true, query: "AWSAccessKeyId=" + accessKey + "&Expires=4000000000&Signature=AAAA"}
		},
		"header of version 2": func(_ *site, b string) request {
			return request{method: "GET", bucket: b, key: "k", unsigned: true, header: map[string]string{
				"Authorization": "AWS " + accessKey + ":AAAA", "Date": time.Now().UTC().Format(http.TimeFormat)}}
		},
		"form": func(_ *site, b string) request {
			body := "--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n" +
				"--x\r\nContent-Disposition: form-data; name=\"policy\"\r\n\r\ne30=\r\n" +
				"--x\r\nContent-Disposition: form-data; name=\"AWSAccessKeyId\"\r\n\r\n" + accessKey + "\r\n" +
				"--x\r\nContent-Disposition: form-data; name=\"signature\"\r\n\r\nAAAA\r\n" +
				"--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nbody\r\n--x--\r\n"
			return request{method: "POST", bucket: b, unsigned: true, header: map[string]string{"Content-Type": "multipart/form-data; boundary=x"},
				payload: sigv4test.Payload{Data: []byte(body)}}
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, diskStorage(t), siteConfig{attempts: access.NewAttempts(access.AttemptsConfig{KeyFailures: 2, LongestWait: time.Hour})})
			b := "guessed"
			for range 2 {
				s.send(t, way(s, b)).want(t, 403, "SignatureDoesNotMatch")
			}
			s.send(t, way(s, b)).want(t, 503, "SlowDown")
		})
	}
}
