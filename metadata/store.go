package metadata

import (
	"context"
	"time"

	"cofre/keys"
)

// Credential is one client credential kept in the store. Its secret is sealed by the caller; the store sees no plaintext.
type Credential struct {
	AccessKeyID  string
	SealedSecret []byte
	Description  string
	BackendUser  string    // the mapped backend identity, empty for the site's own
	Grants       []byte    // JSON, as package access defines it
	Created      time.Time // set by the store
	Disabled     bool
}

// Store keeps records, uploads, KEKs, credentials and the trust list.
//
// All methods are safe for concurrent use. Errors that mean "not reachable" match ErrUnavailable. Times are the store's,
// in UTC, in steps of a microsecond or finer. Strings may hold any bytes. Slices that a Store gives belong to the
// caller; an empty []byte field may come back as nil.
type Store interface {
	keys.Store

	// Now is a lower bound of the store's clock, from memory: it makes no query. A request reads it as it begins. It never
	// runs ahead of the store's clock, so a row whose Committed is before it was surely committed before the request began.
	Now() time.Time

	// Healthy says, from memory, whether the store answered lately. Writes are refused while it does not.
	Healthy() bool

	// Add writes the record and, where origin is Committed and the version is the null version, turns into tombstones
	// the rows of that key and the null version which were committed before rec.Began, but for one of the same envelope: rows,
	// tombstones and the parts of a multipart record become visible at once or not at all. A row that is already there stays as it is, live or
	// tombstoned: that is no error, and what it replaced is still tombstoned. Committed and Tombstoned of rec are not read.
	Add(ctx context.Context, rec Record, origin Origin) error

	// Latest gives the live record of the key that was committed last, of that version or, where versionID is empty, of
	// any. It is a plan for a backend request, no truth: the answer's envelope decides. ErrNotFound where there is none.
	Latest(ctx context.Context, bucket, key, versionID string) (Record, error)

	// ByEnvelope gives the row of exactly this envelope, tombstoned or not. Where several versions carry the same
	// envelope (a restored copy), a live row wins, then the one committed last. ErrNotFound where there is none.
	ByEnvelope(ctx context.Context, bucket, key string, env Envelope) (Record, error)

	// Known says whether there is, or ever was, a record of that key and version: live rows and tombstones both count. An
	// object without envelope is passed to clients (where a bucket's policy says so) only if there is none, so that the
	// storage cannot swap a sealed object for one of its own making.
	Known(ctx context.Context, bucket, key, versionID string) (bool, error)

	// Page answers one listing page with one query, or two where the store has far more rows between the page's keys than
	// the page has entries: for each entry the live row with that key and backend ETag, the one committed last where there
	// are several, aligned with entries; a missing row is nil. So that the answer comes from an index alone, only what a
	// listing shows is filled: Bucket, Key, VersionID, BackendETag, Size, ETag, the
	// checksum's Algorithm and Type (not its Value), and Committed. An entry that names a key and ETag again gets a
	// Record of its own.
	Page(ctx context.Context, bucket string, entries []Entry) ([]*Record, error)

	// Rows gives up to limit of the bucket's live rows, of all versions, in byte order of the key and, within one, the one
	// committed last first: those behind the row that the page before ended with, or from the first one where after is nil.
	// Of a row only what Page fills is filled, so that a walk over all of them reads an index and nothing else. Rows that are
	// added or tombstoned meanwhile may be on a page or not. Fewer than limit rows are the end.
	Rows(ctx context.Context, bucket string, after *Record, limit int) ([]Record, error)

	// Tombstone turns rows into tombstones, all at once. Rows that are not there are no error.
	Tombstone(ctx context.Context, deletions ...Deletion) error

	// Revive takes a tombstone away: an operator accepted an older object (a restore from backup). It holds for every
	// version that carries the envelope. ErrNotFound where no row has it; a live row is no error.
	Revive(ctx context.Context, bucket, key string, env Envelope) error

	// DropBucket tombstones the rows of the bucket that were committed before began and forgets its uploads and its
	// guard where they are older. Called after DeleteBucket succeeded.
	DropBucket(ctx context.Context, bucket string, began time.Time) error

	// LockKey takes the lock of one object key across replicas: conditions are judged and writes committed under it.
	// It waits until ctx ends, then returns ErrLockTimeout. Callers keep one waiter per key and process. A lock, once had,
	// outlives ctx. No caller waits for a second key's lock while it holds one; LockKey under LockUpload is fine.
	LockKey(ctx context.Context, bucket, key string) (Lock, error)

	// LockUpload takes the lock under which one Complete or Abort runs at a time; waiting as LockKey does.
	LockUpload(ctx context.Context, uploadID string) (Lock, error)

	// GuardBucket notes that a condition was sent in this bucket which the backend cannot enforce by itself, so that every
	// writer has to take the key's lock there, and says how long ago, by the store's clock, that was first noted: replicas
	// that asked BucketGuarded shortly before may go on without the lock for as long as they remember the answer.
	GuardBucket(ctx context.Context, bucket string) (age time.Duration, err error)
	// BucketGuarded says whether GuardBucket was called for the bucket since it was made.
	BucketGuarded(ctx context.Context, bucket string) (bool, error)

	// CreateUpload writes a new open upload. The same one again is no error; another one under the same ID is ErrConflict.
	CreateUpload(ctx context.Context, up Upload) error
	// Upload gives one upload of that bucket and key in any state, or ErrNotFound.
	Upload(ctx context.Context, bucket, key, uploadID string) (Upload, error)
	// Uploads gives a page of the bucket's open and completing uploads in byte order of (key, id), behind the markers:
	// with both, ids of keyMarker behind idMarker and all later keys; with keyMarker alone, keys behind it. An idMarker
	// alone means nothing, as in S3.
	Uploads(ctx context.Context, bucket, prefix, keyMarker, idMarker string, limit int) ([]Upload, error)
	// AddPart adds one attempt of a part to an open upload; ErrNotFound where there is none, ErrConflict where it is not
	// open. The same attempt again is no error.
	AddPart(ctx context.Context, uploadID string, part UploadPart) error
	// UploadParts gives, in order of number behind after, the newest attempt of each part; attempts says how many there
	// were of each. An unknown upload has no parts.
	UploadParts(ctx context.Context, uploadID string, after, limit int) (parts []UploadPart, attempts []int, err error)
	// PartAttempts gives all attempts of one part, newest first.
	PartAttempts(ctx context.Context, uploadID string, number int) ([]UploadPart, error)
	// SetIntent moves an open upload to UploadCompleting with this intent, or back to UploadOpen with an empty one.
	// ErrNotFound where there is no upload; ErrConflict where it is completed, or completing with another intent.
	SetIntent(ctx context.Context, uploadID string, intent []byte) error
	// FinishUpload adds the record (as Add does, with origin Committed) and marks the upload completed with this result,
	// at once; its part rows and its SealedDEK are removed. ErrNotFound where rec's bucket and key have no such upload,
	// ErrConflict where it has no intent: nothing is written then. A completed upload keeps its first result, without an
	// error.
	FinishUpload(ctx context.Context, uploadID string, result []byte, rec Record) error
	// DeleteUpload removes an upload and its parts, whatever its state; no error where there is none.
	DeleteUpload(ctx context.Context, uploadID string) error
	// SweepUploads removes uploads completed before the given time, at most limit, and says how many.
	SweepUploads(ctx context.Context, completedBefore time.Time, limit int) (int, error)

	// SweepTombstones removes tombstones, with their parts, that were made before the given time, oldest first and at most limit, and
	// says how many. What they marked can be put back unnoticed from then on.
	SweepTombstones(ctx context.Context, tombstonedBefore time.Time, limit int) (int, error)
	// LayoutsInUse says of each object id whether the bucket has an upload of it, in any state, or a record in parts, live or
	// tombstoned since the given time. It is aligned with ids.
	LayoutsInUse(ctx context.Context, bucket string, ids []keys.ObjectID, goneSince time.Time) ([]bool, error)
	// SweepState gives the opaque state of a bucket's sweep as it was last set, nil for none; SetSweepState forgets it where it
	// is empty.
	SweepState(ctx context.Context, bucket string) ([]byte, error)
	SetSweepState(ctx context.Context, bucket string, state []byte) error

	// AddCredential adds a credential. The same one again is no error; another one under the same id is ErrConflict.
	AddCredential(ctx context.Context, c Credential) error
	// Credential gives one credential, disabled or not, or ErrNotFound.
	Credential(ctx context.Context, accessKeyID string) (Credential, error)
	// Credentials gives all of them in byte order of the access key id.
	Credentials(ctx context.Context) ([]Credential, error)
	// DeleteCredential removes a credential; no error where there is none.
	DeleteCredential(ctx context.Context, accessKeyID string) error

	// AddJob adds a waiting job, with the Progress that it begins with; what stands behind that is not read. The same one again is
	// no error; ErrConflict where another of its kind and bucket is not over, or has its ID.
	AddJob(ctx context.Context, job Job) error
	// Job gives one job, or ErrNotFound.
	Job(ctx context.Context, id string) (Job, error)
	// LastJob gives the newest job of a kind and bucket, over or not, or ErrNotFound.
	LastJob(ctx context.Context, kind, bucket string) (Job, error)
	// Jobs gives the newest jobs, newest first; OpenJobs those that are not over, oldest first.
	Jobs(ctx context.Context, limit int) ([]Job, error)
	OpenJobs(ctx context.Context) ([]Job, error)
	// TakeJob makes a job that is not over a running one under this lease, and gives it. ErrNotFound where there is none,
	// ErrConflict where it is over. Callers hold the job's lock.
	TakeJob(ctx context.Context, id, lease string) (Job, error)
	// UpdateJob writes Progress, State and Message of a running job, and says whether somebody asked to cancel it. ErrConflict
	// where it is not running under job.Lease; the same last state again is no error.
	UpdateJob(ctx context.Context, job Job) (cancelled bool, err error)
	// CancelJob ends a waiting job without Progress, and asks the holder of any other, or who takes it next, to end it: what such
	// a one has begun is not the store's to judge. A job that is over stays as it is, without an error. ErrNotFound where there is
	// none.
	CancelJob(ctx context.Context, id string) error
	// LockJob takes the lock that the holder of a job has, waiting as LockKey does. It may be held for days; callers hold one
	// at a time.
	LockJob(ctx context.Context, id string) (Lock, error)

	// AddAudit adds an event to the trail. Where the answer to it was lost it may be there twice.
	AddAudit(ctx context.Context, e AuditEvent) error
	// Audit gives the events that the filter wants in order of ID, at most limit.
	Audit(ctx context.Context, want AuditFilter, limit int) ([]AuditEvent, error)

	// UnstagedRows gives, in byte order of ID behind after, at most limit rows of a kind that StageSealed has not been given
	// as they stand now for that identity.
	UnstagedRows(ctx context.Context, to keys.SiteID, kind SealedKind, after string, limit int) ([]SealedRow, error)
	// StageSealed notes what a row will hold in place of row.Sealed when the site takes on that identity. Nothing reads it
	// before; it replaces what was noted of the row for the same identity. Of an upload nothing is noted, without an error,
	// where it does not hold row.Sealed any more; and with its SealedDEK goes what was noted of it, at once.
	StageSealed(ctx context.Context, to keys.SiteID, row SealedRow, next []byte) error
	// TakeIdentity makes the store that of another identity, all at once or not at all: every row holds what was staged
	// for it, active KEKs of other creators become read-only, and the trust list is that identity's. ErrConflict while a row is not staged as
	// it stands; keys.ErrKEKConflict where the list's number is not above the stored one's. The same list again, once it
	// is the stored one, is no error and changes nothing.
	TakeIdentity(ctx context.Context, to keys.SiteID, number uint64, dsse []byte) error

	// Note gives what SetNote left under that name, or ErrNotFound.
	Note(ctx context.Context, name string) (Note, error)
	// SetNote leaves a note in place of the one of that name. Notes are neither dumped nor loaded.
	SetNote(ctx context.Context, name string, text []byte) error
	// DropNote takes a note away; no error where there is none.
	DropNote(ctx context.Context, name string) error

	// Dump gives all rows as they are at one moment, while others go on writing: every row that was committed before Dump was
	// called, and of one transaction all rows or none. They come in the order of the kinds, and within a kind in any. An error
	// of visit ends it and is given back as it is. It holds one connection, and what the store keeps of old rows, until it ends;
	// memory does not grow with the number of rows.
	Dump(ctx context.Context, visit func(Row) error) error
	// Load fills the store with the rows that next gives, in the order in which Dump gives them, until io.EOF: all at once or
	// not at all. Any other error of next leaves the store as it was, and is given back as it is. It is ErrNotEmpty where the
	// store has rows, unless replace says that they go, at the same moment. Nobody else reads or writes meanwhile.
	//
	// All times stay as they were, cut to what the store can hold, and the store's clock goes on above them where it is its own.
	// AuditEvents keep their IDs.
	Load(ctx context.Context, replace bool, next func() (Row, error)) error

	// Close gives back connections and files. Locks that are still held are lost.
	Close() error
}

// Lock is held by one holder across all replicas until Unlock or the loss of its connection. Its reads run on the
// holder's own connection, so that waiters can never starve them, and are never answered from a cache. A Lock is used by
// one goroutine at a time.
type Lock interface {
	Latest(ctx context.Context, bucket, key, versionID string) (Record, error)
	ByEnvelope(ctx context.Context, bucket, key string, env Envelope) (Record, error)
	// Held says whether the lock is still held, asking the server where there is one: ErrLockLost where it is not. It is
	// asked right before the act that the lock protects. Where a Lock's read failed, the lock may count as lost.
	Held(ctx context.Context) error
	// Unlock gives the lock back; a second call does nothing.
	Unlock()
}
