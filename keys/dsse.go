package keys

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strconv"
)

// maxDocument bounds every signed document but the trust list, in bytes. A grant, the largest, takes about 3 KiB.
const maxDocument = 64 << 10

// DSSE is a signed document: an envelope of the Dead Simple Signing Envelope protocol, version 1.0.2, with exactly one
// Ed25519 signature. The signature covers type and payload by their exact bytes, so nothing is ever made canonical.
type DSSE struct {
	PayloadType string
	Payload     []byte // not to be believed before Verify
	KeyID       string // a hint without authority; here the signer's site id
	Signature   []byte
}

// dsseJSON is the wire form (github.com/secure-systems-lab/dsse, envelope.md).
type dsseJSON struct {
	Payload     base64Bytes     `json:"payload"`
	PayloadType string          `json:"payloadType"`
	Signatures  []dsseSignature `json:"signatures"`
}

type dsseSignature struct {
	KeyID string      `json:"keyid,omitempty"`
	Sig   base64Bytes `json:"sig"`
}

// ParseDSSE reads a signed document. It checks its form, not its signature.
func ParseDSSE(doc []byte) (DSSE, error) {
	d, err := parseDSSE(doc, maxDocument)
	if err != nil {
		return DSSE{}, fmt.Errorf("parse DSSE: %w", err)
	}
	return d, nil
}

func parseDSSE(doc []byte, limit int) (DSSE, error) {
	if len(doc) > limit {
		return DSSE{}, fmt.Errorf("%w: %d bytes are more than %d", ErrMalformed, len(doc), limit)
	}
	var wire dsseJSON
	if err := decodeStrict(doc, &wire); err != nil {
		return DSSE{}, err
	}
	if len(wire.Signatures) != 1 {
		return DSSE{}, fmt.Errorf("%w: %d signatures where one belongs", ErrMalformed, len(wire.Signatures))
	}
	sig := wire.Signatures[0]
	if len(sig.Sig) != ed25519.SignatureSize {
		return DSSE{}, fmt.Errorf("%w: signature of %d bytes", ErrMalformed, len(sig.Sig))
	}
	return DSSE{PayloadType: wire.PayloadType, Payload: wire.Payload, KeyID: sig.KeyID, Signature: sig.Sig}, nil
}

// Bytes is the document's wire form.
func (d DSSE) Bytes() []byte {
	return mustMarshal(dsseJSON{
		Payload:     d.Payload,
		PayloadType: d.PayloadType,
		Signatures:  []dsseSignature{{KeyID: d.KeyID, Sig: d.Signature}},
	})
}

// Verify checks that the holder of the card's signing key signed the document. It says nothing on whether that site may
// be believed: that is the trust list's to say.
func (d DSSE) Verify(signer Card) error {
	// Verification handles public values only; ed25519.Verify compares encodings of points.
	if !ed25519.Verify(signer.Ed25519[:], preAuthEncoding(d.PayloadType, d.Payload), d.Signature) {
		return fmt.Errorf("%w of site %s", ErrSignature, signer.ID)
	}
	return nil
}

// openAs reads a document whose payload has the given type into dst. The payload is not to be believed before Verify.
func openAs(doc []byte, payloadType string, limit int, dst any) (DSSE, error) {
	d, err := parseDSSE(doc, limit)
	if err != nil {
		return DSSE{}, err
	}
	if d.PayloadType != payloadType {
		return DSSE{}, fmt.Errorf("%w: payload type %.80q", ErrMalformed, d.PayloadType)
	}
	if err := decodeStrict(d.Payload, dst); err != nil {
		return DSSE{}, err
	}
	return d, nil
}

// preAuthEncoding is DSSE's PAE (protocol.md): lengths in ASCII before each field, so that no two documents share one.
func preAuthEncoding(payloadType string, payload []byte) []byte {
	b := make([]byte, 0, len(payload)+len(payloadType)+32)
	b = append(b, "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(payloadType)), 10)
	b = append(b, ' ')
	b = append(b, payloadType...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(payload)), 10)
	b = append(b, ' ')
	return append(b, payload...)
}

// mustMarshal is for the document types of this package, which hold nothing that encoding/json could refuse.
func mustMarshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("keys: marshal document: " + err.Error())
	}
	return b
}
