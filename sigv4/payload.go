package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const unsignedPayload = "UNSIGNED-PAYLOAD"

// payloadMode is how a body is framed and what of it is signed. x-amz-content-sha256 alone says which: older clients frame a body without
// naming aws-chunked in Content-Encoding.
type payloadMode uint8

const (
	payloadUnsigned        payloadMode = iota // as it is, nothing signed
	payloadSHA256                             // as it is, the hash of the whole signed
	payloadSigned                             // chunks, each signed
	payloadSignedTrailer                      // chunks, each signed, and a signed trailer
	payloadUnsignedTrailer                    // chunks and a trailer, nothing signed
)

func (m payloadMode) chunked() bool { return m >= payloadSigned }

// signed says that signatures stand within the body.
func (m payloadMode) signed() bool { return m == payloadSigned || m == payloadSignedTrailer }

func (m payloadMode) trailer() bool { return m == payloadSignedTrailer || m == payloadUnsignedTrailer }

// payload is a parsed x-amz-content-sha256.
type payload struct {
	mode payloadMode
	sum  [sha256.Size]byte // payloadSHA256 only
}

// parsePayload reads x-amz-content-sha256. The two asymmetric (ECDSA) modes of S3 are not known here and refused like any other word.
func parsePayload(s string) (payload, error) {
	switch s {
	case unsignedPayload:
		return payload{mode: payloadUnsigned}, nil
	case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD":
		return payload{mode: payloadSigned}, nil
	case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
		return payload{mode: payloadSignedTrailer}, nil
	case "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
		return payload{mode: payloadUnsignedTrailer}, nil
	}
	p := payload{mode: payloadSHA256}
	if len(s) == 2*sha256.Size {
		if _, err := hex.Decode(p.sum[:], []byte(s)); err == nil {
			return p, nil
		}
	}
	return payload{}, ErrInvalidArgument.
		say("x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.").
		with("ArgumentName", strings.ToLower(headerContentSHA256)).
		with("ArgumentValue", s)
}
