package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a file that is being written under another name than the one that it is going to have.
type File struct {
	*os.File
	path string
}

// partial ends the name of what is being written.
const partial = ".partial"

// Create begins a file of any length. Its name must not be taken when it is kept; else Keep gives ErrExists. What a process that was
// killed has left of one of the same name is replaced.
func Create(path string) (*File, error) {
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+partial)
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("begin file: %w", err)
	}
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin file: %w", err)
	}
	return &File{File: f, path: path}, nil
}

// Keep gives the file its name once all of it is durable.
func (f *File) Keep() error {
	err := f.Sync()
	if err = errors.Join(err, f.Close()); err == nil {
		err = link(f.Name(), f.path)
	}
	return errors.Join(err, os.Remove(f.Name()))
}

// Discard takes the file away. After Keep it does nothing.
func (f *File) Discard() {
	f.Close()
	os.Remove(f.Name())
}

// Abandoned says which file something that lies in its directory was going to be: a process that was killed has left it.
func Abandoned(name string) (base string, ok bool) {
	if len(name) <= len(partial)+1 || name[0] != '.' || filepath.Ext(name) != partial {
		return "", false
	}
	return name[1 : len(name)-len(partial)], true
}
