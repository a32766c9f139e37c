package seal

import (
	"errors"
	"fmt"
	"io"

	"cofre/keys"
)

// Encrypter turns the plaintext of one part into its stored bytes: a reader of exactly StoredSize(part.Size) bytes. It holds
// one chunk in memory. One goroutine reads at a time; Close may come from any.
type Encrypter struct {
	part   Part
	src    source
	footer func() (Footer, error)
	cipher *partCipher // nil where err was set from the start
	lease  lease

	// Owned by the reading goroutine.
	started bool   // the header is out
	chunk   int64  // index of the chunk that comes next
	pending []byte // sealed bytes of the frame that nobody has read yet
	err     error  // what comes when pending is empty: io.EOF, or what went wrong
}

// NewEncrypter seals the plaintext that src gives until io.EOF, as this part of this object.
//
// The salt must be fresh (NewSalt) for every Encrypter: a part that is sent again has other bytes, or the same bytes from a
// new Encrypter with a new salt. A source of another length than part.Size is ErrPlaintextLength; errors of src come out as
// they are. Footer is called once, after src ended with a clean io.EOF, so after the request body has verified; its error
// ends the stream. Neither the last chunk nor the footer is given out before both have succeeded, so that a part which did
// not verify is never complete on the backend (docs/FORMAT.md section 3 rule 4).
func NewEncrypter(dek keys.DEK, object keys.ObjectID, part Part, src io.Reader, footer func() (Footer, error)) *Encrypter {
	e := &Encrypter{part: part, src: source{r: src}, footer: footer}
	if part.Salt == (Salt{}) {
		e.err = fmt.Errorf("seal part: %w", ErrZeroSalt)
		return e
	}
	e.cipher, e.err = newPartCipher(dek, object, part, withCommitment)
	return e
}

// Read gives stored bytes. It fills p, except that it never waits for more than one chunk of the source. Where p has room
// for a whole chunk, that is sealed in place; p is then used as scratch, but never keeps plaintext.
func (e *Encrypter) Read(p []byte) (int, error) {
	buf, err := e.lease.begin()
	if err != nil {
		return 0, err
	}
	defer e.lease.end()
	n := e.take(p)
	if n < len(p) && e.err == nil {
		if rest := p[n:]; len(rest) >= len(buf) {
			n += e.fill(rest[:len(buf)])
		} else {
			e.pending = buf[:e.fill(buf[:])]
			n += e.take(rest)
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, e.err
	}
	return n, nil
}

// WriteTo writes the rest of the stored bytes to w, chunk by chunk.
func (e *Encrypter) WriteTo(w io.Writer) (written int64, err error) {
	buf, err := e.lease.begin()
	if err != nil {
		return 0, err
	}
	defer e.lease.end()
	for {
		if len(e.pending) == 0 && e.err == nil {
			e.pending = buf[:e.fill(buf[:])]
		}
		if len(e.pending) == 0 {
			return written, endOf(e.err)
		}
		n, err := writePending(w, &e.pending)
		written += n
		if err != nil {
			return written, err
		}
	}
}

// Close gives the buffer back. Reading on gives ErrClosed. It does not close the source. It always gives nil.
func (e *Encrypter) Close() error {
	e.lease.close()
	return nil
}

func (e *Encrypter) take(p []byte) int {
	n := copy(p, e.pending)
	e.pending = e.pending[n:]
	return n
}

// fill seals what comes next into dst, which has the size of a frame, and gives its length. At the end, and when something
// went wrong, it sets e.err; in the latter case it leaves nothing in dst.
func (e *Encrypter) fill(dst []byte) int {
	n, err := e.sealNext(dst)
	if err != nil {
		clear(dst)
		e.err = err
		return 0
	}
	return n
}

// sealNext seals the next chunk, with the header before the first and the footer behind the last.
func (e *Encrypter) sealNext(dst []byte) (n int, err error) {
	if !e.started {
		e.started = true
		n = len(Header{Size: e.part.Size, Salt: e.part.Salt, Commitment: e.cipher.commitment}.append(dst[:0]))
	}
	chunks := chunkCount(e.part.Size)
	if e.chunk < chunks {
		size := min(chunkSize64, e.part.Size-e.chunk*chunkSize64)
		plain := dst[n : n+int(size)]
		if _, err := e.src.full(plain); errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("seal part: %w: source ended early", ErrPlaintextLength)
		} else if err != nil {
			return 0, err
		}
		e.cipher.seal(nonceChunk, e.chunk, plain)
		n += int(size) + TagSize
		e.chunk++
	}
	if e.chunk == chunks {
		if err := e.finish(dst[n : n+FooterSize]); err != nil {
			return 0, err
		}
		n += FooterSize
		e.err = io.EOF
	}
	return n, nil
}

// finish waits for the clean end of the source, asks for the footer and seals it.
func (e *Encrypter) finish(dst []byte) error {
	ended, err := e.src.ended()
	if err != nil {
		return err
	}
	if !ended {
		return fmt.Errorf("seal part: %w: source goes on", ErrPlaintextLength)
	}
	f, err := e.footer()
	if err != nil {
		return err
	}
	return e.cipher.sealFooter(e.part, f, dst)
}

// endOf turns the end of a stream into WriteTo's "no error".
func endOf(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// writePending writes what is pending and keeps what w did not take.
func writePending(w io.Writer, pending *[]byte) (int64, error) {
	n, err := w.Write(*pending)
	n = min(max(n, 0), len(*pending)) // a broken writer must not take the process down
	*pending = (*pending)[n:]
	if err == nil && len(*pending) > 0 {
		err = io.ErrShortWrite
	}
	return int64(n), err
}
