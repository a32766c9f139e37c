// Package pause waits for a while, as long as somebody still wants what comes after it.
package pause

import (
	"context"
	"time"
)

// For waits until d is over or ctx ends, and gives ctx's error in the second case. A d of zero or less is no wait.
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
