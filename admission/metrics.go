package admission

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// gateMetrics are made at construction, so that none can be counted and not exported. No label names a party.
type gateMetrics struct {
	refused *prometheus.CounterVec
	waited  prometheus.Histogram
}

func newGateMetrics(r prometheus.Registerer, g *Gate) *gateMetrics {
	if r == nil {
		r = prometheus.NewRegistry()
	}
	f := promauto.With(r)
	gauge := func(opts prometheus.GaugeOpts, value func() int64) {
		f.NewGaugeFunc(opts, func() float64 {
			g.mu.Lock()
			defer g.mu.Unlock()
			return float64(value())
		})
	}
	for class, name := range [classes]string{Light: "light", Bulk: "bulk"} {
		labels := prometheus.Labels{"class": name}
		gauge(prometheus.GaugeOpts{
			Name: "cofre_admission_memory_bytes", Help: "Memory that requests being served were admitted with, by class.", ConstLabels: labels,
		}, func() int64 { return g.held[class].memory })
		gauge(prometheus.GaugeOpts{
			Name: "cofre_admission_requests", Help: "Requests being served, by class.", ConstLabels: labels,
		}, func() int64 { return g.held[class].requests })
	}
	gauge(prometheus.GaugeOpts{
		Name: "cofre_admission_memory_limit_bytes", Help: "The budget: limits.memory, or what was derived for it.",
	}, func() int64 { return g.limit[Light].memory })
	gauge(prometheus.GaugeOpts{Name: "cofre_admission_requests_limit", Help: "limits.requests."}, func() int64 { return g.limit[Light].requests })
	gauge(prometheus.GaugeOpts{Name: "cofre_admission_waiting", Help: "Requests that wait for their turn."}, func() int64 { return int64(g.waiting) })
	m := &gateMetrics{
		refused: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cofre_admission_refused_total", Help: "Requests answered 503 SlowDown, by what they waited for in vain: memory, requests, or a place in the queue.",
		}, []string{"reason"}),
		waited: f.NewHistogram(prometheus.HistogramOpts{
			Name: "cofre_admission_wait_seconds", Help: "How long requests waited that were not let in at once, however it ended.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}),
	}
	for _, reason := range []Reason{ReasonMemory, ReasonRequests, ReasonQueue} {
		m.refused.WithLabelValues(string(reason)) // so that the first one shows as an increase
	}
	return m
}

// rateMetrics are those of Rates.
type rateMetrics struct {
	refused, failures prometheus.Counter
	read, write       prometheus.Counter
}

func newRateMetrics(r prometheus.Registerer) *rateMetrics {
	if r == nil {
		r = prometheus.NewRegistry()
	}
	f := promauto.With(r)
	paced := f.NewCounterVec(prometheus.CounterOpts{
		Name: "cofre_rate_paced_seconds_total", Help: "For how long streams waited to keep to a limit of bytes, by direction as clients see it.",
	}, []string{"direction"})
	return &rateMetrics{
		refused: f.NewCounter(prometheus.CounterOpts{Name: "cofre_rate_refused_total", Help: "Requests answered 503 SlowDown because their credential or address asked for too many in a second."}),
		failures: f.NewCounter(prometheus.CounterOpts{
			Name: "cofre_rate_shared_failures_total", Help: "Times that Redis did not say what all replicas have given; then each goes by its share.",
		}),
		read: paced.WithLabelValues("read"), write: paced.WithLabelValues("write"),
	}
}
