package proxy_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"cofre/internal/longtest"
)

// smuggled is the request that must never be seen as one.
const smuggled = "DELETE /smuggled/k HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"

// speak writes raw bytes to a site and reads all that it answers until it closes.
func (s *site) speak(t *testing.T, text string) string {
	t.Helper()
	conn := s.connect(t)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	go io.WriteString(conn, text)
	var b strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection stays open after %q", text[:min(len(text), 200)])
			}
			return b.String()
		}
		if strings.HasSuffix(b.String(), "STOP") {
			return b.String()
		}
	}
}

// seenSmuggled says whether a request was made of what was smuggled.
func (s *site) seenSmuggled() bool {
	for _, e := range s.logs.TakeAll() {
		for _, f := range e.Context {
			if f.String == "smuggled" || f.String == "DeleteObject" {
				return true
			}
		}
	}
	return false
}

// TestNoRequestIsSmuggled sends what readers of HTTP disagree about: where a body ends, and whether there is one. However cofre
// takes it, what another reader in front could take for a part of the first request never becomes a request of its own.
func TestNoRequestIsSmuggled(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{limits: shortPatience()})
	b := s.bucket(t, "first")
	s.logs.TakeAll()
	n := len(smuggled)
	chunkedBody := "0\r\n\r\n" + smuggled
	first := func(method, headers, body string) string {
		return fmt.Sprintf("%s /%s/k HTTP/1.1\r\nHost: x\r\n%s\r\n%s", method, b, headers, body)
	}
	hex := fmt.Sprintf("%x", n)
	cases := map[string]string{
		"Transfer-Encoding with Content-Length":     first("PUT", fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", n+5), chunkedBody),
		"the other order":                           first("PUT", fmt.Sprintf("Transfer-Encoding: chunked\r\nContent-Length: %d\r\n", n+5), chunkedBody),
		"of a GET":                                  first("GET", fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", n+5), chunkedBody),
		"Transfer-Encoding alone":                   first("PUT", "Transfer-Encoding: chunked\r\n", chunkedBody),
		"two lengths":                               first("PUT", fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n", n), smuggled),
		"two lengths in one":                        first("PUT", fmt.Sprintf("Content-Length: 0, %d\r\n", n), smuggled),
		"a length with a sign":                      first("PUT", "Content-Length: +0\r\n", smuggled),
		"a negative length":                         first("PUT", "Content-Length: -1\r\n", smuggled),
		"a length in hexadecimal":                   first("PUT", "Content-Length: 0x0\r\n", smuggled),
		"a length too long":                         first("PUT", "Content-Length: 18446744073709551616\r\n", smuggled),
		"an empty length":                           first("PUT", "Content-Length: \r\n", smuggled),
		"a length with underscores":                 first("PUT", "Content-Length: 0_0\r\n", smuggled),
		"identity":                                  first("PUT", fmt.Sprintf("Transfer-Encoding: identity\r\nContent-Length: %d\r\n", n), smuggled),
		"xchunked":                                  first("PUT", fmt.Sprintf("Transfer-Encoding: xchunked\r\nContent-Length: %d\r\n", n+5), chunkedBody),
		"chunked and identity":                      first("PUT", fmt.Sprintf("Transfer-Encoding: chunked, identity\r\nContent-Length: %d\r\n", n+5), chunkedBody),
		"two of them":                               first("PUT", fmt.Sprintf("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: %d\r\n", n+5), chunkedBody),
		"quoted":                                    first("PUT", fmt.Sprintf("Transfer-Encoding: \"chunked\"\r\nContent-Length: %d\r\n", n+5), chunkedBody),
		"with a vertical tab":                       first("PUT", fmt.Sprintf("Transfer-Encoding: \x0bchunked\r\nContent-Length: %d\r\n", n+5), chunkedBody),
		"space before the colon":                    first("PUT", fmt.Sprintf("Transfer-Encoding : chunked\r\nContent-Length: %d\r\n", n+5), chunkedBody),
		"folded":                                    first("PUT", fmt.Sprintf("Transfer-Encoding:\r\n chunked\r\nContent-Length: %d\r\n", n+5), chunkedBody),
		"a folded length":                           first("PUT", fmt.Sprintf("X: y\r\n Content-Length: 0\r\nContent-Length: %d\r\n", n), smuggled),
		"HTTP/1.0 that stays":                       strings.Replace(first("PUT", "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", chunkedBody), "HTTP/1.1", "HTTP/1.0", 1),
		"HTTP/1.0 with both":                        strings.Replace(first("PUT", fmt.Sprintf("Connection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: %d\r\n", 3), chunkedBody), "HTTP/1.1", "HTTP/1.0", 1),
		"a chunk size with a sign":                  first("PUT", "Transfer-Encoding: chunked\r\n", "+0\r\n\r\n"+smuggled),
		"a chunk size in another notation":          first("PUT", "Transfer-Encoding: chunked\r\n", "0x"+hex+"\r\n"+smuggled+"\r\n0\r\n\r\n"),
		"a chunk size too long":                     first("PUT", "Transfer-Encoding: chunked\r\n", "10000000000000000"+"\r\n\r\n"+smuggled),
		"a chunk that ends in LF":                   first("PUT", "Transfer-Encoding: chunked\r\n", "1;x\n"+hex+"\r\na\r\n0\r\n\r\n"+smuggled),
		"an extension":                              first("PUT", "Transfer-Encoding: chunked\r\n", "0;ext=\"\r\n\r\n"+smuggled),
		"a chunk without its end":                   first("PUT", "Transfer-Encoding: chunked\r\n", "1\r\naXX"+"0\r\n\r\n"+smuggled),
		"trailers":                                  first("PUT", "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n", fmt.Sprintf("0\r\nContent-Length: %d\r\n\r\n", n)+smuggled),
		"a refused body":                            first("PUT", fmt.Sprintf("Authorization: AWS AKIANOBODY:AAAA\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nContent-Length: %d\r\n", n), smuggled),
		"a refused body, asked for":                 first("PUT", fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n", n), smuggled),
		"a body that was asked for and never comes": first("PUT", "Expect: 100-continue\r\nContent-Length: 1000000\r\n", smuggled),
		"an expectation that nobody knows":          first("PUT", fmt.Sprintf("Expect: the-unexpected\r\nContent-Length: %d\r\n", n), smuggled),
		"a preflight with a body":                   first("OPTIONS", fmt.Sprintf("Content-Length: %d\r\n", n), smuggled),
		"a method that is none":                     first("GET\x01", "", smuggled),
		"a method of lower case with a body":        first("get", fmt.Sprintf("Content-Length: %d\r\n", n), smuggled),
		"no host":                                   fmt.Sprintf("GET /%s/k HTTP/1.1\r\n\r\n%s", b, smuggled),
		"two hosts":                                 first("GET", "Host: y\r\n", smuggled),
		"a host that is none":                       fmt.Sprintf("GET /%s/k HTTP/1.1\r\nHost: a b\r\n\r\n%s", b, smuggled),
		"HTTP/0.9":                                  fmt.Sprintf("GET /%s/k\r\n\r\n%s", b, smuggled),
		"HTTP/2 by the way":                         "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + smuggled,
		"HTTP/3.7":                                  fmt.Sprintf("GET /%s/k HTTP/3.7\r\nHost: x\r\n\r\n%s", b, smuggled),
		"a line end of LF in the request line's version": fmt.Sprintf("GET /%s/k HTTP/1.1\nX\r\nHost: x\r\n\r\n%s", b, smuggled),
		"CONNECT":               "CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Length: 5\r\n\r\nabcde" + smuggled,
		"a space in the target": fmt.Sprintf("GET /%s/k HTTP/1.1 HTTP/1.1\r\nHost: x\r\n\r\n%s", b, smuggled),
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			answer := s.speak(t, text)
			if s.seenSmuggled() {
				t.Errorf("the smuggled request was taken for one:\n%s", answer)
			}
			if strings.Count(answer, "HTTP/1.") > 1 {
				t.Errorf("more than one answer:\n%s", answer)
			}
			if strings.Contains(answer, " 101 ") || strings.Contains(answer, "HTTP/1.1 100") || strings.HasPrefix(answer, "HTTP/1.1 2") {
				t.Errorf("answer %.60q", answer)
			}
		})
	}
	longtest.Figure(t, "ways of smuggling tried", len(cases))
}

// TestAConnectionIsNeverUpgraded: neither to HTTP/2 nor to anything else.
func TestAConnectionIsNeverUpgraded(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	for _, upgrade := range []string{"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"} {
		answer := s.speak(t, "GET /first/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+upgrade+"\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 403 ") {
			t.Errorf("answer %.60q to %q", answer, upgrade)
		}
	}
}

// TestTrailersAreNoHeaders: what comes behind a body was not judged with the head.
func TestTrailersAreNoHeaders(t *testing.T) {
	w := watchedStorage(t)
	s := newSite(t, w.storage, siteConfig{limits: shortPatience()})
	b := s.bucket(t, "trailed")
	w.take()
	s.speak(t, fmt.Sprintf("PUT /%s/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization, X-Amz-Acl\r\n\r\n1\r\na\r\n0\r\nAuthorization: AWS a:b\r\nX-Amz-Acl: public-read\r\n\r\n", b))
	for _, h := range w.take() {
		if h.header.Get("X-Amz-Acl") != "" {
			t.Errorf("a trailer reached the storage: %v", h.header)
		}
	}
}
