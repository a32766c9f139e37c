package s3api

// maxBackendDocument bounds what is read of a backend's answer, in bytes. A page of 1,000 versions with keys of 1,024 bytes, each byte as
// "%XX", has 3.5 MB.
const maxBackendDocument = 16 << 20

// Listing is one page of a listing of objects or versions. Names are raw bytes.
type Listing struct {
	// Entries are in the backend's order; versions and delete markers are one list.
	Entries        []ListEntry
	CommonPrefixes []string
	Truncated      bool
	// The markers say where the next page begins, when Truncated. NextMarker, and for versions NextKeyMarker and NextVersionIDMarker, are filled
	// in from the last entry where the backend says nothing.
	NextMarker                         string
	NextKeyMarker, NextVersionIDMarker string
	// NextContinuationToken is the backend's own, as it came; it means nothing to a client.
	NextContinuationToken string
}

// ListEntry is one object, version or delete marker of a page.
type ListEntry struct {
	Key string
	// VersionID is "" outside listings of versions.
	VersionID string
	// ETag is unquoted.
	ETag string
	// Size is in bytes.
	Size         int64
	StorageClass string
	// OwnerID and OwnerName are "" where the backend names no owner.
	OwnerID, OwnerName string
	// LastModified is as the backend sent it.
	LastModified string
	// Latest and DeleteMarker are for listings of versions.
	Latest, DeleteMarker bool
	// ChecksumAlgorithm and ChecksumType are "" for none.
	ChecksumAlgorithm, ChecksumType string
}
