package s3api

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"strconv"
	"strings"
)

// MaxFormFields is the most bytes that a form may have before the content of its file, boundaries and part headers included ("POST Object",
// Amazon S3 API Reference).
const MaxFormFields = 20 << 10

// formWindow is how much of the body a FormReader looks at, in bytes. It bounds one part's header as well as what one Read gives.
const formWindow = 32 << 10

// FormReader reads a multipart/form-data body (RFC 7578) part by part as it comes, and holds no more than a window of it. It is stricter than
// mail: lines end in CRLF, and a delimiter with anything behind it but white space or "--" is an error, so that it cannot be read in two ways.
// One goroutine uses it.
type FormReader struct {
	src   io.Reader
	delim []byte // CRLF "--" boundary

	window   []byte
	from, to int   // what of window is unread
	clear    int   // bytes behind from that are known to hold no beginning of a delimiter
	offset   int64 // of window[from] in the body; the CRLF thought before the first delimiter lies at -2
	srcErr   error // io.EOF, or why src gave no more
	err      error // what every later call gives
	inPart   bool
	ended    bool // the closing delimiter has been read
}

// FormPart is the header of one part.
type FormPart struct {
	Name string
	// Filename is what the client calls the file; HasFilename says that it said so at all.
	Filename    string
	HasFilename bool
}

// NewFormReader reads the form in body. contentType is the request's, which names the boundary.
func NewFormReader(body io.Reader, contentType string) (*FormReader, *Error) {
	_, params, err := mime.ParseMediaType(contentType)
	boundary := params["boundary"]
	if err != nil || boundary == "" || len(boundary) > 70 || strings.ContainsAny(boundary, "\r\n") { // RFC 2046 section 5.1.1
		return nil, ErrMalformedPOSTRequest
	}
	f := &FormReader{src: body, delim: []byte("\r\n--" + boundary), window: make([]byte, formWindow), offset: -2}
	f.to = copy(f.window, "\r\n") // so that the first delimiter looks like every other
	return f, nil
}

// Offset is how many bytes of the body have been read.
func (f *FormReader) Offset() int64 { return max(f.offset, 0) }

// ClosingLength is how many bytes follow the content of the last part in a form that ends as nearly every client ends it: with the closing
// delimiter and CRLF.
func (f *FormReader) ClosingLength() int64 { return int64(len(f.delim) + len("--\r\n")) }

// Next skips the rest of the current part, or the preamble, and gives the header of the next part. After the last it gives io.EOF. Other errors
// are *Error, or come from the body.
func (f *FormReader) Next() (FormPart, error) {
	if _, err := io.Copy(io.Discard, content{f}); err != nil {
		return FormPart{}, err
	}
	if f.ended {
		return FormPart{}, io.EOF
	}
	last, err := f.delimiter()
	if err != nil {
		return FormPart{}, f.stop(err)
	}
	if last {
		f.ended = true
		return FormPart{}, io.EOF
	}
	p, err := f.header()
	if err != nil {
		return FormPart{}, f.stop(err)
	}
	f.inPart = true
	return p, nil
}

// Read gives the content of the current part. io.EOF says that a delimiter followed: a body that breaks off is an error.
func (f *FormReader) Read(p []byte) (int, error) {
	if !f.inPart {
		return 0, io.EOF
	}
	return content{f}.Read(p)
}

// Finish reads the body to its end, where nothing may follow the form but an epilogue, which means nothing. Called after Next gave io.EOF.
// It gives the length of the epilogue in bytes.
func (f *FormReader) Finish() (int64, error) {
	if !f.ended {
		return 0, ErrMalformedPOSTRequest
	}
	start := f.offset
	for {
		f.take(f.to - f.from)
		if err := f.fill(); errors.Is(err, io.EOF) {
			return f.offset - start, nil
		} else if err != nil {
			return 0, f.stop(err)
		}
	}
}

// content reads what lies before the next delimiter, a part's or the preamble's.
type content struct{ f *FormReader }

func (c content) Read(p []byte) (int, error) {
	f := c.f
	if f.err != nil {
		return 0, f.err
	}
	if f.ended || len(p) == 0 {
		return 0, io.EOF
	}
	for f.clear == 0 {
		unread := f.window[f.from:f.to]
		if i := bytes.Index(unread, f.delim); i == 0 {
			f.inPart = false
			return 0, io.EOF
		} else if i > 0 {
			f.clear = i
			break
		}
		// What could be the beginning of a delimiter is held back until more has come.
		if f.clear = max(0, len(unread)-len(f.delim)+1); f.clear > 0 {
			break
		}
		if err := f.fill(); errors.Is(err, io.EOF) {
			return 0, f.stop(ErrMalformedPOSTRequest)
		} else if err != nil {
			return 0, f.stop(err)
		}
	}
	n := copy(p, f.window[f.from:f.from+f.clear])
	f.take(n)
	return n, nil
}

func (f *FormReader) take(n int) {
	f.from += n
	f.offset += int64(n)
	f.clear = max(0, f.clear-n)
}

// stop makes err the answer to everything from now on.
func (f *FormReader) stop(err error) error {
	f.err, f.inPart = err, false
	return err
}

// fill reads more of the body into the window. A full window is an error: no line here is that long.
func (f *FormReader) fill() error {
	if f.srcErr != nil {
		return f.srcErr
	}
	copy(f.window, f.window[f.from:f.to])
	f.from, f.to = 0, f.to-f.from
	if f.to == len(f.window) {
		return ErrMalformedPOSTRequest
	}
	for range 100 { // an io.Reader may give nothing and no error, but not for ever
		n, err := f.src.Read(f.window[f.to:])
		f.to += n
		f.srcErr = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// delimiter reads the delimiter that content stopped at, to the end of its line, and says whether it is the closing one.
func (f *FormReader) delimiter() (last bool, err error) {
	f.take(len(f.delim))
	for f.to-f.from < 2 {
		if err := f.fill(); errors.Is(err, io.EOF) {
			return false, ErrMalformedPOSTRequest
		} else if err != nil {
			return false, err
		}
	}
	if string(f.window[f.from:f.from+2]) == "--" {
		f.take(2)
		return true, nil
	}
	rest, err := f.line()
	if err != nil {
		return false, err
	}
	if strings.Trim(rest, " \t") != "" {
		return false, ErrMalformedPOSTRequest
	}
	return false, nil
}

// line reads a line and gives it without its CRLF.
func (f *FormReader) line() (string, error) {
	for {
		unread := f.window[f.from:f.to]
		if i := bytes.Index(unread, []byte("\r\n")); i >= 0 {
			text := string(unread[:i])
			f.take(i + 2)
			return text, nil
		}
		if err := f.fill(); errors.Is(err, io.EOF) {
			return "", ErrMalformedPOSTRequest
		} else if err != nil {
			return "", err
		}
	}
}

// header reads the header fields of a part and the empty line behind them.
func (f *FormReader) header() (FormPart, error) {
	var p FormPart
	start, seen := f.offset, false
	for {
		text, err := f.line()
		if err != nil {
			return p, err
		}
		if f.offset-start > formWindow {
			return p, ErrMalformedPOSTRequest
		}
		if text == "" {
			break
		}
		name, value, ok := strings.Cut(text, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return p, ErrMalformedPOSTRequest
		}
		if !strings.EqualFold(name, "Content-Disposition") {
			continue // RFC 7578 section 4.8: the others say nothing about a form
		}
		if seen {
			return p, ErrMalformedPOSTRequest
		}
		seen = true
		kind, params, err := mime.ParseMediaType(strings.TrimSpace(value))
		if err != nil || kind != "form-data" {
			return p, ErrMalformedPOSTRequest
		}
		p.Name = params["name"]
		p.Filename, p.HasFilename = params["filename"]
	}
	if p.Name == "" {
		return p, ErrMalformedPOSTRequest
	}
	return p, nil
}

// PostResponse is the answer to a form that asked for status 201.
type PostResponse struct {
	Location, Bucket, Key string
	ETag                  string // without quotes
}

// EncodePostResponse gives the document. S3 gives it no namespace.
func EncodePostResponse(r PostResponse) []byte {
	d := newDocument()
	d.openRoot("PostResponse", "")
	d.text("Location", r.Location)
	d.text("Bucket", r.Bucket)
	d.text("Key", r.Key)
	d.etag(r.ETag)
	d.close("PostResponse")
	return d.b
}

// CheckKey judges a key that did not come in the address of a request.
func CheckKey(key string) *Error {
	if key == "" {
		return ErrUserKeyMustBeSpecified
	}
	return checkKey(key)
}

// ErrFormFieldsTooLarge is what a form gets that has more than MaxFormFields bytes before its file.
func ErrFormFieldsTooLarge() *Error {
	return ErrMaxPostPreDataLengthExceeded.Field("MaxPostPreDataLengthBytes", strconv.Itoa(MaxFormFields))
}
