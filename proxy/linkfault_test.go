package proxy_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"cofre/backend"
	"cofre/internal/longtest"
	"cofre/metadata"
	"cofre/metadata/postgres"
	"cofre/metadata/postgres/postgrestest"
	"cofre/metadata/rediscache"
	"cofre/metadata/storetest"
	"cofre/proxy"
	"cofre/sigv4/sigv4test"
)

// tooLong is when a request counts as stuck. Deadlines here are below two seconds, so it is no measure of speed.
const tooLong = 2 * time.Minute

// neighbour is one of those that cofre speaks with, and how a site is made that reaches it by a link.
type neighbour struct {
	name string
	// through makes a site like the one without faults, and the link.
	through func(t *testing.T, w *world, f fault) (*site, *link)
	// patience is how long the client waits; what takes longer is stuck, unless it is the client's own way that is broken.
	patience time.Duration
	// answers says which answers are documented while the link fails, beside success.
	answers func(op operation, f fault, a *attempt) bool
}

// world is what all sites of a test share: they are replicas of one site, on one database and one storage.
type world struct {
	clean             *site
	database          string
	plain, versioned  string // buckets
	guarded           string // that of conditional writes, which have all others of their bucket take locks
	injected, answers int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{database: postgrestest.Database(t)}
	w.clean = newSite(t, rgwStorage(t), siteConfig{store: openPostgres(t, w.database, postgres.Config{})})
	w.plain, w.versioned, w.guarded = w.clean.bucket(t, "plain"), w.clean.bucket(t, "versioned"), w.clean.bucket(t, "guarded")
	enableVersioning(t, w.clean, w.versioned)
	t.Cleanup(func() {
		for _, b := range []string{w.plain, w.versioned, w.guarded, w.clean.system} {
			w.clean.remove(t, b)
		}
	})
	return w
}

func openPostgres(t *testing.T, url string, cfg postgres.Config) metadata.Store {
	t.Helper()
	store, err := postgres.Open(context.Background(), url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// hasty are deadlines that a test can wait for; patient ones that a busy machine does not run into.
func hasty(c *backend.Config) {
	c.ConnectTimeout, c.StallTimeout, c.AnswerTimeout, c.Retries = time.Second, time.Second/2, time.Second/2, 1
}

func hastyLimits() proxy.Limits {
	return proxy.Limits{UploadStall: time.Second, DownloadStall: time.Second, LockWait: 2 * time.Second}
}

func hastyStore() postgres.Config {
	return postgres.Config{Conns: 8, LockConns: 8, Timeout: time.Second / 2, PingTimeout: 300 * time.Millisecond, PingEvery: 100 * time.Millisecond}
}

func unavailable(_ operation, _ fault, a *attempt) bool {
	return a.err == nil && (a.got.code == "SlowDown" || a.got.code == "ServiceUnavailable" || a.got.status == 503 && len(a.got.body) == 0)
}

func brokenOff(a *attempt) bool { return a.err == nil && a.got.cut != nil && a.got.status/100 == 2 }

func backendLink() neighbour {
	return neighbour{
		name: "backend", patience: tooLong,
		through: func(t *testing.T, w *world, f fault) (*site, *link) {
			storage := *w.clean.storage
			var l *link
			l, storage.endpoint = linkTo(t, storage.endpoint)
			cfg := siteConfig{identity: w.clean.identity, store: w.clean.store}
			if !f.mild {
				cfg.client = hasty
			}
			return newSite(t, &storage, cfg), l
		},
		answers: func(op operation, f fault, a *attempt) bool { return unavailable(op, f, a) || op.reads && brokenOff(a) },
	}
}

func storeLink() neighbour {
	return neighbour{
		name: "store", patience: tooLong,
		through: func(t *testing.T, w *world, f fault) (*site, *link) {
			l, url := linkTo(t, w.database)
			cfg := postgres.Config{}
			if !f.mild {
				cfg = hastyStore()
			}
			return newSite(t, w.clean.storage, siteConfig{identity: w.clean.identity, store: openPostgres(t, url, cfg), limits: hastyLimits()}), l
		},
		answers: func(op operation, f fault, a *attempt) bool { return !op.reads && unavailable(op, f, a) },
	}
}

func cacheLink() neighbour {
	return neighbour{
		name: "cache", patience: tooLong,
		through: func(t *testing.T, w *world, _ fault) (*site, *link) {
			l, url := linkTo(t, storetest.Server(t, "redis", "COFRE_TEST_REDIS"))
			store, err := rediscache.New(openPostgres(t, w.database, postgres.Config{}), url, rediscache.Config{Prefix: "cofre-test-" + randomHex(8) + ":"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { store.Close() })
			return newSite(t, w.clean.storage, siteConfig{identity: w.clean.identity, store: store}), l
		},
		answers: func(operation, fault, *attempt) bool { return false }, // nobody notices
	}
}

func clientLink() neighbour {
	return neighbour{
		name: "client", patience: 2 * time.Second,
		through: func(t *testing.T, w *world, f fault) (*site, *link) {
			cfg := siteConfig{identity: w.clean.identity, store: w.clean.store}
			if !f.mild {
				cfg.limits = hastyLimits()
			}
			s := newSite(t, w.clean.storage, cfg)
			l := newLink(t, strings.TrimPrefix(s.url, "http://"))
			s.url = "http://" + l.address
			return s, l
		},
		answers: func(_ operation, _ fault, a *attempt) bool {
			return a.err != nil || a.got.cut != nil || a.got.code == "RequestTimeout" || a.got.code == "IncompleteBody"
		},
	}
}

func TestEveryOperationEndsWellWhateverTheWayToTheBackendSuffers(t *testing.T) {
	breakLink(t, backendLink())
}
func TestEveryOperationEndsWellWhateverTheWayToTheStoreSuffers(t *testing.T) {
	breakLink(t, storeLink())
}
func TestNobodyNoticesWhatTheWayToTheCacheSuffers(t *testing.T) { breakLink(t, cacheLink()) }
func TestEveryOperationEndsWellWhateverTheWayToTheClientSuffers(t *testing.T) {
	breakLink(t, clientLink())
}

// breakLink has each operation meet each fault of one link.
func breakLink(t *testing.T, n neighbour) {
	here := append(toolsOwn(), goleak.IgnoreCurrent())
	files := openFiles(t)
	w := &world{}
	t.Run("suffers", func(t *testing.T) {
		*w = *newWorld(t)
		for i, f := range faults() {
			if longtest.Raced && i%4 != 0 {
				continue // all of them are met without the race detector
			}
			t.Run(f.name, func(t *testing.T) { w.meet(t, n, f) })
		}
	})
	clientTransport.CloseIdleConnections()
	if err := goleak.Find(here...); err != nil {
		t.Error(err)
	}
	eventually(t, "no file or connection stays open", func() bool { clientTransport.CloseIdleConnections(); return openFiles(t) <= files })
	longtest.Figure(t, "faults injected into the way to the "+n.name, w.injected)
	longtest.Figure(t, "requests answered as documented", w.answers)
}

// meet has all operations, at once, meet one fault.
func (w *world) meet(t *testing.T, n neighbour, f fault) {
	s, l := n.through(t, w, f)
	patience := n.patience
	if f.mild { // everything succeeds in the end, however long it takes
		patience = tooLong
	}
	attempts := w.prepare(t, f)
	s.warm(t, w)
	l.suffer(f)
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	var asking sync.WaitGroup
	for i, op := range linkOperations() {
		asking.Go(func() { attempts[i].got, attempts[i].err = s.tryWithin(t, op.ask(attempts[i]), transport, patience) })
	}
	asking.Wait()
	transport.CloseIdleConnections()
	for i, op := range linkOperations() {
		a := attempts[i]
		w.injected++
		switch {
		case n.patience == tooLong && (errors.Is(a.err, context.DeadlineExceeded) || errors.Is(a.got.cut, context.DeadlineExceeded)):
			t.Errorf("%s is stuck", op.name)
		case !a.ok() && (f.mild || !n.answers(op, f, a)):
			t.Errorf("%s is answered %d %s, cut %v, error %v", op.name, a.got.status, a.got.code, a.got.cut, a.err)
		default:
			w.answers++
		}
	}
	eventually(t, "cofre lets go of its clients", func() bool { return s.gauge(t, "cofre_admission_requests") == 0 })
	if n.name == "store" && f.down() {
		eventually(t, "the store is told to be down", func() bool { return !s.store.Healthy() })
	}
	l.heal()
	s.recovers(t, w)
	for i, op := range linkOperations() {
		if err := op.judge(t, w.clean, attempts[i]); err != nil {
			t.Errorf("after %s (%d %s, %v): %v", op.name, attempts[i].got.status, attempts[i].got.code, attempts[i].err, err)
		}
	}
	eventually(t, "no lock or transaction is left in the store", func() bool { return postgrestest.Busy(t, w.database) == 0 })
}

func (w *world) prepare(t *testing.T, f fault) []*attempt {
	var all []*attempt
	for i, op := range linkOperations() {
		bucket := w.plain
		switch {
		case op.conditional():
			bucket = w.guarded
		case i%2 == 1:
			bucket = w.versioned
		}
		a := newAttempt(bucket, f.name+" "+op.name)
		if op.prepare != nil {
			op.prepare(t, w.clean, a)
		}
		all = append(all, a)
	}
	return all
}

// warm has a site know its buckets and keys, and hold connections, as one that has served for a while.
func (s *site) warm(t *testing.T, w *world) {
	t.Helper()
	for _, b := range []string{w.plain, w.versioned, w.guarded} {
		s.putRaw(t, b, "warm", []byte("warm"), nil).want(t, 200, "")
		s.send(t, request{method: "GET", bucket: b, key: "warm"}).want(t, 200, "")
	}
}

// recovers waits until a site whose link is back writes and reads again, by itself.
func (s *site) recovers(t *testing.T, w *world) {
	t.Helper()
	eventually(t, "the store is healthy again", s.store.Healthy)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	eventually(t, "the site serves again", func() bool {
		put, err := s.tryWithin(t, request{method: "PUT", bucket: w.plain, key: "after"}, transport, tooLong)
		if err != nil || put.status != 200 {
			return false
		}
		got, err := s.tryWithin(t, request{method: "GET", bucket: w.plain, key: "after"}, transport, tooLong)
		return err == nil && got.status == 200
	})
}

// tryWithin sends a request and reads the whole answer, whatever becomes of it.
func (s *site) tryWithin(t *testing.T, rq request, transport *http.Transport, patience time.Duration) (reply, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, err := transport.RoundTrip(s.build(t, rq).WithContext(ctx))
	if err != nil {
		return reply{}, err
	}
	return read(resp), nil
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 3000 {
		if is() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("never came about: %s", what)
}

// openFiles counts what this process holds open, connections among it.
func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("there is no /proc here to count open files in")
	}
	return len(all)
}

// remove takes a bucket away with all that is in it.
func (s *storage) remove(t *testing.T, bucket string) {
	ctx := context.WithoutCancel(t.Context())
	versions := s3.NewListObjectVersionsPaginator(s.raw, &s3.ListObjectVersionsInput{Bucket: &bucket})
	for versions.HasMorePages() {
		page, err := versions.NextPage(ctx)
		if err != nil {
			t.Errorf("list what is left in %s: %v", bucket, err)
			return
		}
		var removing errgroup.Group
		removing.SetLimit(8)
		for _, v := range page.Versions {
			removing.Go(func() error { return s.removeVersion(ctx, bucket, v.Key, v.VersionId) })
		}
		for _, m := range page.DeleteMarkers {
			removing.Go(func() error { return s.removeVersion(ctx, bucket, m.Key, m.VersionId) })
		}
		if err := removing.Wait(); err != nil {
			t.Errorf("clear %s: %v", bucket, err)
			return
		}
	}
	uploads := s3.NewListMultipartUploadsPaginator(s.raw, &s3.ListMultipartUploadsInput{Bucket: &bucket})
	for uploads.HasMorePages() {
		page, err := uploads.NextPage(ctx)
		if err != nil {
			break
		}
		for _, u := range page.Uploads {
			_, _ = s.raw.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: u.Key, UploadId: u.UploadId})
		}
	}
	_, _ = s.raw.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket}) // RGW keeps one for a while whose parts it still collects
}

func (s *storage) removeVersion(ctx context.Context, bucket string, key, version *string) error {
	_, err := s.raw.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: key, VersionId: version})
	return err
}

func enableVersioning(t *testing.T, s *site, bucket string) {
	t.Helper()
	doc := `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`
	s.send(t, request{method: "PUT", bucket: bucket, query: "versioning=", payload: sigv4test.Payload{Data: []byte(doc)}}).want(t, 200, "")
}
