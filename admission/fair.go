package admission

import (
	"slices"
	"sync/atomic"
)

// amount is what a gate is a gate of. Who holds how much of it is the larger of the two shares (Ghodsi and others, "Dominant
// Resource Fairness", 2011).
type amount struct {
	memory   int64
	requests int64
}

func (a amount) plus(b amount) amount { return amount{a.memory + b.memory, a.requests + b.requests} }
func (a amount) less(b amount) amount { return amount{a.memory - b.memory, a.requests - b.requests} }
func (a amount) within(limit amount) bool {
	return a.memory <= limit.memory && a.requests <= limit.requests
}

func (a amount) memoryShare(of amount) float64 { return float64(a.memory) / float64(max(1, of.memory)) }
func (a amount) requestShare(of amount) float64 {
	return float64(a.requests) / float64(max(1, of.requests))
}
func (a amount) share(of amount) float64 { return max(a.memoryShare(of), a.requestShare(of)) }

// party is what a gate knows of a Party for as long as it holds or waits for something.
type party struct {
	name   Party
	held   [classes]amount
	queues [classes][]*waiter // first come, first served
	served uint64             // when one of it was let in last, by the gate's count of arrivals
}

// waiter is one demand. done is closed once its fate is known: let in, or refused. It is nil where that was so at once.
type waiter struct {
	gate    *Gate
	party   *party
	class   Class
	takes   amount
	arrival uint64
	done    chan struct{}
	refused *Refused // set before done is closed
	left    atomic.Bool
}

// party gives what is known of a party. The caller holds mu, as for everything below.
func (g *Gate) party(name Party) *party {
	p := g.parties[name]
	if p == nil {
		p = &party{name: name}
		g.parties[name] = p
	}
	return p
}

// forget drops a party that neither holds nor waits.
func (g *Gate) forget(p *party) {
	none := [classes]amount{}
	if p.held == none && len(p.queues[Light])+len(p.queues[Bulk]) == 0 {
		delete(g.parties, p.name)
	}
}

// remove takes a waiter out of its queue.
func (g *Gate) remove(w *waiter) {
	p := w.party
	if i := slices.Index(p.queues[w.class], w); i >= 0 {
		p.queues[w.class] = slices.Delete(p.queues[w.class], i, i+1)
		g.waiting--
	}
	if len(p.queues[w.class]) == 0 {
		delete(g.queues[w.class], p)
	}
	g.forget(p)
}

// release gives back what w was let in with, and lets in who may go now.
func (g *Gate) release(w *waiter) {
	g.held[w.class] = g.held[w.class].less(w.takes)
	w.party.held[w.class] = w.party.held[w.class].less(w.takes)
	g.forget(w.party)
	g.dispatch()
}

// dispatch lets in everybody who may go.
func (g *Gate) dispatch() {
	for {
		w := g.next()
		if w == nil {
			return
		}
		g.take(w)
		g.remove(w)
		close(w.done)
	}
}

// take notes what somebody holds who is let in.
func (g *Gate) take(w *waiter) {
	g.held[w.class] = g.held[w.class].plus(w.takes)
	w.party.held[w.class] = w.party.held[w.class].plus(w.takes)
	w.party.served = g.arrivals
}

// mayGo says whether a demand may be met before which nobody waits: what next says of the only waiter.
func (g *Gate) mayGo(w *waiter) bool {
	return g.mayHold(w) && (g.inReserve(w) || g.fits(w))
}

// inReserve says whether a demand is a light one that keeps within the reserve.
func (g *Gate) inReserve(w *waiter) bool {
	return w.class == Light && g.held[Light].plus(w.takes).within(g.reserve)
}

// next is the waiter who goes next, nil where nobody may. Light demands within the reserve wait for nobody. Of the others the one
// goes whose party holds least, and where that one does not fit yet nobody overtakes it: else small demands would keep a large one
// out for good.
func (g *Gate) next() *waiter {
	light, bulk := g.fairest(Light), g.fairest(Bulk)
	if light != nil && g.inReserve(light) {
		return light
	}
	w := light
	if light == nil || bulk != nil && g.before(bulk, light) {
		w = bulk
	}
	if w != nil && g.fits(w) {
		return w
	}
	return nil
}

// fits says whether there is room for a waiter.
func (g *Gate) fits(w *waiter) bool {
	return g.held[Light].plus(g.held[Bulk]).plus(w.takes).within(g.limit[Light]) && g.held[w.class].plus(w.takes).within(g.limit[w.class])
}

// fairest is the waiter of a class whose party holds least, among those parties that may hold more.
func (g *Gate) fairest(c Class) *waiter {
	var best *waiter
	for p := range g.queues[c] {
		if w := p.queues[c][0]; g.mayHold(w) && (best == nil || g.before(w, best)) {
			best = w
		}
	}
	return best
}

// before says who of two goes first: whose party holds less, then whose was served longer ago, then who came first.
func (g *Gate) before(a, b *waiter) bool {
	of := g.limit[Light]
	heldA, heldB := a.party.held[Light].plus(a.party.held[Bulk]).share(of), b.party.held[Light].plus(b.party.held[Bulk]).share(of)
	if heldA != heldB {
		return heldA < heldB
	}
	if a.party.served != b.party.served {
		return a.party.served < b.party.served
	}
	return a.arrival < b.arrival
}

// mayHold says whether a waiter's party may hold this much more, with what is free. Who holds nothing always may.
func (g *Gate) mayHold(w *waiter) bool {
	held, limit := w.party.held[w.class], g.limit[w.class]
	if held.requests == 0 {
		return true
	}
	free := 1 - g.held[w.class].plus(w.takes).share(limit)
	return held.plus(w.takes).share(limit) <= greed*free
}

// dropOne refuses somebody, since too many wait: the last to come of the party that has the most waiting. So a crowd of one party
// crowds out itself.
func (g *Gate) dropOne() {
	var most *party
	length := func(p *party) int { return len(p.queues[Light]) + len(p.queues[Bulk]) }
	for _, set := range g.queues {
		for p := range set {
			if most == nil || length(p) > length(most) {
				most = p
			}
		}
	}
	var last *waiter
	for _, q := range most.queues {
		if n := len(q); n > 0 && (last == nil || q[n-1].arrival > last.arrival) {
			last = q[n-1]
		}
	}
	last.refused = g.refuse(ReasonQueue)
	g.remove(last)
	close(last.done)
}
