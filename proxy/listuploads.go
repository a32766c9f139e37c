package proxy

import (
	"errors"
	"net/http"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/s3api"
)

// listParts serves ListParts from the rows: the backend knows ciphertext sizes and ETags only.
func (h *Handler) listParts(rq *request) error {
	req, cerr := s3api.ParseListPartsRequest(rq.call)
	if cerr != nil {
		return cerr
	}
	t := rq.target()
	up, err := h.store.Upload(rq.Context(), t.Bucket, t.Key, req.UploadID)
	if errors.Is(err, metadata.ErrNotFound) || err == nil && up.State == metadata.UploadCompleted {
		return s3api.ErrNoSuchUpload
	}
	if err != nil {
		return err
	}
	rows, _, err := h.store.UploadParts(rq.Context(), up.ID, req.PartNumberMarker, req.MaxParts+1)
	if err != nil {
		return err
	}
	began := h.initiators(rq.Context())(up.Initiator)
	out := s3api.ListPartsResult{
		Bucket: t.Bucket, Key: t.Key, Request: req, Initiator: began.id, InitiatorName: began.name, StorageClass: "STANDARD",
		ChecksumAlgorithm: up.ChecksumAlgorithm.String(), ChecksumType: string(up.ChecksumType),
	}
	if len(rows) > req.MaxParts {
		// A page without room is the last one: whoever followed it would ask for ever.
		rows, out.Truncated = rows[:req.MaxParts], req.MaxParts > 0
	}
	for _, p := range rows {
		part := s3api.ListedPart{Number: p.Number, Size: p.Size, ETag: p.ETag, LastModified: p.Committed}
		if up.ChecksumAlgorithm != checksum.None {
			part.ChecksumAlgorithm, part.Checksum = p.Checksum.Algorithm, p.Checksum.Value
		}
		out.Parts = append(out.Parts, part)
	}
	rq.w.Header().Set("Content-Type", "application/xml")
	rq.w.WriteHeader(http.StatusOK)
	return s3api.WriteListParts(rq.w, out)
}

// listMultipartUploads serves ListMultipartUploads from the rows.
func (h *Handler) listMultipartUploads(rq *request) error {
	req, cerr := s3api.ParseListUploadsRequest(rq.call)
	if cerr != nil {
		return cerr
	}
	if _, err := h.facts(rq.Context(), rq.as(), rq.call.Bucket); err != nil {
		return err
	}
	initiator := h.initiators(rq.Context())
	out, err := s3api.CollectUploads(req, func(keyMarker, idMarker string, limit int) ([]s3api.ListedUpload, error) {
		rows, err := h.store.Uploads(rq.Context(), rq.call.Bucket, req.Prefix, keyMarker, idMarker, limit)
		if err != nil {
			return nil, err
		}
		page := make([]s3api.ListedUpload, len(rows))
		for i, up := range rows {
			began := initiator(up.Initiator)
			page[i] = s3api.ListedUpload{
				Key: up.Key, UploadID: up.ID, Initiator: began.id, InitiatorName: began.name, StorageClass: "STANDARD", Initiated: up.Created,
				ChecksumAlgorithm: up.ChecksumAlgorithm.String(), ChecksumType: string(up.ChecksumType),
			}
		}
		return page, nil
	})
	if err != nil {
		return err
	}
	rq.w.Header().Set("Content-Type", "application/xml")
	rq.w.WriteHeader(http.StatusOK)
	return s3api.WriteListMultipartUploads(rq.w, rq.call.Bucket, out)
}
