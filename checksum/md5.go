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
// each block depends on the one before; so bodies that are hashed at the same time share the lanes of a core's vector unit.
//
// It belongs to one goroutine at a time. Close gives back its lane, and may be called at any time and again.
type MD5 struct {
	// One of them is set, until it is done.
	hash   hash.Hash
	beside *beside
	lane   *lane

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
	if size < 0 || size >= lanesMinimum {
		m.counted = true
		m.begin(hashing.Add(1), int64(runtime.GOMAXPROCS(0)))
	}
	if m.lane == nil && m.beside == nil {
		m.hash = md5.New() // #nosec G401 -- see the import
	}
	return m
}

// begin chooses how a large body is hashed, one of so many: among others, beside what else is done with it, or neither.
func (m *MD5) begin(bodies, cores int64) {
	now := int64(time.Since(started)) + int64(lanesFor) // so that zero is long ago
	if bodies >= min(max(cores, lanesFromAtLeast), lanesFromAtMost) {
		crowded.Store(now)
	}
	if now-crowded.Load() < int64(lanesFor) {
		m.lane = takeLane()
	} else if 2*bodies <= cores {
		m.beside = newBeside()
	}
}

// Write adds to the body. It never fails, and never after Close.
func (m *MD5) Write(p []byte) (int, error) {
	switch {
	case m.lane != nil:
		m.lane.write(p)
	case m.beside != nil:
		m.beside.write(p)
	default:
		return m.hash.Write(p)
	}
	return len(p), nil
}

// Sum gives the MD5 of what was written, and ends it, as Close does.
func (m *MD5) Sum() []byte {
	defer m.Close()
	switch {
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
