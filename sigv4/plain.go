package sigv4

import (
	"errors"
	"io"
)

// plainReader reads a body that is its payload. It gives io.EOF only where the body ends exactly at the declared length.
type plainReader struct {
	source io.Reader
	left   int64
	probe  [1]byte
}

func (p *plainReader) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, p.end()
	}
	n, err := p.source.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	if errors.Is(err, io.EOF) {
		if p.left > 0 {
			return n, errShortBody.because(io.ErrUnexpectedEOF)
		}
		return n, io.EOF
	}
	if errors.Is(err, io.ErrUnexpectedEOF) { // net/http's word for a connection that ended before Content-Length
		err = errShortBody.because(err)
	}
	return n, err
}

// end looks past the last byte: nil if the source cannot tell yet.
func (p *plainReader) end() error {
	n, err := p.source.Read(p.probe[:])
	if n > 0 {
		return ErrIncompleteBody.say("The request body is longer than the Content-Length HTTP header says")
	}
	return err
}

var errShortBody = ErrIncompleteBody.say("You did not provide the number of bytes specified by the Content-Length HTTP header")
