package checksum_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cofre/checksum"
)

// The check values of the CRC catalogue (reveng.sourceforge.io) and of FIPS 180-4 hashes: each algorithm over the nine digits.
func TestChecksumsOfTheCheckString(t *testing.T) {
	want := map[checksum.Algorithm]string{
		checksum.CRC32:     "cbf43926",
		checksum.CRC32C:    "e3069283",
		checksum.CRC64NVME: "ae8b14860a799888",
		checksum.SHA1:      "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
		checksum.SHA256:    "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
	}
	if len(want) != len(checksum.All()) {
		t.Fatalf("%d vectors for %d algorithms", len(want), len(checksum.All()))
	}
	for _, a := range checksum.All() {
		h := a.New()
		h.Write([]byte("123456789"))
		if got := hex.EncodeToString(h.Sum(nil)); got != want[a] {
			t.Errorf("%s = %s, want %s", a, got, want[a])
		}
		if h.Size() != a.Size() {
			t.Errorf("%s: Size %d, hash says %d", a, a.Size(), h.Size())
		}
		if a.Size() > checksum.MaxSize {
			t.Errorf("%s is longer than MaxSize", a)
		}
	}
}

// The numbers are in every sealed footer: they may never move.
func TestAlgorithmNumbersAreThoseOfTheFormat(t *testing.T) {
	for i, name := range []string{"", "CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"} {
		if got := checksum.Algorithm(i).String(); got != name {
			t.Errorf("algorithm %d is %q, want %q", i, got, name)
		}
	}
	unknown := checksum.Algorithm(6)
	if unknown.Valid() || unknown.String() != "" || unknown.Size() != 0 || unknown.Header() != "" {
		t.Error("an unknown number has properties")
	}
	if !checksum.None.Valid() || checksum.None.Size() != 0 || checksum.None.Header() != "" {
		t.Error("None is not the valid, empty algorithm")
	}
}

func TestParseAlgorithmIgnoresCase(t *testing.T) {
	for _, a := range checksum.All() {
		for _, name := range []string{a.String(), strings.ToLower(a.String())} {
			if got, ok := checksum.ParseAlgorithm(name); !ok || got != a {
				t.Errorf("ParseAlgorithm(%q) = %v, %v", name, got, ok)
			}
		}
		if want := "x-amz-checksum-" + strings.ToLower(a.String()); a.Header() != want {
			t.Errorf("header %q, want %q", a.Header(), want)
		}
		if got, ok := checksum.ParseHeader(strings.ToUpper(a.Header())); !ok || got != a {
			t.Errorf("ParseHeader(%q) = %v, %v", a.Header(), got, ok)
		}
	}
	for _, name := range []string{"", "MD5", "CRC", "CRC32 ", "CRC64", "x-amz-checksum-"} {
		if got, ok := checksum.ParseAlgorithm(name); ok || got != checksum.None {
			t.Errorf("ParseAlgorithm(%q) = %v, %v", name, got, ok)
		}
		if got, ok := checksum.ParseHeader(name); ok || got != checksum.None {
			t.Errorf("ParseHeader(%q) = %v, %v", name, got, ok)
		}
	}
}

func TestIsHeaderKnowsWhatCarriesAChecksum(t *testing.T) {
	for name, want := range map[string]bool{
		"x-amz-checksum-crc32": true, "X-Amz-Checksum-Sha256": true, "X-Amz-Checksum-Sha512": true, "x-amz-checksum-": true,
		"X-Amz-Checksum-Algorithm": false, "X-Amz-Checksum-Type": false, "x-amz-checksum-mode": false,
		"X-Amz-Sdk-Checksum-Algorithm": false, "X-Amz-Content-Sha256": false, "": false,
	} {
		if checksum.IsHeader(name) != want {
			t.Errorf("IsHeader(%q) is not %v", name, want)
		}
	}
}

func TestParseTypeKnowsTwoWords(t *testing.T) {
	for _, s := range []string{"FULL_OBJECT", "COMPOSITE"} {
		if got, ok := checksum.ParseType(s); !ok || string(got) != s {
			t.Errorf("ParseType(%q) = %q, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "full_object", "OTHER"} {
		if got, ok := checksum.ParseType(s); ok {
			t.Errorf("ParseType(%q) = %q", s, got)
		}
	}
}

func sum(a checksum.Algorithm, data []byte) []byte {
	h := a.New()
	h.Write(data)
	return h.Sum(nil)
}

var crcs = []checksum.Algorithm{checksum.CRC32, checksum.CRC32C, checksum.CRC64NVME}

func TestCombineEqualsTheChecksumOfTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(crcs).Draw(t, "algorithm")
		first := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "first")
		second := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "second")
		want := sum(a, append(bytes.Clone(first), second...))
		if got := checksum.Combine(a, sum(a, first), sum(a, second), int64(len(second))); !bytes.Equal(got, want) {
			t.Fatalf("%s of %d and %d bytes: %x, want %x", a, len(first), len(second), got, want)
		}
	})
}

func TestCombineOfManyPartsInAnyGrouping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(crcs).Draw(t, "algorithm")
		parts := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 40), 1, 12).Draw(t, "parts")
		want := sum(a, bytes.Join(parts, nil))

		left := sum(a, nil)
		for _, p := range parts {
			left = checksum.Combine(a, left, sum(a, p), int64(len(p)))
		}
		right, length := sum(a, nil), int64(0)
		for i := len(parts) - 1; i >= 0; i-- {
			right = checksum.Combine(a, sum(a, parts[i]), right, length)
			length += int64(len(parts[i]))
		}
		if !bytes.Equal(left, want) || !bytes.Equal(right, want) {
			t.Fatalf("%s: from the left %x, from the right %x, want %x", a, left, right, want)
		}
	})
}

// Lengths too long to hash in a test: x^(8(m+n)) = x^(8m) x^(8n), so a run of zeros may be appended at once or in two steps.
func TestCombineAddsUpOverLengthsOfTerabytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(crcs).Draw(t, "algorithm")
		m := rapid.Int64Range(0, math.MaxInt64/2).Draw(t, "m")
		n := rapid.Int64Range(0, math.MaxInt64/2).Draw(t, "n")
		start := sum(a, rapid.SliceOf(rapid.Byte()).Draw(t, "data"))
		zero := make([]byte, a.Size())
		twice := checksum.Combine(a, checksum.Combine(a, start, zero, m), zero, n)
		if once := checksum.Combine(a, start, zero, m+n); !bytes.Equal(once, twice) {
			t.Fatalf("%s: %d+%d bytes: %x at once, %x in two steps", a, m, n, once, twice)
		}
	})
}

func TestCombineRefusesWhatIsNoPairOfCRCs(t *testing.T) {
	four := make([]byte, 4)
	for name, call := range map[string]func(){
		"SHA256":          func() { checksum.Combine(checksum.SHA256, make([]byte, 32), make([]byte, 32), 1) },
		"SHA1":            func() { checksum.Combine(checksum.SHA1, make([]byte, 20), make([]byte, 20), 1) },
		"None":            func() { checksum.Combine(checksum.None, nil, nil, 1) },
		"short sum":       func() { checksum.Combine(checksum.CRC32, four[:3], four, 1) },
		"long sum":        func() { checksum.Combine(checksum.CRC32C, four, make([]byte, 8), 1) },
		"negative length": func() { checksum.Combine(checksum.CRC32, four, four, -1) },
		"hash of None":    func() { checksum.None.New() },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			call()
		})
	}
}

// The composite SHA256 of one part is the hash of its hash.
func TestCompositeHashesTheRawChecksumsOfTheParts(t *testing.T) {
	for _, a := range checksum.All() {
		parts := [][]byte{sum(a, []byte("first")), sum(a, []byte("second")), sum(a, nil)}
		if got, want := checksum.CompositeOf(a, parts), sum(a, bytes.Join(parts, nil)); !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", a, got, want)
		}
	}
}
