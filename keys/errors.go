package keys

import "errors"

// Errors of keys and documents. They are matched with errors.Is; none of them, nor anything wrapped around them, holds a
// secret.
var (
	// ErrZeroKey says that a key of all zeros was given (docs/FORMAT.md section 2).
	ErrZeroKey = errors.New("key is all zeros")
	// ErrKeyLength says that a key has another length than its kind needs.
	ErrKeyLength = errors.New("key has the wrong length")
	// ErrMalformed says that a document is not of the form that docs/FORMAT.md gives.
	ErrMalformed = errors.New("malformed document")
	// ErrSignature says that a document's signature is not that of the key which had to sign it.
	ErrSignature = errors.New("bad signature")
	// ErrCommit says that an opened KEK does not give its record's commitment (docs/FORMAT.md section 7 rule 2).
	ErrCommit = errors.New("KEK does not give its record's commitment")
	// ErrGrant says that a grant's sealed bytes do not open with this identity.
	ErrGrant = errors.New("grant does not open")
	// ErrUntrusted says that the trust list does not let this site believe the document, or seal for that site.
	ErrUntrusted = errors.New("site is not trusted for this")
	// ErrMayNotWrite says that the trust list does not let this site itself write there: it is no writer of the bucket, it
	// deposits and the key is outside its prefixes, or nobody could open what it deposits. It is an ErrUntrusted, and no
	// sign of tampering.
	ErrMayNotWrite error = mayNotWrite{}
	// ErrTrustListOld says that a trust list has a lower number than one that was seen before.
	ErrTrustListOld = errors.New("trust list is older than the one known")
)

// Errors of a Store, a System and the Ring over them.
var (
	// ErrKEKNotFound says that the store has no such KEK.
	ErrKEKNotFound = errors.New("KEK not found")
	// ErrKEKConflict says that a KEK id or a trust list number is taken by a differing document. What was there stays.
	ErrKEKConflict = errors.New("conflicts with what is already accepted")
	// ErrNoTrustList says that the store has no trust list yet.
	ErrNoTrustList = errors.New("no trust list")
	// ErrSystemNotFound says that the system bucket has no document of that name.
	ErrSystemNotFound = errors.New("system document not found")
	// ErrNotRecipient says that a KEK exists and that no grant of it is for this site. It will not pass by waiting.
	ErrNotRecipient = errors.New("site is not a recipient of this KEK")
	// ErrKEKUnavailable says that a KEK cannot be had now: its documents have not arrived yet, or the store or the system
	// bucket does not answer. It may pass by waiting.
	ErrKEKUnavailable = errors.New("KEK is not available now")
)

// mayNotWrite is ErrMayNotWrite: an error of its own that is an ErrUntrusted too.
type mayNotWrite struct{}

func (mayNotWrite) Error() string        { return "this site may not write here" }
func (mayNotWrite) Is(target error) bool { return target == ErrUntrusted }
