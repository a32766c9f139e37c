// Package sigv4 verifies who sent an S3 request and that its body is the one that was signed.
//
// Verify judges a request by its head alone: Signature Version 4 in the Authorization header or in the query string (presigned URLs), and
// Signature Version 2 in both places, which older tools still make. A request with credentials of any kind is either verified or refused;
// only one that carries none is anonymous. Body then gives the payload, decoded from the framing it came in. It gives io.EOF only once the
// declared length, every signature and every checksum have been found right, so whoever stores what it reads must make the last step, the one
// that makes the object visible, wait for io.EOF.
//
// Sources: "Authenticating Requests (AWS Signature Version 4)" and "Signing and Authenticating REST Requests (Version 2)" of the Amazon S3
// API Reference, and the error texts that S3 sends.
package sigv4

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// maxSkew is how far a signing time in a header may be from the clock, on either side. It also bounds presigned URLs from the future.
const maxSkew = 15 * time.Minute

// SecretSource finds the secret of an access key.
type SecretSource interface {
	// Secret gives the secret access key. Where the access key is unknown the error matches ErrUnknownAccessKey; any other error means that
	// the answer cannot be had now, and Verify passes it on, wrapped. It is called concurrently, and before anything is verified, so the
	// access key may be any string.
	Secret(ctx context.Context, accessKeyID string) (secret string, err error)
}

// Config is what a Verifier is made from.
type Config struct {
	Secrets SecretSource
	// Clock gives the time that signatures are judged by; nil is time.Now.
	Clock func() time.Time
	// Bucket gives the bucket that a virtual-hosted Host names, or "" for path style. Version 2 signs the bucket, so without Bucket (nil)
	// Version 2 requests verify in path style only. Version 4 has no need of it.
	Bucket func(host string) string
}

// Verifier verifies requests. It may be used concurrently.
type Verifier struct {
	secrets SecretSource
	clock   func() time.Time
	bucket  func(host string) string
	keys    keyCache
}

// New makes a Verifier.
func New(c Config) *Verifier {
	v := &Verifier{secrets: c.Secrets, clock: c.Clock, bucket: c.Bucket}
	if v.clock == nil {
		v.clock = time.Now
	}
	if v.bucket == nil {
		v.bucket = func(string) string { return "" }
	}
	return v
}

// Scheme is the way in which a request was authenticated.
type Scheme uint8

// The schemes; the zero value is the one that proves nothing.
const (
	Anonymous Scheme = iota
	HeaderV4         // Authorization: AWS4-HMAC-SHA256 ...
	QueryV4          // ?X-Amz-Signature=..., a presigned URL
	HeaderV2         // Authorization: AWS key:signature
	QueryV2          // ?Signature=..., a presigned URL of Version 2
	FormV4           // x-amz-signature in a browser form, over its policy
	FormV2           // signature in a browser form, over its policy
)

// String gives the scheme's name, as logs and metrics use it.
func (s Scheme) String() string {
	names := [...]string{"anonymous", "header-v4", "query-v4", "header-v2", "query-v2", "form-v4", "form-v2"}
	if int(s) >= len(names) {
		return "unknown"
	}
	return names[s]
}

// Auth is the verified head of one request. It belongs to that request and holds a signing key: it must not be logged or kept.
type Auth struct {
	scheme      Scheme
	accessKeyID string
	payload     payload
	hoisted     http.Header
	seed        *chainSeed // of Version 4, where there are signatures within the body: what they continue from; else nil
}

// AccessKeyID names the verified credential; "" for an anonymous request.
func (a *Auth) AccessKeyID() string { return a.accessKeyID }

// Anonymous says that the request carried no credentials at all.
func (a *Auth) Anonymous() bool { return a.scheme == Anonymous }

// Scheme says how the request was authenticated.
func (a *Auth) Scheme() Scheme { return a.scheme }

// Hoisted gives the headers that a presigned URL carries as parameters, as SDKs do with metadata, ACLs, storage classes and tags. The signature
// covers them; S3 takes them for headers where the request has no header of that name. Checksums are left out, since S3 ignores them there: SDKs
// that presign a PUT put the checksum of an empty body into the URL. It is nil for requests signed in the header.
func (a *Auth) Hoisted() http.Header { return a.hoisted }

// Verify judges the head of a request, and never touches its body. Errors are *Error, apart from those of the SecretSource.
func (v *Verifier) Verify(r *http.Request) (*Auth, error) {
	path, rawQuery := requestTarget(r)
	query, err := parseQuery(rawQuery)
	if err != nil {
		return nil, err
	}
	scheme, err := mechanism(r, query)
	if err != nil {
		return nil, err
	}
	switch scheme {
	case HeaderV4:
		return v.verifyHeader(r, path, query)
	case QueryV4:
		return v.verifyPresigned(r, path, query)
	case HeaderV2:
		return v.verifyHeaderV2(r, path, query)
	case QueryV2:
		return v.verifyPresignedV2(r, path, query)
	default:
		return unsignedAuth(r, Anonymous, "")
	}
}

// unsignedAuth is for requests whose signature, if any, says nothing about the payload: it is unsigned unless its header says otherwise.
func unsignedAuth(r *http.Request, scheme Scheme, accessKeyID string) (*Auth, error) {
	declared, given, err := oneHeader(r.Header, headerContentSHA256)
	if err != nil {
		return nil, err
	}
	if !given {
		declared = unsignedPayload
	}
	p, err := parsePayload(declared)
	if err != nil {
		return nil, err
	}
	return &Auth{scheme: scheme, accessKeyID: accessKeyID, payload: p}, nil
}

// mechanism finds where the request carries its credentials. Any trace of them counts, even a broken one, so that a damaged signature is an
// error and not an anonymous request.
func mechanism(r *http.Request, query []parameter) (Scheme, error) {
	authorization, queryV4, queryV2 := r.Header["Authorization"], hasAny(query, traceV4...), hasAny(query, traceV2...)
	switch {
	case len(authorization) > 1, len(authorization) == 1 && (queryV4 || queryV2), queryV4 && queryV2:
		return Anonymous, badAuthorization("Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified",
			strings.Join(authorization, ","))
	case len(authorization) == 1:
		return authorizationScheme(authorization[0])
	case queryV4:
		return QueryV4, nil
	case queryV2:
		return QueryV2, nil
	default:
		return Anonymous, nil
	}
}

// The parameters that betray a presigned URL. Never written to.
var (
	traceV4 = []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"}
	traceV2 = []string{"AWSAccessKeyId", "Signature"}
)

// authorizationScheme tells the version of an Authorization header by its first word.
func authorizationScheme(authorization string) (Scheme, error) {
	word, _, found := strings.Cut(authorization, " ")
	switch {
	case !found || word == "":
		return Anonymous, badAuthorization("Authorization header is invalid -- one and only one ' ' (space) required", authorization)
	case word == algorithmV4:
		return HeaderV4, nil
	case word == "AWS":
		return HeaderV2, nil
	case strings.HasPrefix(word, "AWS4-"):
		return Anonymous, errUnsupportedMechanism
	default:
		return Anonymous, badAuthorization("Unsupported Authorization Type", authorization)
	}
}

// badAuthorization is S3's word for an Authorization header that is none of its own. It gives the header back to whoever sent it.
func badAuthorization(text, header string) *Error {
	return ErrInvalidArgument.say(text).with("ArgumentName", "Authorization").with("ArgumentValue", header)
}

// secret looks up the secret of an access key; an empty one counts as none, since anyone can sign with it.
func (v *Verifier) secret(ctx context.Context, accessKeyID string) (string, error) {
	secret, err := v.secrets.Secret(ctx, accessKeyID)
	switch {
	case errors.Is(err, ErrUnknownAccessKey), err == nil && secret == "":
		return "", ErrUnknownAccessKey.with("AWSAccessKeyId", accessKeyID)
	case err != nil:
		return "", fmt.Errorf("look up secret of access key: %w", err)
	}
	return secret, nil
}

// checkSkew refuses a signing time too far from the clock on either side.
func checkSkew(now, signed time.Time) error {
	if skew := now.Sub(signed).Abs(); skew > maxSkew {
		return ErrRequestTimeTooSkewed.with("RequestTime", signed.UTC().Format(timeFormat)).
			with("ServerTime", now.UTC().Format(time.RFC3339)).
			with("MaxAllowedSkewMilliseconds", fmt.Sprint(maxSkew.Milliseconds()))
	}
	return nil
}

// refuseToken refuses temporary credentials: nothing here issues them, so any session token is one that is not known.
func refuseToken(token string) error {
	if token != "" {
		return ErrInvalidToken
	}
	return nil
}
