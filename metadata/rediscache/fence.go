package rediscache

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"
)

// Fences of keys live a little longer than the entries they guard; those of buckets and of the cache stay for a day, so
// that their end does not cost every entry once a minute. When a fence ends early, its entries do.
const fenceOfMany = 24 * time.Hour

// name is a name in Redis: a hash, so that keys of any bytes and lengths fit. Each field's length stands before it.
func (s *Store) name(kind string, fields ...string) string {
	h := sha256.New()
	for _, f := range fields {
		h.Write([]byte(strconv.Itoa(len(f)) + " " + f))
	}
	sum := h.Sum(nil)
	return s.config.Prefix + kind + ":" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

func (s *Store) keyFence(bucket, key string) string { return s.name("k", bucket, key) }
func (s *Store) bucketFence(bucket string) string   { return s.name("b", bucket) }
func (s *Store) cacheFence() string                 { return s.name("c") }

// fences are the three that guard the entries of one key, by name and by value; an empty value stands for one that is
// not set.
type fences struct {
	names, values [3]string
}

func (s *Store) fencesOf(bucket, key string) fences {
	return fences{names: [3]string{s.keyFence(bucket, key), s.bucketFence(bucket), s.cacheFence()}}
}

// complete says whether all are set.
func (f *fences) complete() bool { return f.values[0] != "" && f.values[1] != "" && f.values[2] != "" }

// guard is what an entry carries: the values, one behind the other. rand.Text gives strings of one length.
func (f *fences) guard() string { return f.values[0] + f.values[1] + f.values[2] }

// set sets those that are missing and reads them all again: another replica may have been faster.
func (s *Store) set(ctx context.Context, f *fences) error {
	life := [3]time.Duration{2 * s.config.TTL, fenceOfMany, fenceOfMany}
	pipe := s.redis.Pipeline()
	for i, value := range f.values {
		if value == "" {
			pipe.SetNX(ctx, f.names[i], rand.Text(), life[i])
		}
	}
	all := pipe.MGet(ctx, f.names[:]...)
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	f.values = [3]string(texts(all.Val()))
	return nil
}

// texts gives the values of MGET; an empty string stands for what is not there.
func texts(values []any) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i], _ = v.(string)
	}
	return all
}

// forgetAll ends every entry in the cache.
func (s *Store) forgetAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	return s.redis.Del(ctx, s.cacheFence()).Err()
}

// forget deletes fences, after the store has committed what they must not outlive, or may have: it is called whatever
// the store answered. The caller's context has no say: the write is done, though its client may be gone.
func (s *Store) forget(ctx context.Context, names ...string) {
	if s.breaker.skipped() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.Timeout)
	defer cancel()
	if err := s.redis.Del(ctx, names...).Err(); err != nil {
		s.failures.Add(1)
		s.breaker.lost()
	}
}
