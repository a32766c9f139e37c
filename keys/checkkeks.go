package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

// KEKFault says what CheckKEKs found wrong with a document of a KEK in the system bucket.
type KEKFault string

// The faults. Each word is stable: reports are read by programs.
const (
	RecordMissing  KEKFault = "kek-record-missing" // the store has the KEK, the system bucket has no record of it
	RecordDiffers  KEKFault = "kek-record-differs" // the system bucket has another record than the store accepted
	GrantMissing   KEKFault = "grant-missing"      // a recipient of the trust list has no grant
	GrantUntrusted KEKFault = "grant-untrusted"    // a recipient's grant would not be believed
)

// KEKFinding is one thing that CheckKEKs found.
type KEKFinding struct {
	KEK       KEKID
	Fault     KEKFault
	Recipient Card  // of the grants' faults; else its id is zero
	Err       error // why a grant would not be believed
}

// CheckKEKs holds the system bucket's documents of the KEKs that the store knows against the store and the trust list: without them
// the KEK is lost with the store, and a recovery identity opens nothing. It changes nothing. Whether a recipient really can open
// its grant only the recipient can tell; that it was signed by somebody who may, for this KEK and this recipient, is checked.
//
// The error is for the whole: ErrKEKUnavailable when there is no answer.
func (r *Ring) CheckKEKs(ctx context.Context, bucket string) ([]KEKFinding, error) {
	trust := r.trust()
	if trust == nil {
		return nil, fmt.Errorf("check KEKs: %w: there is no trust list", ErrUntrusted)
	}
	stored, err := r.store.KEKs(ctx, bucket)
	if err != nil {
		return nil, fmt.Errorf("check KEKs of bucket %.80q: %w", bucket, unavailable(err))
	}
	var found []KEKFinding
	for _, s := range stored {
		faults, err := r.checkKEK(ctx, trust, s)
		if err != nil {
			return nil, fmt.Errorf("check KEK %s of bucket %.80q: %w", s.ID, bucket, unavailable(err))
		}
		found = append(found, faults...)
	}
	return found, nil
}

func (r *Ring) checkKEK(ctx context.Context, trust *TrustList, s StoredKEK) ([]KEKFinding, error) {
	record, err := ParseRecord(s.Record)
	if err != nil {
		return nil, err
	}
	var found []KEKFinding
	doc, err := r.system.Get(ctx, RecordName(s.Bucket, s.ID))
	switch {
	case errors.Is(err, ErrSystemNotFound):
		found = append(found, KEKFinding{KEK: s.ID, Fault: RecordMissing})
	case err != nil:
		return nil, err
	case !bytes.Equal(doc, s.Record):
		found = append(found, KEKFinding{KEK: s.ID, Fault: RecordDiffers})
	}
	for _, recipient := range trust.Recipients(s.Bucket) {
		doc, err := r.system.Get(ctx, GrantName(s.Bucket, s.ID, recipient.ID))
		switch {
		case errors.Is(err, ErrSystemNotFound):
			found = append(found, KEKFinding{KEK: s.ID, Fault: GrantMissing, Recipient: recipient})
			continue
		case err != nil:
			return nil, err
		}
		if err := r.checkGrant(trust, record, recipient, doc); err != nil {
			found = append(found, KEKFinding{KEK: s.ID, Fault: GrantUntrusted, Recipient: recipient, Err: err})
		}
	}
	return found, nil
}

// checkGrant judges a grant as its recipient would. A granter who was trusted when the store accepted the KEK and is not any
// more made grants that stay good where they are known already; a site that has to believe them anew does not.
func (r *Ring) checkGrant(trust *TrustList, record Record, recipient Card, doc []byte) error {
	grant, err := ParseGrant(doc)
	if err != nil {
		return err
	}
	if grant.Recipient != recipient.ID {
		return fmt.Errorf("%w: grant to another site than its name says", ErrMalformed)
	}
	if err := trust.AcceptGrant(grant, record); err != nil {
		return err
	}
	if recipient.ID != r.identity.ID() {
		return nil
	}
	_, err = r.identity.OpenGrant(grant, record)
	return err
}

// HasOtherWriters says whether any other site may write to the bucket, or ever could: what such a site replaced or deleted, this
// one has not been told of.
func (t *TrustList) HasOtherWriters(bucket string) bool {
	return slices.ContainsFunc(t.entries, func(e TrustEntry) bool {
		return e.Card.ID != t.site && e.Role != Recovery && matchBucket(e.Bucket, bucket)
	})
}
