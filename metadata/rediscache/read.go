package rediscache

import (
	"context"

	"cofre/metadata"
)

// Latest implements metadata.Store.
func (s *Store) Latest(ctx context.Context, bucket, key, versionID string) (metadata.Record, error) {
	return s.cached(ctx, bucket, key, s.name("v", bucket, key, versionID), func() (metadata.Record, error) {
		return s.Store.Latest(ctx, bucket, key, versionID)
	})
}

// ByEnvelope implements metadata.Store.
func (s *Store) ByEnvelope(ctx context.Context, bucket, key string, env metadata.Envelope) (metadata.Record, error) {
	return s.cached(ctx, bucket, key, s.name("e", bucket, key, string(env[:])), func() (metadata.Record, error) {
		return s.Store.ByEnvelope(ctx, bucket, key, env)
	})
}

// cached answers from the entry of that name, or from the store and keeps what it said.
func (s *Store) cached(ctx context.Context, bucket, key, name string, read func() (metadata.Record, error)) (metadata.Record, error) {
	if !s.breaker.closed() {
		return read()
	}
	f := s.fencesOf(bucket, key)
	rec, hit, usable := s.look(ctx, &f, bucket, key, name)
	if hit {
		s.hits.Add(1)
		return rec, nil
	}
	s.misses.Add(1)
	rec, err := read()
	// Only live rows, so that no tombstone hides behind an entry of its own making.
	if err == nil && usable && rec.Tombstoned.IsZero() {
		s.keep(ctx, &f, name, rec)
	}
	return rec, err
}

// look reads the entry and its fences in one call. Where there is no entry that counts, usable says that all fences
// are known now, before the store is asked: what it answers may be kept under them.
func (s *Store) look(ctx context.Context, f *fences, bucket, key, name string) (rec metadata.Record, hit, usable bool) {
	limited, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	values, err := s.redis.MGet(limited, append(f.names[:], name)...).Result()
	if err == nil {
		found := texts(values)
		f.values = [3]string(found)
		if f.complete() {
			if rec, hit = decode(found[3], f.guard()); hit && rec.Bucket == bucket && rec.Key == key {
				s.breaker.read(nil)
				return rec, true, true
			}
		} else {
			err = s.set(limited, f)
		}
	}
	s.note(ctx, err)
	return metadata.Record{}, false, err == nil && f.complete()
}

// keep writes an entry.
func (s *Store) keep(ctx context.Context, f *fences, name string, rec metadata.Record) {
	value, err := encode(f.guard(), rec)
	if err != nil || len(value) > maxEntry {
		return
	}
	limited, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	s.note(ctx, s.redis.Set(limited, name, value, s.config.TTL).Err())
}

// note counts the outcome of a call to Redis. One that the caller broke off says nothing of Redis.
func (s *Store) note(ctx context.Context, err error) {
	if err != nil && ctx.Err() != nil {
		return
	}
	if err != nil {
		s.failures.Add(1)
	}
	s.breaker.read(err)
}
