package access_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"cofre/access"
	client "cofre/internal/source"
)

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

func newAttempts(t *testing.T, cfg access.AttemptsConfig) (*access.Attempts, *clock) {
	t.Helper()
	c := &clock{time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}
	cfg.Clock = c.read
	return access.NewAttempts(cfg), c
}

func source(text string) netip.Prefix { return client.Of(netip.MustParseAddr(text)) }

// fail fails n times, and waits as long as it is told to in between if patient.
func fail(a *access.Attempts, from netip.Prefix, key string, n int) {
	for range n {
		a.Failed(from, key)
	}
}

func TestTheWaitDoublesWithEveryFailureUpToTheLongest(t *testing.T) {
	a, c := newAttempts(t, access.AttemptsConfig{KeyFailures: 3, LongestWait: 10 * time.Second})
	guesser := source("192.0.2.1")
	for i, seconds := range []int{0, 0, 1, 2, 4, 8, 10, 10} {
		want := time.Duration(seconds) * time.Second
		slowed := a.Failed(guesser, "AKIAVICTIM")
		if got := a.Wait(guesser, "AKIAVICTIM"); got != want || slowed != (want > 0) {
			t.Errorf("after %d failures: wait %v, slowed %v; want %v", i+1, got, slowed, want)
		}
		c.now = c.now.Add(a.Wait(guesser, "AKIAVICTIM"))
		if got := a.Wait(guesser, "AKIAVICTIM"); got != 0 {
			t.Errorf("wait is %v when it is over", got)
		}
	}
	for range 100 {
		a.Failed(guesser, "AKIAVICTIM") // many doublings do not overflow
	}
	if got := a.Wait(guesser, "AKIAVICTIM"); got != 10*time.Second {
		t.Errorf("wait %v after many failures", got)
	}
	c.now = c.now.Add(16 * time.Minute)
	if a.Failed(guesser, "AKIAVICTIM") {
		t.Error("failures were not forgotten")
	}
}

func TestNobodyLocksTheOwnerOfAKeyOut(t *testing.T) {
	a, _ := newAttempts(t, access.AttemptsConfig{})
	for i := range 2000 {
		fail(a, source(fmt.Sprintf("198.51.%d.%d", i/250, i%250)), "AKIAVICTIM", 3)
	}
	if got := a.Wait(source("192.0.2.1"), "AKIAVICTIM"); got != 0 {
		t.Errorf("the owner waits %v because of others", got)
	}
	// Behind the same address as the guesser, too, if he has signed from there.
	shared := source("203.0.113.7")
	a.Succeeded(shared, "AKIAVICTIM")
	fail(a, shared, "AKIAVICTIM", 100)
	fail(a, shared, "AKIAANOTHER", 100)
	if got := a.Wait(shared, "AKIAVICTIM"); got != 0 {
		t.Errorf("the owner waits %v because of others at his address", got)
	}
	if a.Wait(shared, "AKIAANOTHER") == 0 {
		t.Error("the guesser at that address does not wait")
	}
}

func TestOneBadKeyDoesNotSlowTheOthersOfASource(t *testing.T) {
	a, c := newAttempts(t, access.AttemptsConfig{})
	office := source("203.0.113.7")
	for range 30 { // a job with an old secret, which waits each time as it is told
		a.Failed(office, "AKIAOLDJOB")
		c.now = c.now.Add(a.Wait(office, "AKIAOLDJOB"))
	}
	if got := a.Wait(office, "AKIANEWCLIENT"); got != 0 {
		t.Errorf("another client of the office waits %v", got)
	}
}

func TestTryingManyKeysSlowsTheSource(t *testing.T) {
	a, _ := newAttempts(t, access.AttemptsConfig{SourceFailures: 20})
	for i := range 25 {
		a.Failed(source("2001:db8:1:2::"+fmt.Sprint(i)), fmt.Sprintf("AKIA%d", i))
	}
	if a.Wait(source("2001:db8:1:2:ffff::1"), "AKIANEW") == 0 {
		t.Error("an address of the same /64 does not wait")
	}
	if got := a.Wait(source("2001:db8:1:3::1"), "AKIANEW"); got != 0 {
		t.Errorf("another network waits %v", got)
	}
}

// TestAKeyTriedFromEverywhereIsTriedLessFromEach: with very many addresses an attacker has very many allowances.
func TestAKeyTriedFromEverywhereIsTriedLessFromEach(t *testing.T) {
	a, _ := newAttempts(t, access.AttemptsConfig{KeyFailures: 10})
	for i := range 200 {
		fail(a, source(fmt.Sprintf("198.51.100.%d", i)), "AKIAVICTIM", 1)
	}
	fresh := source("192.0.2.1")
	if a.Failed(fresh, "AKIAVICTIM"); a.Wait(fresh, "AKIAVICTIM") != 0 {
		t.Error("the first slip waits")
	}
	if a.Failed(fresh, "AKIAVICTIM"); a.Wait(fresh, "AKIAVICTIM") == 0 {
		t.Error("the second one does not")
	}
}

func TestAttemptsRememberABoundedNumber(t *testing.T) {
	a, _ := newAttempts(t, access.AttemptsConfig{})
	a.Succeeded(source("203.0.113.7"), "AKIAOWNER")
	for i := range 40_000 {
		from := client.Of(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
		a.Failed(from, fmt.Sprintf("AKIA%d", i))
		a.Failed(from, string(make([]byte, 1000))) // no key at all: remembered as one
	}
	if n := a.Remembered(); n > 4<<14 {
		t.Errorf("%d entries are remembered", n)
	}
	fail(a, source("203.0.113.7"), "AKIAOWNER", 100)
	if a.Wait(source("203.0.113.7"), "AKIAOWNER") != 0 {
		t.Error("failures have pushed a success out")
	}
}
