package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cofre/access"
	"cofre/keys"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
)

// What cofre itself keeps in an object's user metadata on the backend (docs/FORMAT.md sections 4 and 5).
const (
	headerEnvelope   = "X-Amz-Meta-Cofre-Envelope"
	headerAttributes = "X-Amz-Meta-Cofre-Attributes"
)

// target names one object, or one version of it.
type target struct {
	Bucket, Key string
	VersionID   string // empty for the latest
}

// query carries the version to the backend.
func (t target) query() s3api.Query {
	var q s3api.Query
	if t.VersionID != "" {
		q.Set("versionId", t.VersionID)
	}
	return q
}

// reading is on whose behalf an object is read.
type reading struct {
	as access.BackendUser
	// customerKey is the client's own key (SSE-C), nil for none.
	customerKey []byte
}

// ask is what to ask the backend for, once a record says how the object is laid out.
type ask struct {
	head bool
	// off and n are the range of plaintext bytes; whole reads everything.
	whole  bool
	off, n int64
}

// object is a sealed object whose envelope the backend named in the very answer whose body is at hand.
type object struct {
	target
	reading
	ask      ask
	envelope seal.Envelope
	record   *metadata.Record
	kek      keys.KEK
	kekState keys.KEKState
	dek      keys.DEK
	geometry seal.Geometry
	response *BackendResponse
}

// unsealedObject is found instead of an object: the backend's answer to a HEAD of something without an envelope.
type unsealedObject struct {
	header http.Header
	size   int64
}

func (u *unsealedObject) Error() string        { return errUnsealed.Error() }
func (u *unsealedObject) Is(target error) bool { return target == errUnsealed }

// openAttempts bounds how often an object that changes under a reader is looked at anew.
const openAttempts = 5

// open asks the backend for an object in the shape that plan chooses from its record, and makes sure that the answer
// belongs to that record: the envelope on the answer is the pin. The caller closes object.response.Body.
func (h *Handler) open(ctx context.Context, rd reading, t target, plan func(*metadata.Record) ask) (*object, error) {
	rec := h.planned(ctx, t)
	for range openAttempts {
		if rec == nil {
			var err error
			if rec, err = h.discover(ctx, rd, t, "read"); err != nil {
				return nil, err
			}
		}
		a := plan(rec)
		o, err := h.ask(ctx, rd, t, rec, a)
		if err == nil {
			return o, nil
		}
		h.records.forget(t.Bucket, t.Key, t.VersionID)
		// 412: the pin did not hold. 416: the object is shorter than the record says. Another envelope: replaced. UnknownError: see there;
		// the answer to a HEAD has no word, so it is asked for.
		switch {
		case errors.Is(err, errChanged), hasStatus(err, http.StatusPreconditionFailed), hasStatus(err, http.StatusRequestedRangeNotSatisfiable):
		case hasCode(err, codeUnknown), a.head && hasStatus(err, http.StatusInternalServerError):
		default:
			return nil, err
		}
		rec = nil
	}
	return nil, errChanged
}

// planned gives the record that is probably the object's: from memory, else from the store. None is no error: whatever is
// not known is read back from the backend.
func (h *Handler) planned(ctx context.Context, t target) *metadata.Record {
	if rec := h.records.get(t); rec != nil {
		return rec
	}
	if !h.store.Healthy() {
		return nil
	}
	rec, err := h.store.Latest(ctx, t.Bucket, t.Key, t.VersionID)
	if err != nil {
		return nil
	}
	h.records.put(t, &rec)
	return &rec
}

// ask sends the request for an object with this record; errChanged when the answer carries another envelope.
func (h *Handler) ask(ctx context.Context, rd reading, t target, rec *metadata.Record, a ask) (*object, error) {
	geometry, err := geometryOf(rec)
	if err != nil {
		return nil, &integrityError{"record", err}
	}
	resp, err := h.backend.Do(ctx, rd.as, readRequest(t, rec, geometry, a))
	if err != nil {
		return nil, err
	}
	o, err := h.confirm(ctx, rd, t, rec, resp)
	if err == nil {
		err = checkStoredSize(resp, geometry)
	}
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	o.ask, o.geometry = a, geometry
	return o, nil
}

// checkStoredSize finds an object that was cut short, or to which something was added, before the first byte goes out. A
// backend that does not tell the size leaves it to the decrypter.
func checkStoredSize(resp *BackendResponse, g seal.Geometry) error {
	if size, err := totalSize(resp); err == nil && size != g.StoredSize() {
		return &integrityError{"size", errors.New("stored size is not the record's")}
	}
	return nil
}

// readRequest builds the backend request: exactly the stored bytes that hold the plaintext range, pinned to the body that
// the record speaks of.
func readRequest(t target, rec *metadata.Record, g seal.Geometry, a ask) *BackendRequest {
	rq := &BackendRequest{Method: http.MethodGet, Bucket: t.Bucket, Key: t.Key, Query: t.query(), Header: http.Header{}}
	rq.Header.Set("If-Match", quote(rec.BackendETag))
	if a.head {
		rq.Method = http.MethodHead
		return rq
	}
	if !a.whole {
		span := g.Span(a.off, a.n)
		rq.Header.Set("Range", byteRange(span.StoredOff, span.StoredLen))
	}
	return rq
}

func byteRange(off, n int64) string {
	return "bytes=" + strconv.FormatInt(off, 10) + "-" + strconv.FormatInt(off+n-1, 10)
}

// contentRange is what an answer says of the range that it has.
func contentRange(sel selection, size int64) string {
	return "bytes " + strconv.FormatInt(sel.off, 10) + "-" + strconv.FormatInt(sel.off+sel.n-1, 10) + "/" + strconv.FormatInt(size, 10)
}

// confirm opens the envelope that the backend's answer carries, after comparing it with the record's.
func (h *Handler) confirm(ctx context.Context, rd reading, t target, rec *metadata.Record, resp *BackendResponse) (*object, error) {
	raw, env, err := envelopeOf(resp.Header)
	if errors.Is(err, errUnsealed) {
		return nil, errChanged
	}
	if err != nil {
		return nil, err
	}
	if raw != rec.Envelope {
		return nil, errChanged
	}
	// What was asked for counts, not what the answer calls itself: the storage could answer with another version as it is.
	if t.VersionID != "" && rec.VersionID != t.VersionID {
		return nil, &integrityError{"version", fmt.Errorf("object belongs to another version")}
	}
	kek, state, err := h.ring.Open(ctx, t.Bucket, env.KEKID)
	if err != nil {
		return nil, err
	}
	if err := h.ring.CheckObject(kek, t.Key); err != nil {
		return nil, &integrityError{"deposit", err}
	}
	dek, err := unseal(env, kek, t.Key, rd.customerKey)
	if err != nil {
		return nil, err
	}
	h.nameVersion(t, rec, resp.Header)
	return &object{target: t, reading: rd, envelope: env, record: rec, kek: kek, kekState: state, dek: dek, response: resp}, nil
}

// nameVersion has an answer call an object's version as its record does: a client that deletes by the name in an answer must not
// be led to another version.
func (h *Handler) nameVersion(t target, rec *metadata.Record, header http.Header) {
	if versionOf(header) == rec.VersionID {
		return
	}
	h.note(t, &integrityError{"version", errors.New("the storage calls this version by another's name")})
	header.Del("X-Amz-Version-Id")
	if rec.VersionID != metadata.NullVersion {
		header.Set("X-Amz-Version-Id", rec.VersionID)
	}
}

// errNeedsCustomerKey is the answer to a read without the key that the client had sealed the object with.
var errNeedsCustomerKey = s3api.ErrInvalidRequest.With("The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.")

// unseal opens an envelope; what does not open was not sealed by a holder of this KEK for this key.
func unseal(env seal.Envelope, kek keys.KEK, key string, customerKey []byte) (keys.DEK, error) {
	switch locked := env.Flags.Has(seal.CustomerKey); {
	case locked && customerKey == nil:
		return keys.DEK{}, errNeedsCustomerKey
	case !locked && customerKey != nil:
		return keys.DEK{}, s3api.ErrInvalidRequest.With("The encryption parameters are not applicable to this object.")
	}
	dek, err := env.Unseal(kek, key, customerKey)
	if err != nil {
		if customerKey != nil {
			return keys.DEK{}, s3api.ErrAccessDenied
		}
		return keys.DEK{}, &integrityError{"envelope", err}
	}
	return dek, nil
}

// envelopeOf reads the envelope from the headers of a backend answer; errUnsealed when there is none.
func envelopeOf(header http.Header) (metadata.Envelope, seal.Envelope, error) {
	values := header[headerEnvelope]
	if len(values) == 0 {
		return metadata.Envelope{}, seal.Envelope{}, errUnsealed
	}
	if len(values) > 1 {
		return metadata.Envelope{}, seal.Envelope{}, &integrityError{"envelope", errors.New("more than one envelope")}
	}
	env, err := seal.ParseEnvelope(values[0])
	if err != nil {
		return metadata.Envelope{}, seal.Envelope{}, &integrityError{"envelope", err}
	}
	return metadata.Envelope(env.Bytes()), env, nil
}

// geometryOf gives the arithmetic of a record's object.
func geometryOf(rec *metadata.Record) (seal.Geometry, error) {
	if len(rec.Parts) == 0 {
		env, err := seal.ParseEnvelopeBytes(rec.Envelope[:])
		if err != nil {
			return seal.Geometry{}, err
		}
		if env.Flags&seal.Multipart != 0 {
			return seal.Geometry{}, errors.New("multipart record without parts")
		}
		return seal.NewGeometry([]seal.Part{{Size: rec.Size, Salt: env.PartSalt}})
	}
	parts := make([]seal.Part, len(rec.Parts))
	for i, p := range rec.Parts {
		parts[i] = seal.Part{Number: p.Number, Size: p.Size, Salt: p.Salt}
	}
	return seal.NewGeometry(parts)
}

// versionOf gives the version id on a backend answer as records name it.
func versionOf(header http.Header) string {
	if v := header.Get("X-Amz-Version-Id"); v != "" {
		return v
	}
	return metadata.NullVersion
}

func lastModifiedOf(header http.Header) time.Time {
	t, err := http.ParseTime(header.Get("Last-Modified"))
	if err != nil {
		return time.Time{}
	}
	return t
}

func quote(etag string) string   { return `"` + etag + `"` }
func unquote(etag string) string { return strings.Trim(strings.TrimPrefix(etag, "W/"), `"`) }

// attributes gives what the client said of the object: sealed, or in clear where the envelope's flag says so.
func (o *object) attributes() (seal.Attributes, error) {
	return openAttributes(o.dek, o.envelope, o.Key, o.response.Header)
}

// openAttributes reads what an object's headers say of it, sealed or not.
func openAttributes(dek keys.DEK, env seal.Envelope, key string, header http.Header) (seal.Attributes, error) {
	if env.Flags&seal.HasAttributes == 0 {
		return clearAttributes(header), nil
	}
	values := header[headerAttributes]
	if len(values) != 1 {
		return seal.Attributes{}, &integrityError{"attributes", errors.New("attributes missing though the envelope says they are there")}
	}
	a, err := seal.OpenAttributes(dek, env, key, values[0])
	if err != nil {
		return seal.Attributes{}, &integrityError{"attributes", err}
	}
	return a, nil
}

// totalSize reads the size of the whole stored object from an answer to a range or a HEAD request.
func totalSize(resp *BackendResponse) (int64, error) {
	if resp.Status == http.StatusPartialContent {
		_, total, ok := strings.Cut(resp.Header.Get("Content-Range"), "/")
		n, err := strconv.ParseInt(total, 10, 64)
		if !ok || err != nil || n < 0 {
			return 0, &integrityError{"range", errors.New("backend gave no total size")}
		}
		return n, nil
	}
	if resp.Length < 0 {
		return 0, &integrityError{"range", errors.New("backend gave no length")}
	}
	return resp.Length, nil
}
