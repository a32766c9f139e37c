package proxy

import (
	"crypto/md5"
	"encoding/hex"
	"slices"
	"strconv"
	"testing"
)

// TestTheSizesThatToolsUseAreTried: the defaults of the AWS CLI and SDKs, rclone, s3cmd, mc, s5cmd and of those that divide evenly.
func TestTheSizesThatToolsUseAreTried(t *testing.T) {
	for _, size := range []int64{5 << 20, 8 << 20, 10 << 20, 15 << 20, 16 << 20, 50 << 20, 64 << 20, 100 << 20, 128 << 20, 512 << 20, 5_000_000, 100_000_000} {
		for _, parts := range []int{1, 2, 3, 10, 999} {
			for _, last := range []int64{1, size / 2, size} {
				total := size*int64(parts-1) + last
				if parts == 1 {
					total = last
				}
				tried := partSizes(total, parts)
				if parts > 1 && !slices.Contains(tried, size) || len(tried) > maxTried {
					t.Errorf("%d parts of %d, the last of %d: tried %v", parts, size, last, tried)
				}
				for _, try := range tried {
					if spread := spread(total, try, parts); slices.Min(spread) < 1 || sumOf(spread) != total {
						t.Errorf("%d bytes in %d parts of %d: %v", total, parts, try, spread)
					}
				}
			}
		}
	}
	if got := partSizes(10_000_001, 2); got[0] != 5_000_001 {
		t.Errorf("an object that was divided evenly: %v", got)
	}
}

func sumOf(sizes []int64) (sum int64) {
	for _, n := range sizes {
		sum += n
	}
	return sum
}

func TestPartsETagIsThatOfS3HoweverTheBytesCome(t *testing.T) {
	body := make([]byte, 1000)
	for i := range body {
		body[i] = byte(i * 31)
	}
	for _, size := range []int{1, 7, 250, 333, 999, 1000} {
		whole, parts := md5.New(), 0
		for rest := body; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			sum := md5.Sum(rest[:min(size, len(rest))])
			whole.Write(sum[:])
			parts++
		}
		want := hex.EncodeToString(whole.Sum(nil)) + "-" + strconv.Itoa(parts)
		for _, step := range []int{1, 13, 1000} {
			e := &partsETag{size: int64(size), part: md5.New(), whole: md5.New()}
			for rest := body; len(rest) > 0; rest = rest[min(step, len(rest)):] {
				if n, err := e.Write(rest[:min(step, len(rest))]); err != nil || n != min(step, len(rest)) {
					t.Fatal(n, err)
				}
			}
			if got := e.sum(); got != want {
				t.Errorf("parts of %d, written by %d: %s, want %s", size, step, got, want)
			}
		}
	}
}
