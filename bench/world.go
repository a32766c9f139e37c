package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// contender is one of those who are compared: the storage itself, or who stands in front of it.
type contender struct {
	name     string
	endpoint Endpoint
	bucket   string
	cofre    *cofreSite // nil for the others
	proxy    *process   // nil for the storage itself
}

// The names of contenders.
const (
	straight = "straight"
	viaNginx = "nginx"
	viaBare  = "bare"
	viaCofre = "cofre"
)

// world is a storage and the contenders at it.
type world struct {
	storage    string
	scale      scale
	backend    *process // nil where the bench has not started it
	loader     *loader
	server     *server
	database   string // URL of cofre's
	buckets    buckets
	contenders []*contender
	filled     map[string]bool
	closers    []func()
}

func (w *world) close() {
	for i := len(w.closers) - 1; i >= 0; i-- {
		w.closers[i]()
	}
}

// common is what worlds have in common.
type common struct {
	dir, binary string
	loader      *loader
	server      *server
	listKeys    int
	bare        bool // whether a bare proxy takes part
	profiles    bool // whether cofre's profiler is on
}

// openNull brings up the null storage and what is measured in front of it.
func openNull(ctx context.Context, c common) (*world, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := newWorld("null", c, false)
	p, err := start(c.dir, "null", exec.Command(self, "null", address, w.buckets.sealed, w.buckets.opaque, w.buckets.plain))
	if err != nil {
		return nil, err
	}
	w.backend = p
	w.closers = append(w.closers, p.stop)
	if err := p.ready(ctx, 10*time.Second, 10*time.Millisecond, func() bool { return listens(address) }); err != nil {
		w.close()
		return nil, err
	}
	return w.open(ctx, c, Endpoint{Address: address, Host: address, Access: "null", Secret: "null"})
}

// openRGW takes the gateway of the test environment.
func openRGW(ctx context.Context, c common) (*world, error) {
	address, ok := strings.CutPrefix(os.Getenv("COFRE_TEST_RGW"), "http://")
	if !ok {
		return nil, errors.New("COFRE_TEST_RGW is no http URL")
	}
	w := newWorld("RGW", c, true)
	return w.open(ctx, c, Endpoint{
		Address: address, Host: address, Access: os.Getenv("COFRE_TEST_RGW_ACCESS_KEY"), Secret: os.Getenv("COFRE_TEST_RGW_SECRET_KEY"),
	})
}

func newWorld(storage string, c common, rgw bool) *world {
	run := strings.ToLower(rand.Text()[:8]) // what another run has left on a storage is in nobody's way
	return &world{
		storage: storage, scale: scaleOf(rgw, c.listKeys), loader: c.loader, server: c.server, filled: map[string]bool{},
		buckets: buckets{sealed: "sealed-" + run, opaque: "opaque-" + run, plain: "plain-" + run, system: "system-" + run},
	}
}

// open starts the contenders and makes the buckets.
func (w *world) open(ctx context.Context, c common, backend Endpoint) (_ *world, err error) {
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.database, err = c.server.create(ctx); err != nil {
		return nil, err
	}
	site, err := newCofre(c.binary, c.dir, "cofre-"+w.storage, backend, w.database, w.buckets, c.profiles)
	if err != nil {
		return nil, err
	}
	if _, err := site.serve(ctx); err != nil {
		return nil, err
	}
	w.closers = append(w.closers, func() { site.stop() })
	w.contenders = []*contender{{name: straight, endpoint: backend, bucket: w.buckets.plain}}
	if err := w.pass(ctx, c.dir, viaNginx, backend, startNginx); err != nil {
		return nil, err
	}
	if c.bare {
		if err := w.pass(ctx, c.dir, viaBare, backend, startBare); err != nil {
			return nil, err
		}
	}
	w.contenders = append(w.contenders, &contender{name: viaCofre, endpoint: site.endpoint(), bucket: w.buckets.sealed, proxy: site.process, cofre: site})
	for bucket, e := range map[string]Endpoint{w.buckets.plain: backend, w.buckets.sealed: site.endpoint(), w.buckets.opaque: site.endpoint()} {
		if _, err := c.loader.do(ctx, Job{Kind: KindBucket, Endpoint: e, Bucket: bucket, Count: 1}); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// pass starts a proxy that only passes bytes through, and enters it.
func (w *world) pass(
	ctx context.Context, dir, name string, backend Endpoint, start func(ctx context.Context, dir, name, storage string) (*process, string, error),
) error {
	p, address, err := start(ctx, dir, name+"-"+w.storage, backend.Address)
	if err != nil {
		return err
	}
	w.closers = append(w.closers, p.stop)
	through := backend
	through.Address = address
	w.contenders = append(w.contenders, &contender{name: name, endpoint: through, bucket: w.buckets.plain, proxy: p})
	return nil
}

// fill writes a data set for a contender, once for each bucket.
func (w *world) fill(ctx context.Context, c *contender, name string) error {
	if w.filled[c.bucket+"/"+name] {
		return nil
	}
	j, ok := datasets(w.scale)[name]
	if !ok {
		return fmt.Errorf("no data set %q", name)
	}
	j.Endpoint, j.Bucket, j.Mode = c.endpoint, c.bucket, modeUnsigned
	if _, err := w.loader.do(ctx, j); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	w.filled[c.bucket+"/"+name] = true
	if c.cofre == nil {
		return nil
	}
	// Autovacuum would do it within a minute, in the midst of what is measured.
	return execute(ctx, w.database, `VACUUM ANALYZE objects`)
}

// keepLogs copies what the processes said, for whoever looks for the reason of a failure.
func keepLogs(dir string, to io.Writer) {
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return
	}
	for _, path := range logs {
		if text := lastLines(path); text != "" {
			fmt.Fprintf(to, "--- %s\n%s\n", filepath.Base(path), text)
		}
	}
}
