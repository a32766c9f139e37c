package access_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cofre/access"
)

// alphabet is small so that random patterns and names meet often.
const alphabet = "ab/"

func names(t *rapid.T, label string) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune(alphabet)), 0, 6, -1).Draw(t, label)
}

func patterns(t *rapid.T, label string) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune(alphabet+"*?*")), 1, 6, -1).Draw(t, label)
}

// slowMatch is the definition of a pattern, byte by byte and without any cleverness.
func slowMatch(pattern, name string) bool {
	switch {
	case pattern == "":
		return name == ""
	case pattern[0] == '*':
		return slowMatch(pattern[1:], name) || name != "" && slowMatch(pattern, name[1:])
	case name == "":
		return false
	default:
		return (pattern[0] == '?' || pattern[0] == name[0]) && slowMatch(pattern[1:], name[1:])
	}
}

func TestMatchNameIsTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, n := patterns(t, "pattern"), names(t, "name")
		if got, want := access.MatchName(p, n), slowMatch(p, n); got != want {
			t.Fatalf("MatchName(%q, %q) = %v, want %v", p, n, got, want)
		}
	})
}

func TestMatchNameStaysCheapOnHostilePatterns(t *testing.T) {
	pattern, name := strings.Repeat("*a", 500)+"b", strings.Repeat("a", 1024)
	if access.MatchName(pattern, name) {
		t.Fatal("matched a name that lacks the last byte")
	}
}

func grantOf(actions []access.Action, bucket string, prefixes ...string) access.Identity {
	return access.Identity{Grants: []access.Grant{{Bucket: bucket, Prefixes: prefixes, Actions: actions}}}
}

// all names over the alphabet up to a length, in a fixed order.
func allNames(max int) []string {
	out, last := []string{""}, []string{""}
	for range max {
		var next []string
		for _, s := range last {
			for _, c := range alphabet {
				next = append(next, s+string(c))
			}
		}
		out, last = append(out, next...), next
	}
	return out
}

// A listing may be shown exactly when no key that it could show is one that the grant does not cover. Patterns of up to
// five bytes are told apart by endings of up to six, so the tails tried here stand for all.
func TestListingIsAllowedExactlyWhenEveryKeyBelowItIsCovered(t *testing.T) {
	tails := allNames(6)
	covered := 0
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.RuneFrom([]rune(alphabet+"*?*")), 1, 5, -1).Draw(t, "pattern")
		prefix := rapid.StringOfN(rapid.RuneFrom([]rune(alphabet)), 0, 4, -1).Draw(t, "prefix")
		id := grantOf([]access.Action{access.List, access.Read}, "b", pattern)
		want := true
		for _, tail := range tails {
			if !id.Allows(access.Read, "b", prefix+tail) {
				want = false
				break
			}
		}
		if got := id.AllowsList("b", prefix); got != want {
			t.Fatalf("AllowsList(%q) under %q = %v, want %v", prefix, pattern, got, want)
		}
		if want {
			covered++
		}
	})
	if covered == 0 {
		t.Fatal("no case was covered: the property was never tried from its other side")
	}
}

func TestGrantDecisions(t *testing.T) {
	read, list := []access.Action{access.Read}, []access.Action{access.List}
	for _, c := range []struct {
		rule string
		id   access.Identity
		do   func(access.Identity) bool
		want bool
	}{
		{"no grant allows nothing", access.Identity{}, allows(access.Read, "b", "k"), false},
		{"a plain prefix covers what begins with it", grantOf(read, "b", "home/ann"), allows(access.Read, "b", "home/anna"), true},
		{"another action is not given", grantOf(read, "b"), allows(access.Write, "b", "k"), false},
		{"another bucket is not given", grantOf(read, "b"), allows(access.Read, "bb", "k"), false},
		{"a bucket pattern matches as a whole", grantOf(read, "lab-*"), allows(access.Read, "lab-1", "k"), true},
		{"a bucket pattern is no prefix", grantOf(read, "lab"), allows(access.Read, "lab-1", "k"), false},
		{"buckets are told apart by case", grantOf(read, "lab"), allows(access.Read, "LAB", "k"), false},
		{"a glob matches the whole key", grantOf(read, "b", "*.csv"), allows(access.Read, "b", "a/x.csv.exe"), false},
		{"a star crosses slashes", grantOf(read, "b", "*.csv"), allows(access.Read, "b", "a/x.csv"), true},
		{"double slashes stay", grantOf(read, "b", "a/b"), allows(access.Read, "b", "a//b"), false},
		{"dots stay", grantOf(read, "b", "a/"), allows(access.Read, "b", "./a/x"), false},
		{"climbing dots are ordinary bytes", grantOf(read, "b", "a/"), allows(access.Read, "b", "a/../x"), true},
		{"normal forms are told apart", grantOf(read, "b", "caf\u00e9"), allows(access.Read, "b", "cafe\u0301"), false},
		{"a question mark is one byte, not one letter", grantOf(read, "b", "caf?"), allows(access.Read, "b", "caf\u00e9"), false},
		{"bytes that are no UTF-8 are matched", grantOf(read, "b", "k?"), allows(access.Read, "b", "k\xff"), true},
		{"prefixes give nothing on the bucket", grantOf(read, "b", "a"), allows(access.Read, "b", ""), false},
		{"no prefixes give the bucket", grantOf(read, "b"), allows(access.Read, "b", ""), true},
		{"listing needs list", grantOf(read, "b"), lists("b", ""), false},
		{"listing the whole bucket needs it all", grantOf(list, "b", "home/"), lists("b", ""), false},
		{"listing above a prefix is refused", grantOf(list, "b", "home/ann/"), lists("b", "home/"), false},
		{"listing at the prefix is allowed", grantOf(list, "b", "home/ann/"), lists("b", "home/ann/"), true},
		{"listing below the prefix is allowed", grantOf(list, "b", "home/ann/"), lists("b", "home/ann/2026"), true},
		{"listing beside the prefix is refused", grantOf(list, "b", "home/ann/"), lists("b", "home/ann"), false},
		{"an ending cannot cover a listing", grantOf(list, "b", "*.csv"), lists("b", "a.csv"), false},
		{"a closing star covers a listing", grantOf(list, "b", "home/*"), lists("b", "home/"), true},
		{"read grants do not add to list grants", access.Identity{Grants: []access.Grant{
			{Bucket: "b", Actions: read}, {Bucket: "b", Prefixes: []string{"a/"}, Actions: list}}}, lists("b", "c/"), false},
	} {
		if got := c.do(c.id); got != c.want {
			t.Errorf("%s: got %v, want %v", c.rule, got, c.want)
		}
	}
}

func allows(a access.Action, bucket, key string) func(access.Identity) bool {
	return func(i access.Identity) bool { return i.Allows(a, bucket, key) }
}

func lists(bucket, prefix string) func(access.Identity) bool {
	return func(i access.Identity) bool { return i.AllowsList(bucket, prefix) }
}

func TestBucketIsSeenByAnyGrantOnIt(t *testing.T) {
	id := grantOf([]access.Action{access.Delete}, "lab-*", "only/here/")
	if !id.AllowsBucket("lab-1") || id.AllowsBucket("ward") {
		t.Fatal("ListBuckets must show the buckets that a grant names, and no others")
	}
}

func TestAnonymousFirstMatchingRuleAloneSpeaks(t *testing.T) {
	id := access.AnonymousIdentity([]access.BucketRule{
		{Bucket: "secret-*"},
		{Bucket: "web", Actions: []access.Action{access.Read}, Prefixes: []string{"site/"}},
		{Bucket: "*", Actions: []access.Action{access.Read, access.List}},
	})
	if !id.Anonymous || id.User != access.AnonymousUser || id.AccessKeyID != "" {
		t.Fatalf("not anonymous: %+v", id)
	}
	for _, c := range []struct {
		bucket, key string
		want        bool
	}{
		{"secret-1", "k", false}, {"web", "site/i.html", true}, {"web", "draft/i.html", false}, {"other", "k", true},
	} {
		if got := id.Allows(access.Read, c.bucket, c.key); got != c.want {
			t.Errorf("anonymous read of %s/%s = %v, want %v", c.bucket, c.key, got, c.want)
		}
	}
	if id.AllowsList("web", "") || id.AllowsList("secret-1", "") || id.AllowsBucket("secret-1") {
		t.Error("a later, wider rule opened a bucket that an earlier one speaks of")
	}
}

func TestGrantRefusesWhatCanMatchNothingOrTooMuch(t *testing.T) {
	ok := access.Grant{Bucket: "b", Actions: []access.Action{access.Read}}
	if err := ok.Validate(); err != nil {
		t.Fatal(err)
	}
	for rule, spoil := range map[string]func(*access.Grant){
		"empty bucket":        func(g *access.Grant) { g.Bucket = "" },
		"slash in bucket":     func(g *access.Grant) { g.Bucket = "b/x" },
		"control in bucket":   func(g *access.Grant) { g.Bucket = "b\x00" },
		"long bucket":         func(g *access.Grant) { g.Bucket = strings.Repeat("b", 256) },
		"empty prefix":        func(g *access.Grant) { g.Prefixes = []string{"a", ""} },
		"empty prefix list":   func(g *access.Grant) { g.Prefixes = []string{} },
		"prefix not UTF-8":    func(g *access.Grant) { g.Prefixes = []string{"\xff"} },
		"long prefix":         func(g *access.Grant) { g.Prefixes = []string{strings.Repeat("p", 1025)} },
		"no action":           func(g *access.Grant) { g.Actions = nil },
		"zero action":         func(g *access.Grant) { g.Actions = []access.Action{0} },
		"action out of range": func(g *access.Grant) { g.Actions = []access.Action{access.Admin + 1} },
		"action twice":        func(g *access.Grant) { g.Actions = []access.Action{access.Read, access.Read} },
	} {
		g := ok
		spoil(&g)
		if g.Validate() == nil {
			t.Errorf("%s was taken", rule)
		}
	}
}
