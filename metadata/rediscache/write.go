package rediscache

import (
	"context"
	"time"

	"cofre/metadata"
)

// Every write of the wrapped store that changes what Latest or ByEnvelope answer stands here. Each invalidates whatever
// the store said: an error may hide a commit.

// Add implements metadata.Store.
func (s *Store) Add(ctx context.Context, rec metadata.Record, origin metadata.Origin) error {
	err := s.Store.Add(ctx, rec, origin)
	s.forget(ctx, s.keyFence(rec.Bucket, rec.Key))
	return err
}

// Tombstone implements metadata.Store.
func (s *Store) Tombstone(ctx context.Context, deletions ...metadata.Deletion) error {
	err := s.Store.Tombstone(ctx, deletions...)
	names := make([]string, len(deletions))
	for i, d := range deletions {
		names[i] = s.keyFence(d.Bucket, d.Key)
	}
	if len(names) > 0 {
		s.forget(ctx, names...)
	}
	return err
}

// Revive implements metadata.Store.
func (s *Store) Revive(ctx context.Context, bucket, key string, env metadata.Envelope) error {
	err := s.Store.Revive(ctx, bucket, key, env)
	s.forget(ctx, s.keyFence(bucket, key))
	return err
}

// DropBucket implements metadata.Store.
func (s *Store) DropBucket(ctx context.Context, bucket string, began time.Time) error {
	err := s.Store.DropBucket(ctx, bucket, began)
	s.forget(ctx, s.bucketFence(bucket))
	return err
}

// FinishUpload implements metadata.Store.
func (s *Store) FinishUpload(ctx context.Context, uploadID string, result []byte, rec metadata.Record) error {
	err := s.Store.FinishUpload(ctx, uploadID, result, rec)
	s.forget(ctx, s.keyFence(rec.Bucket, rec.Key))
	return err
}

// Load implements metadata.Store. Nothing of before counts any more.
func (s *Store) Load(ctx context.Context, replace bool, next func() (metadata.Row, error)) error {
	err := s.Store.Load(ctx, replace, next)
	s.forget(ctx, s.cacheFence())
	return err
}
