package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"cofre/metadata"
)

// Attempts at a call, and the pause before each but the first.
const (
	attempts   = 3
	retryPause = 20 * time.Millisecond
)

// longer is how many times Config.Timeout a statement may take that touches many rows.
const longer = 30

// errAway says that nothing was asked, since the server does not answer pings.
var errAway = errors.New("server does not answer")

// repeatable says whether a call may run again when it is not known whether it took effect.
type repeatable bool

const (
	once  repeatable = false // only when it surely did nothing
	again repeatable = true  // it has the same outcome then
)

// run makes a call, again where that may help: a connection of the pool may have died while it was idle, and two writers
// may have met in a deadlock. All of it, waiting for a connection included, takes Config.Timeout at most: whoever calls may
// have no deadline of its own (a write that the backend has taken is recorded whether or not its client waits), and a server
// that went silent would keep it for ever.
func (s *Store) run(ctx context.Context, call string, r repeatable, do func(context.Context, querier) error) error {
	return s.runFor(ctx, s.timeout, call, r, do)
}

// runLong is run for statements that touch many rows.
func (s *Store) runLong(ctx context.Context, call string, r repeatable, do func(context.Context, querier) error) error {
	return s.runFor(ctx, longer*s.timeout, call, r, do)
}

func (s *Store) runFor(ctx context.Context, limit time.Duration, call string, r repeatable, do func(context.Context, querier) error) error {
	if s.away.Load() {
		return fmt.Errorf("%s: %w: %w", call, metadata.ErrUnavailable, errAway)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var err error
	for i := range attempts {
		if i > 0 {
			select {
			case <-ctx.Done():
				return s.wrap(ctx, call, err)
			case <-time.After(retryPause):
			}
		}
		err = do(ctx, s.pool)
		if err == nil || ctx.Err() != nil {
			break
		}
		if !undone(err) && !(r == again && lost(err)) {
			break
		}
	}
	return s.wrap(ctx, call, err)
}

// wrap names the call. What means that the server cannot be reached or cannot serve matches metadata.ErrUnavailable and,
// unless it was only the caller's patience that ended, makes the store unhealthy until a ping succeeds.
func (s *Store) wrap(ctx context.Context, call string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%s: %w: %w", call, ctx.Err(), err)
	case ctx.Err() != nil, pgconn.Timeout(err):
		// It may be the server's silence: the pinger finds out.
		s.suspect()
		return fmt.Errorf("%s: %w: %w", call, metadata.ErrUnavailable, err)
	case lost(err):
		s.healthy.Store(false)
		s.suspect()
		return fmt.Errorf("%s: %w: %w", call, metadata.ErrUnavailable, err)
	case undone(err):
		return fmt.Errorf("%s: %w: %w", call, metadata.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w", call, err)
}

func (s *Store) suspect() {
	if s.pinger != nil {
		s.pinger.nudge()
	}
}

// The SQLSTATEs that need more than their class (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const (
	codeForeignKeyViolation = "23503"
	codeReadOnly            = "25006" // a standby, or a primary that was told to stop writing
	codeSerialization       = "40001"
	codeDeadlock            = "40P01"
	codeLockNotAvailable    = "55P03" // lock_timeout
)

func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// undone says whether the call surely had no effect, and may have one when it is made again.
func undone(err error) bool {
	c := code(err)
	return c == codeSerialization || c == codeDeadlock || pgconn.SafeToRetry(err)
}

// lost says whether err means that the server, or the way to it, is not there.
func lost(err error) bool {
	if c := code(err); c != "" {
		return c == codeReadOnly ||
			strings.HasPrefix(c, "08") || // connection exception
			strings.HasPrefix(c, "53") || // too many connections, disk full, out of memory
			strings.HasPrefix(c, "57P") || // shutting down, starting up, terminated by an administrator, idle too long
			strings.HasPrefix(c, "58") // system error on the server's side
	}
	var (
		connect *pgconn.ConnectError
		network net.Error
	)
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, puddle.ErrClosedPool)
}
