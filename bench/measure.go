package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Sample is what a contender took for a row. Costs are for a GiB or for an operation, as the row's unit says.
type Sample struct {
	Rate       float64 // MiB/s, op/s or ms
	P50, P99   float64 // ms
	CPU        float64 // of the proxy, in s for a GiB, in ms for an operation
	PostgreSQL float64 // likewise, for cofre
	RSS        float64 // MiB, the highest of all rounds
	Allocs     float64 // objects allocated
	AllocBytes float64
	ClientCPU  float64 // as CPU, to see what the bench itself takes
	StorageCPU float64 // likewise, where the bench started it
}

// Row is a row of the table.
type Row struct {
	Storage, Name string
	Unit          Unit
	Samples       map[string]Sample // by contender
}

// measure takes a row: each contender writes what it reads and is looked at once for being right; then they take turns.
func (w *world) measure(ctx context.Context, l workload, p plan) (Row, error) {
	row := Row{Storage: w.storage, Name: l.Name, Unit: l.Unit, Samples: map[string]Sample{}}
	contenders := slices.Clone(w.contenders)
	if l.Opaque || l.Alone {
		contenders = slices.DeleteFunc(contenders, func(c *contender) bool { return c.cofre == nil })
	}
	if l.Opaque {
		opaque := *contenders[0]
		opaque.bucket = w.buckets.opaque
		contenders[0] = &opaque
	}
	if w.scale.written > 0 {
		if err := awaitRoom(ctx); err != nil {
			return row, err
		}
	}
	for _, c := range contenders {
		if err := w.prepare(ctx, c, l); err != nil {
			return row, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	rounds := p.rounds
	if l.Alone {
		// What it holds of the rows before, in its caches and unreturned, is not this row's.
		rounds = 1
		if _, err := w.restart(ctx, contenders[0], true); err != nil {
			return row, err
		}
	}
	taken := map[string][]Sample{}
	for range rounds {
		for _, c := range contenders {
			s, err := w.round(ctx, c, l, p.duration)
			if err != nil {
				return row, fmt.Errorf("%s: %w", c.name, err)
			}
			taken[c.name] = append(taken[c.name], s)
		}
	}
	for name, samples := range taken {
		row.Samples[name] = median(samples)
	}
	if w.scale.written > 0 {
		return row, w.clean(ctx, contenders, l.Job)
	}
	if p.profiles != "" {
		return row, w.profile(ctx, contenders[len(contenders)-1], l, p.profiles)
	}
	return row, nil
}

// job is the workload's, as a contender does it.
func (c *contender) job(l workload) Job {
	j := l.Job
	j.Endpoint, j.Bucket = c.endpoint, c.bucket
	return j
}

func (w *world) prepare(ctx context.Context, c *contender, l workload) error {
	for _, name := range l.Needs {
		if err := w.fill(ctx, c, name); err != nil {
			return err
		}
	}
	j := c.job(l)
	j.Check, j.Count, j.Connections = true, 1, 1
	if j.Kind == KindMultipart {
		j.Connections = l.Job.Connections
	}
	if j.Size >= gib && j.Kind != KindRange {
		return nil // a GiB is looked at in ranges
	}
	_, err := w.loader.do(ctx, j)
	return err
}

// clean deletes what a row wrote.
func (w *world) clean(ctx context.Context, contenders []*contender, j Job) error {
	if j.Kind != KindPut && j.Kind != KindMultipart {
		return nil
	}
	for _, c := range contenders {
		if c.name != straight && c.cofre == nil {
			continue // the same bucket as straight
		}
		j := Job{Kind: KindDelete, Endpoint: c.endpoint, Bucket: c.bucket, Key: j.Key, Keys: j.Keys, Count: j.Keys, Connections: 4}
		if _, err := w.loader.do(ctx, j); err != nil {
			return err
		}
	}
	return nil
}

// usage is what processes have used so far.
type usage struct {
	proxy, postgres, storage float64
	allocated                allocations
}

// usage reads it: memory first or last, so that reading it is not counted.
func (w *world) usage(ctx context.Context, c *contender, last bool) (u usage, err error) {
	if c.cofre != nil && !last {
		if u.allocated, err = c.cofre.allocated(ctx); err != nil {
			return u, err
		}
	}
	if c.proxy != nil {
		if u.proxy, err = treeCPU(c.proxy.pid()); err != nil {
			return u, err
		}
	}
	if w.backend != nil {
		if u.storage, err = processCPU(w.backend.pid()); err != nil {
			return u, err
		}
	}
	if c.cofre == nil {
		return u, nil
	}
	if u.postgres, err = treeCPU(w.server.postmaster); err == nil && last {
		u.allocated, err = c.cofre.allocated(ctx)
	}
	return u, err
}

// round does one job and tells what it took.
func (w *world) round(ctx context.Context, c *contender, l workload, d time.Duration) (s Sample, err error) {
	j := c.job(l)
	if !l.Alone {
		j.Duration = d
	}
	if c.proxy != nil {
		if err := resetPeak(c.proxy.pid()); err != nil {
			return s, err
		}
	}
	before, err := w.usage(ctx, c, false)
	if err != nil {
		return s, err
	}
	r, err := w.loader.do(ctx, j)
	if err != nil {
		return s, err
	}
	after, err := w.usage(ctx, c, true)
	if err != nil {
		return s, err
	}
	if r.Operations == 0 {
		return s, fmt.Errorf("no operation was done in %v", d)
	}
	if c.proxy != nil {
		bytes, err := peak(c.proxy.pid())
		if err != nil {
			return s, err
		}
		s.RSS = float64(bytes) / mib
	}
	units, cost := float64(r.Operations), 1000.0
	s.Rate = units / r.Elapsed.Seconds()
	if l.Unit == Throughput {
		units, cost = float64(r.Bytes)/gib, 1
		s.Rate = float64(r.Bytes) / mib / r.Elapsed.Seconds()
	}
	s.P50, s.P99 = r.P50.Seconds()*1000, r.P99.Seconds()*1000
	s.CPU = (after.proxy - before.proxy) * cost / units
	if l.Stored {
		s.PostgreSQL = (after.postgres - before.postgres) * cost / units
	}
	s.ClientCPU, s.StorageCPU = r.CPU*cost/units, (after.storage-before.storage)*cost/units
	s.Allocs = (after.allocated.count - before.allocated.count) / units
	s.AllocBytes = (after.allocated.bytes - before.allocated.bytes) / units
	return s, nil
}

// median takes the median of each figure, and of memory the highest.
func median(samples []Sample) Sample {
	of := func(figure func(Sample) float64) float64 {
		all := make([]float64, len(samples))
		for i, s := range samples {
			all[i] = figure(s)
		}
		slices.Sort(all)
		return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
	}
	m := Sample{
		Rate: of(func(s Sample) float64 { return s.Rate }), P50: of(func(s Sample) float64 { return s.P50 }), P99: of(func(s Sample) float64 { return s.P99 }),
		CPU: of(func(s Sample) float64 { return s.CPU }), PostgreSQL: of(func(s Sample) float64 { return s.PostgreSQL }),
		Allocs: of(func(s Sample) float64 { return s.Allocs }), AllocBytes: of(func(s Sample) float64 { return s.AllocBytes }),
		ClientCPU: of(func(s Sample) float64 { return s.ClientCPU }), StorageCPU: of(func(s Sample) float64 { return s.StorageCPU }),
	}
	for _, s := range samples {
		m.RSS = max(m.RSS, s.RSS)
	}
	return m
}

// profile does the job once more, and keeps what cofre's profiler says of it meanwhile.
func (w *world) profile(ctx context.Context, c *contender, l workload, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	const seconds = 4
	name := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, w.storage+"-"+l.Name), "-")
	j := c.job(l)
	j.Duration, j.Count = (seconds+1)*time.Second, 0
	done := make(chan error, 1)
	go func() {
		_, err := w.loader.do(ctx, j)
		done <- err
	}()
	kinds := []string{"profile", "allocs", "mutex", "block"}
	taken := make(chan error, len(kinds))
	for _, kind := range kinds {
		go func() {
			text, err := c.cofre.adminGet(ctx, fmt.Sprintf("/debug/pprof/%s?seconds=%d", kind, seconds))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name+"."+kind+".pprof"), text, 0o600)
			}
			taken <- err
		}()
	}
	var errs []error
	for range kinds {
		errs = append(errs, <-taken)
	}
	return errors.Join(append(errs, <-done)...)
}
