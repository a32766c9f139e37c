package proxy

import (
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"cofre/metadata"
)

// How long one process trusts what it remembers. A record remembered is only a plan (the backend's answer names the
// envelope), but while it is remembered a tombstone made by another replica is not seen: this bounds that window.
const (
	recordTTL = 5 * time.Second
	bucketTTL = time.Minute
	entryTTL  = time.Minute
	// recordWeight bounds the cache by what it holds: a record weighs one, each of its parts a tenth.
	recordWeight = 200_000
)

type recordKey struct{ bucket, key, version string }

// recordCache remembers the record of a key for a few seconds, so that the ranges of one download cost one look-up.
type recordCache struct {
	cache *otter.Cache[recordKey, *metadata.Record]
}

func newRecordCache() *recordCache {
	return &recordCache{otter.Must(&otter.Options[recordKey, *metadata.Record]{
		MaximumWeight:    recordWeight,
		Weigher:          func(_ recordKey, r *metadata.Record) uint32 { return 1 + uint32(len(r.Parts)/10) },
		ExpiryCalculator: otter.ExpiryWriting[recordKey, *metadata.Record](recordTTL),
	})}
}

func (c *recordCache) get(t target) *metadata.Record {
	r, ok := c.cache.GetIfPresent(recordKey{t.Bucket, t.Key, t.VersionID})
	if !ok {
		return nil
	}
	return r
}

func (c *recordCache) put(t target, r *metadata.Record) {
	c.cache.Set(recordKey{t.Bucket, t.Key, t.VersionID}, r)
}

// forget drops what is known of a key, by its latest version and by this one.
func (c *recordCache) forget(bucket, key, version string) {
	c.cache.Invalidate(recordKey{bucket, key, ""})
	c.cache.Invalidate(recordKey{bucket, key, version})
}

func (c *recordCache) forgetAll() { c.cache.InvalidateAll() }

// bucketFacts is what a process remembers of a bucket.
type bucketFacts struct {
	// Versioned is set once the bucket ever had versioning, enabled or suspended.
	Versioned bool
}

type bucketCache struct {
	cache *otter.Cache[string, bucketFacts]
}

func newBucketCache() *bucketCache {
	return &bucketCache{otter.Must(&otter.Options[string, bucketFacts]{
		MaximumSize:      10_000,
		ExpiryCalculator: otter.ExpiryWriting[string, bucketFacts](bucketTTL),
	})}
}

// entryCache remembers listing entries of which asking again would bring nothing new, so that a listing does not ask for them
// each time: objects that carry no envelope, and those that this site cannot open.
type entryCache struct {
	cache *otter.Cache[recordKey, struct{}]
}

func newEntryCache() *entryCache {
	return &entryCache{otter.Must(&otter.Options[recordKey, struct{}]{
		MaximumSize:      100_000,
		ExpiryCalculator: otter.ExpiryWriting[recordKey, struct{}](entryTTL),
	})}
}

func (c *entryCache) has(bucket, key, etag string) bool {
	_, ok := c.cache.GetIfPresent(recordKey{bucket, key, etag})
	return ok
}

func (c *entryCache) add(bucket, key, etag string) {
	c.cache.Set(recordKey{bucket, key, etag}, struct{}{})
}

// once runs a probe until it gives an answer, and then remembers it. Concurrent callers wait for the one that runs.
type once[T any] struct {
	mu   sync.Mutex
	done bool
	v    T
}

func (o *once[T]) get(probe func() (T, error)) (T, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done {
		return o.v, nil
	}
	v, err := probe()
	if err == nil {
		o.v, o.done = v, true
	}
	return v, err
}
