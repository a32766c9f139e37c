package proxy

import (
	"context"
	"net/http"

	"cofre/access"
	"cofre/metadata"
	"cofre/s3api"
)

// uploadPage is how many uploads are read from the store at a time.
const uploadPage = 1000

// DropGoneUploads removes the uploads of a bucket that the store holds open and the backend does not know: after a restore those that
// ended since the backup. One that is completing stays: whether its object is there is for its Complete to find out. It says how many
// there were of both.
func (h *Handler) DropGoneUploads(ctx context.Context, bucket string) (kept, dropped int, err error) {
	key, id := "", ""
	for {
		page, err := h.store.Uploads(ctx, bucket, "", key, id, uploadPage)
		if err != nil {
			return kept, dropped, err
		}
		for _, up := range page {
			key, id = up.Key, up.ID
			gone := false
			if up.State == metadata.UploadOpen {
				if gone, err = h.uploadIsGone(ctx, up); err != nil {
					return kept, dropped, err
				}
			}
			if !gone {
				kept++
				continue
			}
			if err := h.store.DeleteUpload(ctx, up.ID); err != nil {
				return kept, dropped, err
			}
			dropped++
		}
		if len(page) < uploadPage {
			return kept, dropped, nil
		}
	}
}

// uploadIsGone says whether the backend clearly answers that there is no such upload.
func (h *Handler) uploadIsGone(ctx context.Context, up metadata.Upload) (bool, error) {
	var q s3api.Query
	q.Set("uploadId", up.ID)
	q.Set("max-parts", "1")
	resp, err := h.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodGet, Bucket: up.Bucket, Key: up.Key, Query: q})
	if hasCode(err, s3api.ErrNoSuchUpload.Code) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, resp.Body.Close()
}
