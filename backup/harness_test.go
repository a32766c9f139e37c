package backup_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cofre/backup"
	"cofre/keys"
	"cofre/metadata"
	"cofre/metadata/sqlite"
	"cofre/metadata/storetest"
)

func newIdentity(t testing.TB, name string) *keys.Identity {
	t.Helper()
	id, err := keys.GenerateIdentity(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func openSQLite(t testing.TB) metadata.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "m.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// authorOf makes backups of a site for itself and for others.
func authorOf(site *keys.Identity, others ...keys.Card) backup.Author {
	return backup.Author{Site: site, Recipients: append([]keys.Card{site.Card()}, others...), Now: time.Now}
}

// rowsOf is a store that has nothing but these rows.
type rowsOf []metadata.Row

func (r rowsOf) Dump(_ context.Context, visit func(metadata.Row) error) error {
	for _, row := range r {
		if err := visit(row); err != nil {
			return err
		}
	}
	return nil
}

// file is a backup in memory: a Source.
type file []byte

func (f file) Size() int64 { return int64(len(f)) }

func (f file) Open(_ context.Context, off, n int64) (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(bytes.NewReader(f), off, n)), nil
}

func write(t testing.TB, store backup.Dumper, a backup.Author) file {
	t.Helper()
	var out bytes.Buffer
	m := backup.NewManifest(a.Site.ID(), a.Now())
	if _, err := backup.Write(t.Context(), &out, store, a, m, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// read gives all rows of a backup.
func read(t testing.TB, f file, site, reader *keys.Identity) []metadata.Row {
	t.Helper()
	m, _, err := backup.Check(t.Context(), f, backup.Only(site.Card()), reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := backup.OpenRows(t.Context(), f, m, reader)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var rows []metadata.Row
	for {
		row, err := r.Next()
		if err == io.EOF {
			return rows
		}
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
}

func sameRows(t testing.TB, got, want []metadata.Row) {
	t.Helper()
	if diff := cmp.Diff(storetest.SortRows(slices.Clone(want)), storetest.SortRows(slices.Clone(got)), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// kekRow is a KEK with a true record and a grant to its maker.
func kekRow(t testing.TB, site *keys.Identity, bucket string, state keys.KEKState, created time.Time) metadata.Row {
	t.Helper()
	kek := keys.NewKEK(bucket, site.ID())
	record, err := keys.NewRecord(site, kek, created)
	if err != nil {
		t.Fatal(err)
	}
	grant, err := keys.NewGrant(site, kek, site.Card(), created)
	if err != nil {
		t.Fatal(err)
	}
	return metadata.Row{KEK: &metadata.CountedKEK{Sealed: 3, StoredKEK: keys.StoredKEK{
		Bucket: bucket, ID: kek.ID(), Creator: site.ID(), Record: record.Bytes(), Grant: grant.Bytes(), State: state, Created: record.Created,
	}}}
}

// record is a row of an object.
func record(key string) metadata.Row {
	at := time.Date(2026, 11, 28, 12, 0, 0, 123456000, time.UTC)
	rec := metadata.Record{Bucket: "b", Key: key, VersionID: metadata.NullVersion, BackendETag: "e", Size: 5, ETag: "m", Began: at, Committed: at.Add(time.Second)}
	copy(rec.Envelope[:], randomBytes(metadata.EnvelopeSize))
	return metadata.Row{Record: &rec}
}
