package proxy

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are made at construction, so that none can be counted and not exported. Labels are the operation and how it
// ended, never a bucket or a key.
type metrics struct {
	requests  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	bytesIn   prometheus.Counter
	bytesOut  prometheus.Counter
	healed    *prometheus.CounterVec
	unhealed  prometheus.Counter
	integrity *prometheus.CounterVec
	storeLost *prometheus.CounterVec
	kekWaits  prometheus.Counter
	backend   *prometheus.CounterVec

	authFailures *prometheus.CounterVec
	authRefused  prometheus.Counter
	swept        *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	if r == nil {
		r = prometheus.NewRegistry()
	}
	f := promauto.With(r)
	m := &metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cofre_requests_total", Help: "S3 requests by operation and outcome (ok, client_error, server_error, aborted).",
		}, []string{"operation", "outcome"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "cofre_request_duration_seconds", Help: "Time from the request's first byte to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}, []string{"operation"}),
		bytesIn:  f.NewCounter(prometheus.CounterOpts{Name: "cofre_plaintext_received_bytes_total", Help: "Plaintext bytes taken from clients."}),
		bytesOut: f.NewCounter(prometheus.CounterOpts{Name: "cofre_response_bytes_total", Help: "Bytes of answers given to clients."}),
		healed: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cofre_healed_records_total", Help: "Records made from what the backend holds, by where they were missed.",
		}, []string{"where"}),
		unhealed: f.NewCounter(prometheus.CounterOpts{
			Name: "cofre_unhealed_entries_total", Help: "Listing entries shown with computed sizes because their object could not be read.",
		}),
		integrity: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cofre_integrity_findings_total", Help: "Objects that the storage returned altered, replaced or replayed. Any is an alarm.",
		}, []string{"kind"}),
		storeLost: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cofre_store_failures_total", Help: "Rows that could not be written after the backend had committed; the next read heals them.",
		}, []string{"operation"}),
		kekWaits: f.NewCounter(prometheus.CounterOpts{
			Name: "cofre_kek_unavailable_total", Help: "Requests refused because a KEK record, grant or layout was not there (yet).",
		}),
		backend: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cofre_backend_refusals_total", Help: "Backend errors that speak of cofre's own request (credentials, clock), not of the client's.",
		}, []string{"code"}),
		authFailures: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cofre_authentication_failures_total", Help: "Requests whose access key does not exist (unknown_key) or whose signature is wrong (signature).",
		}, []string{"reason"}),
		authRefused: f.NewCounter(prometheus.CounterOpts{
			Name: "cofre_authentication_refused_total", Help: "Requests answered SlowDown unseen, because their source had failed to authenticate too often.",
		}),
		swept: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cofre_swept_total", Help: "Things that nobody owned and that were taken away, by kind: docs/RUNBOOK.md, Sweep.",
		}, []string{"kind"}),
	}
	for _, kind := range SweepKinds() {
		m.swept.WithLabelValues(string(kind)) // a rate needs the zero before the first
	}
	return m
}

func (m *metrics) observe(e *event) {
	op := e.Operation
	if op == "" {
		op = "unparsed"
	}
	m.requests.WithLabelValues(op, outcome(e)).Inc()
	m.duration.WithLabelValues(op).Observe(e.Duration.Seconds())
	m.bytesIn.Add(float64(e.BytesIn))
	m.bytesOut.Add(float64(e.BytesOut))
}

func outcome(e *event) string {
	switch {
	case e.Aborted:
		return "aborted"
	case e.Status >= http.StatusInternalServerError:
		return "server_error"
	case e.Status >= http.StatusBadRequest:
		return "client_error"
	default:
		return "ok"
	}
}
