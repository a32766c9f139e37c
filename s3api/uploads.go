package s3api

import (
	"cmp"
	"io"
	"strings"
	"time"
)

// ListUploadsRequest is what ListMultipartUploads asks for.
type ListUploadsRequest struct {
	Prefix, Delimiter string
	// KeyMarker and UploadIDMarker say behind which upload the page begins. UploadIDMarker counts only with KeyMarker.
	KeyMarker, UploadIDMarker string
	// MaxUploads is 0 to 1,000.
	MaxUploads int
	URLEncode  bool
}

// ParseListUploadsRequest reads the parameters of ListMultipartUploads.
func ParseListUploadsRequest(c Call) (ListUploadsRequest, *Error) {
	q := c.Query
	req := ListUploadsRequest{Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"), KeyMarker: q.Get("key-marker")}
	if req.KeyMarker != "" {
		req.UploadIDMarker = q.Get("upload-id-marker")
	}
	var err *Error
	if req.MaxUploads, err = parseMax(q, "max-uploads", "max-uploads"); err != nil {
		return ListUploadsRequest{}, err
	}
	if req.URLEncode, err = parseEncodingType(q); err != nil {
		return ListUploadsRequest{}, err
	}
	return req, nil
}

// ListUploadsResult is the answer to ListMultipartUploads.
type ListUploadsResult struct {
	Request        ListUploadsRequest
	Uploads        []ListedUpload
	CommonPrefixes []string
	Truncated      bool
	// NextKeyMarker and NextUploadIDMarker say where the next page begins, when Truncated.
	NextKeyMarker, NextUploadIDMarker string
}

// ListedUpload is one upload that is going on.
type ListedUpload struct {
	Key, UploadID string
	// Initiator is the id of who began the upload, and is its owner too; "" leaves both out. InitiatorName is what people call
	// him, "" for the id.
	Initiator, InitiatorName string
	StorageClass             string
	Initiated                time.Time
	// ChecksumAlgorithm and ChecksumType are "" for none.
	ChecksumAlgorithm, ChecksumType string
}

// CollectUploads makes one page, rolling keys up to their common prefixes. fetch gives up to limit uploads in order of key and upload id: those
// behind (keyMarker, idMarker), or, with an idMarker of "", those of keys behind keyMarker. It gives only keys that begin with req.Prefix.
//
// A page of n entries takes few calls, also where a prefix holds a million uploads: the walk goes on behind it.
func CollectUploads(req ListUploadsRequest, fetch func(keyMarker, idMarker string, limit int) ([]ListedUpload, error)) (ListUploadsResult, error) {
	out := ListUploadsResult{Request: req}
	if req.MaxUploads == 0 {
		return out, nil
	}
	key, id := req.KeyMarker, req.UploadIDMarker
	limit := req.MaxUploads + 1
	for {
		page, err := fetch(key, id, limit)
		if err != nil {
			return ListUploadsResult{}, err
		}
		leapt := false
		for _, u := range page {
			key, id = u.Key, u.UploadID
			group, grouped := commonPrefix(u.Key, req.Prefix, req.Delimiter)
			if grouped && out.hasSeen(group) {
				// U+10FFFF: no key with this prefix is behind it, but for the few that begin just so; they come again and lead on.
				if next := group + "\U0010FFFF"; next > key {
					key, id, leapt = next, "", true
					break
				}
				continue
			}
			if len(out.Uploads)+len(out.CommonPrefixes) == req.MaxUploads {
				out.Truncated = true
				return out, nil
			}
			out.add(u, group, grouped)
		}
		if !leapt && len(page) < limit {
			out.NextKeyMarker, out.NextUploadIDMarker = "", ""
			return out, nil
		}
	}
}

// hasSeen says whether a prefix is on this page already, or ended the one before.
func (r *ListUploadsResult) hasSeen(group string) bool {
	if n := len(r.CommonPrefixes); n > 0 && r.CommonPrefixes[n-1] == group {
		return true
	}
	return r.Request.UploadIDMarker == "" && strings.HasPrefix(r.Request.KeyMarker, group)
}

func (r *ListUploadsResult) add(u ListedUpload, group string, grouped bool) {
	if grouped {
		r.CommonPrefixes = append(r.CommonPrefixes, group)
		r.NextKeyMarker, r.NextUploadIDMarker = group, ""
		return
	}
	r.Uploads = append(r.Uploads, u)
	r.NextKeyMarker, r.NextUploadIDMarker = u.Key, u.UploadID
}

// commonPrefix gives what a key is rolled up to: everything up to and with the first delimiter behind the prefix.
func commonPrefix(key, prefix, delimiter string) (string, bool) {
	if delimiter == "" || len(key) < len(prefix) {
		return "", false
	}
	i := strings.Index(key[len(prefix):], delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(prefix)+i+len(delimiter)], true
}

// WriteListMultipartUploads writes the answer to ListMultipartUploads.
func WriteListMultipartUploads(w io.Writer, bucketName string, r ListUploadsResult) error {
	req, d := r.Request, newDocument()
	d.openRoot("ListMultipartUploadsResult", namespace)
	d.text("Bucket", bucketName)
	d.name("KeyMarker", req.KeyMarker, req.URLEncode)
	d.text("UploadIdMarker", req.UploadIDMarker)
	if r.Truncated {
		d.name("NextKeyMarker", r.NextKeyMarker, req.URLEncode)
		d.text("NextUploadIdMarker", r.NextUploadIDMarker)
	}
	d.name("Prefix", req.Prefix, req.URLEncode)
	d.optionalName("Delimiter", req.Delimiter, req.URLEncode)
	if req.URLEncode {
		d.text("EncodingType", "url")
	}
	d.int("MaxUploads", int64(req.MaxUploads))
	d.bool("IsTruncated", r.Truncated)
	for _, u := range r.Uploads {
		d.upload(u, req.URLEncode)
	}
	d.commonPrefixes(r.CommonPrefixes, req.URLEncode)
	d.close("ListMultipartUploadsResult")
	return d.writeTo(w)
}

func (d *document) upload(u ListedUpload, urlEncode bool) {
	d.open("Upload")
	d.name("Key", u.Key, urlEncode)
	d.text("UploadId", u.UploadID)
	if u.Initiator != "" {
		name := cmp.Or(u.InitiatorName, u.Initiator)
		d.owner("Initiator", u.Initiator, name)
		d.owner("Owner", u.Initiator, name)
	}
	d.optional("StorageClass", u.StorageClass)
	d.text("Initiated", FormatTime(u.Initiated))
	d.optional("ChecksumAlgorithm", u.ChecksumAlgorithm)
	d.optional("ChecksumType", u.ChecksumType)
	d.close("Upload")
}
