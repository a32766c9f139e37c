package s3api

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Conditions are those of a read, or of the source of a copy. The zero value has none.
type Conditions struct {
	// ifMatch and ifNoneMatch are the lists as sent, joined by commas.
	ifMatch, ifNoneMatch string
	// The times are zero where the header is missing or is no HTTP date; then it does not count (RFC 9110 sections 13.1.3 and 13.1.4).
	ifModifiedSince, ifUnmodifiedSince time.Time
	// prefix is that of the headers, for the Condition element of errors.
	prefix string
}

const copySourcePrefix = "x-amz-copy-source-"

// maxConditionLength bounds a list of entity tags, in bytes. AWS takes 8 KiB of headers in all.
const maxConditionLength = 8 << 10

// ParseConditions reads If-Match, If-None-Match, If-Modified-Since and If-Unmodified-Since of a GET or HEAD.
func ParseConditions(h http.Header) (Conditions, *Error) { return parseConditions(h, "") }

// ParseCopySourceConditions reads the same four as x-amz-copy-source-if-..., which speak of the source of a copy.
func ParseCopySourceConditions(h http.Header) (Conditions, *Error) {
	return parseConditions(h, copySourcePrefix)
}

func parseConditions(h http.Header, prefix string) (Conditions, *Error) {
	c := Conditions{
		ifMatch:           strings.Join(h.Values(prefix+"If-Match"), ","),
		ifNoneMatch:       strings.Join(h.Values(prefix+"If-None-Match"), ","),
		ifModifiedSince:   parseHTTPTime(h.Get(prefix + "If-Modified-Since")),
		ifUnmodifiedSince: parseHTTPTime(h.Get(prefix + "If-Unmodified-Since")),
		prefix:            prefix,
	}
	if len(c.ifMatch) > maxConditionLength || len(c.ifNoneMatch) > maxConditionLength {
		return Conditions{}, ErrRequestHeaderSectionTooLarge
	}
	return c, nil
}

// parseHTTPTime reads the three forms of RFC 9110 section 5.6.7. Anything else gives the zero time.
func parseHTTPTime(s string) time.Time {
	if s == "" {
		return time.Time{} // parsing nothing makes three errors
	}
	t, err := http.ParseTime(s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// Empty says whether there is nothing to judge.
func (c Conditions) Empty() bool {
	return c.ifMatch == "" && c.ifNoneMatch == "" && c.ifModifiedSince.IsZero() && c.ifUnmodifiedSince.IsZero()
}

// failed gives the condition that does not hold for an existing object ("" if all do), and whether it is one that asks for something newer.
// The order is that of RFC 9110 section 13.2.2: If-Match that holds makes If-Unmodified-Since void, If-None-Match that holds makes
// If-Modified-Since void. Times count in whole seconds, as Last-Modified shows them.
func (c Conditions) failed(etag string, lastModified time.Time) (name string, newer bool) {
	lastModified = lastModified.Truncate(time.Second)
	switch {
	case c.ifMatch != "":
		if !matchETag(c.ifMatch, etag) {
			return "If-Match", false
		}
	case !c.ifUnmodifiedSince.IsZero() && lastModified.After(c.ifUnmodifiedSince):
		return "If-Unmodified-Since", false
	}
	switch {
	case c.ifNoneMatch != "":
		if matchETag(c.ifNoneMatch, etag) {
			return "If-None-Match", true
		}
	case !c.ifModifiedSince.IsZero() && !lastModified.After(c.ifModifiedSince):
		return "If-Modified-Since", true
	}
	return "", false
}

// Read judges a GET or HEAD of an existing object: 0 to go on, 304 or 412. etag is unquoted.
func (c Conditions) Read(etag string, lastModified time.Time) int {
	switch name, newer := c.failed(etag, lastModified); {
	case name == "":
		return 0
	case newer:
		return http.StatusNotModified
	default:
		return http.StatusPreconditionFailed
	}
}

// Check is Read as an error: nil, ErrNotModified or ErrPreconditionFailed with the Condition that AWS names.
func (c Conditions) Check(etag string, lastModified time.Time) *Error {
	switch name, newer := c.failed(etag, lastModified); {
	case name == "":
		return nil
	case newer:
		return ErrNotModified
	default:
		return preconditionFailed(c.prefix + name)
	}
}

// Source judges the source of a copy, where every failure is 412 (CopyObject, Amazon S3 API Reference).
func (c Conditions) Source(etag string, lastModified time.Time) *Error {
	if name, _ := c.failed(etag, lastModified); name != "" {
		return preconditionFailed(c.prefix + name)
	}
	return nil
}

func preconditionFailed(condition string) *Error {
	return ErrPreconditionFailed.Field("Condition", condition)
}

// WriteConditions are those of PutObject, CopyObject's destination and CompleteMultipartUpload.
type WriteConditions struct {
	// IfMatch is the list as sent, "" for none; "*" asks for any existing object.
	IfMatch string
	// IfNoneMatch is the list as sent, "" for none; "*" asks that no object exists.
	IfNoneMatch string
}

// ParseWriteConditions reads If-Match and If-None-Match of a write. As on AWS, only one of the two may be sent. If-None-Match may name entity
// tags, which AWS refuses and Ceph RGW takes. The conditions on time, which S3 does not have for writes, are refused: a client that sends one
// relies on it.
func ParseWriteConditions(h http.Header) (WriteConditions, *Error) {
	c := WriteConditions{IfMatch: strings.Join(h.Values("If-Match"), ","), IfNoneMatch: strings.Join(h.Values("If-None-Match"), ",")}
	switch {
	case c.IfMatch != "" && c.IfNoneMatch != "":
		return WriteConditions{}, notImplementedHeader("If-Match,If-None-Match", "Multiple conditional request headers present in the request")
	case len(c.IfMatch) > maxConditionLength, len(c.IfNoneMatch) > maxConditionLength:
		return WriteConditions{}, ErrRequestHeaderSectionTooLarge
	}
	for _, name := range []string{"If-Modified-Since", "If-Unmodified-Since"} {
		if h.Get(name) != "" {
			return WriteConditions{}, notImplementedHeader(name, "")
		}
	}
	return c, nil
}

func notImplementedHeader(header, more string) *Error {
	e := ErrNotImplemented.Field("Header", header)
	if more != "" {
		e = e.Field("additionalMessage", more)
	}
	return e
}

// Empty says whether there is nothing to judge.
func (c WriteConditions) Empty() bool { return c == WriteConditions{} }

// Check judges a write over what stands under the key now: nothing (exists false), or an object with the unquoted etag.
func (c WriteConditions) Check(exists bool, etag string) *Error {
	switch {
	case c.IfNoneMatch != "" && exists && matchETag(c.IfNoneMatch, etag):
		return preconditionFailed("If-None-Match")
	case c.IfMatch != "" && !exists:
		return ErrNoSuchKey
	case c.IfMatch != "" && !matchETag(c.IfMatch, etag):
		return preconditionFailed("If-Match")
	}
	return nil
}

// DeleteConditions are those of DeleteObject and of one object in DeleteObjects.
type DeleteConditions struct {
	// IfMatch is the list as sent, "" for none.
	IfMatch string
	// Size is -1 for no condition.
	Size int64
	// LastModified is zero for no condition.
	LastModified time.Time
}

// ParseDeleteConditions reads If-Match, x-amz-if-match-size and x-amz-if-match-last-modified-time.
func ParseDeleteConditions(h http.Header) (DeleteConditions, *Error) {
	c := DeleteConditions{IfMatch: strings.Join(h.Values("If-Match"), ","), Size: -1}
	if len(c.IfMatch) > maxConditionLength {
		return DeleteConditions{}, ErrRequestHeaderSectionTooLarge
	}
	if v := h.Get("X-Amz-If-Match-Size"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			return DeleteConditions{}, invalidArgument("The value of x-amz-if-match-size is not a size in bytes.", "x-amz-if-match-size", v)
		}
		c.Size = n
	}
	if v := h.Get("X-Amz-If-Match-Last-Modified-Time"); v != "" {
		if c.LastModified = parseHTTPTime(v); c.LastModified.IsZero() {
			return DeleteConditions{}, invalidArgument("The value of x-amz-if-match-last-modified-time is not a date.", "x-amz-if-match-last-modified-time", v)
		}
	}
	return c, nil
}

// Empty says whether there is nothing to judge.
func (c DeleteConditions) Empty() bool {
	return c.IfMatch == "" && c.Size < 0 && c.LastModified.IsZero()
}

// Check judges the deletion of an existing object. What to do when there is none is the caller's: a deletion of nothing succeeds in S3.
func (c DeleteConditions) Check(etag string, size int64, lastModified time.Time) *Error {
	switch {
	case c.IfMatch != "" && !matchETag(c.IfMatch, etag):
		return preconditionFailed("If-Match")
	case c.Size >= 0 && c.Size != size:
		return preconditionFailed("If-Match-Size")
	case !c.LastModified.IsZero() && !c.LastModified.Equal(lastModified.Truncate(time.Second)):
		return preconditionFailed("If-Match-Last-Mod-Time")
	}
	return nil
}
