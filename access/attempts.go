package access

import (
	"net/netip"
	"time"
)

const (
	// DefaultKeyFailures is how often one source may fail with one access key before it has to wait.
	DefaultKeyFailures = 10
	// DefaultSourceFailures is how often one source may fail with any access keys.
	DefaultSourceFailures = 50
	// DefaultLongestWait bounds the wait, which begins with a second and doubles with every further failure.
	DefaultLongestWait = time.Minute

	firstWait = time.Second
	// failuresForgotten is how long after the last of them failures count.
	failuresForgotten = 15 * time.Minute
	// provenFor is how long a source that has signed with an access key is known to have its secret.
	provenFor = time.Hour
	// provenAnew is how often that is noted while it goes on, so that most requests only look.
	provenAnew = time.Minute
	// widelyTried is how many failures with one access key, of all sources together, make each source's allowance smaller.
	widelyTried = 100
	// attemptsRemembered bounds the sources, access keys and pairs of both that are remembered: some 20 MiB at most.
	attemptsRemembered = 1 << 14
)

// AttemptsConfig is what Attempts is made of. Zero values mean the defaults.
type AttemptsConfig struct {
	KeyFailures    int           // of one source with one access key
	SourceFailures int           // of one source with all
	LongestWait    time.Duration // from a second up
	Clock          func() time.Time
}

// Attempts slows down who guesses credentials. Failures are counted for each source and, within it, for each access key; from
// a limit on, what that source sends is not looked at for a while that doubles with each further failure.
//
// Only sources that fail are slowed, so that nobody can lock the owner of an access key out by failing with it elsewhere. A
// source that has signed with an access key within the hour is never kept waiting with that one: others may share its
// address. With an access key that very many sources fail with, each may fail less often.
//
// It is this process's memory and bounded; whoever used it longest ago is forgotten first. Safe for concurrent use.
type Attempts struct {
	cfg     AttemptsConfig
	pairs   *cache[tally]    // by source and access key
	sources *cache[tally]    // by source
	keys    *cache[tally]    // by access key
	proven  *cache[struct{}] // by source and access key; apart, so that failures never push out a success
}

// tally is what one source, access key or pair has come to. It is replaced, never changed: two failures at the same instant
// may count as one.
type tally struct {
	failures int
	last     time.Time // of the failures
	until    time.Time // nothing is looked at before
}

// NewAttempts makes Attempts.
func NewAttempts(cfg AttemptsConfig) *Attempts {
	if cfg.KeyFailures == 0 {
		cfg.KeyFailures = DefaultKeyFailures
	}
	if cfg.SourceFailures == 0 {
		cfg.SourceFailures = DefaultSourceFailures
	}
	if cfg.LongestWait == 0 {
		cfg.LongestWait = DefaultLongestWait
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return &Attempts{
		cfg: cfg, pairs: newCache[tally](attemptsRemembered), sources: newCache[tally](attemptsRemembered),
		keys: newCache[tally](attemptsRemembered), proven: newCache[struct{}](attemptsRemembered),
	}
}

// Wait says for how long what a source signs, or says it signs, with an access key is not to be looked at; 0 for: look now.
func (a *Attempts) Wait(source netip.Prefix, accessKeyID string) time.Duration {
	now, key := a.cfg.Clock(), tried(accessKeyID)
	if a.isProven(source, key, now) {
		return 0
	}
	wait := time.Duration(0)
	if t, ok := a.pairs.look(pair(source, key)); ok {
		wait = max(wait, t.until.Sub(now))
	}
	if t, ok := a.sources.look(source.String()); ok {
		wait = max(wait, t.until.Sub(now))
	}
	return wait
}

// Failed counts a signature that was wrong, or an access key that there is not. It says whether the source has to wait now.
func (a *Attempts) Failed(source netip.Prefix, accessKeyID string) (slowed bool) {
	now, key := a.cfg.Clock(), tried(accessKeyID)
	limit := a.cfg.KeyFailures
	if t := a.count(a.keys, key, now, 0); t.failures >= widelyTried {
		limit = max(1, limit/5)
	}
	if a.isProven(source, key, now) {
		return false
	}
	ofPair := a.count(a.pairs, pair(source, key), now, limit)
	ofSource := a.count(a.sources, source.String(), now, a.cfg.SourceFailures)
	return ofPair.until.After(now) || ofSource.until.After(now)
}

// Succeeded notes that a source has signed with an access key.
func (a *Attempts) Succeeded(source netip.Prefix, accessKeyID string) {
	now, key := a.cfg.Clock(), pair(source, tried(accessKeyID))
	if _, age, ok := a.proven.get(key, now); !ok || age > provenAnew {
		a.proven.put(key, struct{}{}, now)
	}
}

func (a *Attempts) isProven(source netip.Prefix, key string, now time.Time) bool {
	_, age, ok := a.proven.get(pair(source, key), now)
	return ok && age < provenFor
}

// count adds a failure. From limit on it sets a wait; a limit of 0 sets none.
func (a *Attempts) count(in *cache[tally], key string, now time.Time, limit int) tally {
	t, ok := in.look(key)
	if !ok || now.Sub(t.last) > failuresForgotten {
		t = tally{}
	}
	t.failures, t.last = t.failures+1, now
	if over := t.failures - limit; limit > 0 && over >= 0 {
		wait := a.cfg.LongestWait
		if over < 30 { // a second doubled 30 times is longer than any wait
			wait = min(wait, firstWait<<over)
		}
		t.until = now.Add(wait)
	}
	in.put(key, t, now)
	return t
}

// tried is an access key as failures are counted by it: what no credential can be called is all one.
func tried(accessKeyID string) string {
	if ValidateAccessKeyID(accessKeyID) != nil {
		return ""
	}
	return accessKeyID
}

func pair(source netip.Prefix, key string) string {
	var buf [128]byte
	return string(append(append(source.AppendTo(buf[:0]), ' '), key...))
}
