package backend

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

var (
	errBodyTooLong  = errors.New("body is longer than its declared length")
	errBodyTooShort = errors.New("body is shorter than its declared length")
	errBodyDetached = errors.New("request is over")
)

// upload is the body that net/http reads while it sends. It keeps two promises of proxy.Backend:
//
//   - The last byte is given out only after the source ended with a clean io.EOF. A source that fails at any point, even
//     after its last byte, thus breaks the connection before the declared length, and the backend keeps what it had.
//   - After detach the source is not touched any more, although net/http may go on reading in a goroutine of its own.
type upload struct {
	timer  *stallTimer
	stall  time.Duration // for the backend to take progressStep bytes
	answer time.Duration // for the backend to answer, from the last piece on

	mu       sync.Mutex // held during a Read of src
	src      io.Reader  // nil once detached
	left     int64      // bytes not yet given out
	last     int        // bytes of the piece that the backend is taking
	complete bool       // every byte was given out and src ended cleanly
	err      error      // why src failed
}

func newUpload(src io.Reader, length int64, timer *stallTimer, cfg *Config) *upload {
	return &upload{src: src, left: length, timer: timer, stall: cfg.StallTimeout, answer: cfg.AnswerTimeout}
}

// Read implements io.Reader for net/http. Between two calls the backend is what we wait for, within a call the source is.
func (u *upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.err != nil:
		return 0, u.err
	case u.complete:
		return 0, io.EOF
	case u.src == nil:
		return 0, errBodyDetached
	case len(p) == 0:
		return 0, nil
	}
	u.timer.done(u.last)
	n, err := u.read(p)
	u.last = n
	switch {
	case err != nil:
		u.err = err
		return 0, err
	case u.complete:
		u.timer.arm(u.answer)
	default:
		u.timer.wait(u.stall)
	}
	return n, nil
}

// read gives out the next piece, or nothing at all and an error. It sets complete with the piece that is the last.
func (u *upload) read(p []byte) (int, error) {
	if int64(len(p)) > u.left {
		p = p[:u.left]
	}
	n, err := u.src.Read(p)
	u.left -= int64(n)
	if u.left == 0 && err == nil {
		err = readEnd(u.src)
	}
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		return 0, err
	case u.left > 0:
		return 0, fmt.Errorf("%w: %d bytes are missing", errBodyTooShort, u.left)
	}
	u.complete = true
	return n, nil
}

// readEnd expects src to be at its end: io.EOF, or the reason why not.
func readEnd(src io.Reader) error {
	var extra [1]byte
	for range 100 { // as many empty reads as bufio bears
		n, err := src.Read(extra[:])
		if n > 0 {
			return errBodyTooLong
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// Close implements io.Closer for net/http. The source belongs to the caller, who closes it.
func (u *upload) Close() error { return nil }

// detach waits for a Read under way and lets go of the source. It reports whether the whole body was given out, and the
// error of the source, if it is the source that failed.
func (u *upload) detach() (complete bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.src = nil
	if errors.Is(u.err, errBodyDetached) {
		return u.complete, nil
	}
	return u.complete, u.err
}
