package checksum_test

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"cofre/checksum"
)

// TestMD5IsMD5WhoeverIsHashedBeside: in lanes or not, in pieces of any length, one given up in the middle beside the others.
func TestMD5IsMD5WhoeverIsHashedBeside(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var wg sync.WaitGroup
		defer wg.Wait()
		for i := range rapid.OneOf(rapid.IntRange(1, 9), rapid.IntRange(10, 40)).Draw(rt, "bodies") {
			size := rapid.IntRange(0, 600_000).Draw(rt, "size")
			piece := rapid.SampledFrom([]int{1, 63, 64, 65, 1000, 32 << 10, 64 << 10, 66 << 10, 300_000}).Draw(rt, "piece")
			told := rapid.SampledFrom([]int64{-1, int64(size), 1 << 30}).Draw(rt, "told")
			stops := rapid.Bool().Draw(rt, "stops")
			if piece < 63 {
				size %= 1000
			}
			body := make([]byte, size)
			source := rand.NewChaCha8([32]byte{byte(i), byte(size)})
			_, _ = source.Read(body)
			wg.Go(func() {
				m := checksum.NewMD5(told)
				defer m.Close()
				for src := bytes.NewReader(body); ; {
					if n, err := io.CopyN(m, src, int64(piece)); err != nil || n == 0 {
						break
					}
					if stops && src.Len() < size/2 {
						return
					}
				}
				if want := md5.Sum(body); !bytes.Equal(m.Sum(), want[:]) {
					t.Errorf("MD5 of %d bytes in pieces of %d is wrong", size, piece)
				}
			})
		}
	})
}

// TestMD5sThatAreGivenUpHoldNobodyUp: a lane that was given up any number of times, with nobody else to wake its server, is as good as new.
func TestMD5sThatAreGivenUpHoldNobodyUp(t *testing.T) {
	body := make([]byte, 100_000)
	want := md5.Sum(body)
	for given := range 10 {
		crowd := make([]*checksum.MD5, 8) // so that the next ones begin in lanes
		for i := range crowd {
			crowd[i] = checksum.NewMD5(-1)
		}
		for _, m := range crowd {
			m.Close()
		}
		for range given {
			checksum.NewMD5(-1).Close()
		}
		m := checksum.NewMD5(-1)
		_, _ = m.Write(body)
		if !bytes.Equal(m.Sum(), want[:]) {
			t.Fatalf("after %d that were given up, the MD5 is wrong", given)
		}
	}
	for given := range 10 {
		for range given {
			checksum.NewMD5(-1).Close()
		}
		empty := md5.Sum(nil)
		if m := checksum.NewMD5(-1); !bytes.Equal(m.Sum(), empty[:]) {
			t.Fatalf("after %d that were given up, the MD5 of nothing is wrong", given)
		}
	}
}

// TestBodiesThatStandStillHoldNobodyUp: others beside them come to their end, and they to theirs once they go on.
func TestBodiesThatStandStillHoldNobodyUp(t *testing.T) {
	body := make([]byte, 3<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(body)
	want := md5.Sum(body)
	for _, stands := range []int{1, 100_000, 128 << 10, 200_000, 256 << 10} {
		still := make([]*checksum.MD5, 8) // of which the last ones are in lanes at least
		for i := range still {
			still[i] = checksum.NewMD5(-1)
		}
		for _, m := range still[:3] {
			m.Close()
		}
		still = still[3:]
		var begun sync.WaitGroup
		for _, m := range still {
			begun.Go(func() { _, _ = m.Write(body[:stands]) })
		}
		begun.Wait()
		quick := checksum.NewMD5(-1)
		for p := body; len(p) > 0; p = p[64<<10:] {
			_, _ = quick.Write(p[:64<<10])
		}
		if !bytes.Equal(quick.Sum(), want[:]) {
			t.Errorf("beside bodies that stand still behind %d bytes, an MD5 is wrong", stands)
		}
		for _, m := range still {
			_, _ = m.Write(body[stands:])
			if !bytes.Equal(m.Sum(), want[:]) {
				t.Errorf("the MD5 of a body that stood still behind %d bytes is wrong", stands)
			}
		}
	}
}

// BenchmarkMD5 hashes that many bodies of 16 MiB at once.
func BenchmarkMD5(b *testing.B) {
	chunk := make([]byte, 64<<10)
	const size = 16 << 20
	for _, streams := range []int{1, 2, 4, 8, 16} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			b.SetBytes(int64(streams) * size)
			for b.Loop() {
				var wg sync.WaitGroup
				for range streams {
					wg.Go(func() {
						m := checksum.NewMD5(size)
						for range size / len(chunk) {
							_, _ = m.Write(chunk)
						}
						_ = m.Sum()
					})
				}
				wg.Wait()
			}
		})
	}
}
