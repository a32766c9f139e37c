package s3api

import "strings"

// CopySource is what x-amz-copy-source names.
type CopySource struct {
	Bucket, Key string
	// VersionID may be "null", which is a version of its own.
	VersionID string
	// HasVersion says that the header named a version.
	HasVersion bool
}

// ParseCopySource reads x-amz-copy-source: "bucket/key" or "/bucket/key", percent-encoded once, with "?versionId=id" behind it or not. As on
// AWS a '+' is a space: clients that mean a plus send %2B. It never hands on what it read: some stores decode the header twice.
func ParseCopySource(header string) (CopySource, *Error) {
	const version = "?versionId="
	path, rawVersion, hasVersion := header, "", false
	if i := strings.LastIndex(header, version); i >= 0 {
		path, rawVersion, hasVersion = header[:i], header[i+len(version):], true
	}
	path, ok := unescape(path, plusIsSpace)
	id, okVersion := unescape(rawVersion, plusIsSpace)
	if !ok || !okVersion || strings.IndexByte(path, 0) >= 0 || strings.IndexByte(id, 0) >= 0 {
		return CopySource{}, invalidArgument("Invalid copy source encoding", "x-amz-copy-source", header)
	}
	if hasVersion && id == "" {
		return CopySource{}, invalidArgument("Version id cannot be the empty string", "x-amz-copy-source", header)
	}
	bucketName, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if bucketName == "" || key == "" {
		return CopySource{}, invalidArgument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey", "x-amz-copy-source", header)
	}
	if !ValidBucketName(bucketName) {
		return CopySource{}, invalidArgument("Invalid copy source bucket name", "x-amz-copy-source", header)
	}
	if checkKey(key) != nil {
		return CopySource{}, invalidArgument("Invalid copy source object key", "x-amz-copy-source", header)
	}
	return CopySource{Bucket: bucketName, Key: key, VersionID: id, HasVersion: hasVersion}, nil
}
