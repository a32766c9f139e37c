package rediscache_test

import (
	"crypto/rand"
	"errors"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cofre/metadata"
	"cofre/metadata/rediscache"
	"cofre/metadata/storetest"
)

// redisServer is a real redis-server that tests kill.
type redisServer struct {
	t    *testing.T
	addr string
	dir  string
	cmd  *exec.Cmd
}

func newRedisServer(t *testing.T) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if slices.Contains(strings.Split(os.Getenv("COFRE_TEST_REQUIRE"), ","), "redis") {
			t.Fatal("redis-server is not installed, and COFRE_TEST_REQUIRE names redis")
		}
		t.Skip("redis-server is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &redisServer{t: t, addr: l.Addr().String(), dir: t.TempDir()}
	must(t, l.Close())
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *redisServer) url() string { return "redis://" + s.addr }

// start returns when the server answers.
func (s *redisServer) start() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	s.cmd = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", s.dir)
	must(s.t, s.cmd.Start())
	s.eventually("redis-server answers", func() bool {
		conn, err := net.Dial("tcp", s.addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// kill ends the server as kill -9 does.
func (s *redisServer) kill() {
	_ = s.cmd.Process.Kill() // it may be dead already
	_ = s.cmd.Wait()
}

func (s *redisServer) eventually(what string, is func() bool) {
	s.t.Helper()
	for range 3000 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatalf("never came about: %s", what)
}

// A real Redis is killed and started again, over and over, under a load of writers and readers on two replicas. No call
// fails, and what a replica wrote it then reads.
func TestRedisMayDieAtAnyMoment(t *testing.T) {
	server := newRedisServer(t)
	store := inner(t)
	config := rediscache.Config{Prefix: "p:"}
	a, b := wrap(t, store, server.url(), config), wrap(t, store, server.url(), config)

	var (
		workers sync.WaitGroup
		over    atomic.Bool
		calls   atomic.Int64
	)
	for w, replica := range []*rediscache.Store{a, b, a, b} {
		workers.Go(func() {
			key := "k" + string(rune('0'+w)) // one writer for each key: it knows what is true
			for !over.Load() {
				rec := newRecord(replica, key)
				if err := replica.Add(t.Context(), rec, metadata.Committed); err != nil {
					t.Errorf("add: %v", err)
					return
				}
				for range 3 {
					got, err := replica.Latest(t.Context(), "b", key, "")
					if err != nil {
						t.Errorf("latest: %v", err)
						return
					}
					if got.Envelope != rec.Envelope {
						t.Error("a replica read an older row than the one it had written")
						return
					}
				}
				calls.Add(1)
			}
		})
	}
	for range 3 {
		before := calls.Load()
		server.eventually("work goes on with Redis", func() bool { return calls.Load() > before+20 || t.Failed() })
		server.kill()
		before = calls.Load()
		server.eventually("work goes on without Redis", func() bool { return calls.Load() > before+20 || t.Failed() })
		server.start()
	}
	over.Store(true)
	workers.Wait()
	for _, replica := range []*rediscache.Store{a, b} {
		server.eventually("Redis is used again", func() bool {
			before := replica.Stats().Hits
			latest(t, replica, "k0")
			latest(t, replica, "k0")
			return replica.Stats().Hits > before
		})
	}
}

// A replica that cannot reach Redis writes; others still see the old plan, for TTL at most. When it reaches Redis again,
// its first act repairs that, long before TTL.
func TestLostInvalidationIsRepairedWhenRedisIsBack(t *testing.T) {
	server := newRedisServer(t)
	store := inner(t)
	way := storetest.NewGate(t, server.addr)
	config := rediscache.Config{Prefix: "p:", TTL: time.Hour}
	cut, other := wrap(t, store, "redis://"+way.Addr(), config), wrap(t, store, server.url(), config)

	must(t, cut.Add(t.Context(), newRecord(cut, "k"), metadata.Committed))
	server.eventually("both replicas use Redis", func() bool {
		latest(t, cut, "k")
		latest(t, other, "k")
		return cut.Stats().Hits > 0 && other.Stats().Hits > 0
	})
	way.Silence(true)
	rec := newRecord(cut, "k")
	must(t, cut.Add(t.Context(), rec, metadata.Committed))
	if got := latest(t, cut, "k"); got.Envelope != rec.Envelope {
		t.Error("the replica does not see its own write")
	}
	if !cut.Stats().Open {
		t.Error("an invalidation was lost, and Redis is still trusted")
	}
	way.Silence(false)
	server.eventually("the other replica sees the write", func() bool {
		return latest(t, other, "k").Envelope == rec.Envelope
	})
	server.eventually("Redis is used again", func() bool {
		before := cut.Stats().Hits
		latest(t, cut, "k")
		return cut.Stats().Hits > before
	})
}

// A Redis that takes connections and never answers is left alone after a few calls, so that it costs each of them its
// patience once and the rest nothing.
func TestSilentRedisIsLeftAlone(t *testing.T) {
	server := newRedisServer(t)
	way := storetest.NewGate(t, server.addr)
	way.Silence(true)
	cache := wrap(t, inner(t), "redis://"+way.Addr(), rediscache.Config{Prefix: rand.Text()})
	must(t, cache.Store.Add(t.Context(), newRecord(cache, "k"), metadata.Committed))
	for range 200 {
		latest(t, cache, "k")
	}
	if s := cache.Stats(); !s.Open || s.Failures > 5 || s.Hits > 0 {
		t.Errorf("stats %+v: want a few failures and Redis left alone", s)
	}
	if _, err := cache.Latest(t.Context(), "b", "absent", ""); !errors.Is(err, metadata.ErrNotFound) {
		t.Errorf("latest: %v, want the store's ErrNotFound", err)
	}
}
