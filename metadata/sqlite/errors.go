package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"cofre/keys"
	"cofre/metadata"
)

// probeEvery is how often an unhealthy store is tried again.
const probeEvery = time.Second

// failed wraps an error of the call that verb and noun name; nil stays nil. What means that the file cannot be used now
// matches metadata.ErrUnavailable and makes the store unhealthy until a write succeeds again.
func (s *Store) failed(call string, err error) error {
	switch {
	case err == nil:
		return nil
	case isAnswer(err), errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", call, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, sql.ErrConnDone):
		return fmt.Errorf("%s: %w: %w", call, metadata.ErrUnavailable, err)
	case isUnusable(err):
		s.suffer()
		return fmt.Errorf("%s: %w: %w", call, metadata.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w", call, err)
}

// isAnswer says whether err is one of the contract's own: the store worked.
func isAnswer(err error) bool {
	for _, answer := range []error{
		metadata.ErrNotFound, metadata.ErrConflict, keys.ErrKEKNotFound, keys.ErrKEKConflict, keys.ErrNoTrustList,
	} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// isUnusable says whether err tells of the file or its disk, rather than of the statement. The codes are SQLite's
// (https://www.sqlite.org/rescode.html); the low byte is the primary one.
func isUnusable(err error) bool {
	var e *driver.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL:
		return true
	}
	return false
}

// suffer makes the store unhealthy and begins, unless it runs already, the search for the end of it.
func (s *Store) suffer() {
	s.healthy.Store(false)
	if s.isClosed() || !s.probing.CompareAndSwap(false, true) {
		return
	}
	s.probes.Add(1)
	go func() {
		defer s.probes.Done()
		s.probe()
	}()
}

// probe writes the clock row once a second until that works: then the store is healthy again.
func (s *Store) probe() {
	defer s.probing.Store(false)
	for {
		select {
		case <-s.closed:
			return
		case <-time.After(probeEvery):
		}
		err := s.write.update(context.Background(), func(t *transaction) error {
			_, err := t.exec(`UPDATE clock SET reserved = ?`, t.reserved)
			return err
		})
		if err == nil {
			s.healthy.Store(true)
			return
		}
	}
}
