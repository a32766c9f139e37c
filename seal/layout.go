package seal

import (
	"crypto/md5" // #nosec G501 -- its size; S3's ETag is an MD5, which authenticates nothing here
	"encoding/base64"
	"fmt"
	"strconv"

	"cofre/checksum"
	"cofre/keys"
)

// MaxLayoutSize is more than any sealed layout takes in bytes: a reader need not fetch a longer one.
const MaxLayoutSize = 2 << 20

// Layout says which parts a multipart object has. It belongs to the body: copies that keep the DEK share it.
type Layout struct {
	Parts    []LayoutPart    // numbers rise within 1..MaxParts
	Checksum *LayoutChecksum // of the object; nil where the client asked for none
}

// LayoutPart is one part of a multipart object.
type LayoutPart struct {
	Number int
	Size   int64 // plaintext bytes
	Salt   Salt
	MD5    []byte // 16 bytes, nil where the bucket does without
	Sum    []byte // the part's checksum by the algorithm of Layout.Checksum; nil where there is none, or in older layouts
}

// LayoutChecksum is the checksum that the client sees of the object.
type LayoutChecksum struct {
	Algorithm checksum.Algorithm
	Type      checksum.Type
	Value     []byte // raw bytes, without the number of parts that S3 puts behind a composite one
}

// Geometry gives the geometry of the object.
func (l Layout) Geometry() (Geometry, error) {
	parts := make([]Part, len(l.Parts))
	for i, p := range l.Parts {
		parts[i] = Part{Number: p.Number, Size: p.Size, Salt: p.Salt}
	}
	return NewGeometry(parts)
}

// Footers gives what the layout says of the parts' footers, for Decrypter.ExpectFooters.
func (l Layout) Footers() []Footer {
	footers := make([]Footer, len(l.Parts))
	for i, p := range l.Parts {
		footers[i] = Footer{MD5: p.MD5}
	}
	return footers
}

// LayoutName is the name of an object's layout in the system bucket.
func LayoutName(bucket string, kek keys.KEKID, object keys.ObjectID) string {
	return "buckets/" + bucket + "/layouts/" + kek.String() + "/" + object.String()
}

// SealLayout seals the layout of an object.
func SealLayout(dek keys.DEK, object keys.ObjectID, l Layout) ([]byte, error) {
	return sealLayout(dek, object, l, newDocumentSalt())
}

func sealLayout(dek keys.DEK, object keys.ObjectID, l Layout, salt documentSalt) ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("seal layout: %w", err)
	}
	sealed, err := sealDocument(dek, salt, layoutInfo(object), l.encode())
	if err != nil {
		return nil, fmt.Errorf("seal layout: %w", err)
	}
	return sealed, nil
}

// OpenLayout opens what SealLayout gave for the same object; sealed is empty where the storage has none. A layout that is
// missing, altered or of another object is an *IntegrityError.
func OpenLayout(dek keys.DEK, object keys.ObjectID, sealed []byte) (Layout, error) {
	if len(sealed) == 0 {
		return Layout{}, fmt.Errorf("open layout: %w", fault(FaultMissing))
	}
	if len(sealed) > MaxLayoutSize {
		return Layout{}, fmt.Errorf("open layout: %w", fault(FaultLimit))
	}
	plain, err := openDocument(dek, layoutInfo(object), sealed)
	if err != nil {
		return Layout{}, fmt.Errorf("open layout: %w", err)
	}
	if plain == nil {
		return Layout{}, fmt.Errorf("open layout: %w", fault(FaultLayout))
	}
	l, err := decodeLayout(plain)
	if err != nil {
		return Layout{}, fmt.Errorf("open layout: %w", fault(FaultDocument))
	}
	if err := l.check(); err != nil {
		return Layout{}, fmt.Errorf("open layout: %w", err)
	}
	return l, nil
}

func layoutInfo(object keys.ObjectID) string { return "cofre v1 layout" + string(object[:]) }

// check refuses a layout that no multipart object can have.
func (l Layout) check() error {
	for _, p := range l.Parts {
		if p.Number == 0 {
			return partFault(FaultParts, p.Number)
		}
		if p.MD5 != nil && len(p.MD5) != md5.Size {
			return partFault(FaultLength, p.Number)
		}
		if p.Sum != nil && l.Checksum == nil {
			return partFault(FaultDocument, p.Number)
		}
		if p.Sum != nil && len(p.Sum) != l.Checksum.Algorithm.Size() {
			return partFault(FaultLength, p.Number)
		}
	}
	if c := l.Checksum; c != nil {
		switch {
		case c.Algorithm == checksum.None || !c.Algorithm.Valid():
			return fault(FaultAlgorithm)
		case len(c.Value) != c.Algorithm.Size():
			return fault(FaultLength)
		case c.Type != checksum.FullObject && c.Type != checksum.Composite:
			return fault(FaultDocument)
		}
	}
	_, err := l.Geometry()
	return err
}

// encode gives the JSON document, always the same for the same layout.
func (l Layout) encode() []byte {
	b := append(make([]byte, 0, 64+128*len(l.Parts)), `{"parts":[`...)
	for i, p := range l.Parts {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"number":`...), int64(p.Number), 10)
		b = strconv.AppendInt(append(b, `,"size":`...), p.Size, 10)
		b = appendBase64(append(b, `,"salt":`...), p.Salt[:])
		if p.MD5 != nil {
			b = appendBase64(append(b, `,"md5":`...), p.MD5)
		}
		if p.Sum != nil {
			b = appendBase64(append(b, `,"sum":`...), p.Sum)
		}
		b = append(b, '}')
	}
	b = append(b, ']')
	if c := l.Checksum; c != nil {
		b = appendText(append(b, `,"checksum":{"algorithm":`...), c.Algorithm.String())
		b = appendText(append(b, `,"type":`...), string(c.Type))
		b = appendBase64(append(b, `,"value":`...), c.Value)
		b = append(b, '}')
	}
	return append(b, '}')
}

func appendBase64(b, raw []byte) []byte {
	b = base64.StdEncoding.AppendEncode(append(b, '"'), raw)
	return append(b, '"')
}
