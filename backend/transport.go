package backend

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

const (
	// idleTimeout is below the 65 s after which RGW closes an idle connection, so that a request never starts on a
	// connection that the other side is just closing: such a PUT could not be repeated.
	idleTimeout = 45 * time.Second
	// connBuffer is how much is read or written in one system call: one sealed chunk. (net/http's default is 4 KiB.)
	connBuffer = 64 << 10
	// continueTimeout is how long a request with Expect: 100-continue waits for the backend's word before it sends its body
	// unasked, as RFC 9110 section 10.1.1 has it for servers that never say it.
	continueTimeout = time.Second
	// maxResponseHeader is far above what S3 sends: RGW takes at most 16 KiB of headers in, so it gives little more out.
	maxResponseHeader = 256 << 10
)

// newTransport makes the connection pool. Proxies named in the environment are not used: storage traffic must go where
// the configuration says. Compression is off, since net/http would otherwise ask for gzip and silently unpack objects
// stored with Content-Encoding: gzip.
func newTransport(cfg Config) (*http.Transport, error) {
	tlsConfig, err := newTLSConfig(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	dial := cfg.DialContext
	if dial == nil {
		dialer := &net.Dialer{
			// Finds a peer that vanished without closing, within about 45 s, below the stall timeout.
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 10 * time.Second, Count: 3},
		}
		dial = dialer.DialContext
	}
	var http1 http.Protocols
	http1.SetHTTP1(true) // RGW has nothing else, and one TCP connection for many bodies would be slower
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            lingering(dial, cfg.ConnectTimeout),
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    cfg.ConnectTimeout,
		Protocols:              &http1,
		DisableCompression:     true,
		MaxIdleConns:           cfg.MaxIdleConns,
		MaxIdleConnsPerHost:    cfg.MaxIdleConns,
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: maxResponseHeader,
		ReadBufferSize:         connBuffer,
		WriteBufferSize:        connBuffer,
	}, nil
}

func newTLSConfig(caFile string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read backend CA file: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a minimal container has none; the file is then all that is trusted
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read backend CA file: no certificate in %s", caFile)
	}
	config.RootCAs = roots
	return config, nil
}
