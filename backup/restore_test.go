package backup_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"cofre/backup"
	"cofre/keys"
	"cofre/metadata"
	"cofre/metadata/storetest"
)

// restore checks a backup and loads it into an empty store.
func restore(t *testing.T, f file, site *keys.Identity, o backup.Owner) (metadata.Store, backup.Restored, error) {
	t.Helper()
	m, _, err := backup.Check(t.Context(), f, backup.Only(site.Card()), o.Identity)
	if err != nil {
		t.Fatal(err)
	}
	o.Now = time.Now
	store := openSQLite(t)
	done, err := backup.Restore(t.Context(), store, f, m, o, false)
	return store, done, err
}

// signed is a trust list as a document.
func signed(t *testing.T, list *keys.TrustList, site *keys.Identity) []byte {
	t.Helper()
	doc, err := list.Sign(site)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func trustRow(t *testing.T, list *keys.TrustList, site *keys.Identity) metadata.Row {
	t.Helper()
	return metadata.Row{TrustList: &metadata.StoredTrustList{Number: list.Number(), DSSE: signed(t, list, site)}}
}

func states(t *testing.T, store metadata.Store) map[keys.KEKID]keys.KEKState {
	t.Helper()
	all := map[keys.KEKID]keys.KEKState{}
	for _, r := range storetest.Dump(t.Context(), t, store) {
		if r.KEK != nil {
			all[r.KEK.ID] = r.KEK.State
		}
	}
	return all
}

func TestRestoredKEKsSealNothingAndClosedOnesStayClosed(t *testing.T) {
	site, at := newIdentity(t, "a"), time.Now()
	active, old, closed := kekRow(t, site, "b", keys.Active, at), kekRow(t, site, "b", keys.ReadOnly, at), kekRow(t, site, "b", keys.Closed, at)
	rows := rowsOf{trustRow(t, keys.NewTrustList(site, at), site), active, old, closed}
	store, done, err := restore(t, write(t, rows, authorOf(site)), site, backup.Owner{Identity: site})
	if err != nil {
		t.Fatal(err)
	}
	got := states(t, store)
	for _, c := range []struct {
		row  metadata.Row
		want keys.KEKState
	}{{active, keys.ReadOnly}, {old, keys.ReadOnly}, {closed, keys.Closed}} {
		if got[c.row.KEK.ID] != c.want {
			t.Errorf("KEK that was %v is %v, want %v", c.row.KEK.State, got[c.row.KEK.ID], c.want)
		}
	}
	if done.Closed != 0 || done.TrustFromFile || done.TrustNumber != 1 {
		t.Errorf("%+v", done)
	}
	if _, err := store.ActiveKEK(t.Context(), "b", site.ID()); !errors.Is(err, keys.ErrKEKNotFound) {
		t.Errorf("active KEK: %v, want none", err)
	}
}

func TestASiteThatLeftAfterTheBackupStaysOut(t *testing.T) {
	site, leaver, at := newIdentity(t, "a"), newIdentity(t, "l"), time.Now().Add(-time.Hour)
	then := keys.NewTrustList(site, at)
	if err := then.Trust(leaver.Card(), "b", keys.Member, at); err != nil {
		t.Fatal(err)
	}
	now := then.Clone()
	if err := now.Distrust(leaver.ID(), "b", at.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	known := kekRow(t, site, "b", keys.Active, at)
	elsewhere := kekRow(t, site, "other", keys.Active, at)
	rows := rowsOf{trustRow(t, then, site), known, elsewhere}
	f := write(t, rows, authorOf(site))

	store, done, err := restore(t, f, site, backup.Owner{Identity: site, TrustList: signed(t, now, site)})
	if err != nil {
		t.Fatal(err)
	}
	number, doc, err := store.TrustList(t.Context())
	if err != nil || number != now.Number() || !bytes.Equal(doc, signed(t, now, site)) || !done.TrustFromFile {
		t.Errorf("trust list %d, %v, %+v", number, err, done)
	}
	got := states(t, store)
	if got[known.KEK.ID] != keys.Closed || got[elsewhere.KEK.ID] != keys.ReadOnly || done.Closed != 1 {
		t.Errorf("states %v, %+v", got, done)
	}

	// Without the file the backup's list is the newest there is; the backup's own list may also be the newer one.
	store, done, err = restore(t, f, site, backup.Owner{Identity: site})
	if err != nil || done.TrustFromFile || states(t, store)[known.KEK.ID] != keys.ReadOnly {
		t.Errorf("%+v, %v", done, err)
	}
	_, done, err = restore(t, write(t, rowsOf{trustRow(t, now, site), known}, authorOf(site)), site, backup.Owner{Identity: site, TrustList: signed(t, then, site)})
	if err != nil || done.TrustFromFile || done.TrustNumber != now.Number() || done.Closed != 1 {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestTwoTrustListsOfOneNumberAreNotChosenFrom(t *testing.T) {
	site, at := newIdentity(t, "a"), time.Now()
	one, two := keys.NewTrustList(site, at), keys.NewTrustList(site, at)
	for i, list := range []*keys.TrustList{one, two} {
		if err := list.Trust(newIdentity(t, "m").Card(), []string{"b", "c"}[i], keys.Member, at); err != nil {
			t.Fatal(err)
		}
	}
	store, _, err := restore(t, write(t, rowsOf{trustRow(t, one, site), record("k")}, authorOf(site)), site,
		backup.Owner{Identity: site, TrustList: signed(t, two, site)})
	if !errors.Is(err, keys.ErrKEKConflict) {
		t.Errorf("error %v", err)
	}
	sameRows(t, storetest.Dump(t.Context(), t, store), nil)
	other := newIdentity(t, "o")
	_, _, err = restore(t, write(t, rowsOf{trustRow(t, keys.NewTrustList(other, at), other)}, authorOf(site)), site, backup.Owner{Identity: site})
	if err == nil {
		t.Error("took another site's trust list")
	}
}

func TestARecoveryIdentityRestoresWhatIsSealedToNobody(t *testing.T) {
	site, at := newIdentity(t, "a"), time.Now()
	recovery, err := keys.GenerateRecoveryIdentity("safe")
	if err != nil {
		t.Fatal(err)
	}
	tomb := record("dead")
	tomb.Record.Tombstoned = tomb.Record.Committed.Add(time.Second)
	guard := metadata.Row{Guard: &metadata.BucketGuard{Bucket: "b", Since: at.UTC().Truncate(time.Microsecond)}}
	event := metadata.Row{Audit: &metadata.AuditEvent{ID: 9, At: at.UTC().Truncate(time.Microsecond), Action: "kek.made"}}
	rows := rowsOf{
		trustRow(t, keys.NewTrustList(site, at), site), kekRow(t, site, "b", keys.Active, at),
		{Credential: &metadata.Credential{AccessKeyID: "AK", SealedSecret: []byte("sealed to the site")}}, guard, record("k"), tomb,
		{Upload: &metadata.Upload{ID: "u", State: metadata.UploadOpen}}, event,
	}
	f := write(t, rows, authorOf(site, recovery.Card()))
	store, done, err := restore(t, f, site, backup.Owner{Identity: recovery, TrustList: signed(t, keys.NewTrustList(recovery, at), recovery)})
	if err != nil {
		t.Fatal(err)
	}
	sameRows(t, storetest.Dump(t.Context(), t, store), []metadata.Row{guard, rows[4], tomb, event})
	if done.Left[metadata.KEKRow] != 1 || done.Left[metadata.CredentialRow] != 1 || done.Left[metadata.UploadRow] != 1 || done.TrustNumber != 0 {
		t.Errorf("%+v", done)
	}
}

func TestRestoreNeedsAnEmptyStoreOrAWord(t *testing.T) {
	site := newIdentity(t, "a")
	f := write(t, rowsOf{record("k")}, authorOf(site))
	m := manifestOf(t, f, site)
	store := openSQLite(t)
	if err := store.AddAudit(t.Context(), metadata.AuditEvent{Action: "a"}); err != nil {
		t.Fatal(err)
	}
	before := storetest.Dump(t.Context(), t, store)
	owner := backup.Owner{Identity: site, Now: time.Now}
	if _, err := backup.Restore(t.Context(), store, f, m, owner, false); !errors.Is(err, metadata.ErrNotEmpty) {
		t.Errorf("error %v", err)
	}
	sameRows(t, storetest.Dump(t.Context(), t, store), before)
	if _, err := backup.Restore(t.Context(), store, f, m, owner, true); err != nil {
		t.Error(err)
	}
	sameRows(t, storetest.Dump(t.Context(), t, store), read(t, f, site, site))
}
