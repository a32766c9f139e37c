package main

import (
	"fmt"
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"cofre/admission"
	"cofre/metadata/rediscache"
)

// boundMemory has the garbage collector work towards nine tenths of what the container may have, unless GOMEMLIMIT says
// otherwise. Where there is neither, nothing changes.
func boundMemory(logger *zap.Logger) {
	if _, err := memlimit.Set(memlimit.WithProvider(memlimit.FromCgroup), memlimit.WithRatio(0.9)); err != nil {
		logger.Info("the container's limit of memory is not known: set GOMEMLIMIT, or limits.memory", zap.Error(err))
	}
}

// memoryBudget is limits.memory, or what it is where nothing is said: half of the process's limit of memory, since what has been
// freed is not given back at once; without a limit, admission's default.
func memoryBudget(limits LimitsConfig) int64 {
	if limits.Memory > 0 {
		return int64(limits.Memory)
	}
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		return max(limit/2, minMemory)
	}
	return admission.DefaultMemory
}

// minMemory is the least with which every request can be served: a DeleteObjects of the largest size takes 64 MiB, and bulk
// demands have seven eighths.
const minMemory = 96 << 20

func newGate(limits LimitsConfig, logger *zap.Logger, registry prometheus.Registerer) *admission.Gate {
	memory := memoryBudget(limits)
	logger.Info("admission", zap.String("memory", fmt.Sprint(Size(memory))), zap.Int("requests", limits.Requests), zap.Duration("queue_wait", limits.QueueWait))
	return admission.NewGate(admission.GateConfig{
		Memory: memory, Requests: limits.Requests, Wait: limits.QueueWait, Registerer: registry,
	})
}

// newRates gives what holds credentials to their rates, and what to close in the end. Both are nil where nothing is limited.
func newRates(cfg Config, registry prometheus.Registerer) (*admission.Rates, *rediscache.Rates, error) {
	if len(cfg.Rates) == 0 {
		return nil, nil, nil
	}
	config := admission.RatesConfig{Of: cfg.quota, Registerer: registry}
	if cfg.Cache.Redis == "" {
		return admission.NewRates(config), nil, nil
	}
	shared, err := rediscache.OpenRates(cfg.Cache.Redis.Reveal(), rediscache.Config{})
	if err != nil {
		return nil, nil, usagef("cache.redis: %w", err)
	}
	config.Shared = shared
	return admission.NewRates(config), shared, nil
}
