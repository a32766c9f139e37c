package checksum

import (
	"crypto/md5" // #nosec G501 -- ETags and Content-MD5 are MD5; neither authenticates anything here
	"hash"
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// lanesFromAtLeast is from how many bodies at once on lanes cost less than hashing each by itself (docs/PERFORMANCE.md). All lanes are
	// one core's, though, so bodies that have a core each are done sooner by themselves: up to lanesFromAtMost, from which on lanes are
	// fast enough.
	lanesFromAtLeast, lanesFromAtMost = 4, 8
	// lanesFor is for how long after that bodies begin in lanes however many there are: the parts of an upload come in waves, and
	// the first of a wave is alone.
	lanesFor = 5 * time.Second
	// lanesMinimum is the length in bytes from which on a body is worth the way to another goroutine, to a lane's or to one of its own.
	lanesMinimum = 1 << 20
)

// MD5 computes the MD5 of one body. MD5 is the dearest step of a PUT, and cannot use more than a quarter of what a core can do, for
// each block depends on the one before; so bodies that are hashed at the same time share the lanes of a core's vector unit, and one that is
// alone is hashed beside what else is done with it. Which it is cannot change later, so a large body that is one of few at first is
// looked at once more when there is a piece of it: those that began with it have begun by then.
//
// It belongs to one goroutine at a time. Close gives back what it has, and may be called at any time and again.
type MD5 struct {
	// One of them is set, until it is done.
	hash   hash.Hash
	first  *besideRoom // the first piece, while it is not settled how the body is hashed
	beside *beside
	lane   *lane

	n       int  // bytes of first
	counted bool // in hashing
}

// hashing counts the bodies above lanesMinimum that are being hashed; crowded is when they were last many, in nanoseconds since started.
var (
	hashing atomic.Int64
	crowded atomic.Int64
	started = time.Now()
)

// Hashing says how many large bodies have begun to be hashed, and not ended: a leak where nobody sends any.
func Hashing() int { return int(hashing.Load()) }

// NewMD5 begins the MD5 of a body of that many bytes, or -1 where nobody knows how many.
func NewMD5(size int64) *MD5 {
	m := &MD5{}
	if size >= 0 && size < lanesMinimum {
		m.hash = md5.New() // #nosec G401 -- see the import
		return m
	}
	m.counted = true
	if many(hashing.Add(1)) {
		m.join()
	} else {
		m.first = takeRoom() // so no more than lanesFromAtMost bodies have one
	}
	return m
}

// many says whether bodies go to lanes that begin while there are so many.
func many(bodies int64) bool {
	now := int64(time.Since(started)) + int64(lanesFor) // so that zero is long ago
	if bodies >= int64(min(max(runtime.GOMAXPROCS(0), lanesFromAtLeast), lanesFromAtMost)) {
		crowded.Store(now)
		return true
	}
	return now-crowded.Load() < int64(lanesFor)
}

// join takes a lane, where there is one.
func (m *MD5) join() {
	if m.lane = takeLane(); m.lane == nil {
		m.hash = md5.New() // #nosec G401 -- see the import
	}
}

// settle decides how a body is hashed of which there is a piece.
func (m *MD5) settle() {
	room, piece := m.first, m.first[0][:m.n]
	m.first = nil
	switch bodies := hashing.Load(); {
	case many(bodies):
		m.join()
	case 2*bodies <= int64(runtime.GOMAXPROCS(0)):
		m.beside = newBeside(room, m.n)
		return
	default:
		m.hash = md5.New() // #nosec G401 -- see the import
	}
	_, _ = m.Write(piece)
	room.giveBack()
}

// Write adds to the body. It never fails, and never after Close.
func (m *MD5) Write(p []byte) (int, error) {
	written := len(p)
	if m.first != nil {
		n := copy(m.first[0][m.n:], p)
		m.n, p = m.n+n, p[n:]
		if m.n < besidePiece {
			return written, nil
		}
		m.settle()
	}
	switch {
	case m.lane != nil:
		m.lane.write(p)
	case m.beside != nil:
		m.beside.write(p)
	default:
		_, _ = m.hash.Write(p)
	}
	return written, nil
}

// Sum gives the MD5 of what was written, and ends it, as Close does.
func (m *MD5) Sum() []byte {
	defer m.Close()
	switch {
	case m.first != nil:
		sum := md5.Sum(m.first[0][:m.n]) // #nosec G401 -- see the import
		return sum[:]
	case m.lane != nil:
		return m.lane.sum()
	case m.beside != nil:
		b := m.beside
		m.beside = nil
		return b.end()
	default:
		return m.hash.Sum(nil)
	}
}

// Close ends it, whether or not the body has ended.
func (m *MD5) Close() {
	if m.first != nil {
		m.first.giveBack()
		m.first = nil
	}
	if m.lane != nil {
		m.lane.giveBack()
		m.lane = nil
	}
	if m.beside != nil {
		_ = m.beside.end()
		m.beside = nil
	}
	if m.counted {
		m.counted = false
		hashing.Add(-1)
	}
}
