package sigv4

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// maxTrailer bounds all that may follow the last chunk, in bytes.
const maxTrailer = 2048

const trailerSignature = "x-amz-trailer-signature"

// trailer is what follows the last chunk: at most one checksum, and a signature where the chunks are signed.
type trailer struct {
	announced string // lower-case name from x-amz-trailer; "" for none
	signed    bool

	// Set while reading.
	value     string // of the announced trailer
	found     bool   // the announced trailer came
	signature string // x-amz-trailer-signature
}

// readTrailer reads to the end of the HTTP body, so that nothing can hide behind the payload. Lines end with LF; a CR before it is dropped and
// blank lines are skipped, since minio-go ends the checksum with LF CRLF and the body with one CRLF too many. The last line must be blank.
func (c *chunkReader) readTrailer() error {
	blank, total := false, 0
	for {
		line, err := c.line(maxTrailer)
		if errors.Is(err, errBodyEnd) {
			break
		}
		if errors.Is(err, errLineTooLong) {
			return ErrMalformedTrailer.because(err)
		}
		if err != nil {
			return err
		}
		if total += len(line); total > maxTrailer {
			return ErrMalformedTrailer.because(errLineTooLong)
		}
		line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
		blank = len(line) == 0
		if blank {
			continue
		}
		if c.trailer == nil {
			return ErrIncompleteBody.because(errFraming)
		}
		if err := c.trailer.add(line); err != nil {
			return err
		}
	}
	if !blank {
		return io.ErrUnexpectedEOF
	}
	if c.trailer == nil {
		return nil
	}
	return c.verifyTrailer()
}

// add takes one line. Only what was announced may come, and each but once.
func (t *trailer) add(line []byte) error {
	raw, value, ok := strings.Cut(string(line), ":")
	name := strings.ToLower(raw)
	value = strings.Trim(value, " ")
	switch {
	case !ok || t.signature != "": // the signature is the last line
		return ErrMalformedTrailer
	case name == trailerSignature && t.signed && value != "":
		t.signature = value
	case name == t.announced && name != "" && !t.found:
		t.value, t.found = value, true
	default:
		return ErrMalformedTrailer
	}
	return nil
}

// verifyTrailer judges the trailer as a whole. The checksum in it is compared by the Body.
func (c *chunkReader) verifyTrailer() error {
	t := c.trailer
	if t.found != (t.announced != "") || t.signed != (t.signature != "") {
		return ErrMalformedTrailer
	}
	if !t.signed {
		return nil
	}
	if t.found {
		_, _ = io.WriteString(c.data, t.announced+":"+t.value+"\n") // a hash.Hash never fails
	}
	if !c.chain.verifyTrailer(c.data, []byte(t.signature)) {
		return c.forged([]byte(t.signature))
	}
	return nil
}
