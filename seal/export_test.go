package seal

import "cofre/keys"

// What tests may do and callers may not: choose salts, and seal what is malformed.

// SealEnvelopeWithSalt is SealEnvelope with a wrap salt of the test's choice.
func SealEnvelopeWithSalt(kek keys.KEK, objectKey string, customerKey []byte, flags Flags, object keys.ObjectID,
	partSalt Salt, dek keys.DEK, wrapSalt [32]byte,
) (Envelope, error) {
	e := Envelope{Flags: flags, ObjectID: object, PartSalt: partSalt, WrapSalt: wrapSalt}
	return e.seal(kek, objectKey, customerKey, dek)
}

// WrapAnything puts any 32 bytes in the place of the DEK of e.
func WrapAnything(e Envelope, kek keys.KEK, objectKey string, plain []byte) (Envelope, error) {
	key, err := e.wrapKey(kek, objectKey, nil)
	if err != nil {
		return Envelope{}, err
	}
	wrapped, err := sealOnce(nil, key, plain)
	if err != nil {
		return Envelope{}, err
	}
	e.Wrapped = [wrappedSize]byte(wrapped)
	return e, nil
}

// SealAttributesWithSalt is SealAttributes with a salt of the test's choice.
func SealAttributesWithSalt(dek keys.DEK, env Envelope, objectKey string, a Attributes, salt [32]byte) (string, error) {
	return sealAttributes(dek, env, objectKey, a, salt)
}

// SealLayoutWithSalt is SealLayout with a salt of the test's choice.
func SealLayoutWithSalt(dek keys.DEK, object keys.ObjectID, l Layout, salt [32]byte) ([]byte, error) {
	return sealLayout(dek, object, l, salt)
}

// SealAttributesDocument seals any bytes as the attributes of an envelope.
func SealAttributesDocument(dek keys.DEK, env Envelope, objectKey string, document []byte, salt [32]byte) ([]byte, error) {
	return sealDocument(dek, salt, attributesInfo(env, objectKey), document)
}

// SealLayoutDocument seals any bytes as the layout of an object.
func SealLayoutDocument(dek keys.DEK, object keys.ObjectID, document []byte, salt [32]byte) ([]byte, error) {
	return sealDocument(dek, salt, layoutInfo(object), document)
}

// SealFooterPlaintext seals any 64 bytes as the footer of a part.
func SealFooterPlaintext(dek keys.DEK, object keys.ObjectID, part Part, plain []byte) ([]byte, error) {
	c, err := newPartCipher(dek, object, part, withoutCommitment)
	if err != nil {
		return nil, err
	}
	b := append(append([]byte(nil), plain...), make([]byte, TagSize)...)
	c.seal(nonceFooter, chunkCount(part.Size), b[:footerPlainSize])
	return b, nil
}

// PartKey is the key of a part.
func PartKey(dek keys.DEK, object keys.ObjectID, part Part) ([]byte, error) {
	s, err := newPartSecret(dek, object, part)
	if err != nil {
		return nil, err
	}
	return s.expand("cofre v1 part key", keySize)
}

// Encode is the document of the attributes, before it is sealed.
func (a Attributes) Encode() []byte { return a.encode() }

// Encode is the document of the layout, before it is sealed.
func (l Layout) Encode() []byte { return l.encode() }

// Encode is the footer's plaintext.
func (f Footer) Encode() ([]byte, error) {
	b := make([]byte, footerPlainSize)
	return b, f.encode(b)
}

// The decoders of what is sealed.
var (
	DecodeAttributes = decodeAttributes
	DecodeLayout     = decodeLayout
	DecodeFooter     = decodeFooter
)
