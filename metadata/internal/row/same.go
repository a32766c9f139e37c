package row

import (
	"bytes"

	"cofre/keys"
	"cofre/metadata"
)

// SameUpload says whether two uploads are one as CreateUpload was given it, whatever became of it since.
func SameUpload(a, b metadata.Upload) bool {
	return a.ID == b.ID && a.Bucket == b.Bucket && a.Key == b.Key && a.Envelope == b.Envelope &&
		bytes.Equal(a.SealedDEK, b.SealedDEK) && a.Initiator == b.Initiator &&
		a.ChecksumAlgorithm == b.ChecksumAlgorithm && a.ChecksumType == b.ChecksumType &&
		a.ContentType == b.ContentType && bytes.Equal(a.Attributes, b.Attributes)
}

// SameCredential says whether two credentials are one as AddCredential was given it.
func SameCredential(a, b metadata.Credential) bool {
	return a.AccessKeyID == b.AccessKeyID && bytes.Equal(a.SealedSecret, b.SealedSecret) && a.Description == b.Description &&
		a.BackendUser == b.BackendUser && bytes.Equal(a.Grants, b.Grants) && a.Disabled == b.Disabled
}

// SameKEK says whether two KEKs are one: keys.Store.AddKEK says what counts.
func SameKEK(a, b keys.StoredKEK) bool {
	return a.ID == b.ID && a.Bucket == b.Bucket && a.Creator == b.Creator && bytes.Equal(a.Record, b.Record)
}

// UploadMarkers gives the (key, id) behind which a page of uploads begins, to be compared as a pair.
func UploadMarkers(keyMarker, idMarker string) (key, id string) {
	switch {
	case keyMarker == "":
		return "", "" // no key is empty, so this is before all
	case idMarker == "":
		// Behind every id of the key: the key's successor in byte order, and no id is below the empty one. The empty id
		// itself is not given out by any backend.
		return keyMarker + "\x00", ""
	}
	return keyMarker, idMarker
}
