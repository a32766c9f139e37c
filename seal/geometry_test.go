package seal_test

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"cofre/seal"
)

func TestPlainSizeUndoesStoredSize(t *testing.T) {
	check := func(n int64) {
		t.Helper()
		if got, err := seal.PlainSize(seal.StoredSize(n)); got != n || err != nil {
			t.Fatalf("PlainSize(StoredSize(%d)) = %d, %v", n, got, err)
		}
	}
	for n := range int64(3 * seal.ChunkSize) {
		check(n)
	}
	rapid.Check(t, func(t *rapid.T) { check(rapid.Int64Range(0, seal.MaxPlainSize).Draw(t, "n")) })
}

func TestPlainSizeRefusesSizesThatNoPartHas(t *testing.T) {
	possible := make(map[int64]bool)
	for n := range int64(2*seal.ChunkSize + 100) {
		possible[seal.StoredSize(n)] = true
	}
	for stored := int64(-2); stored < seal.StoredSize(2*seal.ChunkSize+99); stored++ {
		_, err := seal.PlainSize(stored)
		if (err == nil) != possible[stored] {
			t.Fatalf("PlainSize(%d) gives error %v", stored, err)
		}
		if err != nil && !errors.Is(err, seal.ErrIntegrity) {
			t.Fatalf("PlainSize(%d) gives %v, which is no ErrIntegrity", stored, err)
		}
	}
	tooMuch := seal.StoredSize(seal.MaxPlainSize)
	for _, stored := range []int64{math.MinInt64, -1, tooMuch + 1, tooMuch + 65552, math.MaxInt64 - 1, math.MaxInt64} {
		if n, err := seal.PlainSize(stored); err == nil {
			t.Errorf("PlainSize(%d) = %d", stored, n)
		}
	}
}

func TestStoredSizeOfAnImpossibleSizePassesNoLimit(t *testing.T) {
	for _, n := range []int64{math.MinInt64, -1, seal.MaxPlainSize + 1, math.MaxInt64} {
		if got := seal.StoredSize(n); got != math.MaxInt64 {
			t.Errorf("StoredSize(%d) = %d", n, got)
		}
	}
}

func TestNewGeometryRefusesWhatNoObjectIs(t *testing.T) {
	tooMany := make([]seal.Part, seal.MaxParts+1)
	for i := range tooMany {
		tooMany[i].Number = i + 1
	}
	for name, c := range map[string]struct {
		parts []seal.Part
		fault seal.Fault
	}{
		"no parts":             {nil, seal.FaultParts},
		"negative number":      {[]seal.Part{{Number: -1}}, seal.FaultParts},
		"number above 10,000":  {[]seal.Part{{Number: 10001}}, seal.FaultParts},
		"too many parts":       {tooMany, seal.FaultParts},
		"numbers that fall":    {[]seal.Part{{Number: 2}, {Number: 1}}, seal.FaultParts},
		"a number twice":       {[]seal.Part{{Number: 2}, {Number: 2}}, seal.FaultParts},
		"number 0 among parts": {[]seal.Part{{Number: 0}, {Number: 1}}, seal.FaultParts},
		"negative size":        {[]seal.Part{{Size: -1}}, seal.FaultLimit},
		"smallest size":        {[]seal.Part{{Size: math.MinInt64}}, seal.FaultLimit},
		"size above 5 TiB":     {[]seal.Part{{Size: seal.MaxPlainSize + 1}}, seal.FaultLimit},
		"largest size":         {[]seal.Part{{Number: 1}, {Number: 2, Size: math.MaxInt64}}, seal.FaultLimit},
	} {
		_, err := seal.NewGeometry(c.parts)
		wantFault(t, name, err, c.fault)
	}
}

func TestGeometryOfTheLargestObjectDoesNotOverflow(t *testing.T) {
	parts := make([]seal.Part, seal.MaxParts)
	for i := range parts {
		parts[i] = seal.Part{Number: i + 1, Size: seal.MaxPlainSize}
	}
	g := must(seal.NewGeometry(parts))(t)
	if want := seal.MaxParts * seal.MaxPlainSize; g.Size() != want {
		t.Errorf("Size = %d, want %d", g.Size(), want)
	}
	if want := seal.MaxParts * seal.StoredSize(seal.MaxPlainSize); g.StoredSize() != want {
		t.Errorf("StoredSize = %d, want %d", g.StoredSize(), want)
	}
	last := g.Span(g.Size()-1, 1)
	if end := last.StoredOff + last.StoredLen; end != g.StoredSize()-seal.FooterSize {
		t.Errorf("the last byte's chunk ends at %d of %d", end, g.StoredSize())
	}
}

func TestPartRangeFindsParts(t *testing.T) {
	g := must(seal.NewGeometry([]seal.Part{{Number: 2, Size: 10}, {Number: 3}, {Number: 7, Size: 5}}))(t)
	for number, want := range map[int][2]int64{2: {0, 10}, 3: {10, 0}, 7: {10, 5}} {
		if off, n, ok := g.PartRange(number); !ok || off != want[0] || n != want[1] {
			t.Errorf("PartRange(%d) = %d, %d, %v", number, off, n, ok)
		}
	}
	for _, number := range []int{-1, 0, 1, 4, 8} {
		if _, _, ok := g.PartRange(number); ok {
			t.Errorf("PartRange(%d) found a part", number)
		}
	}
}

// TestSpanIsNoLongerThanNeeded compares spans with a list of what stands where in the stored object.
func TestSpanIsNoLongerThanNeeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.SampledFrom(edgeSizes), 1, 4).Draw(t, "sizes")
		parts := make([]seal.Part, len(sizes))
		for i, size := range sizes {
			parts[i] = seal.Part{Number: i + 1, Size: size}
		}
		g, err := seal.NewGeometry(parts)
		if err != nil {
			t.Fatal(err)
		}
		if g.Size() == 0 {
			return
		}
		off := rapid.Int64Range(0, g.Size()-1).Draw(t, "off")
		n := rapid.Int64Range(1, g.Size()-off).Draw(t, "n")
		got, want := g.Span(off, n), slowSpan(parts, off, n)
		if got.WholeObject != (n == g.Size()) {
			t.Fatalf("WholeObject = %v", got.WholeObject)
		}
		if got.WholeObject {
			want = [2]int64{0, g.StoredSize()}
		}
		if got.StoredOff != want[0] || got.StoredLen != want[1]-want[0] {
			t.Fatalf("Span(%d, %d) = %d+%d, want %d to %d", off, n, got.StoredOff, got.StoredLen, want[0], want[1])
		}
	})
}

// slowSpan walks over every chunk of every part: begin and end of the chunks that hold the range, stretched to header and
// footer of the first and the last part where the range covers those wholly.
func slowSpan(parts []seal.Part, off, n int64) [2]int64 {
	begin, end := int64(-1), int64(0)
	plain, stored := int64(0), int64(0)
	for _, p := range parts {
		whole := p.Size > 0 && off <= plain && plain+p.Size <= off+n
		if whole && begin < 0 {
			begin = stored
		}
		stored += seal.HeaderSize
		for left := p.Size; left > 0; {
			size := min(left, seal.ChunkSize)
			touched := plain < off+n && plain+size > off
			if touched && begin < 0 {
				begin = stored
			}
			stored += size + seal.TagSize
			if touched {
				end = stored
			}
			plain, left = plain+size, left-size
		}
		stored += seal.FooterSize
		if whole {
			end = stored
		}
	}
	return [2]int64{begin, end}
}

func TestSpanOfAnImpossibleRangeIsEmpty(t *testing.T) {
	g := must(seal.NewGeometry([]seal.Part{{Size: 100}}))(t)
	for _, r := range [][2]int64{
		{-1, 1}, {0, -1}, {0, 101}, {100, 1}, {101, 0}, {math.MaxInt64, 1}, {1, math.MaxInt64}, {math.MinInt64, math.MinInt64},
		{50, 0}, {100, 0},
	} {
		if s := g.Span(r[0], r[1]); s.StoredLen != 0 || s.WholeObject {
			t.Errorf("Span(%d, %d) = %+v", r[0], r[1], s)
		}
	}
	if s := (seal.Geometry{}).Span(0, 0); s.StoredLen != 0 || s.WholeObject {
		t.Errorf("the span of no object is %+v", s)
	}
}

// wantFault checks that err is an IntegrityError of this fault.
func wantFault(t testing.TB, what string, err error, want seal.Fault) {
	t.Helper()
	var ie *seal.IntegrityError
	if !errors.As(err, &ie) || !errors.Is(err, seal.ErrIntegrity) {
		t.Errorf("%s: error is %v, want fault %q", what, err, want)
		return
	}
	if ie.Fault != want {
		t.Errorf("%s: fault is %q, want %q", what, ie.Fault, want)
	}
}
