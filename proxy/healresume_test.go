package proxy_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cofre/metadata/sqlite"
	"cofre/proxy"
)

// TestARebuildThatWasStoppedGoesOnWhereItWas stops the walk at every mark, goes on from it with a new process's handler, and finds each
// object read once and every version with its record, whatever page ends in the middle of a key.
func TestARebuildThatWasStoppedGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	s := newSite(t, rgwStorage(t), siteConfig{})
	b := s.bucket(t, "resume")
	s.version(t, b)
	const keys, versions = 9, 4
	for k := range keys {
		for v := range versions {
			if _, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: str(fmt.Sprintf("k%d", k)), Body: bytes.NewReader(pattern(10*k + v))}); err != nil {
				t.Fatal(err)
			}
		}
	}
	empty, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "empty.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = empty.Close() })
	for _, page := range []int{3, 5} { // the second time all is known
		stopped := errors.New("stopped")
		var report proxy.HealReport
		var mark proxy.HealMark
		runs, gets := 0, 0
		for {
			lost := newSite(t, s.storage, siteConfig{identity: s.identity, store: empty})
			before := mark
			moved := 0
			r, err := lost.handler.HealBucket(t.Context(), b, proxy.HealConfig{
				Page: page, From: mark, Report: report,
				Failed: func(key, version string, err error) { t.Errorf("not healed: %s %s: %v", key, version, err) },
				Mark: func(r proxy.HealReport, at proxy.HealMark) error {
					if at == before {
						return nil // still within the key that was begun
					}
					if moved++; moved == 1 {
						report, mark = r, at
						return stopped
					}
					return nil
				},
			})
			for _, call := range lost.backend.take() {
				if strings.HasPrefix(call, "GET object") {
					gets++
				}
			}
			runs++
			if err == nil {
				report = r
				break
			}
			if !errors.Is(err, stopped) || runs > 100 {
				t.Fatalf("after %d runs: %v", runs, err)
			}
		}
		if runs < keys/2 {
			t.Errorf("stopped only %d times", runs)
		}
		want := keys * versions
		if page != 3 {
			want = 0
		}
		if int(report.Healed) != want || gets != want {
			t.Errorf("page of %d: %d healed by %d reads in %d runs, want %d", page, report.Healed, gets, runs, want)
		}
	}
	listed, err := s.client.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &b})
	if err != nil || len(listed.Versions) != keys*versions {
		t.Fatalf("%d versions, %v", len(listed.Versions), err)
	}
	for _, v := range listed.Versions {
		if _, err := empty.Latest(t.Context(), b, *v.Key, *v.VersionId); err != nil {
			t.Errorf("%s %s: %v", *v.Key, *v.VersionId, err)
		}
	}
}
