// Package postgres keeps metadata in PostgreSQL 14 or newer: the store for production, shared by any number of replicas.
//
// It needs a database of its own, or a schema of its own named by search_path in the URL, and a role that may create
// tables there. Every statement of the common ways (commit, look-up, listing page) is one round trip.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"cofre/metadata"
)

// Config holds what has a sensible default. A replica opens at most Conns + 2 LockConns + 4 connections; all replicas
// together must stay below the server's max_connections.
type Config struct {
	// Conns is the most connections for statements; 16 when zero.
	Conns int
	// LockConns is the most connections for key locks, and again for upload locks: each lock that is held or waited for
	// takes one. 16 when zero.
	LockConns int
	// Timeout is how long a call may take, waiting for a connection included; 10 s when zero. What touches many rows (the
	// end of a bucket, an exchange of the identity) may take 30 times as long. Waiting for a lock has the caller's deadline.
	Timeout time.Duration
	// PingTimeout is how long the server may take to answer a ping before it counts as away; 3 s when zero.
	PingTimeout time.Duration
	// PingEvery is how often the store's clock and health are read; a second when zero. See clock.
	PingEvery time.Duration
}

// jobLockConns is for the one job that a process runs, for the next that it tries to take, for its sweep, and for a backup.
const jobLockConns = 4

// Store is a metadata.Store in PostgreSQL.
type Store struct {
	pool *pgxpool.Pool
	// Locks have pools of their own, so that those who wait for a lock take no connection from those who hold one and
	// work. There are two: whoever waits for a key's lock may hold an upload's, never the other way round, so with two
	// pools no circle of waiters can form.
	keyLocks, uploadLocks *pgxpool.Pool
	// A job's lock is held for as long as the job takes, and key locks are taken under it.
	jobLocks *pgxpool.Pool

	clock   clock
	healthy atomic.Bool
	// away says that the server has not answered for longer than a broken connection explains. Nothing is asked then but by
	// the pinger: reads that can do without the store would otherwise wait for each of their questions.
	away    atomic.Bool
	timeout time.Duration
	pinger  *pinger
	closed  atomic.Bool
}

var _ metadata.Store = (*Store)(nil)

// Open connects, brings the tables up to date and reads the server's clock. The URL is a postgres:// one or a keyword
// string as libpq takes it; with several hosts it should say target_session_attrs=read-write. The password of the URL
// is in no error.
func Open(ctx context.Context, url string, cfg Config) (*Store, error) {
	if cfg.Conns == 0 {
		cfg.Conns = 16
	}
	if cfg.LockConns == 0 {
		cfg.LockConns = 16
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.PingTimeout == 0 {
		cfg.PingTimeout = 3 * time.Second
	}
	if cfg.PingEvery == 0 {
		cfg.PingEvery = time.Second
	}
	s := &Store{timeout: cfg.Timeout}
	if err := s.open(ctx, url, cfg); err != nil {
		return nil, errors.Join(s.wrap(ctx, "open metadata store", err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, url string, cfg Config) error {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	config.ConnConfig.BuildContextWatcherHandler = cancelPolitely
	// A server that is reached answers at once; one that is not should cost a request little.
	config.ConnConfig.ConnectTimeout = 5 * time.Second
	if err := migrate(ctx, config.ConnConfig); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, p := range []struct {
		pool **pgxpool.Pool
		max  int
	}{{&s.pool, cfg.Conns}, {&s.keyLocks, cfg.LockConns}, {&s.uploadLocks, cfg.LockConns}, {&s.jobLocks, jobLockConns}} {
		config := config.Copy()
		config.MaxConns = int32(p.max)
		config.AfterConnect = s.prepare
		if *p.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
			return err
		}
	}
	s.pinger = newPinger(s, config.ConnConfig, cfg.PingEvery, cfg.PingTimeout)
	return s.pinger.start(ctx)
}

// prepareSession switches just-in-time compilation off: every common statement here takes well under a millisecond, but on tables
// without statistics yet the planner's estimate for sixteen partitions passes jit_above_cost, and compiling then takes
// seconds, each time. Nor are statements planned again for each set of values: theirs would be the same plan (TestPlansStayByIndex), and
// making it costs as much as a row does. The rest ends what a client that vanished without closing has left behind on the server: a statement
// that nobody waits for, and an open transaction, which would hold its rows for as long as the server believes in its
// connection, two hours by the system's keepalives. (A held lock is an open transaction too, and says so: see lock.take.)
// None of it is a startup parameter, which PgBouncer refuses when it does not know it.
const prepareSession = `
SELECT set_config('jit', 'off', false), set_config('plan_cache_mode', 'force_generic_plan', false), set_config('statement_timeout', $1, false),
    set_config('idle_in_transaction_session_timeout', $2, false), set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '5', false), set_config('tcp_keepalives_count', '3', false)`

func (s *Store) prepare(ctx context.Context, conn *pgx.Conn) error {
	statement, idle := longer*s.timeout, 2*s.timeout
	_, err := conn.Exec(ctx, prepareSession, strconv.FormatInt(statement.Milliseconds(), 10), strconv.FormatInt(idle.Milliseconds(), 10))
	return err
}

// cancelPolitely ends a statement whose context ended by asking the server to cancel it, and keeps the connection. pgx
// would close it: then every client that goes away while its request waits would cost a new connection. A server that
// does not react within a second is given up, and the connection with it.
func cancelPolitely(conn *pgconn.PgConn) ctxwatch.Handler {
	return &pgconn.CancelRequestContextWatcherHandler{
		Conn:               conn,
		CancelRequestDelay: 0,
		DeadlineDelay:      time.Second,
	}
}

// Close implements metadata.Store.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	if s.pinger != nil {
		s.pinger.stop()
	}
	for _, pool := range []*pgxpool.Pool{s.pool, s.keyLocks, s.uploadLocks, s.jobLocks} {
		if pool != nil {
			closePool(pool)
		}
	}
	return nil
}

// closePool closes the pool without waiting for connections that are out: those of locks which are still held end with
// their Unlock, or with the process.
func closePool(pool *pgxpool.Pool) {
	closed := make(chan struct{})
	go func() {
		pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(time.Second):
	}
}

// Now implements metadata.Store.
func (s *Store) Now() time.Time { return s.clock.now(time.Now()) }

// Healthy implements metadata.Store.
func (s *Store) Healthy() bool { return s.healthy.Load() }

// querier is what statements run on: a pool, a connection that holds a lock, a transaction.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}
