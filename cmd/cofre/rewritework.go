package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"cofre/jobs"
	"cofre/keys"
	"cofre/metadata"
	"cofre/proxy"
)

// newRunner makes what runs this site's jobs.
func (s *site) newRunner(logger *zap.Logger, registry prometheus.Registerer) *jobs.Runner {
	return jobs.NewRunner(jobs.Config{Store: s.store, Work: s.rewrite, Settle: s.settleRewrites, Log: logger, Registerer: registry})
}

// rewriteConfig says to the proxy what a job was asked for.
func rewriteConfig(kind string, p jobs.Parameters) (proxy.RewriteConfig, error) {
	c := proxy.RewriteConfig{Unsealed: kind == jobs.Migrate, All: p.All, RemoveReplaced: p.RemoveReplaced, Parallel: p.Parallel}
	if kind != jobs.Migrate && kind != jobs.Reencrypt {
		return c, fmt.Errorf("job is of kind %q, which this cofre does not know", kind)
	}
	for _, text := range p.KEKs {
		id, err := parseKEKID(text)
		if err != nil {
			return c, err
		}
		c.KEKs = append(c.KEKs, id)
	}
	return c, nil
}

func parseKEKID(text string) (id keys.KEKID, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(id) {
		return id, usagef("%q is no KEK id: `cofre key list` shows them", text)
	}
	return keys.KEKID(raw), nil
}

// rewrite is the work of a job.
func (s *site) rewrite(ctx context.Context, job metadata.Job, t *jobs.Tracker) error {
	c, err := rewriteOf(job, t)
	if err != nil {
		return err
	}
	if c.From.Pass == 0 {
		t.Total(s.handler.ObjectCount(ctx, job.Bucket))
	}
	_, err = s.handler.RewriteBucket(ctx, job.Bucket, c)
	return passing(err)
}

// settleRewrites is what is left to do of a job that was cancelled.
func (s *site) settleRewrites(ctx context.Context, job metadata.Job, t *jobs.Tracker) error {
	c, err := rewriteOf(job, t)
	if err != nil {
		return err
	}
	return passing(s.handler.SettleRewrites(ctx, job.Bucket, c))
}

// passing tells the runner of errors that pass.
func passing(err error) error {
	if err != nil && proxy.Passes(err) {
		return fmt.Errorf("%w: %w", jobs.ErrAway, err)
	}
	return err
}

// rewriteOf says to the proxy what a job was asked for and where it is, and has the tracker keep what it tells.
func rewriteOf(job metadata.Job, t *jobs.Tracker) (c proxy.RewriteConfig, err error) {
	parameters, err := jobs.ParametersOf(job)
	if err != nil {
		return c, err
	}
	if c, err = rewriteConfig(job.Kind, parameters); err != nil {
		return c, err
	}
	if err := takeUp(&c, t.Progress()); err != nil {
		return c, fmt.Errorf("read progress of job %s: %w", job.ID, err)
	}
	follow(&c, t)
	return c, nil
}

// takeUp has the walk go on from where the job was left.
func takeUp(c *proxy.RewriteConfig, p jobs.Progress) error {
	c.Report = proxy.RewriteReport(p.Now)
	if len(p.At) > 0 {
		if err := json.Unmarshal(p.At, &c.From); err != nil {
			return err
		}
	}
	for _, text := range p.Pending {
		var pending proxy.PendingRewrite
		if err := json.Unmarshal(text, &pending); err != nil {
			return err
		}
		c.Pending = append(c.Pending, pending)
	}
	return nil
}

// follow has the job's tracker keep what the walk tells.
func follow(c *proxy.RewriteConfig, t *jobs.Tracker) {
	c.Throttle = t.Throttle
	c.Progress = func(r proxy.RewriteReport) { t.Count(jobs.Counts(r)) }
	c.Found = func(f proxy.RewriteFinding) { t.Found(jobs.Finding(f), f.Refused()) }
	pass := c.From.Pass
	c.Checkpoint = func(ctx context.Context, at proxy.RewriteMarker, r proxy.RewriteReport) error {
		if at.Pass != pass {
			pass = at.Pass
			t.Anew()
		}
		text, err := json.Marshal(at)
		if err != nil {
			return err
		}
		return t.Checkpoint(ctx, text, jobs.Counts(r))
	}
	c.Note = func(ctx context.Context, p proxy.PendingRewrite) error {
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		return t.Note(ctx, hex.EncodeToString(p.Key), text)
	}
	c.Forget = func(key []byte) { t.Forget(hex.EncodeToString(key)) }
}
