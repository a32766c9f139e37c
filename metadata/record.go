package metadata

import (
	"time"

	"cofre/checksum"
)

// Checksum is a client-visible object or part checksum. The zero value means "none".
type Checksum struct {
	Algorithm checksum.Algorithm
	Type      checksum.Type // FULL_OBJECT or COMPOSITE; empty on parts
	Value     []byte        // raw bytes, not base64
}

// Part is one part of a completed multipart object, in rising order of number.
type Part struct {
	Number   int      // 1..10000
	Size     int64    // plaintext bytes
	Salt     [16]byte // salt of the part's header
	MD5      []byte   // 16 bytes, nil where the bucket does without
	Checksum Checksum // of this part, the client's or the default
}

// Record is one row for one sealed object that was written: a fact about one envelope.
// It is unique by (Bucket, Key, VersionID, SHA-256 of Envelope).
type Record struct {
	Bucket      string
	Key         string // raw bytes, never normalised
	VersionID   string // NullVersion where the backend gave none
	Envelope    Envelope
	BackendETag string // without quotes
	Size        int64  // plaintext bytes
	ETag        string // the client's, without quotes
	Checksum    Checksum
	ContentType string // raw bytes of the header
	Parts       []Part // multipart objects only; never filled by Page

	// Began is a lower bound, by the store's clock, of when the request that wrote the object began (Store.Now at its start).
	Began time.Time
	// Committed is set by the store when the row is added, after the backend had accepted the object.
	Committed time.Time
	// Tombstoned is set when a later write or delete through cofre replaced the object; zero while it is live.
	Tombstoned time.Time
}

// Origin says how a row came into being.
type Origin uint8

const (
	// Committed rows are written right after the backend accepted the object. They tombstone what they replaced.
	Committed Origin = iota + 1
	// Healed rows are read back from the backend by a reader, a listing or a sweep. They tombstone nothing, and never
	// bring a tombstoned row back to life.
	Healed
)

// Entry names one line of a backend listing.
type Entry struct {
	Key         string
	BackendETag string // without quotes
}

// Deletion says which rows a delete through cofre turns into tombstones: those of the key and version whose record was
// committed before Began. VersionID is NullVersion for a delete that removed or replaced the null version.
type Deletion struct {
	Bucket, Key, VersionID string
	Began                  time.Time
}
