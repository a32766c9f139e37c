package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// scratch is room for the texts that one signature is made over, handed from one request to the next. A signed header may be a customer's
// key (SSE-C), so it is wiped in between.
type scratch struct {
	text  []byte
	names []string
	sum   [sha256.Size]byte
	mac   [signatureSize]byte
}

var scratches = sync.Pool{New: func() any { return &scratch{text: make([]byte, 0, 2<<10), names: make([]string, 0, 32)} }}

// maxScratch is what a scratch may have grown to, in bytes, and still be kept: an ordinary request, with its user metadata.
const maxScratch = 32 << 10

func (s *scratch) release() {
	clear(s.text[:cap(s.text)])
	clear(s.names)
	if cap(s.text) <= maxScratch {
		scratches.Put(s)
	}
}

// appendStringToSign is what the signing key signs: the canonical request's hash, bound to time and scope.
func appendStringToSign(b []byte, signed time.Time, c credential, sum *[sha256.Size]byte) []byte {
	b = append(b, algorithmV4+"\n"...)
	b = signed.UTC().AppendFormat(b, timeFormat)
	b = append(b, '\n')
	b = c.appendScope(b)
	b = append(b, '\n')
	return hex.AppendEncode(b, sum[:])
}

// appendHeader writes one header as "name:value" and a line end. The name is in lower case.
func appendHeader(b []byte, name string, values []string) []byte {
	b = append(appendLower(b, name), ':')
	for i, value := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, value)
	}
	return append(b, '\n')
}

// appendTrimmed is Trimall of the documentation: no space at either end, and none doubled within.
func appendTrimmed(b []byte, value string) []byte {
	value = strings.Trim(value, " \t")
	if !strings.Contains(value, "  ") {
		return append(b, value...)
	}
	space := false
	for i := range len(value) {
		c := value[i]
		if c == ' ' && space {
			continue
		}
		space = c == ' '
		b = append(b, c)
	}
	return b
}

// appendLower is strings.ToLower of a name of ASCII; any other byte stays as it is.
func appendLower(b []byte, s string) []byte {
	for i := range len(s) {
		b = append(b, lower(s[i]))
	}
	return b
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// compareLower puts names in the order that they have in lower case.
func compareLower(a, b string) int {
	for i := range min(len(a), len(b)) {
		if x, y := lower(a[i]), lower(b[i]); x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

// lookupHeader finds a header by a name of any case, as r.Header[http.CanonicalHeaderKey(name)] does, without making that name.
func lookupHeader(h http.Header, name string) ([]string, bool) {
	var buf [64]byte
	if len(name) > len(buf) {
		values, ok := h[http.CanonicalHeaderKey(name)]
		return values, ok
	}
	b, upper := buf[:0], true
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z' && upper:
			c -= 'a' - 'A'
		case 'A' <= c && c <= 'Z' && !upper:
			c += 'a' - 'A'
		case c == '-', '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		default: // rare, or in no header at all
			values, ok := h[http.CanonicalHeaderKey(name)]
			return values, ok
		}
		b, upper = append(b, c), c == '-'
	}
	values, ok := h[string(b)]
	return values, ok
}

// appendSent writes a header as the client sent it. net/http moves some out of r.Header: Host always, Transfer-Encoding and, depending on
// the protocol version, Content-Length and Expect.
func appendSent(b []byte, r *http.Request, name string) []byte {
	if strings.EqualFold(name, "Host") {
		return appendHeader(b, name, []string{r.Host})
	}
	values, ok := lookupHeader(r.Header, name)
	switch {
	case ok:
	case strings.EqualFold(name, "Content-Length") && r.ContentLength >= 0:
		values = []string{strconv.FormatInt(r.ContentLength, 10)}
	case strings.EqualFold(name, "Transfer-Encoding"):
		values = r.TransferEncoding
	case strings.EqualFold(name, "Expect") && r.ProtoMajor == 2: // the HTTP/2 server of net/http removes it once it has understood it
		values = []string{"100-continue"}
	}
	return appendHeader(b, name, values)
}
