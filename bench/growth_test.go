package main

import (
	"slices"
	"strings"
	"testing"

	"cofre/metadata/storetest"
)

func TestRowsAreMadeAndAskedFor(t *testing.T) {
	storetest.Server(t, "postgres", "COFRE_TEST_POSTGRES") // which growth reads itself
	var out strings.Builder
	if err := growth(t.Context(), []string{"-n", "3000", "-time", "10ms"}, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"3000 live rows", "bytes a row", "| listing page of 1,000 |", "| PUT that replaces |", "record of a key:", "CTE replaced"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestPlansSayEachThingOnce(t *testing.T) {
	got := once([]string{
		"Merge Append", "  ->  Index Only Scan using objects_0_a_b_idx on objects_0 (rows=57)", "        Index Cond: (key >= '\\x0123456789abcdef0123456789'::bytea)",
		"  ->  Index Only Scan using objects_1_a_c_idx on objects_1 (rows=3)", "        Index Cond: (key >= '\\x0123456789abcdef0123456789'::bytea)",
	})
	want := []string{
		"Merge Append", "  ->  Index Only Scan using objects_0_a_b_idx on objects_0 (rows=57)", "        Index Cond: (key >= '\\x0123456789ab...'::bytea)",
		"(and 2 lines that say the same, of further partitions for the most part)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}
