package storetest

import (
	"context"
	"fmt"
	"testing"

	"cofre/metadata"
)

// Bench measures the ways that every request takes, in a store of ten thousand objects.
func Bench(b *testing.B, store metadata.Store) {
	const n = 10_000
	ctx := context.Background()
	s := &suite{ctx: ctx, store: store, bucket: "bucket-" + unique()}
	keys := manyKeys(n)
	entries := make([]metadata.Entry, n)
	for i, key := range keys {
		rec := s.record(key)
		entries[i] = entry(rec)
		if err := store.Add(ctx, rec, metadata.Committed); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("Page1000", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			at := i * 1000 % n
			recs, err := store.Page(ctx, s.bucket, entries[at:at+1000])
			if err != nil || recs[0] == nil || recs[999] == nil {
				b.Fatal("page: ", err)
			}
		}
	})
	b.Run("Latest", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, err := store.Latest(ctx, s.bucket, keys[i%n], ""); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("LatestOf100Parts", func(b *testing.B) {
		rec := s.record("parted")
		rec.Parts = parts(100)
		if err := store.Add(ctx, rec, metadata.Committed); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := store.Latest(ctx, s.bucket, "parted", ""); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("AddNew", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if err := store.Add(ctx, s.record(fmt.Sprint(unique(), i)), metadata.Committed); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("AddReplacing", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if err := store.Add(ctx, s.record(keys[i%100]), metadata.Committed); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("LockKey", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			lock, err := store.LockKey(ctx, s.bucket, keys[i%n])
			if err != nil {
				b.Fatal(err)
			}
			lock.Unlock()
		}
	})
}
