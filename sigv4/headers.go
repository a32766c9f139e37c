package sigv4

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	headerContentSHA256 = "X-Amz-Content-Sha256"
	headerDate          = "X-Amz-Date"
	headerToken         = "X-Amz-Security-Token" //#nosec G101 -- the name of a header

	amzPrefix = "x-amz-"

	timeFormat = "20060102T150405Z" // ISO 8601 basic, UTC
	dayFormat  = "20060102"
)

// oneHeader gives a header that must not be repeated, since two values would let two readers see two requests.
func oneHeader(h http.Header, name string) (value string, given bool, err error) {
	switch values := h[name]; len(values) {
	case 0:
		return "", false, nil
	case 1:
		return strings.TrimSpace(values[0]), true, nil
	default:
		return "", true, ErrInvalidArgument.say("A header was given more than once").with("ArgumentName", strings.ToLower(name))
	}
}

// checkSigned demands a signature over Host and every x-amz- header: what is not signed, anyone on the way, or anyone who holds a presigned
// URL, could have added. Of Content-Type and other standard headers S3 demands nothing. A name listed twice is refused: it would let a short
// list make a canonical request without bounds. exempt is in lower case; complain makes the error for it.
func checkSigned(r *http.Request, signedHeaders, exempt string, complain func(text string) *Error) error {
	signed := map[string]bool{exempt: false}
	for name := range strings.SplitSeq(strings.ToLower(signedHeaders), ";") {
		if signed[name] {
			return complain("the header " + name + " is listed twice in SignedHeaders.")
		}
		signed[name] = true
	}
	var missing []string
	if !signed["host"] {
		missing = append(missing, "host")
	}
	for name := range r.Header {
		if len(name) < len(amzPrefix) || !strings.EqualFold(name[:len(amzPrefix)], amzPrefix) {
			continue
		}
		var buf [64]byte
		name := appendLower(buf[:0], name)
		if _, known := signed[string(name)]; !known {
			missing = append(missing, string(name))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return errHeadersNotSigned.with("HeadersNotSigned", strings.Join(missing, ", "))
}

// signingTime finds the time of a request signed in its header: x-amz-date, else Date.
func signingTime(h http.Header) (time.Time, error) {
	for _, name := range []string{headerDate, "Date"} {
		value, given, err := oneHeader(h, name)
		if err != nil {
			return time.Time{}, err
		}
		if given {
			if t, ok := parseTime(value); ok {
				return t, nil
			}
			return time.Time{}, errNoDate
		}
	}
	return time.Time{}, errNoDate
}

// parseTime reads the forms that clients use: ISO 8601 basic, and those of RFC 9110 section 5.6.7, also with a numeric zone or with "UTC" for
// "GMT", as rclone writes it.
func parseTime(s string) (time.Time, bool) {
	if t, err := time.Parse(timeFormat, s); err == nil {
		return t, true
	}
	if t, err := time.Parse(time.RFC1123Z, s); err == nil {
		return t, true
	}
	if utc, ok := strings.CutSuffix(s, " UTC"); ok {
		s = utc + " GMT"
	}
	t, err := http.ParseTime(s)
	return t, err == nil
}
