package metadata

// SealedKind says what kind of row holds something that only the site's identity opens.
type SealedKind uint8

// The kinds, and what is sealed in them.
const (
	SealedKEK        SealedKind = iota + 1 // a KEK: its grant to this site
	SealedCredential                       // a credential: its secret
	SealedUpload                           // an upload that has a SealedDEK
)

// SealedKinds is all of them.
func SealedKinds() []SealedKind { return []SealedKind{SealedKEK, SealedCredential, SealedUpload} }

// SealedRow is what a row holds that only the site's identity opens, and what it takes to open it.
type SealedRow struct {
	Kind   SealedKind
	ID     string // the KEK's 16 bytes, the access key id, the upload's id
	Sealed []byte
	// Beside is what Sealed belongs to: a KEK's record, an upload's envelope.
	Beside []byte
}
