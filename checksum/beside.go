package checksum

import (
	"crypto/md5" // #nosec G501 -- see md5.go
	"sync"
)

// besidePiece is how much of a body goes to the other goroutine at a time, in bytes: the longer, the seldomer one of the two sleeps.
const besidePiece = 512 << 10

// beside hashes a body in a goroutine of its own, so that whoever reads, seals and sends the body goes on meanwhile: where a core is idle,
// a body that is alone is sent faster (docs/PERFORMANCE.md). One piece is hashed while the next is filled.
type beside struct {
	room    *besideRoom
	filling []byte
	full    chan []byte
	hashed  chan []byte
	sum     chan []byte
}

type besideRoom [2][besidePiece]byte

var besideRooms = sync.Pool{New: func() any { return new(besideRoom) }}

func takeRoom() *besideRoom {
	room, _ := besideRooms.Get().(*besideRoom)
	return room
}

// giveBack wipes the first piece, and takes the second for wiped or never used.
func (r *besideRoom) giveBack() {
	clear(r[0][:])
	besideRooms.Put(r)
}

// newBeside goes on with a body of which the room has n bytes.
func newBeside(room *besideRoom, n int) *beside {
	b := &beside{
		room: room, filling: room[0][:n], full: make(chan []byte, 1), hashed: make(chan []byte, 2), sum: make(chan []byte, 1),
	}
	b.hashed <- room[1][:0]
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
		if len(b.filling) == besidePiece {
			b.full <- b.filling
			b.filling = <-b.hashed
		}
		n := min(len(p), besidePiece-len(b.filling))
		b.filling = append(b.filling, p[:n]...)
		p = p[n:]
	}
}

// end gives the MD5 of what was written, and ends the goroutine.
func (b *beside) end() []byte {
	b.full <- b.filling
	close(b.full)
	sum := <-b.sum
	clear(b.room[1][:]) // plaintext
	b.room.giveBack()
	return sum
}
