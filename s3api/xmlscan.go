package s3api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Whose XML is read.
type xmlSource uint8

const (
	// clientXML must be UTF-8, and line ends are normalised as XML 1.0 section 2.11 says: a key with a CR must be sent as "&#13;", as AWS
	// documents.
	clientXML xmlSource = iota
	// backendXML is taken byte for byte.
	backendXML
)

// maxXMLDepth bounds the nesting of elements, those that are skipped included. S3 documents need seven.
const maxXMLDepth = 32

var errXML = errors.New("malformed XML")

// scanner walks an XML document held in memory. It reads the subset that S3 documents are made of: elements, text, CDATA, comments,
// processing instructions, the five predefined entities and character references; names lose their namespace prefix and attributes are
// skipped. There is no DTD, hence nothing to expand. More tolerant than XML 1.0 in one point: any character but NUL may stand in the text,
// raw or as a reference, because keys may hold it and some stores write it.
//
// After root and inside the function given to children, the element just opened must be consumed by text or children, or is skipped.
type scanner struct {
	data   []byte
	pos    int
	source xmlSource
	// open is the stack of open elements; the slices point into data.
	open [][]byte
	// empty says that the element just opened was <like/> this and is not on the stack any more.
	empty bool
	// buf is scratch space for texts with references.
	buf []byte
}

func newScanner(data []byte, source xmlSource) *scanner {
	return &scanner{data: data, source: source}
}

// readXML reads a whole document of at most limit bytes into buf and gives its bytes, which are buf's.
func readXML(buf *bytes.Buffer, r io.Reader, limit int64) ([]byte, error) {
	n, err := buf.ReadFrom(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("%w: longer than %d bytes", errXML, limit)
	}
	return buf.Bytes(), nil
}

// root opens the root element and gives its name.
func (s *scanner) root() ([]byte, error) {
	if s.source == clientXML && !utf8.Valid(s.data) {
		return nil, fmt.Errorf("%w: not UTF-8", errXML)
	}
	if bytes.IndexByte(s.data, 0) >= 0 {
		return nil, fmt.Errorf("%w: NUL byte", errXML)
	}
	s.data = bytes.TrimPrefix(s.data, []byte("\xef\xbb\xbf"))
	for {
		s.skipSpace()
		skipped, err := s.skipMarkup()
		if err != nil {
			return nil, err
		}
		if skipped {
			continue
		}
		if s.pos >= len(s.data) || s.data[s.pos] != '<' {
			return nil, fmt.Errorf("%w: no root element", errXML)
		}
		return s.openTag()
	}
}

// end checks that nothing but white space, comments and processing instructions follows the root element.
func (s *scanner) end() error {
	if len(s.open) > 0 {
		return fmt.Errorf("%w: element not closed", errXML)
	}
	for {
		s.skipSpace()
		if s.pos >= len(s.data) {
			return nil
		}
		if skipped, err := s.skipMarkup(); err != nil {
			return err
		} else if !skipped {
			return fmt.Errorf("%w: content after the root element", errXML)
		}
	}
}

// children calls visit for each child of the element just opened, up to and with its end tag. Text between the children is ignored.
func (s *scanner) children(visit func(name []byte) error) error {
	if s.empty {
		s.empty = false
		return nil
	}
	depth := len(s.open)
	for {
		i := bytes.IndexByte(s.data[s.pos:], '<')
		if i < 0 {
			return fmt.Errorf("%w: element not closed", errXML)
		}
		s.pos += i
		if bytes.HasPrefix(s.data[s.pos:], []byte("</")) {
			return s.closeTag()
		}
		if skipped, err := s.skipNonElement(); err != nil {
			return err
		} else if skipped {
			continue
		}
		name, err := s.openTag()
		if err != nil {
			return err
		}
		if err := visit(name); err != nil {
			return err
		}
		if s.empty || len(s.open) > depth {
			if err := s.skip(); err != nil {
				return err
			}
		}
	}
}

// skip passes over the rest of the element just opened.
func (s *scanner) skip() error {
	return s.children(func([]byte) error { return nil })
}

// text gives the text of the element just opened, up to and with its end tag. Child elements in it are an error.
func (s *scanner) text() (string, error) {
	if s.empty {
		s.empty = false
		return "", nil
	}
	s.buf = s.buf[:0]
	for {
		i := bytes.IndexByte(s.data[s.pos:], '<')
		if i < 0 {
			return "", fmt.Errorf("%w: element not closed", errXML)
		}
		raw := s.data[s.pos : s.pos+i]
		s.pos += i
		closing := bytes.HasPrefix(s.data[s.pos:], []byte("</"))
		if closing && len(s.buf) == 0 && !s.needsDecoding(raw) {
			return string(raw), s.closeTag() // nearly every text of a listing
		}
		if err := s.decode(raw); err != nil {
			return "", err
		}
		if closing {
			text := string(s.buf)
			return text, s.closeTag()
		}
		content, ok, err := s.cdata()
		if err != nil {
			return "", err
		}
		if ok {
			s.buf = append(s.buf, s.normalise(content)...)
			continue
		}
		if skipped, err := s.skipMarkup(); err != nil {
			return "", err
		} else if !skipped {
			return "", fmt.Errorf("%w: element in text", errXML)
		}
	}
}

// textLike is text that gives back previous where that is the same, rather than a string of its own.
func (s *scanner) textLike(previous string) (string, error) {
	rest, n := s.data[s.pos:], len(previous)
	if n > 0 && !s.empty && len(rest) > n && string(rest[:n]) == previous && bytes.HasPrefix(rest[n:], []byte("</")) && !strings.ContainsAny(previous, "<&\r") {
		s.pos += n
		return previous, s.closeTag()
	}
	return s.text()
}

func (s *scanner) needsDecoding(raw []byte) bool {
	return bytes.IndexByte(raw, '&') >= 0 || s.source == clientXML && bytes.IndexByte(raw, '\r') >= 0
}

// decode appends raw text to buf with its references resolved.
func (s *scanner) decode(raw []byte) error {
	for len(raw) > 0 {
		i := bytes.IndexByte(raw, '&')
		if i < 0 {
			s.buf = append(s.buf, s.normalise(raw)...)
			return nil
		}
		s.buf = append(s.buf, s.normalise(raw[:i])...)
		raw = raw[i+1:]
		end := bytes.IndexByte(raw, ';')
		if end < 0 {
			return fmt.Errorf("%w: reference not closed", errXML)
		}
		r, ok := resolve(raw[:end])
		if !ok {
			return fmt.Errorf("%w: unknown reference", errXML)
		}
		s.buf = utf8.AppendRune(s.buf, r)
		raw = raw[end+1:]
	}
	return nil
}

// resolve gives the character that a reference stands for (the text between '&' and ';').
func resolve(reference []byte) (rune, bool) {
	switch string(reference) {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	digits, ok := strings.CutPrefix(string(reference), "#")
	if !ok {
		return 0, false
	}
	base := 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || strings.HasPrefix(digits, "+") || n == 0 || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		return 0, false
	}
	return rune(n), true
}

func (s *scanner) normalise(raw []byte) []byte {
	if s.source == backendXML || bytes.IndexByte(raw, '\r') < 0 {
		return raw
	}
	return bytes.ReplaceAll(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
}

// openTag reads the start tag at pos and puts it on the stack.
func (s *scanner) openTag() ([]byte, error) {
	start := s.pos + 1
	i := start
	for i < len(s.data) && !isSpace(s.data[i]) && s.data[i] != '>' && s.data[i] != '/' {
		i++
	}
	name := s.data[start:i]
	if !validName(name) {
		return nil, fmt.Errorf("%w: bad element name", errXML)
	}
	end, empty, err := s.skipAttributes(i)
	if err != nil {
		return nil, err
	}
	s.pos = end
	if s.empty = empty; !empty {
		if len(s.open) == maxXMLDepth {
			return nil, fmt.Errorf("%w: nested deeper than %d elements", errXML, maxXMLDepth)
		}
		s.open = append(s.open, name)
	}
	return local(name), nil
}

// skipAttributes passes over the attributes from i on, and gives the position after '>' and whether the element was <empty/>.
func (s *scanner) skipAttributes(i int) (end int, empty bool, err error) {
	for ; i < len(s.data); i++ {
		switch c := s.data[i]; c {
		case '>':
			return i + 1, false, nil
		case '/':
			if i+1 < len(s.data) && s.data[i+1] == '>' {
				return i + 2, true, nil
			}
			return 0, false, fmt.Errorf("%w: stray '/' in a tag", errXML)
		case '<':
			return 0, false, fmt.Errorf("%w: '<' in a tag", errXML)
		case '"', '\'':
			n := bytes.IndexByte(s.data[i+1:], c)
			if n < 0 {
				return 0, false, fmt.Errorf("%w: attribute not closed", errXML)
			}
			i += n + 1
		}
	}
	return 0, false, fmt.Errorf("%w: tag not closed", errXML)
}

// closeTag reads the end tag at pos, which must be that of the innermost open element.
func (s *scanner) closeTag() error {
	if len(s.open) == 0 {
		return fmt.Errorf("%w: stray end tag", errXML)
	}
	top := len(s.open) - 1
	rest, ok := bytes.CutPrefix(s.data[s.pos+len("</"):], s.open[top])
	i := 0
	for i < len(rest) && isSpace(rest[i]) {
		i++
	}
	if !ok || i == len(rest) || rest[i] != '>' {
		return fmt.Errorf("%w: end tag does not match", errXML)
	}
	s.pos += len("</") + len(s.open[top]) + i + 1
	s.open = s.open[:top]
	return nil
}

// skipMarkup passes over a comment or a processing instruction at pos. A DTD is an error.
func (s *scanner) skipMarkup() (bool, error) {
	rest := s.data[s.pos:]
	var closer string
	switch {
	case bytes.HasPrefix(rest, []byte("<?")):
		closer = "?>"
	case bytes.HasPrefix(rest, []byte("<!--")):
		closer = "-->"
		rest = rest[len("<!--"):]
		s.pos += len("<!--")
	case bytes.HasPrefix(rest, []byte("<!")):
		return false, fmt.Errorf("%w: declarations are not allowed", errXML)
	default:
		return false, nil
	}
	n := bytes.Index(rest, []byte(closer))
	if n < 0 {
		return false, fmt.Errorf("%w: comment or instruction not closed", errXML)
	}
	s.pos += n + len(closer)
	return true, nil
}

// cdata gives the content of a CDATA section at pos and passes over it.
func (s *scanner) cdata() (content []byte, ok bool, err error) {
	const opener, closer = "<![CDATA[", "]]>"
	rest, ok := bytes.CutPrefix(s.data[s.pos:], []byte(opener))
	if !ok {
		return nil, false, nil
	}
	n := bytes.Index(rest, []byte(closer))
	if n < 0 {
		return nil, false, fmt.Errorf("%w: CDATA not closed", errXML)
	}
	s.pos += len(opener) + n + len(closer)
	return rest[:n], true, nil
}

// skipNonElement passes over whatever begins with '<' at pos and is no element.
func (s *scanner) skipNonElement() (bool, error) {
	if s.pos+1 < len(s.data) && s.data[s.pos+1] != '!' && s.data[s.pos+1] != '?' {
		return false, nil
	}
	if _, ok, err := s.cdata(); ok || err != nil {
		return ok, err
	}
	return s.skipMarkup()
}

func (s *scanner) skipSpace() {
	for s.pos < len(s.data) && isSpace(s.data[s.pos]) {
		s.pos++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// validName is narrower than XML's: the names of S3 are ASCII.
func validName(name []byte) bool {
	if len(name) == 0 || '0' <= name[0] && name[0] <= '9' || name[0] == '-' || name[0] == '.' {
		return false
	}
	for _, c := range name {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.' || c == ':') {
			return false
		}
	}
	return true
}

// local takes the namespace prefix off a name.
func local(name []byte) []byte {
	return name[bytes.LastIndexByte(name, ':')+1:]
}
