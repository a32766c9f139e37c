package sigv4test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"

	"cofre/checksum"
)

// Mode is a way to frame and sign a payload; its value is that of x-amz-content-sha256, but for SHA256.
type Mode string

// The modes.
const (
	SHA256          Mode = "sha256 of the payload"
	Unsigned        Mode = "UNSIGNED-PAYLOAD"
	Signed          Mode = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	SignedTrailer   Mode = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	UnsignedTrailer Mode = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// Modes gives all modes.
func Modes() []Mode { return []Mode{SHA256, Unsigned, Signed, SignedTrailer, UnsignedTrailer} }

// Chunked says that the mode frames the payload in chunks.
func (m Mode) Chunked() bool { return strings.HasPrefix(string(m), "STREAMING-") }

// Trailer says that the mode has a trailer, which then carries the checksum.
func (m Mode) Trailer() bool { return strings.HasSuffix(string(m), "-TRAILER") }

// Payload is a body and how to send it.
type Payload struct {
	Mode     Mode
	Data     []byte
	Chunk    int                // bytes a chunk; 0 for 64 KiB
	Chunks   []int              // sizes of the first chunks, before those of Chunk bytes
	Checksum checksum.Algorithm // sent in a header, or in the trailer where the mode has one; None for none
	// TransferEncoding sends the body by HTTP's own chunks instead of a Content-Length.
	TransferEncoding bool
	// MinioTrailer ends the trailer's checksum with LF CRLF and the body with one more CRLF, as minio-go does.
	MinioTrailer bool
	// NoContentEncoding leaves Content-Encoding alone, as older minio-go does.
	NoContentEncoding bool
}

func (p Payload) hash() string {
	if p.Mode == SHA256 {
		return hexSHA256(p.Data)
	}
	return string(p.Mode)
}

func (p Payload) sum() string {
	h := p.Checksum.New()
	h.Write(p.Data)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func (p Payload) setHeaders(r *http.Request) {
	r.Header.Set("X-Amz-Content-Sha256", p.hash())
	if p.Checksum != checksum.None && p.Mode.Trailer() {
		r.Header.Set("X-Amz-Trailer", p.Checksum.Header())
	} else if p.Checksum != checksum.None {
		r.Header.Set(p.Checksum.Header(), p.sum())
	}
	if p.Mode.Chunked() {
		r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(len(p.Data)))
		if !p.NoContentEncoding {
			r.Header.Set("Content-Encoding", "aws-chunked")
		}
	}
}

func (p Payload) setBody(r *http.Request, c *chain) {
	SetBody(r, p.Encode(c), p.TransferEncoding)
}

// SetBody replaces the body of a client request by the bytes as they are, signed or not.
func SetBody(r *http.Request, body []byte, transferEncoding bool) {
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	switch {
	case transferEncoding:
		r.ContentLength = -1
		r.TransferEncoding = []string{"chunked"}
	case len(body) == 0:
		r.Body = http.NoBody
	}
}

// chain signs chunks, each over the signature before.
type chain struct {
	signer   Signer
	previous string
}

func (c *chain) next(kind, middle string, data []byte) string {
	c.previous = c.signer.sign("AWS4-HMAC-SHA256-" + kind + "\n" + c.signer.amzDate() + "\n" + c.signer.scope() + "\n" + c.previous + "\n" + middle + hexSHA256(data))
	return c.previous
}

// Encode frames the payload. c may be nil where the mode signs nothing within the body.
func (p Payload) Encode(c *chain) []byte {
	if !p.Mode.Chunked() {
		return p.Data
	}
	var out bytes.Buffer
	rest, sizes := p.Data, p.Chunks
	for {
		size := p.Chunk
		if size <= 0 {
			size = 64 << 10
		}
		if len(sizes) > 0 {
			size, sizes = sizes[0], sizes[1:]
		}
		chunk := rest[:min(size, len(rest))]
		rest = rest[len(chunk):]
		p.writeChunk(&out, c, chunk)
		if len(chunk) == 0 {
			break
		}
	}
	if p.Mode.Trailer() && (p.Checksum != checksum.None || p.Mode == SignedTrailer) {
		p.writeTrailer(&out, c)
	}
	out.WriteString("\r\n")
	return out.Bytes()
}

// writeChunk leaves out the CRLF after the data of the empty last chunk: what follows it differs.
func (p Payload) writeChunk(out *bytes.Buffer, c *chain, data []byte) {
	fmt.Fprintf(out, "%x", len(data))
	if p.Mode != UnsignedTrailer {
		out.WriteString(";chunk-signature=" + c.next("PAYLOAD", hexSHA256(nil)+"\n", data))
	}
	out.WriteString("\r\n")
	if len(data) > 0 {
		out.Write(data)
		out.WriteString("\r\n")
	}
}

func (p Payload) writeTrailer(out *bytes.Buffer, c *chain) {
	var signed string
	if p.Checksum != checksum.None {
		line := p.Checksum.Header() + ":" + p.sum()
		signed = line + "\n"
		out.WriteString(line)
		if p.MinioTrailer {
			out.WriteString("\n")
		}
		out.WriteString("\r\n")
	}
	if p.Mode == SignedTrailer {
		out.WriteString("x-amz-trailer-signature:" + c.next("TRAILER", "", []byte(signed)) + "\r\n")
	}
	if p.MinioTrailer {
		out.WriteString("\r\n")
	}
}
