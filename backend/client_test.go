package backend_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cofre/access"
	"cofre/backend"
	"cofre/proxy"
	"cofre/s3api"
)

var site = backend.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}

// newClient makes a client of the endpoint with one identity beside the site's.
func newClient(t *testing.T, endpoint string, change func(*backend.Config)) *backend.Client {
	t.Helper()
	cfg := backend.Config{
		Endpoint: endpoint,
		Users: map[access.BackendUser]backend.Credentials{
			access.SiteUser: site,
			"alice":         {AccessKeyID: "AKIDALICE", SecretAccessKey: "alicesecret"},
		},
	}
	if change != nil {
		change(&cfg)
	}
	c, err := backend.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newServer(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func get(bucket, key string) *proxy.BackendRequest {
	return &proxy.BackendRequest{Method: "GET", Bucket: bucket, Key: key}
}

func put(bucket, key string, body io.Reader, length int64) *proxy.BackendRequest {
	return &proxy.BackendRequest{Method: "PUT", Bucket: bucket, Key: key, Body: body, Length: length}
}

// document is a request whose body can be sent again.
func document(method, bucket, key, body string) *proxy.BackendRequest {
	return &proxy.BackendRequest{
		Method: method, Bucket: bucket, Key: key,
		Body: bytes.NewReader([]byte(body)), Length: int64(len(body)), Replayable: true,
	}
}

func do(t *testing.T, c proxy.Backend, req *proxy.BackendRequest) (*proxy.BackendResponse, error) {
	t.Helper()
	resp, err := c.Do(t.Context(), access.SiteUser, req)
	if err == nil {
		t.Cleanup(func() { resp.Body.Close() })
	}
	return resp, err
}

func TestNewRefusesConfigurationsThatCannotWork(t *testing.T) {
	users := map[access.BackendUser]backend.Credentials{access.SiteUser: site}
	for name, cfg := range map[string]backend.Config{
		"no endpoint":        {Users: users},
		"no scheme":          {Endpoint: "localhost:7480", Users: users},
		"other scheme":       {Endpoint: "ftp://localhost", Users: users},
		"path":               {Endpoint: "http://localhost/s3", Users: users},
		"query":              {Endpoint: "http://localhost?x", Users: users},
		"password":           {Endpoint: "http://a:b@localhost", Users: users},
		"unreadable URL":     {Endpoint: "http://a:secret@loc alhost:x", Users: users},
		"no site user":       {Endpoint: "http://localhost"},
		"anonymous has keys": {Endpoint: "http://localhost", Users: map[access.BackendUser]backend.Credentials{access.SiteUser: site, access.AnonymousUser: site}},
		"empty secret":       {Endpoint: "http://localhost", Users: map[access.BackendUser]backend.Credentials{access.SiteUser: {AccessKeyID: "a"}}},
		"missing CA file":    {Endpoint: "https://localhost", Users: users, CAFile: "/nonexistent"},
		"CA file is empty":   {Endpoint: "https://localhost", Users: users, CAFile: os.DevNull},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := backend.New(cfg)
			if err == nil {
				t.Fatal("New accepted it")
			}
			if strings.Contains(err.Error(), "secret@") {
				t.Errorf("error repeats a password: %v", err)
			}
		})
	}
}

func TestDoRefusesAnUnknownIdentity(t *testing.T) {
	var calls atomic.Int32
	s := newServer(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	c := newClient(t, s.URL, nil)
	if _, err := c.Do(t.Context(), "mallory", get("bucket", "key")); err == nil {
		t.Fatal("an unknown identity was served")
	}
	if calls.Load() != 0 {
		t.Fatal("a request of an unknown identity reached the backend")
	}
}

func TestAnonymousRequestsAreUnsigned(t *testing.T) {
	headers := make(chan http.Header, 3)
	s := newServer(t, func(_ http.ResponseWriter, r *http.Request) { headers <- r.Header })
	c := newClient(t, s.URL, nil)
	for user, want := range map[access.BackendUser]string{access.AnonymousUser: "", access.SiteUser: "Credential=AKIDEXAMPLE/", "alice": "Credential=AKIDALICE/"} {
		resp, err := c.Do(t.Context(), user, get("bucket", "key"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		h := <-headers
		authorization := h.Get("Authorization")
		if want == "" && (authorization != "" || h.Get("X-Amz-Date") != "") {
			t.Errorf("anonymous request carries %q", authorization)
		}
		if !strings.Contains(authorization, want) {
			t.Errorf("user %q: Authorization %q lacks %q", user, authorization, want)
		}
	}
}

// TestThePortOfTheSchemeIsNotSent holds Host to the form that every client of S3 signs.
func TestThePortOfTheSchemeIsNotSent(t *testing.T) {
	hosts := make(chan string, 1)
	s := newServer(t, func(_ http.ResponseWriter, r *http.Request) { hosts <- r.Host })
	for endpoint, want := range map[string]string{
		"http://storage.example:80": "storage.example", "http://storage.example:443": "storage.example:443", "http://storage.example": "storage.example",
		"http://[::1]:80": "[::1]", "http://[::1]:8080": "[::1]:8080",
	} {
		c := newClient(t, endpoint, func(cfg *backend.Config) {
			cfg.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
			}
		})
		if _, err := do(t, c, get("bucket", "key")); err != nil {
			t.Fatal(err)
		}
		if got := <-hosts; got != want {
			t.Errorf("%s: Host %q, want %q", endpoint, got, want)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var elsewhere atomic.Int32
	other := newServer(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	_, err := do(t, newClient(t, s.URL, nil), get("bucket", "key"))
	var answer *s3api.Error
	if !errors.As(err, &answer) || answer.Status < 400 {
		t.Fatalf("got %v, want an error that a client understands", err)
	}
	if elsewhere.Load() != 0 {
		t.Fatal("the redirect was followed")
	}
}

func TestAnswersBecomeErrorsWithCodeAndMessage(t *testing.T) {
	for _, test := range []struct {
		name, method, key string
		status            int
		document, code    string
	}{
		{"code and message", "GET", "k", 403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>", "AccessDenied"},
		{"empty message", "GET", "k", 404, "<Error><Code>NoSuchKey</Code><Message></Message></Error>", "NoSuchKey"},
		{"unknown code", "GET", "k", 400, "<Error><Code>XAmzUnheardOf</Code></Error>", "XAmzUnheardOf"},
		{"html", "GET", "k", 403, "<html><body>go away</body></html>", ""},
		{"nothing", "GET", "k", 409, "", ""},
		{"head of an object", "HEAD", "k", 404, "", "NoSuchKey"},
		{"head of a bucket", "HEAD", "", 404, "", "NoSuchBucket"},
		{"larger than any document", "GET", "k", 400, strings.Repeat("x", 1<<20), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Amz-Version-Id", "v1")
				w.Header().Set("ETag", `"sealed"`)
				w.WriteHeader(test.status)
				io.WriteString(w, test.document)
			})
			_, err := do(t, newClient(t, s.URL, nil), &proxy.BackendRequest{Method: test.method, Bucket: "bucket", Key: test.key})
			var answer *s3api.Error
			if !errors.As(err, &answer) {
				t.Fatalf("got %v, want an *s3api.Error", err)
			}
			if answer.Status != test.status || answer.Message == "" || answer.Code == "" || (test.code != "" && answer.Code != test.code) {
				t.Errorf("got %d %q %q", answer.Status, answer.Code, answer.Message)
			}
			if answer.Header.Get("X-Amz-Version-Id") != "v1" || answer.Header.Get("ETag") != "" {
				t.Errorf("kept headers are %v", answer.Header)
			}
			if errors.Is(err, proxy.ErrBackendUnavailable) {
				t.Error("an answer matches ErrBackendUnavailable")
			}
		})
	}
	if s3api.ErrNoSuchBucket.Header != nil {
		t.Error("the error catalogue was changed")
	}
}

func TestNotModifiedIsAnAnswer(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	resp, err := do(t, newClient(t, s.URL, nil), get("bucket", "key"))
	if err != nil || resp.Status != http.StatusNotModified {
		t.Fatalf("got %+v, %v", resp, err)
	}
}

func TestHeadKeepsTheLengthOfTheObject(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "123456") })
	resp, err := do(t, newClient(t, s.URL, nil), &proxy.BackendRequest{Method: "HEAD", Bucket: "bucket", Key: "key"})
	if err != nil || resp.Length != 123456 {
		t.Fatalf("got %+v, %v", resp, err)
	}
	if rest, err := io.ReadAll(resp.Body); len(rest) != 0 || err != nil {
		t.Fatalf("body: %q, %v", rest, err)
	}
}

func TestStoredGzipIsNotUnpacked(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("Accept-Encoding %q was sent", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		io.WriteString(w, "not gzip at all")
	})
	resp, err := do(t, newClient(t, s.URL, nil), get("bucket", "key"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "not gzip at all" || resp.Length != int64(len(body)) {
		t.Fatalf("got %q, length %d, %v", body, resp.Length, err)
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	var connections atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.Method == "GET" && strings.HasSuffix(r.URL.Path, "missing") {
			w.WriteHeader(404)
		}
		io.WriteString(w, "some answer")
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c := newClient(t, s.URL, nil)
	for _, req := range []*proxy.BackendRequest{
		get("bucket", "key"), put("bucket", "key", strings.NewReader("body"), 4), get("bucket", "missing"),
		document("POST", "bucket", "", "<Delete/>"), get("bucket", "key"),
	} {
		resp, err := c.Do(t.Context(), access.SiteUser, req)
		if err == nil {
			resp.Body.Close() // unread: little enough to be drained
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for one request after another", n)
	}
}

func TestTLSTrustsTheGivenAuthority(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it says that a client did not trust it
	s.StartTLS()
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := do(t, newClient(t, s.URL, func(c *backend.Config) { c.CAFile = file }), get("bucket", "key")); err != nil {
		t.Errorf("with the authority: %v", err)
	}
	_, err := do(t, newClient(t, s.URL, func(c *backend.Config) { c.Retries = -1 }), get("bucket", "key"))
	if !errors.Is(err, proxy.ErrBackendUnavailable) {
		t.Errorf("without the authority: %v", err)
	}
}

func TestDialContextReachesAUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s3")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	c := newClient(t, "http://backend.internal", func(c *backend.Config) {
		c.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
	})
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	resp, err := do(t, c, put("bucket", "key", bytes.NewReader(body), int64(len(body))))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, body) {
		t.Fatalf("%d bytes came back, %v", len(got), err)
	}
}

func TestObserveNamesTheOutcome(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bucket/missing":
			w.WriteHeader(404)
		case "/bucket/broken":
			w.WriteHeader(500)
		case "/bucket/gone":
			panic(http.ErrAbortHandler)
		}
	})
	var mu sync.Mutex
	var seen []backend.Observation
	c := newClient(t, s.URL, func(c *backend.Config) {
		c.Retries = 1
		c.Observe = func(o backend.Observation) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, o)
		}
	})
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	calls := []struct {
		ctx      context.Context
		req      *proxy.BackendRequest
		outcome  backend.Outcome
		attempts int
	}{
		{t.Context(), get("bucket", "key"), backend.OutcomeOK, 1},
		{t.Context(), get("bucket", "missing"), backend.OutcomeClientError, 1},
		{t.Context(), get("bucket", "broken"), backend.OutcomeServerError, 2},
		{t.Context(), get("bucket", "gone"), backend.OutcomeUnavailable, 2},
		{t.Context(), put("bucket", "key", strings.NewReader("short"), 6), backend.OutcomeBody, 1},
		{canceled, get("bucket", "key"), backend.OutcomeCanceled, 1},
		{t.Context(), get("", "key"), backend.OutcomeInvalid, 1},
	}
	for i, call := range calls {
		resp, err := c.Do(call.ctx, access.SiteUser, call.req)
		if err == nil {
			resp.Body.Close()
		}
		if o := seen[i]; o.Outcome != call.outcome || o.Attempts != call.attempts || o.Method != call.req.Method {
			t.Errorf("%s: observed %+v (%v)", call.outcome, o, err)
		}
	}
}
