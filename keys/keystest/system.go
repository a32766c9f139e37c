package keystest

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"cofre/keys"
)

// ErrImmutable is what FakeSystem says to one who writes another document where a KEK record is. An S3 store would let him;
// no part of cofre may ever try.
var ErrImmutable = errors.New("fake system: KEK record is there already and never changes")

// FakeSystem is a keys.System in memory. The zero value is an empty one. Plant and Remove are the storage operator's hands:
// they are bound by nothing.
type FakeSystem struct {
	Faults

	mu   sync.Mutex
	docs map[string][]byte
}

var _ keys.System = (*FakeSystem)(nil)

// Get implements keys.System.
func (s *FakeSystem) Get(ctx context.Context, name string) ([]byte, error) {
	finish, err := s.enter(ctx, "Get")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	doc, ok := s.docs[name]
	if !ok {
		return nil, finish(keys.ErrSystemNotFound)
	}
	if err := finish(nil); err != nil {
		return nil, err
	}
	return bytes.Clone(doc), nil
}

// Put implements keys.System.
func (s *FakeSystem) Put(ctx context.Context, name string, doc []byte) error {
	finish, err := s.enter(ctx, "Put")
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.docs[name]; ok && strings.HasSuffix(name, "/record.json") && !bytes.Equal(old, doc) {
		return finish(ErrImmutable)
	}
	s.set(name, doc)
	return finish(nil)
}

// Delete implements keys.System.
func (s *FakeSystem) Delete(ctx context.Context, name string) error {
	finish, err := s.enter(ctx, "Delete")
	if err != nil {
		return err
	}
	s.Remove(name)
	return finish(nil)
}

// List implements keys.System.
func (s *FakeSystem) List(ctx context.Context, prefix string) ([]string, error) {
	finish, err := s.enter(ctx, "List")
	if err != nil {
		return nil, err
	}
	if err := finish(nil); err != nil {
		return nil, err
	}
	return s.Names(prefix), nil
}

// Plant puts a document there, whatever was there before.
func (s *FakeSystem) Plant(name string, doc []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(name, doc)
}

// Remove takes a document away.
func (s *FakeSystem) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.docs, name)
}

// Names is the names that begin with prefix, in order; no fault strikes it and it is not counted.
func (s *FakeSystem) Names(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.docs)) {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}

func (s *FakeSystem) set(name string, doc []byte) {
	if s.docs == nil {
		s.docs = make(map[string][]byte)
	}
	s.docs[name] = bytes.Clone(doc)
}
