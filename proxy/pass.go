package proxy

import (
	"bytes"
	"io"
	"net/http"
	"strconv"

	"cofre/s3api"
	"cofre/sigv4"
)

// passBody says what of the request's body is handed on.
type passBody uint8

const (
	passNothing  passBody = iota
	passDocument          // a small verified XML document, as it came
)

// pass serves an operation by handing it to the backend, signed anew and built from scratch: method, name, the parameters
// that mean something to S3, and, for passDocument, the verified body.
func pass(body passBody) func(*Handler, *request) error {
	return func(h *Handler, rq *request) error { return h.passOn(rq, body) }
}

func (h *Handler) passOn(rq *request, body passBody) error {
	brq := &BackendRequest{
		Method: rq.Method, Bucket: rq.call.Bucket, Key: rq.call.Key, Query: rq.call.Query,
		Header: passHeaders(rq.call.Header, []string{"X-Amz-Mfa"}),
	}
	if body == passDocument {
		doc, err := h.readDocument(rq, nil)
		if err != nil {
			return err
		}
		brq.Body, brq.Length, brq.Replayable = bytes.NewReader(doc), int64(len(doc)), true
		brq.Header.Set("Content-MD5", contentMD5(doc))
		brq.Header.Set("Content-Type", "application/xml")
	}
	resp, err := h.backend.Do(rq.Context(), rq.as(), brq)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return relay(rq, resp)
}

// relay gives a small backend answer to the client.
func relay(rq *request, resp *BackendResponse) error {
	doc, err := readSmall(resp.Body, maxBucketDocument)
	if err != nil {
		return err
	}
	header := rq.w.Header()
	if v := resp.Header.Get("x-amz-version-id"); v != "" {
		header.Set("x-amz-version-id", v)
	}
	if len(doc) > 0 {
		header.Set("Content-Type", "application/xml")
	}
	if resp.Status != http.StatusNoContent {
		header.Set("Content-Length", strconv.Itoa(len(doc)))
	}
	rq.w.WriteHeader(resp.Status)
	_, err = rq.w.Write(doc)
	return err
}

// readDocument takes a small verified body and, where check is given, judges it.
func (h *Handler) readDocument(rq *request, check func([]byte) *s3api.Error) ([]byte, error) {
	body, err := rq.auth.Body(rq.Request, sigv4.BodyOptions{MaxLength: maxBucketDocument})
	if err != nil {
		return nil, err
	}
	doc, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if check != nil {
		if cerr := check(doc); cerr != nil {
			return nil, cerr
		}
	}
	return doc, nil
}

// maxObjectTags is S3's limit of tags on one object.
const maxObjectTags = 10

// putObjectTagging hands the tags on after a look at them: RGW takes more, and longer ones, than S3 does.
func (h *Handler) putObjectTagging(rq *request) error {
	doc, err := h.readDocument(rq, func(text []byte) *s3api.Error {
		_, err := s3api.DecodeTagging(bytes.NewReader(text), maxObjectTags)
		return err
	})
	if err != nil {
		return err
	}
	resp, err := h.backend.Do(rq.Context(), rq.as(), &BackendRequest{
		Method: http.MethodPut, Bucket: rq.call.Bucket, Key: rq.call.Key, Query: rq.call.Query,
		Header: http.Header{"Content-Md5": {contentMD5(doc)}, "Content-Type": {"application/xml"}},
		Body:   bytes.NewReader(doc), Length: int64(len(doc)), Replayable: true,
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return relay(rq, resp)
}
