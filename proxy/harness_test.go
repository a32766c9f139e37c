package proxy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"cofre/access"
	"cofre/admission"
	"cofre/backend"
	"cofre/backend/disk"
	"cofre/internal/source"
	"cofre/keys"
	"cofre/metadata"
	"cofre/metadata/sqlite"
	"cofre/proxy"
	"cofre/s3api"
	"cofre/sigv4"
)

const (
	region       = "us-east-1"
	systemBucket = "cofre-system"
	accessKey    = "AKIACOFRETESTCLIENT1"
	secretKey    = "a-secret-of-the-test-client-0000000000000"
)

// storage is the S3 store behind a site, as whoever runs it sees it: raw.
type storage struct {
	endpoint  string
	access    string
	secret    string
	raw       *s3.Client
	bucketTag string // makes names unique on a store that outlives the test
}

// diskStorage is the store of cofre dev, in this process.
func diskStorage(t testing.TB) *storage {
	t.Helper()
	b, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(b.Handler())
	t.Cleanup(func() { srv.Close(); b.Close() })
	s := &storage{endpoint: srv.URL, access: "site", secret: "site-secret"}
	s.raw = client(s.endpoint, s.access, s.secret)
	return s
}

// rgwStorage is the real Ceph RGW of the test environment.
func rgwStorage(t testing.TB) *storage {
	t.Helper()
	endpoint := os.Getenv("COFRE_TEST_RGW")
	if endpoint == "" {
		if strings.Contains(os.Getenv("COFRE_TEST_REQUIRE"), "rgw") {
			t.Fatal("COFRE_TEST_RGW is not set, and COFRE_TEST_REQUIRE names rgw")
		}
		t.Skip("COFRE_TEST_RGW is not set: run make test for the real Ceph RGW")
	}
	s := &storage{
		endpoint: endpoint, access: os.Getenv("COFRE_TEST_RGW_ACCESS_KEY"), secret: os.Getenv("COFRE_TEST_RGW_SECRET_KEY"),
		bucketTag: "-" + randomHex(6),
	}
	s.raw = client(s.endpoint, s.access, s.secret)
	return s
}

// eachStorage runs a test over the store of cofre dev and over the real RGW.
func eachStorage(t *testing.T, test func(t *testing.T, s *storage)) {
	t.Run("disk", func(t *testing.T) { test(t, diskStorage(t)) })
	t.Run("rgw", func(t *testing.T) { test(t, rgwStorage(t)) })
}

// site is one cofre in this process: the real handler over a real store, ring and backend client.
type site struct {
	*storage
	url      string
	handler  *proxy.Handler
	client   *s3.Client
	store    metadata.Store
	identity *keys.Identity
	trust    *keys.TrustList
	ring     *keys.Ring
	backend  *recorder
	system   string
	logs     *observer.ObservedLogs
	registry *prometheus.Registry
}

type siteConfig struct {
	policy func(string) proxy.BucketPolicy
	grants []access.Grant
	limits proxy.Limits
	gate   *admission.Gate
	rates  *admission.Rates
	// identity and store take over those of another site: a restart, or a replica.
	identity *keys.Identity
	store    metadata.Store
	wrap     func(proxy.Backend) proxy.Backend
	// wrapStore is between the handler and the store. May be nil.
	wrapStore func(metadata.Store) metadata.Store
	// log is written instead of remembered. May be nil.
	log     *zap.Logger
	domains []string
	anon    access.Identity
	// keysOverHTTP takes customer keys over plain http.
	keysOverHTTP bool
	// users are further backend users, and credentials further clients that act as them.
	users       map[access.BackendUser]backend.Credentials
	credentials []access.Credential
	// client changes how the backend is spoken to. May be nil.
	client func(*backend.Config)
	// attempts slows down who guesses, and guessing is told; proxies are believed.
	attempts *access.Attempts
	guessing func(proxy.Guessing)
	proxies  source.Proxies
}

func newSite(t testing.TB, st *storage, cfg siteConfig) *site {
	t.Helper()
	s := &site{storage: st, store: cfg.store, identity: cfg.identity, system: systemBucket + st.bucketTag, registry: prometheus.NewRegistry()}
	if s.identity == nil {
		s.identity = must(keys.GenerateIdentity("test site"))
	}
	if s.store == nil {
		store, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "meta.db"), sqlite.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		s.store = store
	}
	if cfg.wrapStore != nil {
		s.store = cfg.wrapStore(s.store)
	}
	s.trust = keys.NewTrustList(s.identity, time.Now())
	users := map[access.BackendUser]backend.Credentials{access.SiteUser: {AccessKeyID: st.access, SecretAccessKey: st.secret}}
	maps.Copy(users, cfg.users)
	speak := backend.Config{Endpoint: st.endpoint, Region: region, Users: users}
	if cfg.client != nil {
		cfg.client(&speak)
	}
	bc, err := backend.New(speak)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bc.Close)
	s.backend = &recorder{Backend: bc}
	var b proxy.Backend = s.backend
	if cfg.wrap != nil {
		b = cfg.wrap(b)
	}
	ring := keys.NewRing(keys.RingConfig{
		Identity: s.identity, Trust: func() *keys.TrustList { return s.trust }, Store: s.store, System: proxy.NewSystem(b, s.system),
	})
	if cfg.grants == nil {
		cfg.grants = []access.Grant{{Bucket: "*", Actions: access.AllActions()}}
	}
	creds, err := access.NewCredentials(access.Config{
		Static:    append([]access.Credential{{AccessKeyID: accessKey, Secret: access.Secret(secretKey), Grants: cfg.grants}}, cfg.credentials...),
		Anonymous: cfg.anon,
	})
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.InfoLevel)
	s.logs = logs
	if cfg.log == nil {
		cfg.log = zap.New(core)
	}
	hosts := s3api.Hosts{Domains: cfg.domains}
	h := proxy.New(proxy.Config{
		Hosts: hosts, Verifier: sigv4.New(sigv4.Config{Secrets: clientSecrets{creds}, Bucket: hosts.Bucket}), Access: creds, Backend: b,
		Store: s.store, Ring: ring, Site: s.identity.Card().ID, Region: region, SystemBucket: s.system,
		Attempts: cfg.attempts, Guessing: cfg.guessing, Proxies: cfg.proxies, Gate: cfg.gate, Rates: cfg.rates,
		Bucket: cfg.policy, Limits: cfg.limits, CustomerKeysOverHTTP: cfg.keysOverHTTP, Log: cfg.log, Registerer: s.registry, Clock: time.Now,
	})
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	s.handler, s.ring, s.url = h, ring, srv.URL
	s.client = client(s.url, accessKey, secretKey)
	return s
}

// clientSecrets tells sigv4 in its own words that there is no such access key, as cmd/cofre does.
type clientSecrets struct{ *access.Credentials }

func (c clientSecrets) Secret(ctx context.Context, accessKeyID string) (string, error) {
	secret, err := c.Credentials.Secret(ctx, accessKeyID)
	if errors.Is(err, access.ErrUnknownAccessKey) {
		err = sigv4.ErrUnknownAccessKey
	}
	return secret, err
}

// bucket makes a bucket through cofre.
func (s *site) bucket(t testing.TB, name string) string {
	t.Helper()
	name += s.bucketTag
	if _, err := s.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	return name
}

// client is an S3 client that retries nothing: a test sees each answer.
func client(endpoint, access, secret string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &endpoint, Region: region, UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(access, secret, ""),
		HTTPClient:  &http.Client{Transport: clientTransport},
	})
}

func (s *site) put(t testing.TB, bucket, key string, body []byte) *s3.PutObjectOutput {
	t.Helper()
	out, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (s *site) get(t *testing.T, bucket, key string) []byte {
	t.Helper()
	out, err := s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// rawObject reads an object as the storage has it.
func (s *storage) rawObject(t *testing.T, bucket, key string) (*s3.GetObjectOutput, []byte) {
	t.Helper()
	out, err := s.raw.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return out, body
}

// recorder notes the calls that reach the backend: the golden trace of a request.
type recorder struct {
	proxy.Backend
	mu    sync.Mutex
	calls []string
}

func (r *recorder) Do(ctx context.Context, as access.BackendUser, rq *proxy.BackendRequest) (*proxy.BackendResponse, error) {
	resp, err := r.Backend.Do(ctx, as, rq)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, describe(rq, resp, err))
	return resp, err
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

func describe(rq *proxy.BackendRequest, resp *proxy.BackendResponse, err error) string {
	name := "object"
	switch {
	case strings.HasPrefix(rq.Bucket, systemBucket):
		name = "system"
		switch {
		case strings.HasSuffix(rq.Key, "record.json"):
			name = "system kek record"
		case strings.Contains(rq.Key, "/grants/"):
			name = "system grant"
		case strings.Contains(rq.Key, "/layouts/"):
			name = "system layout"
		}
	case rq.Key == "":
		name = "bucket"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", rq.Method, name)
	for k, v := range rq.Query.All() {
		if k == "uploadId" {
			v = "ID"
		}
		fmt.Fprintf(&b, " ?%s=%s", k, v)
	}
	if v := rq.Header.Get("Range"); v != "" {
		fmt.Fprintf(&b, " range %s", v)
	}
	for _, h := range []string{"If-Match", "If-None-Match", "x-amz-copy-source-if-match", "x-amz-copy-if-match"} {
		if rq.Header.Get(h) != "" {
			fmt.Fprintf(&b, " %s", strings.ToLower(h))
		}
	}
	if rq.Length > 0 {
		fmt.Fprintf(&b, " body %d", rq.Length)
	}
	var e *s3api.Error
	switch {
	case err == nil:
		fmt.Fprintf(&b, " -> %d", resp.Status)
	case errors.As(err, &e):
		fmt.Fprintf(&b, " -> %d %s", e.Status, e.Code)
	default:
		b.WriteString(" -> broken")
	}
	return b.String()
}

// findings is how many integrity findings of these kinds were counted; of all where none is named.
func (s *site) findings(t *testing.T, kinds ...string) (n float64) {
	t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "cofre_integrity_findings_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			if len(kinds) == 0 || slices.Contains(kinds, m.GetLabel()[0].GetValue()) {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// wantCode fails unless err is an S3 error of this code.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Fatalf("error %v, want %s", err, code)
	}
}

// pattern is a body whose every byte depends on its place.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + i>>8 + i>>16)
	}
	return p
}

func randomBytes(n int) []byte {
	p := make([]byte, n)
	rand.Read(p)
	return p
}

func randomHex(n int) string { return hex.EncodeToString(randomBytes(n)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func str(s string) *string { return aws.String(s) }
