package jobs

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics say how far the job of this process is. Labels are the kind of job, never a bucket or a key.
type metrics struct {
	running *prometheus.GaugeVec
	objects *prometheus.GaugeVec
	bytes   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	if r == nil {
		r = prometheus.NewRegistry()
	}
	f := promauto.With(r)
	return &metrics{
		running: f.NewGaugeVec(prometheus.GaugeOpts{Name: "cofre_jobs_running", Help: "Jobs that this process runs, by kind."}, []string{"kind"}),
		objects: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "cofre_job_objects", Help: "Objects of the job that this process runs or ran last: in the bucket (total, 0 if unknown), looked_at, rewritten, already_done, dropped, refused, left.",
		}, []string{"kind", "count"}),
		bytes: f.NewCounterVec(prometheus.CounterOpts{Name: "cofre_job_read_bytes_total", Help: "Plaintext bytes that jobs have read."}, []string{"kind"}),
	}
}

func (m *metrics) counted(kind string, p Progress) {
	for name, n := range map[string]int64{
		"total": p.Total, "looked_at": p.Now.Looked, "rewritten": p.Now.Rewritten, "already_done": p.Now.Already,
		"dropped": p.Now.Dropped, "refused": p.Now.Refused, "left": p.Now.Left,
	} {
		m.objects.WithLabelValues(kind, name).Set(float64(n))
	}
}
