package proxy_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cofre/access"
	"cofre/admission"
	"cofre/internal/longtest"
	"cofre/proxy"
	"cofre/sigv4/sigv4test"
)

const (
	mib         = 1 << 20
	otherKey    = "AKIACOFRETESTCLIENT2"
	otherSecret = "a-secret-of-another-client-00000000000000"
)

// holding is a site whose backend keeps requests for keys that begin with "held" until it is let go: what is admitted then stays.
func holding(t *testing.T, gate admission.GateConfig, rates *admission.Rates) (s *site, held *atomic.Int64, letGo func()) {
	t.Helper()
	free, n := make(chan struct{}), &atomic.Int64{}
	m := &meddler{before: func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool) {
		if strings.HasPrefix(rq.Key, "held") {
			n.Add(1)
			<-free
			n.Add(-1)
		}
		return nil, nil, false
	}}
	s = newSite(t, diskStorage(t), siteConfig{
		wrap: func(b proxy.Backend) proxy.Backend { m.Backend = b; return m }, gate: admission.NewGate(gate), rates: rates,
		credentials: []access.Credential{{AccessKeyID: otherKey, Secret: otherSecret, Grants: []access.Grant{{Bucket: "*", Actions: access.AllActions()}}}},
	})
	letGo = sync.OnceFunc(func() { close(free) })
	t.Cleanup(letGo)
	return s, n, letGo
}

// wantSlowDown fails unless an answer sends its client away for a while, as S3 does.
func wantSlowDown(t *testing.T, got reply) {
	t.Helper()
	got.want(t, http.StatusServiceUnavailable, "SlowDown")
	seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > 10 || got.header.Get("Content-Type") != "application/xml" {
		t.Fatalf("Retry-After %q, %v", got.header.Get("Retry-After"), got.header)
	}
	if ms, err := strconv.Atoi(got.header.Get("X-Amz-Retry-After")); err != nil || ms < 1 || ms > seconds*1000 {
		t.Fatalf("x-amz-retry-after %q", got.header.Get("X-Amz-Retry-After"))
	}
}

// TestAStampedeIsServedWithinTheBudget sends two thousand uploads at once, on as many connections, at a site with room for seven of
// them: the gate never gives out more than it has, everybody has an answer of S3, and those who were let in have their object.
func TestAStampedeIsServedWithinTheBudget(t *testing.T) {
	const uploads, room = 2000, 8 << 19
	var inside, most atomic.Int64
	m := &meddler{}
	m.before = func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool) {
		if rq.Method == http.MethodPut && strings.HasPrefix(rq.Key, "k") {
			n := inside.Add(1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
		}
		return nil, nil, false
	}
	m.after = func(rq *proxy.BackendRequest, resp *proxy.BackendResponse, err error) (*proxy.BackendResponse, error) {
		if rq.Method == http.MethodPut && strings.HasPrefix(rq.Key, "k") {
			inside.Add(-1)
		}
		return resp, err
	}
	s := newSite(t, diskStorage(t), siteConfig{
		wrap: func(b proxy.Backend) proxy.Backend { m.Backend = b; return m },
		gate: admission.NewGate(admission.GateConfig{Memory: room, Requests: 400, Wait: 500 * time.Millisecond}),
	})
	b := s.bucket(t, "stampede")
	body := pattern(70_000) // more than a light one
	transport := &http.Transport{MaxIdleConnsPerHost: -1}
	var served, refused, some atomic.Int64
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range uploads {
		r := s.build(t, request{method: "PUT", bucket: b, key: fmt.Sprintf("k%d", i%50), payload: sigv4test.Payload{Mode: sigv4test.Unsigned, Data: body}})
		all.Go(func() {
			<-start
			resp, err := transport.RoundTrip(r)
			if err != nil {
				t.Errorf("no answer: %v", err)
				return
			}
			switch got := read(resp); got.status {
			case http.StatusOK:
				served.Add(1)
				some.Store(int64(i))
			case http.StatusServiceUnavailable:
				refused.Add(1)
				if got.code != "SlowDown" || got.header.Get("Retry-After") == "" {
					t.Errorf("refused with %q, Retry-After %q", got.code, got.header.Get("Retry-After"))
				}
			default:
				t.Errorf("answer %d %s", got.status, got.code)
			}
		})
	}
	close(start)
	all.Wait()
	if most.Load() > 7 {
		t.Errorf("%d uploads were at the backend at once, the budget has room for 7", most.Load())
	}
	if served.Load() == 0 || served.Load()+refused.Load() != uploads {
		t.Errorf("%d served, %d refused", served.Load(), refused.Load())
	}
	if got := s.get(t, b, fmt.Sprintf("k%d", some.Load()%50)); !bytes.Equal(got, body) {
		t.Error("what was served is not there")
	}
	longtest.Figure(t, "uploads in a stampede served", int(served.Load()))
	longtest.Figure(t, "uploads in a stampede refused with Retry-After", int(refused.Load()))
}

// TestOneClientCannotKeepAnotherOut has one credential send a hundred uploads that never end. Another one's upload, listing and HEAD
// are served at once all the same; a further upload of the first is told to come back, before a byte of it was read.
func TestOneClientCannotKeepAnotherOut(t *testing.T) {
	s, held, letGo := holding(t, admission.GateConfig{Memory: 64 * mib, Requests: 40, Wait: 100 * time.Millisecond}, nil)
	b := s.bucket(t, "greedy")
	s.put(t, b, "small", pattern(100_000))
	var crowd sync.WaitGroup
	for i := range 100 {
		r := s.build(t, request{method: "PUT", bucket: b, key: fmt.Sprintf("held%d", i), payload: sigv4test.Payload{Mode: sigv4test.Unsigned, Data: pattern(100_000)}})
		crowd.Go(func() {
			if resp, err := clientTransport.RoundTrip(r); err == nil {
				read(resp)
			}
		})
	}
	for held.Load() < 27 { // four fifths of 35, but for rounding
		if time.Sleep(time.Millisecond); t.Context().Err() != nil {
			t.Fatal("they never came in")
		}
	}
	other := client(s.url, otherKey, otherSecret)
	for range 20 {
		if _, err := other.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: str("of the other"), Body: bytes.NewReader(pattern(100_000))}); err != nil {
			t.Fatal(err)
		}
		if _, err := other.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &b}); err != nil {
			t.Fatal(err)
		}
		if _, err := other.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b, Key: str("small")}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b, Key: str("small")}); err != nil {
			t.Fatal(err) // the greedy one's own small requests are served too
		}
	}
	body := &countedBody{Reader: bytes.NewReader(pattern(10 << 20))}
	r := s.build(t, request{method: "PUT", bucket: b, key: "refused", payload: sigv4test.Payload{Mode: sigv4test.Unsigned, Data: pattern(10 << 20)}, header: map[string]string{"Expect": "100-continue"}})
	r.Body = io.NopCloser(body)
	transport := &http.Transport{ExpectContinueTimeout: time.Minute}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	wantSlowDown(t, read(resp))
	if body.n.Load() != 0 {
		t.Errorf("%d bytes were taken of a body that was refused", body.n.Load())
	}
	letGo()
	crowd.Wait()
}

type countedBody struct {
	io.Reader
	n atomic.Int64
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// TestSDKsComeThroughWithTheirOwnRetries gives AWS's SDK as it comes a site that has room for less than it asks for, and rates that
// it exceeds: nobody who uses it sees an error.
func TestSDKsComeThroughWithTheirOwnRetries(t *testing.T) {
	rates := admission.NewRates(admission.RatesConfig{Of: func(string) admission.Quota {
		return admission.Quota{Requests: admission.Rate{PerSecond: 20, Burst: 10}}
	}})
	s := newSite(t, diskStorage(t), siteConfig{rates: rates, gate: admission.NewGate(admission.GateConfig{Memory: 2 * mib, Requests: 8, Wait: 100 * time.Millisecond})})
	b := s.bucket(t, "retries")
	sdk := s3.New(s3.Options{
		BaseEndpoint: &s.url, Region: region, UsePathStyle: true, HTTPClient: &http.Client{Transport: clientTransport},
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	})
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			body := pattern(80_000 + i)
			if _, err := sdk.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: aws.String(fmt.Sprint(i)), Body: bytes.NewReader(body)}); err != nil {
				t.Errorf("upload %d: %v", i, err)
			}
		})
		time.Sleep(20 * time.Millisecond) // 50 in a second, where 20 are allowed
	}
	all.Wait()
	slowed := 0
	for _, line := range s.logs.FilterMessage("request").All() {
		if line.ContextMap()["code"] == "SlowDown" {
			slowed++
		}
	}
	if slowed == 0 {
		t.Error("nothing was refused, so nothing was tried")
	}
	longtest.Figure(t, "refusals that the SDK's own retries came through", slowed)
}

// TestARateIsHeldPerCredential: who asks too often is told to come back, and nobody else is.
func TestARateIsHeldPerCredential(t *testing.T) {
	rates := admission.NewRates(admission.RatesConfig{Of: func(accessKeyID string) admission.Quota {
		if accessKeyID == otherKey {
			return admission.Quota{}
		}
		return admission.Quota{Requests: admission.Rate{PerSecond: 0.01, Burst: 5}}
	}})
	s, _, _ := holding(t, admission.GateConfig{}, rates)
	b := s.bucket(t, "rated") // one
	for range 4 {
		s.send(t, request{method: "GET", bucket: b, query: "location"}).want(t, 200, "")
	}
	got := s.send(t, request{method: "PUT", bucket: b, key: "k", payload: sigv4test.Payload{Data: pattern(100_000)}})
	if got.code != "SlowDown" || got.header.Get("Retry-After") == "" {
		t.Fatalf("%d %s", got.status, got.code)
	}
	other := client(s.url, otherKey, otherSecret)
	for range 20 {
		if _, err := other.GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: &b}); err != nil {
			t.Fatal(err)
		}
	}
	// Whoever only says that he is somebody takes nothing from him.
	forged := s.build(t, request{method: "GET", bucket: b, query: "location", spoil: wrongSignature})
	if resp, err := clientTransport.RoundTrip(forged); err != nil {
		t.Fatal(err)
	} else {
		read(resp).want(t, 403, "SignatureDoesNotMatch")
	}
}

// TestALimitOfBytesSlowsStreamsAndBreaksNone moves two megabytes each way under a limit of one in a second, and counts what was
// waited for.
func TestALimitOfBytesSlowsStreamsAndBreaksNone(t *testing.T) {
	limit := admission.Rate{PerSecond: mib, Burst: mib}
	rates := admission.NewRates(admission.RatesConfig{Of: func(string) admission.Quota { return admission.Quota{Read: limit, Write: limit} }})
	s := newSite(t, diskStorage(t), siteConfig{rates: rates, limits: proxy.Limits{UploadStall: 500 * time.Millisecond, DownloadStall: 500 * time.Millisecond}})
	b := s.bucket(t, "paced")
	body := pattern(2 * mib)
	began := time.Now()
	s.put(t, b, "k", body)
	wrote := time.Since(began)
	if got := s.get(t, b, "k"); !bytes.Equal(got, body) {
		t.Fatal("it came back as something else")
	}
	if read := time.Since(began) - wrote; wrote < 900*time.Millisecond || read < 900*time.Millisecond {
		t.Errorf("written in %v, read in %v: a second is what the limit leaves", wrote, read)
	}
}

// TestLargeDocumentsAreBoundedTogether sends 24 documents of the largest size at once, each all entities and nesting as far as XML
// goes, at a site that has room for one. The heap holds what the gate admits, not what was sent.
func TestLargeDocumentsAreBoundedTogether(t *testing.T) {
	const size, room = 8 << 20, 96 * mib
	s := newSite(t, diskStorage(t), siteConfig{gate: admission.NewGate(admission.GateConfig{Memory: room, Requests: 100, Wait: 20 * time.Second})})
	b := s.bucket(t, "bombs")
	bombs := map[string]string{
		"one object of many": "<Object><Key>" + strings.Repeat("&amp;", 200) + "</Key></Object>",
		"entities":           "<Object><Key>" + strings.Repeat("&lt;", 1000) + "</Key></Object>",
		"attributes":         `<Object a="` + strings.Repeat("x", 500) + `"/>`,
		"empty":              "<Object/>",
	}
	var documents [][]byte
	for _, element := range bombs {
		documents = append(documents, append([]byte("<Delete>"), bytes.Repeat([]byte(element), (size-20)/len(element))...))
	}
	documents = append(documents,
		[]byte(`<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>`),
		bytes.Repeat([]byte("<Delete>"), size/8-1))
	ctx, done := context.WithCancel(t.Context())
	var peak atomic.Uint64
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var watcher, all sync.WaitGroup
	watcher.Go(func() {
		for ctx.Err() == nil {
			runtime.GC() // so that what is counted is held by somebody
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			if now.HeapAlloc > peak.Load() {
				peak.Store(now.HeapAlloc)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	var refused atomic.Int64
	for i := range 24 {
		doc := documents[i%len(documents)]
		sum := md5.Sum(doc)
		r := s.build(t, request{method: "POST", bucket: b, query: "delete", header: map[string]string{"Content-MD5": base64.StdEncoding.EncodeToString(sum[:])},
			payload: sigv4test.Payload{Mode: sigv4test.Unsigned}, spoil: func(r *http.Request) {
				r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(doc)), int64(len(doc)) // one copy for all
			}})
		all.Go(func() {
			resp, err := clientTransport.RoundTrip(r)
			if err != nil {
				t.Errorf("no answer: %v", err)
				return
			}
			if got := read(resp); got.code == "MalformedXML" {
				refused.Add(1)
			} else if got.code != "SlowDown" {
				t.Errorf("answer %d %s", got.status, got.code)
			}
		})
	}
	all.Wait()
	done()
	watcher.Wait()
	if held := int64(peak.Load()) - int64(before.HeapAlloc); held > room {
		t.Errorf("the heap held %d MiB for documents, the budget is %d", held/mib, room/mib)
	} else {
		t.Logf("the heap held %d MiB at most", held/mib)
	}
	if refused.Load() == 0 {
		t.Error("no document was looked at")
	}
	longtest.Figure(t, "XML bombs refused", int(refused.Load()))
}
