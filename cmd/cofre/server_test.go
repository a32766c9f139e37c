package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"cofre/admission"
	"cofre/internal/coalesce"
)

// testConnections has room for what these tests open.
func testConnections() *admission.Connections {
	return admission.NewConnections(admission.ConnectionsConfig{Total: 64})
}

// served is a server of clients, and where it listens. What serving ends with comes from the channel.
func served(t *testing.T, cfg Config, h http.HandlerFunc) (*http.Server, net.Listener, <-chan error) {
	t.Helper()
	connections := testConnections()
	s, err := newS3Server(cfg, h, connections, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	l, err := listen("listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- serveS3(s, l, connections) }()
	t.Cleanup(func() { s.Close() })
	return s, l, ended
}

// withCertificate is a configuration with TLS.
func withCertificate(t *testing.T) Config {
	t.Helper()
	dir, cfg := t.TempDir(), defaultConfig()
	cfg.TLS = TLSConfig{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	writeCertificate(t, cfg.TLS, 1)
	return cfg
}

func TestDrainLetsRequestsInFlightEndAndTakesNoMore(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	s, l, ended := served(t, defaultConfig(), func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		io.WriteString(w, "whole")
	})
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answer <- string(body)
	}()
	<-arrived
	drained := make(chan error, 1)
	go func() { drained <- drain(s, l, &lastAnswers{}, LimitsConfig{Drain: time.Minute}, zap.NewNop()) }()
	<-ended // the listener is closed from here on, with a request still in flight
	if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
		conn.Close()
		t.Error("a connection was taken while draining")
	}
	close(release)
	if got := <-answer; got != "whole" {
		t.Errorf("the request in flight got %q", got)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestDrainEndsWithItsTime(t *testing.T) {
	arrived := make(chan struct{})
	s, l, _ := served(t, defaultConfig(), func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	go http.Get("http://" + l.Addr().String())
	<-arrived
	if err := drain(s, l, &lastAnswers{}, LimitsConfig{Drain: time.Millisecond}, zap.NewNop()); err != nil {
		t.Error(err)
	}
}

func TestReadinessFollowsThePhase(t *testing.T) {
	ad := &admin{}
	s := newAdminServer(ad.handler(newRegistry(), false))
	l, err := listen("admin_listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	defer s.Close()
	for _, step := range []struct {
		phase phase
		want  int
	}{{starting, 503}, {serving, 200}, {draining, 503}} {
		ad.enter(step.phase)
		for path, want := range map[string]int{"/readyz": step.want, "/healthz": 200, "/v1/site": 503, "/debug/pprof/": 404, "/debug/pprof/heap": 404} {
			resp, err := http.Get("http://" + l.Addr().String() + path)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s while %v: %d, want %d", path, step.phase, resp.StatusCode, want)
			}
		}
	}
}

func TestRenewedCertificateIsServedWithoutARestart(t *testing.T) {
	dir := t.TempDir()
	cfg := TLSConfig{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	writeCertificate(t, cfg, 1)
	c := &certificate{cfg: cfg, log: zap.NewNop()}
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		t.Helper()
		c.checked = time.Time{} // as if the last look were long ago
		pair, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.Int64()
	}
	if n := serial(); n != 1 {
		t.Fatalf("certificate %d", n)
	}
	writeCertificate(t, cfg, 2)
	if n := serial(); n != 2 {
		t.Errorf("certificate %d after renewal", n)
	}
	if err := os.WriteFile(cfg.Cert, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := serial(); n != 2 {
		t.Errorf("certificate %d while the files do not fit", n)
	}
}

// writeCertificate writes a self-signed certificate; each has its own modification time, whatever the file system's steps.
func writeCertificate(t *testing.T, cfg TLSConfig, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		cfg.Cert: {Type: "CERTIFICATE", Bytes: der}, cfg.Key: {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		stamp := time.Unix(1_700_000_000+serial, 0)
		if err := os.Chtimes(path, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTLSIsServedWithoutHTTP2(t *testing.T) {
	cfg := withCertificate(t)
	_, l, _ := served(t, cfg, func(http.ResponseWriter, *http.Request) {})
	roots := x509.NewCertPool()
	raw, err := os.ReadFile(cfg.TLS.Cert)
	if err != nil || !roots.AppendCertsFromPEM(raw) {
		t.Fatalf("read certificate: %v", err)
	}
	conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("negotiated %q", got)
	}
}

// TestAnswersReachTheirConnection: below TLS and the count of connections, the one whose writes can wait is found.
func TestAnswersReachTheirConnection(t *testing.T) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	for scheme, cfg := range map[string]Config{"http://": defaultConfig(), "https://": withCertificate(t)} {
		_, l, _ := served(t, cfg, func(_ http.ResponseWriter, r *http.Request) {
			if coalesce.Of(r.Context()) == nil {
				t.Errorf("%s: the connection is not found", scheme)
			}
		})
		resp, err := client.Get(scheme + l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
}

func TestPipeCarriesBothWaysAndEnds(t *testing.T) {
	l := newPipeListener()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.Copy(conn, conn)
	}()
	conn, err := l.dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	sent := make([]byte, 1<<20)
	rand.Read(sent)
	go func() {
		conn.Write(sent)
		conn.(*net.UnixConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes came back: %v", len(got), err)
	}
	l.Close()
	if _, err := l.dial(t.Context(), "", ""); err == nil {
		t.Error("a closed listener was reached")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newPipeListener().dial(gone, "", ""); err == nil {
		t.Error("dialled after the caller gave up")
	}
}

func TestContainerMemoryLimitIsUnderstood(t *testing.T) {
	for contents, want := range map[string]int64{"536870912\n": 512 << 20, "max\n": 0, "9223372036854771712\n": 0, "": 0, "-1": -1} {
		if got := cgroupLimit(writeFile(t, "memory.max", contents)); got != want {
			t.Errorf("%q: got %d, want %d", contents, got, want)
		}
	}
	if got := cgroupLimit("/no/such/file"); got != 0 {
		t.Errorf("no file: got %d", got)
	}
}

func TestReadinessIsAskedOnLoopbackForListenersOnEveryAddress(t *testing.T) {
	for listen, want := range map[string]string{
		":9001": "http://127.0.0.1:9001/readyz", "0.0.0.0:1": "http://127.0.0.1:1/readyz", "[::]:1": "http://127.0.0.1:1/readyz",
		"10.0.0.7:9001": "http://10.0.0.7:9001/readyz", "[fd00::1]:1": "http://[fd00::1]:1/readyz",
	} {
		if got, err := readyURL(listen); err != nil || got != want {
			t.Errorf("%s: got %s, %v", listen, got, err)
		}
	}
	if _, err := readyURL("nonsense"); err == nil {
		t.Error("nonsense was taken for an address")
	}
}
