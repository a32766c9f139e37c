package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"cofre/keys"
	"cofre/metadata"
)

// decodeLine reads one line of what a believed site has signed. What this version does not know is an error: a row that is passed over
// would be lost in silence.
func decodeLine(text []byte) (line, error) {
	var l line
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return line{}, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return line{}, errors.New("more than one value in a line")
	}
	return l, nil
}

// row gives the row that a line holds.
func (l line) row() (metadata.Row, error) {
	switch {
	case l.TrustList != nil:
		return metadata.Row{TrustList: &metadata.StoredTrustList{Number: l.TrustList.Number, DSSE: l.TrustList.DSSE}}, nil
	case l.KEK != nil:
		k := l.KEK
		if !k.State.Valid() {
			return metadata.Row{}, fmt.Errorf("KEK in state %d", k.State)
		}
		return metadata.Row{KEK: &metadata.CountedKEK{Sealed: k.Sealed, StoredKEK: keys.StoredKEK{
			ID: k.ID, Bucket: string(k.Bucket), Creator: k.Creator, Record: k.Record, Grant: k.Grant, State: k.State, Created: k.Created.UTC(),
		}}}, nil
	case l.Credential != nil:
		c := l.Credential
		return metadata.Row{Credential: &metadata.Credential{AccessKeyID: string(c.AccessKeyID), SealedSecret: c.SealedSecret,
			Description: string(c.Description), BackendUser: string(c.BackendUser), Grants: c.Grants, Created: c.Created.UTC(), Disabled: c.Disabled}}, nil
	case l.Guard != nil:
		return metadata.Row{Guard: &metadata.BucketGuard{Bucket: string(l.Guard.Bucket), Since: l.Guard.Since.UTC()}}, nil
	case l.Record != nil:
		return l.Record.row()
	case l.Upload != nil:
		return l.Upload.row()
	case l.UploadPart != nil:
		return l.UploadPart.row()
	case l.Job != nil:
		j := l.Job
		return metadata.Row{Job: &metadata.Job{ID: string(j.ID), Kind: string(j.Kind), Bucket: string(j.Bucket), Parameters: j.Parameters,
			Progress: j.Progress, State: j.State, Message: string(j.Message), Lease: string(j.Lease), Cancelled: j.Cancelled,
			Created: j.Created.UTC(), Started: orZero(j.Started), Updated: j.Updated.UTC(), Ended: orZero(j.Ended)}}, nil
	case l.Staged != nil:
		s := l.Staged
		return metadata.Row{Staged: &metadata.StagedSeal{To: s.To, Kind: s.Kind, ID: string(s.ID), Sealed: s.Sealed, Next: s.Next}}, nil
	case l.Audit != nil:
		e := l.Audit
		return metadata.Row{Audit: &metadata.AuditEvent{ID: e.ID, At: e.At.UTC(), Actor: string(e.Actor), Action: e.Action, Bucket: string(e.Bucket),
			Subject: string(e.Subject), Detail: string(e.Detail)}}, nil
	}
	return metadata.Row{}, errors.New("line without a row")
}

func (r *recordLine) row() (metadata.Row, error) {
	rec := &metadata.Record{
		Bucket: string(r.Bucket), Key: string(r.Key), VersionID: string(r.Version), BackendETag: string(r.BackendETag), Size: r.Size,
		ETag: string(r.ETag), Checksum: r.Checksum.checksum(), ContentType: string(r.ContentType), Began: r.Began.UTC(),
		Committed: r.Committed.UTC(), Tombstoned: orZero(r.Tombstoned),
	}
	if err := fill(rec.Envelope[:], r.Envelope); err != nil {
		return metadata.Row{}, fmt.Errorf("envelope: %w", err)
	}
	for _, p := range r.Parts {
		part := metadata.Part{Number: p.Number, Size: p.Size, MD5: p.MD5, Checksum: p.Checksum.checksum()}
		if err := fill(part.Salt[:], p.Salt); err != nil {
			return metadata.Row{}, fmt.Errorf("salt: %w", err)
		}
		rec.Parts = append(rec.Parts, part)
	}
	return metadata.Row{Record: rec}, nil
}

func (u *uploadLine) row() (metadata.Row, error) {
	up := &metadata.Upload{
		ID: string(u.ID), Bucket: string(u.Bucket), Key: string(u.Key), SealedDEK: u.SealedDEK, Initiator: string(u.Initiator),
		ChecksumAlgorithm: u.ChecksumAlgorithm, ChecksumType: u.ChecksumType, ContentType: string(u.ContentType), Attributes: u.Attributes,
		State: u.State, Intent: u.Intent, Result: u.Result, Created: u.Created.UTC(), Completed: orZero(u.Completed),
	}
	if err := fill(up.Envelope[:], u.Envelope); err != nil {
		return metadata.Row{}, fmt.Errorf("envelope: %w", err)
	}
	return metadata.Row{Upload: up}, nil
}

func (u *uploadPartLine) row() (metadata.Row, error) {
	p := &metadata.PartOfUpload{UploadID: string(u.Upload), UploadPart: metadata.UploadPart{
		Number: u.Number, Size: u.Size, MD5: u.MD5, ETag: string(u.ETag), BackendETag: string(u.BackendETag),
		Checksum: u.Checksum.checksum(), Committed: u.Committed.UTC(),
	}}
	if err := errors.Join(fill(p.Attempt[:], u.Attempt), fill(p.Salt[:], u.Salt)); err != nil {
		return metadata.Row{}, fmt.Errorf("part of upload: %w", err)
	}
	return metadata.Row{UploadPart: p}, nil
}

func (c *checksumLine) checksum() metadata.Checksum {
	if c == nil {
		return metadata.Checksum{}
	}
	return metadata.Checksum{Algorithm: c.Algorithm, Type: c.Type, Value: c.Value}
}

func fill(dst, src []byte) error {
	if len(src) != len(dst) {
		return fmt.Errorf("%d bytes where %d belong", len(src), len(dst))
	}
	copy(dst, src)
	return nil
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
