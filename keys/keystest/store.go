package keystest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"cofre/keys"
)

// FakeStore is a keys.Store in memory. The zero value is an empty store.
type FakeStore struct {
	Faults

	mu     sync.Mutex // guards what is below
	rows   map[row]keys.StoredKEK
	sealed map[row]int64 // what CountKEK counted
	number uint64
	trust  []byte
}

type row struct {
	bucket string
	id     keys.KEKID
}

var _ keys.Store = (*FakeStore)(nil)

// KEK implements keys.Store.
func (s *FakeStore) KEK(ctx context.Context, bucket string, id keys.KEKID) (keys.StoredKEK, error) {
	finish, err := s.enter(ctx, "KEK")
	if err != nil {
		return keys.StoredKEK{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.rows[row{bucket, id}]
	if !ok {
		return keys.StoredKEK{}, finish(keys.ErrKEKNotFound)
	}
	return answer(k, finish(nil))
}

// ActiveKEK implements keys.Store.
func (s *FakeStore) ActiveKEK(ctx context.Context, bucket string, creator keys.SiteID) (keys.StoredKEK, error) {
	finish, err := s.enter(ctx, "ActiveKEK")
	if err != nil {
		return keys.StoredKEK{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.active(bucket, creator); ok {
		return answer(k, finish(nil))
	}
	return keys.StoredKEK{}, finish(keys.ErrKEKNotFound)
}

func (s *FakeStore) active(bucket string, creator keys.SiteID) (keys.StoredKEK, bool) {
	for _, k := range s.rows {
		if k.Bucket == bucket && k.Creator == creator && k.State == keys.Active {
			return k, true
		}
	}
	return keys.StoredKEK{}, false
}

// KEKs implements keys.Store.
func (s *FakeStore) KEKs(ctx context.Context, bucket string) ([]keys.StoredKEK, error) {
	finish, err := s.enter(ctx, "KEKs")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []keys.StoredKEK
	for _, k := range s.rows {
		if k.Bucket == bucket {
			all = append(all, clone(k))
		}
	}
	slices.SortFunc(all, func(a, b keys.StoredKEK) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID.String(), b.ID.String())
	})
	return all, finish(nil)
}

// KEKBuckets implements keys.Store.
func (s *FakeStore) KEKBuckets(ctx context.Context, after string, limit int) ([]string, error) {
	finish, err := s.enter(ctx, "KEKBuckets")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for r := range s.rows {
		if r.bucket > after {
			names = append(names, r.bucket)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return names[:min(limit, len(names))], finish(nil)
}

// AddKEK implements keys.Store.
func (s *FakeStore) AddKEK(ctx context.Context, k keys.StoredKEK) (keys.StoredKEK, error) {
	finish, err := s.enter(ctx, "AddKEK")
	if err != nil {
		return keys.StoredKEK{}, err
	}
	if !k.State.Valid() || len(k.Record) == 0 || len(k.Grant) == 0 || k.Bucket == "" {
		return keys.StoredKEK{}, fmt.Errorf("fake store: incomplete KEK %s", k.ID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if held, ok := s.byID(k.ID); ok {
		if held.Bucket != k.Bucket || held.Creator != k.Creator ||
			!bytes.Equal(held.Record, k.Record) || !bytes.Equal(held.Grant, k.Grant) {
			return keys.StoredKEK{}, finish(keys.ErrKEKConflict)
		}
		return answer(held, finish(nil))
	}
	if k.State == keys.Active {
		if other, ok := s.active(k.Bucket, k.Creator); ok {
			return answer(other, finish(nil))
		}
	}
	s.set(k)
	return answer(k, finish(nil))
}

// Plant puts a row there as it is, whatever the contract says: a store that was tampered with.
func (s *FakeStore) Plant(k keys.StoredKEK) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(k)
}

func (s *FakeStore) set(k keys.StoredKEK) {
	if s.rows == nil {
		s.rows = make(map[row]keys.StoredKEK)
	}
	s.rows[row{k.Bucket, k.ID}] = clone(k)
}

// byID looks in all buckets: a KEK id is unique across them.
func (s *FakeStore) byID(id keys.KEKID) (keys.StoredKEK, bool) {
	for r, k := range s.rows {
		if r.id == id {
			return k, true
		}
	}
	return keys.StoredKEK{}, false
}

// SetKEKState implements keys.Store.
func (s *FakeStore) SetKEKState(ctx context.Context, bucket string, id keys.KEKID, state keys.KEKState) error {
	finish, err := s.enter(ctx, "SetKEKState")
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.rows[row{bucket, id}]
	if !ok {
		return finish(keys.ErrKEKNotFound)
	}
	if !state.Valid() || state < k.State {
		return finish(keys.ErrKEKConflict)
	}
	k.State = state
	s.rows[row{bucket, id}] = k
	return finish(nil)
}

// CountKEK implements keys.Store.
func (s *FakeStore) CountKEK(ctx context.Context, bucket string, id keys.KEKID, n int64) (int64, error) {
	finish, err := s.enter(ctx, "CountKEK")
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.rows[row{bucket, id}]; !ok {
		return 0, finish(keys.ErrKEKNotFound)
	}
	if s.sealed == nil {
		s.sealed = make(map[row]int64)
	}
	s.sealed[row{bucket, id}] += n
	if err := finish(nil); err != nil {
		return 0, err
	}
	return s.sealed[row{bucket, id}], nil
}

// CloseKEKs implements keys.Store.
func (s *FakeStore) CloseKEKs(ctx context.Context, bucket string) error {
	finish, err := s.enter(ctx, "CloseKEKs")
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for r, k := range s.rows {
		if r.bucket == bucket {
			k.State = keys.Closed
			s.rows[r] = k
		}
	}
	return finish(nil)
}

// TrustList implements keys.Store.
func (s *FakeStore) TrustList(ctx context.Context) (uint64, []byte, error) {
	finish, err := s.enter(ctx, "TrustList")
	if err != nil {
		return 0, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.number == 0 {
		return 0, nil, finish(keys.ErrNoTrustList)
	}
	return s.number, bytes.Clone(s.trust), finish(nil)
}

// SetTrustList implements keys.Store.
func (s *FakeStore) SetTrustList(ctx context.Context, number uint64, dsse []byte) error {
	finish, err := s.enter(ctx, "SetTrustList")
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if number <= s.number {
		return finish(keys.ErrKEKConflict)
	}
	s.number, s.trust = number, bytes.Clone(dsse)
	return finish(nil)
}

// answer gives out a copy, so that nobody changes what is stored, and nothing beside an error.
func answer(k keys.StoredKEK, err error) (keys.StoredKEK, error) {
	if err != nil {
		return keys.StoredKEK{}, err
	}
	return clone(k), nil
}

func clone(k keys.StoredKEK) keys.StoredKEK {
	k.Record, k.Grant = bytes.Clone(k.Record), bytes.Clone(k.Grant)
	return k
}
