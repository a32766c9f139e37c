package proxy_test

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// history is what was done to some keys, and when, by the clock of one process: enough to say of every read whether it may have
// seen what it saw.
type history struct {
	mu     sync.Mutex
	began  time.Time
	writes map[string][]*written // by key; deletes are writes of nothing
	bodies map[string][]byte     // what was written once, by ETag without quotes
	sights int
}

// written is one write or delete. Until it is acknowledged it may take effect at any time, and one that failed for ever after.
type written struct {
	id         string // in the object's metadata; empty for a delete
	etag       string
	start, end time.Duration
}

const never = time.Duration(1<<63 - 1)

func newHistory() *history {
	return &history{began: time.Now(), writes: map[string][]*written{}, bodies: map[string][]byte{}}
}

func (h *history) now() time.Duration { return time.Since(h.began) }

// begins notes that a write sets out.
func (h *history) begins(key, id string) *written {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := &written{id: id, start: h.now(), end: never}
	h.writes[key] = append(h.writes[key], w)
	return w
}

// ends notes how it went. A write without an acknowledgement is open for ever.
func (h *history) ends(w *written, etag string, acknowledged bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.etag = etag
	if acknowledged {
		w.end = h.now()
	}
}

// knows notes what a body's ETag is, before anybody can see it.
func (h *history) knows(etag string, b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies[etag] = b
}

// may says whether a look at a key that began at start and has just ended may have seen a write, nothing where id is empty; "" or
// why not. A write is out of sight once another one that began after its acknowledgement was itself acknowledged before the look
// began.
func (h *history) may(key string, start time.Duration, seen func(w *written) bool) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sights++
	end := h.now()
	why := "nobody wrote that"
	all := h.writes[key]
	for _, w := range append([]*written{{}}, all...) { // at the beginning there was nothing
		if !seen(w) || w.start > end {
			continue
		}
		lost := ""
		for _, over := range all {
			if over != w && w.end < over.start && over.end < start {
				lost = fmt.Sprintf("%q, acknowledged at %v, was replaced by %q from %v to %v, before this look began at %v", w.id, w.end, over.id, over.start, over.end, start)
				break
			}
		}
		if lost == "" {
			return ""
		}
		why = lost
	}
	return why
}

// saw fails the test where a look gave what it may not have seen.
func (h *history) saw(t *testing.T, what, key string, start time.Duration, seen func(w *written) bool) {
	if why := h.may(key, start, seen); why != "" {
		t.Errorf("%s of %q: %s", what, key, why)
	}
}

func nothing(w *written) bool { return w.id == "" }

func withID(id string) func(*written) bool { return func(w *written) bool { return w.id == id } }

// withETag is what a listing can tell; of writes that have not ended it is not known.
func withETag(etag string) func(*written) bool {
	return func(w *written) bool { return w.id != "" && (w.etag == etag || w.end == never || w.etag == "") }
}

// body gives what was written once under an ETag.
func (h *history) body(etag string) ([]byte, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, ok := h.bodies[etag]
	return b, ok
}
