package backup

import (
	"time"

	"cofre/checksum"
	"cofre/keys"
	"cofre/metadata"
)

// line is one line of the plaintext: exactly one field is there. The types below are the file's own, so that no change elsewhere changes
// the file: what is added to a store needs a field here, and a new version if readers of today must not pass over it. []byte stands for
// whatever may hold any bytes; encoding/json makes it base64.
type line struct {
	Begin      *begin          `json:"begin,omitempty"`
	End        *end            `json:"end,omitempty"`
	TrustList  *trustListLine  `json:"trust_list,omitempty"`
	KEK        *kekLine        `json:"kek,omitempty"`
	Credential *credentialLine `json:"credential,omitempty"`
	Guard      *guardLine      `json:"guard,omitempty"`
	Record     *recordLine     `json:"record,omitempty"`
	Upload     *uploadLine     `json:"upload,omitempty"`
	UploadPart *uploadPartLine `json:"upload_part,omitempty"`
	Job        *jobLine        `json:"job,omitempty"`
	Staged     *stagedLine     `json:"staged,omitempty"`
	Audit      *auditLine      `json:"audit,omitempty"`
}

// begin is the first line.
type begin struct {
	ID      []byte      `json:"id"`
	Site    keys.SiteID `json:"site"`
	Created time.Time   `json:"created"`
}

// end is the last line.
type end struct {
	Rows map[metadata.RowKind]int64 `json:"rows"`
}

type trustListLine struct {
	Number uint64 `json:"number"`
	DSSE   []byte `json:"dsse"`
}

type kekLine struct {
	ID      keys.KEKID    `json:"id"`
	Bucket  []byte        `json:"bucket"`
	Creator keys.SiteID   `json:"creator"`
	Record  []byte        `json:"record"`
	Grant   []byte        `json:"grant"`
	State   keys.KEKState `json:"state"`
	Created time.Time     `json:"created"`
	Sealed  int64         `json:"sealed,omitempty"`
}

type credentialLine struct {
	AccessKeyID  []byte    `json:"access_key_id"`
	SealedSecret []byte    `json:"sealed_secret"`
	Description  []byte    `json:"description,omitempty"`
	BackendUser  []byte    `json:"backend_user,omitempty"`
	Grants       []byte    `json:"grants,omitempty"`
	Created      time.Time `json:"created"`
	Disabled     bool      `json:"disabled,omitempty"`
}

type guardLine struct {
	Bucket []byte    `json:"bucket"`
	Since  time.Time `json:"since"`
}

type checksumLine struct {
	Algorithm checksum.Algorithm `json:"algorithm"`
	Type      checksum.Type      `json:"type,omitempty"`
	Value     []byte             `json:"value,omitempty"`
}

type recordLine struct {
	Bucket      []byte        `json:"bucket"`
	Key         []byte        `json:"key"`
	Version     []byte        `json:"version"`
	Envelope    []byte        `json:"envelope"`
	BackendETag []byte        `json:"backend_etag,omitempty"`
	Size        int64         `json:"size"`
	ETag        []byte        `json:"etag,omitempty"`
	Checksum    *checksumLine `json:"checksum,omitempty"`
	ContentType []byte        `json:"content_type,omitempty"`
	Parts       []partLine    `json:"parts,omitempty"`
	Began       time.Time     `json:"began"`
	Committed   time.Time     `json:"committed"`
	Tombstoned  *time.Time    `json:"tombstoned,omitempty"`
}

type partLine struct {
	Number   int           `json:"number"`
	Size     int64         `json:"size"`
	Salt     []byte        `json:"salt"`
	MD5      []byte        `json:"md5,omitempty"`
	Checksum *checksumLine `json:"checksum,omitempty"`
}

type uploadLine struct {
	ID                []byte               `json:"id"`
	Bucket            []byte               `json:"bucket"`
	Key               []byte               `json:"key"`
	Envelope          []byte               `json:"envelope"`
	SealedDEK         []byte               `json:"sealed_dek,omitempty"`
	Initiator         []byte               `json:"initiator,omitempty"`
	ChecksumAlgorithm checksum.Algorithm   `json:"checksum_algorithm,omitempty"`
	ChecksumType      checksum.Type        `json:"checksum_type,omitempty"`
	ContentType       []byte               `json:"content_type,omitempty"`
	Attributes        []byte               `json:"attributes,omitempty"`
	State             metadata.UploadState `json:"state"`
	Intent            []byte               `json:"intent,omitempty"`
	Result            []byte               `json:"result,omitempty"`
	Created           time.Time            `json:"created"`
	Completed         *time.Time           `json:"completed,omitempty"`
}

type uploadPartLine struct {
	Upload      []byte        `json:"upload"`
	Number      int           `json:"number"`
	Attempt     []byte        `json:"attempt"`
	Salt        []byte        `json:"salt"`
	Size        int64         `json:"size"`
	MD5         []byte        `json:"md5,omitempty"`
	ETag        []byte        `json:"etag,omitempty"`
	BackendETag []byte        `json:"backend_etag,omitempty"`
	Checksum    *checksumLine `json:"checksum,omitempty"`
	Committed   time.Time     `json:"committed"`
}

type jobLine struct {
	ID         []byte            `json:"id"`
	Kind       []byte            `json:"kind"`
	Bucket     []byte            `json:"bucket"`
	Parameters []byte            `json:"parameters,omitempty"`
	Progress   []byte            `json:"progress,omitempty"`
	State      metadata.JobState `json:"state"`
	Message    []byte            `json:"message,omitempty"`
	Lease      []byte            `json:"lease,omitempty"`
	Cancelled  bool              `json:"cancelled,omitempty"`
	Created    time.Time         `json:"created"`
	Started    *time.Time        `json:"started,omitempty"`
	Updated    time.Time         `json:"updated"`
	Ended      *time.Time        `json:"ended,omitempty"`
}

type stagedLine struct {
	To     keys.SiteID         `json:"to"`
	Kind   metadata.SealedKind `json:"kind"`
	ID     []byte              `json:"id"`
	Sealed []byte              `json:"sealed"`
	Next   []byte              `json:"next"`
}

type auditLine struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Actor   []byte    `json:"actor,omitempty"`
	Action  string    `json:"action"`
	Bucket  []byte    `json:"bucket,omitempty"`
	Subject []byte    `json:"subject,omitempty"`
	Detail  []byte    `json:"detail,omitempty"`
}
