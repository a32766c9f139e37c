package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// errStandby says that the server takes no writes.
var errStandby = errors.New("server is in recovery and takes no writes")

// pinger reads the server's clock on a connection of its own, every second and at once when a call has failed. Whether
// that works is the store's health.
type pinger struct {
	store  *Store
	config *pgx.ConnConfig
	every  time.Duration
	limit  time.Duration // for the server to answer one ping
	nudged chan struct{} // has room for one
	ended  chan struct{} // closed by stop
	done   sync.WaitGroup

	conn *pgx.Conn // nil while there is none; owner: ping
}

func newPinger(store *Store, config *pgx.ConnConfig, every, limit time.Duration) *pinger {
	return &pinger{
		store: store, config: config.Copy(), every: every, limit: limit, nudged: make(chan struct{}, 1), ended: make(chan struct{}),
	}
}

// start pings once, so that the clock is known, and then goes on in the background.
func (p *pinger) start(ctx context.Context) error {
	if err := p.ping(ctx); err != nil {
		return err
	}
	p.store.healthy.Store(true)
	p.done.Go(p.run)
	return nil
}

func (p *pinger) stop() {
	close(p.ended)
	p.done.Wait()
	p.drop()
}

// nudge asks for a ping now.
func (p *pinger) nudge() {
	select {
	case p.nudged <- struct{}{}:
	default: // one is asked for already
	}
}

func (p *pinger) run() {
	failures := 0 // in a row, of new connections
	for {
		select {
		case <-p.ended:
			return
		case <-p.nudged:
		case <-time.After(p.every):
		}
		fresh := p.conn == nil
		err := p.ping(context.Background())
		if err == nil {
			failures = 0
			p.store.away.Store(false)
		}
		if err == nil && p.store.healthy.CompareAndSwap(false, true) {
			// What broke one connection has likely broken the others too; they are made anew when they are next used.
			p.store.pool.Reset()
			p.store.keyLocks.Reset()
			p.store.uploadLocks.Reset()
		}
		if err == nil {
			continue
		}
		p.store.healthy.Store(false)
		// A connection that breaks says little: the server may have ended it, and take the next one. Silence is no connection's.
		if fresh {
			failures++
		}
		if failures > 1 || pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded) {
			p.store.away.Store(true)
		}
		// A failed call must not make this loop spin while the server is away.
		select {
		case <-p.ended:
			return
		case <-time.After(p.every / 4):
			p.nudge()
		}
	}
}

// ping takes one sample of the server's clock.
func (p *pinger) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	if p.conn == nil {
		conn, err := pgx.ConnectConfig(ctx, p.config)
		if err != nil {
			return err
		}
		p.conn = conn
	}
	var (
		now     time.Time
		standby bool
	)
	t0 := time.Now()
	err := p.conn.QueryRow(ctx, `SELECT clock_timestamp(), pg_is_in_recovery()`).Scan(&now, &standby)
	t1 := time.Now()
	if err == nil && standby {
		err = errStandby
	}
	if err != nil {
		p.drop() // another connection may reach another server
		return err
	}
	p.store.clock.add(t0, now, t1)
	return nil
}

func (p *pinger) drop() {
	if p.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	// The connection is gone or not wanted; how it ends does not matter.
	_ = p.conn.Close(ctx)
	p.conn = nil
}
