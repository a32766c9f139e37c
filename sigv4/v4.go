package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
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
func (c credential) scope() string { return string(c.appendScope(nil)) }

func (c credential) appendScope(b []byte) []byte {
	b = append(append(b, c.day...), '/')
	b = append(append(b, c.region...), '/')
	b = append(append(b, c.service...), '/')
	return append(b, c.terminator...)
}

// parseCredential reads from the right, so that an access key may hold slashes. complain wraps a text into the error of the place where the
// credential stood. Any region will do: clients are configured with regions that mean nothing here, and the signature covers the word.
func parseCredential(s string, complain func(text string) *Error) (credential, error) {
	var c credential
	rest, whole := s, true
	for _, field := range []*string{&c.terminator, &c.service, &c.region, &c.day} {
		at := strings.LastIndexByte(rest, '/')
		if whole = whole && at >= 0; !whole {
			break
		}
		rest, *field = rest[:at], rest[at+1:]
	}
	if c.accessKeyID = rest; !whole || rest == "" {
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

// appendCanonicalRequest writes what the signature is over. The path is the canonical one or the raw one.
func (c claim) appendCanonicalRequest(b []byte, r *http.Request, path string) []byte {
	b = append(append(b, r.Method...), '\n')
	b = append(append(b, path...), '\n')
	b = append(append(b, c.query...), '\n')
	for name := range strings.SplitSeq(c.signedHeaders, ";") {
		b = appendSent(b, r, name)
	}
	b = append(append(b, '\n'), c.signedHeaders...)
	return append(append(b, '\n'), c.payload...)
}

// matches says whether the signature is the one of the request with this path.
func (c claim) matches(r *http.Request, path string, key *macKey, room *scratch) bool {
	room.text = c.appendCanonicalRequest(room.text[:0], r, path)
	room.sum = sha256.Sum256(room.text)
	room.text = appendStringToSign(room.text[:0], c.signed, c.credential, &room.sum)
	key.sign(room.text, room)
	return hmac.Equal(room.mac[:], []byte(c.signature))
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
	room := scratches.Get().(*scratch)
	defer room.release()
	if !c.matches(r, c.path, key, room) && (c.rawPath == c.path || !c.matches(r, c.rawPath, key, room)) {
		request := string(c.appendCanonicalRequest(nil, r, c.path))
		sum := sha256.Sum256([]byte(request))
		text := string(appendStringToSign(nil, c.signed, c.credential, &sum))
		return nil, mismatch(c.credential.accessKeyID, text, c.signature, request, r.Header)
	}
	remember()
	auth := &Auth{scheme: c.scheme, accessKeyID: c.credential.accessKeyID, payload: p}
	if p.mode.signed() {
		auth.seed = newChainSeed(key.signingKey, c.signed, c.credential, string(room.mac[:]))
	}
	return auth, nil
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
