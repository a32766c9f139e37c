// Package disk is the storage behind "cofre dev": an S3 backend in a directory, for one process on one machine, with no
// service to install.
//
// Objects are files of sealed bytes under blobs/, and index.db (SQLite) says which object, version or part they belong to.
// The index is the only place where anything begins or ceases to exist: a blob is written and synced first, then one
// transaction names it. A process killed at any moment therefore leaves the old object or the new one, and at worst a
// blob that nothing names, which the next Open removes. Bodies are never held in memory.
//
// The HTTP side is gofakes3, over this storage, with a handler before it that answers what gofakes3 would get wrong; see
// handler.go for the list.
package disk

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrInUse says that another process has the directory open.
var ErrInUse = errors.New("storage directory is in use by another process")

// Backend is an open storage directory.
type Backend struct {
	store   *store
	handler http.Handler
	lock    *os.File
}

// Open opens the storage directory, making it if it is not there, and removes what an interrupted process left over.
// Only one process can have it open.
func Open(dir string) (*Backend, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make storage directory: %w", err)
	}
	lock, err := lockDirectory(dir)
	if err != nil {
		return nil, err
	}
	s, err := openStore(dir)
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &Backend{store: s, handler: newHandler(s), lock: lock}, nil
}

// Handler serves S3, path-style, to whoever reaches it: it checks no signatures. It must be served where only cofre gets.
func (b *Backend) Handler() http.Handler { return b.handler }

// Close closes the directory. Requests must have ended.
func (b *Backend) Close() error {
	err := b.store.close()
	return errors.Join(err, b.lock.Close())
}

// lockDirectory takes a lock that the kernel gives up when the process ends, however it ends.
func lockDirectory(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrInUse
		}
		return nil, fmt.Errorf("lock storage directory: %w", err)
	}
	return f, nil
}
