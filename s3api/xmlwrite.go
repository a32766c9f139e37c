package s3api

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"unicode/utf8"

	"cofre/checksum"
)

// namespace is the XML namespace of every S3 document but Error.
const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

const xmlHeader = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// document is an XML document that is written by appending. Element names come from this package alone and are not escaped.
type document struct {
	b []byte
}

func newDocument() *document {
	return &document{b: append(make([]byte, 0, 1024), xmlHeader...)}
}

// openRoot opens the root element, with S3's namespace or with none.
func (d *document) openRoot(name, xmlns string) {
	d.b = append(d.b, '<')
	d.b = append(d.b, name...)
	if xmlns != "" {
		d.b = append(d.b, ` xmlns="`...)
		d.b = append(d.b, xmlns...)
		d.b = append(d.b, '"')
	}
	d.b = append(d.b, '>')
}

func (d *document) open(name string) {
	d.b = append(d.b, '<')
	d.b = append(d.b, name...)
	d.b = append(d.b, '>')
}

func (d *document) close(name string) {
	d.b = append(d.b, '<', '/')
	d.b = append(d.b, name...)
	d.b = append(d.b, '>')
}

func (d *document) text(name, value string) {
	d.open(name)
	d.b = appendText(d.b, value)
	d.close(name)
}

// optional leaves out an empty element.
func (d *document) optional(name, value string) {
	if value != "" {
		d.text(name, value)
	}
}

// etag writes an entity tag, which the rest of the program keeps without its quotes.
func (d *document) etag(value string) {
	d.open("ETag")
	d.b = append(d.b, "&quot;"...)
	d.b = appendText(d.b, value)
	d.b = append(d.b, "&quot;"...)
	d.close("ETag")
}

func (d *document) int(name string, value int64) {
	d.open(name)
	d.b = strconv.AppendInt(d.b, value, 10)
	d.close(name)
}

func (d *document) bool(name string, value bool) {
	d.open(name)
	d.b = strconv.AppendBool(d.b, value)
	d.close(name)
}

// appendText escapes element content. What XML 1.0 cannot carry (section 2.2: control characters, U+FFFE, U+FFFF) becomes a character
// reference: no better than illegal, but some parsers take it, and clients that care ask for encoding-type=url. CR is one too, since a raw one
// is read as a newline (section 2.11). Bytes that are not UTF-8 become U+FFFD; keys that pass through Parse are never of that kind.
func appendText(b []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '&' && c != '<' && c != '>' && c != '"' {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			invalid := r == utf8.RuneError && size == 1
			if !invalid && r != 0xFFFE && r != 0xFFFF {
				i += size
				continue
			}
			b = append(b, s[start:i]...)
			if invalid {
				b = utf8.AppendRune(b, utf8.RuneError)
			} else {
				b = appendReference(b, r)
			}
			i += size
			start = i
			continue
		}
		b = append(b, s[start:i]...)
		i++
		start = i
		switch c {
		case '&':
			b = append(b, "&amp;"...)
		case '<':
			b = append(b, "&lt;"...)
		case '>':
			b = append(b, "&gt;"...)
		case '"':
			b = append(b, "&quot;"...)
		case '\t', '\n':
			b = append(b, c)
		default:
			b = appendReference(b, rune(c))
		}
	}
	return append(b, s[start:]...)
}

func appendReference(b []byte, r rune) []byte {
	b = append(b, "&#x"...)
	b = strconv.AppendInt(b, int64(r), 16)
	return append(b, ';')
}

func setLength(h http.Header, n int) { h.Set("Content-Length", strconv.Itoa(n)) }

// owner writes an Owner or Initiator.
func (d *document) owner(name, id, displayName string) {
	d.open(name)
	d.text("ID", id)
	d.optional("DisplayName", displayName)
	d.close(name)
}

// checksumValue writes the element of one checksum, such as ChecksumCRC32; nothing where there is none.
func (d *document) checksumValue(a checksum.Algorithm, base64 string) {
	if a != checksum.None && base64 != "" {
		d.text("Checksum"+a.String(), base64)
	}
}

func (d *document) writeTo(w io.Writer) error {
	if _, err := w.Write(d.b); err != nil {
		return fmt.Errorf("write document: %w", err)
	}
	return nil
}
