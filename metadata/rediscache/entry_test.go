package rediscache

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cofre/checksum"
	"cofre/metadata"
)

// What stands in Redis is nobody's promise: whatever it is, decode gives a record that encodes to the same again, or none.
func FuzzDecode(f *testing.F) {
	rec := metadata.Record{
		Bucket: "b", Key: "\x00\xff", VersionID: metadata.NullVersion, ETag: "e", BackendETag: "be", Size: 1 << 40,
		Checksum:  metadata.Checksum{Algorithm: checksum.SHA1, Type: checksum.Composite, Value: []byte{0, 255}},
		Parts:     []metadata.Part{{Number: 1, Size: 2, Salt: [16]byte{3}, MD5: make([]byte, 16)}},
		Committed: time.Unix(1, 2).UTC(),
	}
	full, err := encode("guard", rec)
	if err != nil {
		f.Fatal(err)
	}
	bare, err := encode("guard", metadata.Record{})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{full, bare, full[5:], full[:len(full)-1], "", "guard", "guard{}", `guard{"env":"AA=="}`, "guardnull"} {
		f.Add(seed)
	}
	if got, ok := decode(full, "guard"); !ok || !cmp.Equal(got, rec) {
		f.Fatalf("decoded %v %v, want what was encoded", got, ok)
	}
	if _, ok := decode(full, "other"); ok {
		f.Fatal("an entry counts behind another guard")
	}
	f.Fuzz(func(t *testing.T, value string) {
		rec, ok := decode(value, "guard")
		if !ok {
			return
		}
		again, err := encode("guard", rec)
		if err != nil {
			return // a year that JSON cannot hold once it is in UTC: such a record is not cached
		}
		if got, ok := decode(again, "guard"); !ok || !cmp.Equal(got, rec, cmpopts.EquateEmpty()) {
			t.Errorf("record %v reads as %v after a round trip", rec, got)
		}
	})
}
