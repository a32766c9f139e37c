package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"cofre/access"
	"cofre/admission"
	"cofre/audit"
	"cofre/backend"
	"cofre/internal/coalesce"
	"cofre/keys"
	"cofre/metadata"
	"cofre/metadata/rediscache"
	"cofre/proxy"
	"cofre/s3api"
	"cofre/sigv4"
)

// outside is what differs between production and `cofre dev`.
type outside struct {
	log io.Writer
	// dial reaches the backend; nil for TCP.
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// actor says who this is in the audit trail.
	actor string
	// acceptClosed is the operator's word for keys.RingConfig.AcceptClosed; nil accepts nothing.
	acceptClosed func(keys.KEKID) bool
	// ready is called once S3 is served.
	ready func(s3, admin net.Addr) error
}

// run serves until ctx ends, then drains. It is the only place where the parts are put together.
func run(ctx context.Context, cfg Config, out outside) error {
	logger, err := newLogger(cfg.Log.Level, out.log)
	if err != nil {
		return err
	}
	harden(logger)
	boundMemory(logger)
	registry := newRegistry()

	// A port that is in use is told at once. But no client is let in before it can be answered: a connection that is refused goes on to
	// another replica, and one that waits for a process that then does not start is lost.
	if err := checkFree("listen", cfg.Listen); err != nil {
		return err
	}
	adminListener, err := listen("admin_listen", cfg.AdminListen)
	if err != nil {
		return err
	}
	ad := &admin{}
	adminServer := newAdminServer(ad.handler(registry, cfg.AdminPprof))
	defer adminServer.Close()
	failed := make(chan error, 2)
	go func() { failed <- fmt.Errorf("serve admin: %w", adminServer.Serve(adminListener)) }()

	site, err := openSite(ctx, cfg, out, logger, registry)
	if err != nil {
		return err
	}
	defer site.close(logger)
	connections := admission.NewConnections(admission.ConnectionsConfig{
		Total: cfg.Limits.Connections, PerSource: cfg.Limits.ConnectionsPerSource, Registerer: registry,
	})
	last := &lastAnswers{next: site.handler}
	s3Server, err := newS3Server(cfg, last, connections, logger)
	if err != nil {
		return err
	}
	s3Listener, err := listen("listen", cfg.Listen)
	if err != nil {
		return err
	}
	defer s3Listener.Close()
	card, healthy := site.identity.Card(), site.store.Healthy
	ad.site.Store(&card)
	ad.healthy.Store(&healthy)
	tokens, stopTokens := context.WithCancel(ctx)
	defer stopTokens()
	site.background.Go(func() { site.guard.keepToken(tokens, logger) })
	recovery := newRecoveryKeeper(site, logger, registry)
	site.background.Go(func() { recovery.run(tokens) })
	site.background.Go(func() { site.handler.Sweep(tokens, sweepByItself(cfg, site)) })
	runner := site.newRunner(logger, registry)
	site.background.Go(func() { runner.Serve(tokens) })
	site.background.Go(func() { site.tellRestored(tokens, logger) })
	backups := newBackupKeeper(site, cfg, logger, registry)
	site.background.Go(func() { backups.run(tokens) })
	go func() { failed <- fmt.Errorf("serve S3: %w", serveS3(s3Server, s3Listener, connections)) }()
	ad.enter(serving)
	logger.Info("serving", zap.String("version", buildVersion()), zap.Stringer("listen", s3Listener.Addr()),
		zap.Stringer("admin_listen", adminListener.Addr()), zap.Stringer("site", card.ID))
	if out.ready != nil {
		if err := out.ready(s3Listener.Addr(), adminListener.Addr()); err != nil {
			return err
		}
	}
	select {
	case err := <-failed:
		return err
	case <-site.trust.taken:
		// What this process sealed from now on, nobody could open who is the site.
		ad.enter(draining)
		return errors.Join(fmt.Errorf("%w by now: start again with its file as site.identity", errOtherIdentity), drain(s3Server, s3Listener, last, cfg.Limits, logger))
	case <-ctx.Done():
		ad.enter(draining)
		return drain(s3Server, s3Listener, last, cfg.Limits, logger)
	}
}

// checkFree says plainly when somebody else has a port.
func checkFree(key, address string) error {
	l, err := listen(key, address)
	if err != nil {
		return err
	}
	return l.Close()
}

// listen takes a port, and says plainly when somebody else has it.
func listen(key, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: %s is in use by another program: stop that one or choose another port", key, address)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return l, nil
}

// newS3Server makes the server that clients meet. There is no limit on the time of a body, which may take hours: who sends
// or takes nothing at all is the handler's to judge. HTTP/2 is off: S3 clients do not ask for it, and a body there is
// copied once more.
func newS3Server(cfg Config, h http.Handler, connections *admission.Connections, logger *zap.Logger) (*http.Server, error) {
	tlsConfig, err := newTLSConfig(cfg.TLS, logger)
	if err != nil {
		return nil, err
	}
	var http1 http.Protocols
	http1.SetHTTP1(true)
	return &http.Server{
		Handler:           h,
		TLSConfig:         tlsConfig,
		Protocols:         &http1,
		ReadHeaderTimeout: cfg.Limits.HeaderTimeout,
		IdleTimeout:       cfg.Limits.IdleTimeout,
		MaxHeaderBytes:    int(cfg.Limits.HeaderBytes),
		ErrorLog:          log.New(connectionLog{logger}, "", 0),
		ConnState:         connections.State,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return connections.Context(coalesce.Context(ctx, conn), conn)
		},
	}, nil
}

func serveS3(s *http.Server, l net.Listener, connections *admission.Connections) error {
	l = connections.Listen(coalesce.Listen(l))
	if s.TLSConfig != nil {
		return s.ServeTLS(l, "", "")
	}
	return s.Serve(l)
}

// site is what serves a site's requests, and what has to be closed after them.
type site struct {
	identity *keys.Identity
	guard    guard
	store    metadata.Store
	trail    *audit.Trail
	backend  *backend.Client
	trust    *trustKeeper
	ring     *keys.Ring
	handler  *proxy.Handler
	rates    *rediscache.Rates // nil where no replicas share any

	stop       context.CancelFunc // ends background work
	background sync.WaitGroup
}

func openSite(ctx context.Context, cfg Config, out outside, logger *zap.Logger, registry prometheus.Registerer) (_ *site, err error) {
	s := &site{}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	defer func() {
		if err != nil {
			s.close(logger)
		}
	}()
	if s.identity, s.guard, err = waitForIdentity(ctx, cfg, logger); err != nil {
		return nil, err
	}
	debug.FreeOSMemory() // scrypt took 64 MiB or more, once
	if s.backend, err = openBackend(cfg, out, registry); err != nil {
		return nil, err
	}
	direct, err := waitForStore(ctx, cfg, logger)
	if err != nil {
		return nil, err
	}
	if s.store, err = withCache(direct, cfg, registry); err != nil {
		return nil, errors.Join(err, direct.Close())
	}
	observeStore(registry, s.store.Healthy)
	s.trail = newTrail(s.store, out.actor, logger)
	s.store = s.trail.Store(s.store)
	s.trail.Note(audit.Event{Action: audit.IdentityOpened, Subject: s.guard.String()})
	if s.trust, err = bringTrust(ctx, cfg, s.identity, s.store, logger); err != nil {
		return nil, err
	}
	s.background.Go(func() { s.trust.follow(background, logger) })
	system := proxy.NewSystem(s.backend, cfg.Backend.SystemBucket)
	s.ring = keys.NewRing(keys.RingConfig{
		Identity: s.identity, Trust: s.trust.Current, Store: s.store, System: s.trail.System(system), Rotate: rotatePolicy(cfg.Keys, logger),
		AcceptClosed: out.acceptClosed, Refresh: func(ctx context.Context) error { return s.trust.refresh(ctx, logger) },
	})
	s.background.Go(func() { ensureSystemBucket(background, system, logger) })
	if s.handler, err = newHandler(cfg, s, logger, registry); err != nil {
		return nil, err
	}
	return s, nil
}

func openBackend(cfg Config, out outside, registry prometheus.Registerer) (*backend.Client, error) {
	client, err := backend.New(backend.Config{
		Endpoint: cfg.Backend.Endpoint, Region: cfg.Backend.Region, Users: cfg.backendUsers(), CAFile: cfg.Backend.CAFile,
		ConnectTimeout: cfg.Backend.ConnectTimeout, StallTimeout: cfg.Backend.StallTimeout, AnswerTimeout: cfg.Backend.AnswerTimeout,
		DialContext: out.dial, Observe: observeBackend(registry),
	})
	if err != nil {
		return nil, usagef("backend: %w", err)
	}
	return client, nil
}

// bringTrust reads the trust list, adds the recovery identities of the configuration, and brings it to where it is missing.
func bringTrust(ctx context.Context, cfg Config, id *keys.Identity, store keys.Store, logger *zap.Logger) (*trustKeeper, error) {
	trust, err := openTrust(ctx, id, trustPath(cfg.Site.Identity), store)
	if err != nil {
		return nil, err
	}
	if err := trust.toStore(ctx); err != nil {
		return nil, fmt.Errorf("store trust list: %w", err)
	}
	for _, path := range cfg.Site.Recovery {
		card, err := readCard(path)
		if err != nil {
			return nil, err
		}
		err = trust.change(ctx, func(l *keys.TrustList) error { return l.Trust(card, "*", keys.Recovery, time.Now()) })
		if err != nil {
			return nil, fmt.Errorf("trust recovery identity %s: %w", path, err)
		}
	}
	if err := trust.toFile(); err != nil {
		logger.Warn("trust list was not written beside the identity; the store has it", zap.Error(err))
	}
	return trust, nil
}

func newHandler(cfg Config, s *site, logger *zap.Logger, registry prometheus.Registerer) (*proxy.Handler, error) {
	credentials, err := access.NewCredentials(access.Config{
		Static: cfg.staticCredentials(), Anonymous: cfg.anonymousIdentity(),
		Store: credentialStore{s.store}, Sealer: access.NewSealer(s.identity),
		TTL: cfg.Limits.CredentialTTL, Grace: cfg.Limits.CredentialGrace,
	})
	if err != nil {
		return nil, usageError{err}
	}
	rates, shared, err := newRates(cfg, registry)
	if err != nil {
		return nil, err
	}
	s.rates = shared
	clients := clientCredentials{credentials}
	hosts := s3api.Hosts{Domains: cfg.Domains}
	return proxy.New(proxy.Config{
		Hosts:    hosts,
		Verifier: sigv4.New(sigv4.Config{Secrets: clients, Bucket: hosts.Bucket}),
		Access:   clients,
		Attempts: cfg.Authentication.attempts(),
		Proxies:  cfg.Authentication.proxies(),
		Backend:  s.backend,
		Store:    s.store,
		Ring:     s.ring,
		Site:     s.identity.ID(), Region: cfg.Region, SystemBucket: cfg.Backend.SystemBucket,
		CustomerKeysOverHTTP: cfg.SSECOverHTTP,
		Bucket:               cfg.bucketPolicy,
		Limits: proxy.Limits{
			MaxPutSize: int64(cfg.Backend.MaxPutSize), LockWait: cfg.Limits.LockWait, HealParallel: cfg.Limits.HealParallel,
			UploadStall: cfg.Limits.UploadStall, DownloadStall: cfg.Limits.DownloadStall, MinRate: int64(cfg.Limits.MinRate),
		},
		Gate: newGate(cfg.Limits, logger, registry), Rates: rates,
		Log: logger, Registerer: registry, Refused: s.refused, Guessing: s.guessing,
	}), nil
}

// ensureSystemBucket makes the system bucket, again and again while the backend does not answer: serving need not wait.
func ensureSystemBucket(ctx context.Context, system *proxy.System, logger *zap.Logger) {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		err := system.Ensure(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		logger.Warn("system bucket is not there and could not be made: no bucket gets keys until it is", zap.Error(err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// close gives everything back. Requests have ended.
func (s *site) close(logger *zap.Logger) {
	s.stop()
	s.background.Wait()
	if s.trail != nil {
		s.trail.Close()
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			logger.Warn("metadata store was not closed cleanly", zap.Error(err))
		}
	}
	if s.rates != nil {
		if err := s.rates.Close(); err != nil {
			logger.Warn("connections to Redis were not closed cleanly", zap.Error(err))
		}
	}
	if s.backend != nil {
		s.backend.Close()
	}
}
