package seal

import (
	"encoding/base64"

	"cofre/checksum"
)

// decodeLayout reads the JSON document of a layout; what it says is checked by Layout.check. An unknown name, one that comes
// twice or one in another case is refused, a missing one too.
func decodeLayout(b []byte) (Layout, error) {
	var l Layout
	hasParts := false
	err := readDocument(b, func(d *document) error {
		return d.object(func(name string) (err error) {
			switch name {
			case "parts":
				hasParts = true
				err = d.array(func() error {
					p, err := decodeLayoutPart(d)
					l.Parts = append(l.Parts, p)
					return err
				})
			case "checksum":
				l.Checksum, err = decodeLayoutChecksum(d)
			default:
				err = errDocument
			}
			return err
		})
	})
	if err != nil || !hasParts {
		return Layout{}, errDocument
	}
	return l, nil
}

func decodeLayoutPart(d *document) (LayoutPart, error) {
	var p LayoutPart
	var number int64
	var salt []byte
	var seen int // of the members that must be there
	err := d.object(func(name string) (err error) {
		switch name {
		case "number":
			number, err = d.integer()
			seen++
		case "size":
			p.Size, err = d.integer()
			seen++
		case "salt":
			salt, err = decodeBase64(d)
			seen++
		case "md5":
			p.MD5, err = decodeBase64(d)
		case "sum":
			p.Sum, err = decodeBase64(d)
		default:
			err = errDocument
		}
		return err
	})
	if err != nil || seen != 3 || number < 1 || number > MaxParts || len(salt) != len(p.Salt) {
		return LayoutPart{}, errDocument
	}
	p.Number, p.Salt = int(number), Salt(salt)
	return p, nil
}

func decodeLayoutChecksum(d *document) (*LayoutChecksum, error) {
	var c LayoutChecksum
	var algorithm, kind string
	err := d.object(func(name string) (err error) {
		switch name {
		case "algorithm":
			algorithm, err = d.text()
		case "type":
			kind, err = d.text()
		case "value":
			c.Value, err = decodeBase64(d)
		default:
			err = errDocument
		}
		return err
	})
	var known bool
	c.Algorithm, known = checksum.ParseAlgorithm(algorithm)
	if err != nil || !known || c.Algorithm.String() != algorithm {
		return nil, errDocument
	}
	c.Type = checksum.Type(kind)
	if c.Type != checksum.FullObject && c.Type != checksum.Composite {
		return nil, errDocument // no text that would not come back as it was, either
	}
	return &c, nil
}

// decodeBase64 reads a string of standard base64 in its one canonical spelling; it never gives nil without an error.
func decodeBase64(d *document) ([]byte, error) {
	s, err := d.text()
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || base64.StdEncoding.EncodeToString(b) != s {
		return nil, errDocument
	}
	return b, nil
}
