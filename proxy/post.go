package proxy

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"cofre/access"
	"cofre/s3api"
	"cofre/sigv4"
)

// postObject serves PostObject, the upload by a browser's form. Its fields say what the headers of a PUT say, and who sends
// it. Once they have been judged, the file goes the way of a PUT.
func (h *Handler) postObject(rq *request) error {
	if !rq.auth.Anonymous() {
		return s3api.ErrInvalidArgument.With("Only one auth mechanism allowed: a form is authenticated by its fields.").
			Field("ArgumentName", "Authorization")
	}
	form, err := readForm(rq)
	if err != nil {
		return err
	}
	policy, err := h.judgeForm(rq, form)
	if err != nil {
		return err
	}
	header, err := form.header()
	if err != nil {
		return err
	}
	if rq.encryption, err = h.parseEncryption(header, rq.TLS != nil); err != nil {
		return err
	}
	file, err := h.formFile(rq, form, policy)
	if err != nil {
		return err
	}
	defer file.close()

	// The same request once more, as the PUT that it stands for.
	r := rq.Clone(rq.Context())
	r.Header, r.ContentLength, r.Body = header, file.size, file
	rq.call.Header = header // errors speak of these
	put := *rq
	put.Request = r
	w, err := h.put(&put)
	if err != nil {
		if file.err != nil {
			return file.err // what was wrong with the form, before what that led to
		}
		return err
	}
	rq.encryption.setWritten(rq.w.Header(), w.header)
	return answerForm(rq, form, w)
}

// judgeForm finds out who sent a form, and whether its policy and his grants allow it. It completes rq by what a form's
// fields say: key, credential and identity. The policy is nil for an anonymous form.
func (h *Handler) judgeForm(rq *request, form *form) (*sigv4.PostPolicy, error) {
	if _, given := form.value("key"); !given {
		return nil, sigv4.MissingFormField("key")
	}
	policy, err := h.authenticateForm(rq, form)
	if err != nil {
		return nil, err
	}
	rq.call.Key = form.key()
	if policy != nil {
		if err := policy.Check(h.cfg.Clock(), form.expanded(rq.call.Bucket, rq.call.Key)); err != nil {
			return nil, err
		}
	}
	if err := s3api.CheckKey(rq.call.Key); err != nil {
		return nil, err
	}
	if named, given := form.value("bucket"); given && named != rq.call.Bucket {
		return nil, s3api.ErrInvalidArgument.With("The form names another bucket than the one that it was sent to.").
			Field("ArgumentName", "bucket").Field("ArgumentValue", named)
	}
	if !rq.who.Allows(access.Write, rq.call.Bucket, rq.call.Key) {
		return nil, s3api.ErrAccessDenied
	}
	return policy, nil
}

// answerForm answers a form as it asked to be answered: by a redirect, or by a status.
func answerForm(rq *request, form *form, w *written) error {
	header := rq.w.Header()
	where := formLocation(rq)
	header.Set("Etag", quote(w.record.ETag))
	setChecksum(header, w.record)
	setVersion(header, w.header)
	if target, ok := form.redirect(rq.call.Bucket, rq.call.Key, w.record.ETag); ok {
		header.Set("Location", target)
		header.Set("Content-Length", "0")
		rq.w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	header.Set("Location", where)
	switch status, _ := form.value("success_action_status"); status {
	case "200":
		header.Set("Content-Length", "0")
		rq.w.WriteHeader(http.StatusOK)
		return nil
	case "201":
		doc := s3api.EncodePostResponse(s3api.PostResponse{Location: where, Bucket: rq.call.Bucket, Key: rq.call.Key, ETag: w.record.ETag})
		header.Set("Content-Type", "application/xml")
		header.Set("Content-Length", strconv.Itoa(len(doc)))
		rq.w.WriteHeader(http.StatusCreated)
		_, err := rq.w.Write(doc)
		return err
	default: // any other status, also one that S3 does not offer
		rq.w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// formLocation is the address of the new object as S3 gives it to forms: every slash of the key escaped.
func formLocation(rq *request) string {
	return strings.TrimSuffix(location(rq), "/") + "/" + strings.ReplaceAll(s3api.EscapePath(rq.call.Key), "/", "%2F")
}

// redirect is where success_action_redirect sends the browser, with what was stored added to its query. Only addresses of
// the web count: what else a form names would be run or opened by the browser. S3 ignores those too.
func (f *form) redirect(bucket, key, etag string) (string, bool) {
	target, _ := f.value("success_action_redirect")
	if target == "" {
		target, _ = f.value("redirect") // the name that it had before
	}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || !validHeaderValue(target) {
		return "", false
	}
	target, fragment, hasFragment := strings.Cut(target, "#")
	if strings.Contains(target, "?") {
		target += "&"
	} else {
		target += "?"
	}
	target += "bucket=" + url.QueryEscape(bucket) + "&key=" + url.QueryEscape(key) + "&etag=" + url.QueryEscape(quote(etag))
	if hasFragment {
		target += "#" + fragment
	}
	return target, true
}
