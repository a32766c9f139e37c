package proxy

import (
	"net/http"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/s3api"
)

// getObjectAttributes serves GetObjectAttributes wholly from the record, once the backend has confirmed the object: RGW 16
// answers this call with the object's body.
func (h *Handler) getObjectAttributes(rq *request) error {
	req, cerr := s3api.ParseAttributesRequest(rq.call.Header)
	if cerr != nil {
		return cerr
	}
	rec, backend, err := h.headRecord(rq)
	if err != nil {
		return err
	}
	header := rq.w.Header()
	setVersion(header, backend)
	if v := backend.Get("Last-Modified"); v != "" {
		header.Set("Last-Modified", v)
	}
	header.Set("Content-Type", "application/xml")
	rq.w.WriteHeader(http.StatusOK)
	return s3api.WriteObjectAttributes(rq.w, attributesOf(req, rec, backend))
}

// headRecord gives what is known of the object that the request names, and the backend's headers that confirm it.
func (h *Handler) headRecord(rq *request) (*metadata.Record, http.Header, error) {
	ctx, t := rq.Context(), rq.target()
	o, err := h.open(ctx, rq.reading(), t, func(*metadata.Record) ask { return ask{head: true} })
	if isUnsealed(err) {
		plain, err := h.passed(ctx, rq.reading(), t, err)
		if err != nil {
			return nil, nil, err
		}
		return plain.record(), plain.header, nil
	}
	if err != nil {
		return nil, nil, err
	}
	o.response.Body.Close()
	return o.record, o.response.Header, nil
}

func attributesOf(req s3api.AttributesRequest, rec *metadata.Record, backend http.Header) s3api.ObjectAttributes {
	out := s3api.ObjectAttributes{Request: req, ETag: rec.ETag, Size: rec.Size, StorageClass: backend.Get("X-Amz-Storage-Class")}
	if out.StorageClass == "" {
		out.StorageClass = "STANDARD"
	}
	if rec.Checksum.Algorithm != checksum.None {
		out.ChecksumAlgorithm, out.ChecksumType = rec.Checksum.Algorithm, string(rec.Checksum.Type)
		out.Checksum = checksumText(rec.Checksum, len(rec.Parts))
	}
	out.TotalParts = len(rec.Parts)
	for _, p := range rec.Parts {
		if p.Number <= req.PartNumberMarker {
			continue
		}
		if len(out.Parts) == req.MaxParts {
			out.PartsTruncated = true
			break
		}
		out.Parts = append(out.Parts, s3api.AttributePart{Number: p.Number, Size: p.Size, ChecksumAlgorithm: p.Checksum.Algorithm, Checksum: p.Checksum.Value})
	}
	return out
}
