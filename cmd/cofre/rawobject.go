package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"cofre/access"
	"cofre/proxy"
	"cofre/s3api"
)

// rawObject is a storage with one sealed object and the documents that its reading takes, from files: so that what opens an
// object off line is what opens it in service, with all that it refuses.
type rawObject struct {
	bucket, key  string
	body         io.ReaderAt
	size         int64
	header       http.Header // as the storage gave it: envelope and attributes
	systemBucket string
	documents    map[string][]byte // of the system bucket
}

var _ proxy.Backend = (*rawObject)(nil)

// Do implements proxy.Backend for the reads that an object takes.
func (r *rawObject) Do(_ context.Context, _ access.BackendUser, rq *proxy.BackendRequest) (*proxy.BackendResponse, error) {
	isRead := rq.Method == http.MethodGet || rq.Method == http.MethodHead
	switch {
	case !isRead:
		return nil, s3api.ErrAccessDenied
	case rq.Bucket == r.systemBucket:
		doc, ok := r.documents[rq.Key]
		if !ok {
			return nil, s3api.ErrNoSuchKey
		}
		return answer(rq, http.Header{}, bytes.NewReader(doc), int64(len(doc)))
	case rq.Bucket != r.bucket || rq.Key != r.key:
		return nil, s3api.ErrNoSuchKey
	}
	return answer(rq, r.header.Clone(), r.body, r.size)
}

// answer gives what the request asks for of size bytes.
func answer(rq *proxy.BackendRequest, header http.Header, body io.ReaderAt, size int64) (*proxy.BackendResponse, error) {
	resp := &proxy.BackendResponse{Status: http.StatusOK, Header: header, Length: size}
	if rq.Method == http.MethodHead {
		resp.Body = http.NoBody
		return resp, nil
	}
	off, n, partial, err := rangeOf(rq.Header.Get("Range"), size)
	if err != nil {
		return nil, err
	}
	if partial {
		resp.Status, resp.Length = http.StatusPartialContent, n
		header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, size))
	}
	resp.Body = io.NopCloser(io.NewSectionReader(body, off, n))
	return resp, nil
}

// rangeOf reads the two forms of Range that cofre sends.
func rangeOf(header string, size int64) (off, n int64, partial bool, err error) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		return 0, size, false, nil
	}
	first, last, _ := strings.Cut(spec, "-")
	end, err := strconv.ParseInt(last, 10, 64)
	if err != nil || size == 0 {
		return 0, 0, false, s3api.ErrInvalidRange
	}
	if first == "" {
		n = min(end, size)
		return size - n, n, true, nil
	}
	off, err = strconv.ParseInt(first, 10, 64)
	if err != nil || off >= size || end < off {
		return 0, 0, false, s3api.ErrInvalidRange
	}
	return off, min(end, size-1) - off + 1, true, nil
}
