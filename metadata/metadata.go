// Package metadata holds what the backend cannot know about sealed objects: plaintext size, client ETag, checksums and
// part sizes. A [Record] is a fact about one envelope, so it never speaks of another write's bytes (docs/FORMAT.md
// section 8). Losing a store loses no data: everything needed to read objects is on the backend too.
//
// The [Store] contract has two implementations, metadata/postgres and metadata/sqlite, and one wrapper,
// metadata/rediscache. metadata/storetest runs one conformance suite over all of them.
package metadata

import "errors"

// NullVersion is the version id of an object written while its bucket was not versioned, or was suspended.
const NullVersion = "null"

// EnvelopeSize is the length of an envelope in bytes (docs/FORMAT.md section 4).
const EnvelopeSize = 132

// Envelope is an object's envelope exactly as the backend stores it, before base64url.
type Envelope [EnvelopeSize]byte

var (
	// ErrNotFound says that the store has no such row.
	ErrNotFound = errors.New("metadata: not found")
	// ErrUnavailable wraps every error that means "the store cannot be reached now". Callers answer 503 or read on
	// without the store; they never take it for ErrNotFound. Whether a write took effect is then open: every write of a
	// Store but SetTrustList can be repeated as it was, with the same outcome.
	ErrUnavailable = errors.New("metadata: store unavailable")
	// ErrLockTimeout says that a lock was not had in time.
	ErrLockTimeout = errors.New("metadata: lock not acquired in time")
	// ErrLockLost says that a lock is no longer held: its connection broke, or it was unlocked.
	ErrLockLost = errors.New("metadata: lock lost")
	// ErrConflict says that a row with the same identity but other contents is already there, or that an upload is not
	// in the state that the call needs.
	ErrConflict = errors.New("metadata: conflicting row")
)
