package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"cofre/access"
	"cofre/metadata"
	"cofre/metadata/postgres"
	"cofre/metadata/rediscache"
	"cofre/metadata/sqlite"
	"cofre/sigv4"
)

// openStore opens the metadata store that the configuration names, tables brought up to date.
func openStore(ctx context.Context, cfg Config) (metadata.Store, error) {
	kind, where, err := splitStoreURL(cfg.Metadata.URL)
	if err != nil {
		return nil, usagef("metadata.url %w", err)
	}
	if kind == postgresStore {
		return postgres.Open(ctx, where, postgres.Config{Timeout: cfg.Metadata.Timeout})
	}
	store, err := sqlite.Open(ctx, where, sqlite.Config{})
	if errors.Is(err, sqlite.ErrInUse) {
		return nil, fmt.Errorf("%w: a running cofre has it; stop that one first (a SQLite store is for one process)", err)
	}
	return store, err
}

const (
	firstStartRetry = 200 * time.Millisecond
	lastStartRetry  = 5 * time.Second
)

// waitForStore opens the store, again and again while it cannot be reached: at the start of a whole installation the
// database may come up after cofre. It gives up after limits.startup.
func waitForStore(ctx context.Context, cfg Config, log *zap.Logger) (metadata.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Limits.Startup)
	defer cancel()
	for pause := firstStartRetry; ; pause = min(2*pause, lastStartRetry) {
		store, err := openStore(ctx, cfg)
		if err == nil {
			return store, nil
		}
		if !errors.Is(err, metadata.ErrUnavailable) {
			return nil, fmt.Errorf("open metadata store: %w", err)
		}
		log.Warn("metadata store does not answer yet", zap.Error(err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, fmt.Errorf("open metadata store: %w", err)
		}
	}
}

// withCache puts the shared cache before a store, where one is configured.
func withCache(store metadata.Store, cfg Config, registry prometheus.Registerer) (metadata.Store, error) {
	if cfg.Cache.Redis == "" {
		return store, nil
	}
	cached, err := rediscache.New(store, cfg.Cache.Redis.Reveal(), rediscache.Config{Timeout: cfg.Cache.Timeout})
	if err != nil {
		return nil, usagef("cache.redis: %w", err)
	}
	observeCache(registry, cached.Stats)
	return cached, nil
}

// credentialStore shows the metadata store to package access, which knows credentials but no metadata.
type credentialStore struct{ store metadata.Store }

func (s credentialStore) StoredCredential(ctx context.Context, accessKeyID string) (access.StoredCredential, error) {
	c, err := s.store.Credential(ctx, accessKeyID)
	if errors.Is(err, metadata.ErrNotFound) {
		return access.StoredCredential{}, access.ErrUnknownAccessKey
	}
	return access.StoredCredential{
		SealedSecret: c.SealedSecret, User: access.BackendUser(c.BackendUser), Grants: c.Grants, Disabled: c.Disabled,
	}, err
}

// clientCredentials shows credentials to the verifier and the proxy in the terms of S3: an unknown access key is an
// answer that sigv4 has a name for.
type clientCredentials struct{ *access.Credentials }

func (c clientCredentials) Secret(ctx context.Context, accessKeyID string) (string, error) {
	secret, err := c.Credentials.Secret(ctx, accessKeyID)
	return secret, inS3Terms(err)
}

func (c clientCredentials) Identity(ctx context.Context, accessKeyID string) (access.Identity, error) {
	id, err := c.Credentials.Identity(ctx, accessKeyID)
	return id, inS3Terms(err)
}

func inS3Terms(err error) error {
	if errors.Is(err, access.ErrUnknownAccessKey) {
		return sigv4.ErrUnknownAccessKey
	}
	return err
}
