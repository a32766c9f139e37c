package sigv4

import (
	"crypto/md5" // #nosec G501 -- ETags and Content-MD5 are MD5; neither authenticates anything here
	"hash"

	"cofre/checksum"
)

// digests computes what has to be known of a body in one pass. Each algorithm runs once, however many ask for it. Nothing outside this type
// knows that the hashes run in the goroutine that reads.
type digests struct {
	running [checksum.CRC64NVME + 1]hash.Hash // by algorithm; nil where nobody asked
	md5     hash.Hash                         // nil where nobody asked

	// Set by finish.
	md5Sum []byte
	sums   [checksum.CRC64NVME + 1][]byte
}

func (d *digests) add(a checksum.Algorithm) {
	if a != checksum.None && d.running[a] == nil {
		d.running[a] = a.New()
	}
}

func (d *digests) addMD5() { d.md5 = md5.New() /* #nosec G401 -- see the import */ }

func (d *digests) write(p []byte) {
	if d.md5 != nil {
		_, _ = d.md5.Write(p) // a hash.Hash never fails
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
		d.md5Sum = d.md5.Sum(nil)
	}
	for a, h := range d.running {
		if h != nil {
			d.sums[a] = h.Sum(nil)
		}
	}
}

// sum gives a checksum after finish; nil if it was not computed.
func (d *digests) sum(a checksum.Algorithm) []byte {
	if int(a) >= len(d.sums) {
		return nil
	}
	return d.sums[a]
}
