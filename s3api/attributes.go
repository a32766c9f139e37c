package s3api

import (
	"encoding/base64"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"

	"cofre/checksum"
)

// AttributesRequest is what GetObjectAttributes asks for.
type AttributesRequest struct {
	// Which attributes the answer shall hold; at least one is set.
	ETag, Checksum, ObjectParts, StorageClass, ObjectSize bool
	// MaxParts is 0 to 1,000.
	MaxParts int
	// PartNumberMarker is the number behind which the list of parts begins, 0 for the beginning.
	PartNumberMarker int
}

// ParseAttributesRequest reads the headers of GetObjectAttributes.
func ParseAttributesRequest(h http.Header) (AttributesRequest, *Error) {
	req := AttributesRequest{MaxParts: MaxListKeys}
	asked := false
	for name := range strings.SplitSeq(strings.Join(h.Values("X-Amz-Object-Attributes"), ","), ",") {
		switch name = strings.TrimSpace(name); name {
		case "":
			continue
		case "ETag":
			req.ETag = true
		case "Checksum":
			req.Checksum = true
		case "ObjectParts":
			req.ObjectParts = true
		case "StorageClass":
			req.StorageClass = true
		case "ObjectSize":
			req.ObjectSize = true
		default:
			return AttributesRequest{}, invalidArgument("Invalid attribute name specified.", "x-amz-object-attributes", name)
		}
		asked = true
	}
	if !asked {
		return AttributesRequest{}, ErrInvalidRequest.With("The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty")
	}
	for _, limit := range []struct {
		name string
		into *int
	}{{"x-amz-max-parts", &req.MaxParts}, {"x-amz-part-number-marker", &req.PartNumberMarker}} {
		v := h.Get(limit.name)
		if v == "" {
			continue
		}
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > math.MaxInt32 {
			return AttributesRequest{}, invalidArgument("Argument "+limit.name+" must be an integer between 0 and 2147483647", limit.name, v)
		}
		*limit.into = n
	}
	req.MaxParts = min(req.MaxParts, MaxListKeys)
	return req, nil
}

// ObjectAttributes is the answer to GetObjectAttributes.
type ObjectAttributes struct {
	Request AttributesRequest
	// ETag is unquoted, and here it is written so.
	ETag string
	// ChecksumAlgorithm is None for no checksum; Checksum is base64, with "-N" behind when composite.
	ChecksumAlgorithm checksum.Algorithm
	ChecksumType      string
	Checksum          string
	// TotalParts is 0 for an object that was not uploaded in parts; then the answer has no ObjectParts.
	TotalParts int
	// Parts is the page that was asked for.
	Parts          []AttributePart
	PartsTruncated bool
	StorageClass   string
	Size           int64
}

// AttributePart is one part of an object.
type AttributePart struct {
	Number int
	Size   int64
	// ChecksumAlgorithm is None for no checksum; Checksum is raw.
	ChecksumAlgorithm checksum.Algorithm
	Checksum          []byte
}

// WriteObjectAttributes writes the answer to GetObjectAttributes, with the attributes that were asked for.
func WriteObjectAttributes(w io.Writer, a ObjectAttributes) error {
	req, d := a.Request, newDocument()
	d.openRoot("GetObjectAttributesResponse", namespace)
	if req.ETag {
		d.text("ETag", a.ETag)
	}
	if req.Checksum && a.ChecksumAlgorithm != checksum.None {
		d.open("Checksum")
		d.checksumValue(a.ChecksumAlgorithm, a.Checksum)
		d.optional("ChecksumType", a.ChecksumType)
		d.close("Checksum")
	}
	if req.ObjectParts && a.TotalParts > 0 {
		d.attributeParts(a)
	}
	if req.StorageClass {
		d.optional("StorageClass", a.StorageClass)
	}
	if req.ObjectSize {
		d.int("ObjectSize", a.Size)
	}
	d.close("GetObjectAttributesResponse")
	return d.writeTo(w)
}

func (d *document) attributeParts(a ObjectAttributes) {
	next := 0
	if len(a.Parts) > 0 {
		next = a.Parts[len(a.Parts)-1].Number
	}
	d.open("ObjectParts")
	d.int("PartsCount", int64(a.TotalParts))
	d.int("PartNumberMarker", int64(a.Request.PartNumberMarker))
	d.int("NextPartNumberMarker", int64(next))
	d.int("MaxParts", int64(a.Request.MaxParts))
	d.bool("IsTruncated", a.PartsTruncated)
	for _, p := range a.Parts {
		d.open("Part")
		d.int("PartNumber", int64(p.Number))
		d.int("Size", p.Size)
		d.checksumValue(p.ChecksumAlgorithm, base64.StdEncoding.EncodeToString(p.Checksum))
		d.close("Part")
	}
	d.close("ObjectParts")
}
