package proxy

import (
	"encoding/base64"
	"net/http"
	"strconv"

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
	o, err := h.open(rq.Context(), rq.reading(), rq.target(), func(*metadata.Record) ask { return ask{head: true} })
	if err != nil {
		return err
	}
	o.response.Body.Close()
	rec := o.record
	out := s3api.ObjectAttributes{Request: req, ETag: rec.ETag, Size: rec.Size, StorageClass: o.response.Header.Get("x-amz-storage-class")}
	if out.StorageClass == "" {
		out.StorageClass = "STANDARD"
	}
	if rec.Checksum.Algorithm != checksum.None {
		out.ChecksumAlgorithm, out.ChecksumType = rec.Checksum.Algorithm, string(rec.Checksum.Type)
		out.Checksum = base64.StdEncoding.EncodeToString(rec.Checksum.Value)
		if rec.Checksum.Type == checksum.Composite {
			out.Checksum += "-" + strconv.Itoa(len(rec.Parts))
		}
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
	header := rq.w.Header()
	setVersion(header, o.response.Header)
	if v := o.response.Header.Get("Last-Modified"); v != "" {
		header.Set("Last-Modified", v)
	}
	header.Set("Content-Type", "application/xml")
	rq.w.WriteHeader(http.StatusOK)
	return s3api.WriteObjectAttributes(rq.w, out)
}
