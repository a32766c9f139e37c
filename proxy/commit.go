package proxy

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"cofre/metadata"
	"cofre/s3api"
)

// commit is the last moment of a write: the body has verified, the footer has not gone out. Here conditions are judged
// for good, under the key's lock, and from here on the write no longer follows the client's connection: once the backend
// may have accepted the object, its row must be written whether or not somebody still listens.
type commit struct {
	ctx    context.Context
	cancel context.CancelFunc
	detach func() bool

	h     *Handler
	rq    *request
	n     newObject
	lock  *commitLock
	start atomic.Bool
}

func newCommit(ctx context.Context, h *Handler, rq *request, n newObject) *commit {
	c := &commit{h: h, rq: rq, n: n}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.detach = context.AfterFunc(ctx, c.cancel)
	return c
}

// begin judges the conditions and detaches from the client. It runs in the goroutine that sends the body.
func (c *commit) begin() error {
	if !c.n.conds.Empty() {
		lock, err := c.h.lockKey(c.ctx, c.n.Bucket, c.n.Key)
		if err != nil {
			return err
		}
		c.lock = lock
		if err := c.h.judge(c.ctx, c.rq, c.n.target, c.n.conds, lock.ByEnvelope); err != nil {
			return err
		}
		if err := lock.Held(c.ctx); err != nil {
			return s3api.ErrConditionalRequestConflict
		}
	}
	if !c.detach() {
		return context.Canceled
	}
	c.start.Store(true)
	return nil
}

// begun says whether the footer may have gone out.
func (c *commit) begun() bool { return c.start.Load() }

func (c *commit) end() {
	if c.lock != nil {
		c.lock.Unlock()
	}
	c.cancel()
}

// judgeEarly refuses a write whose conditions fail already, before its body is taken, and gives the condition that the
// backend should check too: RGW's are atomic in buckets that never had versioning, and wrong in others.
func (h *Handler) judgeEarly(ctx context.Context, rq *request, n newObject) (http.Header, error) {
	if n.conds.Empty() {
		return nil, nil
	}
	if err := h.judge(ctx, rq, n.target, n.conds, h.store.ByEnvelope); err != nil {
		return nil, err
	}
	facts, err := h.facts(ctx, rq.as(), n.Bucket)
	if err != nil {
		return nil, err
	}
	if n.conds.IfNoneMatch == "*" && !facts.Versioned {
		return http.Header{"If-None-Match": {"*"}}, nil
	}
	return nil, nil
}

// judge compares write conditions with the object that stands under the key now, by its plaintext ETag, asked of the
// backend and never of a cache.
func (h *Handler) judge(ctx context.Context, rq *request, t target, conds s3api.WriteConditions, lookup lookup) error {
	etag, exists, err := h.currentETag(ctx, rq.reading(), t, lookup)
	if err != nil {
		return err
	}
	if err := conds.Check(exists, etag); err != nil {
		return err
	}
	return nil
}

// currentETag gives the client's ETag of the object that stands under a key now.
func (h *Handler) currentETag(ctx context.Context, rd reading, t target, lookup lookup) (etag string, exists bool, err error) {
	rec, err := h.discoverWith(ctx, rd, t, "condition", lookup)
	var plain *unsealedObject
	switch {
	case err == nil:
		return rec.ETag, true, nil
	case errors.As(err, &plain):
		return unquote(plain.header.Get("ETag")), true, nil
	case hasStatus(err, http.StatusNotFound):
		if hasCode(err, s3api.ErrNoSuchBucket.Code) {
			return "", false, err
		}
		return "", false, nil
	default:
		return "", false, err
	}
}

// lookup finds a record by its envelope: in the store, or through the connection that holds a lock.
type lookup func(ctx context.Context, bucket, key string, env metadata.Envelope) (metadata.Record, error)

// conditionLost names what became of a conditional write that the backend did not take. Its refusal of a condition that
// cofre had judged good means that another writer was quicker; RGW tells losers so by 500, too, so after a breakdown the
// condition is judged once more: where it does not hold any longer, that is the answer.
func (h *Handler) conditionLost(ctx context.Context, rq *request, n newObject, err error) error {
	switch {
	case n.conds.Empty():
		return err
	case hasStatus(err, http.StatusPreconditionFailed):
		return s3api.ErrPreconditionFailed
	case answerTo(err).Status != http.StatusServiceUnavailable:
		return err
	}
	if lost := h.judge(ctx, rq, n.target, n.conds, h.store.ByEnvelope); hasStatus(lost, http.StatusPreconditionFailed) {
		return lost
	}
	return err
}
