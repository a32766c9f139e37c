package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Report is a run.
type Report struct {
	Date, Commit, Go, Kernel, CPU string
	Cores                         int
	Load                          string // average, when it began
	Rounds                        int
	Duration                      string // of a round
	Rows                          []Row
}

func newReport(p plan) Report {
	r := Report{
		Date: time.Now().UTC().Format("2006-01-02 15:04 MST"), Go: runtime.Version(), Cores: runtime.NumCPU(),
		Rounds: p.rounds, Duration: p.duration.String(),
	}
	r.Commit = said("git", "describe", "--always", "--dirty")
	r.Kernel = said("uname", "-sr")
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		r.Load = strings.Join(strings.Fields(string(load))[:3], " ")
	}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, rest, _ := strings.Cut(string(info), "model name")
		rest, _, _ = strings.Cut(rest, "\n")
		r.CPU = strings.Trim(rest, " \t:")
	}
	return r
}

// said is what a program says on one line; nothing where it fails.
func said(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// columns of the table. A blank cell is what does not apply.
var columns = []string{
	"storage", "row", "cofre", "p50 ms", "p99 ms", "CPU", "with PostgreSQL", "peak RSS MiB", "allocations", "allocated",
	"nginx", "nginx CPU", "straight", "cofre / straight", "cofre / nginx",
}

// bareColumns stand behind the others where a bare proxy of net/http was measured.
var bareColumns = []string{"net/http", "net/http CPU", "net/http / nginx"}

const legend = `CPU is user and system time of the process in front of the storage: CPU-s for a GiB where the rate is in MiB/s, CPU-ms for an
operation where it is in op/s. "With PostgreSQL" adds what all processes of the database server took meanwhile, in the rows in which each
operation asks it. Allocations are objects and bytes of Go's heap, for a GiB or an operation likewise. Each figure is the median of the
rounds, in which the contenders took turns; peak RSS is the highest.
`

// Markdown writes the table.
func (r Report) Markdown(w io.Writer) {
	fmt.Fprintf(w, "%s, commit %s, %s, %s, %d cores (%s), load average before %s; %d rounds of %s.\n\n", r.Date, r.Commit, r.Go, r.Kernel, r.Cores, r.CPU, r.Load, r.Rounds, r.Duration)
	all, bare := columns, slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Samples[viaBare].Rate > 0 })
	if bare {
		all = slices.Concat(columns, bareColumns)
	}
	fmt.Fprintf(w, "| %s |\n|---|---|%s\n", strings.Join(all, " | "), strings.Repeat("--:|", len(all)-2))
	for _, row := range r.Rows {
		cells := row.cells()
		if b := row.Samples[viaBare]; bare {
			cells = append(cells, number(b.Rate), number(b.CPU), ratio(b.Rate, row.Samples[viaNginx].Rate))
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
	fmt.Fprintf(w, "\n%s", legend)
}

func (row Row) cells() []string {
	c, n, s := row.Samples[viaCofre], row.Samples[viaNginx], row.Samples[straight]
	cells := []string{row.Storage, row.Name, number(c.Rate) + " " + string(row.Unit)}
	switch row.Unit {
	case Start:
		return append(cells, "", "", number(c.CPU)+" ms", "", number(c.RSS), "", "", "", "", "", "", "")
	case Memory:
		return append(cells, "", "", "", "", number(c.RSS), "", "", "", "", "", "", "")
	case Throughput, Operations:
	}
	withPostgres := ""
	if c.PostgreSQL > 0 {
		withPostgres = number(c.CPU + c.PostgreSQL)
	}
	return append(cells, number(c.P50), number(c.P99), number(c.CPU), withPostgres, number(c.RSS),
		count(c.Allocs), bytesOf(c.AllocBytes), number(n.Rate), number(n.CPU), number(s.Rate), ratio(c.Rate, s.Rate), ratio(c.Rate, n.Rate))
}

// number shows three digits that count; nothing for what was not measured.
func number(v float64) string {
	switch {
	case v == 0:
		return ""
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func count(v float64) string {
	if v >= 10_000 {
		return fmt.Sprintf("%.0fk", v/1000)
	}
	return fmt.Sprintf("%.0f", v)
}

func bytesOf(v float64) string {
	if v >= 10*mib {
		return fmt.Sprintf("%.0f MiB", v/mib)
	}
	return fmt.Sprintf("%.1f KiB", v/1024)
}

func ratio(a, b float64) string {
	if b == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", a/b)
}

// save writes the table to a file, and all figures beside it as JSON.
func (r Report) save(path string) error {
	var table strings.Builder
	r.Markdown(&table)
	if err := os.WriteFile(path, []byte(table.String()), 0o600); err != nil {
		return err
	}
	doc, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(strings.TrimSuffix(path, ".md")+".json", append(doc, '\n'), 0o600)
}
