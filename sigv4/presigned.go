package sigv4

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxExpires is the longest life of a presigned URL, in seconds: seven days.
const maxExpires = 7 * 24 * 60 * 60

// queryMalformed gives S3's error for authentication parameters that cannot be read.
func queryMalformed(text string) *Error { return ErrAuthorizationQueryParameters.say(text) }

// credentialMalformed is queryMalformed for the one parameter that has parts of its own.
func credentialMalformed(text string) *Error {
	return queryMalformed("Error parsing the X-Amz-Credential parameter; " + text)
}

// verifyPresigned judges a Version 4 signature in the query. Every parameter but the signature itself is signed.
func (v *Verifier) verifyPresigned(r *http.Request, path string, query []parameter) (*Auth, error) {
	c, expires, err := parsePresigned(query)
	if err != nil {
		return nil, err
	}
	if err := checkExpiry(v.clock(), c.signed, expires); err != nil {
		return nil, err
	}
	token, _ := lookup(query, headerToken)
	if err := refuseToken(token + strings.Join(r.Header[headerToken], "")); err != nil {
		return nil, err
	}
	if err := checkSigned(r, c.signedHeaders, "", queryMalformed); err != nil {
		return nil, err
	}
	if c.payload, err = presignedPayload(r.Header, query); err != nil {
		return nil, err
	}
	c.rawPath = path
	if c.path, err = canonicalPath(path); err != nil {
		return nil, err
	}
	c.query = canonicalQuery(query, "X-Amz-Signature")
	auth, err := v.verifyClaim(r, c)
	if err != nil {
		return nil, err
	}
	auth.hoisted = hoistedHeaders(query)
	return auth, nil
}

// hoistedHeaders collects the x-amz- headers among the signed parameters.
func hoistedHeaders(query []parameter) http.Header {
	h := make(http.Header)
	for _, p := range query {
		switch name := strings.ToLower(p.name); {
		case !strings.HasPrefix(name, "x-amz-"), strings.HasPrefix(name, "x-amz-checksum-"):
		case slices.Contains(notHoisted, name):
		default:
			h.Add(name, p.value)
		}
	}
	return h
}

// notHoisted are the x-amz- parameters that are no headers, or whose meaning is used up here. Never written to.
var notHoisted = []string{
	"x-amz-algorithm", "x-amz-credential", "x-amz-signature", "x-amz-date", "x-amz-signedheaders", "x-amz-expires",
	"x-amz-security-token", "x-amz-content-sha256", "x-amz-sdk-checksum-algorithm", "x-amz-trailer", "x-amz-decoded-content-length",
}

// presignedPayload finds the payload hash that was signed. Most URLs leave the payload open; a header, which checkSigned has found signed, or
// a parameter of the same name may fix it.
func presignedPayload(h http.Header, query []parameter) (string, error) {
	declared, given, err := oneHeader(h, headerContentSHA256)
	if err != nil || given {
		return declared, err
	}
	switch value, count := lookup(query, headerContentSHA256); count {
	case 0:
		return unsignedPayload, nil
	case 1:
		return value, nil
	default:
		return "", queryMalformed("X-Amz-Content-Sha256 was given more than once")
	}
}

// parsePresigned reads the six parameters, each of which must be there once.
func parsePresigned(query []parameter) (c claim, expires time.Duration, err error) {
	names := [...]string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires"}
	var values [len(names)]string
	for i, name := range names {
		value, count := lookup(query, name)
		if count != 1 || value == "" {
			return claim{}, 0, queryMalformed("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
		}
		values[i] = value
	}
	if values[0] != algorithmV4 {
		return claim{}, 0, queryMalformed(`X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`)
	}
	c = claim{scheme: QueryV4, signature: values[2], signedHeaders: values[4]}
	if c.credential, err = parseCredential(values[1], credentialMalformed); err != nil {
		return claim{}, 0, err
	}
	if c.signed, err = time.Parse(timeFormat, values[3]); err != nil {
		return claim{}, 0, queryMalformed(`X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
	}
	if day := c.signed.Format(dayFormat); day != c.credential.day {
		return claim{}, 0, queryMalformed(`Invalid credential date "` + c.credential.day + `". This date is not the same as X-Amz-Date: "` + day + `".`)
	}
	expires, err = parseExpires(values[5])
	return c, expires, err
}

func parseExpires(s string) (time.Duration, error) {
	seconds, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		return 0, queryMalformed("X-Amz-Expires should be a number")
	case seconds < 0:
		return 0, queryMalformed("X-Amz-Expires must be non-negative")
	case seconds > maxExpires:
		return 0, queryMalformed("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
	}
	return time.Duration(seconds) * time.Second, nil
}

// checkExpiry lets a URL live from its date, give or take the skew of the signer's clock, up to but not including date + expires.
func checkExpiry(now, signed time.Time, expires time.Duration) error {
	if signed.Sub(now) > maxSkew {
		return ErrAccessDenied.say("Request is not valid yet").
			with("X-Amz-Date", signed.Format(timeFormat)).
			with("ServerTime", now.UTC().Format(time.RFC3339))
	}
	if end := signed.Add(expires); !now.Before(end) {
		return errExpired.with("X-Amz-Expires", strconv.FormatInt(int64(expires/time.Second), 10)).
			with("Expires", end.Format(time.RFC3339)).
			with("ServerTime", now.UTC().Format(time.RFC3339))
	}
	return nil
}
