package audit

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"cofre/metadata"
)

const (
	// queued is how many events may wait for the store. Requests never wait.
	queued = 1024
	// quiet is how long the same refusal is told once: a storage that returns one altered object is asked for it again and again.
	quiet = time.Hour
	// remembered bounds the refusals that are known to have been told.
	remembered = 10_000
	// patience bounds one write, and with it how long Close may take for each event that waits.
	patience = 5 * time.Second
)

// Store is what a Trail needs of the metadata store.
type Store interface {
	AddAudit(ctx context.Context, e metadata.AuditEvent) error
}

// Trail writes events to the store, in the order in which they come, without keeping anybody waiting. It is safe for concurrent use.
type Trail struct {
	store   Store
	actor   string
	failed  func(Event, error)
	told    *otter.Cache[Event, struct{}]
	queue   chan Event
	dropped atomic.Int64
	done    chan struct{}

	mu     sync.RWMutex // guards closed, and the queue against a send after its close
	closed bool
}

// NewTrail makes a Trail for one process. actor names it in every event; failed is told of events that the store did not take, so that
// they can go to the log.
func NewTrail(store Store, actor string, failed func(Event, error)) *Trail {
	t := &Trail{
		store: store, actor: actor, failed: failed, queue: make(chan Event, queued), done: make(chan struct{}),
		told: otter.Must(&otter.Options[Event, struct{}]{MaximumSize: remembered, ExpiryCalculator: otter.ExpiryWriting[Event, struct{}](quiet)}),
	}
	go t.write()
	return t
}

// Note keeps an act.
func (t *Trail) Note(e Event) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.closed {
		return
	}
	select {
	case t.queue <- e:
	default:
		t.dropped.Add(1)
	}
}

// Refused keeps a refusal, unless the same one was kept within the hour.
func (t *Trail) Refused(e Event) {
	if _, told := t.told.SetIfAbsent(e, struct{}{}); told {
		t.Note(e)
	}
}

// Close waits until all that was noted is written, or has failed.
func (t *Trail) Close() {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.queue)
	}
	t.mu.Unlock()
	<-t.done
}

func (t *Trail) write() {
	defer close(t.done)
	for e := range t.queue {
		t.add(e)
		if n := t.dropped.Swap(0); n > 0 {
			t.add(Event{Action: Dropped, Detail: fmt.Sprint(n)})
		}
	}
}

func (t *Trail) add(e Event) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := t.store.AddAudit(ctx, metadata.AuditEvent{
		Actor: t.actor, Action: string(e.Action), Bucket: e.Bucket, Subject: e.Subject, Detail: e.Detail,
	})
	if err != nil {
		t.failed(e, err)
	}
}
