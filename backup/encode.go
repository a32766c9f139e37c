package backup

import (
	"time"

	"cofre/metadata"
)

// encodeRow is a row as a line. Slices are not copied: the line is written at once.
func encodeRow(r metadata.Row) line {
	switch {
	case r.TrustList != nil:
		return line{TrustList: &trustListLine{Number: r.TrustList.Number, DSSE: r.TrustList.DSSE}}
	case r.KEK != nil:
		k := r.KEK
		return line{KEK: &kekLine{ID: k.ID, Bucket: []byte(k.Bucket), Creator: k.Creator, Record: k.Record, Grant: k.Grant, State: k.State,
			Created: k.Created, Sealed: k.Sealed}}
	case r.Credential != nil:
		c := r.Credential
		return line{Credential: &credentialLine{AccessKeyID: []byte(c.AccessKeyID), SealedSecret: c.SealedSecret, Description: []byte(c.Description),
			BackendUser: []byte(c.BackendUser), Grants: c.Grants, Created: c.Created, Disabled: c.Disabled}}
	case r.Guard != nil:
		return line{Guard: &guardLine{Bucket: []byte(r.Guard.Bucket), Since: r.Guard.Since}}
	case r.Record != nil:
		return line{Record: encodeRecord(r.Record)}
	case r.Upload != nil:
		return line{Upload: encodeUpload(r.Upload)}
	case r.UploadPart != nil:
		p := r.UploadPart
		return line{UploadPart: &uploadPartLine{Upload: []byte(p.UploadID), Number: p.Number, Attempt: p.Attempt[:], Salt: p.Salt[:], Size: p.Size,
			MD5: p.MD5, ETag: []byte(p.ETag), BackendETag: []byte(p.BackendETag), Checksum: encodeChecksum(p.Checksum), Committed: p.Committed}}
	case r.Job != nil:
		j := r.Job
		return line{Job: &jobLine{ID: []byte(j.ID), Kind: []byte(j.Kind), Bucket: []byte(j.Bucket), Parameters: j.Parameters, Progress: j.Progress,
			State: j.State, Message: []byte(j.Message), Lease: []byte(j.Lease), Cancelled: j.Cancelled, Created: j.Created,
			Started: orAbsent(j.Started), Updated: j.Updated, Ended: orAbsent(j.Ended)}}
	case r.Staged != nil:
		s := r.Staged
		return line{Staged: &stagedLine{To: s.To, Kind: s.Kind, ID: []byte(s.ID), Sealed: s.Sealed, Next: s.Next}}
	case r.Audit != nil:
		e := r.Audit
		return line{Audit: &auditLine{ID: e.ID, At: e.At, Actor: []byte(e.Actor), Action: e.Action, Bucket: []byte(e.Bucket),
			Subject: []byte(e.Subject), Detail: []byte(e.Detail)}}
	}
	return line{}
}

func encodeRecord(rec *metadata.Record) *recordLine {
	l := &recordLine{
		Bucket: []byte(rec.Bucket), Key: []byte(rec.Key), Version: []byte(rec.VersionID), Envelope: rec.Envelope[:],
		BackendETag: []byte(rec.BackendETag), Size: rec.Size, ETag: []byte(rec.ETag), Checksum: encodeChecksum(rec.Checksum),
		ContentType: []byte(rec.ContentType), Began: rec.Began, Committed: rec.Committed, Tombstoned: orAbsent(rec.Tombstoned),
	}
	if len(rec.Parts) > 0 {
		l.Parts = make([]partLine, len(rec.Parts))
	}
	for i := range rec.Parts {
		p := &rec.Parts[i]
		l.Parts[i] = partLine{Number: p.Number, Size: p.Size, Salt: p.Salt[:], MD5: p.MD5, Checksum: encodeChecksum(p.Checksum)}
	}
	return l
}

func encodeUpload(up *metadata.Upload) *uploadLine {
	return &uploadLine{
		ID: []byte(up.ID), Bucket: []byte(up.Bucket), Key: []byte(up.Key), Envelope: up.Envelope[:], SealedDEK: up.SealedDEK,
		Initiator: []byte(up.Initiator), ChecksumAlgorithm: up.ChecksumAlgorithm, ChecksumType: up.ChecksumType,
		ContentType: []byte(up.ContentType), Attributes: up.Attributes, State: up.State, Intent: up.Intent, Result: up.Result,
		Created: up.Created, Completed: orAbsent(up.Completed),
	}
}

func encodeChecksum(c metadata.Checksum) *checksumLine {
	if c.Algorithm == 0 && c.Type == "" && len(c.Value) == 0 {
		return nil
	}
	return &checksumLine{Algorithm: c.Algorithm, Type: c.Type, Value: c.Value}
}

func orAbsent(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
