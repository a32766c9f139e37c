package keys

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"time"
)

// RecordType is the DSSE payload type of a KEK record, and of its endorsements.
const RecordType = "application/vnd.cofre.kek.v1+json"

// Record describes one KEK without telling it (docs/FORMAT.md section 7). It is signed by its creator and never changes. A
// parsed record is only a claim: TrustList.AcceptRecord says whether to believe it.
type Record struct {
	ID      KEKID
	Bucket  string
	Creator SiteID
	Created time.Time
	Commit  [sha256.Size]byte

	doc []byte
	sig DSSE
}

type recordJSON struct {
	Version int         `json:"version"`
	ID      KEKID       `json:"id"`
	Bucket  string      `json:"bucket"`
	Creator SiteID      `json:"creator"`
	Created timestamp   `json:"created"`
	Commit  base64Bytes `json:"commit"`
}

// NewRecord makes and signs the record of a KEK that this identity created.
func NewRecord(creator *Identity, kek KEK, created time.Time) (Record, error) {
	if kek.Creator() != creator.ID() {
		return Record{}, fmt.Errorf("make KEK record: %w: KEK of site %s", ErrUntrusted, kek.Creator())
	}
	if err := checkBucket(kek.Bucket()); err != nil {
		return Record{}, fmt.Errorf("make KEK record: %w", err)
	}
	commit := kek.Commit()
	payload := mustMarshal(recordJSON{
		Version: 1, ID: kek.ID(), Bucket: kek.Bucket(), Creator: creator.ID(),
		Created: newTimestamp(created), Commit: commit[:],
	})
	return ParseRecord(creator.Sign(RecordType, payload).Bytes())
}

// ParseRecord reads a record's DSSE document. It checks the form alone.
func ParseRecord(doc []byte) (Record, error) {
	var wire recordJSON
	sig, err := openAs(doc, RecordType, maxDocument, &wire)
	if err != nil {
		return Record{}, fmt.Errorf("parse KEK record: %w", err)
	}
	if wire.Version != 1 {
		return Record{}, fmt.Errorf("parse KEK record: %w: version %d", ErrMalformed, wire.Version)
	}
	if err := checkBucket(wire.Bucket); err != nil {
		return Record{}, fmt.Errorf("parse KEK record: %w", err)
	}
	r := Record{
		ID: wire.ID, Bucket: wire.Bucket, Creator: wire.Creator, Created: time.Time(wire.Created),
		doc: append([]byte(nil), doc...), sig: sig,
	}
	if err := wire.Commit.fill(r.Commit[:]); err != nil {
		return Record{}, fmt.Errorf("parse KEK record: commit: %w", err)
	}
	return r, nil
}

// Bytes is the DSSE document, as it was read or made.
func (r Record) Bytes() []byte { return append([]byte(nil), r.doc...) }

// Verify checks that the creator signed the record; card is the one that the trust list names for it.
func (r Record) Verify(card Card) error {
	if card.ID != r.Creator {
		return fmt.Errorf("verify KEK record: %w: card of site %s for creator %s", ErrSignature, card.ID, r.Creator)
	}
	if err := r.sig.Verify(card); err != nil {
		return fmt.Errorf("verify KEK record: %w", err)
	}
	return nil
}

// Check says whether the key is the one that the record commits to, in constant time.
func (r Record) Check(kek KEK) error {
	if kek.ID() != r.ID || kek.Bucket() != r.Bucket || kek.Creator() != r.Creator {
		return fmt.Errorf("check KEK %s: %w", r.ID, ErrCommit)
	}
	if commit := kek.Commit(); !hmac.Equal(commit[:], r.Commit[:]) {
		return fmt.Errorf("check KEK %s: %w", r.ID, ErrCommit)
	}
	return nil
}

// NewEndorsement signs another site's record: the same payload under the endorser's key.
func NewEndorsement(endorser *Identity, r Record) []byte {
	return endorser.Sign(RecordType, r.sig.Payload).Bytes()
}

// Endorsement is a site's signature under another site's record. Who signed is not in the payload: its name in the
// system bucket says who claims to have.
type Endorsement struct {
	sig DSSE
}

// ParseEndorsement reads an endorsement's DSSE document. It checks the form alone.
func ParseEndorsement(doc []byte) (Endorsement, error) {
	var wire recordJSON
	sig, err := openAs(doc, RecordType, maxDocument, &wire)
	if err != nil {
		return Endorsement{}, fmt.Errorf("parse endorsement: %w", err)
	}
	return Endorsement{sig: sig}, nil
}

// Verify checks that the holder of the card endorsed exactly this record's payload.
func (e Endorsement) Verify(card Card, r Record) error {
	if !bytes.Equal(e.sig.Payload, r.sig.Payload) {
		return fmt.Errorf("verify endorsement: %w: of another record", ErrSignature)
	}
	if err := e.sig.Verify(card); err != nil {
		return fmt.Errorf("verify endorsement: %w", err)
	}
	return nil
}
