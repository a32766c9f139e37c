package seal

import (
	"crypto/rand"
	"sort"
)

// Salt makes the key of one sent part its own. It is public.
type Salt [16]byte

// NewSalt draws a salt. Every part that is sent needs a new one, a part that is sent again too (docs/FORMAT.md section 3
// rule 1).
func NewSalt() Salt {
	var s Salt
	rand.Read(s[:]) // never fails: it ends the process where the system has no randomness
	return s
}

// Part says which sealed part is meant, as envelope, record or layout have it.
type Part struct {
	Number int   // 0 for a single-part object, else 1..MaxParts
	Size   int64 // plaintext bytes, 0..MaxPlainSize
	Salt   Salt
}

// check refuses what no part can be, before any arithmetic is done with it.
func (p Part) check() error {
	if p.Number < 0 || p.Number > MaxParts {
		return partFault(FaultParts, p.Number)
	}
	if p.Size < 0 || p.Size > MaxPlainSize {
		return partFault(FaultLimit, p.Number)
	}
	return nil
}

// Geometry is the arithmetic between an object's plaintext offsets and its stored offsets. It is immutable, and its zero
// value is no object.
type Geometry struct {
	parts  []placedPart
	size   int64 // plaintext bytes of the object
	stored int64 // stored bytes of the object
}

// placedPart is a part and where it begins.
type placedPart struct {
	Part
	plainOff  int64 // of its first plaintext byte in the object
	storedOff int64 // of its header in the stored object
}

// NewGeometry takes the parts of an object in order: one part of number 0, or one to MaxParts parts whose numbers rise within
// 1..MaxParts. Anything else, and a size beyond the limits, is an *IntegrityError: parts come from records and layouts.
func NewGeometry(parts []Part) (Geometry, error) {
	if len(parts) == 0 || len(parts) > MaxParts {
		return Geometry{}, fault(FaultParts)
	}
	g := Geometry{parts: make([]placedPart, len(parts))}
	previous := 0
	for i, p := range parts {
		if err := p.check(); err != nil {
			return Geometry{}, err
		}
		single := len(parts) == 1 && p.Number == 0
		if !single && p.Number <= previous {
			return Geometry{}, partFault(FaultParts, p.Number)
		}
		previous = p.Number
		g.parts[i] = placedPart{Part: p, plainOff: g.size, storedOff: g.stored}
		// 10,000 parts of 5 TiB are below 2^56: the sums cannot overflow.
		g.size += p.Size
		g.stored += StoredSize(p.Size)
	}
	return g, nil
}

// Size gives the plaintext bytes of the object.
func (g Geometry) Size() int64 { return g.size }

// StoredSize gives the stored bytes of the object.
func (g Geometry) StoredSize() int64 { return g.stored }

// Parts gives how many parts the object has.
func (g Geometry) Parts() int { return len(g.parts) }

// PartRange gives the plaintext range of the part with this number; ok is false where the object has none.
func (g Geometry) PartRange(number int) (off, n int64, ok bool) {
	i := sort.Search(len(g.parts), func(i int) bool { return g.parts[i].Number >= number })
	if i == len(g.parts) || g.parts[i].Number != number {
		return 0, 0, false
	}
	return g.parts[i].plainOff, g.parts[i].Size, true
}

// Span says which stored bytes a range of plaintext needs.
type Span struct {
	StoredOff, StoredLen int64
	// WholeObject says that the span is the whole stored object; a reader then finds out whether the object ends there.
	WholeObject bool

	off, end    int64 // the plaintext range
	first, last int   // indices of the parts that it touches; last < first for an empty span
}

// Span gives the stored bytes that the n plaintext bytes from off need: whole chunks, and everything that stands between the
// first and the last of them. Where the range covers a part wholly, its header and footer belong to the span, so that they
// are checked. A range of no bytes, or one that does not lie within the object, needs none; an empty object is read whole.
func (g Geometry) Span(off, n int64) Span {
	s := Span{off: off, end: off, last: -1}
	switch {
	case !g.contains(off, n):
		return s
	case n == g.size:
		s.WholeObject = true
		s.last = len(g.parts) - 1
	case n == 0:
		return s
	default:
		s.first = g.partAt(off)
		s.last = g.partAt(off + n - 1)
	}
	s.end = off + n
	s.StoredOff = g.parts[s.first].storedOff + g.slice(s, s.first).begin()
	s.StoredLen = g.parts[s.last].storedOff + g.slice(s, s.last).end() - s.StoredOff
	return s
}

// contains says whether the range lies within the object; it is safe for any two numbers.
func (g Geometry) contains(off, n int64) bool {
	return len(g.parts) > 0 && off >= 0 && n >= 0 && off <= g.size && n <= g.size-off
}

// partAt gives the index of the part that holds the plaintext byte at off, which lies within the object.
func (g Geometry) partAt(off int64) int {
	return sort.Search(len(g.parts), func(i int) bool { return g.parts[i].plainOff > off }) - 1
}

// slice is what a span needs of one part.
type slice struct {
	size   int64 // plaintext bytes of the part
	lo, hi int64 // plaintext range within the part
	header bool  // the header stands in the span
	footer bool  // the footer stands in the span
}

// slice gives what the span needs of the part with index i, first <= i <= last.
func (g Geometry) slice(s Span, i int) slice {
	p := g.parts[i]
	c := slice{size: p.Size, lo: max(s.off-p.plainOff, 0), hi: min(s.end-p.plainOff, p.Size)}
	whole := c.lo == 0 && c.hi == p.Size
	c.header = whole || i > s.first
	c.footer = whole || i < s.last
	return c
}

// firstChunk and lastChunk give the chunks of the slice, the second exclusive.
func (c slice) firstChunk() int64 { return c.lo / chunkSize64 }
func (c slice) lastChunk() int64  { return chunkCount(c.hi) }

// begin and end give the stored bytes of the slice, counted from the part's header.
func (c slice) begin() int64 {
	if c.header {
		return 0
	}
	return HeaderSize + c.firstChunk()*sealedChunk64
}

func (c slice) end() int64 {
	if c.footer {
		return StoredSize(c.size)
	}
	return min(HeaderSize+c.lastChunk()*sealedChunk64, StoredSize(c.size)-FooterSize)
}
