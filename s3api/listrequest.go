package s3api

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"math"
	"strconv"
)

// ListRequest is what ListObjects, ListObjectsV2 or ListObjectVersions asks for. Names are raw bytes.
type ListRequest struct {
	// V2 and Versions say which of the three it is; neither is ListObjects.
	V2, Versions bool

	Prefix, Delimiter string
	// MaxKeys is 0 to 1,000.
	MaxKeys int
	// URLEncode asks for encoding-type=url.
	URLEncode bool
	// AllowUnordered is Ceph RGW's extension: the order of the keys does not matter.
	AllowUnordered bool

	// Marker is ListObjects' name behind which the page begins.
	Marker string

	// ContinuationToken is as the client sent it (HasContinuationToken, if at all: an empty one begins at the front, as on Ceph RGW), ContinuationMarker the name behind which the page begins by it. Both are "" on a first page,
	// where StartAfter counts. FetchOwner asks for owners. All four are ListObjectsV2's.
	ContinuationToken, ContinuationMarker string
	HasContinuationToken                  bool
	StartAfter                            string
	FetchOwner                            bool

	// KeyMarker and VersionIDMarker are ListObjectVersions': the page begins behind that version, or, with no VersionIDMarker, behind that key.
	KeyMarker, VersionIDMarker string
}

// ParseListRequest reads the parameters of a listing of objects. The order of the checks is AWS's.
func ParseListRequest(c Call) (ListRequest, *Error) {
	q := c.Query
	req := ListRequest{
		V2: c.Op == ListObjectsV2, Versions: c.Op == ListObjectVersions,
		Prefix: q.Get("prefix"), Delimiter: q.Get("delimiter"),
	}
	if req.AllowUnordered, _ = parseBool(q.Get("allow-unordered")); req.AllowUnordered && req.Delimiter != "" {
		return ListRequest{}, invalidArgument("An unordered listing cannot have a delimiter.", "allow-unordered", q.Get("allow-unordered"))
	}
	var err *Error
	if req.MaxKeys, err = parseMax(q, "max-keys", "maxKeys"); err != nil {
		return ListRequest{}, err
	}
	switch {
	case req.V2:
		err = req.parseV2(q)
	case req.Versions:
		err = req.parseVersions(q)
	default:
		req.Marker = q.Get("marker")
	}
	if err != nil {
		return ListRequest{}, err
	}
	if req.URLEncode, err = parseEncodingType(q); err != nil {
		return ListRequest{}, err
	}
	return req, nil
}

func (req *ListRequest) parseV2(q Query) *Error {
	req.FetchOwner, _ = parseBool(q.Get("fetch-owner"))
	req.StartAfter = q.Get("start-after")
	req.HasContinuationToken, req.ContinuationToken = q.Has("continuation-token"), q.Get("continuation-token")
	if req.ContinuationToken == "" {
		return nil
	}
	marker, ok := decodeToken(req.ContinuationToken)
	if !ok {
		return ErrInvalidArgument.With("The continuation token provided is incorrect").Field("ArgumentName", "continuation-token")
	}
	req.ContinuationMarker = marker
	return nil
}

func (req *ListRequest) parseVersions(q Query) *Error {
	req.KeyMarker, req.VersionIDMarker = q.Get("key-marker"), q.Get("version-id-marker")
	if !q.Has("version-id-marker") {
		return nil
	}
	if !q.Has("key-marker") {
		return invalidArgument("A version-id marker cannot be specified without a key marker.", "version-id-marker", req.VersionIDMarker)
	}
	if req.VersionIDMarker == "" {
		return invalidArgument("A version-id marker cannot be empty.", "version-id-marker", "")
	}
	return nil
}

// parseMax reads max-keys and its like: 1,000 where it is missing, and never more. argument is the name in AWS's error for a negative value.
func parseMax(q Query, name, argument string) (int, *Error) {
	v := q.Get(name)
	if v == "" {
		return MaxListKeys, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	switch {
	case err != nil || n > math.MaxInt32 || n < math.MinInt32:
		return 0, invalidArgument("Provided "+name+" not an integer or within integer range", name, v)
	case n < 0:
		return 0, invalidArgument("Argument "+argument+" must be an integer between 0 and 2147483647", argument, v)
	}
	return min(int(n), MaxListKeys), nil
}

func parseEncodingType(q Query) (bool, *Error) {
	switch v := q.Get("encoding-type"); v {
	case "":
		return false, nil
	case "url":
		return true, nil
	default:
		return false, invalidArgument("Invalid Encoding Method specified in Request", "encoding-type", v)
	}
}

// tokenVersion is the first byte of a continuation token, so that its form can change. Tokens of another version are refused.
const tokenVersion = 1

// encodeToken makes a continuation token of the name behind which the next page begins: base64url of the version, the name and a checksum of
// both. It is opaque to clients and no secret: the page it comes with shows the name. The checksum finds what a client changed or cut off, which
// would else list from somewhere.
func encodeToken(marker string) string {
	raw := append([]byte{tokenVersion}, marker...)
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(raw, crc32.Checksum(raw, castagnoli)))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func decodeToken(token string) (marker string, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	end := len(raw) - crc32.Size
	if err != nil || end < 2 || raw[0] != tokenVersion || binary.BigEndian.Uint32(raw[end:]) != crc32.Checksum(raw[:end], castagnoli) {
		return "", false
	}
	marker = string(raw[1:end])
	return marker, checkKey(marker) == nil
}
