package main

import (
	"context"
	"fmt"
	"time"

	"cofre/internal/pause"
)

// special takes the rows that are no jobs, of cofre alone.
func (w *world) special(ctx context.Context, l workload, p plan) (Row, error) {
	row := Row{Storage: w.storage, Name: l.Name, Unit: l.Unit, Samples: map[string]Sample{}}
	c := w.contenders[len(w.contenders)-1]
	if c.cofre == nil {
		return row, fmt.Errorf("%s is not cofre", c.name)
	}
	var samples []Sample
	for range p.rounds {
		s, err := w.restart(ctx, c, l.Special == "idle")
		if err != nil {
			return row, err
		}
		samples = append(samples, s)
	}
	row.Samples[c.name] = median(samples)
	return row, nil
}

// restart ends cofre and starts it again. What is measured is the start, or the rest after it.
func (w *world) restart(ctx context.Context, c *contender, idle bool) (s Sample, err error) {
	c.cofre.stop()
	took, err := c.cofre.serve(ctx)
	if err != nil {
		return s, err
	}
	c.proxy = c.cofre.process
	s.Rate = took.Seconds() * 1000
	if s.CPU, err = processCPU(c.proxy.pid()); err != nil {
		return s, err
	}
	s.CPU *= 1000
	if idle {
		s = Sample{}
		if err := pause.For(ctx, time.Second); err != nil {
			return s, err
		}
		if err := resetPeak(c.proxy.pid()); err != nil {
			return s, err
		}
		if err := pause.For(ctx, time.Second); err != nil {
			return s, err
		}
	}
	bytes, err := peak(c.proxy.pid())
	s.RSS = float64(bytes) / mib
	if idle {
		s.Rate = s.RSS
	}
	return s, err
}
