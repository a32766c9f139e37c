package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cofre/internal/durable"
)

// Dir keeps backups in a directory.
type Dir struct{ path string }

// NewDir makes a place of a directory that is there.
func NewDir(path string) Dir { return Dir{path} }

// String implements Place.
func (d Dir) String() string { return d.path }

// Create implements Place.
func (d Dir) Create(_ context.Context, name string) (Draft, error) {
	return durable.Create(filepath.Join(d.path, name))
}

// List implements Place.
func (d Dir) List(context.Context) ([]File, error) {
	entries, err := os.ReadDir(d.path) // in order of name
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	var files []File
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), Suffix) || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err != nil {
			return nil, fmt.Errorf("list backups: %w", err)
		}
		files = append(files, File{Name: e.Name(), Size: info.Size()})
	}
	return files, nil
}

// Open implements Place.
func (d Dir) Open(_ context.Context, name string) (Source, error) {
	info, err := os.Stat(filepath.Join(d.path, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open backup %s: %w", name, ErrNoFile)
	}
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a file")
	}
	if err != nil {
		return nil, fmt.Errorf("open backup %s: %w", name, err)
	}
	return fileSource{filepath.Join(d.path, name), info.Size()}, nil
}

// Remove implements Place.
func (d Dir) Remove(_ context.Context, name string) error {
	if err := os.Remove(filepath.Join(d.path, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove backup %s: %w", name, err)
	}
	return nil
}

// Tidy implements Place.
func (d Dir) Tidy(_ context.Context, prefix string, before time.Time) error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("tidy %s: %w", d.path, err)
	}
	var failed error
	for _, e := range entries {
		base, left := durable.Abandoned(e.Name())
		if !left || !strings.HasPrefix(base, prefix) || !strings.HasSuffix(base, Suffix) {
			continue
		}
		if info, err := e.Info(); err == nil && info.ModTime().Before(before) {
			failed = errors.Join(failed, os.Remove(filepath.Join(d.path, e.Name())))
		}
	}
	return failed
}

type fileSource struct {
	path string
	size int64
}

func (f fileSource) Size() int64 { return f.size }

func (f fileSource) Open(_ context.Context, off, n int64) (io.ReadCloser, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	return section{io.NewSectionReader(file, off, n), file}, nil
}

type section struct {
	io.Reader
	io.Closer
}
