package seal

import (
	"errors"
	"io"
	"sync"
)

// frame is the buffer of one Encrypter or Decrypter: a chunk with its tag, and room for the header before the first one and the
// footer behind the last one, so that a small part is one read and one write.
type frame [HeaderSize + sealedChunkSize + FooterSize]byte

// frames hands buffers from one request to the next. It is no state: an empty pool makes a new frame.
var frames = sync.Pool{New: func() any { return new(frame) }}

// lease is the frame that an Encrypter or Decrypter holds from its first read to Close.
//
// An HTTP transport may close a request body while another of its goroutines is still inside Read. The frame must not go back
// then: the next request would share it. So Close only marks the lease, and the Read gives the frame back when it is done.
type lease struct {
	mu     sync.Mutex
	frame  *frame // nil before the first use and after the last
	busy   bool
	closed bool
}

// begin takes the frame for one call. Every begin that gives no error is followed by end.
func (l *lease) begin() (*frame, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	if l.frame == nil {
		l.frame = frames.Get().(*frame)
	}
	l.busy = true
	return l.frame, nil
}

func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = false
	if l.closed {
		l.release()
	}
}

func (l *lease) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if !l.busy {
		l.release()
	}
}

// release is called with mu held. The frame is wiped, since a Decrypter leaves plaintext in it.
func (l *lease) release() {
	if l.frame != nil {
		clear(l.frame[:])
		frames.Put(l.frame)
		l.frame = nil
	}
}

// maxEmptyReads bounds how often a reader may give neither bytes nor an error before it counts as stuck.
const maxEmptyReads = 100

// source reads from an io.Reader without losing the error that came along with the last bytes.
type source struct {
	r     io.Reader
	err   error
	probe [1]byte
}

// full fills p. It gives how much it had and the reader's own error where that is less.
func (s *source) full(p []byte) (int, error) {
	n, empty := 0, 0
	for n < len(p) {
		if s.err != nil {
			return n, s.err
		}
		var m int
		m, s.err = s.r.Read(p[n:])
		n += m
		if m > 0 {
			empty = 0
		} else if empty++; empty >= maxEmptyReads && s.err == nil {
			s.err = io.ErrNoProgress
		}
	}
	return n, nil
}

// ended says whether the reader is at its end. An error other than io.EOF is given back.
func (s *source) ended() (bool, error) {
	n, err := s.full(s.probe[:])
	if n > 0 {
		return false, nil
	}
	if !errors.Is(err, io.EOF) {
		return false, err
	}
	return true, nil
}
