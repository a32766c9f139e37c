package proxy_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"cofre/backend"
	"cofre/internal/longtest"
	"cofre/metadata"
)

// knowledge is what a site knows of an object when it is asked for it.
type knowledge struct {
	name string
	// site gives the site that is asked, in that state.
	site func(t *testing.T, sh *shape) *site
	// knows says that it has a record: nothing that was once true is believed any more.
	knows bool
}

// amnesiac is a store that never heard of any object; KEKs and uploads it knows.
type amnesiac struct{ metadata.Store }

func (amnesiac) Latest(context.Context, string, string, string) (metadata.Record, error) {
	return metadata.Record{}, metadata.ErrNotFound
}

func (amnesiac) ByEnvelope(context.Context, string, string, metadata.Envelope) (metadata.Record, error) {
	return metadata.Record{}, metadata.ErrNotFound
}

func (amnesiac) Known(context.Context, string, string, string) (bool, error) { return false, nil }

func (amnesiac) Page(_ context.Context, _ string, entries []metadata.Entry) ([]*metadata.Record, error) {
	return make([]*metadata.Record, len(entries)), nil
}

func (amnesiac) Add(context.Context, metadata.Record, metadata.Origin) error { return nil }

// gallery is one storage with a liar before it, the sites that look at it, and a shape.
type gallery struct {
	*shape
	liar   *liar
	states []knowledge
	truth  map[string]map[string][]told // by state and looker: what is true, and what was true before
}

func decodeKey(text string) ([]byte, error) { return base64.StdEncoding.DecodeString(text) }

// newGallery writes the objects of a shape, and learns from an honest storage what each looker is told in each state.
func newGallery(t *testing.T, honest *storage, name string) *gallery {
	t.Helper()
	st, l := lying(t, honest)
	cfg := siteConfig{keysOverHTTP: true, client: onceOnly}
	s := newSite(t, st, cfg)
	g := &gallery{shape: makeShape(t, s, l, name), liar: l, truth: map[string]map[string][]told{}}
	cfg.identity = s.identity
	lost := cfg // a new store, into which the KEKs come from the backend
	cfg.store = amnesiac{s.store}
	blank := newSite(t, st, cfg)
	g.states = []knowledge{
		{"record in memory", func(t *testing.T, sh *shape) *site {
			l.tells(nil)
			s.handler.ForgetRecords()
			if got := lookStat(t, s, sh); got.failed != "" {
				t.Errorf("an honest storage: %s", got.failed)
			}
			return s
		}, true},
		{"record in the store", func(*testing.T, *shape) *site { s.handler.ForgetRecords(); return s }, true},
		{"no record", func(*testing.T, *shape) *site { blank.handler.ForgetRecords(); return blank }, false},
	}
	after := newSite(t, st, lost)
	g.states = append(g.states, knowledge{"store lost", func(*testing.T, *shape) *site { after.handler.ForgetRecords(); return after }, false})
	for _, state := range g.states {
		truths := map[string][]told{}
		for _, k := range lookers(g.shape) {
			l.tells(nil)
			now := k.look(t, state.site(t, g.shape), g.shape)
			if now.failed != "" && k.lists && g.customer != nil && !state.knows {
				now = g.truth[g.states[0].name][k.name][0] // what only the customer can tell it
			}
			if now.failed != "" {
				t.Fatalf("%s of an honest storage, %s: %s", k.name, state.name, now.failed)
			}
			l.tells(shows(g.bucket, g.key, renamed(g.old, g.now)))
			before := k.look(t, blank, g.shape)
			truths[k.name] = []told{now, before}
		}
		g.truth[state.name] = truths
	}
	l.tells(nil)
	return g
}

// versionIn finds where facts name a version.
var versionIn = regexp.MustCompile(` ?(X-Amz-Version-Id=\S+|version \S+)`)

// but leaves something out of what was told.
func (x told) but(what *regexp.Regexp) told {
	x.facts = strings.TrimSpace(what.ReplaceAllString(x.facts, ""))
	return x
}

func versionOf(s *stored) string { return s.header.Get("X-Amz-Version-Id") }

// judge is the oracle: what was told is an error, or exactly what an untampered site could truthfully say.
func (g *gallery) judge(state knowledge, k looker, x falsehood, got told) string {
	if got.failed != "" {
		return ""
	}
	truths := g.truth[state.name][k.name]
	now, before := truths[0], truths[1]
	switch {
	case got.same(now):
		return ""
	case !state.knows:
		// It learns from this very storage which version an object is, and whether there was another before it. A listing goes by
		// what was learnt then: what was shown under the ETag of now.
		got = got.but(versionIn)
		if got.same(now.but(versionIn)) || (x.replays || k.lists) && got.same(before.but(versionIn)) {
			return ""
		}
	case x.replays && g.version != "" && k.latest:
		// The newest version is hidden; what is shown in its place is the one before, under its own name.
		before.facts = strings.ReplaceAll(before.facts, versionOf(g.now), versionOf(g.old))
		if got.same(before) {
			return ""
		}
	}
	return fmt.Sprintf("told %s; the truth is %s", got, truths[0])
}

// TestNoLieOfTheStorageIsBelieved crosses every falsehood with every kind of object, every way to look at one, and everything that a
// site may know of it. What comes of each is an error, a broken connection, or the truth. The short form tries each falsehood on each
// kind of object once, with the readers and the states in turn; the long form crosses all.
func TestNoLieOfTheStorageIsBelieved(t *testing.T) {
	t.Parallel()
	_, long := longtest.Long(t)
	falsehoods := append(storedFalsehoods(), wireFalsehoods()...)
	for at, name := range shapeNames {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGallery(t, diskStorage(t), name)
			looks := lookers(g.shape)
			tried, told := 0, 0
			for i, x := range falsehoods {
				lie := x.lie(g.shape)
				if lie == nil || longtest.Raced && (i+at)%10 != 0 {
					continue
				}
				for cell := range len(g.states) * len(looks) {
					state, k := g.states[cell%len(g.states)], looks[cell/len(g.states)]
					if !long && cell != (i*7+at*5)%(len(g.states)*len(looks)) {
						continue
					}
					if wrong := g.try(t, state, k, x, lie); wrong != "" {
						t.Errorf("%s, %s, %s: %s", x.name, state.name, k.name, wrong)
					}
					tried++
					told += g.liar.told()
				}
			}
			g.liar.tells(nil)
			longtest.Figure(t, "crossings of a lie, an object, a reader and what the site knows", tried)
			longtest.Figure(t, "answers that lied", told)
		})
	}
}

// try has one reader look at the object while the storage lies, and gives what is wrong with what it was told.
func (g *gallery) try(t *testing.T, state knowledge, k looker, x falsehood, l *lie) string {
	s := state.site(t, g.shape)
	g.liar.tells(l)
	return g.judge(state, k, x, k.look(t, s, g.shape))
}

// onceOnly has each request sent to the storage once: a lie is met where it is told.
func onceOnly(c *backend.Config) { c.Retries = -1 }
