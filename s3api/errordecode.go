package s3api

import (
	"cmp"
	"net/http"
	"strings"
)

// DecodeError reads a backend's answer that says something went wrong: an <Error> document, or anything else that such answers are in
// practice (empty, HTML, XML cut short). It always gives an error with a code and a message:
//
//   - Ceph RGW 16 leaves Message empty; then the catalogue's is taken. Codes that the catalogue does not know are kept.
//   - Without a readable code the status decides. A HEAD has no body, so a 404 becomes NoSuchKey: the caller knows whether it asked for a
//     bucket.
//   - The status is the one received, but for an error inside a 2xx answer (CopyObject, CompleteMultipartUpload), which takes the code's own,
//     and for 429, 502 and 504, which come from something in front of the store and mean 503 to S3 clients.
//
// Other elements of the document are dropped: they speak of the backend's request and of the credentials used for it.
func DecodeError(status int, body []byte) *Error {
	code, message := scanError(body)
	e := ErrorByCode(code)
	switch {
	case e != nil && e.Status < http.StatusBadRequest:
		e = ErrInternalError.clone() // NotModified is the word of an answer that has no document
	case e != nil:
		e = e.clone()
	case code != "":
		e = &Error{Code: code, Message: http.StatusText(status), Status: http.StatusInternalServerError}
	default:
		e = errorByStatus(status).clone()
	}
	if status >= http.StatusBadRequest {
		e.Status = status
	}
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout:
		e.Status = http.StatusServiceUnavailable
	}
	e.Message = cmp.Or(message, e.Message, http.StatusText(e.Status), e.Code)
	return e
}

func errorByStatus(status int) *Error {
	switch status {
	case http.StatusNotModified:
		return ErrNotModified
	case http.StatusBadRequest:
		return ErrInvalidRequest
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrAccessDenied
	case http.StatusNotFound:
		return ErrNoSuchKey
	case http.StatusMethodNotAllowed:
		return ErrMethodNotAllowed
	case http.StatusRequestTimeout:
		return ErrRequestTimeout
	case http.StatusConflict:
		return ErrOperationAborted
	case http.StatusLengthRequired:
		return ErrMissingContentLength
	case http.StatusPreconditionFailed:
		return ErrPreconditionFailed
	case http.StatusRequestEntityTooLarge:
		return ErrEntityTooLarge
	case http.StatusRequestedRangeNotSatisfiable:
		return ErrInvalidRange
	case http.StatusTooManyRequests:
		return ErrSlowDown
	case http.StatusNotImplemented:
		return ErrNotImplemented
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return ErrServiceUnavailable
	}
	if status >= http.StatusBadRequest && status < http.StatusInternalServerError {
		return ErrInvalidRequest
	}
	return ErrInternalError
}

// scanError gives code and message of an <Error> document, "" for what it cannot find. What was read before the document broke off counts.
func scanError(body []byte) (code, message string) {
	s := newScanner(body, backendXML)
	root, err := s.root()
	if err != nil || string(root) != "Error" {
		return "", ""
	}
	_ = s.children(func(name []byte) error { // a broken document has given what it could
		var err error
		switch string(name) {
		case "Code":
			code, err = s.text()
		case "Message":
			message, err = s.text()
		}
		return err
	})
	return strings.TrimSpace(code), strings.TrimSpace(message)
}
