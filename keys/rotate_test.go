package keys_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cofre/keys"
	"cofre/keys/keystest"
)

// rotations gathers what a Ring tells.
type rotations struct {
	mu   sync.Mutex
	told []keys.Rotation
}

func (r *rotations) tell(told keys.Rotation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, told)
}

func (r *rotations) take() []keys.Rotation {
	r.mu.Lock()
	defer r.mu.Unlock()
	told := r.told
	r.told = nil
	return told
}

// rotating is a Ring of the site that replaces KEKs by itself.
func rotating(s *keystest.Site, after time.Duration, objects int64) (*keys.Ring, *rotations) {
	told := &rotations{}
	return keys.NewRing(keys.RingConfig{
		Identity: s.Identity, Trust: func() *keys.TrustList { return s.Trust }, Store: s.Store, System: s.System,
		Rotate: keys.RotatePolicy{After: after, Objects: objects, Tell: told.tell},
	}), told
}

// useFor writes once every second, and lets what that sets off come to its end.
func useFor(t *testing.T, ring *keys.Ring, d time.Duration) keys.KEK {
	t.Helper()
	var kek keys.KEK
	for range d / time.Second {
		time.Sleep(time.Second)
		kek = mustActive(t, ring, "b")
		synctest.Wait()
	}
	return kek
}

func TestAnOldKEKIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
		ring, told := rotating(site, time.Hour, 0)
		first := mustActive(t, ring, "b")
		time.Sleep(time.Hour - 2*keys.StateTTL)
		if !useFor(t, ring, keys.StateTTL).Equal(first) || len(told.take()) != 0 {
			t.Fatal("replaced before its time")
		}
		second := useFor(t, ring, 2*keys.StateTTL+time.Second)
		if second.ID() == first.ID() {
			t.Fatal("not replaced")
		}
		wantOpen(t, site.Ring(nil), first, keys.ReadOnly)
		wantOpen(t, site.Ring(nil), second, keys.Active)
		all := told.take()
		if len(all) != 1 || all[0].Old != first.ID() || all[0].New != second.ID() || all[0].Err != nil || all[0].Age < time.Hour || all[0].Bucket != "b" {
			t.Errorf("told %+v", all)
		}
		if site.Store.Calls("CountKEK") != 0 {
			t.Error("counted though nobody asked for it")
		}
		if time.Sleep(30 * time.Minute); !useFor(t, ring, keys.StateTTL).Equal(second) {
			t.Error("replaced again at once")
		}
	})
}

func TestAMuchUsedKEKIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
		one, told := rotating(site, 0, 60)
		other, _ := rotating(site, 0, 60)
		first := mustActive(t, one, "b")
		if kek := useFor(t, one, 40*time.Second); !kek.Equal(first) {
			t.Fatal("replaced before its count")
		}
		if n := site.Store.Calls("CountKEK"); n == 0 || n > 10 {
			t.Errorf("40 objects were counted by %d calls", n)
		}
		// Another replica goes on where this one has left off.
		if kek := useFor(t, other, 40*time.Second); kek.ID() == first.ID() {
			t.Fatal("not replaced by the count of both")
		}
		useFor(t, one, keys.StateTTL)
		if !mustActive(t, one, "b").Equal(mustActive(t, other, "b")) || len(told.take()) != 0 {
			t.Error("the other replica did not follow, or told of what it has not done")
		}
	})
}

func TestWithoutAPolicyNoKEKIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
		ring, told := rotating(site, 0, 0)
		first := mustActive(t, ring, "b")
		time.Sleep(10 * 365 * 24 * time.Hour)
		if !useFor(t, ring, time.Minute).Equal(first) || len(told.take()) != 0 || site.Store.Calls("CountKEK") != 0 {
			t.Error("replaced, or counted")
		}
	})
}

func TestReplicasThatReplaceAtOnceEndWithOneKEK(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
		var rings []*keys.Ring
		var told []*rotations
		for range 4 {
			ring, says := rotating(site, time.Hour, 0)
			rings, told = append(rings, ring), append(told, says)
			mustActive(t, ring, "b")
		}
		time.Sleep(2 * time.Hour)
		release := site.Store.Hold("SetKEKState") // so that all of them get there
		for _, ring := range rings {
			mustActive(t, ring, "b")
		}
		synctest.Wait()
		release()
		synctest.Wait()
		tellers := 0
		for n, ring := range rings {
			if !mustActive(t, ring, "b").Equal(mustActive(t, rings[0], "b")) {
				t.Error("replicas seal under different KEKs")
			}
			tellers += len(told[n].take())
		}
		held, err := site.Store.KEKs(t.Context(), "b")
		if err != nil || len(held) != 2 || tellers != 1 {
			t.Errorf("%d KEKs, %v, told %d times", len(held), err, tellers)
		}
	})
}

// TestAReplacementThatFailsStopsNoWrites, wherever it fails, and is made later.
func TestAReplacementThatFailsStopsNoWrites(t *testing.T) {
	for name, fail := range map[string]func(*keystest.Site){
		"a grant": func(s *keystest.Site) { s.System.FailNext("Put", keystest.Before) },
		"the record": func(s *keystest.Site) {
			s.System.FailNext("Put", keystest.Never)
			s.System.FailNext("Put", keystest.After)
		},
		"the old one's state": func(s *keystest.Site) { s.Store.FailNext("SetKEKState", keystest.Before) },
		"that, unanswered":    func(s *keystest.Site) { s.Store.FailNext("SetKEKState", keystest.After) },
		"the new one":         func(s *keystest.Site) { s.Store.FailNext("AddKEK", keystest.Before) },
		"that one unanswered": func(s *keystest.Site) { s.Store.FailNext("AddKEK", keystest.After) },
		"the count":           func(s *keystest.Site) { s.Store.FailNext("CountKEK", keystest.Before) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
				ring, told := rotating(site, time.Hour, 1<<40)
				first := mustActive(t, ring, "b")
				time.Sleep(time.Hour)
				fail(site)
				last := useFor(t, ring, keys.RetryRotation+3*keys.StateTTL) // every write among them succeeds
				if last.ID() == first.ID() {
					t.Error("never replaced")
				}
				wantOpen(t, site.Ring(nil), last, keys.Active)
				failed := slices.DeleteFunc(told.take(), func(r keys.Rotation) bool { return r.Err == nil })
				if len(failed) > 1 || len(failed) == 1 && !errors.Is(failed[0].Err, keys.ErrKEKUnavailable) {
					t.Errorf("told of failures %+v", failed)
				}
			})
		})
	}
}

func TestWritesGoOnWhileAReplacementHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
		ring, _ := rotating(site, time.Hour, 0)
		first := mustActive(t, ring, "b")
		time.Sleep(time.Hour)
		release := site.System.Hold("Put")
		written := site.System.Calls("Put")
		for range 15 {
			time.Sleep(time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			kek, err := ring.Active(ctx, "b")
			if err != nil || !kek.Equal(first) {
				t.Errorf("%v, %v", kek, err)
			}
			cancel()
			synctest.Wait()
		}
		if n := site.System.Calls("Put") - written; n != 1 {
			t.Errorf("%d documents were begun", n)
		}
		release()
		synctest.Wait()
		if useFor(t, ring, keys.StateTTL).ID() == first.ID() {
			t.Error("not replaced after all")
		}
	})
}

// TestAReplacementIsTriedOnceAMinute: each try leaves documents behind.
func TestAReplacementIsTriedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
		ring, told := rotating(site, time.Hour, 0)
		first := mustActive(t, ring, "b")
		time.Sleep(time.Hour)
		site.System.SetDown(true)
		written := site.System.Calls("Put")
		if !useFor(t, ring, 3*keys.RetryRotation).Equal(first) {
			t.Error("replaced though the storage takes nothing")
		}
		if n, all := site.System.Calls("Put")-written, told.take(); n < 2 || n > 4 || len(all) != n {
			t.Errorf("tried %d times, told %+v", n, all)
		}
	})
}

func TestWhatCouldNotBeCountedIsCountedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
		ring, _ := rotating(site, 0, 1<<40)
		site.Store.FailNext("CountKEK", keystest.Before)
		site.Store.FailNext("CountKEK", keystest.Before)
		kek := useFor(t, ring, 30*time.Second)
		if total, err := site.Store.CountKEK(t.Context(), "b", kek.ID(), 0); err != nil || total < 25 || total > 30 {
			t.Errorf("%d of 30 objects were counted, %v", total, err) // those of the last seconds may not be yet
		}
	})
}
