package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"cofre/access"
	"cofre/internal/pause"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
)

// uploadRows ends uploads of the store that the storage does not have any more: a lifecycle rule or somebody beside cofre has
// aborted them, or a process died between an Abort, or a Complete, and its row. What the storage has is its client's, however old.
func (s *sweeper) uploadRows(ctx context.Context, bucket string, _ bool) error {
	if s.cfg.UploadAge == 0 {
		return nil
	}
	before := s.h.store.Now().Add(-s.cfg.UploadAge)
	key, id := "", ""
	for {
		begun := time.Now()
		page, err := s.h.store.Uploads(ctx, bucket, "", key, id, sweepBatch)
		if err != nil {
			return err
		}
		for _, up := range page {
			key, id = up.Key, up.ID
			if !up.Created.Before(before) {
				continue
			}
			there, err := s.h.hasUpload(ctx, bucket, up.Key, up.ID)
			if err == nil && !there {
				err = s.endUpload(ctx, up)
			}
			if err != nil {
				return err
			}
		}
		if err := s.rest(ctx, begun); err != nil || len(page) < sweepBatch {
			return err
		}
	}
}

// endUpload ends an upload that the storage does not have, under the lock that its Complete or Abort takes.
func (s *sweeper) endUpload(ctx context.Context, up metadata.Upload) error {
	lock, err := s.h.lockUpload(ctx, up.ID)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	f := Swept{Kind: SweptUploadRow, Bucket: up.Bucket, Key: up.Key, Name: up.ID}
	up, err = s.h.store.Upload(ctx, up.Bucket, up.Key, up.ID)
	switch {
	case errors.Is(err, metadata.ErrNotFound), err == nil && up.State == metadata.UploadCompleted:
		return nil
	case err != nil:
		return err
	}
	there, err := s.h.hasUpload(ctx, up.Bucket, up.Key, up.ID)
	if err != nil || there {
		return err
	}
	if up.State == metadata.UploadCompleting {
		switch joined, err := s.recordIfJoined(ctx, up); {
		case err != nil:
			f.Kept = "its parts were joined, and it cannot be recorded: " + detail(err)
			s.tell(f)
			return nil
		case joined:
			f.Kind = SweptJoined
			s.tell(f)
			return nil
		case s.h.mayAbort(up) != nil:
			f.Kept = "its Complete may still be running"
			s.tell(f)
			return nil
		}
	}
	if !s.cfg.List {
		if err := s.h.store.DeleteUpload(ctx, up.ID); err != nil {
			return err
		}
	}
	s.tell(f)
	return nil
}

// recordIfJoined brings an upload to its end whose object is there: its row is written, it gets its tags and its protection, and a client
// who completes it once more within a day is answered as it should be.
func (s *sweeper) recordIfJoined(ctx context.Context, up metadata.Upload) (joined bool, err error) {
	rq := s.h.siteRequest(ctx, "Sweep")
	open := &openUpload{Upload: up}
	header, joined, err := s.h.joined(ctx, rq, open)
	if err != nil || !joined || s.cfg.List {
		return joined, err
	}
	if open.envelope, err = seal.ParseEnvelopeBytes(up.Envelope[:]); err != nil {
		return true, err
	}
	if open.dek, err = s.h.uploadKey(ctx, rq, up, open.envelope); err != nil {
		return true, err
	}
	var stored intent
	if err := json.Unmarshal(up.Intent, &stored); err != nil {
		return true, err
	}
	chosen, sum, err := s.h.intended(ctx, open, stored)
	if err != nil {
		return true, err
	}
	_, err = s.h.recordJoined(ctx, rq, open, chosen, sum, stored.List, header, unquote(header.Get("Etag")))
	return true, err
}

// backendUploads aborts uploads of the storage that the store does not know: a process died between beginning one and its row, or the
// store was lost. No client can go on with such a one. Other sites' uploads have no row here either, nor have those of clients that
// pass cofre by: see foreign.
func (s *sweeper) backendUploads(ctx context.Context, bucket string, busy bool) error {
	if s.cfg.UploadAge == 0 || busy {
		return nil
	}
	var q s3api.Query
	q.Set("uploads", "")
	for {
		begun := time.Now()
		page, err := s.h.uploadPage(ctx, bucket, q)
		if err != nil {
			return err
		}
		var alone []s3api.BackendUpload
		for _, up := range page.Uploads {
			unknown, err := s.unknownUpload(ctx, bucket, up)
			if err != nil {
				return err
			}
			if unknown {
				alone = append(alone, up)
			}
		}
		if err := s.abortAll(ctx, bucket, alone); err != nil {
			return err
		}
		if err := s.rest(ctx, begun); err != nil || !page.Truncated {
			return err
		}
		if page.NextKeyMarker == q.Get("key-marker") && page.NextUploadIDMarker == q.Get("upload-id-marker") {
			return errChanged // a backend that does not move on would keep this going for ever
		}
		q.Set("key-marker", page.NextKeyMarker)
		q.Set("upload-id-marker", page.NextUploadIDMarker)
	}
}

// unknownUpload says whether an upload is old enough, and has no row. One whose age the storage does not tell has none that counts.
func (s *sweeper) unknownUpload(ctx context.Context, bucket string, up s3api.BackendUpload) (bool, error) {
	if at, err := time.Parse(time.RFC3339, up.Initiated); err != nil || !at.Before(s.h.cfg.Clock().Add(-s.cfg.UploadAge)) {
		return false, nil //nolint:nilerr // a storage that tells no time tells no age
	}
	_, err := s.h.store.Upload(ctx, bucket, up.Key, up.UploadID)
	if errors.Is(err, metadata.ErrNotFound) {
		return true, nil
	}
	return false, err
}

// abortAll aborts uploads that are this site's own and still have no row after a while.
func (s *sweeper) abortAll(ctx context.Context, bucket string, list []s3api.BackendUpload) error {
	if len(list) == 0 {
		return nil
	}
	if err := pause.For(ctx, s.cfg.Settle); err != nil {
		return err
	}
	for _, up := range list {
		f := Swept{Kind: SweptUpload, Bucket: bucket, Key: up.Key, Name: up.UploadID}
		unknown, err := s.unknownUpload(ctx, bucket, up)
		if err != nil {
			return err
		}
		owner, there, err := s.h.uploadOwner(ctx, bucket, up.Key, up.UploadID)
		if err != nil {
			return err
		}
		if !unknown || !there {
			continue
		}
		if f.Kept = s.foreign(ctx, bucket, owner); f.Kept != "" && !s.cfg.ForeignUploads {
			s.tell(f)
			continue
		}
		f.Kept = ""
		if !s.cfg.List {
			err := s.h.abort(ctx, s.h.siteRequest(ctx, "Sweep"), target{Bucket: bucket, Key: up.Key}, up.UploadID)
			if err != nil && !hasStatus(err, http.StatusNotFound) {
				return err
			}
		}
		s.tell(f)
	}
	return nil
}

// foreign says why an upload without row may be somebody else's; empty where it is this site's own. A storage that says who has begun it
// is believed: each site has users of its own there. Ceph RGW 16 does not say, and then it is taken for this site's where nobody else has a
// reason to write: no other site by the trust list, and no client beside cofre, whose objects would be refused.
func (s *sweeper) foreign(ctx context.Context, bucket, owner string) string {
	switch {
	case owner != "" && s.ours(ctx, owner):
		return ""
	case owner != "":
		return "another user of the storage has begun it"
	case s.cfg.OtherWriters(bucket):
		return "other sites write to this bucket, and the storage does not say who has begun it"
	case s.h.cfg.Bucket(bucket).PassUnsealed:
		return "the bucket may have plaintext, and the storage does not say who has begun it"
	}
	return ""
}

// ours says whether a user of the storage is one of those that this site acts as.
func (s *sweeper) ours(ctx context.Context, id string) bool {
	if s.own == nil {
		s.own = map[string]bool{}
		for _, user := range s.cfg.Users {
			if o := s.h.userOwner(ctx, user); o.id != "" {
				s.own[o.id] = true
			}
		}
	}
	return s.own[id]
}

// uploadOwner asks the storage who has begun an upload, "" where it does not say: RGW 16 names whoever asks when it lists uploads, and
// nobody when it lists the parts of one.
func (h *Handler) uploadOwner(ctx context.Context, bucket, key, id string) (owner string, there bool, err error) {
	resp, err := h.uploadParts(ctx, bucket, key, id)
	if hasStatus(err, http.StatusNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	defer resp.Body.Close()
	parts, err := s3api.ScanListParts(resp.Body)
	return parts.OwnerID, err == nil, err
}

// hasUpload asks the backend whether it knows an open upload.
func (h *Handler) hasUpload(ctx context.Context, bucket, key, id string) (bool, error) {
	_, there, err := h.uploadOwner(ctx, bucket, key, id)
	return there, err
}

func (h *Handler) uploadParts(ctx context.Context, bucket, key, id string) (*BackendResponse, error) {
	var q s3api.Query
	q.Set("uploadId", id)
	q.Set("max-parts", "1")
	return h.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodGet, Bucket: bucket, Key: key, Query: q})
}

// uploadPage is one page of the uploads that the backend knows.
func (h *Handler) uploadPage(ctx context.Context, bucket string, q s3api.Query) (*s3api.UploadPage, error) {
	resp, err := h.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodGet, Bucket: bucket, Query: q})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return s3api.ScanUploads(resp.Body)
}
