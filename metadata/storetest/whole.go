package storetest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-cmp/cmp/cmpopts"

	"cofre/keys"
	"cofre/metadata"
)

func credential(id string) metadata.Credential {
	return metadata.Credential{
		AccessKeyID: id, SealedSecret: randomBytes(60), Description: "research group 7 \u00e9 \x00\xff", BackendUser: "tenant$user",
		Grants: []byte(`[{"bucket":"*"}]`),
	}
}

// wholeTests are those of what stands alone in a store, and of its end.
var wholeTests = map[string]func(*suite){
	"TrustListNumbersOnlyRise": func(s *suite) {
		_, _, err := s.store.TrustList(s.ctx)
		s.wantErr(err, keys.ErrNoTrustList)
		for _, step := range []struct {
			number uint64
			taken  bool
		}{{3, true}, {3, false}, {2, false}, {0, false}, {4, true}, {1 << 40, true}, {5, false}, {math.MaxInt64, true}} {
			before, held, _ := s.store.TrustList(s.ctx)
			doc := randomBytes(100)
			err := s.store.SetTrustList(s.ctx, step.number, doc)
			if step.taken {
				s.must(err)
				before, held = step.number, doc
			} else {
				s.wantErr(err, keys.ErrKEKConflict)
			}
			number, dsse, err := s.store.TrustList(s.ctx)
			s.must(err)
			s.equal(number, before)
			s.equal(dsse, held)
		}
		if err := s.store.SetTrustList(s.ctx, math.MaxUint64, nil); err == nil {
			s.Error("took a number that no column can hold")
		}
	},
	"AuditKeepsEventsInTheirOrder": func(s *suite) {
		events := []metadata.AuditEvent{
			{Actor: "serve\x00\xff", Action: "kek.made", Bucket: "b1", Subject: "k1", Detail: "d\xff"},
			{Actor: "a", Action: "kek.closed", Bucket: "b2", Subject: "k2"},
			{Action: "trust.changed"},
			{Actor: "a", Action: "kek.closed", Bucket: "b1", Subject: "k1"},
		}
		for _, e := range events {
			s.must(s.store.AddAudit(s.ctx, e))
		}
		found, err := s.store.Audit(s.ctx, metadata.AuditFilter{}, 100)
		s.must(err)
		s.equal(found, events, cmpopts.IgnoreFields(metadata.AuditEvent{}, "ID", "At"))
		for i := 1; i < len(found); i++ {
			if found[i].ID <= found[i-1].ID || found[i].At.Before(found[i-1].At) || found[i].At.IsZero() {
				s.Errorf("event %d is %+v, before it %+v", i, found[i], found[i-1])
			}
		}
		for name, c := range map[string]struct {
			want  metadata.AuditFilter
			limit int
			found []metadata.AuditEvent
		}{
			"a page":        {metadata.AuditFilter{}, 2, found[:2]},
			"the next page": {metadata.AuditFilter{After: found[1].ID}, 2, found[2:]},
			"one bucket":    {metadata.AuditFilter{Bucket: "b2"}, 100, found[1:2]},
			"since":         {metadata.AuditFilter{Since: found[2].At}, 100, found[2:]},
			"nothing":       {metadata.AuditFilter{Bucket: "b"}, 100, nil},
		} {
			got, err := s.store.Audit(s.ctx, c.want, c.limit)
			s.must(err)
			if len(got) > 0 || len(c.found) > 0 {
				s.Log(name)
				s.equal(got, c.found)
			}
		}
	},
	"TrustListMayBeginAtZero": func(s *suite) {
		s.must(s.store.SetTrustList(s.ctx, 0, []byte("d")))
		number, _, err := s.store.TrustList(s.ctx)
		s.must(err)
		s.equal(number, uint64(0))
	},
	"TrustListRaceIsWonByTheHighest": func(s *suite) {
		var workers sync.WaitGroup
		for i := range 8 {
			workers.Go(func() {
				err := s.store.SetTrustList(s.ctx, uint64(i), fmt.Append(nil, i))
				if err != nil && !errors.Is(err, keys.ErrKEKConflict) {
					s.Errorf("set trust list: %v", err)
				}
			})
		}
		workers.Wait()
		number, dsse, err := s.store.TrustList(s.ctx)
		s.must(err)
		s.equal(number, uint64(7))
		s.equal(string(dsse), "7")
	},
	"Credentials": func(s *suite) {
		got, err := s.store.Credentials(s.ctx)
		s.must(err)
		s.equal(got, []metadata.Credential{})

		before := s.store.Now()
		var want []metadata.Credential
		for _, id := range []string{"b", "a", "\xff", "a\x00", "AKIA", strings.Repeat("x", 128)} {
			c := credential(id)
			c.Disabled = id == "a"
			s.must(s.store.AddCredential(s.ctx, c))
			s.must(s.store.AddCredential(s.ctx, c)) // the same one again
			want = append(want, c)
		}
		bare := metadata.Credential{AccessKeyID: "bare"}
		s.must(s.store.AddCredential(s.ctx, bare))
		want = append(want, bare)
		slices.SortFunc(want, func(a, b metadata.Credential) int { return strings.Compare(a.AccessKeyID, b.AccessKeyID) })
		got, err = s.store.Credentials(s.ctx)
		s.must(err)
		s.equal(got, want, cmpopts.IgnoreFields(metadata.Credential{}, "Created"))
		for _, c := range got {
			if c.Created.Before(before) {
				s.Errorf("created %v, want the store's time, at %v or later", c.Created, before)
			}
			one, err := s.store.Credential(s.ctx, c.AccessKeyID)
			s.must(err)
			s.equal(one, c)
		}

		s.wantErr(s.store.AddCredential(s.ctx, credential("b")), metadata.ErrConflict)
		for _, id := range []string{"", "A", "b\x00"} {
			_, err = s.store.Credential(s.ctx, id)
			s.wantErr(err, metadata.ErrNotFound)
		}
		s.must(s.store.DeleteCredential(s.ctx, "b"))
		s.must(s.store.DeleteCredential(s.ctx, "b"))
		_, err = s.store.Credential(s.ctx, "b")
		s.wantErr(err, metadata.ErrNotFound)
		s.must(s.store.AddCredential(s.ctx, credential("b")))
	},
	"IsHealthyFromTheStart": func(s *suite) {
		if !s.store.Healthy() {
			s.Error("a store that was just opened is not healthy")
		}
	},
	"ClosedStoreAnswersNothing": func(s *suite) {
		rec := s.add(s.record("k"), metadata.Committed)
		lock, err := s.store.LockKey(s.ctx, s.bucket, "k")
		s.must(err)
		s.must(s.store.Close())
		s.must(s.store.Close()) // twice is once
		s.wantErr(lock.Held(s.ctx), metadata.ErrLockLost)
		lock.Unlock()
		_, err = s.store.Latest(s.ctx, s.bucket, "k", "")
		if err == nil || errors.Is(err, metadata.ErrNotFound) {
			s.Errorf("latest: %v, want an error that says nothing of the row", err)
		}
		if err := s.store.Add(s.ctx, rec, metadata.Committed); err == nil {
			s.Error("a closed store added a record")
		}
	},
}
