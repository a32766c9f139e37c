package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"cofre/metadata"
	"cofre/metadata/sqlite"
	"cofre/metadata/storetest"
)

func open(tb testing.TB, path string) *sqlite.Store {
	tb.Helper()
	store, err := sqlite.Open(context.Background(), path, sqlite.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return store
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) metadata.Store { return open(t, filepath.Join(t.TempDir(), "a %?#b.db")) })
}

func Benchmark(b *testing.B) {
	store := open(b, filepath.Join(b.TempDir(), "m.db"))
	defer store.Close()
	storetest.Bench(b, store)
}
