package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"cofre/keys"
	"cofre/metadata"
	"cofre/metadata/sqlite"
	"cofre/proxy"
)

// scratch reads objects with an identity and a storage alone: its store is thrown away at the end. KEKs come from the system bucket, believed
// by the trust list beside the identity, and everything else from the objects themselves.
type scratch struct {
	trust   *trustKeeper
	handler *proxy.Handler
	store   metadata.Store
	dir     string
}

// scratchConfig is what a scratch is made of.
type scratchConfig struct {
	identity     *keys.Identity
	identityFile string // beside it lies the trust list
	backend      proxy.Backend
	systemBucket string
	policy       func(string) proxy.BucketPolicy
	accept       func(keys.KEKID) bool
}

func openScratch(ctx context.Context, c scratchConfig) (_ *scratch, err error) {
	s := &scratch{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.trust, err = openTrust(ctx, c.identity, trustPath(c.identityFile), nil); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "cofre-"); err != nil {
		return nil, fmt.Errorf("make temporary store: %w", err)
	}
	store, err := sqlite.Open(ctx, filepath.Join(s.dir, "metadata.db"), sqlite.Config{})
	if err != nil {
		return nil, fmt.Errorf("make temporary store: %w", err)
	}
	s.store = forgetful{store}
	ring := keys.NewRing(keys.RingConfig{
		Identity: c.identity, Trust: s.trust.Current, Store: s.store, System: proxy.NewSystem(c.backend, c.systemBucket), AcceptClosed: c.accept,
	})
	s.handler = proxy.New(proxy.Config{
		Backend: c.backend, Store: s.store, Ring: ring, Site: c.identity.ID(), SystemBucket: c.systemBucket, Bucket: c.policy,
		Log: zap.NewNop(), Registerer: prometheus.NewRegistry(),
	})
	return s, nil
}

func (s *scratch) close() error {
	var err error
	if s.store != nil {
		err = s.store.Close()
	}
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// forgetful keeps KEKs and no records: of a hundred million objects that are read once each, rows would be of no use.
type forgetful struct{ metadata.Store }

// Add implements metadata.Store.
func (forgetful) Add(context.Context, metadata.Record, metadata.Origin) error { return nil }

const acceptClosedUsage = "take objects under this closed KEK although nothing tells them from forgeries by a site that has left: a KEK id, or all (repeatable)"
