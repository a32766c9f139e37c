package sigv4

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"strconv"
)

const (
	// lineBuffer holds a chunk header or a trailer line; larger reads pass it by. It bounds the memory of a chunked body.
	lineBuffer = 4096
	// maxChunkHeader is the longest chunk header in bytes, CRLF included. The longest useful one has 9 digits and a signature: 92 bytes.
	maxChunkHeader = 128
	// maxSizeDigits leaves room for leading zeros and keeps a size within an int64.
	maxSizeDigits = 15
	// maxPutLength is the largest object that S3 takes in one request, 5 GiB, and so the largest chunk that means anything.
	maxPutLength = 5 << 30
)

// chunkState is what a chunkReader expects next.
type chunkState uint8

const (
	expectHeader  chunkState = iota // hex size [;chunk-signature=64 hex] CRLF
	expectData                      // the rest of a chunk's data
	expectDataEnd                   // the CRLF after it
	expectTrailer                   // all that follows the chunk of size 0, to the end of the HTTP body
)

// chunkReader decodes the aws-chunked framing as a stream. It is strict: a body that does not end where its framing, its declared length and
// the HTTP body agree is an error. Chunks may have any size from one byte to the whole payload.
type chunkReader struct {
	source *bufio.Reader
	state  chunkState
	left   int64 // payload bytes not yet given out
	chunk  int64 // of these, bytes left of the present chunk
	number int   // of the present chunk, from 1

	// For signed chunks; chain is nil for unsigned ones.
	chain       *signatureChain
	accessKeyID string
	data        hash.Hash           // over the present chunk
	signature   [signatureSize]byte // of the present chunk, as given

	trailer *trailer // nil where the framing has none
}

func newChunkReader(source io.Reader, length int64) *chunkReader {
	return &chunkReader{source: bufio.NewReaderSize(source, lineBuffer), left: length}
}

// sign makes the reader demand and verify a signature for each chunk.
func (c *chunkReader) sign(chain *signatureChain, accessKeyID string) {
	c.chain, c.accessKeyID, c.data = chain, accessKeyID, sha256.New()
}

// Read fills p across chunks, but does not wait for more when it has something to give.
func (c *chunkReader) Read(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		if n > 0 && (c.source.Buffered() == 0 || c.state == expectTrailer) {
			return n, nil
		}
		switch c.state {
		case expectHeader:
			err = c.readHeader()
		case expectData:
			var m int
			m, err = c.readData(p[n:])
			n += m
			if m == 0 && err == nil {
				return n, nil
			}
		case expectDataEnd:
			err = c.readDataEnd()
		case expectTrailer:
			if err = c.readTrailer(); err == nil {
				return n, io.EOF
			}
		}
	}
	return n, endIsUnexpected(err)
}

// endIsUnexpected keeps the end of the HTTP body, wherever the framing wants more, from looking like the end of the payload.
func endIsUnexpected(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, errBodyEnd) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// line gives the next line, LF included, valid until the next read; errBodyEnd if there is not one byte more.
func (c *chunkReader) line(limit int) ([]byte, error) {
	line, err := c.source.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull), len(line) > limit:
		return nil, errLineTooLong
	case err == io.EOF && len(line) == 0:
		return nil, errBodyEnd
	}
	return line, endIsUnexpected(err)
}

var (
	errLineTooLong = errors.New("line too long")
	errBodyEnd     = errors.New("end of the body")
)

func (c *chunkReader) readHeader() error {
	line, err := c.line(maxChunkHeader)
	if err != nil {
		return endIsUnexpected(err)
	}
	c.number++
	size, signature, err := parseChunkHeader(line, c.chain != nil)
	if err != nil {
		return c.chunkError(err, line)
	}
	copy(c.signature[:], signature)
	switch {
	case size > maxPutLength:
		return c.chunkError(errChunkSize, line)
	case size > c.left:
		return ErrIncompleteBody.because(errTooMuch)
	case size > 0:
		c.chunk, c.state = size, expectData
		return nil
	case c.left > 0:
		return ErrIncompleteBody.because(errTooLittle)
	}
	c.state = expectTrailer
	return c.verifyChunk()
}

var (
	errFraming   = errors.New("malformed chunk framing")
	errChunkSize = errors.New("chunk size out of range")
	errTooMuch   = errors.New("more data than x-amz-decoded-content-length")
	errTooLittle = errors.New("less data than x-amz-decoded-content-length")
)

// chunkError tells a size that is no size from other broken framing, for which S3 has one answer.
func (c *chunkReader) chunkError(err error, line []byte) error {
	if !errors.Is(err, errChunkSize) {
		return ErrIncompleteBody.because(err)
	}
	size, _, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(";"))
	return ErrInvalidChunkSize.with("Chunk", strconv.Itoa(c.number)).with("BadChunkSize", string(size))
}

// parseChunkHeader reads a chunk header line, LF included. The signature aliases the line.
func parseChunkHeader(line []byte, signed bool) (size int64, signature []byte, err error) {
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok {
		return 0, nil, errFraming
	}
	digits := line
	if signed {
		var extension []byte
		digits, extension, _ = bytes.Cut(line, []byte(";"))
		signature, ok = bytes.CutPrefix(extension, []byte("chunk-signature="))
		if !ok || len(signature) != signatureSize {
			return 0, nil, errFraming
		}
	}
	if len(digits) == 0 {
		return 0, nil, errFraming
	}
	for _, d := range digits {
		value := hexDigit(d)
		if value < 0 {
			return 0, nil, errFraming
		}
		size = size<<4 | int64(value)
	}
	if len(digits) > maxSizeDigits {
		return 0, nil, errChunkSize
	}
	return size, signature, nil
}

func (c *chunkReader) readData(p []byte) (int, error) {
	n, err := c.source.Read(p[:min(int64(len(p)), c.chunk)])
	if c.data != nil {
		_, _ = c.data.Write(p[:n]) // a hash.Hash never fails
	}
	c.chunk -= int64(n)
	c.left -= int64(n)
	if c.chunk == 0 {
		c.state = expectDataEnd
	}
	return n, endIsUnexpected(err)
}

func (c *chunkReader) readDataEnd() error {
	for _, want := range []byte("\r\n") {
		got, err := c.source.ReadByte()
		if err != nil {
			return endIsUnexpected(err)
		}
		if got != want {
			return ErrIncompleteBody.because(errFraming)
		}
	}
	c.state = expectHeader
	return c.verifyChunk()
}

// verifyChunk judges the signature of the chunk that has just ended.
func (c *chunkReader) verifyChunk() error {
	if c.chain == nil {
		return nil
	}
	good := c.chain.verifyChunk(c.data, c.signature[:])
	c.data.Reset()
	if !good {
		return c.forged(c.signature[:])
	}
	return nil
}

func (c *chunkReader) forged(given []byte) error {
	return ErrSignatureDoesNotMatch.with("AWSAccessKeyId", c.accessKeyID).with("SignatureProvided", string(given))
}
