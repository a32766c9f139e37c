package storetest

import (
	"context"
	"errors"
	"strings"

	"cofre/checksum"
	"cofre/metadata"
)

func isError(err, want error) bool { return errors.Is(err, want) }

// oddKeys are pairwise different keys that something between client and disk might confuse, cut or refuse.
func oddKeys() []string {
	return []string{
		"a", "a/", "a//b", "a/b", "a/./b", "a/../b", "/a", "a\x00", "a\x00b", "\x00", "\xff", "\xff\xff", "a\xffb",
		"\u00e9", "e\u0301", "\u212b", "\u00c5", "%41", "A", " ", "a ", "+", "\n", "\r\n", "\\x61", `"'`, "{}",
		"\ufffd", "\xed\xa0\x80", "\xf4\x90\x80\x80",
		strings.Repeat("k", 1024), strings.Repeat("\xff", 1024), strings.Repeat("\x00", 1024),
		string(randomBytes(1024)), strings.Repeat("\U0001f511", 256),
	}
}

var recordTests = map[string]func(*suite){
	"AddThenLatestAndByEnvelopeGiveItBack": func(s *suite) {
		full := s.version("full", "v1")
		full.Parts = parts(3)
		full.Checksum = metadata.Checksum{Algorithm: checksum.SHA256, Type: checksum.Composite, Value: randomBytes(32)}
		bare := metadata.Record{Bucket: s.bucket, Key: "bare", VersionID: metadata.NullVersion, Began: s.store.Now()}
		partless := s.record("no MD5")
		partless.Parts = []metadata.Part{{Number: 1, Size: 0}, {Number: 10000, Size: 5 << 40}}
		for _, want := range []metadata.Record{full, bare, partless} {
			for _, origin := range []metadata.Origin{metadata.Committed, metadata.Healed} {
				want.Bucket = s.bucket + unique()
				s.must(s.store.Add(s.ctx, want, origin))
				s.asAdded(s.byEnvelope(want), want)
				got, err := s.store.Latest(s.ctx, want.Bucket, want.Key, "")
				s.must(err)
				s.asAdded(got, want)
				got, err = s.store.Latest(s.ctx, want.Bucket, want.Key, want.VersionID)
				s.must(err)
				s.asAdded(got, want)
			}
		}
	},
	"BeganMayBeUnknown": func(s *suite) {
		want := s.record("k")
		want.Began = metadata.Record{}.Began
		if got := s.add(want, metadata.Healed); !got.Began.IsZero() {
			s.Errorf("began %v, want the zero time", got.Began)
		}
	},
	"WhatIsNotThereIsNotFound": func(s *suite) {
		rec := s.add(s.version("k", "v1"), metadata.Committed)
		for name, get := range map[string]func() (metadata.Record, error){
			"key":     func() (metadata.Record, error) { return s.store.Latest(s.ctx, s.bucket, "K", "") },
			"prefix":  func() (metadata.Record, error) { return s.store.Latest(s.ctx, s.bucket, "", "") },
			"bucket":  func() (metadata.Record, error) { return s.store.Latest(s.ctx, s.bucket+"2", "k", "") },
			"null":    func() (metadata.Record, error) { return s.store.Latest(s.ctx, s.bucket, "k", metadata.NullVersion) },
			"version": func() (metadata.Record, error) { return s.store.Latest(s.ctx, s.bucket, "k", "v1\x00") },
			"envelope": func() (metadata.Record, error) {
				other := rec.Envelope
				other[metadata.EnvelopeSize-1] ^= 1
				return s.store.ByEnvelope(s.ctx, s.bucket, "k", other)
			},
			"key of envelope":    func() (metadata.Record, error) { return s.store.ByEnvelope(s.ctx, s.bucket, "K", rec.Envelope) },
			"bucket of envelope": func() (metadata.Record, error) { return s.store.ByEnvelope(s.ctx, "b", "k", rec.Envelope) },
		} {
			if got, err := get(); !errors.Is(err, metadata.ErrNotFound) || errors.Is(err, metadata.ErrUnavailable) {
				s.Errorf("other %s: %v, %v; want ErrNotFound", name, got, err)
			}
		}
	},
	"KeysAreBytes": func(s *suite) {
		added := make(map[string]metadata.Record)
		for _, key := range oddKeys() {
			rec := s.record(key)
			rec.BackendETag, rec.ETag, rec.ContentType = key, key, key // as raw as keys, though shorter in real life
			rec.BackendETag, rec.ETag = rec.BackendETag[:min(len(key), 64)], rec.ETag[:min(len(key), 64)]
			added[key] = rec
			s.must(s.store.Add(s.ctx, rec, metadata.Committed))
		}
		if len(added) != len(oddKeys()) {
			s.Fatalf("%d of %d odd keys differ", len(added), len(oddKeys()))
		}
		for key, rec := range added {
			got, err := s.store.Latest(s.ctx, s.bucket, key, "")
			if err != nil {
				s.Errorf("latest of %.40q: %v", key, err)
				continue
			}
			s.asAdded(got, rec)
		}
	},
	"VersionsAndBucketsAreBytes": func(s *suite) {
		for _, odd := range []string{"\x00", "\xff", "v\x00", strings.Repeat("\xff", 64)} {
			rec := s.version("k", odd)
			rec.Bucket += odd
			s.must(s.store.Add(s.ctx, rec, metadata.Committed))
			got, err := s.store.Latest(s.ctx, rec.Bucket, "k", odd)
			s.must(err)
			s.asAdded(got, rec)
		}
	},
	"LatestIsTheOneCommittedLast": func(s *suite) {
		v1, v2 := s.version("k", "v2"), s.version("k", "v1")
		s.must(s.store.Add(s.ctx, v1, metadata.Committed))
		s.later(s.byEnvelope(v1).Committed)
		s.must(s.store.Add(s.ctx, v2, metadata.Committed))
		for version, want := range map[string]metadata.Record{"": v2, "v2": v1, "v1": v2} {
			got, err := s.store.Latest(s.ctx, s.bucket, "k", version)
			s.must(err)
			s.asAdded(got, want)
		}
	},
	"LatestNeverGivesATombstone": func(s *suite) {
		first := s.add(s.version("k", "v1"), metadata.Committed)
		second := s.add(s.version("k", "v2"), metadata.Committed)
		began := s.later(second.Committed)
		s.must(s.store.Tombstone(s.ctx, metadata.Deletion{Bucket: s.bucket, Key: "k", VersionID: "v2", Began: began}))
		got, err := s.store.Latest(s.ctx, s.bucket, "k", "")
		s.must(err)
		s.equal(got, first)
		_, err = s.store.Latest(s.ctx, s.bucket, "k", "v2")
		s.wantErr(err, metadata.ErrNotFound)
	},
	"ByEnvelopePrefersTheLiveRow": func(s *suite) {
		// A copy restored with its envelope carries it under another version.
		one := s.version("k", "v1")
		two := one
		two.VersionID = "v2"
		s.must(s.store.Add(s.ctx, one, metadata.Committed))
		s.later(s.byEnvelope(one).Committed)
		s.must(s.store.Add(s.ctx, two, metadata.Healed))
		if got := s.byEnvelope(one); got.VersionID != "v2" {
			s.Errorf("version %q of two live rows, want the one committed last", got.VersionID)
		}
		began := s.later(s.byEnvelope(one).Committed)
		s.must(s.store.Tombstone(s.ctx, metadata.Deletion{Bucket: s.bucket, Key: "k", VersionID: "v2", Began: began}))
		if got := s.byEnvelope(one); got.VersionID != "v1" || !got.Tombstoned.IsZero() {
			s.Errorf("version %q, tombstoned %v; want the live row", got.VersionID, got.Tombstoned)
		}
	},
	"KnownCountsTombstonesToo": func(s *suite) {
		rec := s.add(s.version("k", "v1"), metadata.Committed)
		known := func(bucket, key, version string, want bool) {
			s.Helper()
			got, err := s.store.Known(s.ctx, bucket, key, version)
			s.must(err)
			if got != want {
				s.Errorf("known %q %q %q: %v", bucket, key, version, got)
			}
		}
		known(s.bucket, "k", "v1", true)
		s.must(s.store.Tombstone(s.ctx, metadata.Deletion{Bucket: s.bucket, Key: "k", VersionID: "v1", Began: s.later(rec.Committed)}))
		s.dead(rec)
		known(s.bucket, "k", "v1", true)
		known(s.bucket, "k", metadata.NullVersion, false)
		known(s.bucket, "K", "v1", false)
		known(s.bucket+"2", "k", "v1", false)
	},
	"AddAgainChangesNothing": func(s *suite) {
		first := s.record("k")
		first.Parts = parts(2)
		want := s.add(first, metadata.Committed)
		again := first
		again.Size, again.ETag, again.BackendETag, again.Parts = 7, "other", "other", parts(3)
		s.later(want.Committed)
		for _, origin := range []metadata.Origin{metadata.Committed, metadata.Healed} {
			s.equal(s.add(again, origin), want)
		}
	},
	"OneEnvelopeMayStandUnderSeveralKeys": func(s *suite) {
		a, b := s.record("a"), s.record("b")
		b.Envelope = a.Envelope
		b.Size = a.Size + 1
		s.must(s.store.Add(s.ctx, a, metadata.Committed))
		s.must(s.store.Add(s.ctx, b, metadata.Committed))
		s.asAdded(s.byEnvelope(a), a)
		s.asAdded(s.byEnvelope(b), b)
	},
	"TenThousandParts": func(s *suite) {
		rec := s.record("k")
		rec.Parts = parts(10000)
		s.asAdded(s.add(rec, metadata.Committed), rec)
	},
	"UnknownChecksumTypeIsRefused": func(s *suite) {
		rec := s.record("k")
		rec.Checksum.Type = "HALF_OBJECT"
		if err := s.store.Add(s.ctx, rec, metadata.Committed); err == nil {
			s.Error("added a checksum type that cannot be given back")
		}
		rec = s.record("k")
		rec.Parts = parts(2)
		rec.Parts[1].Checksum.Type = "HALF_OBJECT"
		if err := s.store.Add(s.ctx, rec, metadata.Committed); err == nil {
			s.Error("added a part's checksum type that cannot be given back")
		}
		_, err := s.store.ByEnvelope(s.ctx, s.bucket, "k", rec.Envelope)
		s.wantErr(err, metadata.ErrNotFound) // not half of it either
	},
	"NowNeverRunsAhead": func(s *suite) {
		for range 20 {
			before := s.store.Now()
			rec := s.add(s.record("k"), metadata.Committed)
			if rec.Committed.Before(before) {
				s.Fatalf("committed %v, though the store's clock had reached %v", rec.Committed, before)
			}
		}
	},
	"EndedContextIsNoAnswer": func(s *suite) {
		rec := s.add(s.record("k"), metadata.Committed)
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		_, err := s.store.ByEnvelope(ctx, s.bucket, "absent", rec.Envelope)
		if err == nil || errors.Is(err, metadata.ErrNotFound) {
			s.Errorf("error %v, want one that says nothing of the row", err)
		}
		if err := s.store.Add(ctx, s.record("k"), metadata.Committed); err == nil {
			s.Error("added under an ended context")
		}
		s.must(s.store.Add(s.ctx, s.record("k"), metadata.Committed)) // and nothing is stuck
	},
}
