package seal

import (
	"errors"
	"fmt"
	"io"

	"cofre/keys"
)

// Decrypter turns stored bytes into a range of an object's plaintext. It holds one chunk in memory, and gives out nothing
// that has not verified:
//
//   - a chunk only with its tag, under the key of exactly this object, part number, part size and salt;
//   - every header and footer that stands in the span, the header before any chunk of its part;
//   - the last chunk of a part whose footer stands in the span only after that footer;
//   - the end of a whole object only after the source has ended there too.
//
// One goroutine reads at a time; Close may come from any.
type Decrypter struct {
	dek      keys.DEK
	object   keys.ObjectID
	geometry Geometry
	span     Span
	src      source
	lease    lease

	// Owned by the reading goroutine.
	cipher   *partCipher // of the part at work
	part     int         // index of the part at work
	slice    slice       // what the span needs of it
	chunk    int64       // index of its next chunk
	small    [FooterSize]byte
	expected []Footer
	footers  []Footer
	pending  []byte // verified plaintext of the frame that nobody has read yet
	err      error  // what comes when pending is empty: io.EOF, or what went wrong
}

// NewDecrypter opens the n plaintext bytes from off. Src gives the stored bytes from Geometry.Span(off, n).StoredOff on: for
// a whole object all of them and then io.EOF, else at least the span's StoredLen. A range that is not within the object is
// ErrRange. What does not verify is an *IntegrityError, a clean io.EOF of src before the span's end too; other errors of
// src come out as they are.
//
// A range that does not cover its parts wholly proves nothing of their footers: the caller has a record or layout written
// after the commit, or has opened the footers before (docs/FORMAT.md section 3 rule 5).
func NewDecrypter(dek keys.DEK, object keys.ObjectID, geometry Geometry, off, n int64, src io.Reader) *Decrypter {
	d := &Decrypter{dek: dek, object: object, geometry: geometry, span: geometry.Span(off, n), src: source{r: src}}
	d.part = d.span.first - 1
	switch {
	case dek.IsZero():
		d.err = fmt.Errorf("open object: %w", keys.ErrZeroKey)
	case !geometry.contains(off, n):
		d.err = fmt.Errorf("open object: %w", ErrRange)
	}
	return d
}

// ExpectFooters makes every footer that is read agree with what record or layout say: one Footer for each part of the object,
// in order, in which a nil MD5 and the algorithm None stand for "not recorded". It is called before the first read.
func (d *Decrypter) ExpectFooters(recorded []Footer) {
	if len(recorded) != len(d.geometry.parts) && d.err == nil {
		d.err = fmt.Errorf("open object: %d footers recorded for %d parts", len(recorded), len(d.geometry.parts))
		return
	}
	d.expected = recorded
}

// Footers gives the footers that were opened so far, in order: after a whole read those of all parts.
func (d *Decrypter) Footers() []Footer { return d.footers }

// Start opens as much as it takes to have the first plaintext byte ready: so that what is wrong there is known before an
// answer begins. Of an object that fits in one chunk, everything is verified then.
func (d *Decrypter) Start() error {
	buf, err := d.lease.begin()
	if err != nil {
		return err
	}
	defer d.lease.end()
	d.fill(buf)
	if len(d.pending) > 0 {
		return nil
	}
	return endOf(d.err)
}

// Read gives plaintext, never of more than one chunk at a time.
func (d *Decrypter) Read(p []byte) (int, error) {
	buf, err := d.lease.begin()
	if err != nil {
		return 0, err
	}
	defer d.lease.end()
	if len(p) == 0 {
		return 0, nil
	}
	d.fill(buf)
	if len(d.pending) == 0 {
		return 0, d.err
	}
	n := copy(p, d.pending)
	d.pending = d.pending[n:]
	return n, nil
}

// WriteTo writes the rest of the plaintext to w, chunk by chunk.
func (d *Decrypter) WriteTo(w io.Writer) (written int64, err error) {
	buf, err := d.lease.begin()
	if err != nil {
		return 0, err
	}
	defer d.lease.end()
	for {
		d.fill(buf)
		if len(d.pending) == 0 {
			return written, endOf(d.err)
		}
		n, err := writePending(w, &d.pending)
		written += n
		if err != nil {
			return written, err
		}
	}
}

// Close gives the buffer back, wiped. Reading on gives ErrClosed. It does not close the source. It always gives nil.
func (d *Decrypter) Close() error {
	d.lease.close()
	return nil
}

// fill makes sure that pending holds verified plaintext, or else that err says why there is none.
func (d *Decrypter) fill(buf *frame) {
	for len(d.pending) == 0 && d.err == nil {
		d.pending, d.err = d.openNext(buf)
		if d.err != nil {
			d.pending = nil
		}
		if d.err != nil && !errors.Is(d.err, io.EOF) {
			clear(buf[:]) // a last chunk may have opened before its footer did not
		}
	}
}

// openNext opens the next chunk of the span, with what has to be verified before it may leave. It gives io.EOF at the end,
// and no bytes and no error for a part without plaintext.
func (d *Decrypter) openNext(buf *frame) ([]byte, error) {
	if d.chunk == d.slice.lastChunk() {
		if d.part == d.span.last {
			return nil, io.EOF
		}
		if err := d.enterPart(); err != nil {
			return nil, err
		}
	}
	var plain []byte
	if d.chunk < d.slice.lastChunk() {
		var err error
		if plain, err = d.openChunk(buf); err != nil {
			return nil, err
		}
	}
	if d.chunk == d.slice.lastChunk() && d.slice.footer {
		if err := d.leavePart(); err != nil {
			return nil, err
		}
	}
	return plain, nil
}

// enterPart derives the key of the next part and checks its header, where that stands in the span.
func (d *Decrypter) enterPart() error {
	d.part++
	part := d.geometry.parts[d.part].Part
	d.slice = d.geometry.slice(d.span, d.part)
	d.chunk = d.slice.firstChunk()
	var err error
	if d.cipher, err = newPartCipher(d.dek, d.object, part, commitmentWanted(d.slice.header)); err != nil {
		return err
	}
	if !d.slice.header {
		return nil
	}
	header := d.small[:HeaderSize]
	if err := d.read(header, noIndex); err != nil {
		return err
	}
	return d.cipher.checkHeader(part, header)
}

// openChunk opens the next chunk into buf and gives the plaintext of it that lies in the range.
func (d *Decrypter) openChunk(buf *frame) ([]byte, error) {
	begin := d.chunk * chunkSize64
	size := min(chunkSize64, d.slice.size-begin)
	sealed := buf[:size+TagSize]
	if err := d.read(sealed, d.chunk); err != nil {
		return nil, err
	}
	plain, ok := d.cipher.open(nonceChunk, d.chunk, sealed)
	if !ok {
		return nil, d.fault(FaultChunk, d.chunk)
	}
	d.chunk++
	return plain[max(d.slice.lo-begin, 0):min(d.slice.hi-begin, size)], nil
}

// leavePart opens the footer of the part, compares it with what is recorded and, behind the last part of a whole object,
// finds out whether the source ends there.
func (d *Decrypter) leavePart() error {
	part := d.geometry.parts[d.part].Part
	if err := d.read(d.small[:], noIndex); err != nil {
		return err
	}
	f, err := d.cipher.openFooter(part, d.small[:])
	if err != nil {
		return err
	}
	if d.expected != nil && !f.agrees(d.expected[d.part]) {
		return d.fault(FaultRecord, noIndex)
	}
	d.footers = append(d.footers, f)
	if !d.span.WholeObject || d.part != d.span.last {
		return nil
	}
	ended, err := d.src.ended()
	if err != nil {
		return err
	}
	if !ended {
		return d.fault(FaultTrailing, noIndex)
	}
	return nil
}

// read fills p from the source. A clean end is the storage's doing, and so a fault; any other error is the connection's.
func (d *Decrypter) read(p []byte, chunk int64) error {
	_, err := d.src.full(p)
	if errors.Is(err, io.EOF) {
		return d.fault(FaultTruncated, chunk)
	}
	return err
}

func (d *Decrypter) fault(f Fault, chunk int64) error {
	return &IntegrityError{Fault: f, Part: d.geometry.parts[d.part].Number, Chunk: chunk}
}
