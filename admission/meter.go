package admission

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// meter counts one thing of one party.
type meter struct {
	name string
	rate Rate
	own  *rate.Limiter // what this process counts; it locks itself

	mu     sync.Mutex
	credit float64   // taken already and not used yet; owner: mu
	ready  time.Time // when it may be used; owner: mu
}

// newMeter makes a meter; nil for no limit.
func newMeter(name string, of Rate) *meter {
	if of.PerSecond <= 0 {
		return nil
	}
	of.Burst = max(of.Burst, 1)
	return &meter{name: name, rate: of, own: rate.NewLimiter(rate.Limit(of.PerSecond), int(math.Ceil(of.Burst)))}
}

// divide has the own count allow one of so many parts of the rate.
func (m *meter) divide(parts float64) {
	if limit := rate.Limit(m.rate.PerSecond / parts); m.own.Limit() != limit {
		m.own.SetLimit(limit)
		m.own.SetBurst(int(math.Ceil(m.rate.Burst / parts)))
	}
}

// tryOwn takes one by the own count, or gives the time after which there is one.
func (m *meter) tryOwn(parts float64) time.Duration {
	m.divide(parts)
	r := m.own.Reserve()
	wait := r.Delay()
	if wait > 0 {
		r.Cancel()
	}
	return wait
}

// oweOwn takes q by the own count, and gives the time after which they may be used.
func (m *meter) oweOwn(q, parts float64) time.Duration {
	m.divide(parts)
	wait := time.Duration(0)
	for burst := float64(m.own.Burst()); q > 0; q -= burst {
		wait = m.own.ReserveN(time.Now(), int(math.Ceil(min(q, burst)))).Delay()
	}
	return wait
}

// Bytes are taken in larger pieces than they flow in, so that Shared is asked some twenty times a second for each party at most.
const (
	piecesPerSecond = 20
	smallestPiece   = 64 << 10
)

// spend uses n of what was taken, takes more where that is not enough, and gives the time after which they may flow. Streams of one
// party draw on one credit, so a small object costs what it is and not a piece.
func (m *meter) spend(n float64, take func(q float64) time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.credit -= n; m.credit < 0 {
		piece := min(max(m.rate.PerSecond/piecesPerSecond, smallestPiece), m.rate.Burst)
		q := max(piece, -m.credit)
		m.ready = time.Now().Add(take(q))
		m.credit += q
	}
	return time.Until(m.ready)
}
