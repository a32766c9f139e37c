package proxy

import (
	"errors"
	"math"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"cofre/internal/source"
	"cofre/s3api"
	"cofre/sigv4"
)

// guessReported is how often guessing is told at most: an attacker with many addresses must not fill log and audit trail.
const guessReported = time.Minute

// Guessing says that a source failed so often to authenticate that it has to wait.
type Guessing struct {
	Source netip.Prefix
	// AccessKeyID is the access key it failed with last, "" where there is no such key: what was sent then may be
	// anything, a secret in the wrong place among it.
	AccessKeyID string
}

// authenticate finds out who sends a request, by its head alone: not a byte of its body is read before.
func (h *Handler) authenticate(rq *request) error {
	return h.attempt(rq, sigv4.Claimed(rq.Request), func() (err error) {
		rq.auth, err = h.cfg.Verifier.Verify(rq.Request)
		return err
	})
}

// authenticateForm finds out who sends a form, by the fields before its file. The policy is nil for an anonymous one.
func (h *Handler) authenticateForm(rq *request, form *form) (policy *sigv4.PostPolicy, err error) {
	err = h.attempt(rq, sigv4.ClaimedByForm(form.fields), func() (err error) {
		rq.auth, policy, err = h.cfg.Verifier.VerifyForm(rq.Context(), form.fields)
		return err
	})
	return policy, err
}

// attempt verifies, unless the source has failed too often lately, and counts how it went. What it finds out is rq.auth and
// rq.who. All that a client can learn from an answer is what S3 tells by its code: whether there is such an access key.
func (h *Handler) attempt(rq *request, claimed string, verify func() error) (err error) {
	from := source.Of(rq.from)
	if claimed != "" && h.cfg.Attempts != nil {
		if wait := h.cfg.Attempts.Wait(from, claimed); wait > 0 {
			h.metrics.authRefused.Inc()
			return s3api.ErrSlowDown.With("Too many requests of your address have failed to authenticate. Wait before the next one.").
				WithHeader("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		}
	}
	if err = verify(); err != nil {
		h.failedAttempt(from, claimed, err)
		return err
	}
	if rq.auth.Anonymous() {
		rq.who = h.cfg.Access.Anonymous()
		return nil
	}
	if rq.who, err = h.cfg.Access.Identity(rq.Context(), rq.auth.AccessKeyID()); err != nil {
		return err
	}
	rq.event.Identity = rq.who.AccessKeyID
	if h.cfg.Attempts != nil {
		h.cfg.Attempts.Succeeded(from, claimed)
	}
	return nil
}

// failedAttempt counts the two failures by which somebody who guesses learns something.
func (h *Handler) failedAttempt(from netip.Prefix, claimed string, err error) {
	unknown := errors.Is(err, sigv4.ErrUnknownAccessKey)
	switch {
	case unknown:
		h.metrics.authFailures.WithLabelValues("unknown_key").Inc()
	case errors.Is(err, sigv4.ErrSignatureDoesNotMatch):
		h.metrics.authFailures.WithLabelValues("signature").Inc()
	default:
		return
	}
	if h.cfg.Attempts == nil || !h.cfg.Attempts.Failed(from, claimed) {
		return
	}
	g := Guessing{Source: from, AccessKeyID: claimed}
	if unknown {
		g.AccessKeyID = ""
	}
	if !h.guessing.due(h.cfg.Clock()) {
		return
	}
	h.log.Warn("a source has to wait: too many failed authentications", zap.Stringer("source", g.Source), zap.String("access_key", g.AccessKeyID))
	if h.cfg.Guessing != nil {
		h.cfg.Guessing(g)
	}
}

// every says yes once in a while. The zero value says yes at first.
type every struct{ last atomic.Int64 } // of the last yes, Unix nanoseconds

func (e *every) due(now time.Time) bool {
	last := e.last.Load()
	return now.UnixNano()-last >= int64(guessReported) && e.last.CompareAndSwap(last, now.UnixNano())
}
