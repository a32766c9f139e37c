package backup_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"cofre/checksum"
	"cofre/internal/longtest"
	"cofre/keys"
	"cofre/metadata"
	"cofre/metadata/postgres"
	"cofre/metadata/postgres/postgrestest"
	"cofre/metadata/storetest"
)

var (
	anyBytes  = rapid.SliceOfN(rapid.Byte(), 0, 40)
	anyString = rapid.Map(anyBytes, func(b []byte) string { return string(b) })
	// In steps that both stores hold.
	anyTime = rapid.Map(rapid.Int64Range(1, 4e15), func(us int64) time.Time { return time.UnixMicro(us).UTC() })
	maybe   = rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "none") {
			return time.Time{}
		}
		return anyTime.Draw(t, "time")
	})
	anyChecksum = rapid.Custom(func(t *rapid.T) metadata.Checksum {
		return metadata.Checksum{
			Algorithm: rapid.SampledFrom([]checksum.Algorithm{0, checksum.CRC32, checksum.SHA256, checksum.CRC64NVME}).Draw(t, "algorithm"),
			Type:      rapid.SampledFrom([]checksum.Type{"", checksum.FullObject, checksum.Composite}).Draw(t, "type"),
			Value:     anyBytes.Draw(t, "value"),
		}
	})
)

func fixed(t *rapid.T, dst []byte) {
	copy(dst, rapid.SliceOfN(rapid.Byte(), len(dst), len(dst)).Draw(t, "fixed"))
}

func anyRecord(t *rapid.T) metadata.Record {
	rec := metadata.Record{
		Bucket: anyString.Draw(t, "bucket"), Key: anyString.Draw(t, "key"), VersionID: anyString.Draw(t, "version"),
		BackendETag: anyString.Draw(t, "backend etag"), Size: rapid.Int64().Draw(t, "size"), ETag: anyString.Draw(t, "etag"),
		Checksum: anyChecksum.Draw(t, "checksum"), ContentType: anyString.Draw(t, "type"),
		Began: anyTime.Draw(t, "began"), Committed: anyTime.Draw(t, "committed"), Tombstoned: maybe.Draw(t, "tombstoned"),
	}
	fixed(t, rec.Envelope[:])
	for n := range rapid.IntRange(0, 3).Draw(t, "parts") {
		p := metadata.Part{Number: n + 1, Size: rapid.Int64().Draw(t, "size"), Checksum: anyChecksum.Draw(t, "checksum")}
		if rapid.Bool().Draw(t, "md5") {
			p.MD5 = randomBytes(16)
		}
		fixed(t, p.Salt[:])
		rec.Parts = append(rec.Parts, p)
	}
	return rec
}

// anyStore draws rows that a store can hold: names are unique, parts have an upload.
func anyStore(t *rapid.T) []metadata.Row {
	var rows []metadata.Row
	some := func(what string) int { return rapid.IntRange(0, 3).Draw(t, what) }
	if rapid.Bool().Draw(t, "trust list") {
		rows = append(rows, metadata.Row{TrustList: &metadata.StoredTrustList{Number: uint64(rapid.Int64Range(0, 1<<62).Draw(t, "number")), DSSE: anyBytes.Draw(t, "dsse")}})
	}
	for range some("KEKs") {
		k := metadata.CountedKEK{Sealed: rapid.Int64Range(0, 1<<62).Draw(t, "sealed"), StoredKEK: keys.StoredKEK{Bucket: anyString.Draw(t, "bucket"),
			Record: anyBytes.Draw(t, "record"), Grant: anyBytes.Draw(t, "grant"), State: keys.KEKState(rapid.IntRange(1, 3).Draw(t, "state")), Created: anyTime.Draw(t, "created")}}
		copy(k.ID[:], randomBytes(16)) // rapid draws the same again when it shrinks, and ids are unique
		copy(k.Creator[:], randomBytes(32))
		rows = append(rows, metadata.Row{KEK: &k})
	}
	for range some("credentials") {
		rows = append(rows, metadata.Row{Credential: &metadata.Credential{AccessKeyID: string(randomBytes(12)), SealedSecret: anyBytes.Draw(t, "secret"),
			Description: anyString.Draw(t, "description"), BackendUser: anyString.Draw(t, "user"), Grants: anyBytes.Draw(t, "grants"),
			Created: anyTime.Draw(t, "created"), Disabled: rapid.Bool().Draw(t, "disabled")}})
	}
	for range some("guards") {
		rows = append(rows, metadata.Row{Guard: &metadata.BucketGuard{Bucket: string(randomBytes(9)), Since: anyTime.Draw(t, "since")}})
	}
	for range some("records") {
		rec := anyRecord(t)
		rows = append(rows, metadata.Row{Record: &rec})
		if len(rec.Parts) > 0 && rapid.Bool().Draw(t, "shared") {
			twin := rec // another version with the same envelope
			twin.VersionID += "'"
			rows = append(rows, metadata.Row{Record: &twin})
		}
	}
	rows = append(rows, anyUploads(t, some("uploads"))...)
	for range some("jobs") {
		rows = append(rows, metadata.Row{Job: &metadata.Job{ID: string(randomBytes(9)), Kind: string(randomBytes(5)), Bucket: anyString.Draw(t, "bucket"),
			Parameters: anyBytes.Draw(t, "parameters"), Progress: anyBytes.Draw(t, "progress"), State: metadata.JobState(rapid.IntRange(1, 5).Draw(t, "state")),
			Message: anyString.Draw(t, "message"), Lease: anyString.Draw(t, "lease"), Cancelled: rapid.Bool().Draw(t, "cancelled"), Created: anyTime.Draw(t, "created"),
			Started: maybe.Draw(t, "started"), Updated: anyTime.Draw(t, "updated"), Ended: maybe.Draw(t, "ended")}})
	}
	for range some("staged") {
		s := metadata.StagedSeal{Kind: metadata.SealedKind(rapid.IntRange(1, 3).Draw(t, "kind")), ID: string(randomBytes(8)), Sealed: anyBytes.Draw(t, "sealed"), Next: anyBytes.Draw(t, "next")}
		fixed(t, s.To[:])
		rows = append(rows, metadata.Row{Staged: &s})
	}
	for i := range some("events") {
		rows = append(rows, metadata.Row{Audit: &metadata.AuditEvent{ID: int64(i + 1), At: anyTime.Draw(t, "at"), Actor: anyString.Draw(t, "actor"),
			Action: rapid.StringMatching(`[a-z.]{1,10}`).Draw(t, "action"), Bucket: anyString.Draw(t, "bucket"), Subject: anyString.Draw(t, "subject"), Detail: anyString.Draw(t, "detail")}})
	}
	return rows
}

func anyUploads(t *rapid.T, n int) (rows []metadata.Row) {
	var parts []metadata.Row
	for range n {
		up := metadata.Upload{ID: string(randomBytes(9)), Bucket: anyString.Draw(t, "bucket"), Key: anyString.Draw(t, "key"), SealedDEK: anyBytes.Draw(t, "dek"),
			Initiator: anyString.Draw(t, "initiator"), ChecksumAlgorithm: checksum.CRC32C, ChecksumType: checksum.Composite, ContentType: anyString.Draw(t, "type"),
			Attributes: anyBytes.Draw(t, "attributes"), State: metadata.UploadState(rapid.IntRange(1, 3).Draw(t, "state")), Intent: anyBytes.Draw(t, "intent"),
			Result: anyBytes.Draw(t, "result"), Created: anyTime.Draw(t, "created"), Completed: maybe.Draw(t, "completed")}
		fixed(t, up.Envelope[:])
		rows = append(rows, metadata.Row{Upload: &up})
		for number := range rapid.IntRange(0, 3).Draw(t, "parts") {
			p := metadata.PartOfUpload{UploadID: up.ID, UploadPart: metadata.UploadPart{Number: number + 1, Size: rapid.Int64().Draw(t, "size"),
				ETag: anyString.Draw(t, "etag"), BackendETag: anyString.Draw(t, "backend etag"), Checksum: anyChecksum.Draw(t, "checksum"), Committed: anyTime.Draw(t, "committed")}}
			fixed(t, p.Attempt[:])
			fixed(t, p.Salt[:])
			parts = append(parts, metadata.Row{UploadPart: &p})
		}
	}
	return append(rows, parts...)
}

// roundTrips loads any rows into one store, makes a backup of that, loads what it holds into the other, and compares.
func roundTrips(t *testing.T, from, to metadata.Store, rounds int) {
	site, recovery := newIdentity(t, "a"), newIdentity(t, "r")
	author := authorOf(site, recovery.Card())
	n := 0
	for round := range longtest.Rounds(t, rounds) {
		rows := rapid.Custom(anyStore).Example(round + 1)
		if err := from.Load(t.Context(), true, storetest.Rows(rows)); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		reader := site
		if round%2 == 1 {
			reader = recovery
		}
		held := read(t, write(t, from, author), site, reader)
		sameRows(t, held, rows)
		if err := to.Load(t.Context(), true, storetest.Rows(held)); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		sameRows(t, storetest.Dump(t.Context(), t, to), rows)
		n++
	}
	longtest.Figure(t, "stores backed up and restored row by row", n)
}

func TestAnyStoreComesBackAsItWas(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { roundTrips(t, openSQLite(t), openSQLite(t), 150) })
	t.Run("PostgreSQL", func(t *testing.T) { roundTrips(t, openPostgres(t), openPostgres(t), 4) })
	t.Run("SQLite to PostgreSQL", func(t *testing.T) { roundTrips(t, openSQLite(t), openPostgres(t), 4) })
}

func openPostgres(t *testing.T) metadata.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), postgrestest.Database(t), postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}
