package backup

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"

	"cofre/keys"
	"cofre/keys/agefile"
	"cofre/metadata"
)

// Source is a file that can be read from any place, again and again. Whoever keeps it may give other bytes each time.
type Source interface {
	Size() int64
	// Open reads n bytes from off on.
	Open(ctx context.Context, off, n int64) (io.ReadCloser, error)
}

// maxLine bounds one row in bytes. The largest are a trust list of 16 MiB and what a job has found, in base64.
const maxLine = 64 << 20

// ReadManifest reads the end of a backup and verifies it: the size is right, and a believed site signed it. The rest of the file may be
// anything still. The errors are ErrNotBackup, ErrUntrusted, or the source's.
func ReadManifest(ctx context.Context, src Source, believed Signer) (Manifest, error) {
	size := src.Size()
	n := min(int64(maxManifest+tailSize), size)
	if size < int64(len(magic)+tailSize) {
		return Manifest{}, fmt.Errorf("read backup: %w: %d bytes", ErrNotBackup, size)
	}
	tail, err := readSection(ctx, src, size-n, n)
	if err != nil {
		return Manifest{}, fmt.Errorf("read end of backup: %w", err)
	}
	rest, ok := bytes.CutSuffix(tail, []byte(endMagic))
	if !ok {
		return Manifest{}, fmt.Errorf("read backup: %w", ErrNotBackup)
	}
	rest, length := rest[:len(rest)-lengthSize], rest[len(rest)-lengthSize:]
	doc := int64(binary.BigEndian.Uint32(length))
	if doc > int64(len(rest)) {
		return Manifest{}, fmt.Errorf("read backup: %w", ErrNotBackup)
	}
	m, err := parseManifest(rest[int64(len(rest))-doc:], believed)
	if err != nil {
		return Manifest{}, err
	}
	if m.Size+doc+int64(tailSize) != size {
		return Manifest{}, fmt.Errorf("read backup: %w: %d bytes, signed with %d", ErrAltered, size-doc-int64(tailSize), m.Size)
	}
	return m, nil
}

func readSection(ctx context.Context, src Source, off, n int64) ([]byte, error) {
	r, err := src.Open(ctx, off, n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	return data, nil
}

// checkDigest reads the whole file and nothing into it: is it what was signed?
func checkDigest(ctx context.Context, src Source, m Manifest) error {
	r, err := src.Open(ctx, 0, m.Size)
	if err != nil {
		return fmt.Errorf("read backup: %w", err)
	}
	defer r.Close()
	digest := sha256.New()
	if n, err := io.Copy(digest, r); err != nil {
		return fmt.Errorf("read backup: %w", err)
	} else if n != m.Size {
		return fmt.Errorf("read backup: %w", io.ErrUnexpectedEOF)
	}
	return m.matches(digest)
}

func (m Manifest) matches(digest hash.Hash) error {
	if subtle.ConstantTimeCompare(digest.Sum(nil), m.SHA256[:]) != 1 {
		return fmt.Errorf("read backup: %w: another SHA-256", ErrAltered)
	}
	return nil
}

// Check reads a backup from end to end and says how many rows of each kind it has: signature, digest, every row, and the counts. Nothing
// of the file is decrypted before its signature and digest are right.
func Check(ctx context.Context, src Source, believed Signer, id *keys.Identity) (Manifest, map[metadata.RowKind]int64, error) {
	m, err := ReadManifest(ctx, src, believed)
	if err != nil {
		return Manifest{}, nil, err
	}
	if err := checkDigest(ctx, src, m); err != nil {
		return Manifest{}, nil, err
	}
	rows, err := OpenRows(ctx, src, m, id)
	if err != nil {
		return Manifest{}, nil, err
	}
	defer rows.Close()
	for {
		_, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return m, rows.counts, nil
		}
		if err != nil {
			return Manifest{}, nil, err
		}
	}
}

// RowReader reads the rows of a backup, in the order in which metadata.Store.Dump gave them.
type RowReader struct {
	manifest Manifest
	file     io.Closer
	raw      io.Reader // the file's bytes, counted into digest
	digest   hash.Hash
	sealed   io.Reader
	packed   *gzip.Reader
	lines    *bufio.Reader
	counts   map[metadata.RowKind]int64
	rows     int64
	err      error
}

// OpenRows begins to read the rows of a backup whose manifest and digest were right: see Check.
func OpenRows(ctx context.Context, src Source, m Manifest, id *keys.Identity) (*RowReader, error) {
	file, err := src.Open(ctx, 0, m.Size)
	if err != nil {
		return nil, fmt.Errorf("read backup: %w", err)
	}
	r := &RowReader{manifest: m, file: file, digest: sha256.New(), counts: map[metadata.RowKind]int64{}}
	r.raw = io.TeeReader(io.LimitReader(file, m.Size), r.digest)
	if err := r.begin(id); err != nil {
		file.Close()
		return nil, fmt.Errorf("read backup: %w", err)
	}
	return r, nil
}

func (r *RowReader) begin(id *keys.Identity) (err error) {
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r.raw, head); err != nil {
		return err
	}
	if string(head) != magic {
		return ErrNotBackup
	}
	if r.sealed, err = agefile.Decrypt(r.raw, id); err != nil {
		return err
	}
	buffered := bufio.NewReader(r.sealed)
	r.sealed = buffered
	if r.packed, err = gzip.NewReader(buffered); err != nil {
		return err
	}
	r.packed.Multistream(false) // what follows the stream is not part of it
	r.lines = bufio.NewReaderSize(r.packed, 64<<10)
	first, err := r.line()
	if err != nil {
		return err
	}
	b := first.Begin
	if b == nil || !bytes.Equal(b.ID, r.manifest.ID[:]) || b.Site != r.manifest.Site || !b.Created.Equal(r.manifest.Created) {
		return fmt.Errorf("%w: its beginning is of another", ErrAltered)
	}
	return nil
}

// Next gives the next row. io.EOF says more than that there are no more: all rows were there, the file ended where it should, and what was
// read is what the site signed. Whoever keeps the rows before that must be able to give them back.
func (r *RowReader) Next() (metadata.Row, error) {
	if r.err != nil {
		return metadata.Row{}, r.err
	}
	row, err := r.next()
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read backup: %w", err)
	}
	r.err = err
	return row, err
}

func (r *RowReader) next() (metadata.Row, error) {
	l, err := r.line()
	if err != nil {
		return metadata.Row{}, err
	}
	if l.End != nil {
		if err := r.end(l.End); err != nil {
			return metadata.Row{}, err
		}
		return metadata.Row{}, io.EOF
	}
	row, err := l.row()
	if err != nil {
		return metadata.Row{}, fmt.Errorf("row %d: %w", r.rows+1, err)
	}
	r.rows++
	r.counts[row.Kind()]++
	return row, nil
}

// end makes sure that the last line is true, and that nothing follows it.
func (r *RowReader) end(e *end) error {
	if r.rows != r.manifest.Rows || !maps.Equal(e.Rows, r.counts) {
		return fmt.Errorf("%w: %d rows, signed with %d", ErrAltered, r.rows, r.manifest.Rows)
	}
	for _, stream := range []io.Reader{r.lines, r.sealed, r.raw} {
		n, err := io.Copy(io.Discard, stream)
		if err != nil {
			return err
		}
		if n != 0 {
			return fmt.Errorf("%w: something follows its end", ErrAltered)
		}
	}
	return r.manifest.matches(r.digest)
}

func (r *RowReader) line() (line, error) {
	var text []byte
	for {
		piece, err := r.lines.ReadSlice('\n')
		if len(text)+len(piece) > maxLine {
			return line{}, fmt.Errorf("row of more than %d bytes", maxLine)
		}
		if err == nil && text == nil {
			text = piece // good until the next read
			break
		}
		text = append(text, piece...)
		if err == nil {
			break
		}
		if errors.Is(err, io.EOF) {
			return line{}, io.ErrUnexpectedEOF
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line{}, err
		}
	}
	l, err := decodeLine(text)
	if err != nil {
		return line{}, fmt.Errorf("row %d: %w", r.rows+1, err)
	}
	return l, nil
}

// Counts says how many rows of each kind were read so far.
func (r *RowReader) Counts() map[metadata.RowKind]int64 { return maps.Clone(r.counts) }

// Close ends the reading of the file.
func (r *RowReader) Close() error { return r.file.Close() }
