package disk

import (
	"bytes"
	"net/http"

	"cofre/s3api"
)

// storageClass is the only one there is.
const storageClass = "STANDARD"

// list answers the three listings of objects.
func (h *handler) list(w http.ResponseWriter, call s3api.Call) error {
	req, refusal := s3api.ParseListRequest(call)
	if refusal != nil {
		return refusal
	}
	found, err := h.listing(call.Bucket, req)
	if err != nil {
		return err
	}
	var document bytes.Buffer
	if err := s3api.WriteListing(&document, req, call.Bucket, found); err != nil {
		return err
	}
	writeXML(w, document.Bytes())
	return nil
}

func (h *handler) listing(bucketName string, req s3api.ListRequest) (*s3api.Listing, error) {
	if req.MaxKeys == 0 {
		_, err := h.store.bucket(bucketName)
		return &s3api.Listing{}, err
	}
	p := page{prefix: req.Prefix, delimiter: req.Delimiter, limit: req.MaxKeys}
	var found listed[version]
	var err error
	if req.Versions {
		p.after = req.KeyMarker
		found, err = h.store.listVersions(bucketName, p, req.VersionIDMarker)
	} else {
		p.after = listMarker(req)
		found, err = h.store.list(bucketName, p)
	}
	if err != nil {
		return nil, err
	}
	return toListing(req, found), nil
}

func listMarker(req s3api.ListRequest) string {
	switch {
	case !req.V2:
		return req.Marker
	case req.ContinuationToken != "":
		return req.ContinuationMarker
	}
	return req.StartAfter
}

func toListing(req s3api.ListRequest, found listed[version]) *s3api.Listing {
	l := &s3api.Listing{CommonPrefixes: found.prefixes, Truncated: found.more, Entries: make([]s3api.ListEntry, 0, len(found.entries))}
	for _, v := range found.entries {
		e := s3api.ListEntry{Key: v.key, ETag: v.etag, Size: v.size, StorageClass: storageClass, LastModified: s3api.FormatTime(v.modified)}
		if req.Versions {
			e.VersionID, e.Latest, e.DeleteMarker = v.id, v.latest, v.marker
		}
		l.Entries = append(l.Entries, e)
	}
	if found.more {
		l.NextMarker, l.NextKeyMarker, l.NextVersionIDMarker = found.last, found.last, lastVersionID(found)
	}
	return l
}

// lastVersionID gives the id of the version with which a page ends, empty if it ends with a common prefix.
func lastVersionID(l listed[version]) string {
	if n := len(l.entries); n > 0 && l.entries[n-1].key == l.last {
		return l.entries[n-1].id
	}
	return ""
}

// lastUploadID is the same for uploads.
func lastUploadID(l listed[uploadInfo]) string {
	if n := len(l.entries); n > 0 && l.entries[n-1].key == l.last {
		return l.entries[n-1].id
	}
	return ""
}
