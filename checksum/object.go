package checksum

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"

	"github.com/minio/crc64nvme"
)

// Type says what the checksum of a multipart object covers, in the words of x-amz-checksum-type.
type Type string

const (
	// FullObject checksums cover the bytes of the object, however it was cut into parts. Only a CRC can be made from those of the parts.
	FullObject Type = "FULL_OBJECT"
	// Composite checksums are the checksum of the parts' checksums; S3 writes them with "-" and the number of parts behind.
	Composite Type = "COMPOSITE"
)

// ParseType reads a value of x-amz-checksum-type.
func ParseType(s string) (Type, bool) {
	switch t := Type(s); t {
	case FullObject, Composite:
		return t, true
	default:
		return "", false
	}
}

// CompositeOf gives the composite checksum: a over the concatenated raw checksums of the parts, in the order of the parts. S3 shows it as
// base64 with "-" and len(parts) behind. It panics for None.
func CompositeOf(a Algorithm, parts [][]byte) []byte {
	h := a.New()
	for _, sum := range parts {
		_, _ = h.Write(sum) // a hash.Hash never fails
	}
	return h.Sum(nil)
}

// Combine gives the CRC of the concatenation of two pieces from the CRC of each and the length in bytes of the second, without their bytes.
// It panics when a is no CRC, when a sum is not a.Size() bytes long or when len2 is negative: all three are mistakes of the caller.
func Combine(a Algorithm, sum1, sum2 []byte, len2 int64) []byte {
	if !a.IsCRC() {
		panic(fmt.Sprintf("checksum: internal error: combine needs a CRC, not %q", a))
	}
	if len(sum1) != a.Size() || len(sum2) != a.Size() || len2 < 0 {
		panic(fmt.Sprintf("checksum: internal error: combine %s of %d and %d bytes over length %d", a, len(sum1), len(sum2), len2))
	}
	switch a {
	case CRC64NVME:
		crc := field{poly: crc64nvme.NVME, width: 64}.combine(binary.BigEndian.Uint64(sum1), binary.BigEndian.Uint64(sum2), uint64(len2))
		return binary.BigEndian.AppendUint64(nil, crc)
	default:
		f := field{poly: crc32.IEEE, width: 32}
		if a == CRC32C {
			f.poly = crc32.Castagnoli
		}
		crc := f.combine(uint64(binary.BigEndian.Uint32(sum1)), uint64(binary.BigEndian.Uint32(sum2)), uint64(len2))
		return binary.BigEndian.AppendUint32(nil, uint32(crc))
	}
}

// field is the ring of polynomials over GF(2) modulo a CRC's polynomial. An element is held reflected, as CRCs are: the most significant of
// its width bits is the coefficient of x^0, so multiplying by x is a shift to the right.
type field struct {
	poly  uint64 // reflected, without its leading term
	width uint   // bits: 32 or 64
}

// combine rests on CRCs being remainders: appending n bytes multiplies what stands before them by x^(8n). The all-ones start value and final
// inversion, which the three CRCs of S3 share, cancel out.
func (f field) combine(crc1, crc2, len2 uint64) uint64 {
	return f.mul(crc1, f.pow(f.one()>>8, len2)) ^ crc2
}

func (f field) one() uint64 { return 1 << (f.width - 1) }

// mul takes one step for each coefficient of a, lowest first, while b goes through b, bx, bx^2 ...
func (f field) mul(a, b uint64) uint64 {
	var product uint64
	for a = bits.Reverse64(a) >> (64 - f.width); a != 0; a >>= 1 {
		product ^= b & -(a & 1)
		b = b>>1 ^ f.poly&-(b&1)
	}
	return product
}

func (f field) pow(base, n uint64) uint64 {
	power := f.one()
	for ; n != 0; n >>= 1 {
		if n&1 == 1 {
			power = f.mul(power, base)
		}
		base = f.mul(base, base)
	}
	return power
}
