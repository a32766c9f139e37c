package s3api

import (
	"net/http"
	"time"
)

// FormatTime gives the form of times in S3's XML: UTC with milliseconds, "2006-01-02T15:04:05.000Z".
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// FormatHTTPTime gives the form of times in headers (RFC 9110 section 5.6.7), such as Last-Modified: whole seconds, in GMT.
func FormatHTTPTime(t time.Time) string { return t.UTC().Format(http.TimeFormat) }
