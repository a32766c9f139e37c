package e2e_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// moment is where in one step of an operation, a request to the storage or to the database, the process is killed.
type moment int

const (
	beforeStep moment = iota // nothing of the request has left
	withinStep               // half of its body has, or half of the answer's has come back
	afterStep                // it was done and answered, and cofre never hears of it
)

func (m moment) String() string { return [...]string{"before", "within", "after"}[m] }

// stops counts the steps of an operation that pass by and ends the process at one of them. It is what a stepping storage and a
// stepping database have in common.
type stops struct {
	// passive says that a step changes nothing: the moment before it is all there is, since its answer, heard or not, leaves nothing
	// behind. halves says that a step can be stopped within.
	passive func(what string) bool
	halves  bool

	mu   sync.Mutex
	kill func()
	at   int // the step to stop at, from 1; 0 lets everything pass
	when moment
	seen int
	// active numbers the steps that change something.
	active []int
	fired  string // the step that was stopped at; empty for none yet
}

// arm has the process killed at the moment of the step of the operation that begins now.
func (s *stops) arm(at int, when moment, kill func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.when, s.kill, s.seen, s.active, s.fired = at, when, kill, 0, nil, ""
}

// disarm lets everything pass from now on, and says how many steps there were and at which one it was stopped.
func (s *stops) disarm() (seen int, fired string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = 0
	return s.seen, s.fired
}

// arrive counts a step, and says whether it is the one to stop at. Once one was, all that come are: the process is dead.
func (s *stops) arrive(what string) (stop bool, when moment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == 0 {
		return false, 0
	}
	if s.fired != "" {
		return true, beforeStep
	}
	s.seen++
	if !s.passive(what) {
		s.active = append(s.active, s.seen)
	}
	return s.seen == s.at, s.when
}

// stop kills the process; once.
func (s *stops) stop(what string) {
	s.mu.Lock()
	first := s.fired == "" && s.at != 0
	if first {
		s.fired = what
	}
	kill := s.kill
	s.mu.Unlock()
	if first {
		kill()
	}
}

// steppingStorage stands between cofre and the real storage.
type steppingStorage struct {
	stops
	url      string
	upstream *url.URL
	client   *http.Transport
	inFlight sync.WaitGroup // requests that the storage has, or is being sent
}

// quiet waits until the storage has answered all that a process sent that is dead by now: what had left it whole takes effect.
func (s *steppingStorage) quiet() { s.inFlight.Wait() }

func newSteppingStorage(t *testing.T, behind string) *steppingStorage {
	t.Helper()
	upstream, err := url.Parse(behind)
	if err != nil {
		t.Fatal(err)
	}
	s := &steppingStorage{stops: stops{passive: readRequest, halves: true}, upstream: upstream, client: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32}}
	server := httptest.NewServer(s)
	t.Cleanup(func() { server.Close(); s.client.CloseIdleConnections() })
	s.url = server.URL
	return s
}

func readRequest(what string) bool {
	return strings.HasPrefix(what, http.MethodGet) || strings.HasPrefix(what, http.MethodHead)
}

// ServeHTTP hands a request on as it is, Host and all, so that its signature holds.
func (s *steppingStorage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.inFlight.Add(1)
	defer s.inFlight.Done()
	what := r.Method + " " + r.URL.Path
	if r.URL.RawQuery != "" {
		what += "?" + r.URL.RawQuery
	}
	stop, when := s.arrive(what)
	if stop && when == beforeStep {
		s.stop(what)
		panic(http.ErrAbortHandler)
	}
	out := r.Clone(context.WithoutCancel(r.Context())) // who goes away does not take back what he has sent
	out.URL.Scheme, out.URL.Host, out.RequestURI = s.upstream.Scheme, s.upstream.Host, ""
	if r.ContentLength == 0 {
		out.Body = http.NoBody
	}
	if stop && when == withinStep && r.ContentLength > 0 {
		out.Body = &cutBody{src: r.Body, left: r.ContentLength / 2, cut: func() { s.stop(what) }}
	}
	resp, err := s.client.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	body := io.Reader(resp.Body)
	if stop {
		whole, _ := io.ReadAll(resp.Body) // broken off or not: nobody gets it
		if when == afterStep || len(whole) < 2 {
			s.stop(what)
			panic(http.ErrAbortHandler)
		}
		body = bytes.NewReader(whole[:len(whole)/2])
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, body) // cofre has gone away, or is about to
	if stop {
		_ = http.NewResponseController(w).Flush()
		s.stop(what)
		panic(http.ErrAbortHandler)
	}
}

// cutBody ends in the middle.
type cutBody struct {
	src  io.ReadCloser
	left int64
	cut  func()
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		b.cut()
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.src.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func (b *cutBody) Close() error { return b.src.Close() }

// elsewhere is the same site on another machine, which reaches storage and database by its own ways. Its identity is guarded by a
// key file instead of a passphrase, so that a start costs next to nothing.
func (s *site) elsewhere(t *testing.T, storage, database string) *site {
	t.Helper()
	v := *s
	v.t, v.dir, v.rgw.endpoint = t, t.TempDir(), storage
	files, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if name := filepath.Base(path); !strings.HasSuffix(name, ".yaml") && !strings.HasSuffix(name, ".log") {
			v.write(name, readFile(t, path))
		}
	}
	v.write("metadata_url", database)
	key := filepath.Join(v.dir, "site.key")
	if _, err := os.Stat(key); err != nil {
		t.Fatalf("the site's identity is not guarded by a key file: %v", err)
	}
	return &v
}

// quickSite makes a site whose processes start at once: its identity is guarded by a key file.
func quickSite(t *testing.T, systemBucket string) *site {
	t.Helper()
	return newSite(t, systemBucket).guardByKeyFile(t)
}

func (s *site) guardByKeyFile(t *testing.T) *site {
	t.Helper()
	key := make([]byte, 32)
	rand.Read(key) // never fails
	path := s.write("site.key", base64.StdEncoding.EncodeToString(key))
	s.cofre(t, "site", "reseal", "--kms", "file://"+path)
	return s
}
