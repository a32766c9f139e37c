package proxy_test

import (
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cofre/internal/longtest"
	"cofre/proxy"
	"cofre/sigv4/sigv4test"
)

// crowd is several clients that write, read and delete the same few keys at once, through several replicas.
type crowd struct {
	w         *modelWorld
	bucket    string
	versioned bool
	// conditional says which writers there are: where RGW 16 judges conditions itself (buckets without versioning), it orders a write
	// without one that loses a race before the winner, whatever the winner's condition was. There, all writers of a round have
	// conditions or none has, and with them nobody deletes.
	conditional func(n int) bool
	history     registers
	bodies      sync.Map // by ETag: what was sent
	versions    sync.Map // acknowledged versions: id to ETag
	fault       atomic.Value
	seq         atomic.Int64
}

const crowdClients = 5

// TestConcurrentHistoriesHaveAnOrder has clients at work at the same time while replicas restart, keys are rotated and records healed,
// and wants an order of all operations on a key that explains each answer: a read gives what the last write before it wrote. In
// buckets with versioning, every version that was acknowledged is there in the end.
func TestConcurrentHistoriesHaveAnOrder(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *modelWorld, rounds int) {
		w.store.exact = true
		for i := range longtest.Rounds(t, rounds) {
			c := &crowd{w: w, versioned: i%2 == 1, conditional: func(n int) bool { return n == 2 || n == 3 }}
			if w.dialect.rgw && !c.versioned {
				c.conditional = func(int) bool { return i%4 == 2 }
			}
			c.history.began = time.Now()
			if err := c.round(i); err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
			longtest.Figure(t, "concurrent operations", len(c.history.all))
			longtest.Figure(t, "concurrent histories", 1)
		}
	})
}

// eachWorld runs a test over the worlds that differ in what concurrency means for them.
func eachWorld(t *testing.T, test func(t *testing.T, w *modelWorld, rounds int)) {
	t.Run("disk and SQLite", func(t *testing.T) { test(t, diskWorld(t, sqliteStores(t)), 8) })
	t.Run("RGW, PostgreSQL and Redis", func(t *testing.T) { test(t, rgwWorld(t, postgresStores(t)), 4) })
}

func (c *crowd) round(n int) error {
	c.bucket = fmt.Sprintf("crowd%d%s", n, c.w.storage.bucketTag)
	owner := c.w.replicas[0]
	for _, rq := range []request{{method: "PUT"}, {method: "PUT", query: "versioning=", payload: sigv4test.Payload{Data: []byte("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")}}} {
		if rq.query != "" && !c.versioned {
			continue
		}
		rq.bucket = c.bucket
		if got, err := c.w.exchange(owner, rq); err != nil || got.status != 200 {
			return fmt.Errorf("make bucket: %d %s %w", got.status, got.code, err)
		}
	}
	var workers, background sync.WaitGroup
	done := make(chan struct{})
	background.Add(1)
	go func() { defer background.Done(); c.disturb(done) }()
	for i := range crowdClients {
		workers.Add(1)
		go func() { defer workers.Done(); c.work(i, 24) }()
	}
	workers.Wait()
	close(done)
	background.Wait()
	if err, _ := c.fault.Load().(error); err != nil {
		return err
	}
	for _, key := range crowdKeys {
		c.read(crowdClients, key)
	}
	if err := c.history.check(); err != nil {
		return err
	}
	if c.versioned {
		return c.everyVersion()
	}
	return c.w.verify(c.bucket, true)
}

var crowdKeys = []string{"k", "dir/k"}

// replica gives one of them, which may be exchanged for a new one at any time.
func (c *crowd) replica() *site {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	return c.w.replicas[rand.IntN(len(c.w.replicas))]
}

// disturb restarts, rotates and heals while clients are at work.
func (c *crowd) disturb(done chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		case <-time.After(30 * time.Millisecond):
		}
		var err error
		switch i % 4 {
		case 0:
			c.w.restart(i / 4 % len(c.w.replicas))
		case 1:
			_, _, err = c.replica().ring.Rotate(c.w.t.Context(), c.bucket)
		case 2:
			_, err = c.replica().handler.HealBucket(c.w.t.Context(), c.bucket, proxy.HealConfig{})
		}
		if err != nil {
			c.fault.Store(err)
		}
	}
}

// work sends n requests as one client.
func (c *crowd) work(client, n int) {
	seen := map[string]string{} // what this client last read of a key
	for range n {
		if c.fault.Load() != nil {
			return
		}
		key := crowdKeys[rand.IntN(len(crowdKeys))]
		switch what := rand.IntN(10); {
		case what < 5 && c.conditional(what):
			if only := []string{"*", seen[key], seen[key]}[rand.IntN(3)]; only != "" {
				c.write(client, key, only)
			}
		case what < 4:
			c.write(client, key, "")
		case what == 4:
			c.delete(client, key)
		case what == 5:
			c.list(client)
		default:
			seen[key] = c.read(client, key)
		}
	}
}

func (c *crowd) write(client int, key, only string) {
	seed := int(c.seq.Add(1))
	body := markedBody(30+seed%3*66_000, seed)
	etag := md5Hex(body)
	c.bodies.Store(etag, len(body))
	rq := request{method: "PUT", bucket: c.bucket, key: key, header: map[string]string{}, payload: sigv4test.Payload{Mode: sigv4test.Unsigned, Data: body}}
	switch only {
	case "":
	case "*":
		rq.header["If-None-Match"] = "*"
	default:
		rq.header["If-Match"] = `"` + only + `"`
	}
	c.history.ask(client, asked{key: key, do: "write", value: etag, only: only}, func() saw {
		got, err := c.w.exchange(c.replica(), rq)
		switch {
		case err != nil || got.status >= 500 || got.code == "ConditionalRequestConflict" || got.cut != nil:
			return saw{result: "unknown"}
		case got.status == 200:
			if id := got.header.Get("X-Amz-Version-Id"); c.versioned {
				c.versions.Store(id, etag)
			}
			return saw{result: "ok"}
		case only != "" && (got.status == 412 || got.status == 404 && only != "*"):
			return saw{result: "refused"}
		}
		c.wrong("PUT %s: %d %s", key, got.status, got.code)
		return saw{result: "unknown"}
	})
}

func (c *crowd) wrong(format string, args ...any) {
	c.fault.CompareAndSwap(nil, fmt.Errorf(format, args...))
}

func (c *crowd) delete(client int, key string) {
	c.history.ask(client, asked{key: key, do: "delete"}, func() saw {
		got, err := c.w.exchange(c.replica(), request{method: "DELETE", bucket: c.bucket, key: key})
		if err != nil || got.status >= 500 {
			return saw{result: "unknown"}
		}
		if got.status != 204 {
			c.wrong("DELETE %s: %d %s", key, got.status, got.code)
		}
		return saw{result: "ok"}
	})
}

func (c *crowd) read(client int, key string) string {
	out := c.history.ask(client, asked{key: key, do: "read"}, func() saw {
		got, err := c.w.exchange(c.replica(), request{method: []string{"GET", "GET", "HEAD"}[rand.IntN(3)], bucket: c.bucket, key: key})
		switch {
		case err != nil || got.cut != nil || got.status >= 500:
			return saw{result: "unknown"}
		case got.status == 404:
			return saw{result: "ok"}
		case got.status != 200:
			c.wrong("GET %s: %d %s", key, got.status, got.code)
			return saw{result: "unknown"}
		}
		etag := strings.Trim(got.header.Get("ETag"), `"`)
		if size, ok := c.bodies.Load(etag); !ok || got.header.Get("Content-Length") != fmt.Sprint(size) || len(got.body) > 0 && md5Hex(got.body) != etag {
			c.wrong("GET %s: %s of %d bytes is nothing that was written", key, etag, len(got.body))
		}
		return saw{value: etag, result: "ok"}
	})
	return out.value
}

// list reads all keys at once: of each it shows what was there at some moment.
func (c *crowd) list(client int) {
	call := time.Since(c.history.began)
	got, err := c.w.exchange(c.replica(), request{method: http.MethodGet, bucket: c.bucket, query: "list-type=2"})
	back := time.Since(c.history.began)
	var doc listDocument
	if err != nil || got.status != 200 || xml.Unmarshal(got.body, &doc) != nil {
		return
	}
	shown := map[string]string{}
	for _, l := range doc.Lines {
		shown[l.Key] = strings.Trim(l.ETag, `"`)
	}
	for _, key := range crowdKeys {
		if !strings.HasSuffix(shown[key], "-0") { // replaced while it was looked up
			c.history.read(client, key, shown[key], call, back)
		}
	}
}

// everyVersion wants every acknowledged version to be listed, and to be read as it was written.
func (c *crowd) everyVersion() (err error) {
	s := c.replica()
	c.versions.Range(func(id, etag any) bool {
		for _, key := range crowdKeys {
			var got reply
			if got, err = c.w.exchange(s, request{method: "GET", bucket: c.bucket, key: key, query: "versionId=" + escaped(id.(string))}); err != nil {
				return false
			}
			if got.status == 200 && md5Hex(got.body) == etag {
				return true
			}
		}
		err = fmt.Errorf("the acknowledged version %s (%s) is not there", id, etag)
		return false
	})
	return err
}
