package main

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// settleTime is how long a client whose connection was the last to be taken has to send its request.
const settleTime = 250 * time.Millisecond

// lastAnswers has every answer ask the client to connect anew, from begun on: the connection ends when the client expects it, and the
// next one is made elsewhere. http.Server.SetKeepAlivesEnabled would do that too, but closes idle connections at once, under the hands
// of a client that is just about to send on one.
type lastAnswers struct {
	next  http.Handler
	begun atomic.Bool
}

// ServeHTTP implements http.Handler.
func (l *lastAnswers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.begun.Load() {
		w.Header().Set("Connection", "close")
	}
	l.next.ServeHTTP(w, r)
}

// drain ends the service without cutting anyone off. /readyz says no already. For the delay everything is still taken, while load
// balancers notice and clients are asked to go; then no more connections are taken and idle ones are closed; what is in flight may go
// on until the drain time is over.
func drain(s *http.Server, l net.Listener, last *lastAnswers, limits LimitsConfig, logger *zap.Logger) error {
	logger.Info("draining", zap.Duration("at_most", limits.DrainDelay+limits.Drain))
	last.begun.Store(true)
	time.Sleep(limits.DrainDelay)

	ctx, cancel := context.WithTimeout(context.Background(), limits.Drain)
	defer cancel()
	// Shutdown drops whatever has not sent the head of a request by now. So what can be is done before it.
	_ = l.Close() // Serve tells of it, and nobody minds
	s.SetKeepAlivesEnabled(false)
	time.Sleep(min(settleTime, limits.DrainDelay))
	if err := s.Shutdown(ctx); err != nil {
		logger.Warn("requests were cut off at the end of the drain time", zap.Error(err))
		return s.Close()
	}
	logger.Info("drained")
	return nil
}
