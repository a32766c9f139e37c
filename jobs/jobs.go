// Package jobs runs work on whole buckets that takes hours and outlives a process: one at a time in each process, each job in one
// process at a time. A job is a row of the metadata store; whoever runs it holds its lock, which ends with the connection, so a job
// whose process died is taken over by another at its last checkpoint. There is no queue: a bucket has at most one job of a kind.
package jobs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"cofre/metadata"
)

// Kinds of jobs.
const (
	Reencrypt = "reencrypt" // write anew what lies under certain KEKs
	Migrate   = "migrate"   // seal what lies in clear
)

// Parameters is what was asked for.
type Parameters struct {
	KEKs           []string `json:"keks,omitempty"`
	All            bool     `json:"all,omitempty"`
	RemoveReplaced bool     `json:"remove_replaced,omitempty"`
	Rate           int64    `json:"rate,omitempty"` // plaintext bytes a second that are read; 0 for no limit
	Parallel       int      `json:"parallel,omitempty"`
}

// Counts says what a job has met and done; see the room that does it.
type Counts struct {
	Looked    int64 `json:"looked_at"`
	Already   int64 `json:"already_done"`
	Refused   int64 `json:"refused"`
	Left      int64 `json:"left"`
	Rewritten int64 `json:"rewritten"`
	Bytes     int64 `json:"bytes"`
	Dropped   int64 `json:"dropped"`
	Removed   int64 `json:"removed"`
}

// Finding is an object that stays as it is, and why.
type Finding struct {
	Key       string `json:"key"`
	VersionID string `json:"version,omitempty"`
	KEK       string `json:"kek,omitempty"`
	Kind      string `json:"kind"`
	Reason    string `json:"reason,omitempty"`
}

// How many findings a job keeps of current objects and of older versions. All of them are counted, and listed by the command's --list.
const (
	maxRefused = 1000
	maxLeft    = 100
)

// Progress is how far a job is.
type Progress struct {
	// At is the checkpoint, in the worker's own words: everything before it is done with, and Base was counted up to it.
	At   json.RawMessage `json:"at,omitempty"`
	Base Counts          `json:"base"`
	// Now counts on from Base.
	Now Counts `json:"now"`
	// Total is how many objects the bucket had at the start, as far as its storage tells; 0 for unknown.
	Total   int64     `json:"total,omitempty"`
	Refused []Finding `json:"refused,omitempty"`
	Left    []Finding `json:"left,omitempty"`
	// Pending is what must not be forgotten, by name: what the worker has begun. It outlives the job, whose successor takes it over.
	Pending map[string]json.RawMessage `json:"pending,omitempty"`
}

// ProgressOf reads a job's progress.
func ProgressOf(job metadata.Job) (Progress, error) {
	var p Progress
	if len(job.Progress) == 0 {
		return p, nil
	}
	if err := json.Unmarshal(job.Progress, &p); err != nil {
		return p, fmt.Errorf("read progress of job %s: %w", job.ID, err)
	}
	return p, nil
}

// ParametersOf reads what a job was asked for.
func ParametersOf(job metadata.Job) (Parameters, error) {
	var p Parameters
	if err := json.Unmarshal(job.Parameters, &p); err != nil {
		return p, fmt.Errorf("read parameters of job %s: %w", job.ID, err)
	}
	return p, nil
}

// Store is what jobs need of a metadata.Store.
type Store interface {
	AddJob(ctx context.Context, job metadata.Job) error
	Job(ctx context.Context, id string) (metadata.Job, error)
	LastJob(ctx context.Context, kind, bucket string) (metadata.Job, error)
	OpenJobs(ctx context.Context) ([]metadata.Job, error)
	TakeJob(ctx context.Context, id, lease string) (metadata.Job, error)
	UpdateJob(ctx context.Context, job metadata.Job) (cancelled bool, err error)
	LockJob(ctx context.Context, id string) (metadata.Lock, error)
}

// ErrOther says that the bucket has a job of that kind which asks for something else.
var ErrOther = errors.New("another job of this kind is not over yet")

// enqueueWait is how long others may take to add a job of the same kind and bucket.
const enqueueWait = 10 * time.Second

// Enqueue adds a job, or gives the one that is there for the same purpose. What an earlier one could not settle is the new one's to
// settle: one adds at a time, so that no notes fall between two.
func Enqueue(ctx context.Context, store Store, kind, bucket string, p Parameters) (job metadata.Job, added bool, err error) {
	text, err := json.Marshal(p)
	if err != nil {
		return metadata.Job{}, false, err
	}
	wait, cancel := context.WithTimeout(ctx, enqueueWait)
	lock, err := store.LockJob(wait, "add "+kind+" "+bucket)
	cancel()
	if err != nil {
		return metadata.Job{}, false, fmt.Errorf("lock jobs of bucket %s: %w", bucket, err)
	}
	defer lock.Unlock()
	last, err := store.LastJob(ctx, kind, bucket)
	switch {
	case errors.Is(err, metadata.ErrNotFound):
	case err != nil:
		return metadata.Job{}, false, err
	case last.State.Over():
	case string(last.Parameters) == string(text):
		return last, false, nil
	default:
		return last, false, fmt.Errorf("%s of bucket %s: %w: job %s", kind, bucket, ErrOther, last.ID)
	}
	job = metadata.Job{ID: newID(), Kind: kind, Bucket: bucket, Parameters: text, State: metadata.JobWaiting}
	if job.Progress, err = inherited(last); err != nil {
		return metadata.Job{}, false, err
	}
	return job, true, store.AddJob(ctx, job)
}

// inherited is the progress of a job that follows one which is over: its notes, and nothing else; none where it left none.
func inherited(before metadata.Job) ([]byte, error) {
	p, err := ProgressOf(before)
	if err != nil || len(p.Pending) == 0 {
		return nil, err
	}
	return json.Marshal(Progress{Pending: p.Pending})
}

// newID is short enough to be typed.
func newID() string { return strings.ToLower(rand.Text()[:10]) }
