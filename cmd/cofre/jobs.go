package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"cofre/jobs"
	"cofre/metadata"
	"cofre/proxy"
)

// jobOptions is what the commands that begin a job have in common.
type jobOptions struct {
	jobs.Parameters
	rate       Size
	list, json bool
	wait, here bool
}

func (o *jobOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.list, "list", false, "only list what it is about, and what could not be done; changes nothing")
	f.BoolVar(&o.json, "json", false, "with --list: print one JSON document a line")
	f.BoolVar(&o.RemoveReplaced, "remove-replaced", false, "in a versioned bucket, delete the version that an object took the place of, once the new one was read back")
	f.IntVar(&o.Parallel, "parallel", defaultParallel, "objects at a time")
	f.Func("rate", "read at most so much a second, as 50MiB (no limit)", func(text string) error { return o.rate.UnmarshalText([]byte(text)) })
	f.BoolVar(&o.wait, "wait", false, "wait until the job is over")
	f.BoolVar(&o.here, "here", false, "run the job in this process, whatever serve does; the way with SQLite, while serve is stopped")
}

// begin lists what a job is about, or adds the job and, if asked, sees it through.
func (o *jobOptions) begin(ctx context.Context, a app, s *site, kind, bucket string) error {
	o.Rate = int64(o.rate)
	c, err := rewriteConfig(kind, o.Parameters)
	if err != nil {
		return err
	}
	if o.list {
		return o.print(ctx, a, s, bucket, c)
	}
	job, added, err := jobs.Enqueue(ctx, s.store, kind, bucket, o.Parameters)
	if o.here && !added && job.Cancelled {
		// Where no serve runs, nobody else brings the one that was cancelled to its end.
		if _, err := s.newRunner(zap.NewNop(), prometheus.NewRegistry()).Run(ctx, job.ID, nil); err != nil {
			return fmt.Errorf("end cancelled job %s: %w", job.ID, err)
		}
		job, added, err = jobs.Enqueue(ctx, s.store, kind, bucket, o.Parameters)
	}
	if errors.Is(err, jobs.ErrOther) {
		return fmt.Errorf("%w: wait for it (`cofre job show %s`) or cancel it", err, job.ID)
	}
	if err != nil {
		return err
	}
	verb := "waits for a running `cofre serve` of this site"
	if !added {
		verb = "is there already, and goes on"
	}
	fmt.Fprintf(a.stdout, "Job %s %s: see `cofre job show %s`.\n", job.ID, verb, job.ID)
	switch {
	case o.here:
		return runHere(ctx, a, s, job.ID)
	case o.wait:
		return waitFor(ctx, a, s.store, job.ID)
	}
	return nil
}

// print lists objects as they are found; nothing is held back.
func (o *jobOptions) print(ctx context.Context, a app, s *site, bucket string, c proxy.RewriteConfig) error {
	c.ListOnly = true
	out := json.NewEncoder(a.stdout)
	var failed error
	c.Found = func(f proxy.RewriteFinding) {
		var err error
		if o.json {
			err = out.Encode(f)
		} else {
			err = printRewriteFinding(a, jobs.Finding(f))
		}
		failed = errors.Join(failed, err)
	}
	report, err := s.handler.RewriteBucket(ctx, bucket, c)
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	if o.json {
		return nil
	}
	would := report.Looked - report.Already - report.Refused - report.Left
	_, err = fmt.Fprintf(a.stdout, "%d objects and versions: %d to rewrite, %d that could not be, %d older versions that would stay, %d that need nothing.\n",
		report.Looked, max(would, 0), report.Refused, report.Left, report.Already)
	return err
}

func printRewriteFinding(a app, f jobs.Finding) error {
	line := fmt.Sprintf("%q", f.Key)
	if f.VersionID != "" {
		line += " version " + f.VersionID
	}
	if f.KEK != "" {
		line += " under KEK " + f.KEK
	}
	line += ": " + f.Kind
	if f.Reason != "" {
		line += ", " + f.Reason
	}
	_, err := fmt.Fprintln(a.stdout, line)
	return err
}

// runHere runs a job in this process, with its progress on the error output.
func runHere(ctx context.Context, a app, s *site, id string) error {
	began, last := time.Now(), time.Now()
	seen := func(p jobs.Progress, read int64) {
		if time.Since(last) < progressEvery {
			return
		}
		last = time.Now()
		fmt.Fprintf(a.stderr, "cofre: %s, %s/s\n", describeProgress(p), humanBytes(int64(float64(read)/time.Since(began).Seconds())))
	}
	job, err := s.newRunner(zap.NewNop(), prometheus.NewRegistry()).Run(ctx, id, seen)
	switch {
	case errors.Is(err, jobs.ErrElsewhere):
		return waitFor(ctx, a, s.store, id)
	case err != nil:
		return fmt.Errorf("job %s stopped, and goes on when serve runs or the same command is given again: %w", id, err)
	}
	return reportJob(a, job)
}

// waitFor waits until a job that another process runs is over.
func waitFor(ctx context.Context, a app, store metadata.Store, id string) error {
	report := reporter{out: a.stderr, last: time.Now()}
	before, at := int64(0), time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		job, err := store.Job(ctx, id)
		if err != nil {
			return err
		}
		if job.State.Over() {
			return reportJob(a, job)
		}
		p, err := jobs.ProgressOf(job)
		if err != nil {
			return err
		}
		rate := humanBytes(int64(float64(p.Now.Bytes-before) / max(time.Since(at).Seconds(), 1)))
		if time.Since(report.last) >= progressEvery {
			before, at = p.Now.Bytes, time.Now()
		}
		report.print("cofre: %s: %s, %s/s", job.State, describeProgress(p), rate)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// reportJob says how a job ended. What could not be done makes the command fail.
func reportJob(a app, job metadata.Job) error {
	p, err := jobs.ProgressOf(job)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "Job %s is %s: %s.\n", job.ID, job.State, describeProgress(p))
	switch {
	case job.State == metadata.JobFailed:
		return fmt.Errorf("job %s: %s", job.ID, job.Message)
	case job.State == metadata.JobCancelled:
		return fmt.Errorf("job %s was cancelled", job.ID)
	case p.Now.Refused > 0:
		return fmt.Errorf("job %s: %d objects stay as they are: see `cofre job show %s`", job.ID, p.Now.Refused, job.ID)
	}
	return nil
}

func describeProgress(p jobs.Progress) string {
	n := p.Now
	text := fmt.Sprintf("%d looked at", n.Looked)
	if p.Total > 0 {
		text += fmt.Sprintf(" of about %d (%d %%)", p.Total, min(100*n.Looked/p.Total, 100))
	}
	text += fmt.Sprintf(", %d rewritten (%s), %d needed nothing, %d refused, %d older versions left", n.Rewritten, humanBytes(n.Bytes), n.Already, n.Refused, n.Left)
	if n.Dropped > 0 {
		text += fmt.Sprintf(", %d times a client was quicker", n.Dropped)
	}
	if n.Removed > 0 {
		text += fmt.Sprintf(", %d replaced versions removed", n.Removed)
	}
	return text
}

// humanBytes shows a number of bytes to a person.
func humanBytes(n int64) string {
	for _, u := range sizeUnits {
		if n >= u.bytes {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.bytes), u.suffix)
		}
	}
	return fmt.Sprintf("%d B", n)
}

func jobCommand(a app) *cobra.Command {
	return group("job", "List, show and cancel the jobs that rewrite buckets", jobListCommand(a), jobShowCommand(a), jobCancelCommand(a))
}

// withJobs runs a command on the store's jobs alone: it needs neither the identity nor the backend.
func withJobs(a app, use, short string, args cobra.PositionalArgs, run func(ctx context.Context, store metadata.Store, args []string) error) *cobra.Command {
	var src source
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := src.load(a)
			if err != nil {
				return err
			}
			store, err := openStore(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			return errors.Join(run(cmd.Context(), store, args), store.Close())
		},
	}
	src.flags(cmd, a)
	return cmd
}

// jobsShown is how many jobs a list has.
const jobsShown = 100

func jobListCommand(a app) *cobra.Command {
	return withJobs(a, "list", "List the newest jobs", cobra.NoArgs, func(ctx context.Context, store metadata.Store, _ []string) error {
		all, err := store.Jobs(ctx, jobsShown)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "JOB\tKIND\tBUCKET\tSTATE\tADDED\tPROGRESS")
		for _, job := range all {
			p, err := jobs.ProgressOf(job)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", job.ID, job.Kind, job.Bucket, stateOf(job), job.Created.Format(time.DateTime), describeProgress(p))
		}
		return w.Flush()
	})
}

func stateOf(job metadata.Job) string {
	if job.Cancelled && !job.State.Over() {
		return "being cancelled"
	}
	return job.State.String()
}

func jobShowCommand(a app) *cobra.Command {
	return withJobs(a, "show JOB", "Show how far a job is, and what it could not do", wants("JOB"), func(ctx context.Context, store metadata.Store, args []string) error {
		job, err := findJob(ctx, store, args[0])
		if err != nil {
			return err
		}
		p, err := jobs.ProgressOf(job)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%s of bucket %s: %s\n", job.Kind, job.Bucket, stateOf(job))
		fmt.Fprintf(a.stdout, "asked for: %s\n", job.Parameters)
		if job.Message != "" {
			fmt.Fprintf(a.stdout, "because: %s\n", job.Message)
		}
		fmt.Fprintf(a.stdout, "added %s%s%s\n", job.Created.Format(time.DateTime), since(", begun ", job.Started), since(", ended ", job.Ended))
		fmt.Fprintln(a.stdout, describeProgress(p))
		return errors.Join(printFindings(a, "not rewritten", p.Refused, p.Now.Refused), printFindings(a, "older versions that stay", p.Left, p.Now.Left))
	})
}

func since(word string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return word + t.Format(time.DateTime)
}

func printFindings(a app, title string, list []jobs.Finding, total int64) error {
	if len(list) == 0 {
		return nil
	}
	fmt.Fprintf(a.stdout, "%s (the first %d of %d):\n", title, len(list), max(total, int64(len(list))))
	for _, f := range list {
		if err := printRewriteFinding(a, f); err != nil {
			return err
		}
	}
	return nil
}

func jobCancelCommand(a app) *cobra.Command {
	return withJobs(a, "cancel JOB", "End a job; what it has done stays", wants("JOB"), func(ctx context.Context, store metadata.Store, args []string) error {
		job, err := findJob(ctx, store, args[0])
		if err != nil {
			return err
		}
		if err := store.CancelJob(ctx, job.ID); err != nil {
			return err
		}
		if job, err = store.Job(ctx, job.ID); err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.stdout, "Job %s is %s.\n", job.ID, stateOf(job))
		return err
	})
}

func findJob(ctx context.Context, store metadata.Store, id string) (metadata.Job, error) {
	job, err := store.Job(ctx, strings.TrimSpace(id))
	if errors.Is(err, metadata.ErrNotFound) {
		return job, usagef("there is no job %q: see `cofre job list`", id)
	}
	return job, err
}
