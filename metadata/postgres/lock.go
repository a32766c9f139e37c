package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"cofre/metadata"
)

// unlockTimeout is how long giving a lock back may take before its connection is closed instead, which does the same.
const unlockTimeout = 5 * time.Second

// lockID is the number of an advisory lock. Different names may meet in one number, with a chance of 2^-64 for each pair:
// then one waits for the other without need, and nothing worse. The kinds keep keys, uploads and migrations apart; the
// length keeps ("a", "bc") and ("ab", "c") apart.
func lockID(kind, first string, rest ...string) int64 {
	h := sha256.New()
	h.Write([]byte("cofre " + kind + " " + strconv.Itoa(len(first)) + " " + first))
	for _, r := range rest {
		h.Write([]byte(r))
	}
	return int64(binary.BigEndian.Uint64(h.Sum(nil)))
}

// LockKey implements metadata.Store.
func (s *Store) LockKey(ctx context.Context, bucket, key string) (metadata.Lock, error) {
	return s.lock(ctx, "lock key", s.keyLocks, lockID("key", bucket, key))
}

// LockUpload implements metadata.Store.
func (s *Store) LockUpload(ctx context.Context, uploadID string) (metadata.Lock, error) {
	return s.lock(ctx, "lock upload", s.uploadLocks, lockID("upload", uploadID))
}

// LockJob implements metadata.Store.
func (s *Store) LockJob(ctx context.Context, id string) (metadata.Lock, error) {
	return s.lock(ctx, "lock job", s.jobLocks, lockID("job", id))
}

// lock takes an advisory lock that belongs to a transaction, which stays open until Unlock. So the lock ends with the
// transaction or the connection, whatever happens to this process, and a pooler between leaves it alone. An idle
// transaction that has only read holds neither rows nor the horizon of vacuum.
func (s *Store) lock(ctx context.Context, call string, pool *pgxpool.Pool, id int64) (metadata.Lock, error) {
	if s.away.Load() {
		return nil, fmt.Errorf("%s: %w: %w", call, metadata.ErrUnavailable, errAway)
	}
	var err error
	for range attempts { // a connection of the pool may have died while it was idle, or a new one on its way
		var conn *pgxpool.Conn
		if conn, err = pool.Acquire(ctx); err == nil {
			l := &lock{store: s, conn: conn}
			if err = l.take(ctx, id); err == nil {
				return l, nil
			}
			l.Unlock()
		}
		if ctx.Err() != nil || !lost(err) {
			break
		}
	}
	return nil, s.lockError(ctx, call, err)
}

func (s *Store) lockError(ctx context.Context, call string, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && !s.healthy.Load() {
		return s.wrap(ctx, call, err) // nobody holds it: the server is silent
	}
	if ctx.Err() != nil || code(err) == codeLockNotAvailable {
		// It was not had in time, whoever noticed first: the pool, the server or the context.
		return fmt.Errorf("%s: %w: %w", call, metadata.ErrLockTimeout, errors.Join(context.Cause(ctx), err))
	}
	return s.wrap(ctx, call, err)
}

// lock implements metadata.Lock.
type lock struct {
	store *Store
	mu    sync.Mutex
	conn  *pgxpool.Conn // nil once unlocked; owner: mu
}

// take begins the transaction and takes the lock in one round trip.
func (l *lock) take(ctx context.Context, id int64) error {
	timeout := time.Duration(0) // no limit but ctx
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(deadline), time.Millisecond)
	}
	var batch pgx.Batch
	batch.Queue(`BEGIN`)
	// lock_timeout makes the server give up by itself, so that the connection lives on. The keepalives find a holder whose
	// machine is gone within 25 s, where the system's own would let it hold the lock for two hours. An idle transaction is
	// what a held lock is, so no limit of the server's may end it. All of it is for this transaction only.
	batch.Queue(`SELECT set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', '0', true),
    set_config('statement_timeout', '0', true), set_config('tcp_keepalives_idle', '10', true),
    set_config('tcp_keepalives_interval', '5', true), set_config('tcp_keepalives_count', '3', true)`,
		strconv.FormatInt(timeout.Milliseconds()+1, 10))
	batch.Queue(`SELECT pg_advisory_xact_lock($1)`, id)
	return l.conn.SendBatch(ctx, &batch).Close()
}

// Latest implements metadata.Lock.
func (l *lock) Latest(ctx context.Context, bucket, key, versionID string) (rec metadata.Record, err error) {
	err = l.run(ctx, "find record under lock", func(ctx context.Context, q querier) (err error) {
		rec, err = latestRecord(ctx, q, bucket, key, versionID)
		return err
	})
	return rec, err
}

// ByEnvelope implements metadata.Lock.
func (l *lock) ByEnvelope(ctx context.Context, bucket, key string, env metadata.Envelope) (rec metadata.Record, err error) {
	err = l.run(ctx, "find record by envelope under lock", func(ctx context.Context, q querier) (err error) {
		rec, err = recordByEnvelope(ctx, q, bucket, key, env)
		return err
	})
	return rec, err
}

// Held implements metadata.Lock. The server answers on the very connection whose transaction has the lock. A transaction
// in which a read failed counts as lost too: the server has the lock still, but lets nothing be asked any more.
func (l *lock) Held(ctx context.Context) error {
	err := l.run(ctx, "check lock", func(ctx context.Context, q querier) error {
		_, err := q.Exec(ctx, `SELECT 1`)
		return err
	})
	if err == nil || errors.Is(err, metadata.ErrLockLost) {
		return err
	}
	return fmt.Errorf("%w: %w", metadata.ErrLockLost, err)
}

func (l *lock) run(ctx context.Context, call string, do func(context.Context, querier) error) error {
	ctx, cancel := context.WithTimeout(ctx, l.store.timeout) // whoever holds a lock need not have a deadline
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil || l.store.closed.Load() {
		return fmt.Errorf("%s: %w", call, metadata.ErrLockLost)
	}
	return l.store.wrap(ctx, call, do(ctx, l.conn))
}

// Unlock implements metadata.Lock.
func (l *lock) Unlock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), unlockTimeout)
	defer cancel()
	if _, err := l.conn.Exec(ctx, `ROLLBACK`); err != nil {
		// Nothing was written: what matters is that the transaction ends, and with the connection it does.
		_ = l.conn.Conn().Close(ctx)
	}
	l.conn.Release()
	l.conn = nil
}
