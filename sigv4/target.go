package sigv4

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// requestTarget gives path and query as they came over the wire. r.URL will not do: it has been decoded, and net/url drops what it cannot
// parse.
func requestTarget(r *http.Request) (path, query string) {
	target := r.RequestURI
	if target == "" && r.URL != nil { // a request that did not come through a server
		target = r.URL.RequestURI()
	}
	if scheme, rest, ok := strings.Cut(target, "://"); ok && !strings.ContainsAny(scheme, "/?") { // absolute form, RFC 9112 section 3.2.2
		target = "/"
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			target = rest[i:]
		}
	}
	path, query, _ = strings.Cut(target, "?")
	if path == "" {
		path = "/"
	}
	return path, query
}

// parameter is one name=value of the query, decoded.
type parameter struct {
	name, value string
	bare        bool // sent without "="
}

// parseQuery splits a raw query at "&" alone, since ";" is data to S3, and keeps order and repetitions. A "+" is a space.
func parseQuery(raw string) ([]parameter, error) {
	if raw == "" {
		return nil, nil
	}
	query := make([]parameter, 0, 1+strings.Count(raw, "&"))
	for piece := range strings.SplitSeq(raw, "&") {
		if piece == "" {
			continue
		}
		name, value, hasValue := strings.Cut(piece, "=")
		var ok [2]bool
		name, ok[0] = unescape(name, plusIsSpace)
		value, ok[1] = unescape(value, plusIsSpace)
		if !ok[0] || !ok[1] {
			return nil, ErrInvalidURI
		}
		query = append(query, parameter{name: name, value: value, bare: !hasValue})
	}
	return query, nil
}

// lookup gives the value of a parameter that may stand in the query but once. Names of signature parameters are matched whatever their case,
// so that no spelling slips by as unsigned.
func lookup(query []parameter, name string) (value string, count int) {
	for _, p := range query {
		if strings.EqualFold(p.name, name) {
			value = p.value
			count++
		}
	}
	return value, count
}

func hasAny(query []parameter, names ...string) bool {
	for _, name := range names {
		if _, count := lookup(query, name); count > 0 {
			return true
		}
	}
	return false
}

// canonicalQuery encodes and sorts the query by name, then value, leaving one parameter out ("" for none).
func canonicalQuery(query []parameter, without string) string {
	encoded := make([][2]string, 0, len(query))
	for _, p := range query {
		if without == "" || !strings.EqualFold(p.name, without) {
			encoded = append(encoded, [2]string{escape(p.name, slashIsEscaped), escape(p.value, slashIsEscaped)})
		}
	}
	slices.SortFunc(encoded, func(a, b [2]string) int {
		return cmp.Or(strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1]))
	})
	var b strings.Builder
	for i, p := range encoded {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p[0])
		b.WriteByte('=')
		b.WriteString(p[1])
	}
	return b.String()
}

// canonicalPath decodes the path and encodes it again by the rules of Version 4, so that it does not matter which bytes a client chose to
// escape. S3 encodes once and never cleans: "//" and "/../" are part of the key.
func canonicalPath(raw string) (string, error) {
	decoded, ok := unescape(raw, plusIsPlus)
	if !ok {
		return "", ErrInvalidURI
	}
	return escape(decoded, slashIsKept), nil
}

// Named arguments of escape and unescape.
const (
	slashIsEscaped = true
	slashIsKept    = false
	plusIsSpace    = true
	plusIsPlus     = false
)

// escape is UriEncode of the S3 documentation: every byte but A-Z a-z 0-9 - . _ ~ becomes %XX, in capitals.
func escape(s string, escapeSlash bool) string {
	const digits = "0123456789ABCDEF"
	extra := 0
	for i := range len(s) {
		if !isPlain(s[i], escapeSlash) {
			extra += 2
		}
	}
	if extra == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+extra)
	for i := range len(s) {
		if c := s[i]; isPlain(c, escapeSlash) {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

func isPlain(c byte, escapeSlash bool) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
		return true
	default:
		return c == '/' && !escapeSlash
	}
}

// unescape undoes %XX. It reports a broken escape instead of guessing what was meant.
func unescape(s string, plusIsSpace bool) (string, bool) {
	if !strings.Contains(s, "%") && (!plusIsSpace || !strings.Contains(s, "+")) {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) {
				return "", false
			}
			high, low := hexDigit(s[i+1]), hexDigit(s[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			b = append(b, byte(high<<4|low))
			i += 2
		case c == '+' && plusIsSpace:
			b = append(b, ' ')
		default:
			b = append(b, c)
		}
	}
	return string(b), true
}

// hexDigit gives the value of a hexadecimal digit of either case, or -1.
func hexDigit(c byte) int {
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
