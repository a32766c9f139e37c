package seal

import (
	"crypto/md5" // #nosec G501 -- its size; S3's ETag is an MD5, which authenticates nothing here
	"crypto/subtle"
	"fmt"

	"cofre/checksum"
	"cofre/keys"
)

// Footer is what the writer knew of a part's plaintext once all of it had verified.
type Footer struct {
	MD5      []byte             // 16 bytes, nil where the bucket does without
	Checksum checksum.Algorithm // None where there is no checksum
	Sum      []byte             // raw bytes, as long as Checksum says
}

// The footer's plaintext: flags, MD5, checksum algorithm and length, checksum, zeros.
const (
	footerPlainSize    = FooterSize - TagSize
	footerMD5Offset    = 1
	footerAlgOffset    = footerMD5Offset + md5.Size
	footerSumOffset    = footerAlgOffset + 2
	footerFlagMD5      = 0x01
	footerFlagsDefined = footerFlagMD5
)

// encode writes the footer's plaintext into b, which has footerPlainSize bytes.
func (f Footer) encode(b []byte) error {
	if f.MD5 != nil && len(f.MD5) != md5.Size {
		return fmt.Errorf("encode footer: MD5 of %d bytes", len(f.MD5))
	}
	if !f.Checksum.Valid() || len(f.Sum) != f.Checksum.Size() {
		return fmt.Errorf("encode footer: checksum of %d bytes for algorithm %d", len(f.Sum), f.Checksum)
	}
	clear(b)
	if f.MD5 != nil {
		b[0] = footerFlagMD5
		copy(b[footerMD5Offset:], f.MD5)
	}
	b[footerAlgOffset] = byte(f.Checksum)
	b[footerAlgOffset+1] = byte(len(f.Sum))
	copy(b[footerSumOffset:], f.Sum)
	return nil
}

// decodeFooter reads a footer's plaintext of footerPlainSize bytes, and copies what it keeps.
func decodeFooter(b []byte) (Footer, Fault) {
	alg := checksum.Algorithm(b[footerAlgOffset])
	switch {
	case b[0]&^footerFlagsDefined != 0:
		return Footer{}, FaultFlags
	case !alg.Valid():
		return Footer{}, FaultAlgorithm
	case int(b[footerAlgOffset+1]) != alg.Size():
		return Footer{}, FaultLength
	}
	f := Footer{Checksum: alg}
	digest, rest := b[footerMD5Offset:footerAlgOffset], b[footerSumOffset+alg.Size():]
	if b[0]&footerFlagMD5 != 0 {
		f.MD5 = append([]byte(nil), digest...)
	} else if !allZero(digest) {
		return Footer{}, FaultPadding
	}
	if !allZero(rest) {
		return Footer{}, FaultPadding
	}
	if alg != checksum.None {
		f.Sum = append([]byte(nil), b[footerSumOffset:footerSumOffset+alg.Size()]...)
	}
	return f, ""
}

// agrees says whether the footer bears out what a record or layout says of the part. What is not recorded is not compared.
func (f Footer) agrees(recorded Footer) bool {
	if recorded.MD5 != nil && subtle.ConstantTimeCompare(f.MD5, recorded.MD5) != 1 {
		return false
	}
	return recorded.Checksum == checksum.None ||
		(f.Checksum == recorded.Checksum && subtle.ConstantTimeCompare(f.Sum, recorded.Sum) == 1)
}

// OpenFooter opens the footer of a part: its last FooterSize stored bytes. A part whose footer opens was sent whole, by a
// holder of the DEK, with exactly this number, size and salt (docs/FORMAT.md section 3 rules 4 to 6).
func OpenFooter(dek keys.DEK, object keys.ObjectID, part Part, footer []byte) (Footer, error) {
	c, err := newPartCipher(dek, object, part, withoutCommitment)
	if err != nil {
		return Footer{}, err
	}
	if len(footer) != FooterSize {
		return Footer{}, partFault(FaultLength, part.Number)
	}
	sealed := [FooterSize]byte(footer)
	return c.openFooter(part, sealed[:])
}

// sealFooter seals the footer into b, which has FooterSize bytes.
func (c *partCipher) sealFooter(part Part, f Footer, b []byte) error {
	if err := f.encode(b[:footerPlainSize]); err != nil {
		return err
	}
	c.seal(nonceFooter, chunkCount(part.Size), b[:footerPlainSize])
	return nil
}

// openFooter opens the FooterSize bytes of sealed in place.
func (c *partCipher) openFooter(part Part, sealed []byte) (Footer, error) {
	plain, ok := c.open(nonceFooter, chunkCount(part.Size), sealed)
	if !ok {
		return Footer{}, partFault(FaultFooter, part.Number)
	}
	f, wrong := decodeFooter(plain)
	if wrong != "" {
		return Footer{}, partFault(wrong, part.Number)
	}
	return f, nil
}

// allZero says whether b holds nothing but zeros. The time it takes tells nothing but b's length.
func allZero(b []byte) bool {
	var or byte
	for _, v := range b {
		or |= v
	}
	return or == 0
}
