// Package row holds what the SQL stores have in common: how values of package metadata stand in columns, and how a
// listing page becomes look-ups and their rows a page again.
package row

import (
	"crypto/sha256"
	"fmt"

	"cofre/checksum"
	"cofre/metadata"
)

// TypeCode is the number that stands for a checksum type in a column: a byte or two in every index entry instead of a word.
func TypeCode(t checksum.Type) (int16, error) {
	switch t {
	case "":
		return 0, nil
	case checksum.FullObject:
		return 1, nil
	case checksum.Composite:
		return 2, nil
	}
	return 0, fmt.Errorf("encode checksum type: unknown type %q", t)
}

// Type is the inverse of TypeCode. A number that this version does not know reads as no type.
func Type(code int16) checksum.Type {
	switch code {
	case 1:
		return checksum.FullObject
	case 2:
		return checksum.Composite
	}
	return ""
}

// EnvelopeHash is what records are unique by, beside bucket, key and version (docs/FORMAT.md section 8).
func EnvelopeHash(env metadata.Envelope) []byte {
	sum := sha256.Sum256(env[:])
	return sum[:]
}

// PrefixEnd is the smallest string greater than every string that begins with prefix, in byte order; ok is false where
// there is none (an empty prefix, or one of 0xff alone), so the range has no upper end.
func PrefixEnd(prefix string) (end string, ok bool) {
	b := []byte(prefix)
	for len(b) > 0 {
		if last := len(b) - 1; b[last] < 0xff {
			b[last]++
			return string(b), true
		}
		b = b[:len(b)-1]
	}
	return "", false
}
