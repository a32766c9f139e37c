package disk

import (
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"cofre/s3api"
)

// store is the storage itself, as S3 understands it and without HTTP. Its errors are *s3api.Error where S3 has a word for
// them.
type store struct {
	blobs *blobs
	index *index
}

// nullVersion is the version id of what was written while versioning was not enabled.
const nullVersion = "null"

// completedFor is how long completing an upload a second time is answered like the first.
const completedFor = 24 * time.Hour

func openStore(dir string) (*store, error) {
	b, err := openBlobs(filepath.Join(dir, "blobs"))
	if err != nil {
		return nil, err
	}
	x, err := openIndex(dir)
	if err != nil {
		return nil, err
	}
	s := &store{blobs: b, index: x}
	if err := s.sweep(); err != nil {
		x.close()
		return nil, fmt.Errorf("sweep storage directory: %w", err)
	}
	return s, nil
}

func (s *store) close() error { return s.index.close() }

// sweep removes blobs that an interrupted write or removal left without a name, and forgets old completions.
func (s *store) sweep() error {
	if _, err := s.index.writer.Exec(`DELETE FROM completed WHERE at < ?`, millis(time.Now().Add(-completedFor))); err != nil {
		return fmt.Errorf("forget completed uploads: %w", err)
	}
	named, err := s.index.reader.Prepare(`SELECT EXISTS (SELECT 1 FROM segments WHERE blob = ?1) OR EXISTS (SELECT 1 FROM parts WHERE blob = ?1)`)
	if err != nil {
		return fmt.Errorf("prepare look-up of blobs: %w", err)
	}
	defer named.Close()
	return s.blobs.sweep(func(id string) (known bool, err error) {
		err = named.QueryRow(id).Scan(&known)
		return known, err
	})
}

// newID makes a version or upload id.
func newID() string {
	var random [16]byte
	rand.Read(random[:]) // never fails: the runtime ends the process instead
	return hex.EncodeToString(random[:])
}

func millis(t time.Time) int64 { return t.UnixMilli() }

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// bucketInfo is one bucket.
type bucketInfo struct {
	name       string
	created    time.Time
	versioning string // "", "Enabled" or "Suspended"
}

func scanBucket(rows *sql.Rows) (b bucketInfo, err error) {
	var created int64
	err = rows.Scan(&b.name, &created, &b.versioning)
	b.created = fromMillis(created)
	return b, err
}

func (s *store) listBuckets() ([]bucketInfo, error) {
	return collect(s.index.reader, scanBucket, `SELECT name, created, versioning FROM buckets ORDER BY name`)
}

// bucket finds a bucket, or ErrNoSuchBucket.
func bucket(q querier, name string) (bucketInfo, error) {
	found, err := collect(q, scanBucket, `SELECT name, created, versioning FROM buckets WHERE name = ?`, name)
	if err != nil {
		return bucketInfo{}, err
	}
	if len(found) == 0 {
		return bucketInfo{}, s3api.ErrNoSuchBucket
	}
	return found[0], nil
}

func (s *store) bucket(name string) (bucketInfo, error) { return bucket(s.index.reader, name) }

func (s *store) createBucket(name string) error {
	return s.index.write(func(tx *sql.Tx) error {
		_, err := bucket(tx, name)
		if err == nil {
			return s3api.ErrBucketAlreadyOwnedByYou
		}
		if !errors.Is(err, s3api.ErrNoSuchBucket) {
			return err
		}
		_, err = tx.Exec(`INSERT INTO buckets (name, created) VALUES (?, ?)`, name, millis(time.Now()))
		return wrap("add bucket", err)
	})
}

// deleteBucket deletes a bucket that holds no version of any object; its uploads go with it.
func (s *store) deleteBucket(name string) error {
	return s.change(func(tx *sql.Tx) (doomed []string, err error) {
		if _, err := bucket(tx, name); err != nil {
			return nil, err
		}
		var full bool
		if err := tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM versions WHERE bucket = ?)`, name).Scan(&full); err != nil {
			return nil, fmt.Errorf("look into bucket: %w", err)
		}
		if full {
			return nil, s3api.ErrBucketNotEmpty
		}
		doomed, err = collect(tx, scanString, `SELECT blob FROM parts JOIN uploads ON uploads.id = parts.upload WHERE bucket = ?`, name)
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(`DELETE FROM buckets WHERE name = ?`, name)
		return doomed, wrap("delete bucket", err)
	})
}

func (s *store) setVersioning(name, versioning string) error {
	return s.index.write(func(tx *sql.Tx) error {
		if _, err := bucket(tx, name); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE buckets SET versioning = ? WHERE name = ?`, versioning, name)
		return wrap("set versioning", err)
	})
}

// change runs do in a transaction; do gives the blobs that it took names from. Those that have no other name left are
// removed once the transaction is durable.
func (s *store) change(do func(tx *sql.Tx) (doomed []string, err error)) error {
	var unnamed []string
	err := s.index.write(func(tx *sql.Tx) error {
		doomed, err := do(tx)
		if err != nil {
			return err
		}
		for _, id := range doomed {
			var named bool
			err := tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM segments WHERE blob = ?1) OR EXISTS (SELECT 1 FROM parts WHERE blob = ?1)`, id).Scan(&named)
			if err != nil {
				return fmt.Errorf("look up blob: %w", err)
			}
			if !named {
				unnamed = append(unnamed, id)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.blobs.remove(unnamed)
	return nil
}

// wrap adds what was tried to an error, if there is one.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
