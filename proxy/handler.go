package proxy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"cofre/access"
	"cofre/admission"
	"cofre/internal/source"
	"cofre/keys"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/sigv4"
)

// Access says who a verified client is and what it may do. access.Credentials is the implementation.
type Access interface {
	// Identity gives the identity of a verified access key.
	Identity(ctx context.Context, accessKeyID string) (access.Identity, error)
	// Anonymous gives the identity of an unsigned request; its grants come from the configuration alone.
	Anonymous() access.Identity
}

// Ring mints and opens bucket keys. keys.Ring is the implementation.
type Ring interface {
	Active(ctx context.Context, bucket string) (keys.KEK, error)
	Open(ctx context.Context, bucket string, id keys.KEKID) (keys.KEK, keys.KEKState, error)
	Close(ctx context.Context, bucket string) error
	// CheckObject says whether an object of this key may be sealed under this KEK: a deposit site's KEK is good only where
	// the trust list lets that site write.
	CheckObject(kek keys.KEK, objectKey string) error
	// CheckWrite says whether this site may write an object of this key: where it deposits it may not everywhere.
	CheckWrite(bucket, objectKey string) error
	// CheckCopy says whether a copy that keeps its DEK may be wrapped by this KEK.
	CheckCopy(kek keys.KEK) error
	// SealDEK and OpenDEK keep the DEK of an open upload for this site, where its envelope alone does not open.
	SealDEK(dek keys.DEK, envelope []byte) []byte
	OpenDEK(sealed, envelope []byte) (keys.DEK, error)
}

// ETagMode says what a bucket's client-visible ETags are made of.
type ETagMode uint8

const (
	// ETagMD5 is S3's own: the MD5 of the plaintext. The zero value, and the default.
	ETagMD5 ETagMode = iota
	// ETagOpaque does without MD5 (docs/FORMAT.md section 3 rule 9).
	ETagOpaque
)

// BucketPolicy is what this site's configuration says of a bucket.
type BucketPolicy struct {
	// PassUnsealed serves objects that have no envelope as they are, instead of refusing them. It gives up authenticity
	// for the bucket: whoever runs the storage can then put objects there.
	PassUnsealed bool
	// ClearAttributes leaves content type and user metadata unsealed, for backends with small header limits.
	ClearAttributes bool
	ETag            ETagMode
}

// Limits bound what one process takes on. Zero values mean the defaults.
type Limits struct {
	// MaxPutSize is the backend's limit on one stored object or part, in sealed bytes. Default 5 GiB (5,368,709,120).
	MaxPutSize int64
	// LockWait bounds the wait for a key lock. Default 10 s: RGW drops an upload stalled for a minute.
	LockWait time.Duration
	// UploadStall is how long a client may send nothing of a body that it has announced. Default 60 s, RGW's own patience.
	UploadStall time.Duration
	// DownloadStall is how long a client may take nothing of its answer. Default 15 min: players pause.
	DownloadStall time.Duration
	// MinRate is what a client must send of its body, or take of its answer, in bytes for each second in which nothing else is waited
	// for; measured over twice UploadStall or DownloadStall of such time. Default 1 KiB.
	MinRate int64
	// HealParallel is how many objects of one listing page are looked up at a time. Default 64.
	HealParallel int
}

func (l Limits) withDefaults() Limits {
	if l.MaxPutSize == 0 {
		l.MaxPutSize = 5 << 30
	}
	if l.LockWait == 0 {
		l.LockWait = 10 * time.Second
	}
	if l.UploadStall == 0 {
		l.UploadStall = time.Minute
	}
	if l.DownloadStall == 0 {
		l.DownloadStall = 15 * time.Minute
	}
	if l.MinRate == 0 {
		l.MinRate = 1 << 10
	}
	if l.HealParallel == 0 {
		l.HealParallel = 64
	}
	return l
}

// Config is what a Handler is made of. Everything but Attempts, Proxies, Limits, Gate, Rates, Bucket, Refused and Guessing is required.
type Config struct {
	Hosts    s3api.Hosts
	Verifier *sigv4.Verifier
	Access   Access
	// Attempts slows down who guesses credentials. Nil: nobody is slowed.
	Attempts *access.Attempts
	// Proxies are the balancers in front, by whose word sources are told apart.
	Proxies source.Proxies
	Backend Backend
	Store   metadata.Store
	Ring    Ring
	Site    keys.SiteID
	// Region is answered to clients; any region is accepted in a signature.
	Region string
	// CustomerKeysOverHTTP takes customer keys (SSE-C) over unencrypted connections too, for a TLS balancer in front.
	CustomerKeysOverHTTP bool
	// SystemBucket is hidden from clients and refused to them.
	SystemBucket string
	// Bucket gives the policy of a bucket; nil means the zero policy for all.
	Bucket func(name string) BucketPolicy
	Limits Limits
	// Gate is what requests must pass before they are served. Nil: one with admission's own defaults.
	Gate *admission.Gate
	// Rates are what a party may ask for in a second. Nil: whatever it likes.
	Rates *admission.Rates
	Log   *zap.Logger
	// Refused is told of what the storage returned and was refused, for the audit trail. Nil: nobody is.
	Refused func(Refusal)
	// Guessing is told of a source that has to wait, once a minute at most, for the audit trail. Nil: nobody is.
	Guessing   func(Guessing)
	Registerer prometheus.Registerer
	Clock      func() time.Time
}

// Handler is the S3 side of cofre. It is one handler without a mux: a mux would clean paths, and `a//b` is a key.
type Handler struct {
	cfg     Config
	backend Backend
	store   metadata.Store
	ring    Ring
	log     *zap.Logger
	metrics *metrics
	gate    *admission.Gate

	// Owned by their own locks.
	records   *recordCache
	buckets   *bucketCache
	owners    *ownerCache
	cors      *corsCache
	keyLocks  keyLocks
	guards    *guards
	copyProbe copyProbe
	unsealed  *entryCache
	closed    *entryCache

	guessing every
	origins  *rate.Limiter // of what the backend is asked for requests that are refused
}

// New makes the handler.
func New(cfg Config) *Handler {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Bucket == nil {
		cfg.Bucket = func(string) BucketPolicy { return BucketPolicy{} }
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Gate == nil {
		cfg.Gate = admission.NewGate(admission.GateConfig{Registerer: cfg.Registerer})
	}
	m := newMetrics(cfg.Registerer)
	return &Handler{
		cfg:      cfg,
		backend:  guardedBackend{Backend: cfg.Backend, log: cfg.Log, metrics: m},
		store:    cfg.Store,
		ring:     cfg.Ring,
		log:      cfg.Log,
		metrics:  m,
		gate:     cfg.Gate,
		records:  newRecordCache(),
		buckets:  newBucketCache(),
		guards:   newGuards(),
		origins:  rate.NewLimiter(strangersOrigins, strangersOrigins),
		owners:   newOwnerCache(),
		cors:     newCORSCache(),
		unsealed: newEntryCache(), closed: newEntryCache(),
	}
}

// request is one S3 call on its way through the handler.
type request struct {
	*http.Request
	w    *responseWriter
	call s3api.Call
	auth *sigv4.Auth
	// encryption is what the headers ask for; it may hold the client's own key.
	encryption encryption
	who        access.Identity
	// from is the client's address, as far as it can be known.
	from  netip.Addr
	event *event
	// began is a lower bound of when the request began, by the store's clock: what tombstones are judged by.
	began time.Time
	// refused says that the answer was an error, and went out whole: the client may still be sending.
	refused bool
	// leave gives back what the request was admitted with; nil before that.
	leave func()
}

// Header values that many answers, or requests to the backend, share. Never written to.
var (
	serverName   = []string{"cofre"}
	acceptRanges = []string{"bytes"}
	defaultType  = []string{defaultContentType}
	emptyLength  = []string{"0"}
	backendType  = []string{backendContentType}
	aes256       = []string{algorithmAES256}
)

// ServeHTTP answers one request and logs one line.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		// botocore expects this even of an empty body, where net/http never sends it, and takes the next answer on the
		// connection for garbage if it does not come.
		w.WriteHeader(http.StatusContinue)
	}
	one := &struct {
		rq request
		ev event
		w  responseWriter
	}{
		rq: request{Request: r, from: h.cfg.Proxies.Client(r.RemoteAddr, r.Header.Values("X-Forwarded-For"))},
		ev: event{ID: newRequestID(), Method: r.Method, Remote: r.RemoteAddr, Start: h.cfg.Clock()},
		w:  responseWriter{ResponseWriter: w},
	}
	rq, ev, rw := &one.rq, &one.ev, &one.w
	h.waitForClient(rw, r)
	rq.w, rq.event, rq.began = rw, ev, h.store.Now()
	if len(h.cfg.Proxies) > 0 && rq.from.IsValid() {
		ev.Remote = rq.from.String()
	}

	header := w.Header()
	id := []string{ev.ID}
	header["Server"], header["X-Amz-Request-Id"], header["X-Amz-Id-2"] = serverName, id, id
	if endsConnection(r) {
		header.Set("Connection", "close")
	}

	defer h.linger(rq) // last of all: what lingers keeps nobody else out, and its line is in the log
	defer h.finish(rq)
	err := h.understand(rq)
	switch excess := admission.Excess(r.Context()); {
	case excess:
		header.Set("Connection", "close")
		err = s3api.ErrSlowDown
	case err == nil:
		err = h.serve(rq)
	}
	if err != nil {
		h.fail(rq, err)
	}
}

// endsConnection tells requests whose end another reader in front may have seen elsewhere: those with Transfer-Encoding, of
// which net/http does not tell whether they had a Content-Length as well, and those of HTTP/1.0, of which it ignores
// Transfer-Encoding. What follows such a request on its connection may be a part of it to that reader, smuggled past it, and
// is never read as the next request (RFC 9112 section 6.1). Where TLS ends here, the other end is a client, which smuggles nothing
// past itself, and most SDKs send chunked bodies there: they keep their connection, which is dear to make anew.
func endsConnection(r *http.Request) bool {
	return len(r.TransferEncoding) > 0 && r.TLS == nil || !r.ProtoAtLeast(1, 1)
}

// finish closes the books of a request, also of one that a panic ends: http.ErrAbortHandler is how a broken body is
// told apart from a complete one.
func (h *Handler) finish(rq *request) {
	if rq.leave != nil {
		rq.leave()
	}
	rq.event.Status, rq.event.BytesOut = rq.w.status, rq.w.written
	rq.event.Duration = h.cfg.Clock().Sub(rq.event.Start)
	p := recover()
	if p != nil {
		rq.event.Aborted = true
		if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			h.log.Error("panic", zap.String("request_id", rq.event.ID), zap.Any("panic", p), zap.Stack("stack"))
		}
	}
	h.metrics.observe(rq.event)
	rq.event.log(h.log)
	if p != nil {
		panic(http.ErrAbortHandler)
	}
}

// understand finds out what is asked for. With an error, rq has what was understood before it.
func (h *Handler) understand(rq *request) (err error) {
	rq.call, err = s3api.Parse(rq.Request, h.cfg.Hosts)
	rq.event.Operation, rq.event.Bucket = rq.call.Op.String(), rq.call.Bucket
	return err
}

// serve takes the steps of every call that was understood: verify, authorise, admit, act. What needs neither the backend nor the
// body comes first, so that nobody takes up room, or another's share of it, with what is refused anyway.
func (h *Handler) serve(rq *request) (err error) {
	call := rq.call
	if call.Op == s3api.CORSPreflight {
		if err := h.meter(rq); err != nil {
			return err
		}
		if err := h.admit(rq); err != nil {
			return err
		}
		return h.preflight(rq)
	}
	op, err := h.entitled(rq)
	h.allowOrigin(rq, err == nil)
	if err != nil {
		return err
	}
	if rq.encryption, err = h.parseEncryption(rq.call.Header, rq.TLS != nil); err != nil {
		return err
	}
	if err := h.admit(rq); err != nil {
		return err
	}
	if err := h.checkOwners(rq); err != nil {
		return err
	}
	return op.serve(h, rq)
}

// entitled finds out who asks, and whether he may: all of it without the backend.
func (h *Handler) entitled(rq *request) (op operation, err error) {
	if err = h.authenticate(rq); err != nil {
		return op, err
	}
	if err := h.meter(rq); err != nil {
		return op, err
	}
	if h.hidden(rq.call.Bucket) {
		return op, s3api.ErrAccessDenied
	}
	op, ok := operations[rq.call.Op]
	if !ok {
		return op, s3api.ErrNotImplemented.With(rq.call.Op.String() + " is not implemented.")
	}
	if !op.allowed(rq.who, rq.call) {
		return op, s3api.ErrAccessDenied
	}
	return op, nil
}

// hidden says whether a bucket is not a client's to see: the system bucket holds keys and layouts.
func (h *Handler) hidden(bucket string) bool {
	return bucket != "" && strings.EqualFold(bucket, h.cfg.SystemBucket)
}

// as is the backend identity that the request acts under.
func (rq *request) as() access.BackendUser { return rq.who.User }

// target is the object that the request names.
func (rq *request) target() target {
	return target{Bucket: rq.call.Bucket, Key: rq.call.Key, VersionID: rq.call.Query.Get("versionId")}
}

// newRequestID makes an id in the shape of S3's: 16 upper-case hexadecimal characters.
func newRequestID() string {
	var b [8]byte
	rand.Read(b[:])
	return strings.ToUpper(hex.EncodeToString(b[:]))
}
