package proxy_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"cofre/internal/longtest"
)

// TestRandomLiesAreNeverBelieved changes answers at random: which of a read's answers, what of it, where, and how often. Who reads what, and
// what the site knows of it, is chosen at random too. The seed of each lie is told where one is believed.
func TestRandomLiesAreNeverBelieved(t *testing.T) {
	t.Parallel()
	var galleries []*gallery
	for _, name := range []string{"empty", "byte", "chunks and a byte", "customer key", "version"} {
		galleries = append(galleries, newGallery(t, diskStorage(t), name))
	}
	tried, told, answered := 0, 0, 0
	for round := range longtest.Rounds(t, 400) {
		dice := rand.New(rand.NewPCG(uint64(round), 5)) // lies that can be told again
		g := galleries[dice.IntN(len(galleries))]
		state, looks := g.states[dice.IntN(len(g.states))], lookers(g.shape)
		k := looks[dice.IntN(len(looks))]
		turns, seed := dice.Uint32()|1<<dice.IntN(3), dice.Uint64()
		l := &lie{about: readsOf(g.bucket, g.key), tell: func(r *wire) *answer {
			a := g.now.answer(r)
			if turns>>(r.n%32)&1 == 0 {
				return a
			}
			dice := rand.New(rand.NewPCG(seed, uint64(r.n))) // as above
			for range 1 + dice.IntN(3) {
				a = g.spoilt(dice, r, a)
			}
			return a
		}}
		s := state.site(t, g.shape)
		g.liar.tells(l)
		got := k.look(t, s, g.shape)
		if wrong := g.judge(state, k, falsehood{replays: true}, got); wrong != "" {
			t.Errorf("round %d: %s, %s, %s: %s", round, g.name, state.name, k.name, wrong)
		}
		tried++
		told += g.liar.told()
		if got.failed == "" {
			answered++
		}
	}
	for _, g := range galleries {
		g.liar.tells(nil)
	}
	longtest.Figure(t, "random lies", tried)
	longtest.Figure(t, "answers changed at random", told)
	longtest.Figure(t, "random lies after which the truth was told all the same", answered)
}

// spoilt changes one thing of an answer.
func (g *gallery) spoilt(dice *rand.Rand, r *wire, a *answer) *answer {
	a.body = slices.Clone(a.body)
	others := []*stored{g.old, g.twin, g.elsewhere, renamed(g.old, g.now)}
	switch other := others[dice.IntN(len(others))]; dice.IntN(12) {
	case 0, 1, 2:
		if len(a.body) > 0 {
			a.body[dice.IntN(len(a.body))] ^= 1 << dice.IntN(8)
		}
	case 3:
		a.body = a.body[:dice.IntN(len(a.body)+1)]
		a.header.Set("Content-Length", strconv.Itoa(len(a.body)))
	case 4:
		a.body = append(a.body, randomBytes(1+dice.IntN(200))...)
		a.header.Del("Content-Length")
	case 5:
		n := dice.IntN(len(a.body) + 1)
		if r.Method != http.MethodHead {
			a.header.Set("Content-Length", strconv.Itoa(len(a.body)))
			a.body, a.cut = a.body[:n], true
		}
	case 6:
		return other.answer(r)
	case 7:
		names := slices.Sorted(func(yield func(string) bool) {
			for name := range other.header {
				if !yield(name) {
					return
				}
			}
		})
		name := names[dice.IntN(len(names))]
		a.header[name] = other.header[name]
	case 8:
		names := []string{"Etag", "X-Amz-Meta-Cofre-Envelope", "X-Amz-Meta-Cofre-Attributes", "Content-Range", "Last-Modified", "X-Amz-Version-Id"}
		a.header.Del(names[dice.IntN(len(names))])
	case 9:
		from := dice.IntN(len(g.now.body))
		a.header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, from+len(a.body)-1, len(g.now.body)+dice.IntN(2)))
	case 10:
		status := []int{200, 201, 206, 302, 304, 400, 403, 404, 409, 412, 416, 500, 503}
		a.status = status[dice.IntN(len(status))]
		if a.status == http.StatusNotModified {
			a.body = nil
			a.header.Del("Content-Length")
		}
	default:
		if raw := metaBytes(&stored{header: a.header}, []string{"Envelope", "Attributes"}[dice.IntN(2)]); len(raw) > 0 {
			raw[dice.IntN(len(raw))] ^= 1 << dice.IntN(8)
			setMeta(&stored{header: a.header}, map[bool]string{true: "Envelope", false: "Attributes"}[len(raw) == 132], raw)
		}
	}
	return a
}
