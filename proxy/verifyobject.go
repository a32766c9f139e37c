package proxy

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"

	"cofre/access"
	"cofre/keys"
	"cofre/metadata"
	"cofre/seal"
)

// object looks at one version of an object: what the backend says of it, its KEK, attributes and footer or layout, its row, and
// where read says so every chunk.
func (v *verification) object(t target) look {
	read, counted := v.cfg.Read(), false
	return func(ctx context.Context) *Finding {
		f, err := v.h.probe(ctx, access.SiteUser, t)
		var plain *unsealedObject
		if errors.As(err, &plain) {
			return v.finding(t, metadata.Envelope{}, v.unsealed(ctx, t, plain))
		}
		if err != nil {
			return v.finding(t, metadata.Envelope{}, err)
		}
		if f.envelope.Flags.Has(seal.Multipart) {
			v.layouts.add(f.envelope.ObjectID)
		}
		locked := f.envelope.Flags.Has(seal.CustomerKey)
		if !counted {
			v.note(func(r *VerifyReport) {
				r.Bytes += int64(len(f.tail))
				if locked {
					r.CustomerKey++
				} else if read {
					r.Read++
				}
			})
			counted = true
		}
		return v.finding(t, f.raw, v.sealed(ctx, t, f, read && !locked))
	}
}

// sealed looks at a sealed object whose envelope and last bytes are at hand.
func (v *verification) sealed(ctx context.Context, t target, f *found, read bool) error {
	row, err := v.rowOf(ctx, t, f)
	if err != nil {
		return err
	}
	kek, state, err := v.h.ring.Open(ctx, t.Bucket, f.envelope.KEKID)
	if err != nil {
		return err
	}
	if state == keys.Closed && row == nil {
		return &integrityError{"closed_kek", errClosedKEK}
	}
	if err := v.h.ring.CheckObject(kek, t.Key); err != nil {
		return &integrityError{"deposit", err}
	}
	if f.envelope.Flags.Has(seal.CustomerKey) {
		return v.lockedObject(row, f)
	}
	truth, err := v.truth(ctx, t, f, kek)
	if err != nil {
		return err
	}
	if row != nil {
		if !f.envelope.Flags.Has(seal.HasAttributes) {
			truth.ContentType = row.ContentType // what stands in clear is the storage's to say, which names one where the client named none
		}
		if text := differences(row, truth); text != "" {
			return &fault{kind: FoundRowDiffers, detail: text}
		}
	}
	if read {
		if err := v.readWhole(ctx, t, truth); err != nil {
			return err
		}
	}
	if row == nil {
		return v.withoutRow(ctx, t)
	}
	return nil
}

// rowOf gives the row of exactly this object, nil where the store has none.
func (v *verification) rowOf(ctx context.Context, t target, f *found) (*metadata.Record, error) {
	row, err := v.h.store.ByEnvelope(ctx, t.Bucket, t.Key, f.raw)
	if errors.Is(err, metadata.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !row.Tombstoned.IsZero() {
		return nil, &fault{kind: FoundTombstoned, detail: sentences[FoundTombstoned] + "."}
	}
	if row.VersionID == t.VersionID {
		return &row, nil
	}
	// Of several versions that carry one envelope the store gives the one committed last.
	of, err := v.h.store.Latest(ctx, t.Bucket, t.Key, t.VersionID)
	if err == nil && of.Envelope == f.raw {
		return &of, nil
	}
	if err != nil && !errors.Is(err, metadata.ErrNotFound) {
		return nil, err
	}
	return nil, &fault{kind: FoundRowDiffers, detail: "The storage serves another version's object under this version: the row of this envelope names version " + row.VersionID + "."}
}

// truth gives the record that the object itself bears out.
func (v *verification) truth(ctx context.Context, t target, f *found, kek keys.KEK) (*metadata.Record, error) {
	dek, err := unseal(f.envelope, kek, t.Key, nil)
	if err != nil {
		return nil, err
	}
	attrs, err := openAttributes(dek, f.envelope, t.Key, f.header)
	if err != nil {
		return nil, err
	}
	rec := &metadata.Record{
		Bucket: t.Bucket, Key: t.Key, VersionID: t.VersionID, Envelope: f.raw,
		BackendETag: unquote(f.header.Get("Etag")), ContentType: attrs.Headers["content-type"],
	}
	if !f.envelope.Flags.Has(seal.Multipart) {
		return rec, healSingle(rec, f, dek)
	}
	if err := v.h.healMultipart(ctx, rec, f, dek); err != nil {
		return nil, err
	}
	last := rec.Parts[len(rec.Parts)-1]
	footer, err := seal.OpenFooter(dek, f.envelope.ObjectID, seal.Part{Number: last.Number, Size: last.Size, Salt: last.Salt}, f.tail)
	if err == nil && last.MD5 != nil && !bytes.Equal(footer.MD5, last.MD5) {
		err = errors.New("it is not the one of the layout")
	}
	if err != nil {
		return nil, &integrityError{"footer", err}
	}
	return rec, nil
}

// lockedObject looks at what can be seen of an object without its customer's key: whether its size is its row's.
func (v *verification) lockedObject(row *metadata.Record, f *found) error {
	if row == nil {
		return &fault{kind: FoundObjectAlone, info: true, detail: "The store has no row of it; it is made when the customer reads it."}
	}
	g, err := geometryOf(row)
	if err != nil {
		return &integrityError{"record", err}
	}
	if g.StoredSize() != f.size {
		return &integrityError{"size", errors.New("stored size is not the row's")}
	}
	return nil
}

// withoutRow says what it means that the store has no row of a good object.
func (v *verification) withoutRow(ctx context.Context, t target) error {
	other, err := v.h.store.Latest(ctx, t.Bucket, t.Key, t.VersionID)
	switch {
	case err == nil && other.VersionID != metadata.NullVersion:
		// A version, once written, is what it is.
		return &fault{kind: FoundRowDiffers, detail: "The row of this version is of another envelope than the object has."}
	case err == nil:
		return &fault{kind: FoundObjectAlone, info: true, detail: "The store knows another object of this key: this one was written past this site. A read or `cofre heal` makes its row."}
	case !errors.Is(err, metadata.ErrNotFound):
		return err
	}
	return &fault{kind: FoundObjectAlone, info: true, detail: "The store has no row of it. A read or `cofre heal` makes one."}
}

// unsealed looks at an object without envelope.
func (v *verification) unsealed(ctx context.Context, t target, plain *unsealedObject) error {
	known, err := v.h.store.Known(ctx, t.Bucket, t.Key, t.VersionID)
	if err != nil {
		return err
	}
	if known {
		return &fault{kind: FoundUnsealed, detail: "The object has no envelope, and the store knows a sealed one of this key and version."}
	}
	if !v.h.cfg.Bucket(t.Bucket).PassUnsealed {
		return &fault{kind: FoundUnsealed, detail: "The object has no envelope: it lies on the storage in clear."}
	}
	if err := v.h.refuseSealedBody(ctx, access.SiteUser, t, plain.record().ETag); err != nil {
		return err
	}
	return &fault{kind: FoundUnsealed, info: true, detail: "The object has no envelope; the bucket's policy passes such objects."}
}

// readWhole opens every chunk, header and footer of an object.
func (v *verification) readWhole(ctx context.Context, t target, rec *metadata.Record) error {
	o, err := v.h.ask(ctx, reading{as: access.SiteUser}, t, rec, ask{whole: true, n: rec.Size})
	if err != nil {
		return err
	}
	dec := v.h.decrypter(ctx, o)
	defer func() {
		dec.Close()
		o.response.Body.Close()
	}()
	_, err = dec.WriteTo(meter{ctx: ctx, v: v})
	return err
}

// meter takes plaintext that nobody wants, at the pace that was asked for.
type meter struct {
	ctx context.Context
	v   *verification
}

func (m meter) Write(p []byte) (int, error) {
	m.v.note(func(r *VerifyReport) { r.Bytes += int64(len(p)) })
	return len(p), m.v.cfg.Pace(m.ctx, len(p))
}

var _ io.Writer = meter{}

// nonce is a state that nothing has looked like before.
func (v *verification) nonce() string { return rand.Text() }
