package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cofre/backend"
	"cofre/metadata/rediscache"
)

// newRegistry makes the process's own registry: nothing is exported that was not put here.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	promauto.With(r).NewGaugeVec(prometheus.GaugeOpts{
		Name: "cofre_build_info", Help: "Always 1; the label says which build runs.",
	}, []string{"version"}).WithLabelValues(buildVersion()).Set(1)
	return r
}

// observeStore exports the store's health.
func observeStore(r prometheus.Registerer, healthy func() bool) {
	promauto.With(r).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cofre_store_up", Help: "1 while the metadata store answers. Writes are refused while it does not.",
	}, func() float64 {
		if healthy() {
			return 1
		}
		return 0
	})
}

// observeCache exports what the shared cache is worth.
func observeCache(r prometheus.Registerer, stats func() rediscache.Stats) {
	f := promauto.With(r)
	for name, of := range map[string]struct {
		help  string
		count func(rediscache.Stats) uint64
	}{
		"cofre_cache_hits_total":     {"Record look-ups that Redis answered.", func(s rediscache.Stats) uint64 { return s.Hits }},
		"cofre_cache_misses_total":   {"Record look-ups that went on to the store.", func(s rediscache.Stats) uint64 { return s.Misses }},
		"cofre_cache_failures_total": {"Calls to Redis that failed or were too slow.", func(s rediscache.Stats) uint64 { return s.Failures }},
	} {
		f.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: of.help}, func() float64 { return float64(of.count(stats())) })
	}
}

// observeBackend exports what calls to the backend came to.
func observeBackend(r prometheus.Registerer) func(backend.Observation) {
	f := promauto.With(r)
	calls := f.NewCounterVec(prometheus.CounterOpts{
		Name: "cofre_backend_calls_total", Help: "Calls to the backend by method and outcome.",
	}, []string{"method", "outcome"})
	retries := f.NewCounter(prometheus.CounterOpts{
		Name: "cofre_backend_retries_total", Help: "Requests to the backend that were sent again.",
	})
	duration := f.NewHistogramVec(prometheus.HistogramOpts{
		Name: "cofre_backend_call_duration_seconds", Help: "Time to the head of the backend's answer, retries included.",
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
	}, []string{"method"})
	return func(o backend.Observation) {
		calls.WithLabelValues(o.Method, string(o.Outcome)).Inc()
		retries.Add(float64(o.Attempts - 1))
		duration.WithLabelValues(o.Method).Observe(o.Duration.Seconds())
	}
}
