package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"cofre/keys"
	"cofre/keys/agefile"
)

// trustRefresh is how often a running process looks for a trust list that another one has changed.
const trustRefresh = 10 * time.Second

// trustKeeper keeps the site's trust list in its two places: the store, which all replicas share, and a file beside the
// identity, which survives the loss of the store. The list with the higher number is the one in force; both are believed
// only under the site's own signature.
type trustKeeper struct {
	identity *keys.Identity
	path     string
	store    keys.Store // nil where there is none at hand
	current  atomic.Pointer[keys.TrustList]
	taken    chan struct{} // closed by follow once the store belongs to another identity
}

// trustPath is where the list of an identity file lies.
func trustPath(identityFile string) string { return identityFile + ".trust.json" }

// openTrust reads the list from both places. A site that has none yet gets its first one, which trusts itself alone.
func openTrust(ctx context.Context, identity *keys.Identity, path string, store keys.Store) (*trustKeeper, error) {
	t := &trustKeeper{identity: identity, path: path, store: store, taken: make(chan struct{})}
	inFile, err := t.read(func() ([]byte, error) { return agefile.ReadTrustList(path) }, 0)
	if err != nil {
		return nil, fmt.Errorf("read trust list %s: %w", path, err)
	}
	inStore, err := t.fromStore(ctx, 0)
	if err != nil {
		return nil, err
	}
	switch {
	case inFile == nil && inStore == nil:
		t.current.Store(keys.NewTrustList(identity, time.Now()))
	case inStore == nil || inFile != nil && inFile.Number() >= inStore.Number():
		t.current.Store(inFile)
	default:
		t.current.Store(inStore)
	}
	return t, nil
}

// read gives a verified list, or nil where there is none.
func (t *trustKeeper) read(source func() ([]byte, error), least uint64) (*keys.TrustList, error) {
	doc, err := source()
	if errors.Is(err, keys.ErrNoTrustList) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return keys.ParseTrustList(doc, t.identity.Card(), least)
}

func (t *trustKeeper) fromStore(ctx context.Context, least uint64) (*keys.TrustList, error) {
	if t.store == nil {
		return nil, nil
	}
	list, err := t.read(func() ([]byte, error) {
		_, doc, err := t.store.TrustList(ctx)
		return doc, err
	}, least)
	switch {
	case errors.Is(err, keys.ErrSignature), errors.Is(err, keys.ErrUntrusted):
		return nil, t.notOurs(ctx, err)
	case err != nil:
		return nil, fmt.Errorf("read trust list of the store: %w", err)
	}
	return list, nil
}

// errOtherIdentity says that the store belongs to another identity than this one.
var errOtherIdentity = errors.New("the store belongs to another site identity")

// notOurs explains a list that this identity did not sign. Whose it says it is decides nothing; it is for people to look at.
func (t *trustKeeper) notOurs(ctx context.Context, err error) error {
	_, doc, readErr := t.store.TrustList(ctx)
	list, inspectErr := keys.InspectTrustList(doc)
	if readErr != nil || inspectErr != nil || list.Site() == t.identity.ID() {
		return fmt.Errorf("read trust list of the store: %w: it was tampered with", err)
	}
	card, _ := list.Card(list.Site())
	return fmt.Errorf("read trust list of the store: %w: it is that of %q, fingerprint %s, and not of %s\n"+
		"after `cofre site rotate`, site.identity must name the new identity's file; if there was no rotation, the store was exchanged or tampered with",
		errOtherIdentity, card.Name, card.Fingerprint(), t.identity.ID())
}

// Current gives the list in force. It is never changed; a change puts another one in its place.
func (t *trustKeeper) Current() *keys.TrustList { return t.current.Load() }

// toStore brings the list in force to a store that has none or an older one.
func (t *trustKeeper) toStore(ctx context.Context) error {
	list := t.Current()
	doc, err := list.Sign(t.identity)
	if err != nil {
		return err
	}
	number, _, err := t.store.TrustList(ctx)
	if err != nil && !errors.Is(err, keys.ErrNoTrustList) {
		return fmt.Errorf("read trust list of the store: %w", err)
	}
	if number >= list.Number() {
		return nil
	}
	err = t.store.SetTrustList(ctx, list.Number(), doc)
	if !errors.Is(err, keys.ErrKEKConflict) {
		return err
	}
	// Another replica was faster; its list is as good as this one, or newer.
	if list, err = t.fromStore(ctx, list.Number()); err == nil && list != nil {
		t.current.Store(list)
	}
	return err
}

// toFile brings the list in force to the file, where that is missing or older.
func (t *trustKeeper) toFile() error {
	list := t.Current()
	inFile, err := t.read(func() ([]byte, error) { return agefile.ReadTrustList(t.path) }, 0)
	if err != nil {
		return err
	}
	if inFile != nil && inFile.Number() >= list.Number() {
		return nil
	}
	doc, err := list.Sign(t.identity)
	if err != nil {
		return err
	}
	return agefile.WriteTrustList(t.path, doc)
}

// change makes a new list from the one in force and puts it in both places, the store first: of two people who change the
// list at the same time, one is told to do it again.
func (t *trustKeeper) change(ctx context.Context, edit func(*keys.TrustList) error) error {
	list := t.Current().Clone()
	if err := edit(list); err != nil {
		return err
	}
	if list.Number() == t.Current().Number() {
		return nil
	}
	doc, err := list.Sign(t.identity)
	if err != nil {
		return err
	}
	if t.store != nil {
		err := t.store.SetTrustList(ctx, list.Number(), doc)
		if errors.Is(err, keys.ErrKEKConflict) {
			return fmt.Errorf("store trust list: %w: somebody else has just changed it; do it again", err)
		}
		if err != nil {
			return fmt.Errorf("store trust list: %w", err)
		}
	}
	t.current.Store(list)
	return agefile.WriteTrustList(t.path, doc)
}

// follow looks for newer lists in the store until ctx ends. One that is older, or not signed by this site, is not taken. A store
// that has come to belong to another identity ends it: see taken.
func (t *trustKeeper) follow(ctx context.Context, log *zap.Logger) {
	tick := time.NewTicker(trustRefresh)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := t.refresh(ctx, log)
		switch {
		case errors.Is(err, errOtherIdentity):
			close(t.taken)
			return
		case err != nil && ctx.Err() == nil:
			log.Warn("trust list was not read again", zap.Error(err))
		}
	}
}

// refresh puts the store's list in force, where it is newer.
func (t *trustKeeper) refresh(ctx context.Context, log *zap.Logger) error {
	known := t.Current()
	list, err := t.fromStore(ctx, known.Number())
	if err != nil || list == nil || list.Number() == known.Number() {
		return err
	}
	if t.current.CompareAndSwap(known, list) { // else somebody else has just done it
		log.Info("trust list changed", zap.Uint64("number", list.Number()))
	}
	return nil
}
