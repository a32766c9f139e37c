package s3api

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxKeyLength is the longest key in bytes, after percent-decoding ("Object key names", Amazon S3 User Guide).
const MaxKeyLength = 1024

// ValidBucketName says whether name can be a bucket. It is looser than the rules for new buckets on AWS, because buckets made before those
// rules, and with the relaxed rules of Ceph RGW, must stay reachable: 3 to 255 letters, digits, '.', '-' and '_', not dots alone and not
// shaped like an IPv4 address. Whether a new bucket may have the name is left to the store behind.
func ValidBucketName(name string) bool {
	if len(name) < 3 || len(name) > 255 {
		return false
	}
	digitsAndDots, dots := true, 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			dots++
		case '0' <= c && c <= '9':
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '_':
			digitsAndDots = false
		default:
			return false
		}
	}
	if dots == len(name) {
		return false
	}
	return !digitsAndDots || dots != 3 || strings.Contains(name, "..") || name[0] == '.' || name[len(name)-1] == '.'
}

// checkKey judges a decoded key. AWS and Ceph RGW both refuse what is not UTF-8; NUL see the package comment.
func checkKey(key string) *Error {
	if len(key) > MaxKeyLength {
		return ErrKeyTooLongError.Field("Size", strconv.Itoa(len(key))).Field("MaxSizeAllowed", strconv.Itoa(MaxKeyLength))
	}
	if !utf8.ValidString(key) || strings.IndexByte(key, 0) >= 0 {
		return ErrInvalidURI
	}
	return nil
}
