package metadata

import (
	"errors"
	"time"

	"cofre/keys"
)

// ErrNotEmpty says that a store holds rows already.
var ErrNotEmpty = errors.New("metadata: store is not empty")

// Row is one row of a store, as Dump gives it and Load takes it: exactly one field is set.
type Row struct {
	TrustList  *StoredTrustList
	KEK        *CountedKEK
	Credential *Credential
	Guard      *BucketGuard
	Record     *Record // with its Parts
	Upload     *Upload
	UploadPart *PartOfUpload
	Job        *Job
	Staged     *StagedSeal
	Audit      *AuditEvent
}

// RowKind names what a Row holds.
type RowKind string

// The kinds, in the order in which Dump gives them: what others stand on comes first.
const (
	TrustListRow  RowKind = "trust_list"
	KEKRow        RowKind = "kek"
	CredentialRow RowKind = "credential"
	GuardRow      RowKind = "guard"
	RecordRow     RowKind = "record"
	UploadRow     RowKind = "upload"
	UploadPartRow RowKind = "upload_part"
	JobRow        RowKind = "job"
	StagedRow     RowKind = "staged"
	AuditRow      RowKind = "audit"
)

// Kind says what the row holds; empty for the zero Row.
func (r Row) Kind() RowKind {
	switch {
	case r.TrustList != nil:
		return TrustListRow
	case r.KEK != nil:
		return KEKRow
	case r.Credential != nil:
		return CredentialRow
	case r.Guard != nil:
		return GuardRow
	case r.Record != nil:
		return RecordRow
	case r.Upload != nil:
		return UploadRow
	case r.UploadPart != nil:
		return UploadPartRow
	case r.Job != nil:
		return JobRow
	case r.Staged != nil:
		return StagedRow
	case r.Audit != nil:
		return AuditRow
	}
	return ""
}

// StoredTrustList is the trust list as SetTrustList was given it.
type StoredTrustList struct {
	Number uint64
	DSSE   []byte
}

// CountedKEK is a KEK and how many objects CountKEK has counted under it.
type CountedKEK struct {
	keys.StoredKEK
	Sealed int64
}

// BucketGuard is what GuardBucket noted.
type BucketGuard struct {
	Bucket string
	Since  time.Time
}

// PartOfUpload is one attempt of a part and the upload that it belongs to.
type PartOfUpload struct {
	UploadID string
	UploadPart
}

// StagedSeal is what StageSealed noted: see there.
type StagedSeal struct {
	To     keys.SiteID
	Kind   SealedKind
	ID     string
	Sealed []byte
	Next   []byte
}

// Note is something that a process leaves for itself or for others under a name: how far it is, or what it did last.
type Note struct {
	Text []byte    // opaque JSON
	At   time.Time // when it was written, by the store's clock
}
