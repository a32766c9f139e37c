package proxy_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
)

// modelSum is a checksum as an object shows it.
type modelSum struct{ algorithm, kind, value string }

// digest computes a checksum with nothing but the standard library: the model shares no code with what it judges.
func digest(algorithm string, data []byte) []byte {
	var h hash.Hash
	switch algorithm {
	case "CRC32":
		h = crc32.NewIEEE()
	case "CRC32C":
		h = crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "CRC64NVME":
		h = crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5))
	case "SHA1":
		h = sha1.New()
	case "SHA256":
		h = sha256.New()
	default:
		panic("no checksum " + algorithm)
	}
	h.Write(data)
	return h.Sum(nil)
}

func fullSum(algorithm string, data []byte) modelSum {
	return modelSum{algorithm, "FULL_OBJECT", base64Text(digest(algorithm, data))}
}

func base64Text(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }

// plaintextMark is in every body of eight bytes or more, in every content type and in every note: the storage must never see it.
const plaintextMark = "PLAINTEXT"

// markedBody is a body that no other write of the sequence has.
func markedBody(n, seed int) []byte {
	unit := fmt.Appendf(nil, "%s %06d ", plaintextMark, seed)
	return bytes.Repeat(unit, n/len(unit)+1)[:n]
}
