package rediscache_test

import (
	"context"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"crypto/rand"

	"cofre/metadata"
	"cofre/metadata/rediscache"
	"cofre/metadata/sqlite"
	"cofre/metadata/storetest"
)

// inner is a store to be wrapped.
func inner(t *testing.T) metadata.Store {
	t.Helper()
	store, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "m.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// wrap puts a cache of its own before store.
func wrap(t *testing.T, store metadata.Store, url string, config rediscache.Config) *rediscache.Store {
	t.Helper()
	if config.Prefix == "" {
		config.Prefix = "cofre-test-" + rand.Text() + ":"
	}
	cache, err := rediscache.New(store, url, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cache.Close() })
	return cache
}

func TestConformance(t *testing.T) {
	url := storetest.Server(t, "redis", "COFRE_TEST_REDIS")
	storetest.Run(t, func(t *testing.T) metadata.Store { return wrap(t, inner(t), url, rediscache.Config{}) })
}

// Without Redis the wrapper is the store: the whole contract holds.
func TestConformanceWithoutRedis(t *testing.T) {
	storetest.Run(t, func(t *testing.T) metadata.Store {
		return wrap(t, inner(t), "redis://127.0.0.1:1", rediscache.Config{})
	})
}

// A method that the contract gains goes straight to the wrapped store, without invalidating anything, until someone has
// thought about it here.
func TestEveryMethodOfTheContractIsConsidered(t *testing.T) {
	cached := []string{"Latest", "ByEnvelope"}
	invalidates := []string{"Add", "Tombstone", "Revive", "DropBucket", "FinishUpload", "Load"}
	// Neither reads nor changes what is cached, or must never be cached (Page, locks, guards, KEKs, credentials); SweepTombstones
	// takes tombstones alone, which the cache never holds.
	untouched := []string{
		"ActiveKEK", "AddAudit", "AddCredential", "AddJob", "AddKEK", "AddPart", "Audit", "BucketGuarded", "CancelJob", "Close",
		"CloseKEKs", "CountKEK", "CreateUpload", "Credential", "Credentials", "DeleteCredential", "DeleteUpload", "DropNote", "Dump", "GuardBucket", "Healthy", "Job",
		"Jobs", "KEK", "KEKBuckets", "KEKs", "Known", "LastJob", "LayoutsInUse", "LockJob", "LockKey", "LockUpload", "Note", "Now", "OpenJobs", "Page", "PartAttempts", "Rows", "SetIntent",
		"SetKEKState", "SetNote", "SetSweepState", "SetTrustList", "StageSealed", "SweepState", "SweepTombstones", "SweepUploads", "TakeIdentity", "TakeJob", "TrustList", "UnstagedRows", "UpdateJob", "Upload", "UploadParts", "Uploads",
	}
	considered := slices.Concat(cached, invalidates, untouched)
	contract := reflect.TypeFor[metadata.Store]()
	for i := range contract.NumMethod() {
		if name := contract.Method(i).Name; !slices.Contains(considered, name) {
			t.Errorf("metadata.Store has a new method %s: does it change or read what is cached?", name)
		}
	}
	if contract.NumMethod() != len(considered) {
		t.Errorf("%d methods considered, the contract has %d", len(considered), contract.NumMethod())
	}
}

func TestNewKeepsThePasswordOutOfErrors(t *testing.T) {
	for _, url := range []string{"redis://:hunter2@host:port", "redis://u:hunter2@h\x7f", "http://:hunter2@h", "redis://:hunter2@h/x"} {
		_, err := rediscache.New(inner(t), url, rediscache.Config{})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: error %v", url, err)
		}
	}
}
