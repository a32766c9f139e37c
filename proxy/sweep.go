package proxy

import (
	"context"
	"time"

	"go.uber.org/zap"
)

const (
	// completedKept is how long a completed upload is remembered, so that completing it again gives the same answer: SDKs
	// resend a Complete whose answer was lost.
	completedKept = 24 * time.Hour
	sweepEvery    = time.Hour
	sweepBatch    = 1000
)

// Sweep removes what is kept for a while only, until ctx ends. Any replica may do it, and all at once: rows go once.
func (h *Handler) Sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		h.sweepUploads(ctx, h.store.Now().Add(-completedKept))
		h.sweepStaged(ctx, h.cfg.Clock().Add(-stagedKept))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sweepUploads forgets uploads that were completed before a time, a batch at a time.
func (h *Handler) sweepUploads(ctx context.Context, before time.Time) {
	total := 0
	for ctx.Err() == nil {
		n, err := h.store.SweepUploads(ctx, before, sweepBatch)
		if err != nil {
			h.log.Warn("completed uploads not swept; tried again within the hour", zap.Error(err))
			return
		}
		if total += n; n < sweepBatch {
			break
		}
	}
	if total > 0 {
		h.log.Info("completed uploads swept", zap.Int("uploads", total))
	}
}
