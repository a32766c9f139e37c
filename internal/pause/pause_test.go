package pause_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"cofre/internal/pause"
)

func TestForEndsWithItsContextOrItsTime(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	for _, d := range []time.Duration{-1, 0, time.Hour} {
		if err := pause.For(ended, d); !errors.Is(err, context.Canceled) {
			t.Errorf("%v: %v", d, err)
		}
	}
	for _, d := range []time.Duration{-time.Hour, 0, time.Millisecond} {
		began := time.Now()
		if err := pause.For(t.Context(), d); err != nil || time.Since(began) < d {
			t.Errorf("%v: %v", d, err)
		}
	}
}
