package s3api

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// Error is an S3 error: what an <Error> document says, with its status. The values of the catalogue (ErrNoSuchKey ...) are shared and must
// not be changed; With, Field and WithHeader give changed copies. Two errors are the same to errors.Is when their codes are.
type Error struct {
	// Code is AWS's word for the error, such as "NoSuchKey". SDKs decide by it.
	Code string
	// Message is for people; never empty in an answer, since some clients break on that.
	Message string
	// Status is the HTTP status.
	Status int
	// Fields are further elements of the document in order, such as ArgumentName. Never secrets: they go to the client.
	Fields [][2]string
	// Header holds further headers of the answer, such as Content-Range. May be nil.
	Header http.Header
}

// Error implements error. It names neither bucket nor key: those would end up in logs.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Is makes errors.Is compare by Code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t != nil && e.Code == t.Code
}

// With gives a copy with another message.
func (e *Error) With(message string) *Error {
	c := e.clone()
	c.Message = message
	return c
}

// Field gives a copy with one more element. The name must be a valid XML name.
func (e *Error) Field(name, value string) *Error {
	c := e.clone()
	c.Fields = append(c.Fields, [2]string{name, value})
	return c
}

// WithHeader gives a copy with a header of the answer set.
func (e *Error) WithHeader(name, value string) *Error {
	c := e.clone()
	if c.Header == nil {
		c.Header = http.Header{}
	}
	c.Header.Set(name, value)
	return c
}

func (e *Error) clone() *Error {
	c := *e
	c.Fields = slices.Clone(e.Fields)
	c.Header = e.Header.Clone()
	return &c
}

// invalidArgument is AWS's form of InvalidArgument: it names the argument and gives back its value.
func invalidArgument(message, name, value string) *Error {
	return ErrInvalidArgument.With(message).Field("ArgumentName", name).Field("ArgumentValue", value)
}

// ErrorDocument gives the XML of e as it stands in the body of an answer, and, as an Error inside a 200, after white space. resource is the
// path as the client sent it.
func ErrorDocument(e *Error, resource, requestID, hostID string) []byte {
	d := newDocument()
	d.openRoot("Error", "")
	d.text("Code", e.Code)
	d.text("Message", xmlText(cmp.Or(e.Message, http.StatusText(e.Status), e.Code)))
	for _, f := range e.Fields {
		d.text(f[0], xmlText(f[1]))
	}
	if resource != "" {
		d.text("Resource", xmlText(resource))
	}
	d.text("RequestId", requestID)
	d.text("HostId", hostID)
	d.close("Error")
	return d.b
}

// xmlText replaces what XML 1.0 cannot carry. An error quotes what a client sent, and a client that cannot parse the document does not even
// learn the code.
func xmlText(s string) string {
	if ValidXMLText(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r != utf8.RuneError && !ValidXMLText(string(r)) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// WriteError answers a request with e. head says that the request was a HEAD: then there are status and headers only, as there are for 304
// (RFC 9110 section 15.4.5). A nil e is an InternalError, so that a slip never becomes a 200. Headers that are set on w already are kept;
// those that describe a body are not, since they were meant for another one.
func WriteError(w http.ResponseWriter, e *Error, resource, requestID, hostID string, head bool) {
	if e == nil {
		e = ErrInternalError
	}
	status := cmp.Or(e.Status, http.StatusInternalServerError)
	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Type", "Content-Range", "Content-Encoding", "Content-Disposition", "Content-Language"} {
		h.Del(name)
	}
	for name, values := range e.Header {
		h[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	setDefault(h, "X-Amz-Request-Id", requestID)
	setDefault(h, "X-Amz-Id-2", hostID)
	if status == http.StatusNotModified {
		w.WriteHeader(status)
		return
	}
	h.Set("Content-Type", "application/xml")
	if head {
		w.WriteHeader(status)
		return
	}
	doc := ErrorDocument(e, resource, requestID, hostID)
	setLength(h, len(doc))
	w.WriteHeader(status)
	_, _ = w.Write(doc) // the client is gone if this fails, and nobody else is there to be told
}

func setDefault(h http.Header, name, value string) {
	if h.Get(name) == "" && value != "" {
		h.Set(name, value)
	}
}
