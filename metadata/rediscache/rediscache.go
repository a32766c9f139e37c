// Package rediscache is a metadata.Store that wraps another and keeps records which were read in Redis, shared by all
// replicas.
//
// Losing Redis costs speed, never truth: every error, timeout or nonsense from it ends in a question to the wrapped
// store, and no write depends on it. Only Latest and ByEnvelope are answered from Redis, with live rows only. Listings
// and reads under a lock always come from the store.
//
// # Why no stale row outlives its invalidation
//
// Three small values stand guard over each entry: the fences of its key, of its bucket and of the whole cache, all
// random and never used again. An entry carries the fences as they were before its row was read from the store, and
// counts only while they are the same. A write deletes the fence after the store has committed it. So whatever order
// a reader and a writer come in: a row that was read before the commit carries a fence that the writer then deleted, and
// whoever comes next sets another. Nothing depends on clocks or on how long a read takes, and a fence that Redis evicts
// only costs its entries.
//
// A replica that cannot reach Redis cannot delete fences. It then leaves the cache alone altogether, and when it
// reaches Redis again its first act is to delete the fence of the whole cache. Until then other replicas may go on seeing
// a row that it has replaced, for the life of an entry (Config.TTL) at the longest. That is what the cache gives up: for
// so long, a record is an old plan, which the envelope of the backend's answer corrects, and a tombstone may go unseen.
// The same holds for the seconds that a failover of Redis itself may lose, or a restart from an old snapshot.
//
// Records in Redis hold wrapped keys only, as the store does, and plaintext sizes, ETags and content types: guard it
// as you guard the store.
package rediscache

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"cofre/metadata"
)

// Config holds what has a sensible default.
type Config struct {
	// TTL is the life of an entry; a minute when zero.
	TTL time.Duration
	// Timeout is how long Redis may take to answer, connecting included; 50 ms when zero. Slower than that counts as an
	// error, since the store itself would have answered.
	Timeout time.Duration
	// Prefix begins every name in Redis; "cofre:" when empty. Stores that share a Redis need one each.
	Prefix string
}

// maxEntry is the longest entry in bytes: a record with thousands of parts is rather read from the store than moved
// twice.
const maxEntry = 64 << 10

// Store is a metadata.Store with a cache in front. What it does not define itself goes straight to the wrapped store.
type Store struct {
	metadata.Store

	redis   *redis.Client
	config  Config
	breaker *breaker

	hits, misses, failures atomic.Uint64
}

var _ metadata.Store = (*Store)(nil)

// Stats counts since the start.
type Stats struct {
	Hits     uint64 // reads answered by Redis
	Misses   uint64 // reads answered by the store though Redis was asked
	Failures uint64 // calls to Redis that failed or were too slow
	// Open says that Redis is left alone at the moment, because it failed.
	Open bool
}

// New wraps store. The URL is a redis:// or rediss:// one; nothing is connected yet, since Redis may be away.
func New(store metadata.Store, redisURL string, config Config) (*Store, error) {
	config = config.withDefaults()
	client, err := newClient(redisURL, config)
	if err != nil {
		return nil, err
	}
	s := &Store{Store: store, redis: client, config: config}
	s.breaker = newBreaker(s.forgetAll)
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.TTL == 0 {
		c.TTL = time.Minute
	}
	if c.Timeout == 0 {
		c.Timeout = 50 * time.Millisecond
	}
	if c.Prefix == "" {
		c.Prefix = "cofre:"
	}
	return c
}

func newClient(redisURL string, config Config) (*redis.Client, error) {
	options, err := redis.ParseURL(redisURL)
	if err != nil {
		var withURL *url.Error
		if errors.As(err, &withURL) {
			err = withURL.Err // the rest of it may hold the password
		}
		return nil, fmt.Errorf("parse Redis URL: %w", err)
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = config.Timeout, config.Timeout, config.Timeout
	options.PoolTimeout = config.Timeout
	options.ContextTimeoutEnabled = true
	options.MaxRetries, options.DialerRetries = -1, 1 // the store is the second try
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	redis.SetLogger(silence{})
	return redis.NewClient(options), nil
}

// silence keeps the library from writing to standard error: what fails is counted, and harmless.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Stats gives the counts.
func (s *Store) Stats() Stats {
	return Stats{Hits: s.hits.Load(), Misses: s.misses.Load(), Failures: s.failures.Load(), Open: !s.breaker.closed()}
}

// Close closes the connections to Redis and the wrapped store.
func (s *Store) Close() error {
	s.breaker.stop()
	err := s.redis.Close()
	if errors.Is(err, redis.ErrClosed) {
		err = nil // closed before
	}
	return errors.Join(err, s.Store.Close())
}
