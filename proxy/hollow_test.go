package proxy_test

import (
	"net/http"
	"testing"
)

// TestAnObjectWithoutItselfIsAskedForAgain: while writers meet on a null version RGW 16 answers as if there were an object with nothing in
// it. What such a moment shows is no finding, nobody is answered InternalError, and a moment later the object is there.
func TestAnObjectWithoutItselfIsAskedForAgain(t *testing.T) {
	hollow := &answer{status: 200, header: http.Header{"Last-Modified": {"Sat, 28 Nov 2026 22:00:00 GMT"}}}
	noByte := &answer{status: 416, header: http.Header{}, body: []byte(`<Error><Code>InvalidRange</Code></Error>`)}
	noData := &answer{status: 500, header: http.Header{}, body: []byte(`<Error><Code>UnknownError</Code></Error>`)}
	for _, c := range []struct {
		name   string
		said   *answer
		times  int // how many questions are answered so
		status int
		code   string
	}{
		{"200 and no object", hollow, 1, 200, ""},
		{"200 and no object, for good", hollow, 1000, 503, "SlowDown"},
		{"no last byte, and a moment later there is one", noByte, 1, 200, ""},
		{"no metadata, for good", noData, 1000, 503, "SlowDown"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			t.Run(c.name+" "+method, func(t *testing.T) {
				t.Parallel()
				before, l := lying(t, diskStorage(t))
				s := newSite(t, before, siteConfig{})
				b := s.bucket(t, "hollow")
				s.put(t, b, "k", []byte("an object"))
				lost := newSite(t, before, siteConfig{identity: s.identity}) // which has to find out everything
				for _, reader := range []*site{s, lost} {
					l.tells(&lie{
						about: func(r *wire) bool { return r.key == "k" },
						tell: func(r *wire) *answer {
							if r.n >= c.times {
								return nil
							}
							return c.said
						},
					})
					code := c.code
					if method == "HEAD" {
						code = ""
					}
					got := reader.send(t, request{method: method, bucket: b, key: "k"})
					got.want(t, c.status, code)
					if c.status == 200 && method == "GET" && string(got.body) != "an object" {
						t.Errorf("got %q", got.body)
					}
					if c.status == 503 && got.header.Get("Retry-After") == "" {
						t.Error("no Retry-After")
					}
					if n := reader.findings(t); n != 0 {
						t.Errorf("%v findings", n)
					}
				}
			})
		}
	}
}
