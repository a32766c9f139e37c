package disk

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// blob is a file of bytes that never changes, as the index names it.
type blob struct {
	ID   string // 32 hex digits, random
	Size int64
	MD5  []byte // known only just after writing
}

// blobs is the directory of blobs. A blob's name is new and unknown to the index until it is complete, so writing it needs
// no temporary name.
type blobs struct {
	dir string

	// gc keeps removal apart from look-up: a reader holds it for reading from before it asks the index until it has
	// pinned what the index named; removal takes it for writing. What the index no longer names cannot be pinned anew.
	gc sync.RWMutex

	mu   sync.Mutex
	pins map[string]int  // readers of each blob
	dead map[string]bool // to be removed with the last reader
}

const hexDigits = "0123456789abcdef"

// openBlobs makes the directories, 256 of them so that none grows too large for the file system.
func openBlobs(dir string) (*blobs, error) {
	for _, a := range hexDigits {
		for _, b := range hexDigits {
			if err := os.MkdirAll(filepath.Join(dir, string([]rune{a, b})), 0o700); err != nil {
				return nil, fmt.Errorf("make blob directory: %w", err)
			}
		}
	}
	return &blobs{dir: dir, pins: map[string]int{}, dead: map[string]bool{}}, nil
}

func (b *blobs) path(id string) string { return filepath.Join(b.dir, id[:2], id) }

// write makes a blob of exactly size bytes of r, on disk for good when it returns. check, which may be nil, is called with
// everything read and may still refuse.
func (b *blobs) write(r io.Reader, size int64, check func(md5 []byte) error) (blob, error) {
	var random [16]byte
	rand.Read(random[:]) // never fails: the runtime ends the process instead
	made := blob{ID: hex.EncodeToString(random[:]), Size: size}
	f, err := os.OpenFile(b.path(made.ID), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return blob{}, fmt.Errorf("make blob: %w", err)
	}
	made.MD5, err = fill(f, r, size)
	if err == nil && check != nil {
		err = check(made.MD5)
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = syncDirectory(filepath.Dir(b.path(made.ID)))
	}
	if err != nil {
		b.unlink(made.ID)
		return blob{}, fmt.Errorf("write blob: %w", err)
	}
	return made, nil
}

// copyBuffers holds the buffers through which bodies pass.
var copyBuffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

func fill(f *os.File, r io.Reader, size int64) ([]byte, error) {
	buffer := copyBuffers.Get().(*[128 << 10]byte)
	defer copyBuffers.Put(buffer)
	sum := md5.New()
	// The struct hides ReadFrom of the file, which would bypass the buffer.
	n, err := io.CopyBuffer(struct{ io.Writer }{hashingWriter{f, sum}}, io.LimitReader(r, size), buffer[:])
	if err != nil {
		return nil, err
	}
	if n != size {
		return nil, io.ErrUnexpectedEOF
	}
	return sum.Sum(nil), nil
}

type hashingWriter struct {
	f   *os.File
	sum hash.Hash
}

func (w hashingWriter) Write(p []byte) (int, error) {
	w.sum.Write(p)
	return w.f.Write(p)
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lookUp calls find, which asks the index, and pins the blobs that it names: they stay until release.
func (b *blobs) lookUp(find func() ([]blob, error)) (pinned []blob, err error) {
	b.gc.RLock()
	defer b.gc.RUnlock()
	pinned, err = find()
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range pinned {
		b.pins[p.ID]++
	}
	return pinned, nil
}

// release gives up what lookUp pinned.
func (b *blobs) release(pinned []blob) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range pinned {
		b.pins[p.ID]--
		if b.pins[p.ID] > 0 {
			continue
		}
		delete(b.pins, p.ID)
		if b.dead[p.ID] {
			delete(b.dead, p.ID)
			b.unlink(p.ID)
		}
	}
}

// remove removes blobs that the index has ceased to name, each as soon as nobody reads it any more.
func (b *blobs) remove(ids []string) {
	if len(ids) == 0 {
		return
	}
	b.gc.Lock()
	defer b.gc.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		if b.pins[id] > 0 {
			b.dead[id] = true
		} else {
			b.unlink(id)
		}
	}
}

// unlink removes the file. A blob that cannot be removed now is only wasted space; the sweep at the next start tries again.
func (b *blobs) unlink(id string) { _ = os.Remove(b.path(id)) }

// sweep removes every file that named does not know. Nothing else may run meanwhile.
func (b *blobs) sweep(named func(id string) (bool, error)) error {
	shards, err := os.ReadDir(b.dir)
	if err != nil {
		return fmt.Errorf("read blob directory: %w", err)
	}
	for _, shard := range shards {
		files, err := os.ReadDir(filepath.Join(b.dir, shard.Name()))
		if err != nil {
			return fmt.Errorf("read blob directory: %w", err)
		}
		for _, file := range files {
			known, err := named(file.Name())
			if err != nil {
				return err
			}
			if !known {
				_ = os.Remove(filepath.Join(b.dir, shard.Name(), file.Name())) // as in unlink
			}
		}
	}
	return nil
}

// blobReader reads a stretch of several blobs, one file open at a time.
type blobReader struct {
	blobs *blobs
	parts []blob // pinned until Close
	next  int    // the next of parts to open
	off   int64  // where to begin in it
	left  int64  // bytes still to be read
	file  *os.File
}

// read gives n bytes of the concatenation of pinned, from off on. Closing it releases them; who has only used WriteTo, which
// leaves no file open, may release them without.
func (b *blobs) read(pinned []blob, off, n int64) *blobReader {
	r := &blobReader{blobs: b, parts: pinned, off: off, left: n}
	for r.next < len(pinned) && r.off >= pinned[r.next].Size {
		r.off -= pinned[r.next].Size
		r.next++
	}
	return r
}

// WriteTo implements io.WriterTo: a file goes to a socket without passing through this process.
func (r *blobReader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for r.left > 0 {
		if r.next >= len(r.parts) {
			return total, io.ErrUnexpectedEOF
		}
		n := min(r.left, r.parts[r.next].Size-r.off)
		copied, err := r.copyPart(w, n)
		total += copied
		r.left -= copied
		if err != nil {
			return total, err
		}
		r.next, r.off = r.next+1, 0
	}
	return total, nil
}

func (r *blobReader) copyPart(w io.Writer, n int64) (int64, error) {
	f, err := os.Open(r.blobs.path(r.parts[r.next].ID))
	if err != nil {
		return 0, fmt.Errorf("open blob: %w", err)
	}
	defer f.Close()
	if _, err := f.Seek(r.off, io.SeekStart); err != nil {
		return 0, fmt.Errorf("seek in blob: %w", err)
	}
	copied, err := io.Copy(w, io.LimitReader(f, n))
	if err == nil && copied < n {
		err = io.ErrUnexpectedEOF
	}
	return copied, err
}

// Read implements io.Reader.
func (r *blobReader) Read(p []byte) (int, error) {
	for r.left > 0 {
		if r.file == nil {
			if r.next >= len(r.parts) {
				return 0, io.ErrUnexpectedEOF
			}
			f, err := os.Open(r.blobs.path(r.parts[r.next].ID))
			if err != nil {
				return 0, fmt.Errorf("open blob: %w", err)
			}
			r.file = f
		}
		rest := min(r.left, r.parts[r.next].Size-r.off)
		n, err := r.file.ReadAt(p[:min(int64(len(p)), rest)], r.off)
		r.off += int64(n)
		r.left -= int64(n)
		if r.off == r.parts[r.next].Size {
			r.file.Close()
			r.file, r.next, r.off = nil, r.next+1, 0
			err = nil
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
		if err != nil {
			return 0, io.ErrUnexpectedEOF // the file is shorter than the index says
		}
	}
	return 0, io.EOF
}

// Close closes the file and releases the blobs.
func (r *blobReader) Close() error {
	if r.file != nil {
		r.file.Close()
	}
	r.blobs.release(r.parts)
	r.parts = nil
	return nil
}
