package backend_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"cofre/access"
	"cofre/backend"
	"cofre/proxy"
)

// BenchmarkSmallRequest shows what a call costs beside the network: mostly net/http and the signature.
func BenchmarkSmallRequest(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	c, err := backend.New(backend.Config{Endpoint: s.URL, Users: map[access.BackendUser]backend.Credentials{access.SiteUser: site}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	header := http.Header{"X-Amz-Meta-Cofre-Envelope": {"envelope"}, "Content-Type": {"binary/octet-stream"}}
	b.ReportAllocs()
	for b.Loop() {
		resp, err := c.Do(b.Context(), access.SiteUser, &proxy.BackendRequest{Method: "GET", Bucket: "bucket", Key: "some/key", Header: header})
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}

// BenchmarkUpload shows what sending costs per byte, and that nothing is allocated per chunk.
func BenchmarkUpload(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	defer s.Close()
	c, err := backend.New(backend.Config{Endpoint: s.URL, Users: map[access.BackendUser]backend.Credentials{access.SiteUser: site}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	const size = 16 << 20
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		resp, err := c.Do(b.Context(), access.SiteUser, put("bucket", "key", io.LimitReader(zeroes{}, size), size))
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}
