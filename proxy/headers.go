package proxy

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
)

// sealedHeaders are the standard headers that a client gives an object and that are sealed with it (docs/FORMAT.md
// section 5): as it names them, and as net/http does.
var sealedHeaders = []struct{ name, key string }{
	{"content-type", "Content-Type"}, {"content-encoding", "Content-Encoding"}, {"content-disposition", "Content-Disposition"},
	{"content-language", "Content-Language"}, {"cache-control", "Cache-Control"}, {"expires", "Expires"},
}

// backendContentType is all that the backend learns of what an object is.
const backendContentType = "application/octet-stream"

// defaultContentType is what S3 answers for an object that was stored without one.
const defaultContentType = "binary/octet-stream"

const metaPrefix = "X-Amz-Meta-"

// attributesFrom takes what the client says about an object from its request.
func attributesFrom(header http.Header) (seal.Attributes, *s3api.Error) {
	meta, err := s3api.UserMetadata(header)
	if err != nil {
		return seal.Attributes{}, err
	}
	a := seal.Attributes{Headers: map[string]string{}, Meta: meta}
	for _, h := range sealedHeaders {
		v := strings.Join(header[h.key], ",")
		if h.name == "content-encoding" {
			v = withoutChunkedEncoding(v)
		}
		if v != "" {
			a.Headers[h.name] = v
		}
	}
	return a, nil
}

// withoutChunkedEncoding drops aws-chunked, the framing of a request body, from a Content-Encoding list: it is not a
// property of the object (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html).
func withoutChunkedEncoding(v string) string {
	if !strings.Contains(strings.ToLower(v), "aws-chunked") {
		return v
	}
	var kept []string
	for _, token := range strings.Split(v, ",") {
		if token = strings.TrimSpace(token); token != "" && !strings.EqualFold(token, "aws-chunked") {
			kept = append(kept, token)
		}
	}
	return strings.Join(kept, ",")
}

// clearAttributes reads attributes that lie in clear on the backend.
func clearAttributes(header http.Header) seal.Attributes {
	a := seal.Attributes{Headers: map[string]string{}, Meta: map[string]string{}}
	for _, h := range sealedHeaders {
		if v := header.Get(h.key); v != "" {
			a.Headers[h.name] = v
		}
	}
	for name, values := range header {
		if rest, ok := strings.CutPrefix(name, metaPrefix); ok && !isOwnMeta(rest) {
			a.Meta[strings.ToLower(rest)] = strings.Join(values, ",")
		}
	}
	return a
}

// isOwnMeta says whether a metadata name (behind x-amz-meta-) is one that cofre keeps for itself.
func isOwnMeta(name string) bool { return strings.HasPrefix(strings.ToLower(name), "cofre-") }

// shownHeaders are backend response headers that say something true of the object to a client. All others stay behind:
// the backend's sizes, ETags and checksums are those of ciphertext.
var shownHeaders = []string{
	"Last-Modified", "X-Amz-Version-Id", "X-Amz-Storage-Class", "X-Amz-Tagging-Count", "X-Amz-Expiration", "X-Amz-Restore",
	"X-Amz-Object-Lock-Mode", "X-Amz-Object-Lock-Retain-Until-Date", "X-Amz-Object-Lock-Legal-Hold",
	"X-Amz-Replication-Status", "X-Amz-Website-Redirect-Location", "X-Amz-Delete-Marker",
}

// setObjectHeaders gives the client the object's own headers.
func setObjectHeaders(out, backend http.Header, a seal.Attributes) {
	for _, name := range shownHeaders {
		if v := backend[name]; len(v) > 0 {
			out[name] = v
		}
	}
	out["Accept-Ranges"], out["Content-Type"] = acceptRanges, defaultType
	for name, v := range a.Headers {
		out.Set(name, v)
	}
	for name, v := range a.Meta {
		// As S3 spells it. SDKs keep the case of what stands behind the prefix, so a canonical "Note" would not be "note".
		out[strings.ToLower(metaPrefix)+name] = []string{v}
	}
}

// clearObjectHeaders takes the object's headers back, when an error is answered after all.
func clearObjectHeaders(header http.Header) {
	for name := range header {
		switch name {
		case "X-Amz-Request-Id", "X-Amz-Id-2", "Server", "Date", "X-Amz-Version-Id", "X-Amz-Delete-Marker":
		default:
			if !isCORSHeader(name) {
				delete(header, name)
			}
		}
	}
}

// overrides are the response-* parameters of GetObject and the headers that they set.
var overrides = map[string]string{
	"response-content-type": "Content-Type", "response-content-language": "Content-Language", "response-expires": "Expires",
	"response-cache-control": "Cache-Control", "response-content-disposition": "Content-Disposition",
	"response-content-encoding": "Content-Encoding",
}

// checkOverrides refuses response-* parameters on unsigned requests, as S3 does: whoever signs vouches for them.
func checkOverrides(rq *request) error {
	if !rq.auth.Anonymous() {
		return nil
	}
	for name := range overrides {
		if rq.call.Query.Has(name) {
			return s3api.ErrInvalidRequest.With("Request specific response headers cannot be used for anonymous GET requests.")
		}
	}
	return nil
}

func setOverrides(rq *request, header http.Header) error {
	for name, target := range overrides {
		if rq.call.Query.Has(name) {
			v := rq.call.Query.Get(name)
			if !validHeaderValue(v) {
				return s3api.ErrInvalidArgument.With("A response header cannot have this value.").Field("ArgumentName", name)
			}
			header.Set(target, v)
		}
	}
	return nil
}

// fullChecksum is a checksum over the whole object.
func fullChecksum(a checksum.Algorithm, value []byte) metadata.Checksum {
	if a == checksum.None {
		return metadata.Checksum{}
	}
	return metadata.Checksum{Algorithm: a, Type: checksum.FullObject, Value: value}
}

// checksumText is a checksum as S3 writes it: base64, and behind a composite one the number of parts.
func checksumText(c metadata.Checksum, parts int) string {
	v := base64.StdEncoding.EncodeToString(c.Value)
	if c.Type == checksum.Composite && parts > 0 {
		v += "-" + strconv.Itoa(parts)
	}
	return v
}

// setChecksum gives the object's checksum, where it has one.
func setChecksum(header http.Header, rec *metadata.Record) {
	if rec.Checksum.Algorithm == checksum.None {
		return
	}
	header.Set(rec.Checksum.Algorithm.Header(), checksumText(rec.Checksum, len(rec.Parts)))
	header.Set("X-Amz-Checksum-Type", string(rec.Checksum.Type))
}

// passedHeaders are request headers of a write that the backend acts upon itself. Nothing else a client sends is handed on.
var passedHeaders = []string{
	"X-Amz-Acl", "X-Amz-Grant-Read", "X-Amz-Grant-Write", "X-Amz-Grant-Read-Acp", "X-Amz-Grant-Write-Acp", "X-Amz-Grant-Full-Control",
	"X-Amz-Storage-Class", "X-Amz-Tagging", "X-Amz-Object-Lock-Mode", "X-Amz-Object-Lock-Retain-Until-Date",
	"X-Amz-Object-Lock-Legal-Hold", "X-Amz-Website-Redirect-Location",
}

// passHeaders copies the named request headers to a backend request.
func passHeaders(from http.Header, names []string) http.Header {
	out := http.Header{}
	for _, name := range names {
		if v := from[name]; len(v) > 0 {
			out[name] = v
		}
	}
	return out
}
