package disk

import (
	"bytes"
	"errors"
	"net/http"

	"cofre/s3api"
)

func (h *handler) createUpload(w http.ResponseWriter, call s3api.Call) error {
	a, err := attributesOf(call.Header)
	if err != nil {
		return err
	}
	id, err := h.store.createUpload(call.Bucket, call.Key, a)
	if err != nil {
		return err
	}
	var document bytes.Buffer
	if err := s3api.WriteInitiateMultipartUpload(&document, call.Bucket, call.Key, id); err != nil {
		return err
	}
	writeXML(w, document.Bytes())
	return nil
}

func (h *handler) putPart(w http.ResponseWriter, r *http.Request, call s3api.Call) error {
	b, err := bodyOf(r)
	if err != nil {
		return err
	}
	p, err := h.store.putPart(call.Bucket, call.Key, call.Query.Get("uploadId"), call.PartNumber(), b, b.size, b.check)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", `"`+p.etag+`"`)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h *handler) completeUpload(w http.ResponseWriter, r *http.Request, call s3api.Call) error {
	cond, err := writeCondition(call.Header)
	if err != nil {
		return err
	}
	parts, refusal := s3api.DecodeCompleteMultipartUpload(r.Body)
	if refusal != nil {
		return refusal
	}
	chosen := make([]chosenPart, 0, len(parts))
	for _, p := range parts {
		chosen = append(chosen, chosenPart{p.Number, p.ETag})
	}
	id := call.Query.Get("uploadId")
	v, err := h.store.completeUpload(call.Bucket, call.Key, id, chosen, cond)
	if errors.Is(err, s3api.ErrNoSuchUpload) {
		if before, ok := h.store.completedUpload(call.Bucket, call.Key, id, chosen); ok {
			v, err = before, nil // the first answer was lost
		}
	}
	if err != nil {
		return err
	}
	var document bytes.Buffer
	err = s3api.WriteCompleteMultipartUpload(&document, s3api.CompleteResult{
		Location: "http://" + r.Host + call.RawPath, Bucket: call.Bucket, Key: call.Key, ETag: v.etag})
	if err != nil {
		return err
	}
	writeVersion(w.Header(), v)
	writeXML(w, document.Bytes())
	return nil
}

func (h *handler) listParts(w http.ResponseWriter, call s3api.Call) error {
	req, refusal := s3api.ParseListPartsRequest(call)
	if refusal != nil {
		return refusal
	}
	_, found, more, err := h.store.parts(call.Bucket, call.Key, req.UploadID, req.PartNumberMarker, req.MaxParts)
	if err != nil {
		return err
	}
	result := s3api.ListPartsResult{Request: req, Bucket: call.Bucket, Key: call.Key, StorageClass: storageClass, Truncated: more && req.MaxParts > 0}
	for _, p := range found {
		result.Parts = append(result.Parts, s3api.ListedPart{Number: p.number, Size: p.blob.Size, ETag: p.etag, LastModified: p.modified})
	}
	var document bytes.Buffer
	if err := s3api.WriteListParts(&document, result); err != nil {
		return err
	}
	writeXML(w, document.Bytes())
	return nil
}

func (h *handler) listUploads(w http.ResponseWriter, call s3api.Call) error {
	req, refusal := s3api.ParseListUploadsRequest(call)
	if refusal != nil {
		return refusal
	}
	result := s3api.ListUploadsResult{Request: req}
	if _, err := h.store.bucket(call.Bucket); err != nil {
		return err
	}
	if req.MaxUploads > 0 {
		p := page{prefix: req.Prefix, delimiter: req.Delimiter, after: req.KeyMarker, limit: req.MaxUploads}
		found, err := h.store.listUploads(call.Bucket, p, req.UploadIDMarker)
		if err != nil {
			return err
		}
		for _, u := range found.entries {
			result.Uploads = append(result.Uploads, s3api.ListedUpload{Key: u.key, UploadID: u.id, StorageClass: storageClass, Initiated: u.initiated})
		}
		result.CommonPrefixes, result.Truncated = found.prefixes, found.more
		if found.more {
			result.NextKeyMarker, result.NextUploadIDMarker = found.last, lastUploadID(found)
		}
	}
	var document bytes.Buffer
	if err := s3api.WriteListMultipartUploads(&document, call.Bucket, result); err != nil {
		return err
	}
	writeXML(w, document.Bytes())
	return nil
}
