package proxy_test

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"go.uber.org/zap"

	"cofre/proxy"
	"cofre/sigv4/sigv4test"
)

// TestAClientThatOnlyPretendsToSendIsLetGo sends a byte well within each stall, which comes to next to nothing.
func TestAClientThatOnlyPretendsToSendIsLetGo(t *testing.T) {
	limits := proxy.Limits{UploadStall: 500 * time.Millisecond}
	s := newSite(t, diskStorage(t), siteConfig{limits: limits})
	b := s.bucket(t, "trickle")
	s.put(t, b, "k", []byte("before"))
	for _, mode := range []sigv4test.Mode{sigv4test.Unsigned, sigv4test.Signed} {
		r := s.build(t, request{method: "PUT", bucket: b, key: "k", payload: sigv4test.Payload{Mode: mode, Data: pattern(100_000)}})
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		r.Body = io.NopCloser(&dripping{body, limits.UploadStall / 10})
		resp, err := clientTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		read(resp).want(t, 400, "RequestTimeout")
	}
	if got := s.get(t, b, "k"); string(got) != "before" {
		t.Fatal("the object changed")
	}
}

// TestAClientThatOnlyPretendsToReadIsLetGo takes some bytes well within each stall, which come to less than the least rate.
func TestAClientThatOnlyPretendsToReadIsLetGo(t *testing.T) {
	limits := proxy.Limits{DownloadStall: time.Second, MinRate: 1 << 30} // above what any reader takes: trickling for sure
	s := newSite(t, diskStorage(t), siteConfig{limits: limits})
	b := s.bucket(t, "trickle")
	s.put(t, b, "k", pattern(24<<20))
	r := s.build(t, request{method: "GET", bucket: b, key: "k"})
	slow := s.socket(t)
	slow.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	slow.head(r)
	resp, err := http.ReadResponse(slow.from, r)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := io.CopyN(io.Discard, resp.Body, 256<<10); err != nil {
			break // cut, and never a clean end: the length was told
		}
		time.Sleep(limits.DownloadStall / 5)
	}
	for s.logs.FilterMessage("request").FilterField(zap.Bool("aborted", true)).Len() == 0 {
		if time.Sleep(time.Millisecond); t.Context().Err() != nil {
			t.Fatal("the answer is still being held")
		}
	}
}
