package rediscache

import (
	"encoding/json"
	"strings"
	"time"

	"cofre/checksum"
	"cofre/metadata"
)

// entry is a record as Redis holds it: JSON, behind the guard of its fences. Strings of any bytes are []byte, since JSON
// text would change what is no UTF-8.
type entry struct {
	Bucket      []byte       `json:"b"`
	Key         []byte       `json:"k"`
	VersionID   []byte       `json:"v"`
	Envelope    []byte       `json:"env"`
	BackendETag []byte       `json:"be"`
	Size        int64        `json:"s"`
	ETag        []byte       `json:"e"`
	Checksum    checksumJSON `json:"c"`
	ContentType []byte       `json:"ct"`
	Parts       []partJSON   `json:"p,omitempty"`
	Began       time.Time    `json:"tb"`
	Committed   time.Time    `json:"tc"`
}

type checksumJSON struct {
	Algorithm checksum.Algorithm `json:"a,omitempty"`
	Type      checksum.Type      `json:"t,omitempty"`
	Value     []byte             `json:"v,omitempty"`
}

type partJSON struct {
	Number   int          `json:"n"`
	Size     int64        `json:"s"`
	Salt     []byte       `json:"salt"`
	MD5      []byte       `json:"md5,omitempty"`
	Checksum checksumJSON `json:"c"`
}

// encode gives the value of an entry. The record is live: Tombstoned has no place in it.
func encode(guard string, rec metadata.Record) (string, error) {
	e := entry{
		Bucket: []byte(rec.Bucket), Key: []byte(rec.Key), VersionID: []byte(rec.VersionID), Envelope: rec.Envelope[:],
		BackendETag: []byte(rec.BackendETag), Size: rec.Size, ETag: []byte(rec.ETag), Checksum: checksumJSON(rec.Checksum),
		ContentType: []byte(rec.ContentType), Began: rec.Began, Committed: rec.Committed,
	}
	for _, p := range rec.Parts {
		e.Parts = append(e.Parts, partJSON{
			Number: p.Number, Size: p.Size, Salt: p.Salt[:], MD5: p.MD5, Checksum: checksumJSON(p.Checksum)})
	}
	doc, err := json.Marshal(e)
	if err != nil {
		return "", err
	}
	return guard + string(doc), nil
}

// decode reads an entry, if it stands behind this guard. What does not read as an entry is none.
func decode(value, guard string) (metadata.Record, bool) {
	doc, ok := strings.CutPrefix(value, guard)
	var e entry
	if !ok || json.Unmarshal([]byte(doc), &e) != nil || len(e.Envelope) != metadata.EnvelopeSize {
		return metadata.Record{}, false
	}
	rec := metadata.Record{
		Bucket: string(e.Bucket), Key: string(e.Key), VersionID: string(e.VersionID), Envelope: metadata.Envelope(e.Envelope),
		BackendETag: string(e.BackendETag), Size: e.Size, ETag: string(e.ETag), Checksum: metadata.Checksum(e.Checksum),
		ContentType: string(e.ContentType), Began: e.Began.UTC(), Committed: e.Committed.UTC(),
	}
	for _, p := range e.Parts {
		if len(p.Salt) != 16 {
			return metadata.Record{}, false
		}
		rec.Parts = append(rec.Parts, metadata.Part{
			Number: p.Number, Size: p.Size, Salt: [16]byte(p.Salt), MD5: p.MD5, Checksum: metadata.Checksum(p.Checksum)})
	}
	return rec, true
}
