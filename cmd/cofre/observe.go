package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cofre/backend"
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
