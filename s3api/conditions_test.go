package s3api

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

var (
	modified = time.Date(2026, 11, 22, 16, 0, 0, 999_000_000, time.UTC)
	earlier  = FormatHTTPTime(modified.Add(-time.Hour))
	same     = FormatHTTPTime(modified)
	later    = FormatHTTPTime(modified.Add(time.Hour))
)

const tag = "9e107d9d372bb6826bd81d3542a419d6"

func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestReadConditionsInTheOrderOfTheRFC(t *testing.T) {
	const q = `"` + tag + `"`
	for _, c := range []struct {
		headers http.Header
		want    int
	}{
		{headers(), 0},
		{headers("If-Match", q), 0}, {headers("If-Match", tag), 0}, {headers("If-Match", "W/"+q), 0}, {headers("If-Match", "*"), 0},
		{headers("If-Match", `"a", `+q), 0}, {headers("If-Match", `"a","b"`), 412}, {headers("If-Match", `"a"`, "If-Match", q), 0},
		{headers("If-Match", `"a"`), 412}, {headers("If-Match", `"a,`+tag+`"`), 412}, {headers("If-Match", ","), 412},
		{headers("If-None-Match", q), 304}, {headers("If-None-Match", tag), 304}, {headers("If-None-Match", "W/"+q), 304},
		{headers("If-None-Match", "*"), 304}, {headers("If-None-Match", `"a"`), 0}, {headers("If-None-Match", `"a", `+q), 304},
		{headers("If-Modified-Since", earlier), 0}, {headers("If-Modified-Since", same), 304}, {headers("If-Modified-Since", later), 304},
		{headers("If-Unmodified-Since", earlier), 412}, {headers("If-Unmodified-Since", same), 0}, {headers("If-Unmodified-Since", later), 0},

		{headers("If-Match", q, "If-Unmodified-Since", earlier), 0},
		{headers("If-Match", `"a"`, "If-Unmodified-Since", later), 412},
		{headers("If-None-Match", `"a"`, "If-Modified-Since", later), 0},
		{headers("If-None-Match", q, "If-Modified-Since", earlier), 304},
		{headers("If-None-Match", q, "If-Unmodified-Since", earlier), 412},
		{headers("If-None-Match", q, "If-Unmodified-Since", later), 304},
		{headers("If-Match", q, "If-None-Match", q), 304},
		{headers("If-Match", q, "If-Modified-Since", later), 304},
		{headers("If-Match", `"a"`, "If-None-Match", q), 412},

		// The three forms of dates, and what is no date.
		{headers("If-Modified-Since", "Sunday, 22-Nov-26 16:00:00 GMT"), 304},
		{headers("If-Modified-Since", "Sun Nov 22 16:00:00 2026"), 304},
		{headers("If-Modified-Since", "2026-11-22T16:00:00Z"), 0},
		{headers("If-Modified-Since", "yesterday"), 0},
		{headers("If-Unmodified-Since", "yesterday"), 0},
		{headers("If-Unmodified-Since", "Sun, 22 Nov 2026 16:00:00 CET"), 0},
	} {
		conds, err := ParseConditions(c.headers)
		if err != nil {
			t.Errorf("%v: %v", c.headers, err)
			continue
		}
		if got := conds.Read(tag, modified); got != c.want {
			t.Errorf("%v: got %d, want %d", c.headers, got, c.want)
		}
		checked := conds.Check(tag, modified)
		if (checked == nil) != (c.want == 0) || checked != nil && checked.Status != c.want {
			t.Errorf("%v: error %v, want %d", c.headers, checked, c.want)
		}
	}
	if conds, _ := ParseConditions(headers("If-Modified-Since", "never")); !conds.Empty() {
		t.Error("an invalid date is a condition")
	}
	if conds, _ := ParseConditions(headers("If-None-Match", "*")); conds.Empty() {
		t.Error("If-None-Match is none")
	}
	if _, err := ParseConditions(headers("If-Match", strings.Repeat(`"a",`, 4000))); err == nil || err.Code != ErrRequestHeaderSectionTooLarge.Code {
		t.Errorf("endless list: %v", err)
	}
}

func TestSourceConditionsAlwaysFailWith412(t *testing.T) {
	for _, c := range []struct {
		headers   http.Header
		condition string
	}{
		{headers("x-amz-copy-source-if-match", tag, "x-amz-copy-source-if-unmodified-since", earlier), ""},
		{headers("x-amz-copy-source-if-match", "other"), "x-amz-copy-source-If-Match"},
		{headers("x-amz-copy-source-if-none-match", `"`+tag+`"`, "x-amz-copy-source-if-modified-since", earlier), "x-amz-copy-source-If-None-Match"},
		{headers("x-amz-copy-source-if-none-match", "other"), ""},
		{headers("x-amz-copy-source-if-modified-since", later), "x-amz-copy-source-If-Modified-Since"},
		{headers("x-amz-copy-source-if-unmodified-since", earlier), "x-amz-copy-source-If-Unmodified-Since"},
		{headers("If-Match", "other"), ""}, // speaks of the destination
	} {
		conds, err := ParseCopySourceConditions(c.headers)
		if err != nil {
			t.Fatal(err)
		}
		got := conds.Source(tag, modified)
		if c.condition == "" && got != nil || c.condition != "" && (got == nil || got.Status != 412 || got.Fields[0] != [2]string{"Condition", c.condition}) {
			t.Errorf("%v: got %+v", c.headers, got)
		}
	}
}

func TestWriteConditions(t *testing.T) {
	const q = `"` + tag + `"`
	for _, c := range []struct {
		headers http.Header
		exists  bool
		want    *Error
	}{
		{headers(), true, nil}, {headers(), false, nil},
		{headers("If-None-Match", "*"), true, ErrPreconditionFailed}, {headers("If-None-Match", "*"), false, nil},
		{headers("If-None-Match", q), true, ErrPreconditionFailed}, {headers("If-None-Match", tag), true, ErrPreconditionFailed},
		{headers("If-None-Match", q), false, nil}, {headers("If-None-Match", `"a"`), true, nil}, {headers("If-None-Match", `"*"`), true, nil},
		{headers("If-None-Match", "*", "If-None-Match", "*"), true, ErrPreconditionFailed},
		{headers("If-Match", q), true, nil}, {headers("If-Match", tag), true, nil}, {headers("If-Match", "W/"+q), true, nil},
		{headers("If-Match", "*"), true, nil}, {headers("If-Match", "*"), false, ErrNoSuchKey},
		{headers("If-Match", `"a"`), true, ErrPreconditionFailed}, {headers("If-Match", q), false, ErrNoSuchKey},
		{headers("If-Match", `"*"`), true, ErrPreconditionFailed},
	} {
		conds, err := ParseWriteConditions(c.headers)
		if err != nil {
			t.Errorf("%v: %v", c.headers, err)
			continue
		}
		if got := conds.Check(c.exists, tag); (got == nil) != (c.want == nil) || got != nil && got.Code != c.want.Code {
			t.Errorf("%v, exists %v: got %v", c.headers, c.exists, got)
		}
		if conds.Empty() != (len(c.headers) == 0) {
			t.Errorf("%v: empty %v", c.headers, conds.Empty())
		}
	}
	for _, h := range []http.Header{
		headers("If-None-Match", "*", "If-Match", "*"), headers("If-None-Match", q, "If-Match", q),
		headers("If-Unmodified-Since", later), headers("If-Modified-Since", earlier),
	} {
		if _, err := ParseWriteConditions(h); err == nil || err.Status != http.StatusNotImplemented {
			t.Errorf("%v: got %v", h, err)
		}
	}
	if _, err := ParseWriteConditions(headers("If-Match", strings.Repeat("a", 9000))); err == nil {
		t.Error("an endless list was taken")
	}
}

func TestDeleteConditions(t *testing.T) {
	for _, c := range []struct {
		headers http.Header
		ok      bool
	}{
		{headers(), true},
		{headers("If-Match", tag), true}, {headers("If-Match", "*"), true}, {headers("If-Match", "other"), false},
		{headers("x-amz-if-match-size", "7"), true}, {headers("x-amz-if-match-size", "8"), false}, {headers("x-amz-if-match-size", "0"), false},
		{headers("x-amz-if-match-last-modified-time", same), true}, {headers("x-amz-if-match-last-modified-time", later), false},
		{headers("If-Match", tag, "x-amz-if-match-size", "8"), false},
	} {
		conds, err := ParseDeleteConditions(c.headers)
		if err != nil {
			t.Fatal(err)
		}
		if got := conds.Check(tag, 7, modified); (got == nil) != c.ok {
			t.Errorf("%v: got %v", c.headers, got)
		}
		if conds.Empty() != (len(c.headers) == 0) {
			t.Errorf("%v: empty %v", c.headers, conds.Empty())
		}
	}
	for _, h := range []http.Header{
		headers("x-amz-if-match-size", "-1"), headers("x-amz-if-match-size", "x"), headers("x-amz-if-match-last-modified-time", "x"),
		headers("If-Match", strings.Repeat("a", 9000)),
	} {
		if _, err := ParseDeleteConditions(h); err == nil {
			t.Errorf("%v was taken", h)
		}
	}
}

func TestUnquoteETag(t *testing.T) {
	for in, want := range map[string]string{`"a"`: "a", "a": "a", `W/"a"`: "a", ` "a-2" `: "a-2", `""`: "", "": "", `"`: "", `"a`: "a"} {
		if got := UnquoteETag(in); got != want {
			t.Errorf("%s: got %q", in, got)
		}
	}
}

func TestParseCopySource(t *testing.T) {
	for header, want := range map[string]CopySource{
		"bucket/key":                          {Bucket: "bucket", Key: "key"},
		"/bucket/key":                         {Bucket: "bucket", Key: "key"},
		"/bucket//key":                        {Bucket: "bucket", Key: "/key"},
		"bucket/a//b/../c":                    {Bucket: "bucket", Key: "a//b/../c"},
		"bucket%2Fa%2Fb":                      {Bucket: "bucket", Key: "a/b"},
		"bucket/any%25.txt":                   {Bucket: "bucket", Key: "any%.txt"},
		"bucket/any%2525.txt":                 {Bucket: "bucket", Key: "any%25.txt"},
		"bucket/a+b%2Bc%20d":                  {Bucket: "bucket", Key: "a b+c d"},
		"bucket/caf%C3%A9":                    {Bucket: "bucket", Key: "caf\u00e9"},
		"bucket/caf\u00e9":                    {Bucket: "bucket", Key: "caf\u00e9"},
		"bucket/key?versionId=null":           {Bucket: "bucket", Key: "key", VersionID: "null", HasVersion: true},
		"bucket/key?versionId=a%2Bb":          {Bucket: "bucket", Key: "key", VersionID: "a+b", HasVersion: true},
		"bucket/a?b":                          {Bucket: "bucket", Key: "a?b"},
		"bucket/a%3FversionId=x":              {Bucket: "bucket", Key: "a?versionId=x"},
		"bucket/a?versionId=1?versionId=2":    {Bucket: "bucket", Key: "a?versionId=1", VersionID: "2", HasVersion: true},
		"bucket/" + strings.Repeat("k", 1024): {Bucket: "bucket", Key: strings.Repeat("k", 1024)},
	} {
		if got, err := ParseCopySource(header); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", header, got, err)
		}
	}
	for _, header := range []string{
		"", "/", "bucket", "bucket/", "/bucket/", "//key", "bucket/any%.txt", "bucket/%zz", "ab/key", "bucket/a%00b", "bucket/%FF",
		"bucket/key?versionId=", "bucket/key?versionId=%00", "bucket/key?versionId=%", "arn:aws:s3:::bucket/key", "bucket/" + strings.Repeat("k", 1025),
	} {
		if got, err := ParseCopySource(header); err == nil || err.Code != ErrInvalidArgument.Code {
			t.Errorf("%s: got %+v, %v", header, got, err)
		}
	}
}

func FuzzCopySource(f *testing.F) {
	f.Add("/bucket/a%2Fb+c?versionId=null")
	f.Fuzz(func(t *testing.T, header string) {
		s, err := ParseCopySource(header)
		if err != nil {
			return
		}
		again := s.Bucket + "/" + escape(s.Key, slashEscaped)
		if s.HasVersion {
			again += "?versionId=" + escape(s.VersionID, slashEscaped)
		}
		if got, err := ParseCopySource(again); err != nil || got != s {
			t.Fatalf("%q: %+v became %+v, %v", header, s, got, err)
		}
	})
}

func TestUserMetadata(t *testing.T) {
	got, err := UserMetadata(headers("x-amz-meta-Foo_Bar", "1", "X-Amz-Meta-Foo_bar", " 2 ", "x-amz-meta-utf", "caf\u00e9", "x-amz-metadata-directive", "COPY", "Content-Type", "x"))
	if err != nil || len(got) != 2 || got["foo_bar"] != "1, 2 " || got["utf"] != "caf\u00e9" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := UserMetadata(headers("x-amz-meta-a", strings.Repeat("v", MaxUserMetadata-1))); err != nil {
		t.Errorf("2 KiB: %v", err)
	}
	if _, err := UserMetadata(headers("x-amz-meta-a", strings.Repeat("v", MaxUserMetadata))); err == nil || err.Code != ErrMetadataTooLarge.Code {
		t.Errorf("more than 2 KiB: %v", err)
	}
	for _, name := range []string{"x-amz-meta-cofre-envelope", "X-Amz-Meta-COFRE-x", "x-amz-meta-"} {
		if _, err := UserMetadata(headers(name, "v")); err == nil || err.Code != ErrInvalidArgument.Code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTimesInBothForms(t *testing.T) {
	at := time.Date(2026, 11, 22, 17, 4, 5, 6_000_000, time.FixedZone("CET", 3600))
	if got := FormatTime(at); got != "2026-11-22T16:04:05.006Z" {
		t.Error(got)
	}
	if got := FormatHTTPTime(at); got != "Sun, 22 Nov 2026 16:04:05 GMT" {
		t.Error(got)
	}
}
