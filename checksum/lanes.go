package checksum

import (
	"runtime"
	"slices"
	"sync"
	"time"

	md5simd "github.com/minio/md5-simd"
)

const (
	// groupSize is how many bodies a group hashes at once: the lanes of the widest vector unit.
	groupSize = 16
	// groupPays is from how many lanes on the vector unit is cheaper than one body after the other, and is used by the library at all.
	groupPays = 3
	// groupMeets is from how many lanes on their pieces meet by themselves: while some are hashed, the others come.
	groupMeets = 8
	// libraryBlock is how much of each body the library hashes at once, in bytes. Bodies in signed chunks come in small pieces, each
	// of which would be a way to another goroutine and back.
	libraryBlock = 32 << 10
	// lanePiece is how much of a body waits for those of others, in bytes. Shorter ones have goroutines sleep and wake more often,
	// longer ones leave the cache.
	lanePiece = 128 << 10
	// shortestWait and longestWait bound how long a piece waits for those of other bodies. To hash it alone takes as long as the first.
	shortestWait = 128 * time.Microsecond
	longestWait  = 4 * time.Millisecond
)

// group is bodies that share the lanes of one core's vector unit. What the lanes cost does not depend on how many of them are filled, and
// the library hashes what is there: a single piece, if it comes first. So where there are few, their pieces wait for each other, until
// each body has one that was there the last time, and go on together. None waits longer than it took to come, so that a body from
// a fast network is not held up by those from slow ones; and while its piece waits, each body fills the next.
type group struct {
	mu      sync.Mutex
	moved   sync.Cond // pieces have gone on
	due     sync.Cond // pieces may go on: going is set
	free    []*lane
	members []*lane
	waiting int // members with a piece that waits
	missing int // members that were there the last time, and have no piece yet
	going   bool
	timer   *time.Timer
	until   time.Time // when those that wait go on whoever is missing
}

// lane is the place of one body in a group. It belongs to one goroutine at a time.
type lane struct {
	group *group
	hash  md5simd.Hasher
	piece *[lanePiece]byte
	n     int       // bytes of piece
	since time.Time // when it began to be filled

	// What follows belongs to the group.
	offered  *[lanePiece]byte // a piece that waits, or is on its way
	leaves   bool             // it is on its way
	spare    *[lanePiece]byte // where none is offered; nil where none ever was
	expected bool             // it was there the last time
}

var groups struct {
	mu  sync.Mutex
	all []*group
}

// takeLane gives a lane among as many others as there are, nil where all are in use and there is a group for each core: one fills a core.
func takeLane() *lane {
	groups.mu.Lock()
	defer groups.mu.Unlock()
	var best *group
	for _, g := range groups.all {
		if g.size() < groupSize && (best == nil || g.size() > best.size()) {
			best = g
		}
	}
	if best == nil {
		if len(groups.all) >= runtime.GOMAXPROCS(0) {
			return nil
		}
		best = newGroup()
		groups.all = append(groups.all, best)
	}
	return best.take()
}

// newGroup makes as many lanes as there can be: the library's server never forgets a hash that was closed, and becomes slower with each
// (md5-simd 1.1.2), so they are reset instead. Like that server, a group is there for good.
func newGroup() *group {
	g := &group{}
	g.moved.L, g.due.L = &g.mu, &g.mu
	g.timer = time.AfterFunc(time.Hour, g.timeout)
	g.timer.Stop()
	server := md5simd.NewServer()
	for range groupSize {
		g.free = append(g.free, &lane{group: g, hash: server.NewHash()})
	}
	go g.send()
	return g
}

// size is how many of its lanes are in use.
func (g *group) size() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return groupSize - len(g.free)
}

func (g *group) take() *lane {
	g.mu.Lock()
	defer g.mu.Unlock()
	last := len(g.free) - 1
	l := g.free[last]
	g.free = g.free[:last]
	g.members = append(g.members, l)
	if l.piece == nil {
		l.piece = new([lanePiece]byte)
	}
	l.since = time.Now()
	return l
}

// giveBack makes the lane ready for the next body. A server is not woken by a reset, and one whose queue of three is full of them would
// never be: so it is asked for a sum, which wakes it.
func (l *lane) giveBack() {
	g := l.group
	g.leave(l)
	l.hash.Reset()
	_ = l.hash.Sum(nil)
	clear(l.piece[:]) // plaintext
	if l.spare != nil {
		clear(l.spare[:])
	}
	l.n = 0
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free = append(g.free, l)
}

// leave drops the piece that waits. The others do not wait for the lane any more.
func (g *group) leave(l *lane) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.retract(l)
	if l.expected {
		l.expected = false
		g.missing--
	}
	g.members = slices.DeleteFunc(g.members, func(m *lane) bool { return m == l })
	g.goOn()
}

// retract takes back the piece that waits, if one does: none is on its way any more. The caller holds mu.
func (g *group) retract(l *lane) (piece []byte) {
	for l.leaves {
		g.moved.Wait()
	}
	if l.offered == nil {
		return nil
	}
	l.spare, l.offered = l.offered, nil
	g.waiting--
	l.expected = false
	return l.spare[:]
}

func (l *lane) write(p []byte) {
	waits := l.group.few(l)
	for len(p) > 0 {
		if !waits && l.n == 0 && len(p) >= libraryBlock {
			_, _ = l.hash.Write(p[:libraryBlock])
			p = p[libraryBlock:]
			continue
		}
		full := lanePiece
		if !waits {
			full = max(libraryBlock, l.n)
		}
		n := copy(l.piece[l.n:full], p)
		l.n, p = l.n+n, p[n:]
		switch {
		case l.n < full:
		case waits:
			l.group.offer(l)
		default:
			_, _ = l.hash.Write(l.piece[:l.n])
			l.n = 0
		}
	}
}

// few says whether pieces wait for each other. If not, none of this lane's waits any more.
func (g *group) few(l *lane) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.members); n >= groupPays && n < groupMeets {
		return true
	}
	if piece := g.retract(l); piece != nil {
		_, _ = l.hash.Write(piece)
		g.goOn()
	}
	return false
}

func (l *lane) sum() []byte {
	l.flush()
	return l.hash.Sum(nil)
}

// flush waits for nobody: the body has ended.
func (l *lane) flush() {
	l.group.mu.Lock()
	defer l.group.mu.Unlock()
	if piece := l.group.retract(l); piece != nil {
		_, _ = l.hash.Write(piece)
	}
	_, _ = l.hash.Write(l.piece[:l.n])
	l.n = 0
}

// offer has a piece wait for those of others, once the one before has gone on.
func (g *group) offer(l *lane) {
	now := time.Now()
	took := now.Sub(l.since)
	g.mu.Lock()
	defer g.mu.Unlock()
	for l.offered != nil {
		g.moved.Wait()
	}
	if l.spare == nil {
		l.spare = new([lanePiece]byte)
	}
	l.offered, l.piece, l.spare, l.n = l.piece, l.spare, nil, 0
	if g.waiting++; l.expected {
		g.missing--
	}
	if until := now.Add(min(max(took, shortestWait), longestWait)); g.waiting == 1 || until.Before(g.until) {
		g.until = until
		g.timer.Reset(until.Sub(now))
	}
	g.goOn()
	l.since = time.Now()
}

// timeout comes when nobody waits longer. It may come late, and to others than it was meant for.
func (g *group) timeout() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if left := time.Until(g.until); g.waiting > 0 && left > 0 {
		g.timer.Reset(left)
	} else if g.waiting > 0 {
		g.going = true
		g.due.Signal()
	}
}

// goOn lets the pieces that wait go on where there is nobody to wait for. The caller holds mu.
func (g *group) goOn() {
	few := len(g.members) >= groupPays && len(g.members) < groupMeets
	all := g.waiting == len(g.members) || g.missing == 0 && g.waiting >= groupPays
	if g.waiting > 0 && (all || !few) {
		g.going = true
		g.due.Signal()
	}
}

// send gives the library the pieces that wait, as often as they may go on: a block of each in turn, for it begins with the first.
func (g *group) send() {
	var on []*lane
	g.mu.Lock()
	for {
		for !g.going {
			g.due.Wait()
		}
		g.going = false
		g.timer.Stop()
		on = on[:0]
		for _, l := range g.members {
			if l.expected = l.offered != nil; l.expected {
				l.leaves = true
				on = append(on, l)
			}
		}
		g.waiting, g.missing = 0, len(on)
		g.mu.Unlock()
		for at := 0; at < lanePiece; at += libraryBlock {
			for _, l := range on {
				_, _ = l.hash.Write(l.offered[at : at+libraryBlock])
			}
		}
		g.mu.Lock()
		for _, l := range on {
			l.leaves = false
			l.spare, l.offered = l.offered, nil
		}
		g.moved.Broadcast()
	}
}
