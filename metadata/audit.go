package metadata

import "time"

// AuditEvent is one act with keys or trust, or one refusal, as package audit names them.
type AuditEvent struct {
	ID      int64     // set by the store; rises with the order in which events came to it
	At      time.Time // set by the store
	Actor   string    // who did it: a process and, where a person gave the command, the account
	Action  string
	Bucket  string // empty where it is about no bucket
	Subject string // the KEK, site, credential or object that it is about
	Detail  string
}

// AuditFilter says which events are wanted. The zero value is all of them.
type AuditFilter struct {
	Since  time.Time
	Bucket string
	After  int64 // events with a greater ID
}
