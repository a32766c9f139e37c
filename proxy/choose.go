package proxy

import (
	"context"
	"net/http"
	"strconv"

	"cofre/metadata"
	"cofre/s3api"
)

// choose finds the attempt of each listed part, and checks what S3 checks of a list.
func (h *Handler) choose(ctx context.Context, rq *request, up *openUpload, list []s3api.CompletePart) ([]metadata.UploadPart, error) {
	for i := 1; i < len(list); i++ {
		if list[i].Number <= list[i-1].Number {
			return nil, s3api.ErrInvalidPartOrder
		}
	}
	rows, err := h.partsByNumber(ctx, up.ID)
	if err != nil {
		return nil, err
	}
	var kept map[int]string
	chosen := make([]metadata.UploadPart, 0, len(list))
	for i, p := range list {
		row, ok := rows[p.Number]
		if !ok {
			return nil, invalidPart(up, p)
		}
		if row.attempts > 1 {
			if kept == nil {
				if kept, err = h.keptParts(ctx, rq, up); err != nil {
					return nil, err
				}
			}
			if row.UploadPart, err = h.keptAttempt(ctx, up, p.Number, kept[p.Number]); err != nil {
				return nil, err
			}
		}
		if !etagMatches(p.ETag, row.ETag) {
			return nil, invalidPart(up, p)
		}
		if err := checkListed(up, p, row.UploadPart); err != nil {
			return nil, err
		}
		if i < len(list)-1 && row.Size < minPartSize {
			return nil, s3api.ErrEntityTooSmall.Field("ProposedSize", strconv.FormatInt(row.Size, 10)).
				Field("MinSizeAllowed", strconv.Itoa(minPartSize)).Field("PartNumber", strconv.Itoa(p.Number)).Field("ETag", row.ETag)
		}
		chosen = append(chosen, row.UploadPart)
	}
	return chosen, nil
}

func invalidPart(up *openUpload, p s3api.CompletePart) error {
	return s3api.ErrInvalidPart.Field("UploadId", up.ID).Field("PartNumber", strconv.Itoa(p.Number)).Field("ETag", p.ETag)
}

type partRow struct {
	metadata.UploadPart
	attempts int
}

// partsByNumber reads the newest attempt of every part: at most 10,000 small rows.
func (h *Handler) partsByNumber(ctx context.Context, uploadID string) (map[int]partRow, error) {
	const page = 1000
	rows := map[int]partRow{}
	for after := 0; ; {
		parts, attempts, err := h.store.UploadParts(ctx, uploadID, after, page)
		if err != nil {
			return nil, err
		}
		for i, p := range parts {
			rows[p.Number] = partRow{p, attempts[i]}
			after = p.Number
		}
		if len(parts) < page {
			return rows, nil
		}
	}
}

// keptParts asks the backend which attempt of each part it kept: the last to finish there need not be the last here.
func (h *Handler) keptParts(ctx context.Context, rq *request, up *openUpload) (map[int]string, error) {
	kept := map[int]string{}
	for after := 0; ; {
		var q s3api.Query
		q.Set("uploadId", up.ID)
		if after > 0 {
			q.Set("part-number-marker", strconv.Itoa(after))
		}
		resp, err := h.backend.Do(ctx, rq.as(), &BackendRequest{Method: http.MethodGet, Bucket: up.Bucket, Key: up.Key, Query: q})
		if err != nil {
			return nil, err
		}
		page, err := s3api.ScanListParts(resp.Body)
		resp.Body.Close()
		if err != nil {
			return nil, err
		}
		for _, p := range page.Parts {
			if p.Number <= after {
				return nil, errChanged // a backend that does not move on would keep this going for ever
			}
			kept[p.Number] = p.ETag
			after = p.Number
		}
		if !page.Truncated || len(page.Parts) == 0 {
			return kept, nil
		}
	}
}

func (h *Handler) keptAttempt(ctx context.Context, up *openUpload, number int, backendETag string) (metadata.UploadPart, error) {
	attempts, err := h.store.PartAttempts(ctx, up.ID, number)
	if err != nil {
		return metadata.UploadPart{}, err
	}
	for _, a := range attempts {
		if a.BackendETag == backendETag {
			return a, nil
		}
	}
	return metadata.UploadPart{}, s3api.ErrInvalidPart
}
