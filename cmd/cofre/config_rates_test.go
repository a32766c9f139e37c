package main

import (
	"math"
	"runtime/debug"
	"strings"
	"testing"

	"cofre/admission"
)

func TestTheFirstRateThatMatchesCounts(t *testing.T) {
	cfg := Config{Rates: []RateConfig{
		{AccessKey: "backup-*", Requests: 10, RequestBurst: 100, Write: 5 << 20},
		{Anonymous: true, Requests: 3},
		{AccessKey: "free"},
		{AccessKey: "*", Read: 1 << 20},
	}}
	for key, want := range map[string]admission.Quota{
		"backup-1": {Requests: admission.Rate{PerSecond: 10, Burst: 100}, Write: admission.Rate{PerSecond: 5 << 20, Burst: 5 << 20}},
		"":         {Requests: admission.Rate{PerSecond: 3, Burst: 3}},
		"free":     {},
		"another":  {Read: admission.Rate{PerSecond: 1 << 20, Burst: 1 << 20}},
	} {
		if got := cfg.quota(key); got != want {
			t.Errorf("%q has %+v, want %+v", key, got, want)
		}
	}
	if got := (Config{Rates: cfg.Rates[:1]}).quota("another"); got != (admission.Quota{}) {
		t.Errorf("what no entry matches has %+v", got)
	}
}

func TestLimitsThatCannotHoldAreRefused(t *testing.T) {
	for doc, key := range map[string]string{
		"rates: [{requests: 5}]":                                   "rates[0].access_key",
		"rates: [{access_key: a, anonymous: true}]":                "rates[0].access_key",
		"rates: [{access_key: a, requests: -1}]":                   "rates[0].requests",
		"rates: [{access_key: a, requests: 1, request_burst: 61}]": "rates[0].request_burst",
		"rates: [{access_key: a, read: 1000}]":                     "rates[0].read",
		"rates: [{access_key: a, write: 1000}]":                    "rates[0].write",
		"limits: {memory: 1MiB}":                                   "limits.memory",
		"limits: {queue_wait: 0s}":                                 "limits.queue_wait",
		"limits: {min_rate: 0}":                                    "limits.min_rate",
		"limits: {connections: 1}":                                 "limits.connections",
		"limits: {connections: 100, connections_per_source: 101}":  "limits.connections_per_source",
	} {
		err := loadConfig(writeFile(t, "cofre.yaml", doc), nil).check()
		if err == nil || !strings.Contains(err.Error(), key+": ") {
			t.Errorf("%s was taken: %v", doc, err)
		}
	}
}

// TestTheBudgetFollowsTheLimitOfMemory is not parallel: the limit is the process's own.
func TestTheBudgetFollowsTheLimitOfMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for limit, want := range map[int64]int64{math.MaxInt64: admission.DefaultMemory, 2 << 30: 1 << 30, 64 << 20: minMemory} {
		debug.SetMemoryLimit(limit)
		if got := memoryBudget(LimitsConfig{}); got != want {
			t.Errorf("with a limit of %d the budget is %d, want %d", limit, got, want)
		}
		if got := memoryBudget(LimitsConfig{Memory: 200 << 20}); got != 200<<20 {
			t.Errorf("a budget of the configuration became %d", got)
		}
	}
}
