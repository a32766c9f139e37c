package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"cofre/access"
	"cofre/internal/pause"
	"cofre/proxy"
)

const (
	backoffBase = 50 * time.Millisecond
	backoffMax  = 2 * time.Second
)

// Do implements proxy.Backend.
func (c *Client) Do(ctx context.Context, as access.BackendUser, req *proxy.BackendRequest) (*proxy.BackendResponse, error) {
	start := time.Now()
	attempts := 0
	resp, err := c.repeat(ctx, as, req, &attempts)
	c.cfg.Observe(Observation{
		Method:   req.Method,
		Outcome:  outcomeOf(err),
		Attempts: max(attempts, 1),
		Duration: time.Since(start),
	})
	if err != nil {
		return nil, fmt.Errorf("backend %s: %w", req.Method, err)
	}
	return resp, nil
}

// repeat sends the request, again where that is harmless and may help.
func (c *Client) repeat(ctx context.Context, as access.BackendUser, req *proxy.BackendRequest, attempts *int) (*proxy.BackendResponse, error) {
	if err := check(req); err != nil {
		return nil, invalid(err)
	}
	hash, err := payloadHash(req)
	if err != nil {
		return nil, invalid(err)
	}
	for {
		*attempts++
		resp, err := c.attempt(ctx, as, req, hash)
		if err == nil || *attempts > c.cfg.Retries || !repeatable(req) || !transient(err) {
			return resp, err
		}
		if !sleep(ctx, backoff(*attempts)) {
			return nil, err // what the backend did says more than that the time is up
		}
		if req.Replayable {
			if err := rewind(req.Body); err != nil {
				return nil, invalid(err)
			}
		}
	}
}

// repeatable says that sending req twice does no more than sending it once. (A DELETE without a version id in a versioned
// bucket may leave two delete markers, which read as one.)
func repeatable(req *proxy.BackendRequest) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodDelete:
		return req.Body == nil || req.Replayable
	}
	return req.Replayable
}

func transient(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.transient
}

// backoff is a random time up to a limit that doubles with every attempt, so that callers who failed together do not
// come back together.
func backoff(attempt int) time.Duration {
	limit := min(backoffBase<<attempt, backoffMax)
	return time.Duration(rand.Int64N(int64(limit))) + time.Millisecond //nolint:gosec // jitter, not a secret
}

// sleep waits, and reports false when ctx ends first or would end before the wait.
func sleep(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return false
	}
	return pause.For(ctx, d) == nil
}

// attempt sends the request once and waits for the head of the answer.
func (c *Client) attempt(parent context.Context, as access.BackendUser, req *proxy.BackendRequest, hash string) (*proxy.BackendResponse, error) {
	ctx, timer := newStallTimer(parent)
	r := c.build(ctx, req)
	if err := c.sign(as, r, hash); err != nil {
		timer.stop()
		return nil, invalid(err)
	}
	var body *upload
	switch {
	case req.Body != nil && req.Length > 0:
		body = newUpload(req.Body, req.Length, timer, &c.cfg)
		r.Body = body
	case req.Body != nil:
		// Nothing to send, but the source must still say that it ended well.
		if err := readEnd(req.Body); !errors.Is(err, io.EOF) {
			timer.stop()
			return nil, bodyError(err)
		}
	}

	timer.arm(c.answerTime(req))
	resp, err := c.transport.RoundTrip(r)
	if body != nil {
		// From here on nobody reads the caller's stream, and nobody but this goroutine arms the timer.
		complete, srcErr := body.detach()
		if srcErr != nil {
			err = discard(resp, bodyError(srcErr))
		} else if err == nil && !complete && resp.StatusCode < 300 {
			err = discard(resp, unavailable(errors.New("backend answered before it had the whole body")))
		}
	}
	if err != nil {
		err = noAnswer(parent, ctx, err)
		timer.stop()
		if errors.Is(err, errStalled) {
			// What swallowed this request may have swallowed the other connections too: the next one gets a new one.
			c.transport.CloseIdleConnections()
		}
		return nil, err
	}
	timer.arm(c.cfg.StallTimeout)
	if resp.StatusCode/100 == 2 || resp.StatusCode == http.StatusNotModified {
		timer.disarm()
		return newResponse(parent, ctx, resp, timer, c.cfg.StallTimeout), nil
	}
	answer := readError(resp, req)
	timer.stop()
	return nil, answer
}

// answerTime is how long the backend may take from the last byte of the request to the head of its answer: reads and deletes take it
// no longer than any other step, what it has to work for (joining parts, copying) may.
func (c *Client) answerTime(req *proxy.BackendRequest) time.Duration {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodDelete:
		return c.cfg.StallTimeout
	}
	return c.cfg.AnswerTimeout
}

// discard drops an answer that must not be believed.
func discard(resp *http.Response, err error) error {
	if resp != nil {
		resp.Body.Close()
	}
	return err
}
