package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"cofre/checksum"
	"cofre/keys"
	"cofre/seal"
)

// objects are objects of one and of several parts, empty parts at every place among them.
var objects = [][]int64{
	{0}, {1}, {65535}, {65536}, {65537}, {131072}, {200000},
	{0, 0}, {10, 0, 5}, {0, 1, 0}, {65536, 65536}, {65537, 1, 65535}, {131072, 0, 100, 70000},
}

func TestDecrypterOpensWhatTheEncrypterSealed(t *testing.T) {
	sources := map[string]func(io.Reader) io.Reader{
		"plain":    func(r io.Reader) io.Reader { return r },
		"halves":   iotest.HalfReader,
		"data+EOF": iotest.DataErrReader,
	}
	for _, sizes := range objects {
		o := sealObject(t, sizes...)
		open := func(wrap func(io.Reader) io.Reader) *seal.Decrypter {
			return seal.NewDecrypter(o.dek, o.id, o.geometry, 0, o.geometry.Size(), wrap(bytes.NewReader(o.stored)))
		}
		for name, wrap := range sources {
			for _, n := range []int{7, 1000, 32768, 65536, 1 << 20} {
				if got, err := readSized(open(wrap), n); err != nil || !bytes.Equal(got, o.plain) {
					t.Fatalf("%v from %s in reads of %d differ: %v", sizes, name, n, err)
				}
			}
			var w bytes.Buffer
			if n, err := open(wrap).WriteTo(&w); err != nil || n != o.geometry.Size() || !bytes.Equal(w.Bytes(), o.plain) {
				t.Fatalf("%v from %s through WriteTo differ: %d, %v", sizes, name, n, err)
			}
		}
		if err := iotest.TestReader(open(sources["plain"]), o.plain); err != nil {
			t.Errorf("%v: %v", sizes, err)
		}
	}
}

func TestDecrypterTakesAndGivesSingleBytes(t *testing.T) {
	o := sealObject(t, 65537, 0, 3)
	d := seal.NewDecrypter(o.dek, o.id, o.geometry, 0, o.geometry.Size(), iotest.OneByteReader(bytes.NewReader(o.stored)))
	if got, err := readSized(d, 1); err != nil || !bytes.Equal(got, o.plain) {
		t.Fatalf("single bytes differ: %v", err)
	}
}

// TestDecrypterOpensEveryRangeFromItsSpanAlone gives the Decrypter nothing but the span, so it also shows that no more is
// read than the span says.
func TestDecrypterOpensEveryRangeFromItsSpanAlone(t *testing.T) {
	sealed := make([]*sealedObject, len(objects))
	for i, sizes := range objects {
		sealed[i] = sealObject(t, sizes...)
	}
	rapid.Check(t, func(t *rapid.T) {
		o := sealed[rapid.IntRange(0, len(sealed)-1).Draw(t, "object")]
		size := o.geometry.Size()
		near := rapid.OneOf(rapid.Int64Range(0, size), rapid.Map(rapid.IntRange(-3, 3), func(i int) int64 {
			return max(0, min(size, seal.ChunkSize+int64(i)))
		}))
		off := near.Draw(t, "off")
		n := min(near.Draw(t, "n"), size-off)
		span := o.geometry.Span(off, n)
		src := &countedReader{r: bytes.NewReader(o.stored[span.StoredOff : span.StoredOff+span.StoredLen])}
		d := seal.NewDecrypter(o.dek, o.id, o.geometry, off, n, src)
		defer d.Close()
		got, err := readSized(d, rapid.IntRange(1000, 100000).Draw(t, "read size"))
		if err != nil || !bytes.Equal(got, o.plain[off:off+n]) {
			t.Fatalf("range %d+%d of %d bytes differs: %v", off, n, size, err)
		}
		if src.n != span.StoredLen {
			t.Fatalf("range %d+%d read %d stored bytes, want %d", off, n, src.n, span.StoredLen)
		}
	})
}

func TestDecrypterLeavesTheSourceBehindARangeAlone(t *testing.T) {
	o := sealObject(t, 200000)
	src := bytes.NewReader(o.stored[o.geometry.Span(70000, 10).StoredOff:])
	before := src.Len()
	d := seal.NewDecrypter(o.dek, o.id, o.geometry, 70000, 10, src)
	if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, o.plain[70000:70010]) {
		t.Fatalf("range differs: %v", err)
	}
	if read := before - src.Len(); int64(read) != o.geometry.Span(70000, 10).StoredLen {
		t.Errorf("%d stored bytes were read", read)
	}
}

func TestDecrypterRefusesRangesOutsideTheObject(t *testing.T) {
	o := sealObject(t, 100)
	for _, r := range [][2]int64{{-1, 1}, {0, -1}, {0, 101}, {100, 1}, {101, 0}, {1 << 62, 1 << 62}} {
		d := seal.NewDecrypter(o.dek, o.id, o.geometry, r[0], r[1], bytes.NewReader(o.stored))
		if got, err := io.ReadAll(d); len(got) != 0 || !errors.Is(err, seal.ErrRange) {
			t.Errorf("range %d+%d: %d bytes, %v", r[0], r[1], len(got), err)
		}
	}
	d := seal.NewDecrypter(o.dek, o.id, seal.Geometry{}, 0, 0, bytes.NewReader(nil))
	if _, err := io.ReadAll(d); !errors.Is(err, seal.ErrRange) {
		t.Errorf("no object: %v", err)
	}
}

func TestDecrypterRefusesAZeroKey(t *testing.T) {
	o := sealObject(t, 0)
	d := seal.NewDecrypter(keys.DEK{}, o.id, o.geometry, 0, 0, bytes.NewReader(o.stored))
	if err := d.Start(); !errors.Is(err, keys.ErrZeroKey) {
		t.Errorf("Start: %v", err)
	}
	if _, err := seal.OpenFooter(keys.DEK{}, o.id, o.parts[0], o.stored[seal.HeaderSize:]); !errors.Is(err, keys.ErrZeroKey) {
		t.Errorf("OpenFooter: %v", err)
	}
	if err := seal.OpenHeader(keys.DEK{}, o.id, o.parts[0], o.stored[:seal.HeaderSize]); !errors.Is(err, keys.ErrZeroKey) {
		t.Errorf("OpenHeader: %v", err)
	}
}

// refused checks that what came out before the error is the beginning of the plaintext, and no more than may come out where the
// stored bytes are wrong from bad on: nothing of the chunk that holds it and nothing of a last chunk whose footer holds it.
func (o *sealedObject) refused(t testing.TB, what string, bad int, got []byte, err error) {
	t.Helper()
	if !errors.Is(err, seal.ErrIntegrity) {
		t.Errorf("%s: error %v", what, err)
	}
	if !bytes.HasPrefix(o.plain, got) {
		t.Fatalf("%s: wrong bytes came out", what)
	}
	if most := o.releasable(bad); len(got) > most {
		t.Errorf("%s: %d bytes came out, want at most %d", what, len(got), most)
	}
}

// releasable is how much plaintext a whole read may give out where the stored bytes are wrong at bad.
func (o *sealedObject) releasable(bad int) int {
	plain, stored := int64(0), int64(0)
	for i, p := range o.parts {
		next := stored + seal.StoredSize(p.Size)
		if int64(bad) >= next && i < len(o.parts)-1 {
			plain, stored = plain+p.Size, next
			continue
		}
		chunk := max(int64(bad)-stored-seal.HeaderSize, 0) / (seal.ChunkSize + seal.TagSize)
		last := max((p.Size-1)/seal.ChunkSize, 0)
		return int(plain + min(chunk, last)*seal.ChunkSize)
	}
	return int(plain)
}

func TestWholeReadRefusesEveryFlippedBit(t *testing.T) {
	o := sealObject(t, 5, 0, 3)
	for i := range o.stored {
		for bit := range 8 {
			bad := bytes.Clone(o.stored)
			bad[i] ^= 1 << bit
			got, err := o.openWhole(bad)
			o.refused(t, fmt.Sprintf("byte %d, bit %d", i, bit), i, got, err)
		}
	}
}

func TestWholeReadRefusesEveryTruncation(t *testing.T) {
	o := sealObject(t, 5, 0, 3)
	for n := range o.stored {
		got, err := o.openWhole(o.stored[:n])
		o.refused(t, fmt.Sprintf("cut to %d bytes", n), n, got, err)
	}
}

func TestWholeReadRefusesAlteredLargeObjects(t *testing.T) {
	o := sealObject(t, 131072, 0, 70000)
	rapid.Check(t, func(rt *rapid.T) {
		i := rapid.IntRange(0, len(o.stored)-1).Draw(rt, "at")
		bad := bytes.Clone(o.stored)
		var what string
		switch rapid.SampledFrom([]string{"flip", "cut", "drop", "repeat"}).Draw(rt, "how") {
		case "flip":
			what = "flipped"
			bad[i] ^= byte(rapid.IntRange(1, 255).Draw(rt, "mask"))
		case "cut":
			what = "cut"
			bad = bad[:i]
		case "drop":
			what = "dropped"
			bad = append(bad[:i], bad[min(i+rapid.IntRange(1, 70000).Draw(rt, "n"), len(bad)):]...)
		case "repeat":
			what = "repeated"
			bad = append(bad[:i], o.stored[max(0, i-rapid.IntRange(1, 70000).Draw(rt, "n")):]...)
		}
		if bytes.Equal(bad, o.stored) {
			return // repeating nothing
		}
		first := 0
		for first < len(bad) && first < len(o.stored) && bad[first] == o.stored[first] {
			first++
		}
		got, err := o.openWhole(bad)
		o.refused(t, fmt.Sprintf("%s at %d", what, i), first, got, err)
	})
}

func TestWholeReadRefusesBytesBehindTheEnd(t *testing.T) {
	for _, sizes := range objects {
		o := sealObject(t, sizes...)
		for _, more := range [][]byte{{0}, o.stored[:seal.HeaderSize], o.stored} {
			got, err := o.openWhole(append(bytes.Clone(o.stored), more...))
			wantFault(t, fmt.Sprint(sizes), err, seal.FaultTrailing)
			o.refused(t, fmt.Sprint(sizes), len(o.stored)-1, got, err)
		}
	}
}

func TestWholePartIsHeldBackUntilItsFooterOpened(t *testing.T) {
	o := sealObject(t, 100, 65536, 70000)
	for i, p := range o.parts {
		off, n, _ := o.geometry.PartRange(p.Number)
		span := o.geometry.Span(off, n)
		bad := bytes.Clone(o.stored)
		bad[span.StoredOff+span.StoredLen-1] ^= 1
		got, err := io.ReadAll(o.open(bad, off, n))
		wantFault(t, fmt.Sprintf("part %d", i+1), err, seal.FaultFooter)
		if last := p.Size - (p.Size-1)/seal.ChunkSize*seal.ChunkSize; int64(len(got)) != p.Size-last {
			t.Errorf("part %d: %d bytes came out before its footer opened", i+1, len(got))
		}
	}
}

func TestRangeVerifiesHeadersAndFootersItPasses(t *testing.T) {
	o := sealObject(t, 100, 0, 70000)
	off, n := int64(50), int64(60) // from the middle of the first part into the last
	span := o.geometry.Span(off, n)
	second := seal.StoredSize(100)
	third := second + seal.StoredSize(0)
	for what, at := range map[string]int64{
		"first footer": second - 1, "second header": second, "second footer": third - 1, "third header": third + 10,
	} {
		bad := bytes.Clone(o.stored)
		bad[at] ^= 1
		if got, err := io.ReadAll(o.open(bad, off, n)); !errors.Is(err, seal.ErrIntegrity) || !bytes.HasPrefix(o.plain[50:110], got) {
			t.Errorf("%s altered: %d bytes, error %v", what, len(got), err)
		}
	}
	if span.StoredOff == 0 || span.StoredOff+span.StoredLen == int64(len(o.stored)) {
		t.Errorf("the span %+v is the whole object", span)
	}
}

func TestRangeIsNotDisturbedByChunksItDoesNotNeed(t *testing.T) {
	o := sealObject(t, 200000)
	bad := bytes.Clone(o.stored)
	span := o.geometry.Span(70000, 10)
	for i := range bad {
		if int64(i) < span.StoredOff || int64(i) >= span.StoredOff+span.StoredLen {
			bad[i] ^= 1
		}
	}
	if got, err := io.ReadAll(o.open(bad, 70000, 10)); err != nil || !bytes.Equal(got, o.plain[70000:70010]) {
		t.Errorf("range differs: %v", err)
	}
}

func TestDecrypterPassesErrorsOfTheSourceOn(t *testing.T) {
	o := sealObject(t, 70000, 10)
	for _, have := range []int{0, 10, 64, 100, 70000, len(o.stored) - 1, len(o.stored)} {
		src := io.MultiReader(bytes.NewReader(o.stored[:have]), iotest.ErrReader(io.ErrUnexpectedEOF))
		got, err := io.ReadAll(seal.NewDecrypter(o.dek, o.id, o.geometry, 0, 70010, src))
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: error %v", have, err)
		}
		if len(got) == len(o.plain) {
			t.Errorf("%d bytes: everything came out", have)
		}
	}
}

func TestDecrypterNamesPartAndChunk(t *testing.T) {
	o := sealObject(t, 10, 131072)
	bad := bytes.Clone(o.stored)
	bad[len(bad)-seal.FooterSize-1] ^= 1
	_, err := o.openWhole(bad)
	var ie *seal.IntegrityError
	if !errors.As(err, &ie) || ie.Part != 2 || ie.Chunk != 1 {
		t.Fatalf("error %+v", err)
	}
	if got, want := err.Error(), "seal: part 2: chunk 1: chunk does not open"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

func TestStartKnowsSmallObjectsWhole(t *testing.T) {
	for _, sizes := range [][]int64{{0}, {10}, {0, 0}, {0, 10}} {
		o := sealObject(t, sizes...)
		d := o.open(o.stored, 0, o.geometry.Size())
		for range 2 { // starting twice is no harm
			if err := d.Start(); err != nil {
				t.Fatal(err)
			}
		}
		if len(d.Footers()) != len(sizes) {
			t.Errorf("%v: %d footers are known after Start", sizes, len(d.Footers()))
		}
		if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, o.plain) {
			t.Errorf("%v: reading after Start differs: %v", sizes, err)
		}
		for i := range o.stored {
			bad := bytes.Clone(o.stored)
			bad[i] ^= 1
			if err := o.open(bad, 0, o.geometry.Size()).Start(); !errors.Is(err, seal.ErrIntegrity) {
				t.Fatalf("%v: Start with byte %d altered gives %v", sizes, i, err)
			}
		}
	}
}

func TestFootersAreThoseThatWereSealed(t *testing.T) {
	o := sealObject(t, 70000, 0, 5)
	d := o.open(o.stored, 0, 70005)
	d.ExpectFooters(o.footers)
	if _, err := io.Copy(io.Discard, d); err != nil {
		t.Fatal(err)
	}
	got := d.Footers()
	if len(got) != 3 {
		t.Fatalf("%d footers", len(got))
	}
	for i, f := range got {
		if !bytes.Equal(f.MD5, o.footers[i].MD5) || f.Checksum != checksum.None || f.Sum != nil {
			t.Errorf("footer %d is %+v", i, f)
		}
	}
	alone := must(seal.OpenFooter(o.dek, o.id, o.parts[2], o.stored[len(o.stored)-seal.FooterSize:]))(t)
	if !bytes.Equal(alone.MD5, o.footers[2].MD5) {
		t.Errorf("OpenFooter gives %+v", alone)
	}
}

func TestDecrypterComparesFootersWithWhatIsRecorded(t *testing.T) {
	o := sealObject(t, 10, 5)
	other := md5Footer([]byte("other"))
	sum := seal.Footer{Checksum: checksum.CRC32, Sum: make([]byte, 4)}
	for name, c := range map[string]struct {
		recorded []seal.Footer
		fault    seal.Fault
	}{
		"nothing recorded":           {[]seal.Footer{{}, {}}, ""},
		"other MD5 of the first":     {[]seal.Footer{other, {}}, seal.FaultRecord},
		"other MD5 of the last":      {[]seal.Footer{o.footers[0], other}, seal.FaultRecord},
		"checksum that is not there": {[]seal.Footer{{}, sum}, seal.FaultRecord},
	} {
		d := o.open(o.stored, 0, 15)
		d.ExpectFooters(c.recorded)
		got, err := io.ReadAll(d)
		if c.fault == "" {
			if err != nil || !bytes.Equal(got, o.plain) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		wantFault(t, name, err, c.fault)
		if len(got) == len(o.plain) {
			t.Errorf("%s: everything came out", name)
		}
	}
	d := o.open(o.stored, 0, 15)
	d.ExpectFooters(o.footers[:1])
	if got, err := io.ReadAll(d); len(got) > 0 || err == nil {
		t.Errorf("one footer for two parts: %d bytes, error %v", len(got), err)
	}
}

func TestDecrypterRefusesToReadAfterClose(t *testing.T) {
	o := sealObject(t, 100000)
	d := o.open(o.stored, 0, 100000)
	if _, err := d.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := d.Read(make([]byte, 10)); n != 0 || err != seal.ErrClosed {
		t.Errorf("Read = %d, %v", n, err)
	}
	if n, err := d.WriteTo(io.Discard); n != 0 || err != seal.ErrClosed {
		t.Errorf("WriteTo = %d, %v", n, err)
	}
	if err := d.Start(); err != seal.ErrClosed {
		t.Errorf("Start: %v", err)
	}
}

// TestPartsDoNotOpenAsOneAnother: whatever of a part's identity is changed, nothing of it opens.
func TestPartsDoNotOpenAsOneAnother(t *testing.T) {
	o := sealObject(t, 100)
	p := o.parts[0]
	for name, c := range map[string]struct {
		dek    keys.DEK
		object keys.ObjectID
		part   seal.Part
	}{
		"DEK":       {fixedDEK(t, "other"), o.id, p},
		"object id": {o.dek, fixedObjectID("other"), p},
		"number":    {o.dek, o.id, seal.Part{Number: 1, Size: p.Size, Salt: p.Salt}},
		"size":      {o.dek, o.id, seal.Part{Size: p.Size + 1, Salt: p.Salt}},
		"salt":      {o.dek, o.id, seal.Part{Size: p.Size, Salt: fixedSalt("other")}},
	} {
		if err := seal.OpenHeader(c.dek, c.object, c.part, o.stored[:seal.HeaderSize]); !errors.Is(err, seal.ErrIntegrity) {
			t.Errorf("other %s: header: %v", name, err)
		}
		if _, err := seal.OpenFooter(c.dek, c.object, c.part, o.stored[len(o.stored)-seal.FooterSize:]); !errors.Is(err, seal.ErrIntegrity) {
			t.Errorf("other %s: footer: %v", name, err)
		}
		g := must(seal.NewGeometry([]seal.Part{c.part}))(t)
		d := seal.NewDecrypter(c.dek, c.object, g, 10, 5, bytes.NewReader(o.stored[g.Span(10, 5).StoredOff:]))
		if got, err := io.ReadAll(d); len(got) > 0 || !errors.Is(err, seal.ErrIntegrity) {
			t.Errorf("other %s: range: %d bytes, %v", name, len(got), err)
		}
	}
}
