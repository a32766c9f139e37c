package export

import (
	"path"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// anyKey is a key in which everything that is hard is frequent.
var anyKey = rapid.Custom(func(t *rapid.T) string {
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{"/", "//", ".", "..", "%", "%d", "%f", "%+", "%2F", "a", "A", "b", "\x00", "\\", "é", "É", "\xff", " ", ":", strings.Repeat("x", 199), strings.Repeat("é", 150)}),
		rapid.StringN(1, 5, 8),
	)
	return strings.Join(rapid.SliceOfN(piece, 1, 8).Draw(t, "pieces"), "")
})

// wantSafe fails unless every name is one that a directory takes and that leads nowhere else.
func wantSafe(t *rapid.T, key string, names []string) {
	for _, name := range names {
		if name == "" || name == "." || name == ".." || len(name) > 255 || strings.ContainsAny(name, "/\\\x00") {
			t.Fatalf("key %q has the name %q in its path", key, name)
		}
	}
	if joined := path.Join(names...); joined != strings.Join(names, "/") || !path.IsAbs("/"+joined) {
		t.Fatalf("key %q has a path that is not as it seems: %q", key, names)
	}
}

func TestEveryKeyHasASafeNameThatLeadsBackToIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, folded := anyKey.Draw(t, "key"), rapid.Bool().Draw(t, "folded")
		names := escape(key, folded)
		wantSafe(t, key, names)
		back, err := unescape(names)
		if err != nil || back != key {
			t.Fatalf("key %q is %q, and back %q, %v", key, names, back, err)
		}
	})
}

// TestNoTwoKeysShareAFile plans keys in order, as a listing gives them: no two have one path, none has its file where another has a
// folder, and every path leads back. In a folded directory this holds for names in small letters too.
func TestNoTwoKeysShareAFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ks := rapid.SliceOfNDistinct(anyKey, 1, 12, rapid.ID[string]).Draw(t, "keys")
		p := planner{folded: rapid.Bool().Draw(t, "folded")}
		slices.Sort(ks)
		files, folders := map[string]string{}, map[string]bool{}
		for _, key := range ks {
			names := p.plan(key)
			wantSafe(t, key, names)
			if back, err := unescape(names); err != nil || back != key {
				t.Fatalf("key %q is %q, and back %q, %v", key, names, back, err)
			}
			if p.folded {
				for i, name := range names {
					names[i] = strings.ToLower(name)
				}
			}
			file := strings.Join(names, "/")
			if other, taken := files[file]; taken {
				t.Fatalf("keys %q and %q have one file %q", key, other, file)
			}
			files[file] = key
			for i := 1; i < len(names); i++ {
				folders[strings.Join(names[:i], "/")] = true
			}
		}
		for file, key := range files {
			if folders[file] {
				t.Fatalf("the file %q of key %q is a folder too", file, key)
			}
		}
	})
}

func TestNamesAreWhatTheRunbookSays(t *testing.T) {
	var p planner
	for _, c := range []struct{ key, want string }{
		{"/a", "%/a"},
		{"a", "a"},
		{"a-b", "a-b"},
		{"a/", "a%d/%"},
		{"a//b", "a%d/%%d/b"},
		{"a/../b", "a%d/.%2E/b"},
		{"b/.", "b/%2E"},
		{"b/..", "b/.%2E"},
		{"c\x00\\:%.", "c%00%5C%3A%25%2E"},
		{strings.Repeat("d", 201), strings.Repeat("d", 200) + "%+/d"},
		{"É", "É"},
	} {
		if got := strings.Join(p.plan(c.key), "/"); got != c.want {
			t.Errorf("%q is %q, want %q", c.key, got, c.want)
		}
	}
	if got := strings.Join((&planner{folded: true}).plan("Ab/É"), "/"); got != "%41b/%C3%89" {
		t.Errorf("folded: %q", got)
	}
}

func TestNamesThatAreNoneAreRefused(t *testing.T) {
	for _, name := range []string{"a%", "a%2", "%zz", "a%+", "a%d"} {
		if key, err := unescape([]string{name}); err == nil {
			t.Errorf("%q was read as key %q", name, key)
		}
	}
}
