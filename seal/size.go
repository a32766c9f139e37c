package seal

import "math"

// Sizes in bytes, docs/FORMAT.md section 3.
const (
	// ChunkSize is the plaintext of every chunk but the last of a part.
	ChunkSize = 65536
	// TagSize is the AES-GCM tag behind every chunk and footer.
	TagSize = 16
	// HeaderSize is the header of a sealed part.
	HeaderSize = 64
	// FooterSize is the footer of a sealed part with its tag.
	FooterSize = 80
	// MaxPlainSize is the most plaintext that one part may hold.
	MaxPlainSize int64 = 5 << 40
	// MaxParts is the highest part number and the most parts of an object.
	MaxParts = 10000

	sealedChunkSize       = ChunkSize + TagSize
	frameSize             = HeaderSize + FooterSize
	chunkSize64     int64 = ChunkSize
	sealedChunk64   int64 = sealedChunkSize
)

// StoredSize gives the stored bytes of a part of n plaintext bytes, 0..MaxPlainSize. For any other n it is MaxInt64, which
// no size limit lets through.
func StoredSize(n int64) int64 {
	if n < 0 || n > MaxPlainSize {
		return math.MaxInt64
	}
	return frameSize + n + TagSize*chunkCount(n)
}

// PlainSize gives the plaintext bytes of a part that takes stored bytes. A size that no part can have is an
// *IntegrityError.
func PlainSize(stored int64) (int64, error) {
	if stored < frameSize {
		return 0, fault(FaultLength)
	}
	if stored > StoredSize(MaxPlainSize) {
		return 0, fault(FaultLimit)
	}
	body := stored - frameSize
	n := body - TagSize*((body+sealedChunk64-1)/sealedChunk64)
	// A last chunk of a tag alone, or less than a tag, gives an n that does not lead back.
	if n < 0 || StoredSize(n) != stored {
		return 0, fault(FaultLength)
	}
	return n, nil
}

// chunkCount gives the chunks of n plaintext bytes; n is within 0..MaxPlainSize.
func chunkCount(n int64) int64 { return (n + chunkSize64 - 1) / chunkSize64 }
