package disk

import (
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"cofre/s3api"
)

// minPartSize is what every part but the last must have.
const minPartSize = 5 << 20

// uploadInfo is a multipart upload under way.
type uploadInfo struct {
	attributes
	id        string
	bucket    string
	key       string
	initiated time.Time
}

// partInfo is a part as it was sent last.
type partInfo struct {
	number   int
	blob     blob
	etag     string // without quotes
	modified time.Time
}

func scanUpload(rows *sql.Rows) (u uploadInfo, err error) {
	var key, header []byte
	var initiated int64
	if err := rows.Scan(&u.id, &u.bucket, &key, &initiated, &header, &u.tags); err != nil {
		return uploadInfo{}, err
	}
	u.key, u.initiated = string(key), fromMillis(initiated)
	u.header, err = decodeHeader(header)
	return u, err
}

func scanPart(rows *sql.Rows) (p partInfo, err error) {
	var modified int64
	err = rows.Scan(&p.number, &p.blob.ID, &p.blob.Size, &p.etag, &modified)
	p.modified = fromMillis(modified)
	return p, err
}

func (s *store) createUpload(bucketName, key string, a attributes) (id string, err error) {
	id = newID()
	err = s.index.write(func(tx *sql.Tx) error {
		if _, err := bucket(tx, bucketName); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO uploads (id, bucket, key, initiated, header, tags) VALUES (?, ?, ?, ?, ?, ?)`,
			id, bucketName, []byte(key), millis(time.Now()), encodeHeader(a.header), a.tags)
		return wrap("add upload", err)
	})
	return id, err
}

// upload finds an upload of exactly this key, or ErrNoSuchUpload.
func upload(q querier, bucketName, key, id string) (uploadInfo, error) {
	if _, err := bucket(q, bucketName); err != nil {
		return uploadInfo{}, err
	}
	found, err := collect(q, scanUpload,
		`SELECT id, bucket, key, initiated, header, tags FROM uploads WHERE id = ? AND bucket = ? AND key = ?`, id, bucketName, []byte(key))
	if err != nil {
		return uploadInfo{}, err
	}
	if len(found) == 0 {
		return uploadInfo{}, s3api.ErrNoSuchUpload
	}
	return found[0], nil
}

// putPart stores a part. Sent again, it takes the place of the one before.
func (s *store) putPart(bucketName, key, uploadID string, number int, body io.Reader, size int64, check func(md5 []byte) error) (partInfo, error) {
	if _, err := upload(s.index.reader, bucketName, key, uploadID); err != nil {
		return partInfo{}, err // before the body is taken
	}
	made, err := s.blobs.write(body, size, check)
	if err != nil {
		return partInfo{}, err
	}
	p := partInfo{number: number, blob: made, etag: hex.EncodeToString(made.MD5), modified: fromMillis(millis(time.Now()))}
	err = s.change(func(tx *sql.Tx) ([]string, error) {
		if _, err := upload(tx, bucketName, key, uploadID); err != nil {
			return nil, err
		}
		doomed, err := collect(tx, scanString, `SELECT blob FROM parts WHERE upload = ? AND number = ?`, uploadID, number)
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(`INSERT OR REPLACE INTO parts (upload, number, blob, size, etag, modified) VALUES (?, ?, ?, ?, ?, ?)`,
			uploadID, number, made.ID, size, p.etag, millis(p.modified))
		return doomed, wrap("add part", err)
	})
	if err != nil {
		s.blobs.remove([]string{made.ID})
		return partInfo{}, err
	}
	return p, nil
}

// parts gives up to limit parts after number, and whether there are more.
func (s *store) parts(bucketName, key, uploadID string, after, limit int) (u uploadInfo, found []partInfo, more bool, err error) {
	if u, err = upload(s.index.reader, bucketName, key, uploadID); err != nil {
		return uploadInfo{}, nil, false, err
	}
	found, err = collect(s.index.reader, scanPart,
		`SELECT number, blob, size, etag, modified FROM parts WHERE upload = ? AND number > ? ORDER BY number LIMIT ?`, uploadID, after, limit+1)
	if err != nil {
		return uploadInfo{}, nil, false, err
	}
	if len(found) > limit {
		return u, found[:limit], true, nil
	}
	return u, found, false, nil
}

func (s *store) abortUpload(bucketName, key, uploadID string) error {
	return s.change(func(tx *sql.Tx) ([]string, error) {
		if _, err := upload(tx, bucketName, key, uploadID); err != nil {
			return nil, err
		}
		return removeUpload(tx, uploadID)
	})
}

// removeUpload deletes an upload and gives the blobs of its parts.
func removeUpload(tx *sql.Tx, uploadID string) (doomed []string, err error) {
	doomed, err = collect(tx, scanString, `SELECT blob FROM parts WHERE upload = ?`, uploadID)
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(`DELETE FROM uploads WHERE id = ?`, uploadID)
	return doomed, wrap("delete upload", err)
}

// chosenPart is a part as the client names it to complete an upload.
type chosenPart struct {
	number int
	etag   string // without quotes
}

// completeUpload makes an object of the chosen parts. The bytes stay where they are.
func (s *store) completeUpload(bucketName, key, uploadID string, chosen []chosenPart, cond precondition) (v version, err error) {
	err = s.change(func(tx *sql.Tx) ([]string, error) {
		u, err := upload(tx, bucketName, key, uploadID)
		if err != nil {
			return nil, err
		}
		sent, err := collect(tx, scanPart, `SELECT number, blob, size, etag, modified FROM parts WHERE upload = ?`, uploadID)
		if err != nil {
			return nil, err
		}
		bytes, etag, err := assemble(chosen, sent)
		if err != nil {
			return nil, err
		}
		v = version{attributes: u.attributes, bucket: bucketName, key: key, etag: etag}
		for _, b := range bytes {
			v.size += b.Size
		}
		doomed, err := add(tx, &v, bytes, cond)
		if err != nil {
			return nil, err
		}
		left, err := removeUpload(tx, uploadID)
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(`INSERT INTO completed (upload, bucket, key, etag, version_id, at) VALUES (?, ?, ?, ?, ?, ?)`,
			uploadID, bucketName, []byte(key), v.etag, v.id, millis(time.Now()))
		return append(doomed, left...), wrap("note completion", err)
	})
	return v, err
}

// assemble checks the chosen parts against those that were sent, and gives their bytes and the ETag of the whole.
func assemble(chosen []chosenPart, sent []partInfo) (bytes []blob, etag string, err error) {
	byNumber := make(map[int]partInfo, len(sent))
	for _, p := range sent {
		byNumber[p.number] = p
	}
	sum := md5.New()
	for i, c := range chosen {
		if i > 0 && c.number <= chosen[i-1].number {
			return nil, "", s3api.ErrInvalidPartOrder
		}
		p, ok := byNumber[c.number]
		if !ok || p.etag != c.etag {
			return nil, "", s3api.ErrInvalidPart
		}
		if i < len(chosen)-1 && p.blob.Size < minPartSize {
			return nil, "", s3api.ErrEntityTooSmall
		}
		raw, err := hex.DecodeString(p.etag)
		if err != nil {
			return nil, "", fmt.Errorf("decode stored part ETag: %w", err)
		}
		sum.Write(raw)
		bytes = append(bytes, p.blob)
	}
	return bytes, fmt.Sprintf("%x-%d", sum.Sum(nil), len(chosen)), nil
}

// completedUpload gives the answer of an upload that was completed before, if it would be the same for these parts: the
// ETag is made of the parts' own.
func (s *store) completedUpload(bucketName, key, uploadID string, chosen []chosenPart) (v version, ok bool) {
	v = version{bucket: bucketName, key: key}
	err := s.index.reader.QueryRow(`SELECT etag, version_id FROM completed WHERE upload = ? AND bucket = ? AND key = ?`,
		uploadID, bucketName, []byte(key)).Scan(&v.etag, &v.id)
	if err != nil {
		return version{}, false // none, or the index failed: the caller reports that there is no such upload
	}
	v.versioned = v.id != nullVersion
	sum := md5.New()
	for _, c := range chosen {
		raw, err := hex.DecodeString(c.etag)
		if err != nil {
			return version{}, false
		}
		sum.Write(raw)
	}
	return v, v.etag == fmt.Sprintf("%x-%d", sum.Sum(nil), len(chosen))
}
