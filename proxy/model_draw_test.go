package proxy_test

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// modelKeys are few, so that writers meet, and lie on both sides of the prefix that one client is limited to.
var modelS3Keys = []string{"k", "dir/k", "dir/l", "é +&%"}

// drawing says what scripts are made of.
type drawing struct {
	faults bool
	rgw    bool // fewer and smaller things
	// sequences is how many are played in a round; 0 for as many as rapid does.
	sequences int
}

// script draws a sequence of steps.
func (d drawing) script() *rapid.Generator[[]modelStep] { return rapid.SliceOfN(d.step(), 1, 24) }

// kinds of steps, as often as they are to come.
const stepKinds = "put put put put put put get get get head delete delete delete deletes copy copy copy tag untag tags attributes " +
	"upload upload part part part part-copy complete complete complete abort parts v1 v2 versions uploads " +
	"versioning versioning versioning create drop restart restart flush rotate reencrypt heal verify lose"

func (d drawing) step() *rapid.Generator[modelStep] {
	kinds := strings.Fields(stepKinds)
	return rapid.Custom(func(t *rapid.T) modelStep {
		s := modelStep{Do: rapid.SampledFrom(kinds).Draw(t, "do"), Bucket: "a", At: rapid.IntRange(0, modelReplicas-1).Draw(t, "at")}
		if rapid.IntRange(0, 9).Draw(t, "bucket") == 9 || s.Do == "drop" || s.Do == "create" {
			s.Bucket = "b"
		}
		switch s.Do {
		case "restart", "flush", "rotate", "reencrypt", "heal", "verify":
			return s
		case "lose":
			return modelStep{Do: "lose"}
		}
		if rapid.IntRange(0, 5).Draw(t, "who") == 5 {
			s.Who = rapid.SampledFrom([]string{"reader", "scoped", "scoped", "stranger"}).Draw(t, "client")
		}
		d.fill(t, &s)
		if d.faults && rapid.IntRange(0, 6).Draw(t, "fault") == 6 {
			s.Fault = rapid.SampledFrom(append(append([]string{}, linkFaults...), storeFaults...)).Draw(t, "which fault")
			s.FaultAt = rapid.IntRange(0, 4).Draw(t, "at request")
		}
		return s
	})
}

// fill draws what the kind of step needs.
func (d drawing) fill(t *rapid.T, s *modelStep) {
	key := rapid.SampledFrom(modelS3Keys)
	note, tags := rapid.SampledFrom([]string{"", "", "one", "two"}), rapid.SampledFrom([]string{"", "", "x=1", "x=1&y=2"})
	algorithm := rapid.SampledFrom([]string{"", "", "", "CRC32", "SHA256", "CRC64NVME", "CRC32C", "SHA1"})
	version := func() string {
		return rapid.SampledFrom([]string{"", "", "", "#0", "#1", "#2", "null", "never"}).Draw(t, "version")
	}
	body := func() {
		s.Size = rapid.SampledFrom([]int{0, 1, 20, 30, 30, 500, 65536, 65537, 140000}).Draw(t, "size")
		s.Seed = rapid.IntRange(0, 99).Draw(t, "seed")
	}
	conditions := func() {
		if rapid.IntRange(0, 3).Draw(t, "condition") == 3 {
			s.IfMatch = rapid.SampledFrom([]string{"", "current", "other", "*"}).Draw(t, "if-match")
			if s.IfMatch == "" {
				s.IfNoneMatch = "*"
			}
		}
	}
	source := func() {
		s.From, s.FromBucket, s.FromVersion = key.Draw(t, "from"), s.Bucket, version()
		if rapid.IntRange(0, 5).Draw(t, "other bucket") == 5 {
			s.FromBucket = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "from bucket")
		}
	}
	spoil := func(kinds ...string) {
		if rapid.IntRange(0, 9).Draw(t, "spoil") == 9 {
			s.Spoil = rapid.SampledFrom(kinds).Draw(t, "what is wrong")
		}
	}
	switch s.Do {
	case "put":
		s.Key, s.Note, s.Tags, s.Algorithm = key.Draw(t, "key"), note.Draw(t, "note"), tags.Draw(t, "tags"), algorithm.Draw(t, "algorithm")
		body()
		conditions()
		spoil("md5", "checksum", "signature", "gone")
	case "get", "head":
		s.Key, s.Version = key.Draw(t, "key"), version()
		if rapid.Bool().Draw(t, "ranged") {
			s.Range = d.byteRange(t)
		}
		if rapid.IntRange(0, 3).Draw(t, "condition") == 3 {
			s.IfMatch = rapid.SampledFrom([]string{"", "current", "other"}).Draw(t, "if-match")
			s.IfNoneMatch = rapid.SampledFrom([]string{"", "current", "other"}).Draw(t, "if-none-match")
		}
	case "attributes", "tags", "untag":
		s.Key, s.Version = key.Draw(t, "key"), version()
	case "tag":
		s.Key, s.Version, s.Tags = key.Draw(t, "key"), version(), rapid.SampledFrom([]string{"x=1", "z=9", "x=2&y=2"}).Draw(t, "tags")
	case "delete":
		s.Key, s.Version = key.Draw(t, "key"), version()
		if rapid.IntRange(0, 4).Draw(t, "condition") == 4 {
			s.IfMatch = rapid.SampledFrom([]string{"current", "other", "*"}).Draw(t, "if-match")
			s.Version = ""
		}
	case "deletes":
		s.Keys = strings.Join(rapid.SliceOfNDistinct(key, 1, 3, rapid.ID[string]).Draw(t, "keys"), "|")
		spoil("md5", "signature")
	case "copy":
		s.Key = key.Draw(t, "key")
		source()
		if s.Replace = rapid.Bool().Draw(t, "replace"); s.Replace {
			s.Note = note.Draw(t, "note")
		}
		if s.ReplaceTags = rapid.IntRange(0, 2).Draw(t, "replace tags") == 2; s.ReplaceTags {
			s.Tags = tags.Draw(t, "tags")
		}
		s.Algorithm = algorithm.Draw(t, "algorithm")
		conditions()
	case "versioning":
		s.Status = rapid.SampledFrom([]string{"Enabled", "Enabled", "Suspended"}).Draw(t, "status")
	case "upload":
		s.Key, s.Note, s.Tags, s.Algorithm = key.Draw(t, "key"), note.Draw(t, "note"), tags.Draw(t, "tags"), algorithm.Draw(t, "algorithm")
	case "part", "part-copy", "complete", "abort", "parts":
		s.Upload = rapid.IntRange(0, 3).Draw(t, "upload")
		switch s.Do {
		case "part":
			s.Part = rapid.IntRange(1, 3).Draw(t, "part")
			if body(); rapid.IntRange(0, 39).Draw(t, "large") == 39 && !d.rgw {
				s.Size = minimumPart
			}
			spoil("md5", "checksum", "signature", "gone")
		case "part-copy":
			s.Part = rapid.IntRange(1, 3).Draw(t, "part")
			source()
		case "complete":
			s.Parts = rapid.SampledFrom([]string{"all", "all", "all", "1", "2", "1,2", "2,1", "1!", "7", ""}).Draw(t, "parts")
			conditions()
		}
	case "v1", "v2", "versions":
		s.Prefix = rapid.SampledFrom([]string{"", "", "dir/", "d", "nothing"}).Draw(t, "prefix")
		s.Delimiter = rapid.SampledFrom([]string{"", "/"}).Draw(t, "delimiter")
		s.Marker = rapid.SampledFrom([]string{"", "", "dir", "dir/k", "k"}).Draw(t, "marker")
		s.MaxKeys = rapid.SampledFrom([]int{1000, 1, 2}).Draw(t, "max-keys")
	case "uploads":
		s.Prefix = rapid.SampledFrom([]string{"", "dir/"}).Draw(t, "prefix")
	}
}

// byteRange draws ranges around the borders of chunks and of the bodies that are drawn.
func (d drawing) byteRange(t *rapid.T) string {
	at := rapid.SampledFrom([]int{0, 1, 19, 20, 29, 30, 499, 500, 65535, 65536, 65537, 131072, 139999, 140000, 200000})
	switch rapid.IntRange(0, 4).Draw(t, "form") {
	case 0:
		return fmt.Sprintf("bytes=%d-", at.Draw(t, "first"))
	case 1:
		return fmt.Sprintf("bytes=-%d", at.Draw(t, "suffix"))
	case 2:
		return rapid.SampledFrom([]string{"bytes=5-2", "bytes=", "lines=1-2", "bytes=x-y"}).Draw(t, "odd")
	default:
		return fmt.Sprintf("bytes=%d-%d", at.Draw(t, "first"), at.Draw(t, "last"))
	}
}
