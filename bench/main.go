// Command bench measures cofre beside the storage without it, and beside nginx as a proxy that only passes bytes through: what it costs
// to go through cofre, in ratios taken in one run. `make bench` runs it; docs/PERFORMANCE.md says what the rows are.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// command runs the bench, or one of the processes that it is made of.
func command(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "load":
			return serveLoad(os.Stdin, os.Stdout)
		case "null":
			return serveNull(args[1:])
		case "bare":
			return serveBare(args[1:])
		case "rows":
			return growth(ctx, args[1:], os.Stdout)
		}
	}
	return bench(ctx, args)
}

// serveNull is the null storage: its address, and the buckets of which it drops what is written.
func serveNull(args []string) error {
	if len(args) == 0 {
		return errors.New("null needs an address")
	}
	// What it holds are bodies of a GiB; twice that would be no use.
	debug.SetGCPercent(20)
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	return (&nullServer{newNullStore(args[1:]...)}).serve(l)
}

type options struct {
	plan
	rows  *regexp.Regexp
	quick bool
	rgw   bool
	bare  bool
	keys  int
	out   string
}

func parseOptions(args []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	rows := flags.String("rows", "", "only rows whose storage and name match this pattern, as 'null GET'")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds, of which the median counts")
	flags.DurationVar(&o.duration, "time", time.Second, "how long each contender has in a round")
	flags.StringVar(&o.profiles, "cpuprofile", "", "write what cofre's profiler says of each row to this directory")
	flags.StringVar(&o.out, "out", "", "write the table to this file too, and all figures to the file of that name with .json")
	flags.BoolVar(&o.quick, "quick", false, "a few rows of the null storage only")
	flags.BoolVar(&o.rgw, "rgw", os.Getenv("COFRE_TEST_RGW") != "", "rows at Ceph RGW too")
	flags.BoolVar(&o.bare, "bare", false, "also a proxy of Go's net/http that does nothing, for what is left of a request without cofre in it")
	flags.IntVar(&o.keys, "keys", 100_000, "keys in the bucket that is listed, 1000 or more")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is no command", flags.Arg(0))
	}
	if o.rounds < 1 || o.duration <= 0 || o.keys < PageSize {
		return o, errors.New("at least one round, some time, and a page of keys are needed")
	}
	o.rows, err = regexp.Compile(*rows)
	return o, err
}

// wants says whether a row is to be taken.
func (o options) wants(storage string, rgw bool, l workload) bool {
	if rgw && !l.OnRGW || o.quick && (rgw || !l.Quick) {
		return false
	}
	return o.rows.MatchString(storage + " " + l.Name)
}

func bench(ctx context.Context, args []string) (err error) {
	o, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	report := newReport(o.plan)
	dir, err := os.MkdirTemp("", "cofre-bench-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			keepLogs(dir, os.Stderr)
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	c := common{dir: dir, listKeys: o.keys / PageSize * PageSize, bare: o.bare, profiles: o.profiles != ""}
	postgres := os.Getenv("COFRE_TEST_POSTGRES")
	if postgres == "" {
		return errors.New("COFRE_TEST_POSTGRES is not set: `make bench` brings up what is needed")
	}
	if c.server, err = openServer(ctx, postgres); err != nil {
		return err
	}
	defer c.server.drop(context.WithoutCancel(ctx))
	if c.binary, err = buildCofre(dir); err != nil {
		return err
	}
	if c.loader, err = startLoader(dir); err != nil {
		return err
	}
	defer c.loader.stop()
	// Rows that were taken are shown whatever becomes of those after them.
	defer func() {
		fmt.Println()
		report.Markdown(os.Stdout)
		if o.out != "" {
			err = errors.Join(err, report.save(o.out))
		}
	}()
	for _, storage := range []struct {
		name string
		rgw  bool
		open func(context.Context, common) (*world, error)
	}{{"null", false, openNull}, {"RGW", true, openRGW}} {
		if storage.rgw && !o.rgw {
			continue
		}
		if err := take(ctx, c, o, storage.name, storage.rgw, storage.open, &report); err != nil {
			return err
		}
	}
	return nil
}

// take takes all rows at one storage.
func take(ctx context.Context, c common, o options, name string, rgw bool, open func(context.Context, common) (*world, error), report *Report) error {
	var wanted []workload
	for _, l := range workloads(scaleOf(rgw, c.listKeys)) {
		if o.wants(name, rgw, l) {
			wanted = append(wanted, l)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	w, err := open(ctx, c)
	if err != nil {
		return err
	}
	defer w.close()
	for _, l := range wanted {
		begin := time.Now()
		row, err := w.row(ctx, l, o.plan)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", name, l.Name, err)
		}
		report.Rows = append(report.Rows, row)
		of := row.Samples[viaCofre]
		fmt.Fprintf(os.Stderr, "%-5s %-52s %10s %-5s  CPU %-7s %4.0f s\n", name, l.Name, number(of.Rate), l.Unit, number(of.CPU), time.Since(begin).Seconds())
	}
	return nil
}

func (w *world) row(ctx context.Context, l workload, p plan) (Row, error) {
	if l.Special != "" {
		return w.special(ctx, l, p)
	}
	return w.measure(ctx, l, p)
}
