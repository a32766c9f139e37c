package backup

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"cofre/keys"
	"cofre/keys/agefile"
	"cofre/metadata"
)

// Dumper gives all rows of a metadata store at one moment: metadata.Store.
type Dumper interface {
	Dump(ctx context.Context, visit func(metadata.Row) error) error
}

// Author is who makes a backup, and for whom.
type Author struct {
	Site *keys.Identity
	// Recipients can open it: keys.TrustList.Confidants.
	Recipients []keys.Card
	Now        func() time.Time
}

// Write writes a backup of the store to w, as it is at one moment, and gives the manifest that it was signed with. What w has is a backup only once Write has returned without an error;
// memory does not grow with the number of rows. progress is told how many rows were written, now and then; nil for nobody.
func Write(ctx context.Context, w io.Writer, store Dumper, a Author, m Manifest, progress func(rows int64)) (Manifest, error) {
	digest := sha256.New()
	out := &counted{to: io.MultiWriter(w, digest)}
	if _, err := io.WriteString(out, magic); err != nil {
		return Manifest{}, fmt.Errorf("write backup: %w", err)
	}
	rows, err := writeSealed(ctx, out, store, a, m, progress)
	if err != nil {
		return Manifest{}, fmt.Errorf("write backup: %w", err)
	}
	m.Rows, m.Size = rows, out.n
	digest.Sum(m.SHA256[:0])
	tail, err := m.tail(a.Site)
	if err != nil {
		return Manifest{}, fmt.Errorf("write backup: %w", err)
	}
	if _, err := w.Write(tail); err != nil {
		return Manifest{}, fmt.Errorf("write backup: %w", err)
	}
	return m, nil
}

type counted struct {
	to io.Writer
	n  int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

// toldEvery spaces the calls of progress, in rows.
const toldEvery = 1000

func writeSealed(ctx context.Context, w io.Writer, store Dumper, a Author, m Manifest, progress func(int64)) (rows int64, err error) {
	sealed, err := agefile.Encrypt(w, a.Recipients...)
	if err != nil {
		return 0, err
	}
	// Envelopes and digests do not shrink, base64 and names do: the fastest level gets nearly all of it.
	packed, err := gzip.NewWriterLevel(sealed, gzip.BestSpeed)
	if err != nil {
		return 0, err
	}
	buffered := bufio.NewWriterSize(packed, 64<<10)
	lines := json.NewEncoder(buffered)
	lines.SetEscapeHTML(false)
	counts := map[metadata.RowKind]int64{}
	if err := lines.Encode(line{Begin: &begin{m.ID[:], m.Site, m.Created}}); err != nil {
		return 0, err
	}
	err = store.Dump(ctx, func(r metadata.Row) error {
		if rows%toldEvery == 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if progress != nil {
				progress(rows)
			}
		}
		rows++
		counts[r.Kind()]++
		return lines.Encode(encodeRow(r))
	})
	if err != nil {
		return 0, err
	}
	if err := lines.Encode(line{End: &end{counts}}); err != nil {
		return 0, err
	}
	if err := buffered.Flush(); err != nil {
		return 0, err
	}
	if err := packed.Close(); err != nil {
		return 0, err
	}
	return rows, sealed.Close()
}
