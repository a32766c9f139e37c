package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"cofre/access"
	"cofre/proxy"
)

const (
	// walkEvery is how often serve walks a whole bucket by itself, and walkPages how far it gets in an hour: 20 million keys.
	walkEvery = 7 * 24 * time.Hour
	walkPages = 20_000
)

// sweepConfig is what the configuration says of sweeping.
func sweepConfig(cfg Config, s *site) proxy.SweepConfig {
	users := []access.BackendUser{access.SiteUser}
	for _, u := range cfg.Backend.Users {
		users = append(users, access.BackendUser(u.Name))
	}
	return proxy.SweepConfig{
		UploadAge: cfg.Sweep.UploadAge, TombstoneAge: cfg.Sweep.TombstoneAge, Users: users,
		OtherWriters: func(bucket string) bool { return s.trust.Current().HasOtherWriters(bucket) },
	}
}

// sweepByItself is how serve sweeps.
func sweepByItself(cfg Config, s *site) proxy.SweepConfig {
	c := sweepConfig(cfg, s)
	c.WalkEvery, c.WalkPages, c.Gentle = walkEvery, walkPages, true
	return c
}

// sweepPlan is what the flags of `cofre sweep` say.
type sweepPlan struct {
	buckets   []string
	list      bool
	olderThan time.Duration
	foreign   bool
	lostRows  bool
	gentle    bool
	asJSON    bool
}

func sweepCommand(a app) *cobra.Command {
	var src source
	var plan sweepPlan
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "Take away what nobody owns: what processes that died have left behind, rows whose objects are gone, layouts of no object",
		Long: "Take away what nobody owns. Serve does it by itself, a part every hour and a whole bucket every week; this does all of it now, and says\n" +
			"what went. While a serve is at it, this waits. With --list it takes nothing away. Each kind is explained in docs/RUNBOOK.md, Sweep.\n" +
			"What looks like an orphan and is left is told as kept, with the reason.\n\n" +
			"Exit code 0: everything was looked at. 1: not everything could be.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			older := cmd.Flags().Changed("older-than")
			return src.withSite(cmd.Context(), a, func(cfg Config, s *site) error {
				c := sweepConfig(cfg, s)
				if older {
					// Zero is no age at all here, where it means never in the configuration.
					c.UploadAge = max(plan.olderThan, time.Nanosecond)
				}
				return sweep(cmd.Context(), a, s, plan, c)
			})
		},
	}
	src.flags(cmd, a)
	flags := cmd.Flags()
	flags.StringArrayVar(&plan.buckets, "bucket", nil, "only this bucket (repeatable); else all that the site's backend user owns, and all that have KEKs in the system bucket")
	flags.BoolVar(&plan.list, "list", false, "take nothing away, and say what would go")
	flags.DurationVar(&plan.olderThan, "older-than", 0, "age of an upload that one side alone knows before it goes, instead of sweep.upload_age")
	flags.BoolVar(&plan.foreign, "foreign-uploads", false, "abort those too that somebody else may have begun: your word that nobody goes on with them")
	flags.BoolVar(&plan.lostRows, "lost-rows", false, "also rows without object that verify calls a fault: your word that you know where the objects are")
	flags.BoolVar(&plan.gentle, "gentle", false, "rest as long as each step has taken")
	flags.BoolVar(&plan.asJSON, "json", false, "print one JSON document for each thing, and a summary as the last one")
	return cmd
}

// sweptLine is a thing as programs read it. A key that is no UTF-8 is given in base64 beside.
type sweptLine struct {
	Kind    proxy.SweepKind `json:"kind"`
	Bucket  string          `json:"bucket,omitempty"`
	Key     string          `json:"key,omitempty"`
	RawKey  []byte          `json:"key_base64,omitempty"`
	Version string          `json:"version,omitempty"`
	Name    string          `json:"name,omitempty"`
	Count   int             `json:"count"`
	Kept    string          `json:"kept,omitempty"`
}

// sweepSummary is what is printed at the end.
type sweepSummary struct {
	Listed  bool                    `json:"listed"` // nothing was taken away
	Buckets int                     `json:"buckets"`
	Swept   map[proxy.SweepKind]int `json:"swept"`
	Kept    int                     `json:"kept"`
	Failed  string                  `json:"failed,omitempty"`
}

func sweep(ctx context.Context, a app, s *site, plan sweepPlan, c proxy.SweepConfig) error {
	if len(plan.buckets) == 0 {
		var err error
		if plan.buckets, err = s.handler.Buckets(ctx); err != nil {
			return fmt.Errorf("list buckets: %w", err)
		}
	}
	for _, bucket := range plan.buckets {
		if err := s.requireBucket(ctx, bucket); err != nil {
			return err
		}
	}
	sum := sweepSummary{Listed: plan.list, Buckets: len(plan.buckets)}
	c.List, c.ForeignUploads, c.LostRows, c.Gentle = plan.list, plan.foreign, plan.lostRows, plan.gentle
	c.Found = func(f proxy.Swept) {
		if f.Kept != "" {
			sum.Kept += f.Count
		}
		printSwept(a, f, plan)
	}
	c.Waits = func() {
		fmt.Fprintln(a.stderr, "cofre: a serve of this site is sweeping, which takes hours at most; this begins when that is over. --list need not wait")
	}
	var failed error
	sum.Swept, failed = s.handler.SweepBuckets(ctx, plan.buckets, c)
	if failed != nil {
		sum.Failed = failed.Error()
		failed = fmt.Errorf("sweep: %w", failed)
	}
	return errors.Join(printSweepSummary(a, sum, plan), failed)
}

func printSwept(a app, f proxy.Swept, plan sweepPlan) {
	line := sweptLine{Kind: f.Kind, Bucket: f.Bucket, Key: f.Key, Version: f.VersionID, Name: f.Name, Count: f.Count, Kept: f.Kept}
	if !utf8.ValidString(f.Key) {
		line.RawKey = []byte(f.Key)
	}
	if plan.asJSON {
		_ = json.NewEncoder(a.stdout).Encode(line) // who closed the output gets the exit code
		return
	}
	text := string(f.Kind)
	if f.Bucket != "" {
		text += " " + f.Bucket
	}
	if f.Key != "" {
		text += fmt.Sprintf(" %q", f.Key)
	}
	if f.VersionID != "" && f.VersionID != "null" {
		text += " version " + f.VersionID
	}
	if f.Name != "" {
		text += " " + f.Name
	}
	if f.Count > 1 {
		text += fmt.Sprintf(": %d", f.Count)
	}
	if f.Kept != "" {
		text += ": kept: " + f.Kept
	}
	fmt.Fprintln(a.stdout, text)
}

func printSweepSummary(a app, sum sweepSummary, plan sweepPlan) error {
	if plan.asJSON {
		return json.NewEncoder(a.stdout).Encode(map[string]sweepSummary{"summary": sum})
	}
	word := "Taken away"
	if plan.list {
		word = "To take away"
	}
	var counts []string
	for kind, n := range sum.Swept {
		counts = append(counts, fmt.Sprintf("%d %s", n, kind))
	}
	slices.Sort(counts)
	if len(counts) == 0 {
		counts = []string{"nothing"}
	}
	_, err := fmt.Fprintf(a.stdout, "%s: %s; %d kept; %s.\n", word, strings.Join(counts, ", "), sum.Kept, count(sum.Buckets, "bucket"))
	return err
}
