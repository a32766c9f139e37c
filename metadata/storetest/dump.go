package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cofre/keys"
	"cofre/metadata"
)

// Dump gives all rows of a store.
func Dump(ctx context.Context, tb testing.TB, store metadata.Store) []metadata.Row {
	tb.Helper()
	var rows []metadata.Row
	err := store.Dump(ctx, func(r metadata.Row) error {
		rows = append(rows, r)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return rows
}

// Rows gives rows one by one, as Load takes them.
func Rows(rows []metadata.Row) func() (metadata.Row, error) {
	return func() (metadata.Row, error) {
		if len(rows) == 0 {
			return metadata.Row{}, io.EOF
		}
		r := rows[0]
		rows = rows[1:]
		return r, nil
	}
}

// RowName tells a row from all others of a store.
func RowName(r metadata.Row) string {
	switch {
	case r.KEK != nil:
		return fmt.Sprintf("kek %v", r.KEK.ID)
	case r.Credential != nil:
		return fmt.Sprintf("credential %q", r.Credential.AccessKeyID)
	case r.Guard != nil:
		return fmt.Sprintf("guard %q", r.Guard.Bucket)
	case r.Record != nil:
		return fmt.Sprintf("record %q %q %q %x", r.Record.Bucket, r.Record.Key, r.Record.VersionID, r.Record.Envelope)
	case r.Upload != nil:
		return fmt.Sprintf("upload %q", r.Upload.ID)
	case r.UploadPart != nil:
		return fmt.Sprintf("part %q %d %x", r.UploadPart.UploadID, r.UploadPart.Number, r.UploadPart.Attempt)
	case r.Job != nil:
		return fmt.Sprintf("job %q", r.Job.ID)
	case r.Staged != nil:
		return fmt.Sprintf("staged %v %d %q", r.Staged.To, r.Staged.Kind, r.Staged.ID)
	case r.Audit != nil:
		return fmt.Sprintf("audit %d", r.Audit.ID)
	}
	return string(r.Kind())
}

// SortRows puts rows in an order that does not depend on the store.
func SortRows(rows []metadata.Row) []metadata.Row {
	slices.SortFunc(rows, func(a, b metadata.Row) int { return strings.Compare(RowName(a), RowName(b)) })
	return rows
}

func (s *suite) dump() []metadata.Row { return SortRows(Dump(s.ctx, s.T, s.store)) }

// populate writes rows of every kind, in every state that there is.
func (s *suite) populate() {
	s.Helper()
	s.must(s.store.SetTrustList(s.ctx, 7, randomBytes(300)))
	for i := range 4 {
		k := s.addKEK(s.kek(random[keys.SiteID](), keys.KEKState(1+i%3)))
		_, err := s.store.CountKEK(s.ctx, k.Bucket, k.ID, int64(i))
		s.must(err)
	}
	for _, id := range []string{"AKIA", "\xff\x00"} {
		s.must(s.store.AddCredential(s.ctx, credential(id)))
	}
	_, err := s.store.GuardBucket(s.ctx, "guarded\xff")
	s.must(err)
	s.populateRecords()
	s.populateUploads()
	for i, kind := range []string{"a", "b", "c"} {
		job := metadata.Job{ID: "job" + kind, Kind: kind, Bucket: s.bucket, Parameters: []byte(`{"p":1}`), Progress: []byte(`{}`)}
		s.must(s.store.AddJob(s.ctx, job))
		if i > 0 {
			job, err := s.store.TakeJob(s.ctx, job.ID, "lease")
			s.must(err)
			job.State, job.Message, job.Progress = metadata.JobState(1+i), "because \xff", []byte(`{"at":3}`)
			_, err = s.store.UpdateJob(s.ctx, job)
			s.must(err)
		}
	}
	s.must(s.store.StageSealed(s.ctx, random[keys.SiteID](), metadata.SealedRow{Kind: metadata.SealedCredential, ID: "AKIA", Sealed: []byte("s")}, []byte("n")))
	for i := range 3 {
		s.must(s.store.AddAudit(s.ctx, metadata.AuditEvent{Actor: "a\xff", Action: "kek.made", Bucket: "b", Subject: fmt.Sprint(i), Detail: "\x00"}))
	}
	s.must(s.store.SetNote(s.ctx, "n", []byte(`{}`)))
}

func (s *suite) populateRecords() {
	s.Helper()
	for i, key := range append(oddKeys(), manyKeys(30)...) {
		rec := s.record(key)
		switch i % 4 {
		case 1:
			rec.Parts = parts(i)
		case 2:
			rec.Checksum, rec.ContentType = metadata.Checksum{}, ""
		case 3: // two versions that carry one envelope
			rec.Parts = parts(3)
			rec.VersionID = "v1\xff"
			s.must(s.store.Add(s.ctx, rec, metadata.Healed))
			rec.VersionID = "v2"
		}
		s.add(rec, metadata.Committed)
	}
	old := s.add(s.record("replaced"), metadata.Committed)
	rec := s.record("replaced")
	rec.Began = s.later(old.Committed)
	s.add(rec, metadata.Committed)
	s.dead(old)
}

func (s *suite) populateUploads() {
	s.Helper()
	for i, state := range []metadata.UploadState{metadata.UploadOpen, metadata.UploadCompleting, metadata.UploadCompleted} {
		up := s.upload(fmt.Sprintf("key%d\xff", i))
		up.SealedDEK = randomBytes(1200)
		s.must(s.store.CreateUpload(s.ctx, up))
		for n := range 4 {
			s.must(s.store.AddPart(s.ctx, up.ID, uploadPart(1+n/2)))
		}
		if state >= metadata.UploadCompleting {
			s.must(s.store.SetIntent(s.ctx, up.ID, []byte(`{"parts":[1]}`)))
		}
		if state == metadata.UploadCompleted {
			rec := s.record(up.Key)
			rec.Parts = parts(2)
			s.must(s.store.FinishUpload(s.ctx, up.ID, []byte(`{"etag":"e"}`), rec))
		}
	}
}

// dumpTests are those of Dump, Load and notes. Each begins with two empty stores.
var dumpTests = map[string]func(*suite){
	"LoadedStoreHasTheSameRows": func(s *suite) {
		s.populate()
		rows := s.dump()
		kinds := map[metadata.RowKind]bool{}
		for _, r := range rows {
			kinds[r.Kind()] = true
		}
		s.equal(len(kinds), 10)
		s.must(s.other.Load(s.ctx, false, Rows(Dump(s.ctx, s.T, s.store))))
		s.equal(SortRows(Dump(s.ctx, s.T, s.other)), rows)
		_, err := s.other.Note(s.ctx, "n")
		s.wantErr(err, metadata.ErrNotFound)
	},
	"DumpIsInTheOrderOfItsKinds": func(s *suite) {
		s.populate()
		order := []metadata.RowKind{metadata.TrustListRow, metadata.KEKRow, metadata.CredentialRow, metadata.GuardRow, metadata.RecordRow,
			metadata.UploadRow, metadata.UploadPartRow, metadata.JobRow, metadata.StagedRow, metadata.AuditRow}
		at := 0
		for _, r := range Dump(s.ctx, s.T, s.store) {
			now := slices.Index(order, r.Kind())
			if now < at {
				s.Fatalf("%s behind %s", r.Kind(), order[at])
			}
			at = now
		}
	},
	"DumpOfAnEmptyStoreIsEmpty": func(s *suite) {
		s.equal(len(s.dump()), 0)
		s.must(s.store.Load(s.ctx, false, Rows(nil)))
	},
	"DumpIsOfOneMomentWhileOthersWrite": func(s *suite) {
		// The writer adds a, then b, each in a transaction of its own, many times: no moment has a b without its a.
		ctx, stop := context.WithCancel(s.ctx)
		var writer sync.WaitGroup
		var written atomic.Int64
		writer.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				a, b := s.record(fmt.Sprintf("b/%08d", i)), s.record(fmt.Sprintf("a/%08d", i))
				s.must(s.store.Add(s.ctx, a, metadata.Committed))
				s.must(s.store.Add(s.ctx, b, metadata.Committed))
				written.Add(1)
			}
		})
		defer writer.Wait()
		defer stop()
		for written.Load() < 20 {
			time.Sleep(time.Millisecond)
		}
		for range 5 {
			before := written.Load()
			seen := map[string]bool{}
			s.must(s.store.Dump(s.ctx, func(r metadata.Row) error {
				seen[r.Record.Key] = true
				return nil
			}))
			for key := range seen {
				if n, isB := strings.CutPrefix(key, "a/"); isB && !seen["b/"+n] {
					s.Fatalf("the dump has row %s and not the one written before it", key)
				}
			}
			if int64(len(seen)) < 2*before {
				s.Fatalf("%d rows in a dump after %d were written", len(seen), 2*before)
			}
		}
	},
	"DumpEndsWithItsVisitor": func(s *suite) {
		s.populate()
		stop := errors.New("stop")
		err := s.store.Dump(s.ctx, func(metadata.Row) error { return stop })
		if err != stop { //nolint:errorlint // as it is: that is the contract
			s.Errorf("error %v", err)
		}
		s.dump() // nothing is stuck
	},
	"LoadRefusesAStoreThatHasAnyRow": func(s *suite) {
		s.populate()
		seen := map[metadata.RowKind]bool{}
		for _, r := range Dump(s.ctx, s.T, s.store) {
			if seen[r.Kind()] || r.UploadPart != nil {
				continue
			}
			seen[r.Kind()] = true
			s.must(s.other.Load(s.ctx, true, Rows([]metadata.Row{r})))
			s.wantErr(s.other.Load(s.ctx, false, Rows(nil)), metadata.ErrNotEmpty)
			s.equal(Dump(s.ctx, s.T, s.other), []metadata.Row{r})
		}
	},
	"LoadThatFailsLeavesTheStoreAsItWas": func(s *suite) {
		s.populate()
		rows := s.dump()
		broken := errors.New("broken")
		for _, n := range []int{0, 1, len(rows) / 2, len(rows)} {
			next := Rows(Dump(s.ctx, s.T, s.store)[:n])
			err := s.store.Load(s.ctx, true, func() (metadata.Row, error) {
				r, err := next()
				if err != nil {
					err = broken
				}
				return r, err
			})
			if err != broken { //nolint:errorlint // as it is: that is the contract
				s.Fatalf("error %v", err)
			}
			s.equal(s.dump(), rows)
		}
		twice := Dump(s.ctx, s.T, s.store)
		if err := s.store.Load(s.ctx, true, Rows(append(twice, twice[len(twice)-1]))); err == nil {
			s.Error("took one row twice")
		}
		if err := s.store.Load(s.ctx, true, Rows([]metadata.Row{{}})); err == nil {
			s.Error("took an empty row")
		}
		s.equal(s.dump(), rows)
		s.must(s.store.Add(s.ctx, s.record("after"), metadata.Committed)) // nothing is stuck
	},
	"LoadReplacesWhatWasThere": func(s *suite) {
		s.populate()
		rows := Dump(s.ctx, s.T, s.store)
		s.must(s.store.Add(s.ctx, s.record("gone"), metadata.Committed))
		s.must(s.store.Load(s.ctx, true, Rows(rows)))
		s.equal(s.dump(), SortRows(rows))
	},
	"LoadedTombstonesHoldAndNewOnesAreMade": func(s *suite) {
		old := s.add(s.record("k"), metadata.Committed)
		rec := s.record("k")
		rec.Began = s.later(old.Committed)
		rec = s.add(rec, metadata.Committed)
		rows := Dump(s.ctx, s.T, s.store)
		other := newSuite(s.T, s.other)
		other.bucket = s.bucket
		s.must(other.store.Load(s.ctx, false, Rows(rows)))
		other.dead(old)
		other.live(rec)
		next := other.record("k")
		next.Began = other.later(rec.Committed)
		next = other.add(next, metadata.Committed)
		other.dead(rec)
		if !next.Committed.After(rec.Committed) {
			s.Errorf("committed %v, not after %v", next.Committed, rec.Committed)
		}
	},
	"AuditGoesOnBehindWhatWasLoaded": func(s *suite) {
		e := metadata.AuditEvent{ID: 41, At: s.store.Now(), Actor: "a", Action: "kek.made"}
		s.must(s.store.Load(s.ctx, false, Rows([]metadata.Row{{Audit: &e}})))
		s.must(s.store.AddAudit(s.ctx, metadata.AuditEvent{Action: "kek.closed"}))
		found, err := s.store.Audit(s.ctx, metadata.AuditFilter{}, 10)
		s.must(err)
		if len(found) != 2 || found[0].ID != 41 || found[1].ID <= 41 || found[1].Action != "kek.closed" {
			s.Errorf("%+v", found)
		}
	},
	"NotesAreTheLastOnesLeft": func(s *suite) {
		_, err := s.store.Note(s.ctx, "n")
		s.wantErr(err, metadata.ErrNotFound)
		before := s.store.Now()
		for _, text := range []string{"1", "", "3"} {
			s.must(s.store.SetNote(s.ctx, "n\xff", []byte(text)))
		}
		s.must(s.store.SetNote(s.ctx, "m", []byte("4")))
		n, err := s.store.Note(s.ctx, "n\xff")
		s.must(err)
		if !bytes.Equal(n.Text, []byte("3")) || n.At.Before(before) || n.At.Location() != time.UTC {
			s.Errorf("%q at %v", n.Text, n.At)
		}
		s.must(s.store.DropNote(s.ctx, "n\xff"))
		s.must(s.store.DropNote(s.ctx, "n\xff"))
		_, err = s.store.Note(s.ctx, "n\xff")
		s.wantErr(err, metadata.ErrNotFound)
		s.equal(len(s.dump()), 0)
	},
}
