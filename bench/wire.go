package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
)

// net/http takes some fifteen microseconds for a request on either side, as much as nginx takes for all of one. On a machine of two
// cores a client and a storage made of it would be most of what is measured, so both speak HTTP/1.1 by themselves: as much of it as
// the contenders do.

// wireBuffer is how much of a connection is read at a time where heads are.
const wireBuffer = 64 << 10

// maxHead bounds the head of a request or an answer.
const maxHead = 256 << 10

type field struct{ name, value []byte }

// head is the first line and the fields of a request or an answer. Its slices are good until the next read.
type head struct {
	buf    []byte
	first  []byte
	fields []field
}

// read takes a head off the wire.
func (h *head) read(r *bufio.Reader) error {
	h.buf, h.fields = h.buf[:0], h.fields[:0]
	for {
		line, err := r.ReadSlice('\n')
		h.buf = append(h.buf, line...)
		if err != nil {
			if errors.Is(err, io.EOF) && len(h.buf) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if len(line) <= 2 {
			break
		}
		if len(h.buf) > maxHead {
			return errors.New("head of a message is too long")
		}
	}
	first := true
	for rest := h.buf; len(rest) > 0; {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		rest = after
		line = bytes.TrimSuffix(line, []byte("\r"))
		if first {
			h.first, first = line, false
			continue
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok {
			h.fields = append(h.fields, field{name, bytes.TrimSpace(value)})
		}
	}
	return nil
}

// get gives the value of a field, or nil.
func (h *head) get(name string) []byte {
	for _, f := range h.fields {
		if len(f.name) == len(name) && bytes.EqualFold(f.name, []byte(name)) {
			return f.value
		}
	}
	return nil
}

// length is Content-Length; -1 where there is none.
func (h *head) length() (int64, error) {
	v := h.get("content-length")
	if v == nil {
		return -1, nil
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("content length %q", v)
	}
	return n, nil
}

// wire is one connection with what is needed to read from it.
type wire struct {
	conn *net.TCPConn
	raw  syscall.RawConn
	r    *bufio.Reader
	head head
}

func newWire(c net.Conn) (*wire, error) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil, fmt.Errorf("%T is no TCP connection", c)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &wire{conn: tcp, raw: raw, r: bufio.NewReaderSize(tcp, wireBuffer)}, nil
}

// nowhere is where discarded bytes would go. The kernel is told the length of it and does not touch it.
var nowhere = make([]byte, 1<<20)

// discard drops the next n bytes. Those that are still in the kernel are dropped there (MSG_TRUNC, see tcp(7)) instead of being copied
// first: whoever measures should not cost what is measured.
func (w *wire) discard(n int64) error {
	held, err := w.r.Discard(int(min(n, int64(w.r.Buffered()))))
	if err != nil {
		return err
	}
	for n -= int64(held); n > 0; {
		var got int
		var failed error
		err := w.raw.Read(func(fd uintptr) bool {
			for {
				got, _, failed = syscall.Recvfrom(int(fd), nowhere[:min(n, int64(len(nowhere)))], syscall.MSG_TRUNC)
				if !errors.Is(failed, syscall.EINTR) {
					return !errors.Is(failed, syscall.EAGAIN)
				}
			}
		})
		switch {
		case err != nil:
			return err
		case failed != nil:
			return failed
		case got == 0:
			return io.ErrUnexpectedEOF
		}
		n -= int64(got)
	}
	return nil
}
