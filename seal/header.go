package seal

import (
	"crypto/subtle"
	"encoding/binary"

	"cofre/keys"
)

// Magic begins every sealed part. A body that begins with it is never taken for an unsealed one.
const Magic = "cofre"

const (
	formatVersion = 0x01
	formatSuite   = 0x01 // HKDF-SHA256, AES-256-GCM, chunks of 64 KiB
	// headerStart is the length of what stands before the salt: magic, version, suite, reserved byte, plaintext length.
	headerStart = 16
)

// Header is the first HeaderSize bytes of a sealed part. It is in clear.
type Header struct {
	Size       int64 // plaintext bytes, 0..MaxPlainSize
	Salt       Salt
	Commitment [commitmentSize]byte
}

// Bytes is the header as it is stored.
func (h Header) Bytes() [HeaderSize]byte {
	var b [HeaderSize]byte
	h.append(b[:0])
	return b
}

func (h Header) append(b []byte) []byte {
	b = appendHeaderStart(b, h.Size)
	b = append(b, h.Salt[:]...)
	return append(b, h.Commitment[:]...)
}

func appendHeaderStart(b []byte, size int64) []byte {
	b = append(b, Magic...)
	b = append(b, formatVersion, formatSuite, 0)
	return binary.BigEndian.AppendUint64(b, uint64(size))
}

// ParseHeader reads a header of exactly HeaderSize bytes. It checks its form only: what it says is true once OpenHeader, or
// the part's footer, has verified.
func ParseHeader(b []byte) (Header, error) {
	h, f := parseHeader(b)
	if f != "" {
		return Header{}, fault(f)
	}
	return h, nil
}

func parseHeader(b []byte) (Header, Fault) {
	if len(b) != HeaderSize {
		return Header{}, FaultLength
	}
	if string(b[:len(Magic)]) != Magic {
		return Header{}, FaultMagic
	}
	if f := checkVersion(b[5], b[6]); f != "" {
		return Header{}, f
	}
	if b[7] != 0 {
		return Header{}, FaultReserved
	}
	size := binary.BigEndian.Uint64(b[8:headerStart])
	if size > uint64(MaxPlainSize) {
		return Header{}, FaultLimit
	}
	return Header{
		Size:       int64(size),
		Salt:       Salt(b[headerStart : headerStart+16]),
		Commitment: [commitmentSize]byte(b[headerStart+16:]),
	}, ""
}

// checkVersion refuses what another version of the format may have written.
func checkVersion(version, suite byte) Fault {
	switch {
	case version != formatVersion:
		return FaultVersion
	case suite != formatSuite:
		return FaultSuite
	}
	return ""
}

// OpenHeader checks that a stored header is the one of this part: its salt, its length and its commitment, which no other
// key gives (docs/FORMAT.md section 3 rule 2).
func OpenHeader(dek keys.DEK, object keys.ObjectID, part Part, header []byte) error {
	c, err := newPartCipher(dek, object, part, withCommitment)
	if err != nil {
		return err
	}
	return c.checkHeader(part, header)
}

func (c *partCipher) checkHeader(part Part, header []byte) error {
	h, f := parseHeader(header)
	switch {
	case f != "":
	case subtle.ConstantTimeCompare(h.Salt[:], part.Salt[:]) != 1:
		f = FaultSalt
	case h.Size != part.Size:
		f = FaultSize
	case allZero(c.commitment[:]), subtle.ConstantTimeCompare(h.Commitment[:], c.commitment[:]) != 1: // a cipher without one passes no header
		f = FaultCommitment
	default:
		return nil
	}
	return partFault(f, part.Number)
}
