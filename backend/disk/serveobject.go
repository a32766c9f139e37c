package disk

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"cofre/s3api"
)

func (h *handler) putObject(w http.ResponseWriter, r *http.Request, call s3api.Call) error {
	if _, err := h.store.bucket(call.Bucket); err != nil {
		return err // before the body is taken
	}
	cond, err := writeCondition(call.Header)
	if err != nil {
		return err
	}
	a, err := attributesOf(call.Header)
	if err != nil {
		return err
	}
	b, err := bodyOf(r)
	if err != nil {
		return err
	}
	v, err := h.store.put(call.Bucket, call.Key, a, b, b.size, b.check, cond)
	if err != nil {
		return err
	}
	writeVersion(w.Header(), v)
	w.Header().Set("ETag", `"`+v.etag+`"`)
	w.WriteHeader(http.StatusOK)
	return nil
}

// writeCondition gives the judgement of If-Match and If-None-Match; nil if there is none.
func writeCondition(header http.Header) (precondition, error) {
	cond, err := s3api.ParseWriteConditions(header)
	if err != nil {
		return nil, err
	}
	if cond.Empty() {
		return nil, nil
	}
	return func(current *version) error { return checkWrite(cond, current) }, nil
}

func checkWrite(cond s3api.WriteConditions, current *version) error {
	if current == nil {
		return asError(cond.Check(false, ""))
	}
	return asError(cond.Check(true, current.etag))
}

// deleteCondition gives the judgement of If-Match and its like on DELETE; nil if there is none. Deleting what is not there
// succeeds whatever is asked of it.
func deleteCondition(cond s3api.DeleteConditions) precondition {
	if cond.Empty() {
		return nil
	}
	return func(current *version) error {
		if current == nil {
			return nil
		}
		return asError(cond.Check(current.etag, current.size, current.modified))
	}
}

func (h *handler) getObject(w http.ResponseWriter, r *http.Request, call s3api.Call) error {
	id := call.Query.Get("versionId")
	v, pinned, err := h.store.open(call.Bucket, call.Key, id)
	if err != nil {
		return err
	}
	defer h.store.blobs.release(pinned)
	if v.marker {
		return markerError(v, id)
	}
	conditions, refusal := s3api.ParseConditions(call.Header)
	if refusal == nil {
		refusal = conditions.Check(v.etag, v.modified)
	}
	writeObjectHeader(w.Header(), v)
	if refusal != nil {
		return refusal
	}
	part, partial, refusal := s3api.ParseRange(call.Header.Get("Range"), v.size)
	if refusal != nil {
		return refusal
	}
	if !partial {
		part = s3api.Range{Off: 0, Len: v.size}
	} else {
		w.Header().Set("Content-Range", part.ContentRange(v.size))
	}
	writeOverrides(w.Header(), call.Query)
	w.Header().Set("Content-Length", strconv.FormatInt(part.Len, 10))
	status := http.StatusOK
	if partial {
		status = http.StatusPartialContent
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	if _, err := h.store.blobs.read(pinned, part.Off, part.Len).WriteTo(w); err != nil {
		panic(http.ErrAbortHandler) // the head is out: breaking off is the only way left to say that this is not all
	}
	return nil
}

// markerError is the answer to reading a delete marker: as if nothing were there, or, if it was asked for by its id, that
// this cannot be read.
func markerError(v version, id string) error {
	e := s3api.ErrNoSuchKey
	if id != "" {
		e = s3api.ErrMethodNotAllowed
	}
	return e.WithHeader("X-Amz-Delete-Marker", "true").WithHeader("X-Amz-Version-Id", v.id)
}

func writeObjectHeader(h http.Header, v version) {
	for name, value := range v.header {
		h.Set(name, value)
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "binary/octet-stream") // else net/http guesses one
	}
	h.Set("Accept-Ranges", "bytes")
	h.Set("ETag", `"`+v.etag+`"`)
	h.Set("Last-Modified", s3api.FormatHTTPTime(v.modified))
	if v.tags != "" {
		h.Set("X-Amz-Tagging-Count", strconv.Itoa(strings.Count(v.tags, "&")+1))
	}
	writeVersion(h, v)
}

// writeOverrides sets the headers that the request asked for with response-content-type and its like.
func writeOverrides(h http.Header, query s3api.Query) {
	for _, name := range []string{"cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"} {
		if value := query.Get("response-" + name); value != "" {
			h.Set(name, value)
		}
	}
}

func (h *handler) copyObject(w http.ResponseWriter, call s3api.Call) error {
	source, refusal := s3api.ParseCopySource(call.Header.Get("X-Amz-Copy-Source"))
	if refusal != nil {
		return refusal
	}
	a, err := attributesOf(call.Header)
	if err != nil {
		return err
	}
	conditions, refusal := s3api.ParseCopySourceConditions(call.Header)
	if refusal != nil {
		return refusal
	}
	request := copyRequest{
		fromBucket: source.Bucket, fromKey: source.Key, fromVersion: source.VersionID, toBucket: call.Bucket, toKey: call.Key,
		check:      func(v version) error { return asError(conditions.Source(v.etag, v.modified)) },
		attributes: a,
	}
	if request.replaceHeader, err = directive(call.Header, "X-Amz-Metadata-Directive"); err != nil {
		return err
	}
	if request.replaceTags, err = directive(call.Header, "X-Amz-Tagging-Directive"); err != nil {
		return err
	}
	if source.Bucket == call.Bucket && source.Key == call.Key && !source.HasVersion && !request.replaceHeader {
		return s3api.ErrInvalidRequest.With("This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	made, from, err := h.store.copy(request)
	if err != nil {
		return err
	}
	writeVersion(w.Header(), made)
	if from.versioned {
		w.Header().Set("X-Amz-Copy-Source-Version-Id", from.id)
	}
	var document bytes.Buffer
	if err := s3api.WriteCopyObjectResult(&document, s3api.CopyResult{ETag: made.etag, LastModified: made.modified}); err != nil {
		return err
	}
	writeXML(w, document.Bytes())
	return nil
}

// directive reads COPY (the default) or REPLACE.
func directive(header http.Header, name string) (replace bool, err error) {
	switch header.Get(name) {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	}
	return false, s3api.ErrInvalidArgument
}

func (h *handler) deleteObject(w http.ResponseWriter, call s3api.Call) error {
	cond, refusal := s3api.ParseDeleteConditions(call.Header)
	if refusal != nil {
		return refusal
	}
	d, err := h.store.delete(call.Bucket, call.Key, call.Query.Get("versionId"), deleteCondition(cond))
	if err != nil {
		return err
	}
	if d.isMarker {
		w.Header().Set("X-Amz-Delete-Marker", "true")
	}
	if d.versioned && d.id != "" {
		w.Header().Set("X-Amz-Version-Id", d.id)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handler) deleteObjects(w http.ResponseWriter, r *http.Request, call s3api.Call) error {
	if _, err := h.store.bucket(call.Bucket); err != nil {
		return err
	}
	request, refusal := s3api.DecodeDelete(r.Body)
	if refusal != nil {
		return refusal
	}
	deletions := make([]deletion, 0, len(request.Objects))
	for _, o := range request.Objects {
		deletions = append(deletions, deletion{o.Key, o.VersionID, deleteCondition(o.Conditions())})
	}
	done, errs, err := h.store.deleteMany(call.Bucket, deletions)
	if err != nil {
		return err
	}
	result := s3api.DeleteResult{Quiet: request.Quiet}
	for i, o := range request.Objects {
		if errs[i] != nil {
			e := answerError(errs[i])
			result.Errors = append(result.Errors, s3api.DeleteError{Key: o.Key, VersionID: o.VersionID, Code: e.Code, Message: e.Message})
			continue
		}
		d := s3api.DeletedObject{Key: o.Key, VersionID: o.VersionID, DeleteMarker: done[i].isMarker}
		if done[i].isMarker {
			d.DeleteMarkerVersionID = done[i].id
		}
		result.Deleted = append(result.Deleted, d)
	}
	var document bytes.Buffer
	if err := s3api.WriteDeleteResult(&document, result); err != nil {
		return err
	}
	writeXML(w, document.Bytes())
	return nil
}

func (h *handler) getTagging(w http.ResponseWriter, call s3api.Call) error {
	id := call.Query.Get("versionId")
	v, err := h.store.head(call.Bucket, call.Key, id)
	if err != nil {
		return err
	}
	if v.marker {
		return markerError(v, id)
	}
	tags, err := decodeTags(v.tags)
	if err != nil {
		return err
	}
	var document bytes.Buffer
	if err := s3api.WriteTagging(&document, tags); err != nil {
		return err
	}
	writeVersion(w.Header(), v)
	writeXML(w, document.Bytes())
	return nil
}

// maxTags is how many tags an object may have.
const maxTags = 10

func (h *handler) setTagging(w http.ResponseWriter, r *http.Request, call s3api.Call) error {
	var tags []s3api.Tag
	status := http.StatusNoContent
	if call.Op == s3api.PutObjectTagging {
		var refusal *s3api.Error
		if tags, refusal = s3api.DecodeTagging(r.Body, maxTags); refusal != nil {
			return refusal
		}
		status = http.StatusOK
	}
	v, err := h.store.setTags(call.Bucket, call.Key, call.Query.Get("versionId"), encodeTags(tags))
	if err != nil {
		return err
	}
	writeVersion(w.Header(), v)
	w.WriteHeader(status)
	return nil
}
