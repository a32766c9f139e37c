package disk_test

import (
	"bytes"
	"io"
	"net/http/httptest"
	"testing"

	"cofre/access"
	"cofre/backend"
	"cofre/backend/disk"
	"cofre/proxy"
)

func newBenchClient(b *testing.B) *backend.Client {
	b.Helper()
	d, err := disk.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(d.Handler())
	b.Cleanup(func() { server.Close(); d.Close() })
	c, err := backend.New(backend.Config{Endpoint: server.URL, Users: map[access.BackendUser]backend.Credentials{access.SiteUser: {AccessKeyID: "a", SecretAccessKey: "b"}}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	if _, err := c.Do(b.Context(), access.SiteUser, &proxy.BackendRequest{Method: "PUT", Bucket: bucket}); err != nil {
		b.Fatal(err)
	}
	return c
}

func benchmarkPut(b *testing.B, size int) {
	c := newBenchClient(b)
	body := make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Do(b.Context(), access.SiteUser, &proxy.BackendRequest{Method: "PUT", Bucket: bucket, Key: "key", Body: bytes.NewReader(body), Length: int64(size)}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPut4KiB(b *testing.B)  { benchmarkPut(b, 4<<10) }
func BenchmarkPut16MiB(b *testing.B) { benchmarkPut(b, 16<<20) }

func benchmarkGet(b *testing.B, size int) {
	c := newBenchClient(b)
	body := make([]byte, size)
	if _, err := c.Do(b.Context(), access.SiteUser, &proxy.BackendRequest{Method: "PUT", Bucket: bucket, Key: "key", Body: bytes.NewReader(body), Length: int64(size)}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		resp, err := c.Do(b.Context(), access.SiteUser, &proxy.BackendRequest{Method: "GET", Bucket: bucket, Key: "key"})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}

func BenchmarkGet4KiB(b *testing.B)  { benchmarkGet(b, 4<<10) }
func BenchmarkGet16MiB(b *testing.B) { benchmarkGet(b, 16<<20) }
