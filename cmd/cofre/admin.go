package main

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"cofre/keys"
)

// phase is where a process stands in its life.
type phase int32

const (
	starting phase = iota
	serving
	draining
)

func (p phase) String() string { return [...]string{"starting", "serving", "draining"}[p] }

// admin is what the admin listener serves. It has no password and so tells nothing of buckets, keys or clients.
type admin struct {
	phase atomic.Int32
	// site and healthy are set once, before the phase is serving.
	site    atomic.Pointer[keys.Card]
	healthy atomic.Pointer[func() bool]
}

// What the profiles of mutexes and of blocking take note of: one in so many contentions, and one event in so much time spent waiting.
const (
	mutexFraction = 100
	blockRate     = 100 * time.Microsecond
)

func (ad *admin) enter(p phase) { ad.phase.Store(int32(p)) }

// handler makes the admin mux: a mux of its own, so that nothing that registers itself with http.DefaultServeMux shows.
func (ad *admin) handler(gatherer prometheus.Gatherer, profiles bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", ad.live)
	mux.HandleFunc("GET /readyz", ad.ready)
	mux.HandleFunc("GET /v1/site", ad.card)
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	if profiles {
		runtime.SetMutexProfileFraction(mutexFraction)
		runtime.SetBlockProfileRate(int(blockRate))
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// live says that the process runs. A supervisor restarts one that does not say so.
func (ad *admin) live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// ready says whether requests should be sent here: yes from when S3 is served until SIGTERM. The store's health is told
// but does not count: reads go on without it, and taking every replica out at once would end those too.
func (ad *admin) ready(w http.ResponseWriter, _ *http.Request) {
	p := phase(ad.phase.Load())
	answer := map[string]string{"status": p.String()}
	if healthy := ad.healthy.Load(); healthy != nil {
		answer["store"] = "down"
		if (*healthy)() {
			answer["store"] = "up"
		}
	}
	status := http.StatusServiceUnavailable
	if p == serving {
		status = http.StatusOK
	}
	writeJSON(w, status, answer)
}

// card gives this site's public card, for programs that introduce sites to each other.
func (ad *admin) card(w http.ResponseWriter, _ *http.Request) {
	card := ad.site.Load()
	if card == nil {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": phase(ad.phase.Load()).String()})
		return
	}
	writeJSON(w, http.StatusOK, card)
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// An error here means that whoever asked has gone.
	_ = json.NewEncoder(w).Encode(answer)
}

// newAdminServer bounds what a stuck monitor can hold; profiles may take a minute to write.
func newAdminServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
}
