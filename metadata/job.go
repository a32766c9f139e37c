package metadata

import (
	"fmt"
	"time"
)

// JobState is where a job stands.
type JobState uint8

const (
	// JobWaiting jobs may be taken by any process.
	JobWaiting JobState = iota + 1
	// JobRunning jobs have a holder, or had one that died: the job's lock says which.
	JobRunning
	JobDone
	JobFailed
	JobCancelled
)

// String names the state, for messages.
func (s JobState) String() string {
	switch s {
	case JobWaiting:
		return "waiting"
	case JobRunning:
		return "running"
	case JobDone:
		return "done"
	case JobFailed:
		return "failed"
	case JobCancelled:
		return "cancelled"
	}
	return fmt.Sprintf("JobState(%d)", uint8(s))
}

// Over says whether the state is a last one.
func (s JobState) Over() bool { return s >= JobDone }

// Job is work on a whole bucket that outlives a process. There is at most one of a kind and bucket that is not over.
type Job struct {
	ID     string // drawn by the caller
	Kind   string
	Bucket string
	// Parameters is opaque JSON of what was asked for; it never changes.
	Parameters []byte
	// Progress is opaque JSON of how far it is, from which another process goes on.
	Progress []byte
	State    JobState
	// Message says why it failed, or what it waits for.
	Message string
	// Lease is drawn by each process that takes the job: what one writes that has lost it is refused.
	Lease string

	// The fields below are the store's own.

	Cancelled bool // somebody asked its holder to end it
	Created   time.Time
	Started   time.Time // zero until first taken
	Updated   time.Time
	Ended     time.Time // zero until over
}
