package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

const (
	algorithmV4 = "AWS4-HMAC-SHA256"
	serviceS3   = "s3"
	terminator  = "aws4_request"

	emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// credential is the parsed Credential of a Version 4 signature: AKID/day/region/service/aws4_request.
type credential struct {
	accessKeyID          string
	day, region, service string
	terminator           string
}

// scope is what the signing key is bound to.
func (c credential) scope() string {
	return c.day + "/" + c.region + "/" + c.service + "/" + c.terminator
}

// parseCredential reads from the right, so that an access key may hold slashes. complain wraps a text into the error of the place where the
// credential stood. Any region will do: clients are configured with regions that mean nothing here, and the signature covers the word.
func parseCredential(s string, complain func(text string) *Error) (credential, error) {
	fields := strings.Split(s, "/")
	n := len(fields)
	if n < 5 {
		return credential{}, complain(`the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`)
	}
	c := credential{
		accessKeyID: strings.Join(fields[:n-4], "/"),
		day:         fields[n-4],
		region:      fields[n-3],
		service:     fields[n-2],
		terminator:  fields[n-1],
	}
	if c.accessKeyID == "" {
		return credential{}, complain(`the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`)
	}
	if _, err := time.Parse(dayFormat, c.day); err != nil {
		return credential{}, complain(`incorrect date format "` + c.day + `". This date in the credential must be in the format "yyyyMMdd".`)
	}
	if c.service != serviceS3 {
		return credential{}, complain(`incorrect service "` + c.service + `". This endpoint belongs to "s3".`)
	}
	if c.terminator != terminator {
		return credential{}, complain(`incorrect terminal "` + c.terminator + `". This endpoint uses "aws4_request".`)
	}
	return c, nil
}

// claim is all that a Version 4 request says about its own signature, wherever it says it.
type claim struct {
	scheme        Scheme
	credential    credential
	signedHeaders string // as sent: names with ";" between
	signature     string // hex, as sent
	signed        time.Time
	payload       string // x-amz-content-sha256 or what stands for it
	path, query   string // canonical
	// rawPath is the path as sent. A client that signs the very spelling it sends ("%2F" inside a key) is believed too: the
	// signature covers the request line either way.
	rawPath string
}

func (c claim) canonicalRequest(r *http.Request) string {
	headers := canonicalHeaders(r, strings.Split(c.signedHeaders, ";"))
	return strings.Join([]string{r.Method, c.path, c.query, headers, c.signedHeaders, c.payload}, "\n")
}

func (c claim) stringToSign(canonicalRequest string) string {
	sum := sha256.Sum256([]byte(canonicalRequest))
	return strings.Join([]string{algorithmV4, c.signed.UTC().Format(timeFormat), c.credential.scope(), hex.EncodeToString(sum[:])}, "\n")
}

// verifyClaim compares the signature with the one that the secret gives. Times have been judged already.
func (v *Verifier) verifyClaim(r *http.Request, c claim) (*Auth, error) {
	p, err := parsePayload(c.payload)
	if err != nil {
		return nil, err
	}
	secret, err := v.secret(r.Context(), c.credential.accessKeyID)
	if err != nil {
		return nil, err
	}
	key, remember := v.keys.signingKey(secret, c.credential)
	request := c.canonicalRequest(r)
	text := c.stringToSign(request)
	want := hex.EncodeToString(hmacSHA256(key[:], text))
	if !hmac.Equal([]byte(want), []byte(c.signature)) {
		raw := c
		raw.path = c.rawPath
		want = hex.EncodeToString(hmacSHA256(key[:], c.stringToSign(raw.canonicalRequest(r))))
		if !hmac.Equal([]byte(want), []byte(c.signature)) {
			return nil, mismatch(c.credential.accessKeyID, text, c.signature, request, r.Header)
		}
	}
	remember()
	return &Auth{
		scheme:      c.scheme,
		accessKeyID: c.credential.accessKeyID,
		payload:     p,
		seed:        newChainSeed(key, c.signed, c.credential, want),
	}, nil
}

// mismatch shows the client what was signed here, as S3 does: it is the only way to find out what a client or a hop on the way did otherwise.
// canonicalRequest is "" for Version 2.
func mismatch(accessKeyID, stringToSign, provided, canonicalRequest string, h http.Header) error {
	e := ErrSignatureDoesNotMatch.with("AWSAccessKeyId", accessKeyID).
		with("StringToSign", stringToSign).
		with("SignatureProvided", provided).
		with("StringToSignBytes", hexBytes(stringToSign))
	if canonicalRequest == "" || carriesKey(h) {
		return e
	}
	return e.with("CanonicalRequest", canonicalRequest).with("CanonicalRequestBytes", hexBytes(canonicalRequest))
}

// carriesKey tells requests whose canonical form would repeat a customer's encryption key.
func carriesKey(h http.Header) bool {
	for _, name := range []string{"X-Amz-Server-Side-Encryption-Customer-Key", "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key"} {
		if len(h[name]) > 0 {
			return true
		}
	}
	return false
}

// hexBytes spells out the bytes in pairs of digits, as S3 does in its answers.
func hexBytes(s string) string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 3*len(s))
	for i := range len(s) {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, digits[s[i]>>4], digits[s[i]&15])
	}
	return string(b)
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(text)) // a hash.Hash never fails
	return h.Sum(nil)
}
