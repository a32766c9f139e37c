package checksum

import (
	"runtime"
	"testing"
	"time"
)

// TestHowABodyIsHashed: one of many in a lane, also where the others began at the same time and just behind it; one that is alone beside
// what else is done with it; a short one by itself.
func TestHowABodyIsHashed(t *testing.T) {
	if Hashing() != 0 {
		t.Fatal("somebody else is hashing")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	crowded.Store(int64(-time.Hour))
	defer crowded.Store(int64(-time.Hour))
	piece := make([]byte, besidePiece)
	short, alone := NewMD5(lanesMinimum-1), NewMD5(lanesMinimum)
	_, _ = alone.Write(piece)
	if short.hash == nil || alone.beside == nil {
		t.Error("a short body is not hashed by itself, or one that is alone not beside the rest")
	}
	short.Close()
	alone.Close()

	var together []*MD5
	for range lanesFromAtLeast {
		together = append(together, NewMD5(-1))
	}
	for i, m := range together {
		if _, _ = m.Write(piece); m.lane == nil {
			t.Errorf("body %d of %d that began together has no lane", i, len(together))
		}
	}
	for _, m := range together {
		m.Close()
	}
	next := NewMD5(-1)
	if next.lane == nil {
		t.Error("the first of the next wave has no lane")
	}
	next.Close()

	crowded.Store(int64(-time.Hour))
	second, third := NewMD5(-1), NewMD5(-1)
	for _, m := range []*MD5{second, third} {
		if _, _ = m.Write(piece); m.hash == nil {
			t.Error("one of two on two cores is not hashed by itself")
		}
		defer m.Close()
	}
}
