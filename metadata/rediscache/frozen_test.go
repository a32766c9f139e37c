package rediscache_test

import (
	"testing"

	"cofre/internal/longtest"
	"cofre/metadata"
	"cofre/metadata/rediscache"
	"cofre/metadata/storetest"
)

// TestForgottenConnectionsToRedisAreReplaced has all connections go dead without a word, while new ones work; and breaks answers off at
// each place, so that what arrives is half of something else. Nobody but the counters notices.
func TestForgottenConnectionsToRedisAreReplaced(t *testing.T) {
	server := newRedisServer(t)
	gate := storetest.NewGate(t, server.addr)
	cache := wrap(t, inner(t), "redis://"+gate.Addr(), rediscache.Config{Prefix: "frozen:"})
	served := func() bool {
		before := cache.Stats().Hits
		latest(t, cache, "k")
		latest(t, cache, "k")
		return cache.Stats().Hits > before
	}
	write := func() {
		rec := newRecord(cache, "k")
		must(t, cache.Add(t.Context(), rec, metadata.Committed))
		for range 3 {
			if got := latest(t, cache, "k"); got.Envelope != rec.Envelope {
				t.Fatal("an older row than the one that was written")
			}
		}
	}
	injected := 0
	for range longtest.Rounds(t, 2) {
		write()
		server.eventually("Redis answers", served)
		gate.Freeze()
		write()
		server.eventually("Redis answers again", served)
		injected++
		for _, n := range []int{0, 1, 4, 5, 20, 60, 100, 200} {
			gate.Cut(n)
			write()
			gate.Cut(-1)
			injected++
		}
		server.eventually("Redis answers once more", served)
	}
	longtest.Figure(t, "faults injected into single connections to Redis", injected)
}
