package postgres_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"cofre/metadata/postgres"
)

// A server's clock that runs up to a tenth faster or slower than the local one, round trips of any length, samples at any
// time: the bound is never ahead of it.
func TestNowNeverRunsAheadOfTheServer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			clock  postgres.Clock
			local  = time.Now()
			server = local.Add(time.Duration(rapid.Int64Range(-1e15, 1e15).Draw(t, "offset"))).Round(0)
			// pass lets time pass on both sides, the server's at a rate of its own.
			pass = func() {
				d := rapid.Int64Range(0, int64(10*time.Second)).Draw(t, "d")
				slew := rapid.Int64Range(-1000, 1000).Draw(t, "slew") // ten-thousandths
				local, server = local.Add(time.Duration(d)), server.Add(time.Duration(d+d/10_000*slew))
			}
		)
		for range rapid.IntRange(1, 20).Draw(t, "samples") {
			t0 := local
			pass() // the way there
			read := server
			pass() // the way back
			clock.Add(t0, read, local)
			if now := clock.Now(local); now.Before(read.Add(-time.Microsecond)) {
				t.Fatalf("bound %v right after a sample of %v", now, read)
			}
			for range 3 {
				pass()
				if now := clock.Now(local); now.After(server) {
					t.Fatalf("bound %v is ahead of the server's %v", now, server)
				}
			}
		}
	})
}

func TestNowPrefersTheShortRoundTrip(t *testing.T) {
	var clock postgres.Clock
	local := time.Now()
	server := local.Round(0)
	clock.Add(local, server, local) // no time at all
	later := local.Add(time.Second)
	// This one took a second each way: by itself it would say a second less.
	clock.Add(local, server, later)
	if want := server.Add(900 * time.Millisecond).Truncate(time.Microsecond).UTC(); !clock.Now(later).Equal(want) {
		t.Errorf("now %v, want the first sample's %v", clock.Now(later), want)
	}
}

func TestNowFollowsAServerThatWasSetBack(t *testing.T) {
	var clock postgres.Clock
	local := time.Now()
	server := local.Round(0)
	clock.Add(local, server, local)
	local = local.Add(time.Second)
	back := server.Add(-time.Hour)
	clock.Add(local, back, local)
	if now := clock.Now(local); now.After(back) {
		t.Errorf("now %v is ahead of a server that shows %v", now, back)
	}
	local = local.Add(time.Second)
	clock.Add(local, server.Add(time.Hour), local)
	if now := clock.Now(local); now.Before(server.Add(time.Hour).Add(-time.Microsecond)) {
		t.Errorf("now %v does not follow a server that was set on", now)
	}
}

func TestNowIsZeroBeforeTheFirstSample(t *testing.T) {
	var clock postgres.Clock
	if now := clock.Now(time.Now()); !now.IsZero() {
		t.Errorf("now %v, want the zero time: it makes no tombstones", now)
	}
}
