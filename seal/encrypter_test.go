package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"cofre/checksum"
	"cofre/keys"
	"cofre/seal"
)

var errTest = errors.New("test error")

func noFooter() (seal.Footer, error) { return seal.Footer{}, nil }

// encrypter seals src as a single part with the fixture's salt.
func encrypter(t testing.TB, size int64, src io.Reader, footer func() (seal.Footer, error)) *seal.Encrypter {
	t.Helper()
	part := seal.Part{Size: size, Salt: fixedSalt("parta")}
	return seal.NewEncrypter(fixedDEK(t, "dek"), fixedObjectID("object"), part, src, footer)
}

func TestEncrypterGivesTheSameForEverySplit(t *testing.T) {
	sources := map[string]func(io.Reader) io.Reader{
		"plain":    func(r io.Reader) io.Reader { return r },
		"halves":   iotest.HalfReader,
		"data+EOF": iotest.DataErrReader,
	}
	for _, size := range edgeSizes {
		want := sealObject(t, size)
		footer := func() (seal.Footer, error) { return want.footers[0], nil }
		for name, wrap := range sources {
			for _, n := range []int{7, 64, 1000, 32768, 65695, 65696, 65697, 1 << 20} {
				got, err := readSized(encrypter(t, size, wrap(bytes.NewReader(want.plain)), footer), n)
				if err != nil || !bytes.Equal(got, want.stored) {
					t.Fatalf("%d bytes from %s in reads of %d differ: %v", size, name, n, err)
				}
			}
			var w bytes.Buffer
			n, err := encrypter(t, size, wrap(bytes.NewReader(want.plain)), footer).WriteTo(&w)
			if err != nil || n != seal.StoredSize(size) || !bytes.Equal(w.Bytes(), want.stored) {
				t.Fatalf("%d bytes from %s through WriteTo differ: %d, %v", size, name, n, err)
			}
		}
	}
}

func TestEncrypterTakesAndGivesSingleBytes(t *testing.T) {
	want := sealObject(t, 65537)
	e := encrypter(t, 65537, iotest.OneByteReader(bytes.NewReader(want.plain)), func() (seal.Footer, error) { return want.footers[0], nil })
	if got, err := readSized(e, 1); err != nil || !bytes.Equal(got, want.stored) {
		t.Fatalf("single bytes differ: %v", err)
	}
}

func TestEncrypterIsAReader(t *testing.T) {
	for _, size := range []int64{0, 1, 65536, 65537} {
		o := sealObject(t, size)
		e := encrypter(t, size, bytes.NewReader(o.plain), func() (seal.Footer, error) { return o.footers[0], nil })
		if err := iotest.TestReader(e, o.stored); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestEncrypterReadsOnThroughWriteTo(t *testing.T) {
	o := sealObject(t, 200000)
	e := encrypter(t, 200000, bytes.NewReader(o.plain), func() (seal.Footer, error) { return o.footers[0], nil })
	head := make([]byte, 1000)
	if _, err := io.ReadFull(e, head); err != nil {
		t.Fatal(err)
	}
	var rest bytes.Buffer
	if _, err := e.WriteTo(&rest); err != nil || !bytes.Equal(append(head, rest.Bytes()...), o.stored) {
		t.Fatalf("reading, then WriteTo differ: %v", err)
	}
}

// incomplete checks that a part which failed lacks its last chunk, so that the backend cannot have a complete one.
func incomplete(t *testing.T, what string, size int64, got []byte) {
	t.Helper()
	whole := (size - 1) / seal.ChunkSize // chunks before the last
	if most := seal.HeaderSize + max(whole, 0)*(seal.ChunkSize+seal.TagSize); int64(len(got)) > most {
		t.Errorf("%s of %d bytes: %d sealed bytes came out, want at most %d", what, size, len(got), most)
	}
}

func TestEncrypterRefusesAnotherLength(t *testing.T) {
	for _, size := range edgeSizes {
		for _, by := range []int64{-65536, -1, 1, 65536} {
			if size+by < 0 {
				continue
			}
			what := fmt.Sprintf("source %+d", by)
			got, err := io.ReadAll(encrypter(t, size, bytes.NewReader(pattern(size+by)), func() (seal.Footer, error) {
				t.Errorf("%s of %d bytes: the footer was asked for", what, size)
				return seal.Footer{}, nil
			}))
			if !errors.Is(err, seal.ErrPlaintextLength) {
				t.Errorf("%s of %d bytes: error %v", what, size, err)
			}
			incomplete(t, what, size, got)
		}
	}
}

func TestEncrypterPassesErrorsOfTheSourceOn(t *testing.T) {
	for _, size := range edgeSizes {
		for _, have := range []int64{0, size / 2, size} {
			src := io.MultiReader(bytes.NewReader(pattern(have)), iotest.ErrReader(errTest))
			got, err := io.ReadAll(encrypter(t, size, src, noFooter))
			if err != errTest {
				t.Errorf("%d of %d bytes: error %v", have, size, err)
			}
			incomplete(t, "failed source", size, got)
		}
	}
}

// lastBytes gives its error together with its last bytes, and a clean end ever after.
type lastBytes struct {
	left []byte
	err  error
}

func (r *lastBytes) Read(p []byte) (int, error) {
	if len(r.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	if len(r.left) == 0 {
		return n, r.err
	}
	return n, nil
}

func TestEncrypterKeepsAnErrorThatCameWithTheLastBytes(t *testing.T) {
	for _, size := range []int64{1, 65536, 70000} {
		got, err := io.ReadAll(encrypter(t, size, &lastBytes{pattern(size), errTest}, noFooter))
		if err != errTest {
			t.Errorf("%d bytes: error %v", size, err)
		}
		incomplete(t, "source that failed at its end", size, got)
	}
}

type emptyReads struct{}

func (emptyReads) Read([]byte) (int, error) { return 0, nil }

func TestEncrypterDoesNotWaitForeverForAnEmptySource(t *testing.T) {
	if _, err := io.ReadAll(encrypter(t, 10, emptyReads{}, noFooter)); err != io.ErrNoProgress {
		t.Errorf("error %v", err)
	}
}

func TestEncrypterAsksForTheFooterOnceAfterTheEnd(t *testing.T) {
	for _, size := range edgeSizes {
		src := &countedReader{r: bytes.NewReader(pattern(size))}
		asked := 0
		e := encrypter(t, size, src, func() (seal.Footer, error) {
			asked++
			if !src.ended {
				t.Errorf("%d bytes: the footer was asked for before the source had ended", size)
			}
			return seal.Footer{}, nil
		})
		if _, err := readSized(e, 100); err != nil {
			t.Fatal(err)
		}
		if asked != 1 {
			t.Errorf("%d bytes: the footer was asked for %d times", size, asked)
		}
	}
}

// countedReader says how much was read, and whether the end was seen.
type countedReader struct {
	r     io.Reader
	n     int64
	ended bool
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.ended = c.ended || err == io.EOF
	return n, err
}

func TestEncrypterStopsWhereTheFooterIsRefused(t *testing.T) {
	for _, size := range edgeSizes {
		for _, n := range []int{100, 32768, 1 << 20} {
			e := encrypter(t, size, bytes.NewReader(pattern(size)), func() (seal.Footer, error) { return seal.Footer{}, errTest })
			got, err := readSized(e, n)
			if err != errTest {
				t.Errorf("%d bytes: error %v", size, err)
			}
			incomplete(t, "refused footer", size, got)
			if m, err := e.Read(make([]byte, n)); m != 0 || err != errTest {
				t.Errorf("%d bytes: reading on gives %d, %v", size, m, err)
			}
		}
	}
}

func TestEncrypterLeavesNoPlaintextInTheBufferOfAFailedRead(t *testing.T) {
	e := encrypter(t, 1000, bytes.NewReader(pattern(999)), noFooter)
	buf := make([]byte, 1<<20)
	if n, err := e.Read(buf); n != 0 || !errors.Is(err, seal.ErrPlaintextLength) {
		t.Fatalf("Read = %d, %v", n, err)
	}
	if !bytes.Equal(buf, make([]byte, len(buf))) {
		t.Error("the buffer of the failed read is not wiped")
	}
}

func TestEncrypterRefusesFootersThatNobodyCouldRead(t *testing.T) {
	for name, f := range map[string]seal.Footer{
		"short MD5":         {MD5: make([]byte, 15)},
		"long MD5":          {MD5: make([]byte, 17)},
		"empty MD5":         {MD5: []byte{}},
		"unknown algorithm": {Checksum: 6},
		"short checksum":    {Checksum: checksum.CRC32, Sum: make([]byte, 3)},
		"checksum of none":  {Sum: make([]byte, 4)},
	} {
		_, err := io.ReadAll(encrypter(t, 0, strings.NewReader(""), func() (seal.Footer, error) { return f, nil }))
		if err == nil || !strings.Contains(err.Error(), "encode footer") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestEncrypterRefusesWhatCannotBeSealed(t *testing.T) {
	dek, id, salt := fixedDEK(t, "dek"), fixedObjectID("object"), fixedSalt("parta")
	for name, c := range map[string]struct {
		dek  keys.DEK
		part seal.Part
		want error
	}{
		"zero DEK":            {keys.DEK{}, seal.Part{Salt: salt}, keys.ErrZeroKey},
		"zero salt":           {dek, seal.Part{}, seal.ErrZeroSalt},
		"negative size":       {dek, seal.Part{Size: -1, Salt: salt}, seal.ErrIntegrity},
		"size above 5 TiB":    {dek, seal.Part{Size: seal.MaxPlainSize + 1, Salt: salt}, seal.ErrIntegrity},
		"number above 10,000": {dek, seal.Part{Number: 10001, Salt: salt}, seal.ErrIntegrity},
	} {
		e := seal.NewEncrypter(c.dek, id, c.part, strings.NewReader(""), noFooter)
		if got, err := io.ReadAll(e); len(got) != 0 || !errors.Is(err, c.want) {
			t.Errorf("%s: %d bytes, error %v, want %v", name, len(got), err, c.want)
		}
		if etag := seal.OpaqueETag(c.dek, id, c.part); c.want != seal.ErrZeroSalt && etag != "" {
			t.Errorf("%s: opaque ETag %s", name, etag)
		}
	}
}

func TestNewSaltIsFresh(t *testing.T) {
	seen := make(map[seal.Salt]bool)
	for range 1000 {
		s := seal.NewSalt()
		if seen[s] || s == (seal.Salt{}) {
			t.Fatalf("salt %x again", s)
		}
		seen[s] = true
	}
}

func TestEncrypterRefusesToReadAfterClose(t *testing.T) {
	e := encrypter(t, 100000, bytes.NewReader(pattern(100000)), noFooter)
	if _, err := e.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := e.Read(make([]byte, 10)); n != 0 || err != seal.ErrClosed {
		t.Errorf("Read = %d, %v", n, err)
	}
	if n, err := e.WriteTo(io.Discard); n != 0 || err != seal.ErrClosed {
		t.Errorf("WriteTo = %d, %v", n, err)
	}
}

// TestEncrypterKeepsItsBufferWhileItIsReadAndClosed closes from another goroutine while Read waits for its source, as an
// HTTP transport does, and lets others take buffers meanwhile. The race detector and the bytes tell whether one was shared.
func TestEncrypterKeepsItsBufferWhileItIsReadAndClosed(t *testing.T) {
	const size = 5000
	o := sealObject(t, size)
	for range 50 {
		waiting, goOn := make(chan struct{}), make(chan struct{})
		src := io.MultiReader(bytes.NewReader(o.plain[:100]), readerFunc(func([]byte) (int, error) {
			close(waiting)
			<-goOn
			return 0, io.EOF
		}), bytes.NewReader(o.plain[100:]))
		e := encrypter(t, size, src, func() (seal.Footer, error) { return o.footers[0], nil })
		result := make(chan error, 1)
		go func() {
			got := make([]byte, len(o.stored))
			n, err := e.Read(got)
			if err == nil && !bytes.Equal(got[:n], o.stored[:n]) {
				err = errors.New("the bytes of the read in flight differ")
			}
			result <- err
		}()
		<-waiting
		e.Close()
		for range 4 {
			if got, err := o.openWhole(o.stored); err != nil || !bytes.Equal(got, o.plain) {
				t.Fatalf("another reader was disturbed: %v", err)
			}
		}
		close(goOn)
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		if _, err := e.Read(make([]byte, 1)); err != seal.ErrClosed {
			t.Fatalf("reading on gives %v", err)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// brokenWriter takes a few bytes and then fails.
type brokenWriter struct {
	room int
	err  error
}

func (w *brokenWriter) Write(p []byte) (int, error) {
	n := min(w.room, len(p))
	w.room -= n
	if n < len(p) {
		return n, w.err
	}
	return n, nil
}

func TestWriteToStopsAtABrokenWriter(t *testing.T) {
	o := sealObject(t, 200000)
	for _, want := range []error{errTest, io.ErrShortWrite} {
		w := &brokenWriter{room: 70000}
		if want == errTest {
			w.err = errTest
		}
		e := encrypter(t, 200000, bytes.NewReader(o.plain), noFooter)
		if n, err := e.WriteTo(w); n != 70000 || err != want {
			t.Errorf("Encrypter.WriteTo = %d, %v, want %v", n, err, want)
		}
		w.room = 70000
		if n, err := o.open(o.stored, 0, 200000).WriteTo(w); n != 70000 || err != want {
			t.Errorf("Decrypter.WriteTo = %d, %v, want %v", n, err, want)
		}
	}
}
