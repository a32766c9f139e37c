package access_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cofre/access"
)

const goodGrants = `[{"bucket":"lab-*","prefixes":["results/","*.csv"],"actions":["read","list"]},{"bucket":"inbox","actions":["write"]}]`

func TestGrantsKeepTheirJSONForm(t *testing.T) {
	want := []access.Grant{
		{Bucket: "lab-*", Prefixes: []string{"results/", "*.csv"}, Actions: []access.Action{access.Read, access.List}},
		{Bucket: "inbox", Actions: []access.Action{access.Write}},
	}
	got, err := access.ParseGrants([]byte(goodGrants))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(access.Grant{})); d != "" {
		t.Fatal(d)
	}
	doc, err := access.MarshalGrants(got)
	if err != nil {
		t.Fatal(err)
	}
	if string(doc) != goodGrants {
		t.Fatalf("got %s", doc)
	}
}

var badGrants = map[string]string{
	"empty document":       ``,
	"null":                 `null`,
	"object":               `{"bucket":"b","actions":["read"]}`,
	"unknown name":         `[{"bucket":"b","actions":["read"],"effect":"deny"}]`,
	"repeated name":        `[{"bucket":"b","bucket":"c","actions":["read"]}]`,
	"other case":           `[{"Bucket":"b","actions":["read"]}]`,
	"unknown action":       `[{"bucket":"b","actions":["Read"]}]`,
	"no actions":           `[{"bucket":"b"}]`,
	"no bucket":            `[{"actions":["read"]}]`,
	"empty prefixes":       `[{"bucket":"b","prefixes":[],"actions":["read"]}]`,
	"null prefixes":        `[{"bucket":"b","prefixes":null,"actions":["read"]}]`,
	"number for bucket":    `[{"bucket":1,"actions":["read"]}]`,
	"trailing text":        goodGrants + `]`,
	"second document":      goodGrants + goodGrants,
	"cut off":              goodGrants[:40],
	"not UTF-8":            "[{\"bucket\":\"b\",\"prefixes\":[\"\xff\"],\"actions\":[\"read\"]}]",
	"too many":             `[` + strings.Repeat(`{"bucket":"b","actions":["read"]},`, access.MaxGrants) + `{"bucket":"b","actions":["read"]}]`,
	"larger than any must": `[` + strings.Repeat(" ", 1<<20) + `]`,
}

func TestGrantsRefuseMistakes(t *testing.T) {
	for rule, doc := range badGrants {
		if g, err := access.ParseGrants([]byte(doc)); err == nil {
			t.Errorf("%s: taken as %v", rule, g)
		}
	}
}

func FuzzParseGrants(f *testing.F) {
	f.Add([]byte(goodGrants))
	f.Add([]byte(`[]`))
	for _, doc := range badGrants {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		g, err := access.ParseGrants(doc)
		if err != nil {
			return
		}
		once, err := access.MarshalGrants(g)
		if err != nil {
			t.Fatalf("taken but not written: %v", err)
		}
		again, err := access.ParseGrants(once)
		if err != nil {
			t.Fatalf("own form refused: %v", err)
		}
		twice, err := access.MarshalGrants(again)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("form changed: %s, then %s (%v)", once, twice, err)
		}
	})
}
