package proxy

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/maypok86/otter/v2"

	"cofre/access"
	"cofre/s3api"
)

// How cofre answers browsers of other origins. The rules are the bucket's CORS configuration, and the backend, which keeps
// it, is asked by a preflight: unsigned, as a browser sends it, and without the object's key, since rules know no keys. That
// works for private buckets too, and for those whose configuration the site's own identity may not read: a preflight is
// answered without a look at ACLs and policies. The answer decides nothing but what a browser shows to a script.

const (
	// corsTTL is how long another replica's change of the configuration goes unseen on real requests.
	corsTTL = 10 * time.Second
	// maxOrigin bounds what is remembered and handed on of an Origin header, in bytes: scheme, host and port.
	maxOrigin = 1024
)

// strangersOrigins is how many times a second, and at once, a backend is asked for what only refused requests want to know.
const strangersOrigins = 10

// corsHeaders are what a browser goes by (Fetch standard, section 3.2.3), and Vary, for caches on the way.
var corsHeaders = []string{
	"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Expose-Headers",
	"Access-Control-Max-Age", "Access-Control-Allow-Credentials", "Vary",
}

func isCORSHeader(name string) bool {
	for _, known := range corsHeaders {
		if name == known {
			return true
		}
	}
	return false
}

type corsKey struct{ bucket, origin, method string }

// corsCache remembers what a bucket allows to an origin; no headers where it allows nothing.
type corsCache struct {
	cache *otter.Cache[corsKey, http.Header]
}

func newCORSCache() *corsCache {
	return &corsCache{otter.Must(&otter.Options[corsKey, http.Header]{
		MaximumSize:      10_000,
		ExpiryCalculator: otter.ExpiryWriting[corsKey, http.Header](corsTTL),
	})}
}

// preflight serves OPTIONS. It is never signed, and where its address is a presigned one the signature is for another
// method, so it is answered before anything is verified.
func (h *Handler) preflight(rq *request) error {
	origin, method := rq.Header.Get("Origin"), rq.Header.Get("Access-Control-Request-Method")
	if origin == "" || len(origin) > maxOrigin {
		return s3api.ErrBadRequest.With("Insufficient information. Origin request header needed.")
	}
	if rq.call.Bucket == "" || h.hidden(rq.call.Bucket) {
		return corsRefusal("Bucket not found", method)
	}
	allowed, err := h.askCORS(rq.Context(), rq.call.Bucket, origin, method, rq.Header.Get("Access-Control-Request-Headers"))
	switch {
	case hasStatus(err, http.StatusNotFound):
		return corsRefusal("Bucket not found", method)
	case err != nil && !refusesCORS(err):
		return err
	case len(allowed) == 0 && h.withoutCORS(rq.Context(), rq.call.Bucket):
		return corsRefusal("CORS is not enabled for this bucket.", method)
	case method == "":
		return s3api.ErrBadRequest.With("Invalid Access-Control-Request-Method: null")
	case len(allowed) == 0:
		return s3api.ErrCORSForbidden.Field("Method", method).Field("ResourceType", corsResource(rq.call))
	}
	setCORS(rq.w.Header(), allowed)
	rq.w.Header().Set("Content-Length", "0")
	rq.w.WriteHeader(http.StatusOK)
	return nil
}

// corsRefusal is the error of a preflight to what has no rules. S3 speaks of the bucket then, also where an object was named.
func corsRefusal(why, method string) *s3api.Error {
	return s3api.ErrCORSForbidden.With("CORSResponse: "+why).
		Field("Method", cmp.Or(method, http.MethodOptions)).Field("ResourceType", "BUCKET")
}

// withoutCORS says that a bucket has no rules at all, of which the backend's answer to a preflight says nothing. Where the
// site's own identity may not look, it may have some.
func (h *Handler) withoutCORS(ctx context.Context, bucket string) bool {
	var q s3api.Query
	q.Set("cors", "")
	resp, err := h.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodGet, Bucket: bucket, Query: q})
	if err == nil {
		resp.Body.Close()
	}
	return hasCode(err, s3api.ErrNoSuchCORSConfiguration.Code)
}

func corsResource(c s3api.Call) string {
	if c.Key != "" {
		return "OBJECT"
	}
	return "BUCKET"
}

// allowOrigin gives the answer of a real request, errors included, the headers that let a browser's script see it. A
// backend that cannot say gives none. Of a request that is refused the backend is asked a few times a second, whoever sends it: else a
// stranger who names another origin each time would make a request to the storage of each of his own.
func (h *Handler) allowOrigin(rq *request, entitled bool) {
	origin := rq.Header.Get("Origin")
	if origin == "" || len(origin) > maxOrigin || rq.call.Bucket == "" || h.hidden(rq.call.Bucket) {
		return
	}
	key := corsKey{rq.call.Bucket, origin, rq.Method}
	if m := rq.Header.Get("Access-Control-Request-Method"); m != "" && len(m) < maxOrigin {
		key.method = m // RGW goes by it on real requests too
	}
	allowed, ok := h.cors.cache.GetIfPresent(key)
	if !ok {
		if !entitled && !h.origins.AllowN(h.cfg.Clock(), 1) {
			return
		}
		var err error
		allowed, err = h.askCORS(rq.Context(), key.bucket, key.origin, key.method, "")
		if err != nil && !refusesCORS(err) {
			return
		}
		if len(allowed) > 0 && h.allowsAnyOrigin(rq.Context(), key.bucket, key.method) {
			allowed.Set("Access-Control-Allow-Origin", "*")
		}
		h.cors.cache.Set(key, allowed)
	}
	setCORS(rq.w.Header(), allowed)
}

// probeOrigin is the origin of no page: a rule that allows it allows every origin.
const probeOrigin = "cofre-probe"

// allowsAnyOrigin says whether the bucket's rule is for "*". S3 answers "*" then, which caches on the way may share; RGW 16
// does so on real requests only and names the origin in answers to preflights.
func (h *Handler) allowsAnyOrigin(ctx context.Context, bucket, method string) bool {
	allowed, err := h.askCORS(ctx, bucket, probeOrigin, method, "")
	return err == nil && len(allowed) > 0
}

// refusesCORS says whether an error is the backend's "no", as against no answer.
func refusesCORS(err error) bool {
	return hasStatus(err, http.StatusForbidden) || hasStatus(err, http.StatusNotFound) || hasStatus(err, http.StatusBadRequest) ||
		hasStatus(err, http.StatusMethodNotAllowed) || hasStatus(err, http.StatusNotImplemented)
}

// askCORS asks the backend what the bucket allows to scripts of an origin: headers, or none with the backend's error.
func (h *Handler) askCORS(ctx context.Context, bucket, origin, method, headers string) (http.Header, error) {
	header := http.Header{"Origin": {origin}}
	if method != "" {
		header.Set("Access-Control-Request-Method", method)
	}
	if headers != "" {
		header.Set("Access-Control-Request-Headers", headers)
	}
	resp, err := h.backend.Do(ctx, access.AnonymousUser, &BackendRequest{Method: http.MethodOptions, Bucket: bucket, Header: header})
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	if resp.Header.Get("Access-Control-Allow-Origin") == "" {
		return nil, nil
	}
	return passHeaders(resp.Header, corsHeaders), nil
}

func setCORS(header, allowed http.Header) {
	for name, values := range allowed {
		header[name] = values
	}
}

// putBucketCors serves PutBucketCors, and forgets what the old rules allowed.
func (h *Handler) putBucketCors(rq *request) error {
	defer h.cors.cache.InvalidateAll()
	return h.passSubresource(rq, subresource{document: xmlDocument(func(r *bytes.Reader) *s3api.Error { return s3api.CheckCORS(r) })})
}

// deleteBucketCors serves DeleteBucketCors.
func (h *Handler) deleteBucketCors(rq *request) error {
	defer h.cors.cache.InvalidateAll()
	return h.passSubresource(rq, subresource{})
}
