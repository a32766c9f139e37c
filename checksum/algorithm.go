// Package checksum holds the checksums that S3 clients send with objects and parts: which there are, how each is computed and named on the
// wire, and how the checksums of parts make up that of the object.
//
// None of them authenticates anything. They notice accidents between the client and this process; the seal protects what lies behind it.
package checksum

import (
	"crypto/sha1" // #nosec G505 -- a checksum that S3 defines, never used as a signature
	"crypto/sha256"
	"hash"
	"hash/crc32"
	"strings"

	"github.com/minio/crc64nvme"
)

// Algorithm is one of the S3 checksum algorithms. The numbers are those stored in sealed objects (docs/FORMAT.md section 3) and never change.
type Algorithm uint8

// The algorithms that S3 knows; None stands for "no checksum".
const (
	None      Algorithm = 0
	CRC32     Algorithm = 1
	CRC32C    Algorithm = 2
	SHA1      Algorithm = 3
	SHA256    Algorithm = 4
	CRC64NVME Algorithm = 5
)

// MaxSize is the length in bytes of the longest checksum.
const MaxSize = sha256.Size

// algorithms is indexed by Algorithm. It is never written to.
var algorithms = [...]struct {
	name, header string
	size         int
}{
	None:      {},
	CRC32:     {"CRC32", "x-amz-checksum-crc32", crc32.Size},
	CRC32C:    {"CRC32C", "x-amz-checksum-crc32c", crc32.Size},
	SHA1:      {"SHA1", "x-amz-checksum-sha1", sha1.Size},
	SHA256:    {"SHA256", "x-amz-checksum-sha256", sha256.Size},
	CRC64NVME: {"CRC64NVME", "x-amz-checksum-crc64nvme", crc64nvme.Size},
}

// All gives every algorithm, None left out, in the order of their numbers.
func All() []Algorithm {
	return []Algorithm{CRC32, CRC32C, SHA1, SHA256, CRC64NVME}
}

// ParseAlgorithm finds an algorithm by its S3 name ("CRC32C"), whatever the case. It knows no name for None.
func ParseAlgorithm(name string) (Algorithm, bool) {
	for _, a := range All() {
		if strings.EqualFold(name, algorithms[a].name) {
			return a, true
		}
	}
	return None, false
}

// ParseHeader finds an algorithm by the name of the header or trailer that carries it ("x-amz-checksum-crc32c"), whatever the case.
func ParseHeader(header string) (Algorithm, bool) {
	for _, a := range All() {
		if strings.EqualFold(header, algorithms[a].header) {
			return a, true
		}
	}
	return None, false
}

// IsHeader says whether a header or trailer carries a checksum, be its algorithm known or not: S3 gives the names of all of them the same
// beginning, and of three headers that say how a checksum is meant.
func IsHeader(name string) bool {
	const prefix = "x-amz-checksum-"
	if len(name) < len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) {
		return false
	}
	suffix := strings.ToLower(name[len(prefix):])
	return suffix != "algorithm" && suffix != "type" && suffix != "mode"
}

// Valid says whether a is None or one of the known algorithms, as a number read from elsewhere need not be.
func (a Algorithm) Valid() bool { return int(a) < len(algorithms) }

// String gives the S3 name, as in x-amz-checksum-algorithm; "" for None and for unknown numbers.
func (a Algorithm) String() string {
	if !a.Valid() {
		return ""
	}
	return algorithms[a].name
}

// Size gives the length in bytes of the raw checksum; 0 for None and for unknown numbers.
func (a Algorithm) Size() int {
	if !a.Valid() {
		return 0
	}
	return algorithms[a].size
}

// Header gives the lower-case name of the header that carries the checksum; "" for None and for unknown numbers.
func (a Algorithm) Header() string {
	if !a.Valid() {
		return ""
	}
	return algorithms[a].header
}

// IsCRC says whether checksums of a can be combined: the CRCs can, the hashes cannot.
func (a Algorithm) IsCRC() bool { return a == CRC32 || a == CRC32C || a == CRC64NVME }

// New gives a fresh hash whose Sum appends the bytes that S3 sends in base64: big-endian for the CRCs. It panics for None.
func (a Algorithm) New() hash.Hash {
	switch a {
	case CRC32:
		return crc32.NewIEEE()
	case CRC32C:
		return crc32.New(crc32.MakeTable(crc32.Castagnoli)) // MakeTable gives the one shared table
	case SHA1:
		return sha1.New() // #nosec G401 -- see the import
	case SHA256:
		return sha256.New()
	case CRC64NVME:
		return crc64nvme.New()
	default:
		panic("checksum: internal error: no hash for algorithm None")
	}
}
