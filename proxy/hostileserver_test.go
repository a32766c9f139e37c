package proxy_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cofre/s3api"
	"cofre/sigv4/sigv4test"
)

// liar is a storage that lies: an HTTP server between cofre's backend client and the true storage. It hands everything on as it
// came, but for what its lie is about.
type liar struct {
	truth  *storage
	client *http.Transport

	mu    sync.Mutex
	lie   *lie
	asked int // questions that the lie is about, since it is told
	// watch is shown every body that cofre sends. May be nil.
	watch func(r *wire, body []byte)
}

// lie is what a storage says in place of the truth.
type lie struct {
	// about says which requests are answered by it.
	about func(r *wire) bool
	// tell gives the answer; nil for the truth after all.
	tell func(r *wire) *answer
}

// wire is a request as it reaches the storage.
type wire struct {
	*http.Request
	bucket, key string
	n           int // how many such were asked before
	ask         func() *answer
}

// answer is one answer of the storage, whole.
type answer struct {
	status int
	header http.Header
	body   []byte
	// cut breaks the connection behind the body, which is then short of what the header announces.
	cut bool
	// chunked leaves out the length.
	chunked bool
}

// lying puts a liar before a storage. What the test itself does to the storage's raw side goes past it.
func lying(t *testing.T, st *storage) (*storage, *liar) {
	t.Helper()
	l := &liar{truth: st, client: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}}
	srv := httptest.NewServer(l)
	t.Cleanup(func() { srv.Close(); l.client.CloseIdleConnections() })
	before := *st
	before.endpoint = srv.URL
	return &before, l
}

// tells has the storage lie from now on; nil for the truth.
func (l *liar) tells(x *lie) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lie, l.asked = x, 0
}

// told is how often the lie was asked for.
func (l *liar) told() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// ServeHTTP implements http.Handler.
func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in := &wire{Request: r}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	bucket, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	in.bucket, _ = url.PathUnescape(bucket)
	in.key, _ = url.PathUnescape(key)
	in.ask = func() *answer { return l.ask(r) }
	l.mu.Lock()
	x, watch := l.lie, l.watch
	if x != nil && x.about(in) {
		in.n = l.asked
		l.asked++
	} else {
		x = nil
	}
	l.mu.Unlock()
	if watch != nil && r.ContentLength > 0 {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler) // as the true storage would: the object of before stays
		}
		watch(in, body)
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if x != nil {
		if a := x.tell(in); a != nil {
			a.write(w, r)
			return
		}
	}
	l.pass(w, r)
}

// forward sends a request on as it came: the signature is over its path, its query and the host that cofre named.
func (l *liar) forward(r *http.Request) (*http.Response, error) {
	endpoint, err := url.Parse(l.truth.endpoint)
	if err != nil {
		return nil, err
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	out := (&http.Request{
		Method: r.Method, Host: r.Host, Header: r.Header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		URL: &url.URL{Scheme: endpoint.Scheme, Host: endpoint.Host, Opaque: path, RawQuery: query}, ContentLength: r.ContentLength,
	}).WithContext(r.Context())
	if r.ContentLength > 0 {
		out.Body = r.Body
	}
	return l.client.RoundTrip(out)
}

func (l *liar) pass(w http.ResponseWriter, r *http.Request) {
	resp, err := l.forward(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(w, resp.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// ask gets the truth, whole.
func (l *liar) ask(r *http.Request) *answer {
	resp, err := l.forward(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: body}
}

func (a *answer) write(w http.ResponseWriter, r *http.Request) {
	maps.Copy(w.Header(), a.header)
	switch {
	case a.chunked:
		w.Header().Del("Content-Length")
	case w.Header().Get("Content-Length") == "" && a.status != http.StatusNotModified && a.status != http.StatusNoContent:
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	if a.chunked {
		_ = http.NewResponseController(w).Flush()
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body) // longer than announced: net/http lets none of it out beyond that
	}
	if a.cut {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// stored is an object as the storage has it.
type stored struct {
	header http.Header // metadata, ETag, Last-Modified, version id
	body   []byte
}

func (s *stored) clone() *stored { return &stored{s.header.Clone(), bytes.Clone(s.body)} }

// stored takes an object off the storage, as whoever runs it can.
func (s *storage) stored(t *testing.T, bucket, key string) *stored {
	t.Helper()
	u, err := url.Parse(s.endpoint + s3api.EscapePath("/"+bucket+"/"+key))
	if err != nil {
		t.Fatal(err)
	}
	r := &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}
	sigv4test.Signer{AccessKeyID: s.access, SecretAccessKey: s.secret, Region: region, Time: time.Now()}.Sign(r, sigv4test.Payload{Mode: sigv4test.SHA256})
	resp, err := clientTransport.RoundTrip(r.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("take %s off the storage: %d %v", key, resp.StatusCode, err)
	}
	header := resp.Header
	for _, name := range []string{"Content-Length", "Date", "Connection", "X-Amz-Request-Id"} {
		header.Del(name)
	}
	return &stored{header, body}
}

// answer serves a read of the object as an honest storage would that had it.
func (s *stored) answer(r *wire) *answer {
	a := &answer{status: http.StatusOK, header: s.header.Clone(), body: s.body}
	if pin := r.Header.Get("If-Match"); pin != "" && strings.Trim(pin, `"`) != strings.Trim(s.header.Get("Etag"), `"`) {
		return failed(http.StatusPreconditionFailed, "PreconditionFailed")
	}
	part, partial, err := s3api.ParseRange(r.Header.Get("Range"), int64(len(s.body)))
	if err != nil {
		return failed(http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
	}
	if partial {
		a.status = http.StatusPartialContent
		a.header.Set("Content-Range", part.ContentRange(int64(len(s.body))))
		a.body = s.body[part.Off : part.Off+part.Len]
	}
	return a
}

// failed is an S3 error.
func failed(status int, code string) *answer {
	a := &answer{status: status, header: http.Header{"Content-Type": {"application/xml"}}}
	if code != "" {
		a.body = []byte("<?xml version=\"1.0\"?><Error><Code>" + code + "</Code><Message>said the storage</Message></Error>")
	}
	return a
}

// readsOf says whether a request reads this object, its bytes or its headers.
func readsOf(bucket, key string) func(*wire) bool {
	return func(r *wire) bool {
		if r.Method != http.MethodGet && r.Method != http.MethodHead || r.bucket != bucket || r.key != key {
			return false
		}
		for name := range r.URL.Query() {
			if name != "versionId" {
				return false
			}
		}
		return true
	}
}

// listsOf says whether a request lists this bucket.
func listsOf(bucket string) func(*wire) bool {
	return func(r *wire) bool {
		return r.Method == http.MethodGet && r.bucket == bucket && r.key == "" && r.URL.Query().Get("encoding-type") != ""
	}
}

// shows is the lie that another object lies there.
func shows(bucket, key string, s *stored) *lie {
	return &lie{about: readsOf(bucket, key), tell: s.answer}
}
