// Package durable writes small files that must survive a power failure: whole or not at all, and for their owner alone.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrExists says that the name is taken.
var ErrExists = errors.New("file exists already")

// CreateNew writes a file that must not be there yet; else ErrExists. The name appears by a hard link to the finished file,
// which, unlike a rename, fails where the name is taken: two writers cannot overwrite each other.
func CreateNew(path string, data []byte) error {
	temp, err := writeTemp(path, data)
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	return link(temp, path)
}

// Replace writes a file in place of the one of that name, if any, in one step. Where that was another user's it stays
// theirs: root may do this for a service that could not read root's file.
func Replace(path string, data []byte) error {
	temp, err := writeTemp(path, data)
	if err != nil {
		return err
	}
	err = keepOwner(path, temp)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp)
		return err
	}
	return syncDir(path)
}

// Keep gives a file a second name, which must not be there yet; else ErrExists. What replaces the first name leaves the
// second one alone.
func Keep(path, second string) error { return link(path, second) }

// Read reads a whole file of at most limit bytes.
func Read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	return data, nil
}

func link(from, to string) error {
	if err := os.Link(from, to); errors.Is(err, fs.ErrExist) {
		return ErrExists
	} else if err != nil {
		return err
	}
	return syncDir(to)
}

// writeTemp writes a durable file of mode 0600 beside path, where a link or a rename can reach it, and gives its name.
func writeTemp(path string, data []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".cofre-*") // mode 0600
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return f.Name(), errors.Join(err, f.Close())
}

// keepOwner gives a new file the owner of the one that it is going to replace.
func keepOwner(old, replacement string) error {
	info, err := os.Lstat(old)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() {
		return nil
	}
	return os.Lchown(replacement, int(owner.Uid), int(owner.Gid))
}

// syncDir makes a new name in the directory of path durable.
func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
