package proxy

import (
	"bytes"
	"cmp"
	"net/http"
	"strconv"

	"cofre/s3api"
)

// A sub-resource is a configuration of a bucket or an object that the backend keeps: ACL, policy, lifecycle and the like.
// It is handed on by name: Ceph RGW 16 takes a sub-resource that it does not know for the operation underneath, so that
// "DELETE ?encryption" deletes the bucket. Only those that RGW 16 is known to have are in the table of operations.
type subresource struct {
	// document is judged before the backend sees it; nil for operations without a body. It gets the body as it came,
	// empty where there was none.
	document func(rq *request, text []byte) *s3api.Error
	// json says that the document is JSON; XML is the rule.
	json bool
	// headers are request headers that the backend acts upon, by canonical name.
	headers []string
	// status is what S3 answers on success where the backend says another 2xx; zero to go by the backend.
	status int
	// refused translates the backend's errors to those that S3 gives here, by code.
	refused map[string]*s3api.Error
	// rewrite makes S3's document of the backend's; nil to hand it on.
	rewrite func(text []byte) ([]byte, error)
}

// serve gives the handler of the operation.
func (s subresource) serve() func(*Handler, *request) error {
	return func(h *Handler, rq *request) error { return h.passSubresource(rq, s) }
}

func (h *Handler) passSubresource(rq *request, s subresource) error {
	brq := &BackendRequest{
		Method: rq.Method, Bucket: rq.call.Bucket, Key: rq.call.Key, Query: rq.call.Query,
		Header: passHeaders(rq.call.Header, s.headers),
	}
	if s.document != nil {
		text, err := h.readDocument(rq, func(text []byte) *s3api.Error { return s.document(rq, text) })
		if err != nil {
			return err
		}
		if len(text) > 0 {
			brq.Body, brq.Length, brq.Replayable = bytes.NewReader(text), int64(len(text)), true
			brq.Header.Set("Content-Md5", contentMD5(text))
			brq.Header.Set("Content-Type", s.contentType())
		}
	}
	if rq.call.Key != "" && rq.Method != http.MethodGet {
		// Whoever writes an object anew takes its tags, ACL and protection along as they are under the key's lock.
		lock, err := h.lockWriter(rq.Context(), rq.call.Bucket, rq.call.Key)
		if err != nil {
			return err
		}
		defer lock.Unlock()
	}
	resp, err := h.backend.Do(rq.Context(), rq.as(), brq)
	if err != nil {
		return s.translate(err)
	}
	defer resp.Body.Close()
	text, err := readSmall(resp.Body, maxBucketDocument)
	if err != nil {
		return err
	}
	if s.rewrite != nil {
		if text, err = s.rewrite(text); err != nil {
			return err
		}
	}
	if v := resp.Header.Get("X-Amz-Version-Id"); v != "" {
		rq.w.Header().Set("X-Amz-Version-Id", v)
	}
	return answerDocument(rq, cmp.Or(s.status, resp.Status), s.contentType(), text)
}

func (s subresource) contentType() string {
	if s.json {
		return "application/json"
	}
	return "application/xml"
}

// translate gives S3's error for the backend's.
func (s subresource) translate(err error) error {
	for code, instead := range s.refused {
		if hasCode(err, code) {
			return instead
		}
	}
	return err
}

// answerDocument sends a small answer. A 204 has neither body nor length (RFC 9110 section 15.3.5).
func answerDocument(rq *request, status int, contentType string, text []byte) error {
	header := rq.w.Header()
	if status == http.StatusNoContent {
		rq.w.WriteHeader(status)
		return nil
	}
	if len(text) > 0 {
		header.Set("Content-Type", contentType)
	}
	header.Set("Content-Length", strconv.Itoa(len(text)))
	rq.w.WriteHeader(status)
	_, err := rq.w.Write(text)
	return err
}

// xmlDocument makes a judgement of a subresource from a check of s3api. A body must be there.
func xmlDocument(check func(r *bytes.Reader) *s3api.Error) func(*request, []byte) *s3api.Error {
	return func(_ *request, text []byte) *s3api.Error {
		if len(text) == 0 {
			return s3api.ErrMissingRequestBodyError
		}
		return check(bytes.NewReader(text))
	}
}
