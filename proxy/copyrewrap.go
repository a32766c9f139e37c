package proxy

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"cofre/checksum"
	"cofre/keys"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
)

// mayRewrap says whether the copy may keep object id and DEK, so that the backend copies the body (docs/FORMAT.md section 4).
func (h *Handler) mayRewrap(ctx context.Context, rq *request, c *copying, o *object) (bool, error) {
	if c.source.Bucket != c.dest.Bucket || o.kekState == keys.Closed || o.envelope.Flags.Has(seal.CustomerKey) || !c.write.Empty() {
		return false, nil
	}
	if slices.ContainsFunc(s3api.ObjectLockHeaders, func(name string) bool { return rq.call.Header.Get(name) != "" }) {
		return false, nil // RGW 16 takes the protection of a PUT, and loses that of a copy
	}
	if rq.encryption.customerKey != nil || rq.encryption.kms || strings.HasPrefix(o.response.Header.Get(headerSSE), "aws:kms") {
		return false, nil // RGW 16 cannot copy into or out of its own encryption
	}
	if h.ring.CheckCopy(o.kek) != nil {
		return false, nil //nolint:nilerr // a deposit site's KEK, under which nobody else writes: the copy is sealed anew
	}
	if c.algorithm != checksum.None && o.record.Checksum.Algorithm != c.algorithm {
		return false, nil
	}
	if o.record.Checksum.Type == checksum.Composite && h.checkSize(o.record.Size) == nil {
		return false, nil // S3 gives every copy a checksum of the whole object, which takes reading it
	}
	if versionOf(o.response.Header) == metadata.NullVersion {
		facts, err := h.versioning(ctx, rq.as(), c.dest.Bucket)
		if err != nil || facts.Versioned {
			return false, err // RGW 16 loses the body of such a copy when the source goes
		}
	}
	return h.copyProbe.holds(ctx, h)
}

// copyRewrapped has the backend copy the body under a new envelope. Both spellings of the pin are sent: RGW 16 honours
// only the second, AWS only the first; without one, a racing writer's body would get this envelope.
func (h *Handler) copyRewrapped(ctx context.Context, rq *request, c *copying, o *object, attrs seal.Attributes) (*answer, error) {
	flags := o.envelope.Flags & seal.Multipart
	head, err := h.sealUnder(o.kek, o.dek, o.envelope.ObjectID, c.dest, o.envelope.PartSalt, flags, nil, attrs, copyHeaders(rq.call.Header))
	if err != nil {
		return nil, err
	}
	setCopySource(head.header, c.source, o.record.BackendETag)
	commit := newCommit(ctx, h, rq, newObject{target: c.dest})
	defer commit.end()
	if err := commit.begin(); err != nil {
		return nil, err
	}
	resp, err := h.backend.Do(commit.ctx, rq.as(), &BackendRequest{Method: http.MethodPut, Bucket: c.dest.Bucket, Key: c.dest.Key, Header: head.header})
	if err == nil {
		err = completeRefusal(resp)
	}
	// RGW answers OperationAborted where a copy meets a writer of the source in the middle; nothing was copied then.
	if hasStatus(err, http.StatusPreconditionFailed) || hasCode(err, s3api.ErrOperationAborted.Code) {
		h.records.forget(c.source.Bucket, c.source.Key, c.source.VersionID)
		return nil, errChanged
	}
	header, headErr := h.headOf(commit.ctx, rq, c.dest)
	mine := headErr == nil && carries(header, head.raw)
	if err != nil && !mine {
		return nil, err
	}
	rec := copyRecord(o, c.dest, head, attrs, rq.began)
	if !mine && headErr == nil && h.stoodBefore(commit.ctx, c.dest, header, rq.began) {
		return nil, errChanged // the backend says that it has copied, and shows what was there before
	}
	if !mine {
		// Another writer was quicker: what HEAD shows is his. Neither row nor tombstone is written (the row is made when
		// somebody reads this version), and his object gets neither these tags nor its version named in this answer.
		h.records.forget(c.dest.Bucket, c.dest.Key, "")
		return copyAnswer(rq, o.response.Header, nil, rec), nil
	}
	// The version comes from here, since RGW's answer to a copy names none.
	rec.VersionID, rec.BackendETag = versionOf(header), unquote(header.Get("Etag"))
	h.committed(commit.ctx, rq, rec)
	if err := h.putTags(commit.ctx, rq, c, head, header); err != nil {
		return nil, err
	}
	return copyAnswer(rq, o.response.Header, header, rec), nil
}

// stoodBefore says whether what a backend shows was surely there before a request began. An honest one shows that behind a write of
// its own only where the write's version was deleted at once.
func (h *Handler) stoodBefore(ctx context.Context, t target, header http.Header, began time.Time) bool {
	raw, _, err := envelopeOf(header)
	if err != nil {
		return false
	}
	rec, err := h.store.ByEnvelope(ctx, t.Bucket, t.Key, raw)
	return err == nil && !rec.Committed.IsZero() && rec.Committed.Before(began)
}

func carries(header http.Header, raw metadata.Envelope) bool {
	got, _, err := envelopeOf(header)
	return err == nil && got == raw
}

// copyHeaders is what of the request the backend acts upon in a copy. Tags are set by a call of their own: RGW 16 stores
// an unreadable tag set when a copy carries them.
func copyHeaders(from http.Header) http.Header {
	header := passHeaders(from, passedHeaders)
	header.Del("X-Amz-Tagging")
	return header
}

// setCopySource names and pins the source, always in cofre's own spelling: one that a client may send aborts RGW 16.
func setCopySource(header http.Header, source target, backendETag string) {
	name := "/" + source.Bucket + "/" + s3api.EscapePath(source.Key)
	if source.VersionID != "" {
		name += "?versionId=" + s3api.EscapePath(source.VersionID)
	}
	header.Set("X-Amz-Copy-Source", name)
	header.Set("X-Amz-Metadata-Directive", "REPLACE")
	header.Set("X-Amz-Tagging-Directive", "REPLACE") // tags are set by a call of their own, or are to be none
	header.Set("X-Amz-Copy-Source-If-Match", quote(backendETag))
	header.Set("X-Amz-Copy-If-Match", quote(backendETag))
}

// copyRecord is the source's record under the copy's name and envelope: the body is the same.
func copyRecord(o *object, dest target, head *sealedHead, attrs seal.Attributes, began time.Time) *metadata.Record {
	rec := *o.record
	rec.Bucket, rec.Key, rec.VersionID = dest.Bucket, dest.Key, metadata.NullVersion
	rec.Envelope, rec.ContentType, rec.Began = head.raw, attrs.Headers["content-type"], began
	rec.Committed, rec.Tombstoned = time.Time{}, time.Time{}
	return &rec
}
