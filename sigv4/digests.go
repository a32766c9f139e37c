package sigv4

import (
	"hash"

	"cofre/checksum"
)

// digests computes what has to be known of a body in one pass. Each algorithm runs once, however many ask for it. Nothing outside this type
// knows that the hashes run in the goroutine that reads.
type digests struct {
	running [checksum.CRC64NVME + 1]hash.Hash // by algorithm; nil where nobody asked
	md5     *checksum.MD5                     // nil where nobody asked

	// Set by finish.
	md5Sum []byte
	sums   [checksum.CRC64NVME + 1][]byte
}

func (d *digests) add(a checksum.Algorithm) {
	if a != checksum.None && d.running[a] == nil {
		d.running[a] = a.New()
	}
}

func (d *digests) addMD5(size int64) { d.md5 = checksum.NewMD5(size) }

func (d *digests) write(p []byte) {
	if d.md5 != nil {
		_, _ = d.md5.Write(p) // a hash never fails
	}
	for _, h := range d.running {
		if h != nil {
			_, _ = h.Write(p)
		}
	}
}

// finish ends the hashing; from then on sums are known.
func (d *digests) finish() {
	if d.md5 != nil {
		d.md5Sum = d.md5.Sum()
	}
	for a, h := range d.running {
		if h != nil {
			d.sums[a] = h.Sum(nil)
		}
	}
}

// close ends the hashing of a body that has not come to its end.
func (d *digests) close() {
	if d.md5 != nil {
		d.md5.Close()
	}
}

// sum gives a checksum after finish; nil if it was not computed.
func (d *digests) sum(a checksum.Algorithm) []byte {
	if int(a) >= len(d.sums) {
		return nil
	}
	return d.sums[a]
}
