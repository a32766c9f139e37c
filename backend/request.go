package backend

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"cofre/access"
	"cofre/proxy"
	"cofre/s3api"
)

const unsignedPayload = "UNSIGNED-PAYLOAD"

// userAgent is never written to.
var userAgent = []string{"cofre"}

// emptySHA256 is the payload hash of a request without a body.
var emptySHA256 = hex.EncodeToString(sha256.New().Sum(nil))

// build makes the HTTP request, all but its signature and its body.
func (c *Client) build(ctx context.Context, req *proxy.BackendRequest) *http.Request {
	header := make(http.Header, len(req.Header)+4) // room for what is added here and by the signer
	for name, values := range req.Header {
		header[http.CanonicalHeaderKey(name)] = values
	}
	header["User-Agent"] = userAgent

	path, between := s3api.EscapePath(req.Key), ""
	if path != "" {
		between = "/"
	}
	path = "/" + s3api.EscapePath(req.Bucket) + between + path
	r := new(http.Request).WithContext(ctx)
	r.Method, r.Header, r.Host, r.ContentLength = req.Method, header, c.hostHeader, req.Length
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	r.URL = &url.URL{
		Scheme: c.scheme,
		Host:   c.host,
		// Opaque is what net/http writes and what the signer signs, both without looking at it: a key such as "../a//b"
		// stays as it is. It never begins with "//" (a bucket stands before the key), which would make it an authority.
		Opaque:   path,
		RawQuery: req.Query.Encode(),
	}
	return r
}

// sign adds the version 4 signature of the identity, or nothing for the anonymous one. The payload hash is always signed:
// some RGW releases demand it.
func (c *Client) sign(as access.BackendUser, r *http.Request, payloadHash string) error {
	if as == access.AnonymousUser {
		return nil
	}
	u, ok := c.users[as]
	if !ok {
		// Falling back to the site's identity would widen what this caller may do.
		return fmt.Errorf("backend user %q is not configured", as)
	}
	if err := u.Sign(r, payloadHash, c.cfg.Clock()); err != nil {
		return fmt.Errorf("sign backend request: %w", err)
	}
	return nil
}

// payloadHash says what is signed of the body. Documents that are at hand are hashed, so that nobody on the way can change
// a DeleteObjects. Streams are not: their hash is known too late, and object data carries its own authentication.
func payloadHash(req *proxy.BackendRequest) (string, error) {
	if req.Length == 0 {
		return emptySHA256, nil
	}
	if !req.Replayable {
		return unsignedPayload, nil
	}
	hash := sha256.New()
	n, err := io.Copy(hash, req.Body)
	if err != nil {
		return "", fmt.Errorf("hash request body: %w", err)
	}
	if n != req.Length {
		return "", fmt.Errorf("hash request body: %d bytes, declared %d", n, req.Length)
	}
	return hex.EncodeToString(hash.Sum(nil)), rewind(req.Body)
}

func rewind(body io.Reader) error {
	if body == nil {
		return nil
	}
	seeker, ok := body.(io.Seeker)
	if !ok {
		return errors.New("replayable request body cannot seek")
	}
	if _, err := seeker.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("rewind request body: %w", err)
	}
	return nil
}

// check refuses what cannot be sent as it is meant.
func check(req *proxy.BackendRequest) error {
	switch {
	case req.Method == "":
		return errors.New("backend request has no method")
	case req.Bucket == "" && req.Key != "":
		return errors.New("backend request has a key and no bucket")
	case req.Length < 0:
		return errors.New("backend request has no length")
	case req.Body == nil && req.Length > 0:
		return errors.New("backend request has a length and no body")
	}
	for name, values := range req.Header {
		for _, value := range values {
			if !validHeader(name, value) {
				// net/http refuses it too, but then it looks like a storage that does not answer, and would be tried again.
				return fmt.Errorf("backend request has a header %q that cannot be sent", name)
			}
		}
	}
	return nil
}

// validHeader says whether a header can be sent (RFC 9110 sections 5.1 and 5.5): a client's value with a line end in it, that no
// check before this has stopped, would begin another header, or another request.
func validHeader(name, value string) bool {
	for i := range len(name) {
		if c := name[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return name != ""
}
