// Package sqlite keeps metadata in one SQLite file: the embedded store, for one process. A second process that opens
// the same file is refused.
//
// The file is in WAL mode with synchronous=FULL: what a call has written is there after kill -9 and after a power cut.
// One connection writes, several read; a reader never waits for the writer.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the database/sql driver "sqlite"

	"cofre/metadata"
)

//go:embed migrations/*.sql
var migrations embed.FS

// ErrInUse says that another process, or another Store of this one, has the database file open.
var ErrInUse = errors.New("sqlite: database file is in use by another process")

// Config holds what has a sensible default.
type Config struct {
	// Readers is the number of connections that read; 4 when zero.
	Readers int
	// Clock is the local wall clock; time.Now when nil.
	Clock func() time.Time
}

// Store is a metadata.Store in a file.
type Store struct {
	path    string
	file    *os.File // holds the lock on the side file as long as it is open
	clock   *clock
	locks   *locks
	read    *reader
	write   *writer
	writing *sql.DB // the pool of write's connection

	healthy atomic.Bool
	probing atomic.Bool
	probes  sync.WaitGroup
	closed  chan struct{}
	closing sync.Once
}

var _ metadata.Store = (*Store)(nil)

// Open opens the file at path, making it (mode 0600) where there is none, and brings its tables up to date. The folder
// must exist. It gives ErrInUse where the file is open elsewhere.
func Open(ctx context.Context, path string, cfg Config) (*Store, error) {
	if cfg.Readers == 0 {
		cfg.Readers = 4
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	// A name as SQLite and another process would see it, whatever this process' folder is later.
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open metadata file: %w", err)
	}
	file, err := lockFile(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("open metadata file %s: %w", path, err)
	}
	s := &Store{path: path, file: file, locks: newLocks(), closed: make(chan struct{})}
	if err := s.open(ctx, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("open metadata file %s: %w", path, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, cfg Config) error {
	// Made here for its mode: SQLite would give it, and the files beside it, what the umask allows.
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if s.writing, err = connect(s.path, 1, nil); err != nil {
		return err
	}
	if err := migrate(ctx, s.writing); err != nil {
		return err
	}
	var reserved int64
	if err := s.writing.QueryRowContext(ctx, `SELECT reserved FROM clock`).Scan(&reserved); err != nil {
		return fmt.Errorf("read clock: %w", err)
	}
	s.clock = newClock(cfg.Clock, reserved)

	conn, err := s.writing.Conn(ctx)
	if err != nil {
		return err
	}
	s.write = &writer{
		clock: s.clock, turn: make(chan struct{}, 1), closed: s.closed,
		conn: conn, statements: make(map[string]*sql.Stmt), reserved: reserved,
	}
	db, err := connect(s.path, cfg.Readers, url.Values{"_pragma": {"query_only(1)"}})
	if err != nil {
		return err
	}
	s.read = &reader{db: db}
	s.healthy.Store(true)
	return nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// Close implements metadata.Store.
func (s *Store) Close() error {
	var errs []error
	s.closing.Do(func() {
		close(s.closed)
		s.probes.Wait()
		if s.read != nil {
			errs = append(errs, s.read.db.Close())
		}
		if s.write != nil {
			s.write.turn <- struct{}{} // waits for the transaction that runs, and lets no other begin
			errs = append(errs, s.write.conn.Close())
		}
		if s.writing != nil {
			errs = append(errs, s.writing.Close())
		}
		errs = append(errs, s.file.Close())
	})
	return errors.Join(errs...)
}

func (s *Store) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// Now implements metadata.Store. It is a reading of the store's own clock, which never gives the same time twice: a row
// whose Committed is before it had its time taken before.
func (s *Store) Now() time.Time { return fromNanos(s.clock.tick()) }

// Healthy implements metadata.Store.
func (s *Store) Healthy() bool { return s.healthy.Load() }
