package s3api

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestParseQueryReadsWhatAWSReads(t *testing.T) {
	type pair = [2]string
	for _, c := range []struct {
		raw  string
		want []pair
	}{
		{"", nil},
		{"&&", nil},
		{"uploads", []pair{{"uploads", ""}}},
		{"uploads=", []pair{{"uploads", ""}}},
		{"prefix=a/b&delimiter=/", []pair{{"prefix", "a/b"}, {"delimiter", "/"}}},
		{"prefix=a%2Fb", []pair{{"prefix", "a/b"}}},
		{"a=b+c%2Bd", []pair{{"a", "b c+d"}}},
		{"a=b;c=d", []pair{{"a", "b;c=d"}}}, // net/url drops this one
		{"a=1=2", []pair{{"a", "1=2"}}},
		{"a=1&b=2&a=3", []pair{{"a", "1"}, {"b", "2"}, {"a", "3"}}},
		{"%61=%41%00", []pair{{"a", "A\x00"}}},
		{"=v", []pair{{"", "v"}}},
		{"a=caf\u00e9", []pair{{"a", "caf\u00e9"}}},
	} {
		q, err := ParseQuery(c.raw)
		if err != nil {
			t.Errorf("%q: %v", c.raw, err)
			continue
		}
		var got []pair
		for name, value := range q.All() {
			got = append(got, pair{name, value})
		}
		if !equalFields(got, c.want) {
			t.Errorf("%q: got %q", c.raw, got)
		}
	}
	for _, raw := range []string{"%", "a=%", "a=%4", "a=%4g", "%zz=1", "ok=1&bad=%"} {
		if _, err := ParseQuery(raw); !errors.Is(err, ErrInvalidURI) {
			t.Errorf("%q: got %v", raw, err)
		}
	}
}

func TestQueryChangesOnlyItself(t *testing.T) {
	q, err := ParseQuery("b=2&a=1&b=3")
	if err != nil {
		t.Fatal(err)
	}
	one, two := q, q
	one.Set("c", "x")
	two.Set("c", "y")
	one.Del("b")
	if got := q.Encode(); got != "a=1&b=2&b=3" {
		t.Errorf("original: %s", got)
	}
	if got := one.Encode(); got != "a=1&c=x" {
		t.Errorf("first copy: %s", got)
	}
	if got := two.Encode(); got != "a=1&b=2&b=3&c=y" {
		t.Errorf("second copy: %s", got)
	}
	two.Set("b", "z")
	if two.Get("b") != "z" || two.Len() != 3 || q.Get("b") != "2" || q.Get("none") != "" || q.Has("none") {
		t.Errorf("after Set: %s", two.Encode())
	}
	var zero Query
	zero.Set("uploads", "")
	if zero.Encode() != "uploads=" || !zero.Has("uploads") {
		t.Errorf("zero value: %s", zero.Encode())
	}
}

func TestEncodeIsCanonical(t *testing.T) {
	var q Query
	for _, p := range [][2]string{{"prefix", "a/b c~*'"}, {"a b", "\x00\xff"}, {"X", ""}, {"a-b", "+"}} {
		q.Set(p[0], p[1])
	}
	if got, want := q.Encode(), "X=&a%20b=%00%FF&a-b=%2B&prefix=a%2Fb%20c~%2A%27"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := EscapePath("a/b+c d\u00e9~"), "a/b%2Bc%20d%C3%A9~"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEscapingLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		if got, ok := unescape(EscapePath(s), plusIsPlus); !ok || got != s {
			t.Fatalf("path: %q", got)
		}
		if got, ok := unescape(escape(s, slashEscaped), plusIsSpace); !ok || got != s {
			t.Fatalf("query: %q", got)
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{"", "uploads", "a=b&a=b", "a=%00;b", "a+b=c+d", "%", "==&="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := ParseQuery(raw)
		if err != nil {
			return
		}
		canonical := q.Encode()
		again, err := ParseQuery(canonical)
		if err != nil || again.Encode() != canonical || again.Len() != q.Len() {
			t.Fatalf("%q became %q, %v", canonical, again.Encode(), err)
		}
	})
}
