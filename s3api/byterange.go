package s3api

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Range is a piece of an object: Len bytes from Off on, both in bytes of plaintext.
type Range struct {
	Off, Len int64
}

// ContentRange gives the Content-Range header of the range in an object of size bytes (RFC 9110 section 14.4). Len must not be 0.
func (r Range) ContentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", r.Off, r.Off+r.Len-1, size)
}

// ParseRange understands a Range header for an object of size bytes, as AWS does:
//
//   - ok means 206 with r, cut to the object. A suffix longer than the object is the whole object, as 206.
//   - not ok and no error means: ignore the header, answer 200 with everything. So for no header, another unit, several ranges, and what is
//     no range ("bytes=10-5", "bytes=abc").
//   - ErrInvalidRange (416, with "Content-Range: bytes */size") when the range begins behind the end, and for a suffix of 0 bytes.
//
// A zero-byte object has no satisfiable range; a suffix ("-5") is ignored there, everything else is 416.
func ParseRange(header string, size int64) (r Range, ok bool, err *Error) {
	first, last, ok := splitRange(header)
	if !ok {
		return Range{}, false, nil
	}
	if first == "" {
		return suffixRange(header, last, size)
	}
	off, end := number(first), int64(math.MaxInt64)
	if last != "" {
		if compareNumbers(last, first) < 0 {
			return Range{}, false, nil
		}
		end = number(last)
	}
	if off >= size {
		return Range{}, false, unsatisfiable(header, size)
	}
	return Range{off, min(end, size-1) - off + 1}, true, nil
}

// suffixRange is the last n bytes.
func suffixRange(header, digits string, size int64) (Range, bool, *Error) {
	n := number(digits)
	switch {
	case n == 0:
		return Range{}, false, unsatisfiable(header, size)
	case size == 0:
		return Range{}, false, nil
	}
	n = min(n, size)
	return Range{size - n, n}, true, nil
}

func unsatisfiable(header string, size int64) *Error {
	return ErrInvalidRange.Field("RangeRequested", header).Field("ActualObjectSize", strconv.FormatInt(size, 10)).
		WithHeader("Content-Range", "bytes */"+strconv.FormatInt(size, 10))
}

// splitRange takes "bytes=first-last" apart. Each side is a string of digits or empty, and not both are empty. Range units are
// case-insensitive (RFC 9110 section 14.1).
func splitRange(header string) (first, last string, ok bool) {
	unit, spec, ok := strings.Cut(header, "=")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return "", "", false
	}
	first, last, ok = strings.Cut(spec, "-")
	if !ok || !allDigits(first) || !allDigits(last) || first == "" && last == "" {
		return "", "", false
	}
	return first, last, true
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// number gives the value of digits; what does not fit is larger than any object, and stays so.
func number(digits string) int64 {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return math.MaxInt64
	}
	return n
}

// compareNumbers compares digits of any length by value.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// ParseCopySourceRange understands x-amz-copy-source-range, which is stricter than Range: "bytes=first-last", both there and both inside the
// source of size bytes; anything else is refused (UploadPartCopy, Amazon S3 API Reference). As on AWS, a range that lies behind the source
// altogether is InvalidRequest, and one that reaches out of it InvalidArgument.
func ParseCopySourceRange(header string, size int64) (Range, *Error) {
	first, last, ok := splitRange(header)
	if !ok || first == "" || last == "" || compareNumbers(last, first) < 0 {
		return Range{}, invalidArgument("The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy",
			"x-amz-copy-source-range", header)
	}
	off, end := number(first), number(last)
	switch {
	case off >= size:
		return Range{}, ErrInvalidRequest.With("The specified copy range is invalid for the source object size")
	case end >= size:
		return Range{}, invalidArgument("Range specified is not valid for source object of size: "+strconv.FormatInt(size, 10), "x-amz-copy-source-range", header)
	}
	return Range{off, end - off + 1}, nil
}
