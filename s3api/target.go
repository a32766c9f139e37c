package s3api

import "strings"

// target is the request line taken apart.
type target struct {
	level             level
	bucket, key       string
	rawPath, rawQuery string
}

// splitTarget takes a request target apart: origin-form ("/bucket/key?query"), or absolute-form ("http://host/bucket/key?query", RFC 9112
// section 3.2.2), whose host net/http has put in r.Host. host is the bucket that the Host header names, "" for path-style.
//
// Only the first slash, or the first two, separate; every other one belongs to the key. "/bucket/" is "/bucket". rawPath is filled in even
// with an error.
func splitTarget(uri, host string) (target, *Error) {
	path, rawQuery, _ := strings.Cut(uri, "?")
	if !strings.HasPrefix(path, "/") {
		_, rest, ok := strings.Cut(path, "://")
		if !ok {
			if path == "*" {
				return target{level: service, rawPath: path}, nil // OPTIONS *
			}
			return target{rawPath: path}, ErrInvalidURI
		}
		path = "/"
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			path = rest[i:]
		}
	}
	t := target{rawPath: path, rawQuery: rawQuery, bucket: host}
	rawKey := path[1:]
	if host == "" {
		if rawKey == "" {
			return t, nil
		}
		var rawBucket string
		rawBucket, rawKey, _ = strings.Cut(rawKey, "/")
		var ok bool
		if t.bucket, ok = unescape(rawBucket, plusIsPlus); !ok {
			return t, ErrInvalidURI
		}
	}
	if !ValidBucketName(t.bucket) {
		return t, ErrInvalidBucketName.Field("BucketName", t.bucket)
	}
	key, ok := unescape(rawKey, plusIsPlus)
	if !ok {
		return t, ErrInvalidURI
	}
	if t.level = bucket; key != "" {
		t.level, t.key = object, key
	}
	return t, checkKey(key)
}
