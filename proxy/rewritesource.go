package proxy

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"io"
	"net/http"
	"regexp"

	"cofre/access"
	"cofre/checksum"
	"cofre/keys"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
)

// rewriteSource is the object that is rewritten: what was read of it, and what must be the same afterwards.
type rewriteSource struct {
	target
	// record has size, ETag, checksums and parts that the new object must have; of an object in clear, as its backend tells them.
	record *metadata.Record
	sealed bool
	attrs  seal.Attributes
	header http.Header // of the backend's answer
	keep   http.Header // what the backend acts upon: tags, ACL, protection, storage class
	owner  string      // as the listing names it
	body   io.Reader   // plaintext; ends in io.EOF only where all of it has verified
	close  func()
}

// md5ETag is an ETag that speaks of the plaintext alone: the MD5 of one body, or of the MD5s of parts.
var md5ETag = regexp.MustCompile(`^[0-9a-f]{32}(-[0-9]+)?$`)

// source opens the current object of a key. With headOnly its body is not asked for.
func (w *rewriter) source(ctx context.Context, rq *request, e s3api.ListEntry, headOnly bool) (*rewriteSource, error) {
	t := target{Bucket: w.bucket, Key: e.Key}
	var (
		src *rewriteSource
		err error
	)
	if w.cfg.Unsealed {
		src, err = w.plainSource(ctx, rq, t, headOnly)
	} else {
		src, err = w.sealedSource(ctx, rq, t, headOnly)
	}
	if err != nil {
		return nil, err
	}
	src.owner = e.OwnerID
	if err := w.mayReplace(ctx, rq, src, w.versioning); err != nil {
		src.close()
		return nil, err
	}
	if src.keep, err = w.kept(ctx, rq, src, src.header); err != nil {
		src.close()
		return nil, err
	}
	if !headOnly && w.cfg.Throttle != nil {
		src.body = &throttledReader{ctx: ctx, src: src.body, throttle: w.cfg.Throttle}
	}
	return src, nil
}

func (w *rewriter) sealedSource(ctx context.Context, rq *request, t target, headOnly bool) (*rewriteSource, error) {
	o, err := w.h.open(ctx, rq.reading(), t, func(rec *metadata.Record) ask { return ask{head: headOnly, whole: !headOnly, n: rec.Size} })
	if isUnsealed(err) {
		return nil, errOvertaken
	}
	if err != nil {
		return nil, err
	}
	src := &rewriteSource{target: t, record: o.record, sealed: true, header: o.response.Header, close: func() { o.response.Body.Close() }}
	if chosen, err := w.chosen(ctx, o.envelope.KEKID); err != nil || !chosen {
		src.close()
		return nil, errors.Join(errOvertaken, err) // somebody else was quicker: it is looked at anew
	}
	if src.attrs, err = o.attributes(); err == nil {
		err = keepsETag(o.record)
	}
	if err != nil {
		src.close()
		return nil, err
	}
	if !headOnly {
		dec := w.h.decrypter(ctx, o)
		src.body, src.close = dec, func() {
			dec.Close()
			o.response.Body.Close()
		}
	}
	return src, nil
}

// keepsETag refuses objects whose ETag is made from the data key: a new key gives them another, and clients would take them for
// changed.
func keepsETag(rec *metadata.Record) error {
	opaque := !md5ETag.MatchString(rec.ETag) || len(rec.Parts) == 0 && len(rec.ETag) != 2*md5.Size
	for _, p := range rec.Parts {
		opaque = opaque || p.MD5 == nil
	}
	if opaque {
		return refuse("etag", "its ETag is made from its data key (etag: opaque) and would change")
	}
	return nil
}

// mayReplace refuses where the new object would take the place of a version that is not the one rewritten: with versioning
// suspended every write becomes the null version.
func (w *rewriter) mayReplace(ctx context.Context, rq *request, src *rewriteSource, versioning string) error {
	if versioning != "Suspended" || versionOf(src.header) == metadata.NullVersion {
		return nil
	}
	_, err := w.h.headOf(ctx, rq, target{Bucket: src.Bucket, Key: src.Key, VersionID: metadata.NullVersion})
	if hasStatus(err, http.StatusNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return refuse("suspended", "versioning is suspended, and writing it anew would delete its null version")
}

// unchanged says, under the key's lock, whether the key still holds the very object that was read, with the same tags, ACL and
// protection. Clients of this site change none of them without that lock while the bucket is guarded.
func (w *rewriter) unchanged(ctx context.Context, rq *request, src *rewriteSource) error {
	now, err := w.h.headOf(ctx, rq, src.target)
	if hasStatus(err, http.StatusNotFound) {
		return errOvertaken
	}
	if err != nil {
		return err
	}
	if !src.is(now) {
		return errOvertaken
	}
	keep, err := w.kept(ctx, rq, src, now)
	if err != nil {
		return err
	}
	if !sameHeader(keep, src.keep) {
		return errOvertaken
	}
	versioning, err := w.versioningNow(ctx) // last of all, since no lock stands between this and who suspends it
	if err != nil {
		return err
	}
	return w.mayReplace(ctx, rq, src, versioning)
}

// is says whether a HEAD of the key shows this object.
func (src *rewriteSource) is(now http.Header) bool {
	if versionOf(now) != versionOf(src.header) {
		return false
	}
	if src.sealed {
		return carries(now, src.record.Envelope)
	}
	_, _, err := envelopeOf(now)
	return errors.Is(err, errUnsealed) && now.Get("Etag") == src.header.Get("Etag") && now.Get("Last-Modified") == src.header.Get("Last-Modified")
}

// same says whether a sealed body is the one that the record speaks of.
func (src *rewriteSource) same(f seal.Footer) error {
	if got := etagOfPart(f.MD5, keys.DEK{}, keys.ObjectID{}, seal.Part{}); got != src.record.ETag {
		return refuse("etag", "its ETag is not the MD5 of its bytes, and would change")
	}
	if c := src.record.Checksum; c.Algorithm == f.Checksum && !bytes.Equal(c.Value, f.Sum) {
		return refuse("checksum", "its checksum is not that of its bytes")
	}
	return nil
}

// rewriteDigest computes what the footer of a rewritten body says: always the MD5, which its ETag is made of.
func rewriteDigest(src io.Reader, size int64, alg checksum.Algorithm) *digestingReader {
	return newDigestingReader(src, size, alg, true)
}

// throttledReader gives bytes no faster than throttle lets it.
type throttledReader struct {
	ctx      context.Context
	src      io.Reader
	throttle func(ctx context.Context, n int) error
}

func (r *throttledReader) Read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	if n > 0 {
		if terr := r.throttle(r.ctx, n); terr != nil {
			return n, terr
		}
	}
	return n, err
}

// plainSource opens an object that lies in clear. One that was sealed before is refused: the storage may have swapped it.
func (w *rewriter) plainSource(ctx context.Context, rq *request, t target, headOnly bool) (*rewriteSource, error) {
	_, err := w.h.probe(ctx, access.SiteUser, t)
	var plain *unsealedObject
	if err == nil {
		return nil, errOvertaken // sealed by a client in the meantime
	}
	if !errors.As(err, &plain) {
		return nil, err
	}
	if err := w.h.mayPass(ctx, t, versionOf(plain.header)); errors.Is(err, errIntegrity) {
		return nil, refuse("was_sealed", "it lies in clear where this site has a record of a sealed object: the storage may have swapped it")
	} else if err != nil {
		return nil, err
	}
	src := &rewriteSource{
		target: t, record: plain.record(), attrs: clearAttributes(plain.header), header: plain.header, close: func() {},
	}
	if !md5ETag.MatchString(src.record.ETag) {
		return nil, refuse("etag", "its ETag is not made of MD5s, and would change")
	}
	if len(src.record.ETag) > 2*md5.Size {
		if src.record.Parts, err = w.plainParts(ctx, rq, t, plain, headOnly); err != nil {
			return nil, err
		}
	}
	if headOnly {
		return src, nil
	}
	body, err := w.h.openUnsealed(ctx, rq.reading(), t, plain, 0, plain.size)
	if err != nil {
		return nil, err
	}
	src.body, src.close = body, func() { body.Close() }
	return src, nil
}
