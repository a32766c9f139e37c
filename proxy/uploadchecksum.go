package proxy

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/s3api"
)

// partChecksum is what is kept of each part of an upload: the algorithm that Create named, else S3's default, which the object
// then gets whatever the senders of the parts chose for themselves.
func (up *openUpload) partChecksum() checksum.Algorithm {
	if up.ChecksumAlgorithm == checksum.None {
		return defaultChecksum
	}
	return up.ChecksumAlgorithm
}

// checksumWord is how S3 spells an algorithm in the messages of multipart uploads.
func checksumWord(a checksum.Algorithm) string { return strings.ToLower(a.String()) }

// checkListed compares what the list of a Complete says of a part's checksum with what was verified when the part came. A list
// need not say anything: S3 wants it where checksums are composite, Ceph RGW does not and clients of it leave it out.
func checkListed(up *openUpload, p s3api.CompletePart, row metadata.UploadPart) error {
	for alg, text := range p.Checksums {
		switch {
		case up.ChecksumAlgorithm != checksum.None && alg != up.ChecksumAlgorithm:
			return s3api.ErrBadDigest.With("The " + checksumWord(alg) + " you specified for part " + strconv.Itoa(p.Number) + " did not match what we received.")
		case alg != row.Checksum.Algorithm || text != base64.StdEncoding.EncodeToString(row.Checksum.Value):
			return invalidPart(up, p)
		}
	}
	return nil
}

// objectChecksum makes the object's checksum from its parts', and compares all that the request says of the object with what
// there is.
func (h *Handler) objectChecksum(rq *request, up *openUpload, chosen []metadata.UploadPart) (metadata.Checksum, error) {
	header := rq.call.Header
	if err := checkObjectSize(header, chosen); err != nil {
		return metadata.Checksum{}, err
	}
	if kind := header.Get("X-Amz-Checksum-Type"); kind != "" && kind != string(up.ChecksumType) {
		mode := string(up.ChecksumType)
		if mode == "" {
			mode = "null" // as S3 calls that of an upload whose Create named none
		}
		return metadata.Checksum{}, s3api.ErrInvalidRequest.With("The upload was created using the " + mode + " checksum mode. The complete request must use the same checksum mode.")
	}
	sum, err := joinChecksums(up, chosen)
	if err != nil {
		return sum, err
	}
	return sum, checkObjectChecksum(header, up, sum, len(chosen))
}

func checkObjectSize(header http.Header, chosen []metadata.UploadPart) error {
	text := header.Get("X-Amz-Mp-Object-Size")
	if text == "" {
		return nil
	}
	var total int64
	for _, p := range chosen {
		total += p.Size
	}
	if n, err := strconv.ParseInt(text, 10, 64); err != nil || n != total {
		return s3api.ErrInvalidRequest.With("The provided 'x-amz-mp-object-size' header value " + text + " does not match what was computed: " + strconv.FormatInt(total, 10))
	}
	return nil
}

// checkObjectChecksum compares the x-amz-checksum-* header of a Complete with the object's checksum. A composite one counts
// with and without the number of parts behind it.
func checkObjectChecksum(header http.Header, up *openUpload, sum metadata.Checksum, parts int) error {
	claimed, text := checksum.None, ""
	for name, values := range header {
		if !checksum.IsHeader(name) {
			continue
		}
		alg, ok := checksum.ParseHeader(name)
		if !ok {
			return s3api.ErrInvalidRequest.With("The algorithm type you specified in x-amz-checksum- header is invalid.")
		}
		if claimed != checksum.None || len(values) != 1 {
			return s3api.ErrInvalidRequest.With("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		claimed, text = alg, values[0]
	}
	switch {
	case claimed == checksum.None, claimed == sum.Algorithm && (text == checksumText(sum, parts) || text == checksumText(sum, 0)):
		return nil
	case claimed != sum.Algorithm && up.ChecksumAlgorithm == checksum.None:
		return nil // nothing is known that it could be compared with; neither S3 nor Ceph RGW looks at it
	default:
		return s3api.ErrBadDigest.With("The " + checksumWord(sum.Algorithm) + " you specified did not match the calculated checksum.")
	}
}

// joinChecksums makes the object's checksum from its parts', of the kind that Create named. Where it named none, S3 gives the
// object its default over the whole.
func joinChecksums(up *openUpload, chosen []metadata.UploadPart) (metadata.Checksum, error) {
	sum := metadata.Checksum{Algorithm: up.partChecksum(), Type: up.ChecksumType}
	if up.ChecksumAlgorithm == checksum.None {
		sum.Type = checksum.FullObject
	}
	values := make([][]byte, len(chosen))
	for i, p := range chosen {
		if p.Checksum.Algorithm != sum.Algorithm {
			return metadata.Checksum{}, s3api.ErrInvalidPart
		}
		values[i] = p.Checksum.Value
	}
	if sum.Type == checksum.Composite {
		sum.Value = checksum.CompositeOf(sum.Algorithm, values)
		return sum, nil
	}
	sum.Value = values[0]
	for i := 1; i < len(values); i++ {
		sum.Value = checksum.Combine(sum.Algorithm, sum.Value, values[i], chosen[i].Size)
	}
	return sum, nil
}
