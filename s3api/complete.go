package s3api

import (
	"encoding/base64"
	"io"
	"strconv"
	"strings"

	"cofre/checksum"
)

// CompletePart is one part in the list of CompleteMultipartUpload.
type CompletePart struct {
	// Number is 1 to 10000.
	Number int
	// ETag is unquoted, whatever form the client sent.
	ETag string
	// Checksums holds the checksums that the client gave for the part, in base64; nil for none.
	Checksums map[checksum.Algorithm]string
}

// DecodeCompleteMultipartUpload reads the list of parts, in the order sent: whether it ascends is for the caller to judge
// (ErrInvalidPartOrder). There is at least one part. Of a number that is sent twice in a row the last counts, as on Ceph RGW: clients that send
// a part again before the first attempt has ended list both.
func DecodeCompleteMultipartUpload(r io.Reader) ([]CompletePart, *Error) {
	var parts []CompletePart
	err := decodeClient(r, maxCompleteDocument, "CompleteMultipartUpload", func(s *scanner) error {
		return s.children(func(name []byte) error {
			if string(name) != "Part" {
				return nil
			}
			if len(parts) == MaxParts {
				return ErrMalformedXML
			}
			p, err := scanCompletePart(s)
			if last := len(parts) - 1; last >= 0 && parts[last].Number == p.Number {
				parts[last] = p
			} else {
				parts = append(parts, p)
			}
			return err
		})
	})
	if err == nil && len(parts) == 0 {
		err = ErrInvalidRequest.With("You must specify at least one part")
	}
	if err != nil {
		return nil, err
	}
	return parts, nil
}

func scanCompletePart(s *scanner) (CompletePart, error) {
	var (
		p            CompletePart
		number, etag string
		o            once
	)
	err := s.children(func(name []byte) error {
		switch string(name) {
		case "PartNumber":
			return o.text(s, name, &number)
		case "ETag":
			return o.text(s, name, &etag)
		}
		if algorithm, ok := strings.CutPrefix(string(name), "Checksum"); ok {
			var sum string
			if err := o.text(s, name, &sum); err != nil {
				return err
			}
			return p.addChecksum(algorithm, strings.TrimSpace(sum))
		}
		return nil
	})
	if err != nil {
		return p, err
	}
	if p.ETag = UnquoteETag(etag); p.ETag == "" {
		return p, ErrMalformedXML
	}
	number = strings.TrimSpace(number)
	n, convErr := strconv.Atoi(number)
	switch {
	case convErr != nil:
		return p, ErrMalformedXML
	case n < 1:
		return p, invalidArgument("PartNumber must be >= 1", "PartNumber", number)
	case n > MaxParts:
		return p, invalidArgument("Part number must be an integer between 1 and 10000, inclusive", "PartNumber", number)
	}
	p.Number = n
	return p, nil
}

// addChecksum takes one checksum of a part. One that this program cannot compute is refused: it would go unchecked without a word.
func (p *CompletePart) addChecksum(algorithm, sum string) error {
	if sum == "" {
		return nil
	}
	a, ok := checksum.ParseAlgorithm(algorithm)
	if !ok || a.String() != algorithm {
		return ErrNotImplemented.With("The checksum algorithm Checksum" + algorithm + " is not implemented.")
	}
	raw, err := base64.StdEncoding.DecodeString(sum)
	if err != nil || len(raw) != a.Size() || len(p.Checksums) > 0 {
		return invalidArgument("Invalid Base64 or multiple checksums present in request", "Checksum"+algorithm, sum)
	}
	p.Checksums = map[checksum.Algorithm]string{a: sum}
	return nil
}

// BackendPart is one part as the backend knows it.
type BackendPart struct {
	Number int
	// ETag is the backend's own, unquoted.
	ETag string
}

// EncodeBackendComplete gives the body of a CompleteMultipartUpload to the backend: numbers and entity tags alone, since checksums would be
// those of other bytes, and 10,000 parts must fit into the 1 MiB that Ceph RGW takes (rgw_max_put_param_size).
func EncodeBackendComplete(parts []BackendPart) []byte {
	d := document{b: make([]byte, 0, 128+100*len(parts))}
	d.openRoot("CompleteMultipartUpload", namespace)
	for _, p := range parts {
		d.open("Part")
		d.int("PartNumber", int64(p.Number))
		d.etag(p.ETag)
		d.close("Part")
	}
	d.close("CompleteMultipartUpload")
	return d.b
}
