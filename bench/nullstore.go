package main

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// The null storage answers S3 from memory, so that what is measured is who stands in front of it. What is written is dropped on
// arrival, but for what is to be read back: everything below keepPrefix, and all of buckets that are not named in dropFrom, as the
// system bucket.
const keepPrefix = "keep/"

type nullStore struct {
	dropFrom []string

	mu      sync.RWMutex
	buckets map[string]*nullBucket
	uploads map[string]*nullUpload
	serial  uint64
}

type nullBucket struct {
	objects map[string]*nullObject
	// names in order and pages by their query, until an object is made or removed: a listing is not the storage's to be measured.
	names []string
	pages map[string][]byte
}

// nullObject does not change once it is there.
type nullObject struct {
	etag     string
	size     int64
	blocks   [][]byte // each of period bytes but the last; nil of what was dropped
	fields   string   // lines of the answer's head, as they were given
	modified time.Time
}

type nullUpload struct {
	bucket, key, fields string
	parts               map[int]*nullObject
}

func newNullStore(dropFrom ...string) *nullStore {
	return &nullStore{dropFrom: dropFrom, buckets: map[string]*nullBucket{}, uploads: map[string]*nullUpload{}}
}

// keeps says whether what is written under a key will be read.
func (s *nullStore) keeps(bucket, key string) bool {
	return strings.HasPrefix(key, keepPrefix) || !slices.Contains(s.dropFrom, bucket)
}

// newID gives an ETag or an upload id, another one each time. Sixteen bytes in hex, as an MD5.
func (s *nullStore) newID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	return fmt.Sprintf("%032x", s.serial)
}

func (s *nullStore) bucket(name string) *nullBucket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.buckets[name]
}

func (s *nullStore) makeBucket(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name] == nil {
		s.buckets[name] = &nullBucket{objects: map[string]*nullObject{}}
	}
}

func (s *nullStore) object(bucket, key string) *nullObject {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b := s.buckets[bucket]; b != nil {
		return b.objects[key]
	}
	return nil
}

// put makes an object, or with nil takes it away. It says whether there is such a bucket.
func (s *nullStore) put(bucket, key string, o *nullObject) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucket]
	if b == nil {
		return false
	}
	b.names, b.pages = nil, nil
	if o == nil {
		delete(b.objects, key)
	} else {
		b.objects[key] = o
	}
	return true
}

func (s *nullStore) begin(bucket, key, fields string) string {
	id := s.newID()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploads[id] = &nullUpload{bucket: bucket, key: key, fields: fields, parts: map[int]*nullObject{}}
	return id
}

func (s *nullStore) addPart(id string, number int, part *nullObject) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[id]
	if u == nil {
		return false
	}
	u.parts[number] = part
	return true
}

// complete joins all parts of an upload; nil where there is no such upload. Its ETag is that of S3.
func (s *nullStore) complete(id string) *nullObject {
	s.mu.Lock()
	u := s.uploads[id]
	delete(s.uploads, id)
	s.mu.Unlock()
	if u == nil {
		return nil
	}
	o := &nullObject{fields: u.fields, modified: time.Now().UTC()}
	sum := md5.New()
	joined := &blocks{}
	for _, number := range slices.Sorted(maps.Keys(u.parts)) {
		part := u.parts[number]
		raw, err := hex.DecodeString(part.etag)
		if err != nil {
			return nil
		}
		sum.Write(raw)
		o.size += part.size
		for _, b := range part.blocks {
			joined.add(b)
		}
	}
	o.etag = fmt.Sprintf("%x-%d", sum.Sum(nil), len(u.parts))
	if s.keeps(u.bucket, u.key) {
		o.blocks = joined.all
		s.put(u.bucket, u.key, o)
	}
	return o
}

func (s *nullStore) abort(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.uploads, id)
}

// blocks gathers a body. Blocks that repeat the one before are kept once: plain bodies of the bench do so all along (see period).
type blocks struct{ all [][]byte }

func (b *blocks) add(p []byte) {
	for len(p) > 0 {
		last := len(b.all) - 1
		if last < 0 || len(b.all[last]) == period {
			n := min(len(p), period)
			if last >= 0 && n == period && bytes.Equal(b.all[last], p[:n]) {
				b.all = append(b.all, b.all[last])
			} else {
				b.all = append(b.all, slices.Clone(p[:n]))
			}
			p = p[n:]
			continue
		}
		n := min(len(p), period-len(b.all[last]))
		b.all[last] = append(b.all[last], p[:n]...)
		p = p[n:]
	}
}

// slice gives length bytes from off on, in pieces.
func (o *nullObject) slice(off, length int64) [][]byte {
	var out [][]byte
	for length > 0 {
		b := o.blocks[off/period][off%period:]
		b = b[:min(int64(len(b)), length)]
		out = append(out, b)
		off, length = off+int64(len(b)), length-int64(len(b))
	}
	return out
}

// page gives a page of a listing, as ListObjects or as ListObjectsV2. query is what it was asked with, by which it is kept.
func (s *nullStore) page(bucket, query string, v2 bool, prefix, after string, limit int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucket]
	if b == nil {
		return nil
	}
	if page, ok := b.pages[query]; ok {
		return page
	}
	if b.names == nil {
		b.names = slices.Sorted(maps.Keys(b.objects))
	}
	at, found := slices.BinarySearch(b.names, max(prefix, after))
	if found && after >= prefix {
		at++
	}
	var entries bytes.Buffer
	n := 0
	for ; n < limit && at < len(b.names) && strings.HasPrefix(b.names[at], prefix); n, at = n+1, at+1 {
		o := b.objects[b.names[at]]
		fmt.Fprintf(&entries, `<Contents><Key>%s</Key><LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag><Size>%d</Size><StorageClass>STANDARD</StorageClass>`,
			b.names[at], o.modified.Format("2006-01-02T15:04:05.000Z"), o.etag, o.size)
		if !v2 {
			entries.WriteString(`<Owner><ID>null</ID><DisplayName>null</DisplayName></Owner>`)
		}
		entries.WriteString("</Contents>")
	}
	truncated := n == limit && at < len(b.names) && strings.HasPrefix(b.names[at], prefix)
	var page bytes.Buffer
	fmt.Fprintf(&page, `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>%s</Name><Prefix>%s</Prefix><MaxKeys>%d</MaxKeys><EncodingType>url</EncodingType><IsTruncated>%t</IsTruncated>`,
		bucket, prefix, limit, truncated)
	if v2 {
		fmt.Fprintf(&page, "<KeyCount>%d</KeyCount>", n)
	}
	if truncated {
		if v2 {
			fmt.Fprintf(&page, "<NextContinuationToken>%s</NextContinuationToken>", b.names[at-1])
		} else {
			fmt.Fprintf(&page, "<NextMarker>%s</NextMarker>", b.names[at-1])
		}
	}
	page.Write(entries.Bytes())
	page.WriteString("</ListBucketResult>")
	if b.pages == nil {
		b.pages = map[string][]byte{}
	}
	b.pages[query] = page.Bytes()
	return page.Bytes()
}
