package s3api

import "strings"

// How a '+' is read.
type plusMode bool

const (
	plusIsSpace plusMode = true  // in query strings, and in what AWS decodes as one
	plusIsPlus  plusMode = false // in paths
)

// How a '/' is written.
type slashMode bool

const (
	slashEscaped slashMode = true
	slashKept    slashMode = false
)

const upperHex = "0123456789ABCDEF"

// EscapePath escapes each byte of a key for the path of a request, as AWS's UriEncode does: letters, digits, '-', '.', '_', '~' and '/' stay.
// See "Authenticating Requests: Using the Authorization Header" in the Amazon S3 API Reference.
func EscapePath(key string) string { return escape(key, slashKept) }

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

func escape(s string, slash slashMode) string {
	n := 0
	for i := range len(s) {
		if !unreserved(s[i]) && (s[i] != '/' || slash == slashEscaped) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; unreserved(c) || c == '/' && slash == slashKept {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}

// unescape decodes percent-encoding once. It says no to a '%' that is not followed by two hexadecimal digits.
func unescape(s string, plus plusMode) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && (plus == plusIsPlus || strings.IndexByte(s, '+') < 0) {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) {
				return "", false
			}
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			b = append(b, byte(hi<<4|lo))
			i += 2
		case c == '+' && plus == plusIsSpace:
			b = append(b, ' ')
		default:
			b = append(b, c)
		}
	}
	return string(b), true
}

// unhex gives the value of a hexadecimal digit, -1 for anything else.
func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}
