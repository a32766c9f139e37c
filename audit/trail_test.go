package audit_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cofre/audit"
	"cofre/metadata"
)

// memory is a store that can be told to wait and to fail.
type memory struct {
	mu     sync.Mutex
	events []metadata.AuditEvent
	err    error
	gate   chan struct{} // nil: open
}

func (m *memory) AddAudit(ctx context.Context, e metadata.AuditEvent) error {
	if m.gate != nil {
		<-m.gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.events = append(m.events, e)
	}
	return m.err
}

func (m *memory) actions() (actions []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		actions = append(actions, e.Action+" "+e.Subject)
	}
	return actions
}

func TestCloseWaitsUntilAllIsWrittenInOrder(t *testing.T) {
	m := &memory{}
	trail := audit.NewTrail(m, "serve", func(e audit.Event, err error) { t.Errorf("%v: %v", e, err) })
	trail.Note(audit.Event{Action: audit.KEKMade, Bucket: "b", Subject: "1"})
	trail.Note(audit.Event{Action: audit.GrantMade, Bucket: "b", Subject: "1", Detail: "site"})
	trail.Note(audit.Event{Action: audit.KEKMade, Bucket: "b", Subject: "1"}) // an act is an act each time
	trail.Close()
	trail.Close()
	trail.Note(audit.Event{Action: audit.KEKClosed}) // too late, and harmless
	if diff := cmp.Diff([]string{"kek.made 1", "grant.made 1", "kek.made 1"}, m.actions()); diff != "" {
		t.Error(diff)
	}
	if m.events[1] != (metadata.AuditEvent{Actor: "serve", Action: "grant.made", Bucket: "b", Subject: "1", Detail: "site"}) {
		t.Errorf("%+v", m.events[1])
	}
}

func TestTheSameRefusalIsToldOnce(t *testing.T) {
	m := &memory{}
	trail := audit.NewTrail(m, "serve", nil)
	for range 1000 {
		trail.Refused(audit.Event{Action: audit.ObjectRefused, Bucket: "b", Subject: "footer", Detail: "a key"})
	}
	trail.Refused(audit.Event{Action: audit.ObjectRefused, Bucket: "b", Subject: "footer", Detail: "another key"})
	trail.Close()
	if len(m.events) != 2 {
		t.Errorf("%d events", len(m.events))
	}
}

// TestNobodyWaitsForTheTrail: a store that hangs costs events, and their number is told once it has come back.
func TestNobodyWaitsForTheTrail(t *testing.T) {
	m := &memory{gate: make(chan struct{})}
	trail := audit.NewTrail(m, "serve", nil)
	for range 5000 {
		trail.Note(audit.Event{Action: audit.KEKImported})
	}
	close(m.gate)
	trail.Close()
	kept, dropped := 0, false
	for _, e := range m.events {
		if e.Action == string(audit.Dropped) {
			dropped = true
			continue
		}
		kept++
	}
	if !dropped || kept < 1000 || kept >= 5000 {
		t.Errorf("%d events kept, told of more: %v", kept, dropped)
	}
}

func TestWhatTheStoreDoesNotTakeIsToldToTheCaller(t *testing.T) {
	m := &memory{err: errors.New("down")}
	var lost []audit.Action
	trail := audit.NewTrail(m, "serve", func(e audit.Event, err error) { lost = append(lost, e.Action) })
	trail.Note(audit.Event{Action: audit.TrustChanged})
	trail.Close()
	if diff := cmp.Diff([]audit.Action{audit.TrustChanged}, lost); diff != "" {
		t.Error(diff)
	}
}
