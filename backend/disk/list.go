package disk

import (
	"database/sql"
	"strings"
)

// page is what a listing asks for, whichever kind it is.
type page struct {
	prefix    string
	delimiter string
	after     string // keys up to and including this one are left out, and so is a common prefix that begins with it
	limit     int    // entries and common prefixes together, at least 1
}

// listed is a page of objects, versions or uploads.
type listed[T any] struct {
	entries  []T
	prefixes []string
	more     bool
	// last is the last key or common prefix of the page: the next page begins after it.
	last string
}

// stretch is a range of keys in byte order.
type stretch struct {
	from string // the first key, or the one before it
	open bool   // from itself is left out
	end  string // the first key behind the stretch; empty for no end
}

// condition gives the stretch as SQL, and its arguments.
func (r stretch) condition() (string, []any) {
	sql, args := "key >= ?", []any{[]byte(r.from)}
	if r.open {
		sql = "key > ?"
	}
	if r.end != "" {
		return sql + " AND key < ?", append(args, []byte(r.end))
	}
	return sql, args
}

// roll walks entries in the order of their keys and rolls keys with the delimiter up into common prefixes. rows gives the
// first n entries of a stretch. Behind a common prefix the walk goes on with a new query, so that a million keys below it
// cost nothing; otherwise one query is a page.
func roll[T any](p page, keyOf func(T) string, rows func(r stretch, n int) ([]T, error)) (l listed[T], err error) {
	r, ok := p.start()
	for ok {
		batch, err := rows(r, p.limit+1-l.count())
		if err != nil {
			return listed[T]{}, err
		}
		ok = false
		for _, entry := range batch {
			if l.count() == p.limit {
				l.more = true
				return l, nil
			}
			key := keyOf(entry)
			if rolled := p.commonPrefix(key); rolled != "" {
				l.prefixes, l.last = append(l.prefixes, rolled), rolled
				r.from, r.open = successor(rolled), false
				ok = r.from != ""
				break
			}
			l.entries, l.last = append(l.entries, entry), key
		}
	}
	return l, nil
}

// start gives the stretch of a page; false if it is empty.
func (p page) start() (r stretch, ok bool) {
	r = stretch{from: p.prefix, end: successor(p.prefix)}
	if p.after >= p.prefix {
		r.from, r.open = p.after, p.after != ""
		// A page that ended with a common prefix goes on behind all keys below it.
		if rolled := p.commonPrefix(p.after); rolled != "" && rolled == p.after {
			r.from, r.open = successor(rolled), false
			return r, r.from != ""
		}
	}
	return r, true
}

func (l *listed[T]) count() int { return len(l.entries) + len(l.prefixes) }

// commonPrefix gives the part of key up to the first delimiter behind the prefix, empty if there is none.
func (p page) commonPrefix(key string) string {
	if p.delimiter == "" || !strings.HasPrefix(key, p.prefix) {
		return ""
	}
	i := strings.Index(key[len(p.prefix):], p.delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(p.prefix)+i+len(p.delimiter)]
}

// successor gives the least string that is greater than every string with this prefix; empty if there is none.
func successor(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1})
		}
	}
	return ""
}

const listedColumns = `id, key, version_id, latest, marker, size, etag, modified`

func scanListed(rows *sql.Rows) (v version, err error) {
	var key []byte
	var modified int64
	err = rows.Scan(&v.row, &key, &v.id, &v.latest, &v.marker, &v.size, &v.etag, &modified)
	v.key, v.modified = string(key), fromMillis(modified)
	return v, err
}

func keyOfVersion(v version) string { return v.key }

func keyOfUpload(u uploadInfo) string { return u.key }

// list gives a page of current objects.
func (s *store) list(bucketName string, p page) (listed[version], error) {
	if _, err := s.bucket(bucketName); err != nil {
		return listed[version]{}, err
	}
	return roll(p, keyOfVersion, func(r stretch, n int) ([]version, error) {
		condition, args := r.condition()
		args = append(append([]any{bucketName}, args...), n)
		return collect(s.index.reader, scanListed, `SELECT `+listedColumns+` FROM versions
			WHERE bucket = ? AND latest AND NOT marker AND `+condition+` ORDER BY key LIMIT ?`, args...)
	})
}

// listVersions gives a page of versions, newest first within a key. afterID, which may be empty, is the version of the key
// p.after behind which the page begins; without it the page begins behind all of them.
func (s *store) listVersions(bucketName string, p page, afterID string) (listed[version], error) {
	if _, err := s.bucket(bucketName); err != nil {
		return listed[version]{}, err
	}
	within := func(n int) ([]version, error) {
		return collect(s.index.reader, scanListed, `SELECT `+listedColumns+` FROM versions
			WHERE bucket = ?1 AND key = ?2 AND id < (SELECT id FROM versions WHERE bucket = ?1 AND key = ?2 AND version_id = ?3)
			ORDER BY id DESC LIMIT ?4`, bucketName, []byte(p.after), afterID, n)
	}
	return rollWithin(p, afterID, within, keyOfVersion, func(r stretch, n int) ([]version, error) {
		condition, args := r.condition()
		args = append(append([]any{bucketName}, args...), n)
		return collect(s.index.reader, scanListed, `SELECT `+listedColumns+` FROM versions
			WHERE bucket = ? AND `+condition+` ORDER BY key, id DESC LIMIT ?`, args...)
	})
}

// listUploads gives a page of uploads, by id within a key. afterID, which may be empty, is the upload of the key p.after
// behind which the page begins; without it the page begins behind all of them.
func (s *store) listUploads(bucketName string, p page, afterID string) (listed[uploadInfo], error) {
	if _, err := s.bucket(bucketName); err != nil {
		return listed[uploadInfo]{}, err
	}
	const columns = `id, bucket, key, initiated, header, tags`
	within := func(n int) ([]uploadInfo, error) {
		return collect(s.index.reader, scanUpload, `SELECT `+columns+` FROM uploads
			WHERE bucket = ? AND key = ? AND id > ? ORDER BY id LIMIT ?`, bucketName, []byte(p.after), afterID, n)
	}
	return rollWithin(p, afterID, within, keyOfUpload, func(r stretch, n int) ([]uploadInfo, error) {
		condition, args := r.condition()
		args = append(append([]any{bucketName}, args...), n)
		return collect(s.index.reader, scanUpload, `SELECT `+columns+` FROM uploads
			WHERE bucket = ? AND `+condition+` ORDER BY key, id LIMIT ?`, args...)
	})
}

// rollWithin is roll for a page that may begin between two entries of one key: behind the entry afterID of the key p.after.
// within gives the first n entries from there to the end of the key.
func rollWithin[T any](p page, afterID string, within func(n int) ([]T, error), keyOf func(T) string, rows func(r stretch, n int) ([]T, error)) (listed[T], error) {
	var head []T
	if afterID != "" && strings.HasPrefix(p.after, p.prefix) && p.commonPrefix(p.after) == "" {
		var err error
		if head, err = within(p.limit + 1); err != nil {
			return listed[T]{}, err
		}
		if len(head) > p.limit {
			return listed[T]{entries: head[:p.limit], more: true, last: p.after}, nil
		}
	}
	p.limit -= len(head)
	l, err := roll(p, keyOf, rows)
	if err != nil {
		return listed[T]{}, err
	}
	if l.last == "" {
		l.last = p.after
	}
	l.entries = append(head, l.entries...)
	return l, nil
}
