package proxy

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/s3api"
)

// choose finds the attempt of each listed part, and checks what S3 checks of a list.
func (h *Handler) choose(ctx context.Context, rq *request, up *openUpload, list []s3api.CompletePart) ([]metadata.UploadPart, error) {
	if len(list) == 0 {
		return nil, s3api.ErrMalformedXML
	}
	for i := 1; i < len(list); i++ {
		if list[i].Number <= list[i-1].Number {
			return nil, s3api.ErrInvalidPartOrder
		}
	}
	rows, err := h.partsByNumber(ctx, up.ID)
	if err != nil {
		return nil, err
	}
	var kept map[int]string
	chosen := make([]metadata.UploadPart, 0, len(list))
	for i, p := range list {
		row, ok := rows[p.Number]
		if !ok {
			return nil, invalidPart(up, p)
		}
		if row.attempts > 1 {
			if kept == nil {
				if kept, err = h.keptParts(ctx, rq, up); err != nil {
					return nil, err
				}
			}
			if row.UploadPart, err = h.keptAttempt(ctx, up, p.Number, kept[p.Number]); err != nil {
				return nil, err
			}
		}
		if !etagMatches(p.ETag, row.ETag) || !checksumsMatch(p, row.UploadPart) {
			return nil, invalidPart(up, p)
		}
		if i < len(list)-1 && row.Size < minPartSize {
			return nil, s3api.ErrEntityTooSmall.Field("ProposedSize", strconv.FormatInt(row.Size, 10)).
				Field("MinSizeAllowed", strconv.Itoa(minPartSize)).Field("PartNumber", strconv.Itoa(p.Number)).Field("ETag", row.ETag)
		}
		chosen = append(chosen, row.UploadPart)
	}
	return chosen, nil
}

func invalidPart(up *openUpload, p s3api.CompletePart) error {
	return s3api.ErrInvalidPart.Field("UploadId", up.ID).Field("PartNumber", strconv.Itoa(p.Number)).Field("ETag", p.ETag)
}

// checksumsMatch compares what the list says of a part with what was verified when it came.
func checksumsMatch(p s3api.CompletePart, row metadata.UploadPart) bool {
	for alg, text := range p.Checksums {
		if alg != row.Checksum.Algorithm || text != base64.StdEncoding.EncodeToString(row.Checksum.Value) {
			return false
		}
	}
	return true
}

type partRow struct {
	metadata.UploadPart
	attempts int
}

// partsByNumber reads the newest attempt of every part: at most 10,000 small rows.
func (h *Handler) partsByNumber(ctx context.Context, uploadID string) (map[int]partRow, error) {
	const page = 1000
	rows := map[int]partRow{}
	for after := 0; ; {
		parts, attempts, err := h.store.UploadParts(ctx, uploadID, after, page)
		if err != nil {
			return nil, err
		}
		for i, p := range parts {
			rows[p.Number] = partRow{p, attempts[i]}
			after = p.Number
		}
		if len(parts) < page {
			return rows, nil
		}
	}
}

// keptParts asks the backend which attempt of each part it kept: the last to finish there need not be the last here.
func (h *Handler) keptParts(ctx context.Context, rq *request, up *openUpload) (map[int]string, error) {
	kept := map[int]string{}
	for after := 0; ; {
		var q s3api.Query
		q.Set("uploadId", up.ID)
		if after > 0 {
			q.Set("part-number-marker", strconv.Itoa(after))
		}
		resp, err := h.backend.Do(ctx, rq.as(), &BackendRequest{Method: http.MethodGet, Bucket: up.Bucket, Key: up.Key, Query: q})
		if err != nil {
			return nil, err
		}
		page, err := s3api.ScanListParts(resp.Body)
		resp.Body.Close()
		if err != nil {
			return nil, err
		}
		for _, p := range page.Parts {
			kept[p.Number] = p.ETag
			after = p.Number
		}
		if !page.Truncated || len(page.Parts) == 0 {
			return kept, nil
		}
	}
}

func (h *Handler) keptAttempt(ctx context.Context, up *openUpload, number int, backendETag string) (metadata.UploadPart, error) {
	attempts, err := h.store.PartAttempts(ctx, up.ID, number)
	if err != nil {
		return metadata.UploadPart{}, err
	}
	for _, a := range attempts {
		if a.BackendETag == backendETag {
			return a, nil
		}
	}
	return metadata.UploadPart{}, s3api.ErrInvalidPart
}

// objectChecksum makes the object's checksum from its parts', and compares it with what the client expects, and the size.
func (h *Handler) objectChecksum(rq *request, up *openUpload, chosen []metadata.UploadPart) (metadata.Checksum, error) {
	if text := rq.call.Header.Get("x-amz-mp-object-size"); text != "" {
		var total int64
		for _, p := range chosen {
			total += p.Size
		}
		if n, err := strconv.ParseInt(text, 10, 64); err != nil || n != total {
			return metadata.Checksum{}, s3api.ErrInvalidRequest.With("The provided 'x-amz-mp-object-size' header value does not match what was computed.")
		}
	}
	sum, err := joinChecksums(up, chosen)
	if err != nil {
		return sum, err
	}
	for _, alg := range checksum.All() {
		text := rq.call.Header.Get(alg.Header())
		if text == "" {
			continue
		}
		if alg != sum.Algorithm {
			return sum, s3api.ErrInvalidRequest.With("Checksum Type mismatch occurred, expected checksum Type: " + sum.Algorithm.String() + ", actual checksum Type: " + alg.String())
		}
		bare, _, _ := strings.Cut(text, "-")
		if bare != base64.StdEncoding.EncodeToString(sum.Value) {
			return sum, s3api.ErrBadDigest.With("The " + alg.String() + " you specified did not match the calculated checksum.")
		}
	}
	return sum, nil
}

// joinChecksums makes the object's checksum of the kind that Create named. Where it named none the parts have S3's default, of which
// the object's is made, or what each sender chose: of several kinds, or of one that Create should have named, nothing is made.
func joinChecksums(up *openUpload, chosen []metadata.UploadPart) (metadata.Checksum, error) {
	alg, kind := up.ChecksumAlgorithm, up.ChecksumType
	if alg == checksum.None {
		if slices.ContainsFunc(chosen, func(p metadata.UploadPart) bool { return p.Checksum.Algorithm != defaultChecksum }) {
			return metadata.Checksum{}, nil
		}
		alg, kind = defaultChecksum, checksum.FullObject
	}
	sum := metadata.Checksum{Algorithm: alg, Type: kind}
	values := make([][]byte, len(chosen))
	for i, p := range chosen {
		if p.Checksum.Algorithm != alg {
			return metadata.Checksum{}, s3api.ErrInvalidPart
		}
		values[i] = p.Checksum.Value
	}
	if sum.Type == checksum.Composite {
		sum.Value = checksum.CompositeOf(alg, values)
		return sum, nil
	}
	sum.Value = values[0]
	for i := 1; i < len(values); i++ {
		sum.Value = checksum.Combine(alg, sum.Value, values[i], chosen[i].Size)
	}
	return sum, nil
}
