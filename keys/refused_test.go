package keys_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cofre/keys"
	"cofre/keys/keystest"
)

var update = flag.Bool("update", false, "write testdata/refused anew (keys and signatures are random, so every file changes)")

// refusal is one file of testdata/refused: what a reader finds, and the error that it must give. Want is empty in the few
// files that show what is accepted, without which a reader that refused everything would pass.
type refusal struct {
	About string `json:"about"`
	Want  string `json:"want"`

	// A document to parse, by kind: card, identity, dsse, record, grant, endorsement or trust.
	Parse string `json:"parse,omitempty"`
	Doc   string `json:"doc,omitempty"`
	Known uint64 `json:"known,omitempty"` // trust: the highest number seen

	// Or a KEK that the reader opens, and what its system bucket holds.
	Bucket string            `json:"bucket,omitempty"`
	KEK    string            `json:"kek,omitempty"`
	System map[string]string `json:"system,omitempty"`
	Stored []storedRow       `json:"stored,omitempty"` // what the store has accepted before: then Import compares
}

// readerFile is testdata/reader.json: the site that meets every refusal. Its identity is for tests only.
type readerFile struct {
	Identity string `json:"identity"`
	Trust    string `json:"trust"`
}

type storedRow struct {
	Record string `json:"record"`
	Grant  string `json:"grant"`
}

// sentinels is every error that a file may want.
var sentinels = map[string]error{
	"ErrZeroKey": keys.ErrZeroKey, "ErrKeyLength": keys.ErrKeyLength, "ErrMalformed": keys.ErrMalformed,
	"ErrSignature": keys.ErrSignature, "ErrCommit": keys.ErrCommit, "ErrGrant": keys.ErrGrant,
	"ErrUntrusted": keys.ErrUntrusted, "ErrTrustListOld": keys.ErrTrustListOld, "ErrKEKConflict": keys.ErrKEKConflict,
	"ErrNotRecipient": keys.ErrNotRecipient, "ErrKEKUnavailable": keys.ErrKEKUnavailable,
}

func TestRefusedVectors(t *testing.T) {
	cast := newCast(t)
	classes := cast.refusals(t)
	if *update {
		cast.write(t, classes)
	}
	var reader readerFile
	readJSON(t, filepath.Join("testdata", "reader.json"), &reader)
	identity, err := keys.ParseIdentity([]byte(reader.Identity))
	if err != nil {
		t.Fatal(err)
	}
	trust, err := keys.ParseTrustList([]byte(reader.Trust), identity.Card(), 0)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/refused/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("testdata/refused holds no files")
	}
	for _, file := range files {
		class := strings.TrimSuffix(filepath.Base(file), ".json")
		if _, known := classes[class]; !known {
			t.Errorf("%s is of no known class", file)
		}
		delete(classes, class)
		t.Run(class, func(t *testing.T) {
			var v refusal
			readJSON(t, file, &v)
			v.check(t, identity, trust)
		})
	}
	for class := range classes {
		t.Errorf("class %s has no file", class)
	}
}

func readJSON(t testing.TB, file string, dst any) {
	t.Helper()
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	if err := dec.Decode(dst); err != nil {
		t.Fatal(err)
	}
}

func (v refusal) check(t *testing.T, identity *keys.Identity, trust *keys.TrustList) {
	got := v.parse(identity)
	if v.Parse == "" {
		got = v.open(t, identity, trust)
	}
	if v.Want == "" {
		if got != nil {
			t.Errorf("%s: refused: %v", v.About, got)
		}
		return
	}
	want, ok := sentinels[v.Want]
	if !ok {
		t.Fatalf("unknown error %q", v.Want)
	}
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %s", v.About, got, v.Want)
	}
}

func (v refusal) parse(identity *keys.Identity) error {
	doc := []byte(v.Doc)
	var err error
	switch v.Parse {
	case "card":
		_, err = keys.ParseCard(doc)
	case "identity":
		_, err = keys.ParseIdentity(doc)
	case "dsse":
		_, err = keys.ParseDSSE(doc)
	case "record":
		_, err = keys.ParseRecord(doc)
	case "grant":
		_, err = keys.ParseGrant(doc)
	case "endorsement":
		_, err = keys.ParseEndorsement(doc)
	case "trust":
		_, err = keys.ParseTrustList(doc, identity.Card(), v.Known)
	}
	return err
}

// open lets a site open the KEK, and checks that a refusal leaves its store as it was.
func (v refusal) open(t *testing.T, identity *keys.Identity, trust *keys.TrustList) error {
	id, err := keys.ParseKEKID(v.KEK)
	if err != nil {
		t.Fatal(err)
	}
	site := &keystest.Site{
		Identity: identity, Trust: trust, Store: &keystest.FakeStore{}, System: &keystest.FakeSystem{},
	}
	for name, doc := range v.System {
		site.System.Plant(name, []byte(doc))
	}
	if len(v.Stored) > 0 {
		return v.compare(t, site, id)
	}
	_, _, opened := site.Ring(nil).Open(t.Context(), v.Bucket, id)
	held, err := site.Store.KEKs(t.Context(), v.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	if (opened == nil) != (len(held) == 1) {
		t.Errorf("store holds %d KEKs after %v", len(held), opened)
	}
	return opened
}

func (v refusal) compare(t *testing.T, site *keystest.Site, id keys.KEKID) error {
	for _, row := range v.Stored {
		record, err := keys.ParseRecord([]byte(row.Record))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := site.Store.AddKEK(t.Context(), keys.StoredKEK{
			Bucket: record.Bucket, ID: record.ID, Creator: record.Creator, Record: record.Bytes(), Grant: []byte(row.Grant),
			State: keys.ReadOnly, Created: record.Created,
		}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := site.Ring(nil).Import(t.Context(), v.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.ID == id {
			return one.Err
		}
	}
	t.Fatalf("import did not see KEK %s", id)
	return nil
}

func (c *cast) write(t *testing.T, classes map[string]refusal) {
	dir := filepath.Join("testdata", "refused")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	writeJSON(t, filepath.Join("testdata", "reader.json"), c.readerFile(t))
	for class, v := range classes {
		writeJSON(t, filepath.Join(dir, class+".json"), v)
	}
}

func writeJSON(t *testing.T, file string, v any) {
	t.Helper()
	doc, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(doc, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
