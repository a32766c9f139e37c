package s3api

import (
	"net/http"
	"strconv"
	"strings"
)

const (
	metadataPrefix = "x-amz-meta-"
	// reservedMetadata begins the names that this program keeps its own facts under. A client that could set them could pretend.
	reservedMetadata = "cofre-"
)

// UserMetadata takes the user metadata out of the headers of a request: lower-case names without "x-amz-meta-", values as they came, several
// of one name joined by ",". Names and values together may have 2 KiB.
func UserMetadata(h http.Header) (map[string]string, *Error) {
	meta, size := map[string]string{}, 0
	for header, values := range h {
		if len(header) < len(metadataPrefix) || !strings.EqualFold(header[:len(metadataPrefix)], metadataPrefix) {
			continue
		}
		name := strings.ToLower(header[len(metadataPrefix):])
		value := strings.Join(values, ",")
		if name == "" || strings.HasPrefix(name, reservedMetadata) {
			return nil, invalidArgument("The name of the user metadata is empty or reserved.", metadataPrefix+name, value)
		}
		meta[name] = value
		size += len(name) + len(value)
	}
	if size > MaxUserMetadata {
		return nil, ErrMetadataTooLarge.Field("Size", strconv.Itoa(size)).Field("MaxSizeAllowed", strconv.Itoa(MaxUserMetadata))
	}
	return meta, nil
}
