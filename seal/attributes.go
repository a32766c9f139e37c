package seal

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"cofre/keys"
)

// Attributes is what the client said about an object. Names are in lower case; values are the raw bytes of the client's
// header.
type Attributes struct {
	Headers map[string]string // of the standard headers that sealedHeader names only
	Meta    map[string]string // user metadata, without "x-amz-meta-"
}

// attributesBlock is what the document's length is rounded up to, so that its exact length says less about its contents.
const attributesBlock = 64

// sealedHeader says whether a standard header is sealed with the object. No other can be put into an answer this way.
func sealedHeader(name string) bool {
	switch name {
	case "cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires":
		return true
	}
	return false
}

// SealAttributes seals attributes for one envelope, and gives them as the backend's user metadata holds them: base64url
// without padding. The envelope must have HasAttributes, and names be in lower case.
func SealAttributes(dek keys.DEK, env Envelope, objectKey string, a Attributes) (string, error) {
	return sealAttributes(dek, env, objectKey, a, newDocumentSalt())
}

func sealAttributes(dek keys.DEK, env Envelope, objectKey string, a Attributes, salt documentSalt) (string, error) {
	if !env.Flags.Has(HasAttributes) {
		return "", fmt.Errorf("seal attributes: the envelope has no flag for them")
	}
	if !a.valid() {
		return "", fmt.Errorf("seal attributes: a name that cannot be sealed")
	}
	sealed, err := sealDocument(dek, salt, attributesInfo(env, objectKey), a.encode())
	if err != nil {
		return "", fmt.Errorf("seal attributes: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// OpenAttributes opens what SealAttributes gave for the same envelope and object key; sealed is empty where the object has
// none. It follows the envelope: where that has no HasAttributes flag, there are none, whatever the storage put there. Where
// it has, attributes that are missing, of another object or of an earlier envelope are an *IntegrityError. Call it with an
// envelope that has been unsealed.
func OpenAttributes(dek keys.DEK, env Envelope, objectKey, sealed string) (Attributes, error) {
	if !env.Flags.Has(HasAttributes) {
		return Attributes{}, nil
	}
	if sealed == "" {
		return Attributes{}, fmt.Errorf("open attributes: %w", fault(FaultMissing))
	}
	b, ok := decodeBase64URL(sealed)
	if !ok {
		return Attributes{}, fmt.Errorf("open attributes: %w", fault(FaultEncoding))
	}
	plain, err := openDocument(dek, attributesInfo(env, objectKey), b)
	if err != nil {
		return Attributes{}, fmt.Errorf("open attributes: %w", err)
	}
	if plain == nil {
		return Attributes{}, fmt.Errorf("open attributes: %w", fault(FaultAttributes))
	}
	a, err := decodeAttributes(plain)
	if err != nil {
		return Attributes{}, fmt.Errorf("open attributes: %w", fault(FaultDocument))
	}
	return a, nil
}

// attributesInfo binds attributes to one envelope: its wrap salt is fresh for each, so those of an earlier one do not open.
func attributesInfo(env Envelope, objectKey string) string {
	var buf [infoRoom]byte
	b := env.Bytes()
	info := append(append(buf[:0], "cofre v1 attributes"...), b[:envelopeWrapped]...)
	return string(appendLengthPrefixed(info, objectKey))
}

// valid says whether names are as the format wants them.
func (a Attributes) valid() bool {
	for name := range a.Headers {
		if !sealedHeader(name) {
			return false
		}
	}
	for name := range a.Meta {
		if !lowerCase(name) {
			return false
		}
	}
	return true
}

func lowerCase(name string) bool {
	for i := range len(name) {
		if 'A' <= name[i] && name[i] <= 'Z' {
			return false
		}
	}
	return true
}

// encode gives the padded JSON document, always the same for the same attributes.
func (a Attributes) encode() []byte {
	b := appendMap(append(make([]byte, 0, 4*attributesBlock), `{"headers":`...), a.Headers)
	b = appendMap(append(b, `,"meta":`...), a.Meta)
	b = append(b, '}')
	for len(b)%attributesBlock != 0 {
		b = append(b, ' ')
	}
	return b
}

func appendMap(b []byte, m map[string]string) []byte {
	if len(m) == 0 {
		return append(b, "{}"...)
	}
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, name), ':')
		b = appendText(b, m[name])
	}
	return append(b, '}')
}

// appendText writes bytes as a JSON string in which each byte is one code point, so that a value which is no UTF-8 comes
// back as it was.
func appendText(b []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = utf8.AppendRune(b, rune(c))
		}
	}
	return append(b, '"')
}

// decodeAttributes reads the document. Both members are there, names are sorted, valid and come once; how a string is escaped
// and where white space stands is the writer's business.
func decodeAttributes(b []byte) (Attributes, error) {
	if len(b)%attributesBlock != 0 {
		return Attributes{}, errDocument
	}
	var a Attributes
	err := readDocument(b, func(d *document) error {
		return d.object(func(name string) (err error) {
			switch name {
			case "headers":
				a.Headers, err = decodeMap(d)
			case "meta":
				a.Meta, err = decodeMap(d)
			default:
				err = errDocument
			}
			return err
		})
	})
	if err != nil || a.Headers == nil || a.Meta == nil || !a.valid() {
		return Attributes{}, errDocument
	}
	return a, nil
}

func decodeMap(d *document) (map[string]string, error) {
	m, previous := make(map[string]string), ""
	err := d.pairs(func(name string) error {
		value, err := d.text()
		if err != nil {
			return err
		}
		rawName, nameOK := codePointsToBytes(name)
		rawValue, valueOK := codePointsToBytes(value)
		if !nameOK || !valueOK || len(m) > 0 && rawName <= previous {
			return errDocument
		}
		m[rawName], previous = rawValue, rawName
		return nil
	})
	return m, err
}

// codePointsToBytes turns each code point into the byte that it stands for; ok is false for one above U+00FF.
func codePointsToBytes(s string) (raw string, ok bool) {
	if !slices.ContainsFunc([]byte(s), func(c byte) bool { return c >= utf8.RuneSelf }) {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			return "", false
		}
		b = append(b, byte(r))
	}
	return string(b), true
}
