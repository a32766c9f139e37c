package main

import (
	"context"

	"golang.org/x/time/rate"
)

// leastBurst is what may pass at once whatever the rate: a chunk with some room to spare.
const leastBurst = 128 << 10

// parseRate reads the flag --rate: bytes per second, as "50MiB"; empty for no limit.
func parseRate(text string) (Size, error) {
	var limit Size
	if text == "" {
		return 0, nil
	}
	if err := limit.UnmarshalText([]byte(text)); err != nil || limit == 0 {
		return 0, usagef("--rate: %q is no rate: write bytes per second, as 50MiB", text)
	}
	return limit, nil
}

// pacer gives a func that waits until n more bytes may pass; with no limit it never waits.
func pacer(limit Size) func(ctx context.Context, n int) error {
	if limit == 0 {
		return func(context.Context, int) error { return nil }
	}
	l := rate.NewLimiter(rate.Limit(limit), max(int(limit), leastBurst))
	return l.WaitN
}
