package admission

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Class says how a demand competes. The last eighth of a gate is kept for light ones, so that large transfers, which may take
// hours, leave room for what takes no time.
type Class uint8

const (
	// Light is what holds little and is soon over.
	Light Class = iota
	// Bulk is everything else.
	Bulk

	classes = 2
)

// Demand is what a request will take while it is served.
type Demand struct {
	Party Party
	Class Class
	// Memory is how many bytes it holds at most. More than its class has in all counts as that much: it is served, alone.
	Memory int64
}

const (
	// DefaultRequests is how many requests are served at a time where nothing else is said.
	DefaultRequests = 1024
	// DefaultWait is how long a request waits for its turn where nothing else is said.
	DefaultWait = 5 * time.Second
	// DefaultMemory is the budget where nothing else is said: 512 MiB.
	DefaultMemory = 512 << 20

	// reserved is the part of a gate that bulk demands leave free: an eighth.
	reserved = 8
	// greed bounds what one party may hold: so many times what its class then has free. A party that is alone gets
	// greed/(1+greed) of it, four fifths; n greedy ones get n*greed/(1+n*greed) in all. So something is free for a newcomer
	// at any time, however long the others hold what they have (Choudhury and Hahne, "Dynamic Queue Length Thresholds for
	// Shared-Memory Packet Switches", 1998).
	greed = 4.0
)

// GateConfig is what a Gate is made from. Zero values mean the defaults.
type GateConfig struct {
	// Memory is the budget of all requests together, in bytes. Default DefaultMemory.
	Memory int64
	// Requests is how many are served at a time, and how many more may wait. Default DefaultRequests.
	Requests int
	// Wait is how long one waits at most before it is refused. Default DefaultWait.
	Wait time.Duration
	// Registerer takes the metrics; nil keeps them to the gate.
	Registerer prometheus.Registerer
}

// Gate lets requests in while they fit a budget of memory and a number, and makes the others wait for a while, in a queue that is
// fair between parties: whoever holds least goes first, and who would hold too much waits although there is room.
type Gate struct {
	limit   [classes]amount // what each class may hold; Light may hold all there is
	reserve amount          // light demands within it wait for nobody else
	wait    time.Duration
	room    int // how many may wait
	metrics *gateMetrics

	mu       sync.Mutex
	held     [classes]amount   // owner: mu
	parties  map[Party]*party  // those who hold or wait; owner: mu
	waiting  int               // owner: mu
	arrivals uint64            // owner: mu
	queues   [classes]partySet // those who wait, by what for; owner: mu
}

type partySet map[*party]struct{}

// NewGate makes a gate.
func NewGate(cfg GateConfig) *Gate {
	if cfg.Memory == 0 {
		cfg.Memory = DefaultMemory
	}
	if cfg.Requests == 0 {
		cfg.Requests = DefaultRequests
	}
	if cfg.Wait == 0 {
		cfg.Wait = DefaultWait
	}
	all := amount{memory: cfg.Memory, requests: int64(cfg.Requests)}
	reserve := amount{memory: all.memory / reserved, requests: all.requests / reserved}
	g := &Gate{
		limit: [classes]amount{Light: all, Bulk: all.less(reserve)}, reserve: reserve, wait: cfg.Wait, room: cfg.Requests,
		parties: map[Party]*party{}, queues: [classes]partySet{{}, {}},
	}
	g.metrics = newGateMetrics(cfg.Registerer, g)
	return g
}

// Enter waits until the demand may be met, for a while. leave gives back what it took, must be called once it is served, and may be
// called again. The error is a *Refused, or ctx's.
func (g *Gate) Enter(ctx context.Context, d Demand) (leave func(), err error) {
	d.Memory = max(0, min(d.Memory, g.limit[d.Class].memory))
	w, err := g.queue(d)
	if err != nil {
		return nil, err
	}
	if w.done != nil {
		if err := g.waitFor(ctx, w); err != nil {
			return nil, err
		}
		if w.refused != nil {
			return nil, w.refused
		}
	}
	return w.leave, nil
}

// waitFor waits for the word about a waiter, and takes it out of the queue where that does not come.
func (g *Gate) waitFor(ctx context.Context, w *waiter) error {
	began := time.Now()
	defer func() { g.metrics.waited.Observe(time.Since(began).Seconds()) }()
	timer := time.NewTimer(g.wait)
	defer timer.Stop()
	select {
	case <-w.done:
		return nil
	case <-timer.C:
		return g.giveUp(w, nil)
	case <-ctx.Done():
		return g.giveUp(w, context.Cause(ctx))
	}
}

// queue puts a demand behind those of its party, and lets in whoever may go now.
func (g *Gate) queue(d Demand) (*waiter, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.party(d.Party)
	g.arrivals++
	w := &waiter{gate: g, party: p, class: d.Class, takes: amount{memory: d.Memory, requests: 1}, arrival: g.arrivals}
	if g.waiting == 0 && g.mayGo(w) {
		g.take(w) // as nearly always: nobody is before it, and it stands in no queue
		return w, nil
	}
	w.done = make(chan struct{})
	p.queues[d.Class] = append(p.queues[d.Class], w)
	g.queues[d.Class][p] = struct{}{}
	g.waiting++
	g.dispatch()
	if g.waiting > g.room {
		g.dropOne()
	}
	if w.refused != nil {
		return nil, w.refused
	}
	return w, nil
}

// leave gives back what was held, once.
func (w *waiter) leave() {
	if w.left.Swap(true) {
		return
	}
	w.gate.mu.Lock()
	defer w.gate.mu.Unlock()
	w.gate.release(w)
}

// giveUp ends the wait of w with err, or else a refusal; nil where its fate was known at that very moment.
func (g *Gate) giveUp(w *waiter, err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.done:
		if err == nil || w.refused != nil {
			return nil
		}
		g.release(w)
		return err
	default:
	}
	reason := g.lacking(w)
	g.remove(w)
	g.dispatch() // who waited behind it may fit
	if err != nil {
		return err
	}
	return g.refuse(reason)
}

func (g *Gate) refuse(reason Reason) *Refused {
	g.metrics.refused.WithLabelValues(string(reason)).Inc()
	return refuse(reason, time.Second)
}

// lacking says what a waiter lacks most.
func (g *Gate) lacking(w *waiter) Reason {
	after := g.held[Light].plus(g.held[Bulk]).plus(w.takes)
	if w.class == Bulk {
		after = g.held[Bulk].plus(w.takes)
	}
	if after.requestShare(g.limit[w.class]) > after.memoryShare(g.limit[w.class]) {
		return ReasonRequests
	}
	return ReasonMemory
}
