package proxy

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"

	"cofre/access"
	"cofre/s3api"
)

// stagedKept is the age at which a staged file can only be what a process left behind that died: no form takes as long.
const stagedKept = 24 * time.Hour

// sweepStaged removes files of forms that were laid aside before a time and never removed, by any replica of any site that
// shares the system bucket: nobody can open them any more.
func (h *Handler) sweepStaged(ctx context.Context, before time.Time) {
	marker, total := "", 0
	for {
		var q s3api.Query
		q.Set("encoding-type", "url")
		q.Set("prefix", stagedPrefix)
		if marker != "" {
			q.Set("marker", marker)
		}
		page, err := h.system().page(ctx, q)
		if err != nil {
			if !hasCode(err, s3api.ErrNoSuchBucket.Code) {
				h.log.Warn("staged forms not swept; tried again within the hour", zap.Error(err))
			}
			return
		}
		for _, e := range page.Entries {
			marker = e.Key
			if at, err := time.Parse(time.RFC3339, e.LastModified); err != nil || !at.Before(before) {
				continue
			}
			resp, err := h.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodDelete, Bucket: h.cfg.SystemBucket, Key: e.Key})
			if err != nil {
				h.log.Warn("staged form not swept; tried again within the hour", zap.Error(err))
				return
			}
			resp.Body.Close()
			total++
		}
		if !page.Truncated || len(page.Entries) == 0 {
			break
		}
	}
	if total > 0 {
		h.log.Info("staged forms swept", zap.Int("files", total))
	}
}
