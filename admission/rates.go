package admission

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cofre/internal/pause"
)

// Rate is so much in a second, and so much at once after a while of nothing. The zero Rate is no limit.
type Rate struct {
	PerSecond float64
	Burst     float64
}

// Quota is what one party may ask for.
type Quota struct {
	// Requests beyond it are refused.
	Requests Rate
	// Read and Write are bytes of bodies, given to the party and taken from it. What is beyond waits: streams become slower.
	Read, Write Rate
}

// Shared counts what all replicas give to a party together.
type Shared interface {
	// Take counts n against the rate of that name. Where that is more than the rate has now, wait is the time after which it
	// would not be. With owe the n are counted all the same, and whoever took them waits before using them; without, nothing is
	// counted then. replicas is how many processes took anything lately, this one among them. It must not block for long: an
	// error means that a process goes by what it counts itself.
	Take(ctx context.Context, name string, n float64, of Rate, owe bool) (wait time.Duration, replicas int, err error)
}

// RatesConfig is what Rates are made from.
type RatesConfig struct {
	// Of gives the quota of a verified access key; of requests without credentials for "".
	Of func(accessKeyID string) Quota
	// Shared is nil where a process is alone.
	Shared Shared
	// Registerer takes the metrics; nil keeps them to the rates.
	Registerer prometheus.Registerer
}

// Rates hold parties to their quotas: one process by what it counts, several by what Shared counts. While Shared fails, each
// process allows its share: the quota divided by how many there were.
type Rates struct {
	of      func(accessKeyID string) Quota
	shared  Shared
	metrics *rateMetrics

	mu       sync.Mutex
	accounts map[Party]*account // owner: mu
	replicas int                // as of the last word of Shared; owner: mu
	alone    bool               // Shared failed when it was asked last; owner: mu
}

const (
	// rememberedParties bounds memory where anonymous requests come from everywhere. Who is forgotten too early starts with a
	// full burst again.
	rememberedParties = 10_000
	// remembered is how long an account is kept after it was used last, if there is room.
	remembered = 2 * MaxRefill
	// MaxRefill is the longest time that a burst may take to refill, so that it has when the account is forgotten.
	MaxRefill = time.Minute
)

// account is what is counted of one party.
type account struct {
	requests, read, write *meter // nil for no limit
	used                  time.Time
}

// NewRates makes rates.
func NewRates(cfg RatesConfig) *Rates {
	return &Rates{of: cfg.Of, shared: cfg.Shared, metrics: newRateMetrics(cfg.Registerer), accounts: map[Party]*account{}, replicas: 1}
}

// Account is one party before its quota. Nil has no limits.
type Account struct {
	rates   *Rates
	account *account
}

// Account gives the account of a verified access key; of the address where that is "". Nil Rates, and parties without limits, have none.
func (r *Rates) Account(accessKeyID string, from netip.Addr) *Account {
	if r == nil {
		return nil
	}
	quota := r.of(accessKeyID)
	if quota == (Quota{}) {
		return nil
	}
	party := Source(from)
	if accessKeyID != "" {
		party = Credential(accessKeyID)
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.accounts[party]
	if a == nil {
		if len(r.accounts) >= rememberedParties {
			r.forget(now)
		}
		a = &account{
			requests: newMeter(string(party)+" requests", quota.Requests), read: newMeter(string(party)+" read", quota.Read),
			write: newMeter(string(party)+" write", quota.Write),
		}
		r.accounts[party] = a
	}
	a.used = now
	return &Account{rates: r, account: a}
}

// forget makes room: it drops what was not used lately, and where that is nothing an eighth of what there is. The caller holds mu.
func (r *Rates) forget(now time.Time) {
	for name, a := range r.accounts {
		if now.Sub(a.used) > remembered {
			delete(r.accounts, name)
		}
	}
	for name := range r.accounts { // in no order
		if len(r.accounts) < rememberedParties*7/8 {
			return
		}
		delete(r.accounts, name)
	}
}

// Request counts a request. The error is a *Refused where there are too many.
func (a *Account) Request(ctx context.Context) error {
	if a == nil || a.account.requests == nil {
		return nil
	}
	if wait := a.rates.request(ctx, a.account.requests); wait > 0 {
		a.rates.metrics.refused.Inc()
		return refuse(ReasonRate, wait)
	}
	return nil
}

// Paced says whether bytes read or written wait for their turn.
func (a *Account) Paced() bool { return a != nil && (a.account.read != nil || a.account.write != nil) }

// Read waits until n more bytes may be given to the party. The error is ctx's.
func (a *Account) Read(ctx context.Context, n int) error {
	if a == nil {
		return nil
	}
	return a.rates.pace(ctx, a.account.read, n, a.rates.metrics.read)
}

// Write waits until n more bytes may be taken from the party. The error is ctx's.
func (a *Account) Write(ctx context.Context, n int) error {
	if a == nil {
		return nil
	}
	return a.rates.pace(ctx, a.account.write, n, a.rates.metrics.write)
}

// request takes one request, or gives the time after which there is one.
func (r *Rates) request(ctx context.Context, m *meter) time.Duration {
	if wait := m.tryOwn(r.share()); wait > 0 {
		return wait // and nobody else is asked: who is far above his rate costs nothing
	}
	if r.shared == nil {
		return 0
	}
	wait, err := r.take(ctx, m, 1, false)
	if err != nil {
		return 0 // by its own count it may
	}
	return wait
}

// pace waits until n bytes may flow.
func (r *Rates) pace(ctx context.Context, m *meter, n int, waited prometheus.Counter) error {
	if m == nil || n <= 0 {
		return nil
	}
	wait := m.spend(float64(n), func(q float64) time.Duration {
		if r.shared != nil {
			if wait, err := r.take(ctx, m, q, true); err == nil {
				return wait
			}
		}
		return m.oweOwn(q, r.share())
	})
	if wait <= 0 {
		return nil
	}
	waited.Add(wait.Seconds())
	return pause.For(ctx, wait)
}

// take asks Shared, and notes whether it answers.
func (r *Rates) take(ctx context.Context, m *meter, n float64, owe bool) (time.Duration, error) {
	// A client that leaves must not look like a Shared that fails.
	wait, replicas, err := r.shared.Take(context.WithoutCancel(ctx), m.name, n, m.rate, owe)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alone = err != nil
	if err != nil {
		r.metrics.failures.Inc()
		return 0, err
	}
	r.replicas = max(1, replicas)
	return wait, nil
}

// share is by how much this process's own count divides a quota.
func (r *Rates) share() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.alone {
		return float64(r.replicas)
	}
	return 1
}
