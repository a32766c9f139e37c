package proxy

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"cofre/access"
	"cofre/keys"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
)

// listObjects serves ListObjects, ListObjectsV2 and ListObjectVersions: one backend page, one query for all its keys.
func (h *Handler) listObjects(rq *request) error {
	req, cerr := s3api.ParseListRequest(rq.call)
	if cerr != nil {
		return cerr
	}
	listing, err := h.backendPage(rq, req)
	if err == nil && req.Versions && req.VersionIDMarker == "" {
		listing, err = h.behindKeyMarker(rq, req, listing)
	}
	if err != nil {
		return err
	}
	if err := h.showPlaintext(rq, listing); err != nil {
		return err
	}
	rq.w.Header().Set("Content-Type", "application/xml")
	rq.w.WriteHeader(http.StatusOK)
	return s3api.WriteListing(rq.w, req, rq.call.Bucket, listing)
}

// backendPage asks the backend for the page. Both ListObjects and ListObjectsV2 go out as version 1, whose marker is a
// plain key: so tokens are cofre's own and mean the same whatever the backend. Names are always asked for url-encoded,
// since raw keys can break XML.
func (h *Handler) backendPage(rq *request, req s3api.ListRequest) (*s3api.Listing, error) {
	var q s3api.Query
	q.Set("encoding-type", "url")
	q.Set("max-keys", strconv.Itoa(req.MaxKeys))
	set := func(name, v string) {
		if v != "" {
			q.Set(name, v)
		}
	}
	set("prefix", req.Prefix)
	set("delimiter", req.Delimiter)
	if req.Versions {
		q.Set("versions", "")
		set("key-marker", req.KeyMarker)
		set("version-id-marker", req.VersionIDMarker)
	} else {
		set("marker", listMarker(req))
	}
	resp, err := h.backend.Do(rq.Context(), rq.as(), &BackendRequest{Method: http.MethodGet, Bucket: rq.call.Bucket, Query: q})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	page, err := s3api.ScanListing(resp.Body, true)
	if err == nil {
		err = soundPage(req, page)
	}
	return page, err
}

// behindKeyMarker makes a page of versions begin behind all versions of the key marker, as S3's does: RGW shows them once
// more where no version is named with it (https://tracker.ceph.com/issues/68055). So the last of them is looked up and named.
func (h *Handler) behindKeyMarker(rq *request, req s3api.ListRequest, page *s3api.Listing) (*s3api.Listing, error) {
	behind := req
	for range maxMarkerPages {
		n := 0
		for n < len(page.Entries) && page.Entries[n].Key == req.KeyMarker {
			n++
		}
		if n == 0 && behind.MaxKeys == req.MaxKeys {
			return page, nil
		}
		if n > 0 {
			behind.VersionIDMarker = page.Entries[n-1].VersionID
		}
		behind.MaxKeys = req.MaxKeys
		if n > 0 && n == len(page.Entries) && page.Truncated {
			behind.MaxKeys = s3api.MaxListKeys // more of them, which nobody will see
		}
		var err error
		if page, err = h.backendPage(rq, behind); err != nil {
			return nil, err
		}
	}
	return nil, errChanged
}

// listMarker is the key behind which the page begins.
func listMarker(req s3api.ListRequest) string {
	switch {
	case !req.V2:
		return req.Marker
	case req.ContinuationToken != "":
		return req.ContinuationMarker
	default:
		return req.StartAfter
	}
}

// showPlaintext puts plaintext sizes and ETags in the place of the backend's. What the store does not know is healed, a
// bounded number at a time; what cannot be healed stays in the listing (a sync tool would delete what it does not see).
func (h *Handler) showPlaintext(rq *request, l *s3api.Listing) error {
	entries, at := make([]metadata.Entry, 0, len(l.Entries)), make([]int, 0, len(l.Entries))
	for i, e := range l.Entries {
		if !e.DeleteMarker {
			entries, at = append(entries, metadata.Entry{Key: e.Key, BackendETag: e.ETag}), append(at, i)
		}
	}
	records := make([]*metadata.Record, len(entries))
	if h.store.Healthy() && len(entries) > 0 {
		if found, err := h.store.Page(rq.Context(), rq.call.Bucket, entries); err == nil {
			records = found
		}
	}
	var missed []int
	for i, rec := range records {
		if e := &l.Entries[at[i]]; rec != nil && h.isOf(rq.Context(), rq.call.Bucket, e, rec) {
			show(e, rec)
		} else {
			missed = append(missed, at[i])
		}
	}
	return h.healEntries(rq, l, missed)
}

// isOf says whether a row found by its ETag is one of the listed version. Versions are exchanged by listing the ETag of one under the
// name of another; a copy of an object onto itself has the ETag of what it replaced, and a row of its own.
func (h *Handler) isOf(ctx context.Context, bucket string, e *s3api.ListEntry, rec *metadata.Record) bool {
	if e.VersionID == "" || e.VersionID == rec.VersionID {
		return true
	}
	own, err := h.store.Latest(ctx, bucket, e.Key, e.VersionID)
	return err == nil && own.BackendETag == e.ETag
}

// show puts a record's facts into a listing entry.
func show(e *s3api.ListEntry, rec *metadata.Record) {
	e.Size, e.ETag = rec.Size, rec.ETag
	e.ChecksumAlgorithm, e.ChecksumType = rec.Checksum.Algorithm.String(), string(rec.Checksum.Type)
}

// healEntries looks up the entries that the store does not know, at most Limits.HealParallel at a time.
func (h *Handler) healEntries(rq *request, l *s3api.Listing, missed []int) error {
	var (
		wg    sync.WaitGroup
		slots = make(chan struct{}, h.cfg.Limits.HealParallel)
		ctx   = rq.Context()
	)
	for _, i := range missed {
		e := &l.Entries[i]
		if h.unsealed.has(rq.call.Bucket, e.Key, e.ETag) {
			h.showUnsealed(rq.call.Bucket, e)
			continue
		}
		if h.closed.has(rq.call.Bucket, e.Key, e.ETag) {
			standIn(e)
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			wg.Wait()
			return ctx.Err()
		}
		wg.Add(1)
		go func() {
			defer func() { <-slots; wg.Done() }()
			h.healEntry(ctx, rq.call.Bucket, e)
		}()
	}
	wg.Wait()
	rq.event.Healed = len(missed)
	return nil
}

// healEntry makes one entry true, as far as the object can be read. The site's own identity reads it: who may list need
// not be allowed to read, and the size is no secret to him.
func (h *Handler) healEntry(ctx context.Context, bucket string, e *s3api.ListEntry) {
	backendETag := e.ETag
	t, rd := target{Bucket: bucket, Key: e.Key, VersionID: e.VersionID}, reading{as: access.SiteUser}
	rec, err := h.discover(ctx, rd, t, "list")
	if isUnsealed(err) {
		_, err = h.passed(ctx, rd, t, err)
		if err == nil || isUnsealed(err) {
			h.unsealed.add(bucket, e.Key, backendETag)
			h.showUnsealed(bucket, e)
			return
		}
	}
	switch {
	case err == nil:
		show(e, rec) // of another ETag than was listed: replaced since, and this is what stands there now
	case errors.Is(err, keys.ErrNotRecipient):
		// What others keep to themselves is no fault: at a site that deposits it is nearly all there is.
		h.closed.add(bucket, e.Key, backendETag)
		standIn(e)
	default:
		h.metrics.unhealed.Inc()
		h.note(t, err)
		standIn(e)
	}
}

// showUnsealed shows an object that lies in clear: as the storage has it where the bucket's policy passes such objects. Else nobody
// reads it, and its ETag must not be taken for that of an object which cofre answers for.
func (h *Handler) showUnsealed(bucket string, e *s3api.ListEntry) {
	if !h.cfg.Bucket(bucket).PassUnsealed {
		e.ETag = standInETag(e.ETag)
	}
}

// standIn shows an entry that cannot be read: the size by arithmetic, an ETag that no client takes for an MD5.
func standIn(e *s3api.ListEntry) {
	if !strings.Contains(e.ETag, "-") {
		if n, err := seal.PlainSize(e.Size); err == nil {
			e.Size = n
		}
	}
	e.ETag = standInETag(e.ETag)
}

func standInETag(backendETag string) string {
	sum, _, _ := strings.Cut(backendETag, "-")
	return sum + "-0"
}
