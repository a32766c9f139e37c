package s3api

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"cofre/checksum"
)

var errNoUploadID = errors.New("backend's answer names no upload")

// WriteInitiateMultipartUpload writes the answer to CreateMultipartUpload.
func WriteInitiateMultipartUpload(w io.Writer, bucketName, key, uploadID string) error {
	d := newDocument()
	d.openRoot("InitiateMultipartUploadResult", namespace)
	d.text("Bucket", bucketName)
	d.text("Key", key)
	d.text("UploadId", uploadID)
	d.close("InitiateMultipartUploadResult")
	return d.writeTo(w)
}

// ScanInitiateMultipartUpload reads a backend's answer to CreateMultipartUpload and gives the upload id, never "".
func ScanInitiateMultipartUpload(r io.Reader) (uploadID string, err error) {
	err = decodeBackend(r, maxBackendDocument, func(s *scanner) error {
		return s.children(func(name []byte) (err error) {
			if string(name) == "UploadId" {
				uploadID, err = s.text()
			}
			return err
		})
	}, "InitiateMultipartUploadResult")
	if err == nil && uploadID == "" {
		err = errNoUploadID
	}
	return uploadID, err
}

// CompleteResult is the answer to CompleteMultipartUpload.
type CompleteResult struct {
	// Location is the object's URL as the client reaches it.
	Location, Bucket, Key string
	// ETag is unquoted.
	ETag string
	// ChecksumAlgorithm is None for no checksum; Checksum is base64, with "-N" behind when composite.
	ChecksumAlgorithm checksum.Algorithm
	ChecksumType      string
	Checksum          string
}

// WriteCompleteMultipartUpload writes the answer to CompleteMultipartUpload.
func WriteCompleteMultipartUpload(w io.Writer, r CompleteResult) error {
	d := newDocument()
	d.openRoot("CompleteMultipartUploadResult", namespace)
	d.text("Location", r.Location)
	d.text("Bucket", r.Bucket)
	d.text("Key", r.Key)
	d.etag(r.ETag)
	d.checksumValue(r.ChecksumAlgorithm, r.Checksum)
	d.optional("ChecksumType", r.ChecksumType)
	d.close("CompleteMultipartUploadResult")
	return d.writeTo(w)
}

// CopyResult is the answer to CopyObject and UploadPartCopy.
type CopyResult struct {
	// ETag is unquoted.
	ETag         string
	LastModified time.Time
	// ChecksumAlgorithm is None for no checksum; Checksum is base64, with "-N" behind when composite.
	ChecksumAlgorithm checksum.Algorithm
	ChecksumType      string // not for parts
	Checksum          string
}

// WriteCopyObjectResult writes the answer to CopyObject.
func WriteCopyObjectResult(w io.Writer, r CopyResult) error {
	return writeCopyResult(w, "CopyObjectResult", r)
}

// WriteCopyPartResult writes the answer to UploadPartCopy.
func WriteCopyPartResult(w io.Writer, r CopyResult) error {
	return writeCopyResult(w, "CopyPartResult", r)
}

func writeCopyResult(w io.Writer, root string, r CopyResult) error {
	d := newDocument()
	d.openRoot(root, namespace)
	d.text("LastModified", FormatTime(r.LastModified))
	d.etag(r.ETag)
	d.optional("ChecksumType", r.ChecksumType)
	d.checksumValue(r.ChecksumAlgorithm, r.Checksum)
	d.close(root)
	return d.writeTo(w)
}

// ScanCopyResult reads a backend's answer to CopyObject and gives the backend's entity tag, unquoted. An <Error> in a 200 is an *Error.
func ScanCopyResult(r io.Reader) (etag string, err error) {
	data, err := readXML(new(bytes.Buffer), r, maxBackendDocument)
	if err != nil {
		return "", err
	}
	if code, _ := scanError(data); code != "" {
		return "", DecodeError(0, data)
	}
	err = decodeBackend(bytes.NewReader(data), maxBackendDocument, func(s *scanner) error {
		return s.children(func(name []byte) (err error) {
			if string(name) == "ETag" {
				etag, err = s.text()
			}
			return err
		})
	}, "CopyObjectResult")
	return UnquoteETag(etag), err
}

// ListPartsRequest is what ListParts asks for.
type ListPartsRequest struct {
	UploadID string
	// MaxParts is 0 to 1,000.
	MaxParts int
	// PartNumberMarker is the number behind which the page begins, 0 for the beginning.
	PartNumberMarker int
	URLEncode        bool
}

// ParseListPartsRequest reads the parameters of ListParts.
func ParseListPartsRequest(c Call) (ListPartsRequest, *Error) {
	req := ListPartsRequest{UploadID: c.Query.Get("uploadId")}
	var err *Error
	if req.MaxParts, err = parseMax(c.Query, "max-parts", "max-parts"); err != nil {
		return ListPartsRequest{}, err
	}
	if v := c.Query.Get("part-number-marker"); v != "" {
		n, convErr := strconv.Atoi(v)
		if convErr != nil || n < 0 || n > math.MaxInt32 {
			return ListPartsRequest{}, invalidArgument("Argument part-number-marker must be an integer between 0 and 2147483647", "part-number-marker", v)
		}
		req.PartNumberMarker = n
	}
	if req.URLEncode, err = parseEncodingType(c.Query); err != nil {
		return ListPartsRequest{}, err
	}
	return req, nil
}

// ListPartsResult is the answer to ListParts.
type ListPartsResult struct {
	Request     ListPartsRequest
	Bucket, Key string
	// Initiator is the id of who began the upload, and is its owner too; "" leaves both out. InitiatorName is what people call
	// him, "" for the id.
	Initiator, InitiatorName string
	StorageClass             string
	// ChecksumAlgorithm and ChecksumType are those of the upload, "" for none.
	ChecksumAlgorithm, ChecksumType string
	Parts                           []ListedPart
	Truncated                       bool
}

// ListedPart is one part of an upload.
type ListedPart struct {
	Number int
	Size   int64
	// ETag is unquoted.
	ETag         string
	LastModified time.Time
	// ChecksumAlgorithm is None for no checksum; Checksum is raw.
	ChecksumAlgorithm checksum.Algorithm
	Checksum          []byte
}

// WriteListParts writes the answer to ListParts.
func WriteListParts(w io.Writer, r ListPartsResult) error {
	d := newDocument()
	d.openRoot("ListPartsResult", namespace)
	d.text("Bucket", r.Bucket)
	d.name("Key", r.Key, r.Request.URLEncode)
	d.text("UploadId", r.Request.UploadID)
	if r.Initiator != "" {
		name := cmp.Or(r.InitiatorName, r.Initiator)
		d.owner("Initiator", r.Initiator, name)
		d.owner("Owner", r.Initiator, name)
	}
	d.optional("StorageClass", r.StorageClass)
	d.int("PartNumberMarker", int64(r.Request.PartNumberMarker))
	next := 0
	if len(r.Parts) > 0 {
		next = r.Parts[len(r.Parts)-1].Number
	}
	d.int("NextPartNumberMarker", int64(next))
	d.int("MaxParts", int64(r.Request.MaxParts))
	if r.Request.URLEncode {
		d.text("EncodingType", "url")
	}
	d.bool("IsTruncated", r.Truncated)
	d.optional("ChecksumAlgorithm", r.ChecksumAlgorithm)
	d.optional("ChecksumType", r.ChecksumType)
	for _, p := range r.Parts {
		d.open("Part")
		d.int("PartNumber", int64(p.Number))
		d.text("LastModified", FormatTime(p.LastModified))
		d.etag(p.ETag)
		d.int("Size", p.Size)
		d.checksumValue(p.ChecksumAlgorithm, base64.StdEncoding.EncodeToString(p.Checksum))
		d.close("Part")
	}
	d.close("ListPartsResult")
	return d.writeTo(w)
}

// BackendParts is one page of a backend's ListParts.
type BackendParts struct {
	Parts     []BackendPart
	Truncated bool
	// OwnerID is the id of who began the upload, "" where the backend does not say.
	OwnerID string
}

// ScanListParts reads a backend's answer to ListParts. The next page begins behind the number of the last part: some stores always say that
// NextPartNumberMarker is 0.
func ScanListParts(r io.Reader) (BackendParts, error) {
	var page BackendParts
	err := decodeBackend(r, maxBackendDocument, func(s *scanner) error {
		return s.children(func(name []byte) error {
			switch string(name) {
			case "IsTruncated":
				text, err := s.text()
				page.Truncated, _ = parseBool(text)
				return err
			case "Owner":
				return s.children(func(name []byte) (err error) {
					if string(name) == "ID" {
						page.OwnerID, err = s.text()
					}
					return err
				})
			case "Part":
				p, err := scanBackendPart(s)
				page.Parts = append(page.Parts, p)
				return err
			}
			return nil
		})
	}, "ListPartsResult")
	return page, err
}

func scanBackendPart(s *scanner) (BackendPart, error) {
	var (
		p      BackendPart
		number string
	)
	err := s.children(func(name []byte) (err error) {
		switch string(name) {
		case "PartNumber":
			number, err = s.text()
		case "ETag":
			p.ETag, err = s.text()
		}
		return err
	})
	if err != nil {
		return p, err
	}
	p.ETag = UnquoteETag(p.ETag)
	p.Number, err = strconv.Atoi(strings.TrimSpace(number))
	return p, err
}
