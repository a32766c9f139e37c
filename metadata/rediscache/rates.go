package rediscache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"cofre/admission"
)

// Rates counts in Redis what all replicas give to a party. It is the admission.Shared of several processes.
type Rates struct {
	redis   *redis.Client
	prefix  string
	replica string

	mu    sync.Mutex
	after time.Time     // Redis is left alone until then; owner: mu
	pause time.Duration // and for how long the next time it fails; owner: mu
}

var _ admission.Shared = (*Rates)(nil)

// errLeftAlone says that Redis failed a moment ago and was not asked.
var errLeftAlone = errors.New("redis failed a moment ago")

// take is the generic cell rate algorithm (ITU-T I.371) in Redis's own clock, in microseconds: a name has the time at which all that
// was taken from it will have been earned. The second name has the replicas that took anything in the last minute.
//
// ARGV: microseconds that the n are worth, those that the burst is worth, 1 to owe, the replica.
var take = redis.NewScript(`
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local earned = math.max(tonumber(redis.call('GET', KEYS[1])) or now, now) + tonumber(ARGV[1])
local wait = math.max(0, math.ceil(earned - tonumber(ARGV[2]) - now))
if wait == 0 or ARGV[3] == '1' then
	redis.call('SET', KEYS[1], string.format('%.0f', earned), 'PX', math.ceil((earned - now) / 1000) + 1)
end
redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - 60000000))
redis.call('PEXPIRE', KEYS[2], 120000)
return {wait, redis.call('ZCARD', KEYS[2])}
`)

// OpenRates makes rates. Nothing is connected yet, since Redis may be away. Of the configuration, TTL does not matter.
func OpenRates(redisURL string, config Config) (*Rates, error) {
	config = config.withDefaults()
	client, err := newClient(redisURL, config)
	if err != nil {
		return nil, err
	}
	return &Rates{redis: client, prefix: config.Prefix + "rate:", replica: rand.Text(), pause: firstPause}, nil
}

// Take counts n against a rate, as admission.Shared has it. Redis is given Config.Timeout, and left alone for
// some seconds after it failed.
func (r *Rates) Take(ctx context.Context, name string, n float64, of admission.Rate, owe bool) (wait time.Duration, replicas int, err error) {
	if !r.ask(time.Now()) {
		return 0, 0, errLeftAlone
	}
	flag := 0
	if owe {
		flag = 1
	}
	const second = 1e6
	answer, err := take.Run(ctx, r.redis, []string{r.prefix + name, r.prefix + "replicas"},
		fmt.Sprintf("%.3f", n*second/of.PerSecond), fmt.Sprintf("%.3f", of.Burst*second/of.PerSecond), flag, r.replica).Int64Slice()
	if err == nil && len(answer) != 2 {
		err = fmt.Errorf("%d values", len(answer))
	}
	r.note(err)
	if err != nil {
		return 0, 0, fmt.Errorf("take from rate: %w", err)
	}
	return time.Duration(answer[0]) * time.Microsecond, int(answer[1]), nil
}

// ask says whether Redis is to be asked. After a failure one caller at a time finds out whether it is back.
func (r *Rates) ask(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.after.IsZero() {
		return true
	}
	if now.Before(r.after) {
		return false
	}
	r.after = now.Add(r.pause)
	return true
}

func (r *Rates) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.after, r.pause = time.Time{}, firstPause
		return
	}
	r.after = time.Now().Add(r.pause)
	r.pause = min(2*r.pause, longestPause)
}

// Close closes the connections to Redis.
func (r *Rates) Close() error { return r.redis.Close() }
