package proxy

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"cofre/access"
	"cofre/internal/pause"
	"cofre/keys"
	"cofre/metadata"
	"cofre/seal"
)

// discover finds out from the backend which object stands under a name, and gives its record: the store's where it has
// one of that envelope, else one made from the object itself. where names the caller for the metric.
func (h *Handler) discover(ctx context.Context, rd reading, t target, where string) (*metadata.Record, error) {
	rec, _, err := h.discoverWith(ctx, rd, t, where, h.store.ByEnvelope)
	return rec, err
}

// lookup finds a record by its envelope: in the store, or through the connection that holds a lock.
type lookup func(ctx context.Context, bucket, key string, env metadata.Envelope) (metadata.Record, error)

// discoverWith is discover with another way to look records up, holders of a lock reading through its connection; it gives
// the headers of the backend's answer too.
func (h *Handler) discoverWith(ctx context.Context, rd reading, t target, where string, lookup lookup) (*metadata.Record, http.Header, error) {
	for range openAttempts {
		found, err := h.probe(ctx, rd.as, t)
		if errors.Is(err, errHollow) && pause.For(ctx, hollowPause) == nil {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		rec, err := h.recordOf(ctx, rd, t, found, where, lookup)
		if err == nil {
			rec, err = h.ofVersion(ctx, t, rec)
		}
		if err != nil {
			return nil, nil, err
		}
		if rec.Tombstoned.IsZero() {
			h.records.put(t, rec)
			return rec, found.header, nil
		}
		// A tombstone may be an answer that was overtaken by a writer. Only an answer given after the tombstone was read counts.
		again, err := h.probe(ctx, rd.as, t)
		if err != nil {
			return nil, nil, err
		}
		if again.raw == found.raw {
			return nil, nil, &integrityError{"tombstoned", errors.New("the storage answers an object that was replaced or deleted")}
		}
	}
	return nil, nil, errChanged
}

// found is what the backend's metadata and last bytes say of an object.
type found struct {
	raw      metadata.Envelope
	envelope seal.Envelope
	header   http.Header
	size     int64  // stored bytes
	tail     []byte // the last 80 of them
}

// errHollow says that the backend has answered 200 and no object: no byte, no metadata, no ETag. RGW 16 does so while a writer replaces
// the null version in a bucket with suspended versioning.
var errHollow = fmt.Errorf("%w: the answer is no object", errChanged)

// codeUnknown is RGW's 500 for what S3 has no word for. A read gets it where RGW 16 finds an object without its metadata (ENODATA),
// which is the hollow object once more.
const codeUnknown = "UnknownError"

// hollowPause is how long a reader waits for such a writer.
const hollowPause = 20 * time.Millisecond

// probe asks for the last 80 bytes: one answer with the metadata and, for a single-part object, the footer.
func (h *Handler) probe(ctx context.Context, as access.BackendUser, t target) (*found, error) {
	resp, err := h.backend.Do(ctx, as, &BackendRequest{
		Method: http.MethodGet, Bucket: t.Bucket, Key: t.Key, Query: t.query(),
		Header: http.Header{"Range": {"bytes=-" + strconv.Itoa(seal.FooterSize)}},
	})
	hadNoByte := hasStatus(err, http.StatusRequestedRangeNotSatisfiable)
	if hadNoByte {
		// An empty, so surely unsealed, object has no last byte.
		resp, err = h.backend.Do(ctx, as, &BackendRequest{Method: http.MethodHead, Bucket: t.Bucket, Key: t.Key, Query: t.query()})
	}
	if hasCode(err, codeUnknown) {
		return nil, errChanged // the backend client has asked more than once, and has waited in between
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	size, err := totalSize(resp)
	if err != nil {
		return nil, err
	}
	if hadNoByte && size > 0 {
		return nil, errHollow // written between the two answers: its last bytes are yet to be asked for
	}
	f := &found{header: resp.Header, size: size}
	f.raw, f.envelope, err = envelopeOf(resp.Header)
	if errors.Is(err, errUnsealed) && resp.Header.Get("Etag") == "" {
		return nil, errHollow
	}
	if errors.Is(err, errUnsealed) {
		return nil, &unsealedObject{header: resp.Header, size: size}
	}
	if err != nil {
		return nil, err
	}
	f.tail, err = io.ReadAll(io.LimitReader(resp.Body, seal.FooterSize+1))
	if err != nil {
		return nil, errors.Join(ErrBackendUnavailable, err)
	}
	return f, nil
}

// recordOf gives the store's record of what was found, or heals: makes the record from the object and stores it.
func (h *Handler) recordOf(ctx context.Context, rd reading, t target, f *found, where string, lookup lookup) (*metadata.Record, error) {
	known := false // whether the store has said that it has no record
	if h.store.Healthy() {
		rec, err := lookup(ctx, t.Bucket, t.Key, f.raw)
		if err == nil {
			return &rec, matchFound(&rec, f)
		}
		known = errors.Is(err, metadata.ErrNotFound)
		if !known && !errors.Is(err, metadata.ErrUnavailable) {
			return nil, err
		}
	}
	rec, err := h.heal(ctx, rd, t, f)
	if errors.Is(err, errClosedKEK) && !known {
		return nil, metadata.ErrUnavailable // the record may well be there
	}
	if err != nil {
		return nil, err
	}
	// A record of an object sealed with a customer key is learnt only by whoever has that key; it holds nothing secret.
	if err := h.addRecord(ctx, rec, metadata.Healed); err == nil {
		h.metrics.healed.WithLabelValues(where).Inc()
	}
	return rec, nil
}

// ofVersion gives the row of the version that was asked for. Where several versions carry one envelope (a restored copy), the store
// gives the row of one of them; where none of them is that version, the storage has shown another one in its place.
func (h *Handler) ofVersion(ctx context.Context, t target, rec *metadata.Record) (*metadata.Record, error) {
	if t.VersionID == "" || rec.VersionID == t.VersionID {
		return rec, nil
	}
	of, err := h.store.Latest(ctx, t.Bucket, t.Key, t.VersionID)
	switch {
	case err == nil && of.Envelope == rec.Envelope:
		of.BackendETag = rec.BackendETag
		return &of, nil
	case err != nil && !errors.Is(err, metadata.ErrNotFound):
		return nil, err
	}
	return nil, &integrityError{"version", errors.New("object belongs to another version")}
}

// matchFound holds a record against what the backend has. The size must be the record's. The backend's ETag need not be: it
// names the body only as long as the object is not moved to another store, or was computed for a store with another rule, so
// what the backend says now is the pin.
func matchFound(rec *metadata.Record, f *found) error {
	rec.BackendETag = unquote(f.header.Get("Etag"))
	if !rec.Tombstoned.IsZero() {
		return nil
	}
	g, err := geometryOf(rec)
	if err != nil {
		return &integrityError{"record", err}
	}
	if g.StoredSize() != f.size {
		return &integrityError{"size", errors.New("stored size is not the record's")}
	}
	return nil
}

// errClosedKEK says that an object under a closed KEK has no record: whoever left with the KEK could have made it since
// (docs/FORMAT.md section 7 rule 4).
var errClosedKEK = errors.New("object under a closed KEK has no record")

// closedKEKError is errClosedKEK with the KEK's id, by which an operator can accept its objects.
type closedKEKError struct{ id keys.KEKID }

func (e *closedKEKError) Error() string        { return errClosedKEK.Error() + ": KEK " + e.id.String() }
func (e *closedKEKError) Is(target error) bool { return target == errClosedKEK }

// ClosedKEK gives the closed KEK because of which an object without a record was refused.
func ClosedKEK(err error) (keys.KEKID, bool) {
	var closed *closedKEKError
	if errors.As(err, &closed) {
		return closed.id, true
	}
	return keys.KEKID{}, false
}

// heal makes the record of an object from nothing but the object, its layout and its KEK.
func (h *Handler) heal(ctx context.Context, rd reading, t target, f *found) (*metadata.Record, error) {
	kek, state, err := h.ring.Open(ctx, t.Bucket, f.envelope.KEKID)
	if err != nil {
		return nil, err
	}
	if state == keys.Closed {
		return nil, &integrityError{"closed_kek", &closedKEKError{f.envelope.KEKID}}
	}
	if err := h.ring.CheckObject(kek, t.Key); err != nil {
		return nil, &integrityError{"deposit", err}
	}
	return h.recordFrom(ctx, t, f, kek, rd.customerKey)
}

// recordFrom makes the record that an object itself bears out.
func (h *Handler) recordFrom(ctx context.Context, t target, f *found, kek keys.KEK, customerKey []byte) (*metadata.Record, error) {
	dek, err := unseal(f.envelope, kek, t.Key, customerKey)
	if err != nil {
		return nil, err
	}
	attrs, err := openAttributes(dek, f.envelope, t.Key, f.header)
	if err != nil {
		return nil, err
	}
	version := versionOf(f.header)
	if t.VersionID != "" && t.VersionID != version {
		return nil, &integrityError{"version", errors.New("the storage calls this version by another's name")}
	}
	rec := &metadata.Record{
		Bucket: t.Bucket, Key: t.Key, VersionID: version, Envelope: f.raw,
		BackendETag: unquote(f.header.Get("Etag")), ContentType: attrs.Headers["content-type"], Began: h.store.Now(),
	}
	if f.envelope.Flags.Has(seal.Multipart) {
		err = h.healMultipart(ctx, rec, f, dek)
	} else {
		err = healSingle(rec, f, dek)
	}
	return rec, err
}

// healSingle reads size, MD5 and checksum of a single-part object from its footer.
func healSingle(rec *metadata.Record, f *found, dek keys.DEK) error {
	size, err := seal.PlainSize(f.size)
	if err != nil {
		return &integrityError{"size", err}
	}
	part := seal.Part{Size: size, Salt: f.envelope.PartSalt}
	footer, err := seal.OpenFooter(dek, f.envelope.ObjectID, part, f.tail)
	if err != nil {
		return &integrityError{"footer", err}
	}
	rec.Size = size
	rec.ETag = etagOfPart(footer.MD5, dek, f.envelope.ObjectID, part)
	rec.Checksum = fullChecksum(footer.Checksum, footer.Sum)
	return nil
}

// healMultipart reads sizes, salts and MD5s of the parts from the layout.
func (h *Handler) healMultipart(ctx context.Context, rec *metadata.Record, f *found, dek keys.DEK) error {
	doc, err := h.system().Get(ctx, seal.LayoutName(rec.Bucket, f.envelope.KEKID, f.envelope.ObjectID))
	if errors.Is(err, keys.ErrSystemNotFound) {
		return errLayoutUnavailable
	}
	if err != nil {
		return err
	}
	layout, err := seal.OpenLayout(dek, f.envelope.ObjectID, doc)
	if err != nil {
		return &integrityError{"layout", err}
	}
	rec.Parts = partsOfLayout(layout)
	for _, p := range rec.Parts {
		rec.Size += p.Size
	}
	g, err := geometryOf(rec)
	if err != nil {
		return &integrityError{"layout", err}
	}
	if g.StoredSize() != f.size {
		return &integrityError{"size", errors.New("stored size is not the layout's")}
	}
	rec.ETag = etagOfParts(rec.Parts, dek, f.envelope.ObjectID)
	if c := layout.Checksum; c != nil {
		rec.Checksum = metadata.Checksum{Algorithm: c.Algorithm, Type: c.Type, Value: c.Value}
	}
	return nil
}

// addRecord is where every row comes into being, whether by commit, heal or sweep.
func (h *Handler) addRecord(ctx context.Context, rec *metadata.Record, origin metadata.Origin) error {
	if !h.store.Healthy() {
		return metadata.ErrUnavailable
	}
	err := h.store.Add(ctx, *rec, origin)
	if origin == metadata.Committed {
		h.records.forget(rec.Bucket, rec.Key, rec.VersionID)
	}
	return err
}

// committed records a write that the backend has accepted. The object is durable and readable already, so a store that
// fails here costs the next reader a heal and nothing else: it is counted, not answered.
func (h *Handler) committed(ctx context.Context, rq *request, rec *metadata.Record) {
	if err := h.addRecord(context.WithoutCancel(ctx), rec, metadata.Committed); err != nil {
		h.metrics.storeLost.WithLabelValues(rq.event.Operation).Inc()
		h.log.Warn("row not written, the next read heals it", zap.String("request_id", rq.event.ID), zap.Error(err))
	}
}

// etagOfPart is the client's ETag of one sealed part: the MD5 of its plaintext, else the opaque form.
func etagOfPart(sum []byte, dek keys.DEK, object keys.ObjectID, part seal.Part) string {
	if sum != nil {
		return hex.EncodeToString(sum)
	}
	return seal.OpaqueETag(dek, object, part)
}

// etagOfParts is S3's ETag of a multipart object: the MD5 of the parts' MD5s, and their number. Parts without MD5 stand
// in with the 16 bytes of their opaque ETag.
func etagOfParts(parts []metadata.Part, dek keys.DEK, object keys.ObjectID) string {
	sum := md5.New()
	for _, p := range parts {
		if p.MD5 != nil {
			sum.Write(p.MD5)
			continue
		}
		opaque := seal.OpaqueETag(dek, object, seal.Part{Number: p.Number, Size: p.Size, Salt: p.Salt})
		raw, _ := hex.DecodeString(opaque[:md5.Size*2])
		sum.Write(raw)
	}
	return hex.EncodeToString(sum.Sum(nil)) + "-" + strconv.Itoa(len(parts))
}

// etagMatches compares two ETags as S3 does: quoted, bare and weak forms are equal.
func etagMatches(a, b string) bool { return unquote(a) == unquote(b) }
