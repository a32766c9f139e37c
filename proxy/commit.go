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
	raw   metadata.Envelope // of what is written; set where n.confirm asks for it
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
	lock, err := c.takeLock()
	c.lock = lock
	if err != nil {
		return err
	}
	if !c.detach() {
		return context.Canceled
	}
	c.start.Store(true)
	return nil
}

// takeLock takes the key's lock where it is needed, and judges the conditions under it.
func (c *commit) takeLock() (*commitLock, error) {
	if c.n.conds.Empty() && c.n.confirm == nil {
		return c.h.lockWriter(c.ctx, c.n.Bucket, c.n.Key)
	}
	lock, err := c.h.lockKey(c.ctx, c.n.Bucket, c.n.Key)
	if err != nil {
		return nil, err
	}
	if !c.n.conds.Empty() {
		if _, err := c.h.judge(c.ctx, c.rq, c.n.target, c.n.conds, lock.ByEnvelope); err != nil {
			return lock, err
		}
	}
	if c.n.confirm != nil {
		if err := c.n.confirm(c.ctx, c.raw); err != nil {
			return lock, err
		}
	}
	return lock, stillHeld(c.ctx, lock)
}

// stillHeld says whether a lock was lost before the write that it stands for: to another writer, for all that is known, unless the
// store is away, which is nobody's conflict and may be tried again.
func stillHeld(ctx context.Context, lock *commitLock) error {
	err := lock.Held(ctx)
	if err == nil || errors.Is(err, metadata.ErrUnavailable) {
		return err
	}
	return s3api.ErrConditionalRequestConflict
}

// begun says whether the footer may have gone out.
func (c *commit) begun() bool { return c.start.Load() }

func (c *commit) end() {
	c.lock.Unlock()
	c.cancel()
}

// judgeEarly refuses a write whose conditions fail already, before its body is taken, and gives the condition that the
// backend is to enforce: RGW's own are atomic in buckets that never had versioning, and wrong in others. There, and for
// conditions that it does not know, the key's lock has to do, for all who write.
func (h *Handler) judgeEarly(ctx context.Context, rq *request, n newObject) (http.Header, error) {
	if n.conds.Empty() {
		return nil, nil
	}
	now, err := h.judge(ctx, rq, n.target, n.conds, h.store.ByEnvelope)
	if err != nil {
		return nil, err
	}
	facts, err := h.versioning(ctx, rq.as(), n.Bucket)
	if err != nil {
		return nil, err
	}
	switch {
	case facts.Versioned:
	case n.conds.IfNoneMatch == "*":
		return http.Header{"If-None-Match": {"*"}}, nil
	case n.conds.IfMatch != "" && n.conds.IfMatch != "*":
		// Without quotes: RGW 16 compares what it is sent with an ETag that has none.
		return http.Header{"If-Match": {now.backendETag}}, nil
	}
	return nil, h.guard(ctx, n.Bucket)
}

// conditionLost names what became of a conditional write that the backend did not take. Its refusal of a condition that
// cofre had judged good means that another writer was quicker; RGW tells losers so by 500, too, so after a breakdown the
// condition is judged once more: where it does not hold any longer, that is the answer. Unless it is this very write that
// stands there now: then it was not lost, but its answer was, and the client is told to ask again.
func (h *Handler) conditionLost(ctx context.Context, rq *request, n newObject, raw metadata.Envelope, err error) error {
	switch {
	case n.conds.Empty():
		return err
	case hasStatus(err, http.StatusPreconditionFailed):
		return s3api.ErrPreconditionFailed
	case answerTo(err).Status != http.StatusServiceUnavailable:
		return err
	}
	now, lost := h.judge(ctx, rq, n.target, n.conds, h.store.ByEnvelope)
	if hasStatus(lost, http.StatusPreconditionFailed) && now.envelope != raw {
		return lost
	}
	return err
}
