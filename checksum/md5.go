package checksum

import (
	"crypto/md5" // #nosec G501 -- ETags and Content-MD5 are MD5; neither authenticates anything here
	"hash"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	md5simd "github.com/minio/md5-simd"
)

const (
	// lanesFrom is how many bodies must be hashed at once for lanes to cost less than hashing each by itself (docs/PERFORMANCE.md):
	// a server hashes what is there, so that of a few bodies it seldom meets all at once.
	lanesFrom = 6
	// lanesFor is for how long after that bodies begin in lanes however many there are: the parts of an upload come in waves, and
	// the first of a wave is alone.
	lanesFor = 5 * time.Second
	// lanesMinimum is the length in bytes from which on a body is worth the way to another goroutine.
	lanesMinimum = 1 << 20
	// lanesEach is how many bodies a server hashes at once.
	lanesEach = 16
	// lanePiece is how much of a body a server is given at a time, in bytes. Bodies in signed chunks come in small pieces, each of
	// which would be a way to another goroutine and back.
	lanePiece = 32 << 10
)

// MD5 computes the MD5 of one body. MD5 is the dearest step of a PUT, and cannot use more than a quarter of what a core can do, for
// each block depends on the one before; so bodies that are hashed at the same time share the lanes of a core's vector unit.
//
// It belongs to one goroutine at a time. Close gives back its lane, and may be called at any time and again.
type MD5 struct {
	hash hash.Hash // nil where the body is hashed in a lane
	lane *lane
	done bool
}

// hashing counts the bodies above lanesMinimum that are being hashed; crowded is when they were last many, in nanoseconds since started.
var (
	hashing atomic.Int64
	crowded atomic.Int64
	started = time.Now()
)

// Hashing says how many large bodies have begun to be hashed, and not ended: a leak where nobody sends any.
func Hashing() int { return int(hashing.Load()) }

// crowd counts one body more, and says whether it is one of many.
func crowd() bool {
	now := int64(time.Since(started)) + int64(lanesFor) // so that zero is long ago
	if hashing.Add(1) >= lanesFrom {
		crowded.Store(now)
		return true
	}
	return now-crowded.Load() < int64(lanesFor)
}

// NewMD5 begins the MD5 of a body of that many bytes, or -1 where nobody knows how many.
func NewMD5(size int64) *MD5 {
	if size >= 0 && size < lanesMinimum {
		return &MD5{hash: md5.New() /* #nosec G401 -- see the import */, done: true}
	}
	m := &MD5{}
	if crowd() {
		m.lane = takeLane()
	}
	if m.lane == nil {
		m.hash = md5.New() // #nosec G401 -- see the import
	}
	return m
}

// Write adds to the body. It never fails, and never after Close.
func (m *MD5) Write(p []byte) (int, error) {
	if m.lane != nil {
		return m.lane.write(p)
	}
	return m.hash.Write(p)
}

// Sum gives the MD5 of what was written, and ends it, as Close does.
func (m *MD5) Sum() []byte {
	defer m.Close()
	if m.lane != nil {
		return m.lane.sum()
	}
	return m.hash.Sum(nil)
}

// Close ends it, whether or not the body has ended.
func (m *MD5) Close() {
	if m.done {
		return
	}
	m.done = true
	hashing.Add(-1)
	if m.lane != nil {
		m.lane.giveBack()
		m.lane = nil
	}
}

// lane is one of the places in a server that hashes up to sixteen bodies at once. A server never forgets a hash that was closed, and
// becomes slower with each (md5-simd 1.1.2), so each has as many as it has lanes, and they are reset instead.
type lane struct {
	hash  md5simd.Hasher
	piece [lanePiece]byte
	n     int // bytes of piece that wait for more
}

func (l *lane) write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		if l.n == 0 && len(p) >= lanePiece {
			_, _ = l.hash.Write(p[:lanePiece])
			p = p[lanePiece:]
			continue
		}
		n := copy(l.piece[l.n:], p)
		l.n, p = l.n+n, p[n:]
		if l.n == lanePiece {
			_, _ = l.hash.Write(l.piece[:])
			l.n = 0
		}
	}
	return written, nil
}

func (l *lane) sum() []byte {
	_, _ = l.hash.Write(l.piece[:l.n])
	return l.hash.Sum(nil)
}

var lanes struct {
	mu      sync.Mutex
	free    []*lane
	servers int
}

// takeLane gives a free lane, nil where all are in use and there is a server for each core: one goroutine of a server fills a core.
func takeLane() *lane {
	lanes.mu.Lock()
	defer lanes.mu.Unlock()
	if len(lanes.free) == 0 {
		if lanes.servers >= runtime.GOMAXPROCS(0) {
			return nil
		}
		lanes.servers++
		server := md5simd.NewServer()
		for range lanesEach {
			lanes.free = append(lanes.free, &lane{hash: server.NewHash()})
		}
	}
	last := len(lanes.free) - 1
	l := lanes.free[last]
	lanes.free = lanes.free[:last]
	return l
}

// giveBack makes the lane ready for the next body. A server is not woken by a reset, and one whose queue of three is full of them would
// never be: so it is asked for a sum, which wakes it.
func (l *lane) giveBack() {
	l.hash.Reset()
	_ = l.hash.Sum(nil)
	clear(l.piece[:]) // plaintext
	l.n = 0
	lanes.mu.Lock()
	defer lanes.mu.Unlock()
	lanes.free = append(lanes.free, l)
}
