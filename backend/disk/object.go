package disk

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"cofre/s3api"
)

// attributes are what is kept beside an object's bytes.
type attributes struct {
	// header holds the headers to be given back, by lower-case name. Values are raw bytes: S3 takes any.
	header map[string]string
	tags   string // as in x-amz-tagging
}

// version is one version of an object, or a delete marker.
type version struct {
	attributes
	row       int64
	bucket    string
	key       string
	id        string
	versioned bool // the bucket has, or had, versioning: the id is told to clients
	latest    bool
	marker    bool
	size      int64
	etag      string // without quotes
	modified  time.Time
}

// precondition judges the object that stands under a key now, nil for none, within the transaction that replaces it. The
// function itself may be nil.
type precondition func(current *version) error

// judge applies the precondition to what find gave.
func (cond precondition) judge(current version, err error) error {
	switch {
	case cond == nil:
		return nil
	case err == nil && !current.marker:
		return cond(&current)
	case err == nil || errors.Is(err, s3api.ErrNoSuchKey):
		return cond(nil)
	}
	return err
}

const versionColumns = `id, bucket, key, version_id, latest, marker, size, etag, modified, header, tags`

func scanVersion(rows *sql.Rows) (v version, err error) {
	var key, header []byte
	var modified int64
	if err := rows.Scan(&v.row, &v.bucket, &key, &v.id, &v.latest, &v.marker, &v.size, &v.etag, &modified, &header, &v.tags); err != nil {
		return version{}, err
	}
	v.key, v.modified = string(key), fromMillis(modified)
	v.header, err = decodeHeader(header)
	return v, err
}

// encodeHeader gives the stored form. JSON strings could not hold every byte, so values go as []byte, in base64.
func encodeHeader(header map[string]string) []byte {
	raw := make(map[string][]byte, len(header))
	for name, value := range header {
		raw[name] = []byte(value)
	}
	encoded, err := json.Marshal(raw)
	if err != nil {
		panic(err) // a map of bytes has nothing that cannot be encoded
	}
	return encoded
}

func decodeHeader(encoded []byte) (map[string]string, error) {
	var raw map[string][]byte
	if err := json.Unmarshal(encoded, &raw); err != nil {
		return nil, fmt.Errorf("decode stored headers: %w", err)
	}
	header := make(map[string]string, len(raw))
	for name, value := range raw {
		header[name] = string(value)
	}
	return header, nil
}

// find gives a version: the latest one if id is empty. A delete marker is found like any other.
func find(q querier, bucketName, key, id string) (version, error) {
	b, err := bucket(q, bucketName)
	if err != nil {
		return version{}, err
	}
	query, args := `SELECT `+versionColumns+` FROM versions WHERE bucket = ? AND key = ? AND latest`, []any{bucketName, []byte(key)}
	missing := s3api.ErrNoSuchKey
	if id != "" {
		query, args = `SELECT `+versionColumns+` FROM versions WHERE bucket = ? AND key = ? AND version_id = ?`, append(args, id)
		missing = s3api.ErrNoSuchVersion
	}
	found, err := collect(q, scanVersion, query, args...)
	if err != nil {
		return version{}, err
	}
	if len(found) == 0 {
		return version{}, missing
	}
	found[0].versioned = b.versioning != ""
	return found[0], nil
}

func (s *store) head(bucketName, key, id string) (version, error) {
	return find(s.index.reader, bucketName, key, id)
}

// open finds a version and pins its bytes. The reader must be given back with s.blobs.read and closed, or released.
func (s *store) open(bucketName, key, id string) (v version, pinned []blob, err error) {
	pinned, err = s.blobs.lookUp(func() ([]blob, error) {
		// One snapshot for both queries, else an overwrite in between takes the segments away.
		tx, err := s.index.reader.Begin()
		if err != nil {
			return nil, fmt.Errorf("begin reading: %w", err)
		}
		defer tx.Rollback() //nolint:errcheck // nothing was written
		v, err = find(tx, bucketName, key, id)
		if err != nil || v.marker {
			return nil, err
		}
		return segments(tx, v.row)
	})
	return v, pinned, err
}

func segments(q querier, row int64) ([]blob, error) {
	return collect(q, func(rows *sql.Rows) (b blob, err error) {
		err = rows.Scan(&b.ID, &b.Size)
		return b, err
	}, `SELECT blob, size FROM segments WHERE version = ? ORDER BY seq`, row)
}

// put stores an object of exactly size bytes of body. check, which may be nil, is called with the MD5 before anything
// becomes visible.
func (s *store) put(bucketName, key string, a attributes, body io.Reader, size int64, check func(md5 []byte) error, cond precondition) (version, error) {
	made, err := s.blobs.write(body, size, check)
	if err != nil {
		return version{}, err
	}
	v := version{attributes: a, bucket: bucketName, key: key, size: size, etag: fmt.Sprintf("%x", made.MD5)}
	err = s.change(func(tx *sql.Tx) ([]string, error) { return add(tx, &v, []blob{made}, cond) })
	if err != nil {
		s.blobs.remove([]string{made.ID})
		return version{}, err
	}
	return v, nil
}

// add makes v the latest version of its key, within a transaction, and fills in its id and time. It gives the blobs whose
// name went with a version that was replaced.
func add(tx *sql.Tx, v *version, bytes []blob, cond precondition) (doomed []string, err error) {
	b, err := bucket(tx, v.bucket)
	if err != nil {
		return nil, err
	}
	if cond != nil {
		if err := cond.judge(find(tx, v.bucket, v.key, "")); err != nil {
			return nil, err
		}
	}
	v.id, v.versioned, v.latest, v.modified = nullVersion, b.versioning != "", true, fromMillis(millis(time.Now()))
	if b.versioning == "Enabled" {
		v.id = newID()
	} else if doomed, err = removeVersion(tx, v.bucket, v.key, nullVersion); err != nil {
		return nil, err
	}
	if _, err := tx.Exec(`UPDATE versions SET latest = FALSE WHERE bucket = ? AND key = ? AND latest`, v.bucket, []byte(v.key)); err != nil {
		return nil, fmt.Errorf("outdate version: %w", err)
	}
	result, err := tx.Exec(`INSERT INTO versions (bucket, key, version_id, latest, marker, size, etag, modified, header, tags) VALUES (?, ?, ?, TRUE, ?, ?, ?, ?, ?, ?)`,
		v.bucket, []byte(v.key), v.id, v.marker, v.size, v.etag, millis(v.modified), encodeHeader(v.header), v.tags)
	if err != nil {
		return nil, fmt.Errorf("add version: %w", err)
	}
	if v.row, err = result.LastInsertId(); err != nil {
		return nil, fmt.Errorf("add version: %w", err)
	}
	for i, b := range bytes {
		if _, err := tx.Exec(`INSERT INTO segments (version, seq, blob, size) VALUES (?, ?, ?, ?)`, v.row, i, b.ID, b.Size); err != nil {
			return nil, fmt.Errorf("add segment: %w", err)
		}
	}
	return doomed, nil
}

// removeVersion deletes a version if it is there, and gives its blobs. It leaves the flag "latest" to its caller.
func removeVersion(tx *sql.Tx, bucketName, key, id string) (doomed []string, err error) {
	var row int64
	err = tx.QueryRow(`SELECT id FROM versions WHERE bucket = ? AND key = ? AND version_id = ?`, bucketName, []byte(key), id).Scan(&row)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up version: %w", err)
	}
	doomed, err = collect(tx, scanString, `SELECT blob FROM segments WHERE version = ?`, row)
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(`DELETE FROM versions WHERE id = ?`, row)
	return doomed, wrap("delete version", err)
}

// deleted says what a deletion did.
type deleted struct {
	id        string // of the version deleted or the marker made; empty where clients are told none
	isMarker  bool   // a marker was made, or the version deleted was one
	versioned bool
}

// delete does what DeleteObject does: without an id it removes the object, or in a bucket with versioning hides it behind a
// delete marker. Deleting what is not there is no error.
func (s *store) delete(bucketName, key, id string, cond precondition) (d deleted, err error) {
	err = s.change(func(tx *sql.Tx) (doomed []string, err error) {
		d, doomed, err = remove(tx, bucketName, key, id, cond)
		return doomed, err
	})
	return d, err
}

// deletion is one of many.
type deletion struct {
	key, id string
	cond    precondition
}

// deleteMany deletes all of them in one transaction. errs has an error for each that was refused, and nil for the others.
func (s *store) deleteMany(bucketName string, deletions []deletion) (done []deleted, errs []error, err error) {
	err = s.change(func(tx *sql.Tx) (doomed []string, err error) {
		done, errs = make([]deleted, len(deletions)), make([]error, len(deletions))
		for i, one := range deletions {
			d, blobs, err := remove(tx, bucketName, one.key, one.id, one.cond)
			var refusal *s3api.Error
			if err != nil && !errors.As(err, &refusal) {
				return nil, err
			}
			done[i], errs[i], doomed = d, err, append(doomed, blobs...)
		}
		return doomed, nil
	})
	return done, errs, err
}

func remove(tx *sql.Tx, bucketName, key, id string, cond precondition) (d deleted, doomed []string, err error) {
	b, err := bucket(tx, bucketName)
	if err != nil {
		return deleted{}, nil, err
	}
	// The condition is judged before anything is written: a refusal among many must leave nothing half done.
	if id == "" && b.versioning != "" {
		marker := version{bucket: bucketName, key: key, marker: true}
		doomed, err = add(tx, &marker, nil, cond)
		return deleted{id: marker.id, isMarker: true, versioned: true}, doomed, err
	}
	current, err := find(tx, bucketName, key, id)
	switch {
	case errors.Is(err, s3api.ErrNoSuchKey) || errors.Is(err, s3api.ErrNoSuchVersion):
		return deleted{id: id, versioned: b.versioning != ""}, nil, nil
	case err != nil:
		return deleted{}, nil, err
	}
	if err := cond.judge(current, nil); err != nil {
		return deleted{}, nil, err
	}
	if doomed, err = removeVersion(tx, bucketName, key, current.id); err != nil {
		return deleted{}, nil, err
	}
	_, err = tx.Exec(`UPDATE versions SET latest = TRUE WHERE id = (SELECT max(id) FROM versions WHERE bucket = ? AND key = ?)`, bucketName, []byte(key))
	return deleted{id: id, isMarker: current.marker, versioned: b.versioning != ""}, doomed, wrap("reveal version", err)
}

// copyRequest is a server-side copy.
type copyRequest struct {
	fromBucket, fromKey, fromVersion string
	toBucket, toKey                  string
	check                            func(source version) error // judges the source; may be nil
	replaceHeader, replaceTags       bool                       // with those of attributes
	attributes
}

// copy makes the destination name the same blobs as the source, in one transaction: nobody can see the bytes of one writer
// with the metadata of another.
func (s *store) copy(r copyRequest) (made, source version, err error) {
	err = s.change(func(tx *sql.Tx) ([]string, error) {
		source, err = find(tx, r.fromBucket, r.fromKey, r.fromVersion)
		if err != nil {
			return nil, err
		}
		if source.marker {
			if r.fromVersion != "" {
				return nil, s3api.ErrInvalidRequest.With("The source of a copy request may not specifically refer to a delete marker by version id.")
			}
			return nil, s3api.ErrNoSuchKey
		}
		if r.check != nil {
			if err := r.check(source); err != nil {
				return nil, err
			}
		}
		bytes, err := segments(tx, source.row)
		if err != nil {
			return nil, err
		}
		made = version{attributes: source.attributes, bucket: r.toBucket, key: r.toKey, size: source.size, etag: source.etag}
		if r.replaceHeader {
			made.header = r.header
		}
		if r.replaceTags {
			made.tags = r.tags
		}
		return add(tx, &made, bytes, nil)
	})
	return made, source, err
}

// setTags replaces the tags of a version.
func (s *store) setTags(bucketName, key, id, tags string) (v version, err error) {
	err = s.index.write(func(tx *sql.Tx) error {
		v, err = find(tx, bucketName, key, id)
		if err != nil {
			return err
		}
		if v.marker {
			return s3api.ErrMethodNotAllowed
		}
		_, err = tx.Exec(`UPDATE versions SET tags = ? WHERE id = ?`, tags, v.row)
		return wrap("set tags", err)
	})
	return v, err
}
