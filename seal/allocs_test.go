package seal_test

import (
	"bytes"
	"io"
	"testing"

	"cofre/seal"
)

// allocsOf counts what sealing and opening a part of this many chunks allocate.
func allocsOf(t *testing.T, chunks int64) (sealing, opening float64) {
	t.Helper()
	o := sealObject(t, chunks*seal.ChunkSize)
	sealing = testing.AllocsPerRun(20, func() {
		e := encrypter(t, o.geometry.Size(), bytes.NewReader(o.plain), noFooter)
		if _, err := io.Copy(io.Discard, e); err != nil {
			t.Fatal(err)
		}
		e.Close()
	})
	opening = testing.AllocsPerRun(20, func() {
		d := o.open(o.stored, 0, o.geometry.Size())
		if _, err := io.Copy(io.Discard, d); err != nil {
			t.Fatal(err)
		}
		d.Close()
	})
	return sealing, opening
}

// TestChunksCostNoAllocation compares two and forty chunks: the difference is what chunks cost. A few are allowed, since a
// garbage collection in between may empty the pool of buffers.
func TestChunksCostNoAllocation(t *testing.T) {
	sealingFew, openingFew := allocsOf(t, 2)
	sealingMany, openingMany := allocsOf(t, 40)
	const slack = 3
	if sealingMany > sealingFew+slack {
		t.Errorf("sealing 2 chunks allocates %.0f times, 40 chunks %.0f times", sealingFew, sealingMany)
	}
	if openingMany > openingFew+slack {
		t.Errorf("opening 2 chunks allocates %.0f times, 40 chunks %.0f times", openingFew, openingMany)
	}
}
