package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"cofre/proxy"
)

// verifyPlan is what the flags of `cofre verify` say.
type verifyPlan struct {
	buckets  []string
	read     string
	rate     string
	parallel int
	ignore   []string
	asJSON   bool
}

func verifyCommand(a app) *cobra.Command {
	var src source
	var plan verifyPlan
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that everything sealed is there, whole, and can be opened; changes nothing",
		Long: "Compare what the storage, the metadata store and the system bucket hold of every object in every version, and changes nothing:\n" +
			"envelopes, KEKs, attributes, footers, layouts, rows, uploads, and the grants that recovery identities need. With --read all chunks\n" +
			"are read and opened too, of all objects or of a random share. It runs beside serve and its clients: what looks wrong is looked\n" +
			"at again before it is told.\n\n" +
			"Exit code 0: nothing is wrong. 1: something is, or could not be looked at. What is marked info is no fault.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := plan.check(); err != nil {
				return err
			}
			return src.withSite(cmd.Context(), a, func(_ Config, s *site) error { return verify(cmd.Context(), a, s, plan) })
		},
	}
	src.flags(cmd, a)
	flags := cmd.Flags()
	flags.StringArrayVar(&plan.buckets, "bucket", nil, "only this bucket (repeatable); else all that the site's backend user owns, and all that have KEKs in the system bucket")
	flags.StringVar(&plan.read, "read", "none", "read and open all chunks of: none, all, or a random share of the objects, as 5%")
	flags.StringVar(&plan.rate, "rate", "", "read at most so many bytes per second, as 50MiB")
	flags.IntVar(&plan.parallel, "parallel", 0, "objects looked at at a time (limits.heal_parallel of the configuration)")
	flags.StringArrayVar(&plan.ignore, "ignore", nil, "findings of this kind are no fault here (repeatable; docs/RUNBOOK.md, Verify, lists the kinds): they are counted as info")
	flags.BoolVar(&plan.asJSON, "json", false, "print one JSON document for each finding, and a summary as the last one")
	return cmd
}

// parse reads what has a form of its own. chosen is nil where no object is read.
func (p verifyPlan) parse() (chosen func() bool, limit Size, err error) {
	if limit, err = parseRate(p.rate); err != nil {
		return nil, 0, err
	}
	switch p.read {
	case "none", "":
		return nil, limit, nil
	case "all":
		return func() bool { return true }, limit, nil
	}
	share, isShare := strings.CutSuffix(p.read, "%")
	percent, err := strconv.ParseFloat(share, 64)
	if !isShare || err != nil || !(percent > 0 && percent <= 100) {
		return nil, 0, usagef("--read: %q is neither none nor all, nor a share as 5%%", p.read)
	}
	return func() bool { return byChance(percent / 100) }, limit, nil
}

// check refuses what could only go wrong late: a kind that is misspelt would be ignored nowhere.
func (p verifyPlan) check() error {
	if _, _, err := p.parse(); err != nil {
		return err
	}
	for _, kind := range p.ignore {
		if known := proxy.FindingKinds(); !slices.Contains(known, proxy.FindingKind(kind)) {
			return usagef("--ignore: there is no kind %q: the kinds are %s", kind, joined(known))
		}
	}
	return nil
}

func joined[S ~string](words []S) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}

// byChance is true with this probability. The storage must not know which objects are going to be read.
func byChance(p float64) bool {
	const steps = 1 << 32
	n, err := rand.Int(rand.Reader, big.NewInt(steps))
	return err != nil || float64(n.Int64()) < p*steps
}

// verifySummary is what is printed at the end.
type verifySummary struct {
	proxy.VerifyReport
	Buckets int      `json:"buckets"`            // that were verified to the end
	LeftOut []string `json:"left_out,omitempty"` // where this site deposits, and so can open nothing
	Seconds float64  `json:"seconds"`
	Failed  string   `json:"failed,omitempty"` // why the run did not come to its end
}

// errDeposits says why nothing can be verified.
var errDeposits = errors.New("this site deposits there, and can open nothing of what lies there, its own objects included: verify at a member")

var errVerifyFaults = errors.New("verify: something is wrong: see the findings")

func verify(ctx context.Context, a app, s *site, plan verifyPlan) error {
	begun := time.Now()
	sum, failed := verifyBuckets(ctx, a, s, plan)
	if failed != nil {
		sum.Failed = failed.Error()
	}
	sum.Seconds = time.Since(begun).Seconds()
	if err := printVerified(a, sum, plan.asJSON); err != nil {
		return err
	}
	if sum.Faults > 0 {
		failed = errors.Join(failed, errVerifyFaults)
	}
	return failed
}

// verifyBuckets verifies one bucket after the other. One that cannot be verified does not keep the others from it.
func verifyBuckets(ctx context.Context, a app, s *site, plan verifyPlan) (sum verifySummary, failed error) {
	sum.Kinds = map[proxy.FindingKind]int64{}
	named := len(plan.buckets) > 0
	if !named {
		var err error
		if plan.buckets, err = s.handler.Buckets(ctx); err != nil {
			return sum, fmt.Errorf("list buckets: %w", err)
		}
	}
	for _, bucket := range plan.buckets {
		err := errDeposits
		if !s.trust.Current().OwnDeposit(bucket) {
			sum.VerifyReport, err = verifyBucket(ctx, a, s, bucket, plan, sum.VerifyReport)
		} else if !named {
			fmt.Fprintf(a.stderr, "cofre: bucket %s is left out: %v\n", bucket, errDeposits)
			sum.LeftOut = append(sum.LeftOut, bucket)
			continue
		}
		if err == nil {
			sum.Buckets++
			continue
		}
		failed = errors.Join(failed, fmt.Errorf("verify bucket %s: %w", bucket, err))
		if ctx.Err() != nil {
			break
		}
	}
	return sum, failed
}

// verifyBucket verifies one bucket and adds what it counted to what was counted before.
func verifyBucket(ctx context.Context, a app, s *site, bucket string, plan verifyPlan, before proxy.VerifyReport) (proxy.VerifyReport, error) {
	chosen, limit, err := plan.parse()
	if err != nil {
		return before, err
	}
	progress := reporter{out: a.stderr, last: time.Now()}
	var ignored int64
	report, err := s.handler.Verify(ctx, bucket, proxy.VerifyConfig{
		Parallel: plan.parallel, Read: chosen, Pace: pacer(limit), KEKs: s.ring.CheckKEKs,
		OtherWriters: s.trust.Current().HasOtherWriters(bucket),
		Found: func(f proxy.Finding) {
			if !f.Info && slices.Contains(plan.ignore, string(f.Kind)) {
				f.Info = true
				ignored++
			}
			printFinding(a, f, plan.asJSON)
		},
		Progress: func(r proxy.VerifyReport) {
			progress.print("cofre: bucket %s: %d objects, %d rows, %s read, %d faults so far", bucket, r.Objects, r.Rows, Size(r.Bytes).rounded(), r.Faults)
		},
	})
	report.Faults -= ignored
	report.Infos += ignored
	return addReports(before, report), err
}

func addReports(a, b proxy.VerifyReport) proxy.VerifyReport {
	sum := proxy.VerifyReport{
		KEKs: a.KEKs + b.KEKs, Objects: a.Objects + b.Objects, CustomerKey: a.CustomerKey + b.CustomerKey, Read: a.Read + b.Read,
		Bytes: a.Bytes + b.Bytes, Rows: a.Rows + b.Rows, Uploads: a.Uploads + b.Uploads, Layouts: a.Layouts + b.Layouts,
		Changing: a.Changing + b.Changing, Faults: a.Faults + b.Faults, Infos: a.Infos + b.Infos, Kinds: maps.Clone(a.Kinds),
	}
	for kind, n := range b.Kinds {
		sum.Kinds[kind] += n
	}
	return sum
}

// findingLine is a finding as programs read it. A key that is no UTF-8 is given in base64 beside.
type findingLine struct {
	Kind     proxy.FindingKind `json:"kind"`
	Severity string            `json:"severity"` // fault or info
	Bucket   string            `json:"bucket"`
	Key      string            `json:"key,omitempty"`
	RawKey   []byte            `json:"key_base64,omitempty"`
	Version  string            `json:"version,omitempty"`
	Detail   string            `json:"detail"`
}

func printFinding(a app, f proxy.Finding, asJSON bool) {
	line := findingLine{Kind: f.Kind, Severity: "fault", Bucket: f.Bucket, Key: f.Key, Version: f.VersionID, Detail: f.Detail}
	if f.Info {
		line.Severity = "info"
	}
	if !utf8.ValidString(f.Key) {
		line.RawKey = []byte(f.Key)
	}
	if asJSON {
		_ = json.NewEncoder(a.stdout).Encode(line) // who closed the output gets the exit code
		return
	}
	where := f.Bucket
	if f.Key != "" {
		where += fmt.Sprintf(" %q", f.Key)
	}
	if f.VersionID != "" && f.VersionID != "null" {
		where += " version " + f.VersionID
	}
	fmt.Fprintf(a.stdout, "%s %s: %s: %s\n", line.Severity, f.Kind, where, f.Detail)
}

func printVerified(a app, sum verifySummary, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(a.stdout).Encode(map[string]verifySummary{"summary": sum})
	}
	for _, kind := range slices.Sorted(maps.Keys(sum.Kinds)) {
		fmt.Fprintf(a.stdout, "%8d %s\n", sum.Kinds[kind], kind)
	}
	text := fmt.Sprintf("%s verified: %s, %d read whole, %s, %s, %s, %s read in %s; %s, %s",
		count(sum.Buckets, "bucket"), count(sum.Objects, "object"), sum.Read, count(sum.Rows, "row"), count(sum.Layouts, "layout"),
		count(sum.Uploads, "upload"), Size(sum.Bytes).rounded(),
		(time.Duration(sum.Seconds * float64(time.Second))).Round(time.Millisecond), count(sum.Faults, "fault"), count(sum.Infos, "info"))
	if sum.CustomerKey > 0 {
		text += fmt.Sprintf("; %d under keys of clients' own, looked at without", sum.CustomerKey)
	}
	if sum.Changing > 0 {
		text += fmt.Sprintf("; %d kept changing", sum.Changing)
	}
	_, err := fmt.Fprintln(a.stdout, text)
	return err
}

// count is a number of things for people.
func count[N int | int64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// rounded is a size for people.
func (s Size) rounded() string {
	for _, u := range sizeUnits {
		if int64(s) >= u.bytes {
			return fmt.Sprintf("%.1f %s", float64(s)/float64(u.bytes), u.suffix)
		}
	}
	return fmt.Sprintf("%d bytes", int64(s))
}
