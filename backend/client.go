// Package backend is the S3 client through which the proxy reaches the storage behind it (Ceph RGW or any S3 store).
//
// It does without the AWS SDK: requests go straight to net/http with an exact Content-Length, so a body is never held, never
// re-framed and never sent twice. Keys reach the wire byte for byte.
package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cofre/access"
	"cofre/proxy"
	"cofre/sigv4"
)

// Credentials sign requests to the backend.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
}

// Format hides the secret from every verb of fmt.
func (c Credentials) Format(f fmt.State, _ rune) {
	io.WriteString(f, "Credentials "+c.AccessKeyID+" [redacted]")
}

// MarshalText hides the secret from encoders.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(fmt.Sprint(c)), nil }

// Config says where the backend is and who calls it. The zero value of every optional field means its default.
type Config struct {
	// Endpoint is the backend's base URL: http or https, host, optional port, no path. Requests are path-style.
	Endpoint string
	// Region goes into the signature. Default "us-east-1"; RGW accepts any, AWS only its own.
	Region string
	// Users are the identities that calls may name. access.SiteUser must be there; access.AnonymousUser must not, since
	// its requests go out unsigned.
	Users map[access.BackendUser]Credentials
	// CAFile is a PEM file of certificates trusted for the endpoint besides the system's.
	CAFile string

	// ConnectTimeout limits dialling and the TLS handshake, each. Default 5 s.
	ConnectTimeout time.Duration
	// StallTimeout is how long the backend may make no progress: take no further 64 KiB of a body, send no further 64 KiB of an
	// answer, or give no head of an answer to a GET, HEAD or DELETE. Time in which the caller is slow does not count. A request
	// that stalled is not sent again. Default 60 s, RGW's own patience.
	StallTimeout time.Duration
	// AnswerTimeout is how long the backend may take from the last byte of a PUT or POST to the head of its answer; completing
	// a large upload or copying a large object is slow at some backends. Default 5 min.
	AnswerTimeout time.Duration
	// Retries is how many times a repeatable request is sent again. Default 3; negative means never.
	Retries int
	// MaxIdleConns is how many idle connections are kept for later requests. Default 512.
	MaxIdleConns int

	// DialContext replaces the TCP dialler, as for a backend in this process or on a Unix socket. May be nil.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Observe is told of every call to Do once its outcome is known. May be nil. It must not block.
	Observe func(Observation)
	// Clock gives the time that signatures carry. Default time.Now.
	Clock func() time.Time
}

// Observation is one call to Do, for metrics: no bucket, no key.
type Observation struct {
	Method   string
	Outcome  Outcome
	Attempts int           // how many requests were sent, at least 1
	Duration time.Duration // to the head of the answer, waits between attempts included
}

// Outcome is a closed list, fit to be a metric label.
type Outcome string

const (
	OutcomeOK          Outcome = "ok"           // 2xx and 304
	OutcomeClientError Outcome = "client_error" // other answers below 500
	OutcomeServerError Outcome = "server_error" // 500 and above
	OutcomeUnavailable Outcome = "unavailable"  // no answer
	OutcomeBody        Outcome = "body"         // the request's own body failed
	OutcomeCanceled    Outcome = "canceled"     // the caller gave up
	OutcomeInvalid     Outcome = "invalid"      // the request could not be built
)

// Client implements proxy.Backend. It is safe for concurrent use.
type Client struct {
	cfg       Config
	scheme    string
	host      string
	transport *http.Transport
	users     map[access.BackendUser]*sigv4.Signer
	// hostHeader is the host as the Host header, and so signatures, have it: without a port that is the scheme's own.
	hostHeader string
}

var _ proxy.Backend = (*Client)(nil)

// New checks the configuration and makes a Client. It does not contact the backend.
func New(cfg Config) (*Client, error) {
	setDefault(&cfg.Region, "us-east-1")
	setDefault(&cfg.ConnectTimeout, 5*time.Second)
	setDefault(&cfg.StallTimeout, 60*time.Second)
	setDefault(&cfg.AnswerTimeout, 5*time.Minute)
	setDefault(&cfg.Retries, 3)
	setDefault(&cfg.MaxIdleConns, 512)
	if cfg.Observe == nil {
		cfg.Observe = func(Observation) {}
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}

	endpoint, err := url.Parse(cfg.Endpoint)
	if err != nil {
		// url.Error repeats its input, which may hold a password by mistake.
		return nil, errors.New("backend endpoint is not a URL")
	}
	if (endpoint.Scheme != "http" && endpoint.Scheme != "https") || endpoint.Host == "" {
		return nil, errors.New("backend endpoint must be http://host[:port] or https://host[:port]")
	}
	if endpoint.User != nil || (endpoint.Path != "" && endpoint.Path != "/") || endpoint.RawQuery != "" || endpoint.Fragment != "" {
		return nil, errors.New("backend endpoint must be a scheme and a host only")
	}

	users, err := newUsers(cfg.Users, cfg.Region)
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(cfg)
	if err != nil {
		return nil, err
	}
	return &Client{cfg: cfg, scheme: endpoint.Scheme, host: endpoint.Host, transport: transport, users: users, hostHeader: withoutDefaultPort(endpoint)}, nil
}

func newUsers(credentials map[access.BackendUser]Credentials, region string) (map[access.BackendUser]*sigv4.Signer, error) {
	if _, ok := credentials[access.SiteUser]; !ok {
		return nil, errors.New("backend credentials of the site are missing")
	}
	users := make(map[access.BackendUser]*sigv4.Signer, len(credentials))
	for name, c := range credentials {
		if name == access.AnonymousUser {
			return nil, errors.New("the anonymous backend user has no credentials")
		}
		if c.AccessKeyID == "" || c.SecretAccessKey == "" {
			return nil, fmt.Errorf("backend user %q: access key or secret key is empty", name)
		}
		users[name] = sigv4.NewSigner(c.AccessKeyID, c.SecretAccessKey, region)
	}
	return users, nil
}

// withoutDefaultPort is the endpoint's host as clients of S3 send it: servers sign what they are sent, some without the port.
func withoutDefaultPort(endpoint *url.URL) string {
	if port := endpoint.Port(); endpoint.Scheme == "http" && port == "80" || endpoint.Scheme == "https" && port == "443" {
		return strings.TrimSuffix(endpoint.Host, ":"+port)
	}
	return endpoint.Host
}

// Close lets go of idle connections. Requests under way are not disturbed.
func (c *Client) Close() {
	c.transport.CloseIdleConnections()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
