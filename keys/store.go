package keys

import (
	"context"
	"fmt"
	"time"
)

// KEKState says what a KEK may still be used for. It lives in the store alone: the backend has no say in it.
type KEKState uint8

// The states. A KEK only ever moves down this list.
const (
	// Active: this site seals its new objects under it. At most one per bucket and creator.
	Active KEKState = iota + 1
	// ReadOnly: opens objects and wraps copies of them, seals no new ones. Other sites' KEKs and imported ones.
	ReadOnly
	// Closed: seals nothing more, and opens only objects of which the store has a record from before
	// (docs/FORMAT.md section 7 rule 4).
	Closed
)

// String names the state, for messages and tables.
func (s KEKState) String() string {
	switch s {
	case Active:
		return "active"
	case ReadOnly:
		return "read-only"
	case Closed:
		return "closed"
	}
	return fmt.Sprintf("KEKState(%d)", uint8(s))
}

// Valid says whether s is one of the three states.
func (s KEKState) Valid() bool { return s >= Active && s <= Closed }

// StoredKEK is a KEK as the store keeps it: its documents, never the key itself.
type StoredKEK struct {
	Bucket  string
	ID      KEKID
	Creator SiteID
	Record  []byte // DSSE document, as accepted
	Grant   []byte // DSSE document, the grant to this site
	State   KEKState
	Created time.Time // as the record says, in UTC
}

// Store is the part of the metadata store that keeps KEKs and the trust list. What it has accepted stays accepted: no
// method changes a document that is there. All methods are safe for concurrent use.
type Store interface {
	// KEK gives one KEK, or ErrKEKNotFound.
	KEK(ctx context.Context, bucket string, id KEKID) (StoredKEK, error)
	// ActiveKEK gives the bucket's active KEK of that creator, or ErrKEKNotFound.
	ActiveKEK(ctx context.Context, bucket string, creator SiteID) (StoredKEK, error)
	// KEKs gives all KEKs of the bucket, of all creators and in all states, in order of Created and id.
	KEKs(ctx context.Context, bucket string) ([]StoredKEK, error)
	// KEKBuckets gives, in byte order, the buckets behind after of which there are KEKs, at most limit of them.
	KEKBuckets(ctx context.Context, after string, limit int) ([]string, error)
	// AddKEK adds a KEK and returns what the store then holds. If k's id is there already with the same bucket, creator
	// and documents, nothing is changed and the stored one is returned, its state as it was; with differing ones nothing
	// is changed and the error is ErrKEKConflict. Else, if k is Active and another of the same bucket and creator is
	// active already, nothing is added and that other one is returned.
	AddKEK(ctx context.Context, k StoredKEK) (StoredKEK, error)
	// SetKEKState changes a KEK's state, or gives ErrKEKNotFound. A closed KEK never opens again and none becomes Active
	// again: such a change is ErrKEKConflict. The state it already has is no error.
	SetKEKState(ctx context.Context, bucket string, id KEKID, state KEKState) error
	// CountKEK adds n, which is not negative, to the number of objects that were sealed under a KEK, and gives the total;
	// ErrKEKNotFound where there is no such KEK. An addition whose answer is lost may have been made.
	CountKEK(ctx context.Context, bucket string, id KEKID, n int64) (total int64, err error)
	// CloseKEKs closes all KEKs of the bucket; none at all is no error.
	CloseKEKs(ctx context.Context, bucket string) error
	// TrustList gives the stored trust list with its number, or ErrNoTrustList.
	TrustList(ctx context.Context) (number uint64, dsse []byte, err error)
	// SetTrustList stores a trust list if its number is greater than the stored one's, else ErrKEKConflict.
	SetTrustList(ctx context.Context, number uint64, dsse []byte) error
}

// System is the system bucket on the backend, reached with the site's own identity. Its content is under the storage
// operator's control: nothing read from it is believed without a signature that the trust list allows.
type System interface {
	// Get reads a document, or gives ErrSystemNotFound when the backend clearly says that there is none. Every other
	// error means that the answer is not known.
	Get(ctx context.Context, name string) ([]byte, error)
	// Put writes a document durably.
	Put(ctx context.Context, name string, doc []byte) error
	// Delete removes a document; no error where there is none.
	Delete(ctx context.Context, name string) error
	// List gives the names that begin with prefix, in order.
	List(ctx context.Context, prefix string) ([]string, error)
}
