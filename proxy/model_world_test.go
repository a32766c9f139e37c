package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"cofre/access"
	"cofre/backend/disk"
	"cofre/keys"
	"cofre/metadata"
	"cofre/metadata/postgres"
	"cofre/metadata/postgres/postgrestest"
	"cofre/metadata/rediscache"
	"cofre/metadata/sqlite"
	"cofre/metadata/storetest"
	"cofre/proxy"
	"cofre/sigv4/sigv4test"
)

// modelGrant is a grant in words.
type modelGrant struct{ actions, prefix string }

// modelClients are the clients of a sequence and what they may do.
var modelClients = map[string][]modelGrant{
	"owner":    {{"read write list delete admin", ""}},
	"reader":   {{"read list", ""}},
	"scoped":   {{"read write list delete", "dir/"}},
	"stranger": nil,
}

// modelSigner signs as a client; the owner is the test client.
func modelSigner(who string) *sigv4test.Signer {
	s := signer()
	if who != "owner" {
		s.AccessKeyID = "AKIAMODEL" + strings.ToUpper(who)
	}
	return &s
}

func modelCredentials() (all []access.Credential) {
	for who, grants := range modelClients {
		if who == "owner" {
			continue
		}
		c := access.Credential{AccessKeyID: modelSigner(who).AccessKeyID, Secret: access.Secret(secretKey)}
		for _, g := range grants {
			grant := access.Grant{Bucket: "*"}
			if g.prefix != "" {
				grant.Prefixes = []string{g.prefix}
			}
			for _, name := range strings.Fields(g.actions) {
				grant.Actions = append(grant.Actions, must(access.ParseAction(name)))
			}
			c.Grants = append(c.Grants, grant)
		}
		all = append(all, c)
	}
	return all
}

// modelWorld is a site of several replicas over one store, with everything in reach that can happen to it.
type modelWorld struct {
	t        *testing.T
	storage  *storage
	link     *faultyLink
	store    *faultyStore
	stores   modelStores
	identity *keys.Identity
	mu       sync.Mutex // guards the replicas where requests run at the same time
	replicas []*site
	dialect  dialect
	root     string // of the storage's files; empty on the real RGW

	buckets, operations, restarts, losses, rounds int
}

// modelStores makes the stores of a world.
type modelStores struct {
	empty func() metadata.Store // a new one
	// flushed gives the last one with nothing in its cache; nil where it has none.
	flushed func() metadata.Store
}

// modelReplicas is how many handlers serve one store.
const modelReplicas = 2

// diskWorld is a site over the storage of cofre dev.
func diskWorld(t *testing.T, stores modelStores) *modelWorld {
	t.Helper()
	w := &modelWorld{t: t, stores: stores, root: t.TempDir()}
	b, err := disk.Open(w.root)
	if err != nil {
		t.Fatal(err)
	}
	w.link = &faultyLink{storage: b.Handler()}
	w.serve(&storage{access: "site", secret: "site-secret"})
	t.Cleanup(func() { b.Close() })
	return w
}

// rgwWorld is a site over the real Ceph RGW.
func rgwWorld(t *testing.T, stores modelStores) *modelWorld {
	t.Helper()
	st := rgwStorage(t)
	target := must(url.Parse(st.endpoint))
	forward := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		Transport:    clientTransport,
	}
	w := &modelWorld{t: t, stores: stores, link: &faultyLink{storage: forward}, dialect: dialect{rgw: true}}
	w.serve(&storage{access: st.access, secret: st.secret, bucketTag: st.bucketTag})
	return w
}

func (w *modelWorld) serve(st *storage) {
	srv := httptest.NewServer(w.link)
	srv.Config.ErrorLog = nil
	w.t.Cleanup(srv.Close)
	st.endpoint = srv.URL
	st.raw = client(st.endpoint, st.access, st.secret)
	w.storage, w.store = st, &faultyStore{Store: w.stores.empty()}
	w.identity = must(keys.GenerateIdentity("model site"))
	w.replicas = make([]*site, modelReplicas)
	for i := range w.replicas {
		w.restart(i)
	}
}

// restart exchanges a replica for a new one: nothing that was remembered in memory is left.
func (w *modelWorld) restart(i int) {
	s := newSite(w.t, w.storage, siteConfig{identity: w.identity, store: w.store, credentials: modelCredentials()})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replicas[i] = s
}

// lose exchanges the store for an empty one.
func (w *modelWorld) lose() {
	w.store.Store = w.stores.empty()
	for i := range w.replicas {
		w.restart(i)
	}
}

// warnings gives the last that the replicas had to say.
func (w *modelWorld) warnings() (lines []string) {
	for i, s := range w.replicas {
		all := s.logs.Filter(func(e observer.LoggedEntry) bool {
			return e.Level >= zap.WarnLevel || e.ContextMap()["detail"] != nil
		}).All()
		for _, e := range all[max(0, len(all)-4):] {
			lines = append(lines, fmt.Sprintf("replica %d: %s %v", i, e.Message, e.ContextMap()))
		}
	}
	return lines
}

// flush empties every cache.
func (w *modelWorld) flush() {
	if w.stores.flushed != nil {
		w.store.Store = w.stores.flushed()
	}
	for i := range w.replicas {
		w.restart(i)
	}
}

// noPlaintext looks through the files of the storage.
func (w *modelWorld) noPlaintext() error {
	if n := w.link.leaks.Load(); n > 0 {
		return errors.New("plaintext was sent to the storage")
	}
	if w.root == "" {
		return nil
	}
	return filepath.WalkDir(w.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && bytes.Contains(text, []byte(plaintextMark)) {
			err = fmt.Errorf("plaintext lies in %s", filepath.Base(path))
		}
		return err
	})
}

// sqliteStores gives empty stores in files.
func sqliteStores(t *testing.T) modelStores {
	dir, n := t.TempDir(), 0
	return modelStores{empty: func() metadata.Store {
		n++
		store, err := sqlite.Open(context.Background(), filepath.Join(dir, fmt.Sprint(n, ".db")), sqlite.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		return store
	}}
}

// exchange sends a request; an error is a connection that ended without an answer.
func (w *modelWorld) exchange(s *site, rq request) (reply, error) {
	resp, err := clientTransport.RoundTrip(s.build(w.t, rq))
	if err != nil {
		return reply{}, err
	}
	return read(resp), nil
}

// errLeft is what a client's body ends in who goes away.
var errLeft = errors.New("the client has left")

// goAway has the client break off in the middle of the body.
func goAway(r *http.Request) {
	if r.ContentLength > 0 {
		r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, r.ContentLength/2), leavingReader{}))
	}
}

type leavingReader struct{}

func (leavingReader) Read([]byte) (int, error) { return 0, errLeft }

// verify wants nothing found, but for what faults may leave behind: rows whose object is gone are harmless.
func (w *modelWorld) verify(bucket string, faulted bool) error {
	s := w.replicas[0]
	var found []proxy.Finding
	_, err := s.handler.Verify(w.t.Context(), bucket, proxy.VerifyConfig{
		KEKs: s.ring.CheckKEKs, Read: func() bool { return true }, Settle: time.Millisecond,
		Found: func(f proxy.Finding) {
			if !f.Info && !(faulted && f.Kind == proxy.FoundRowAlone) {
				found = append(found, f)
			}
		},
	})
	if err == nil && len(found) > 0 {
		return errors.New("verify finds " + string(found[0].Kind) + " " + found[0].Key + ": " + found[0].Detail)
	}
	return err
}

// postgresStores gives empty stores in PostgreSQL, each with a cache of its own in Redis.
func postgresStores(t *testing.T) modelStores {
	redis := storetest.Server(t, "redis", "COFRE_TEST_REDIS")
	var store metadata.Store
	cached := func() metadata.Store {
		cache, err := rediscache.New(lasting{store}, redis, rediscache.Config{Prefix: "cofre-model-" + randomHex(8) + ":"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cache.Close() })
		return cache
	}
	empty := func() metadata.Store {
		opened, err := postgres.Open(t.Context(), postgrestest.Database(t), postgres.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { opened.Close() })
		store = opened
		return cached()
	}
	return modelStores{empty: empty, flushed: cached}
}

// lasting is a store that does not end with a cache before it.
type lasting struct{ metadata.Store }

func (lasting) Close() error { return nil }
