package postgres_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cofre/metadata"
	"cofre/metadata/postgres"
)

// planNode is what tests read of EXPLAIN (FORMAT JSON).
type planNode struct {
	Type    string     `json:"Node Type"`
	Table   string     `json:"Relation Name"`
	Rows    float64    `json:"Actual Rows"`
	Loops   float64    `json:"Actual Loops"`
	Removed int        `json:"Subplans Removed"`
	Plans   []planNode `json:"Plans"`
}

// walk visits the node and all below it.
func (n *planNode) walk(visit func(*planNode)) {
	visit(n)
	for i := range n.Plans {
		n.Plans[i].walk(visit)
	}
}

// explain runs a statement in the given plan_cache_mode, undoes it, and gives its plan.
func explain(t *testing.T, conn *pgx.Conn, mode, statement string, args ...any) *planNode {
	t.Helper()
	ctx := context.Background()
	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(ctx)
	for _, prepare := range []string{`DEALLOCATE ALL`, `SET LOCAL plan_cache_mode = ` + mode, `PREPARE explained AS ` + statement} {
		if _, err := tx.Exec(ctx, prepare, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", prepare, err)
		}
	}
	values := make([]string, len(args))
	for i, arg := range args {
		values[i] = literal(t, arg)
	}
	var doc []byte
	err = tx.QueryRow(ctx, `EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE explained (`+strings.Join(values, ", ")+`)`,
		pgx.QueryExecModeSimpleProtocol).Scan(&doc)
	if err != nil {
		t.Fatalf("explain %s: %v", statement, err)
	}
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal(doc, &plans); err != nil || len(plans) != 1 {
		t.Fatalf("plan %s: %v", doc, err)
	}
	return &plans[0].Plan
}

// literal is arg as SQL text.
func literal(t *testing.T, arg any) string {
	t.Helper()
	switch v := arg.(type) {
	case nil:
		return "NULL"
	case int:
		return strconv.Itoa(v)
	case []byte:
		return `'\x` + hex.EncodeToString(v) + `'::bytea`
	case [][]byte:
		all := make([]string, len(v))
		for i, b := range v {
			all[i] = literal(t, b)
		}
		return "ARRAY[" + strings.Join(all, ", ") + "]::bytea[]"
	case time.Time:
		return "'" + v.Format(time.RFC3339Nano) + "'::timestamptz"
	}
	t.Fatalf("no literal for %T", arg)
	return ""
}

// Among 200,000 rows, a quarter of them tombstones and an eighth with parts, with and without statistics: every frequent statement reads by index,
// in as many rows as it answers, and one that names a key looks into one partition for each.
func TestPlansStayByIndex(t *testing.T) {
	s := newServer(t)
	url := s.database(t)
	s.open(t, url)
	conn := connect(t, url)
	defer conn.Close(context.Background())
	_, err := conn.Exec(t.Context(), `
INSERT INTO objects
SELECT 'b'::bytea, convert_to('k' || lpad(i::text, 9, '0'), 'UTF8'), 'null', decode(repeat(md5(i::text), 8), 'hex') || '1234'::bytea,
    convert_to(md5('b' || i), 'UTF8'), i, convert_to(md5('e' || i), 'UTF8'), 0, 0, '', 'image/jpeg', i % 8 / 7, now(), clock_timestamp(),
    CASE WHEN i % 4 = 0 THEN clock_timestamp() END
FROM generate_series(0, 199999) AS i`)
	if err != nil {
		t.Fatal(err)
	}
	for _, statistics := range []string{"none", "analyzed"} {
		if statistics == "analyzed" {
			if _, err := conn.Exec(t.Context(), `VACUUM ANALYZE objects`); err != nil {
				t.Fatal(err)
			}
		}
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			t.Run(statistics+" "+mode, func(t *testing.T) { checkPlans(t, conn, mode) })
		}
	}
	plan := explain(t, conn, "force_generic_plan", postgres.ScanPage, []byte("b"), []byte("k000100000"), []byte("k000100999"), 2064)
	plan.walk(func(n *planNode) {
		if n.Table != "" && n.Type != "Index Only Scan" {
			t.Errorf("a vacuumed listing page reads %s by %s, want the index alone", n.Table, n.Type)
		}
	})
}

func checkPlans(t *testing.T, conn *pgx.Conn, mode string) {
	b, k, null := []byte("b"), []byte("k000100001"), []byte(metadata.NullVersion)
	var ks, etags [][]byte
	for i := 100_000; i < 101_000; i++ {
		ks, etags = append(ks, fmt.Appendf(nil, "k%09d", i)), append(etags, []byte("none"))
	}
	var layouts [][]byte // of every hundredth object, most of which have none
	for i := 7; i < 100_007; i += 1000 {
		sum := md5.Sum([]byte(strconv.Itoa(i)))
		layouts = append(layouts, append(sum[4:], sum[:4]...)) // as the envelope has it, from its fifth byte on
	}
	for _, c := range []struct {
		name, statement string
		args            []any
		keys            float64 // how many keys it may read the rows of
	}{
		{"scan page", postgres.ScanPage, []any{b, ks[0], ks[999], 2064}, 1000},
		{"look up page", postgres.LookupPage, []any{b, ks, etags, [][]byte{}}, 1000},
		// Each of 16 partitions gives one row more than is taken of it.
		{"rest of key", postgres.RestOfKey, []any{b, k, time.Now(), null, 1000}, 1},
		{"rows behind key", postgres.RowsBehindKey, []any{b, k, 1000}, 1000},
		{"tombstone", postgres.TombstoneRow, []any{b, k, null, time.Now()}, 1},
		{"add replacing", postgres.AddReplacing, []any{
			b, k, null, make([]byte, metadata.EnvelopeSize), k, 1, k, 0, 0, k, k, 0, time.Now()}, 1},
		{"latest", postgres.LatestRecord, []any{b, k}, 1},
		{"latest version", postgres.LatestVersion, []any{b, k, null}, 1},
		{"by envelope", postgres.ByEnvelope, []any{b, k, make([]byte, 32)}, 1},
		{"known", postgres.KnownVersion, []any{b, k, null}, 1},
		{"parts", postgres.RecordParts, []any{b, k, make([]byte, 32)}, 1},
		{"uploads", postgres.UploadsPage, []any{b, k, []byte("id"), []byte(""), nil, 1000}, 1},
		{"upload parts", postgres.NewestParts, []any{[]byte("id"), 0, 1000}, 1},
		{"sweep tombstones", postgres.SweepTombstones, []any{time.Now(), 1000}, 1000},
		{"sweep tombstone", postgres.SweepTombstone, []any{b, k, make([]byte, 32), null}, 1},
		{"sweep parts", postgres.SweepParts, []any{b, k, make([]byte, 32)}, 1},
		{"layouts in use", postgres.LayoutsInUse, []any{b, layouts, time.Now()}, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			read := 0.0
			plan := explain(t, conn, mode, c.statement, c.args...)
			plan.walk(func(n *planNode) {
				if n.Table == "" || n.Type == "ModifyTable" {
					return
				}
				read += n.Rows * max(n.Loops, 1)
				if !strings.Contains(n.Type, "Index") && n.Loops > 0 {
					t.Errorf("%s of %s", n.Type, n.Table)
				}
			})
			if read > 2*c.keys {
				t.Errorf("%v rows read for %v keys", read, c.keys)
			}
		})
	}
}
