package proxy

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"cofre/keys"
)

// keks tells what is wrong with the documents of the bucket's KEKs. What is wrong only once is somebody's work in progress.
func (v *verification) keks(ctx context.Context) error {
	first, err := v.cfg.KEKs(ctx, v.bucket)
	if err != nil || len(first) == 0 {
		return err
	}
	if !v.settle(ctx) {
		return ctx.Err()
	}
	again, err := v.cfg.KEKs(ctx, v.bucket)
	if err != nil {
		return err
	}
	for _, a := range again {
		stands := slices.ContainsFunc(first, func(b keys.KEKFinding) bool {
			return a.KEK == b.KEK && a.Fault == b.Fault && a.Recipient.ID == b.Recipient.ID
		})
		if stands {
			v.note(func(r *VerifyReport) { r.KEKs++ })
			v.tell(Finding{Kind: FindingKind(a.Fault), Bucket: v.bucket, Detail: describeKEK(a)})
		}
	}
	return nil
}

func describeKEK(a keys.KEKFinding) string {
	switch a.Fault {
	case keys.RecordMissing:
		return fmt.Sprintf("KEK %s has no record in the system bucket: without the store nothing under it could be opened.", a.KEK)
	case keys.RecordDiffers:
		return fmt.Sprintf("The system bucket has another record of KEK %s than this site accepted.", a.KEK)
	case keys.GrantMissing:
		return fmt.Sprintf("KEK %s has no grant to %s (%s), whom the trust list names.", a.KEK, a.Recipient.Name, a.Recipient.ID)
	}
	return fmt.Sprintf("The grant of KEK %s to %s (%s) would not be believed: %v.", a.KEK, a.Recipient.Name, a.Recipient.ID, a.Err)
}

// idFilter remembers object ids in a fixed amount of memory (a Bloom filter): what it has seen it knows, and of what it has not
// seen it takes one in a thousand for known while there are no more than ten million. Ids are random, so they are their own hashes.
type idFilter struct {
	mu   sync.Mutex // guards bits
	bits []uint64
}

const (
	filterBits   = 1 << 28 // 32 MiB
	filterProbes = 4
)

func newIDFilter() *idFilter { return &idFilter{bits: make([]uint64, filterBits/64)} }

// places gives the bits that stand for an id.
func (*idFilter) places(id keys.ObjectID) (at [filterProbes]uint64) {
	a, b := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	for i := range at {
		at[i] = (a + uint64(i)*(b|1)) % filterBits
	}
	return at
}

func (f *idFilter) add(id keys.ObjectID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, at := range f.places(id) {
		f.bits[at/64] |= 1 << (at % 64)
	}
}

func (f *idFilter) has(id keys.ObjectID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, at := range f.places(id) {
		if f.bits[at/64]&(1<<(at%64)) == 0 {
			return false
		}
	}
	return true
}
