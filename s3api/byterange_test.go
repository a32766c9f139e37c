package s3api

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
)

func TestParseRangeAsAWS(t *testing.T) {
	const ignored = -1 // 200, whole object
	for _, c := range []struct {
		header        string
		size, off, ln int64 // off ignored: 200; ln 0: 416
	}{
		{"bytes=0-0", 100, 0, 1}, {"bytes=50-", 100, 50, 50}, {"bytes=0-999999", 100, 0, 100}, {"bytes=-10", 100, 90, 10},
		{"bytes=-101", 100, 0, 100}, {"bytes=00-01", 100, 0, 2}, {"bytes=99-99", 100, 99, 1}, {"bytes=99-", 100, 99, 1},
		{"bytes=0-18446744073709551616", 100, 0, 100}, {"bytes=-18446744073709551616", 100, 0, 100}, {"BYTES=0-1", 100, 0, 2},
		{"bytes=9007199254740993-9007199254740994", 1 << 60, 9007199254740993, 2},

		{"", 100, ignored, 0}, {"bytes=0-0,1-2", 100, ignored, 0}, {"bytes=10-5", 100, ignored, 0}, {"bytes=abc", 100, ignored, 0},
		{"bytes=,", 100, ignored, 0}, {"bytes=--1", 100, ignored, 0}, {"foo=0-1", 100, ignored, 0}, {"bytes=", 100, ignored, 0},
		{"bytes=-", 100, ignored, 0}, {"bytes", 100, ignored, 0}, {"bytes=1", 100, ignored, 0}, {"bytes= 0-1", 100, ignored, 0},
		{"bytes=0-1 ", 100, ignored, 0}, {"bytes=+0-1", 100, ignored, 0}, {"bytes=0-1-2", 100, ignored, 0}, {"bytes=0x1-2", 100, ignored, 0},
		{"bytes=18446744073709551617-18446744073709551616", 100, ignored, 0}, {"bytes=200-150", 100, ignored, 0},

		{"bytes=-0", 100, 0, 0}, {"bytes=100-", 100, 0, 0}, {"bytes=100-200", 100, 0, 0}, {"bytes=18446744073709551616-", 100, 0, 0},

		{"bytes=0-", 0, 0, 0}, {"bytes=0-0", 0, 0, 0}, {"bytes=-0", 0, 0, 0}, {"bytes=-5", 0, ignored, 0},
	} {
		r, ok, err := ParseRange(c.header, c.size)
		switch {
		case c.off == ignored:
			if ok || err != nil {
				t.Errorf("%q of %d: got %v, %v, want it ignored", c.header, c.size, r, err)
			}
		case c.ln == 0:
			if ok || err == nil || err.Code != ErrInvalidRange.Code || err.Header.Get("Content-Range") != fmt.Sprintf("bytes */%d", c.size) {
				t.Errorf("%q of %d: got %v, %v, want 416", c.header, c.size, r, err)
			}
		default:
			if !ok || err != nil || r != (Range{c.off, c.ln}) {
				t.Errorf("%q of %d: got %v, %v, %v", c.header, c.size, r, ok, err)
			}
		}
	}
	if got := (Range{90, 10}).ContentRange(100); got != "bytes 90-99/100" {
		t.Errorf("got %s", got)
	}
}

// TestParseRangeAgainstModel tries every range of small numbers against a list of the bytes that it names.
func TestParseRangeAgainstModel(t *testing.T) {
	const most = 6
	numbers := []string{""}
	for n := range most + 3 {
		numbers = append(numbers, fmt.Sprint(n))
	}
	for size := range int64(most + 1) {
		for _, first := range numbers {
			for _, last := range numbers {
				header := "bytes=" + first + "-" + last
				r, ok, err := ParseRange(header, size)
				want, valid, satisfiable := modelRange(first, last, size)
				switch {
				case !valid:
					if ok || err != nil {
						t.Errorf("%s of %d: got %v, %v, want it ignored", header, size, r, err)
					}
				case !satisfiable:
					if ok || err == nil {
						t.Errorf("%s of %d: got %v, want 416", header, size, r)
					}
				default:
					if !ok || err != nil || r.Off != want[0] || r.Len != int64(len(want)) {
						t.Errorf("%s of %d: got %v, %v, want %v", header, size, r, err, want)
					}
				}
			}
		}
	}
}

// modelRange lists the positions that a range names, the slow way.
func modelRange(first, last string, size int64) (positions []int64, valid, satisfiable bool) {
	var a, b int64 = 0, math.MaxInt64
	_, errA := fmt.Sscan(first, &a)
	_, errB := fmt.Sscan(last, &b)
	switch {
	case errA != nil && errB != nil:
		return nil, false, false
	case errA != nil && b == 0:
		return nil, true, false
	case errA != nil && size == 0:
		return nil, false, false
	case errA != nil:
		for i := range size {
			if size-i <= b {
				positions = append(positions, i)
			}
		}
	case a > b:
		return nil, false, false
	default:
		for i := range size {
			if a <= i && i <= b {
				positions = append(positions, i)
			}
		}
	}
	return positions, true, len(positions) > 0
}

func TestCopySourceRangeIsStrict(t *testing.T) {
	for header, want := range map[string]Range{"bytes=0-99": {0, 100}, "bytes=0-0": {0, 1}, "bytes=10-19": {10, 10}} {
		if got, err := ParseCopySourceRange(header, 100); err != nil || got != want {
			t.Errorf("%s: got %v, %v", header, got, err)
		}
	}
	for _, header := range []string{"", "bytes=0-", "bytes=-5", "bytes=5-4", "bytes=0-1,2-3", "0-1", "bytes=a-b", "bytes=0-100", "bytes=0-99999999999999999999"} {
		if got, err := ParseCopySourceRange(header, 100); err == nil || err.Code != ErrInvalidArgument.Code || err.Status != http.StatusBadRequest {
			t.Errorf("%s: got %v, %v", header, got, err)
		}
	}
	if got, err := ParseCopySourceRange("bytes=100-100", 100); err == nil || err.Code != ErrInvalidRequest.Code || err.Status != http.StatusBadRequest {
		t.Errorf("behind the end: got %v, %v", got, err)
	}
	if _, err := ParseCopySourceRange("bytes=0-100", 100); err == nil || !strings.HasSuffix(err.Message, "source object of size: 100") {
		t.Errorf("got %v", err)
	}
}

func FuzzRange(f *testing.F) {
	f.Add("bytes=0-1", int64(2))
	f.Add("bytes=-18446744073709551616", int64(math.MaxInt64))
	f.Add("bytes=9223372036854775807-9223372036854775807", int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		r, ok, err := ParseRange(header, size)
		if ok && (err != nil || r.Len < 1 || r.Off < 0 || r.Off > size-r.Len) {
			t.Fatalf("%q of %d: %v", header, size, r)
		}
		if c, err := ParseCopySourceRange(header, size); err == nil && (!ok || c != r) {
			t.Fatalf("%q of %d: copy %v, read %v", header, size, c, r)
		}
	})
}
