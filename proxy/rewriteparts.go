package proxy

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"cofre/access"
	"cofre/metadata"
)

// plainParts finds the parts of an object in clear whose ETag says that it was uploaded in some: from the backend where it tells
// them, else by trying.
func (w *rewriter) plainParts(ctx context.Context, rq *request, t target, plain *unsealedObject, headOnly bool) ([]metadata.Part, error) {
	etag := plain.record().ETag
	_, text, _ := strings.Cut(etag, "-")
	count, err := strconv.Atoi(text)
	if err != nil || count < 1 || count > maxPartNumber || plain.size < int64(count-1) {
		return nil, refuse("etag", "its ETag names a number of parts that no object has")
	}
	sizes, err := w.toldParts(ctx, t, plain, count)
	if err != nil {
		return nil, err
	}
	if sizes == nil {
		if sizes, err = w.triedParts(ctx, rq, t, plain, count, headOnly); err != nil {
			return nil, err
		}
	}
	parts := make([]metadata.Part, count)
	for i, size := range sizes {
		parts[i] = metadata.Part{Number: i + 1, Size: size}
	}
	return parts, nil
}

// toldParts asks the backend for the size of each part; nil where it does not tell (Ceph RGW 16 takes no notice of partNumber).
func (w *rewriter) toldParts(ctx context.Context, t target, plain *unsealedObject, count int) ([]int64, error) {
	sizes, total := make([]int64, count), int64(0)
	for i := range sizes {
		var q = t.query()
		q.Set("partNumber", strconv.Itoa(i+1))
		resp, err := w.h.backend.Do(ctx, access.SiteUser, &BackendRequest{
			Method: http.MethodHead, Bucket: t.Bucket, Key: t.Key, Query: q,
			Header: http.Header{"If-Match": {plain.header.Get("Etag")}},
		})
		if hasStatus(err, http.StatusBadRequest) || hasStatus(err, http.StatusRequestedRangeNotSatisfiable) || hasStatus(err, http.StatusNotImplemented) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		resp.Body.Close()
		if resp.Header.Get("X-Amz-Mp-Parts-Count") != strconv.Itoa(count) {
			return nil, nil
		}
		sizes[i] = resp.Length
		total += resp.Length
	}
	if total != plain.size {
		return nil, nil
	}
	return sizes, nil
}

// usualSteps are what tools make the sizes of parts multiples of, in the order in which they are tried.
var usualSteps = []int64{
	1 << 30, 512 << 20, 256 << 20, 128 << 20, 100 << 20, 100_000_000, 64 << 20, 50 << 20, 50_000_000, 10_000_000, 32 << 20, 25 << 20, 16 << 20, 15 << 20, 10 << 20, 8 << 20, 5 << 20,
	1 << 20, 5_000_000, 1_000_000, 1,
}

// maxTried bounds how many sizes are tried: each costs an MD5 of the whole object.
const maxTried = 32

// partSizes gives the sizes that all parts but the last may have, the likely ones first.
func partSizes(size int64, count int) []int64 {
	if count == 1 {
		return []int64{size}
	}
	n := int64(count)
	least, most := (size+n-1)/n, (size-1)/(n-1) // so that there are count of them, the last not empty
	sizes := []int64{least}
	for _, step := range usualSteps {
		for p := (least + step - 1) / step * step; p <= most && len(sizes) < maxTried; p += step {
			if !slices.Contains(sizes, p) {
				sizes = append(sizes, p)
			}
		}
	}
	return sizes
}

// triedParts finds parts of one size, the last apart, whose MD5s make the object's ETag. That takes a reading of its own.
func (w *rewriter) triedParts(ctx context.Context, rq *request, t target, plain *unsealedObject, count int, headOnly bool) ([]int64, error) {
	sizes := partSizes(plain.size, count)
	if headOnly || len(sizes) == 1 {
		return spread(plain.size, sizes[0], count), nil
	}
	body, err := w.h.openUnsealed(ctx, rq.reading(), t, plain, 0, plain.size)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var src io.Reader = body
	if w.cfg.Throttle != nil {
		src = &throttledReader{ctx: ctx, src: body, throttle: w.cfg.Throttle}
	}
	tries := make([]io.Writer, len(sizes))
	for i, size := range sizes {
		tries[i] = &partsETag{size: size, part: md5.New(), whole: md5.New()}
	}
	n, err := io.Copy(io.MultiWriter(tries...), src)
	if err == nil && n != plain.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	for i, try := range tries {
		if try.(*partsETag).sum() == plain.record().ETag {
			return spread(plain.size, sizes[i], count), nil
		}
	}
	return nil, refuse("parts", "the storage does not tell the sizes of its parts, and no usual size gives its ETag")
}

// spread gives the sizes of count parts of one size, the last being what is left.
func spread(total, size int64, count int) []int64 {
	sizes := make([]int64, count)
	for i := range sizes {
		sizes[i] = min(size, total)
		total -= sizes[i]
	}
	return sizes
}

// partsETag computes what ETag an object would have in parts of a size.
type partsETag struct {
	size        int64
	part, whole hash.Hash
	inPart      int64
	parts       int
}

func (e *partsETag) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		k := min(int64(len(p)), e.size-e.inPart)
		e.part.Write(p[:k])
		e.inPart += k
		p = p[k:]
		if e.inPart == e.size {
			e.endPart()
		}
	}
	return n, nil
}

func (e *partsETag) endPart() {
	e.whole.Write(e.part.Sum(nil))
	e.part.Reset()
	e.inPart = 0
	e.parts++
}

func (e *partsETag) sum() string {
	if e.inPart > 0 {
		e.endPart()
	}
	return hex.EncodeToString(e.whole.Sum(nil)) + "-" + strconv.Itoa(e.parts)
}
