package main

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"cofre/metadata"
	"cofre/metadata/postgres"
)

// grownBucket holds the rows that are made.
const grownBucket = "grown"

// growOptions are the flags of `bench rows`.
type growOptions struct {
	rows       int
	tombstones int
	duration   time.Duration
	keep       bool
	use        string
}

// growth fills a database with rows and measures on it what cofre asks of one. It goes through metadata/postgres, so statements and
// plans are those of production.
func growth(ctx context.Context, args []string, out io.Writer) (err error) {
	var o growOptions
	flags := flag.NewFlagSet("bench rows", flag.ContinueOnError)
	flags.IntVar(&o.rows, "n", 1_000_000, "live rows to make")
	flags.IntVar(&o.tombstones, "tombstones", 4, "one of so many keys has a tombstone besides; 0: none")
	flags.DurationVar(&o.duration, "time", 5*time.Second, "how long each question is measured")
	flags.BoolVar(&o.keep, "keep", false, "leave the database there, and say which it is")
	flags.StringVar(&o.use, "use", "", "ask a database that -keep left there, by its name, instead of making one, and drop it without -keep; -n as then")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if o.rows < PageSize || o.tombstones < 0 {
		return errors.New("a page of rows at least is needed")
	}
	address := os.Getenv("COFRE_TEST_POSTGRES")
	if address == "" {
		return errors.New("COFRE_TEST_POSTGRES is not set")
	}
	s, err := openServer(ctx, address)
	if err != nil {
		return err
	}
	var database string
	if o.use != "" {
		database, err = s.use(o.use)
	} else {
		database, err = s.create(ctx)
	}
	if err != nil {
		return err
	}
	if o.keep {
		fmt.Fprintln(out, "database:", s.made[0])
	} else {
		defer s.drop(context.WithoutCancel(ctx))
	}
	store, err := postgres.Open(ctx, database, postgres.Config{Timeout: time.Hour})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	g := &grown{growOptions: o, server: s, database: database, store: store, out: out}
	steps := []func(context.Context) error{g.fill, g.sizes, g.measure}
	if o.use != "" {
		steps = steps[1:]
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// grown is a database that was filled.
type grown struct {
	growOptions
	server   *server
	database string
	store    *postgres.Store
	out      io.Writer
}

// The nth key, and its ETag at the storage. fillRows makes the same in SQL.
func grownKey(n int) string { return fmt.Sprintf("2026/%09d.jpg", n) }

func grownETag(n int) string {
	sum := md5.Sum(fmt.Appendf(nil, "b%d", n))
	return hex.EncodeToString(sum[:])
}

// fillRows makes rows as PUTs of objects in one part leave them, those of replaced objects as tombstones.
const fillRows = `
INSERT INTO objects (bucket, key, version, envelope, backend_etag, size, etag, checksum_algorithm, checksum_type, checksum, content_type,
    part_count, began, committed, tombstoned)
SELECT '` + grownBucket + `'::bytea, convert_to('2026/' || lpad(i::text, 9, '0') || '.jpg', 'UTF8'), 'null',
    decode(repeat(md5($3 || i::text), 8), 'hex') || '1234'::bytea, convert_to(md5($3 || i), 'UTF8'), i, convert_to(md5('e' || i), 'UTF8'),
    0, 0, '', 'image/jpeg', 0, now(), clock_timestamp(), CASE WHEN $3 <> 'b' THEN clock_timestamp() END
FROM generate_series($1::bigint, $2::bigint, $4::bigint) AS i`

func (g *grown) fill(ctx context.Context) error {
	const step = 1_000_000
	begin := time.Now()
	err := connected(ctx, g.database, func(conn *pgx.Conn) error {
		// Vacuum calls no row visible to all whose commit is not on disk yet, so that listings would have to look at the table.
		if _, err := conn.Exec(ctx, `SET synchronous_commit = on`); err != nil {
			return err
		}
		for from := 0; from < g.rows; from += step {
			last := min(from+step, g.rows) - 1
			if g.tombstones > 0 {
				first := (from + g.tombstones - 1) / g.tombstones * g.tombstones
				if _, err := conn.Exec(ctx, fillRows, first, last, "t", g.tombstones); err != nil {
					return err
				}
			}
			if _, err := conn.Exec(ctx, fillRows, from, last, "b", 1); err != nil {
				return err
			}
		}
		_, err := conn.Exec(ctx, `VACUUM ANALYZE objects`)
		return err
	})
	fmt.Fprintf(g.out, "%d live rows made in %.0f s\n", g.rows, time.Since(begin).Seconds())
	return err
}

// sizes says what a row takes, and how even the partitions are.
func (g *grown) sizes(ctx context.Context) error {
	var heap, live, envelope, smallest, largest, all int64
	err := query(ctx, g.database, `
SELECT sum(pg_table_size(p)), sum(pg_indexes_size(p)) - sum(pg_relation_size(e)), sum(pg_relation_size(e)), min(n), max(n), sum(n)
FROM (
    SELECT c.oid::regclass AS p, c.reltuples::bigint AS n, (
        SELECT i.indexrelid::regclass FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique
    ) AS e
    FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid WHERE h.inhparent = 'objects'::regclass
) AS partitions`, &heap, &live, &envelope, &smallest, &largest, &all)
	if err != nil {
		return err
	}
	total := heap + live + envelope
	fmt.Fprintf(g.out, "%.2f GiB: %.0f bytes a row (heap %.0f, objects_live %.0f, objects_envelope %.0f); %.1f million rows in a GiB\n",
		float64(total)/gib, per(total, all), per(heap, all), per(live, all), per(envelope, all), float64(all)/float64(total)*gib/1e6)
	fmt.Fprintf(g.out, "partitions hold %d to %d rows\n\n", smallest, largest)
	return nil
}

func per(total, n int64) float64 { return float64(total) / float64(max(n, 1)) }

// question is one of those that cofre asks while it serves.
type question struct {
	name string
	ask  func(ctx context.Context) error
	// known is a text that its statement has and those of the others have not; args are such a statement's. None: the plan is not shown.
	known string
	args  []any
}

func (g *grown) questions() []question {
	page := func() []metadata.Entry {
		first := mathrand.IntN(g.rows - PageSize + 1) //nolint:gosec // any page will do
		entries := make([]metadata.Entry, PageSize)
		for i := range entries {
			entries[i] = metadata.Entry{Key: grownKey(first + i), BackendETag: grownETag(first + i)}
		}
		return entries
	}
	next := g.rows + mathrand.IntN(1<<30) //nolint:gosec // keys of an earlier time are not new
	added := func(key string) metadata.Record {
		r := metadata.Record{
			Bucket: grownBucket, Key: key, VersionID: metadata.NullVersion, BackendETag: rand.Text(), ETag: rand.Text(), Size: 4096,
			ContentType: "image/jpeg", Began: g.store.Now(),
		}
		_, _ = rand.Read(r.Envelope[:]) // it never fails
		return r
	}
	middle := []byte(grownKey(g.rows / 2))
	record := added(string(middle))
	return []question{
		{
			"listing page of 1,000", func(ctx context.Context) error {
				records, err := g.store.Page(ctx, grownBucket, page())
				missing := 0
				for _, r := range records {
					if r == nil {
						missing++
					}
				}
				if err == nil && missing > PageSize/10 { // some were replaced where the database was asked before
					err = fmt.Errorf("%d entries of a page were not found", missing)
				}
				return err
			},
			"ORDER BY key LIMIT", []any{[]byte(grownBucket), middle, []byte(grownKey(g.rows/2 + PageSize - 1)), 2 * PageSize},
		},
		{
			"record of a key", func(ctx context.Context) error {
				_, err := g.store.Latest(ctx, grownBucket, grownKey(mathrand.IntN(g.rows)), "") //nolint:gosec // any key will do
				return err
			},
			"ORDER BY committed DESC LIMIT 1", []any{[]byte(grownBucket), middle},
		},
		{
			"PUT of a new key", func(ctx context.Context) error {
				next++
				return g.store.Add(ctx, added(grownKey(next)), metadata.Committed)
			},
			"", nil,
		},
		{
			"PUT that replaces", func(ctx context.Context) error {
				return g.store.Add(ctx, added(grownKey(mathrand.IntN(g.rows))), metadata.Committed) //nolint:gosec // any key will do
			},
			"INSERT INTO objects", []any{
				[]byte(grownBucket), middle, []byte(metadata.NullVersion), record.Envelope[:], []byte(record.BackendETag), record.Size,
				[]byte(record.ETag), 0, 0, []byte{}, []byte(record.ContentType), 0, record.Began,
			},
		},
	}
}

// measure asks each question one after the other for a while, then shows how the server goes about it.
func (g *grown) measure(ctx context.Context) error {
	fmt.Fprintf(g.out, "| %d rows | p50 ms | p99 ms | PostgreSQL CPU ms |\n|---|--:|--:|--:|\n", g.rows)
	var plans strings.Builder
	for _, q := range g.questions() {
		if err := q.ask(ctx); err != nil { // the statement is prepared, and caches know where the indexes begin
			return fmt.Errorf("%s: %w", q.name, err)
		}
		before, err := treeCPU(g.server.postmaster)
		if err != nil {
			return err
		}
		var times []time.Duration
		for end := time.Now().Add(g.duration); time.Now().Before(end); {
			begin := time.Now()
			if err := q.ask(ctx); err != nil {
				return fmt.Errorf("%s: %w", q.name, err)
			}
			times = append(times, time.Since(begin))
		}
		after, err := treeCPU(g.server.postmaster)
		if err != nil {
			return err
		}
		r := result(times, 0, g.duration)
		fmt.Fprintf(g.out, "| %s | %.3f | %.3f | %.3f |\n", q.name, r.P50.Seconds()*1000, r.P99.Seconds()*1000, (after-before)*1000/float64(r.Operations))
		if err := g.explain(ctx, q, &plans); err != nil {
			return fmt.Errorf("%s: plan: %w", q.name, err)
		}
	}
	_, err := io.WriteString(g.out, plans.String())
	return err
}

// explain has the server show the plan of the statement that the store has just sent: as the server saw it, not a copy of it here.
func (g *grown) explain(ctx context.Context, q question, out io.Writer) error {
	if q.args == nil {
		return nil
	}
	return connected(ctx, g.database, func(conn *pgx.Conn) error {
		var statement string
		err := conn.QueryRow(ctx, `
SELECT query FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND position($1 IN query) > 0 AND position('EXPLAIN' IN query) = 0
ORDER BY query_start DESC LIMIT 1`, q.known).Scan(&statement)
		if err != nil {
			return err
		}
		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // EXPLAIN ANALYZE of an INSERT inserts
		rows, err := tx.Query(ctx, `EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) `+statement, q.args...)
		if err != nil {
			return err
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		fmt.Fprintf(out, "\n%s:\n\n    %s\n", q.name, strings.Join(once(lines), "\n    "))
		return err
	})
}

var (
	planValue  = regexp.MustCompile(`'\\x([0-9a-f]{12})[0-9a-f]{12,}'`)
	planNumber = regexp.MustCompile(`[0-9.]+|_[a-z]+_idx`)
)

// once leaves out of a plan what it says again of further partitions, and the most of long values.
func once(plan []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, line := range plan {
		kind := planNumber.ReplaceAllString(strings.TrimSpace(line), "#")
		if !seen[kind] {
			out = append(out, planValue.ReplaceAllString(line, `'\x$1...'`))
		}
		seen[kind] = true
	}
	if n := len(plan) - len(out); n > 0 {
		out = append(out, fmt.Sprintf("(and %d lines that say the same, of further partitions for the most part)", n))
	}
	return out
}
