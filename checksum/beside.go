package checksum

import (
	"crypto/md5" // #nosec G501 -- see md5.go
	"sync"
)

// besidePiece is how much of a body goes to the other goroutine at a time, in bytes: the longer, the seldomer one of the two sleeps.
const besidePiece = 512 << 10

// beside hashes a body in a goroutine of its own, so that whoever reads, seals and sends the body goes on meanwhile: where a core is idle,
// a body that is alone is sent at nearly twice the rate. One piece is hashed while the next is filled.
type beside struct {
	*besideRoom
	filling []byte
	full    chan []byte
	hashed  chan []byte
	sum     chan []byte
}

type besideRoom [2][besidePiece]byte

var besideRooms = sync.Pool{New: func() any { return new(besideRoom) }}

func newBeside() *beside {
	b := &beside{full: make(chan []byte, 1), hashed: make(chan []byte, 2), sum: make(chan []byte, 1)}
	b.besideRoom, _ = besideRooms.Get().(*besideRoom)
	b.filling = b.besideRoom[0][:0]
	b.hashed <- b.besideRoom[1][:0]
	go b.work()
	return b
}

func (b *beside) work() {
	h := md5.New() // #nosec G401 -- see md5.go
	for p := range b.full {
		_, _ = h.Write(p) // a hash never fails
		b.hashed <- p[:0]
	}
	b.sum <- h.Sum(nil)
}

func (b *beside) write(p []byte) {
	for len(p) > 0 {
		n := min(len(p), besidePiece-len(b.filling))
		b.filling = append(b.filling, p[:n]...)
		p = p[n:]
		if len(b.filling) == besidePiece {
			b.full <- b.filling
			b.filling = <-b.hashed
		}
	}
}

// end gives the MD5 of what was written, and ends the goroutine.
func (b *beside) end() []byte {
	b.full <- b.filling
	close(b.full)
	sum := <-b.sum
	clear(b.besideRoom[0][:]) // plaintext
	clear(b.besideRoom[1][:])
	besideRooms.Put(b.besideRoom)
	return sum
}
