package backup

import (
	"context"
	"errors"
	"io"
	"time"
)

// Place is where backups are kept: a directory, or a bucket and a prefix. Its keeper is trusted with nothing but keeping bytes.
type Place interface {
	// Create begins a file. Nobody sees it before Keep.
	Create(ctx context.Context, name string) (Draft, error)
	// List gives all files whose names end as those of backups do, in order of name. They may be anything.
	List(ctx context.Context) ([]File, error)
	// Open gives a file to read; ErrNoFile where there is none.
	Open(ctx context.Context, name string) (Source, error)
	// Remove takes a file away; no error where there is none.
	Remove(ctx context.Context, name string) error
	// Tidy removes what processes that were killed have left of files whose names begin with prefix, if it is older than before.
	Tidy(ctx context.Context, prefix string, before time.Time) error
	// String is the place in words for people, without secrets.
	String() string
}

// ErrNoFile says that a place has no file of that name.
var ErrNoFile = errors.New("no such file")

// Draft is a file that is being written.
type Draft interface {
	io.Writer
	// Keep makes it appear under its name, whole and durable.
	Keep() error
	// Discard takes back what was written. After Keep it does nothing.
	Discard()
}

// File is one file of a place.
type File struct {
	Name string
	Size int64
}
