package s3api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// The longest documents that clients may send, in bytes.
const (
	maxDocument         = 1 << 20
	maxCompleteDocument = 4 << 20 // 10,000 parts with checksums are about 1.5 MB
	maxDeleteDocument   = 8 << 20 // 1,000 keys of 1,024 bytes, each byte escaped as "&amp;"
)

// errDuplicate says that an element that may be there once was there again. Parsers differ on which of the two counts.
var errDuplicate = fmt.Errorf("%w: element given twice", errXML)

// decodeClient reads a client's document with the given root element. read gets the scanner inside the root. An *Error that it gives is
// handed on; anything else becomes MalformedXML. A document that is too long is MaxMessageLengthExceeded.
func decodeClient(r io.Reader, limit int64, root string, read func(s *scanner) error) *Error {
	data, err := readXML(new(bytes.Buffer), r, limit)
	switch {
	case errors.Is(err, errXML):
		return ErrMaxMessageLengthExceeded.Field("MaxMessageLengthBytes", strconv.FormatInt(limit, 10))
	case err != nil:
		return ErrIncompleteBody
	}
	s := newScanner(data, clientXML)
	name, err := s.root()
	if err == nil && string(name) != root {
		err = errXML
	}
	if err == nil {
		err = read(s)
	}
	if err == nil {
		err = s.end()
	}
	if err == nil {
		return nil
	}
	var s3 *Error
	if errors.As(err, &s3) {
		return s3
	}
	return ErrMalformedXML
}

// answers lends out buffers for backends' documents. Nothing that is read from one points into it.
var answers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// decodeBackend reads a backend's document with one of the given root elements. read must not keep slices that the scanner gave it.
func decodeBackend(r io.Reader, limit int64, read func(s *scanner) error, roots ...string) error {
	buf, ok := answers.Get().(*bytes.Buffer)
	if !ok {
		buf = new(bytes.Buffer)
	}
	defer func() {
		if buf.Cap() <= maxPooledPage {
			buf.Reset()
			answers.Put(buf)
		}
	}()
	data, err := readXML(buf, r, limit)
	if err != nil {
		return fmt.Errorf("read backend's %s: %w", roots[0], err)
	}
	s := newScanner(data, backendXML)
	name, err := s.root()
	if err == nil {
		err = fmt.Errorf("%w: root element %q", errXML, name)
		for _, root := range roots {
			if string(name) == root {
				err = read(s)
			}
		}
	}
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return fmt.Errorf("decode backend's %s: %w", roots[0], err)
	}
	return nil
}

// once reads a text element that may be there once. seen holds the names so far, as a list of a few.
type once struct {
	seen []string
}

func (o *once) text(s *scanner, name []byte, into *string) error {
	for _, n := range o.seen {
		if n == string(name) {
			return errDuplicate
		}
	}
	o.seen = append(o.seen, string(name))
	var err error
	*into, err = s.text()
	return err
}

// parseBool reads xs:boolean.
func parseBool(text string) (value, ok bool) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}
