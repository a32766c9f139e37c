package proxy_test

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// modelS3 is S3 as its documents describe it, in memory: what must be there after a sequence of operations. A state is never
// changed once somebody may look at it: whoever changes one clones it first, so that a fault can leave several of them open.
type modelS3 struct {
	dialect dialect
	buckets map[string]*modelBucket
	// pending counts the versions and uploads whose ids nobody has been told yet, since an answer was lost.
	pending int
}

// dialect is where storages differ, and cofre shows what the storage does (docs/S3-COMPAT.md).
type dialect struct {
	// rgw is Ceph RGW 16: it leaps over a common prefix that holds the marker, puts no delete marker upon another, and names no
	// null version in its answers.
	rgw bool
}

type modelBucket struct {
	versioning string                    // "", "Enabled" or "Suspended"
	keys       map[string][]modelVersion // newest first, never empty
	uploads    map[string]modelUpload    // by id
	// joined are completed uploads: completing one again gives the same answer for a day.
	joined map[string]modelJoined
}

// modelVersion is an object, a version of one, or a delete marker.
type modelVersion struct {
	id      string // "null" where the bucket had no versioning, or "?n" while nobody was told
	deleted bool
	modelObject
}

// modelObject is what a client sees of an object.
type modelObject struct {
	body  []byte
	etag  string
	parts []int  // sizes, of an object that was sent in parts
	note  string // user metadata and, in a way, content type
	tags  string // "a=b&c=d"
	sum   modelSum
}

type modelUpload struct {
	key       string
	note      string
	tags      string
	algorithm string // of the checksum; empty for none
	// intent is the list that a Complete may still be joining: no other is taken until that one is known to have failed.
	intent string
	// there is the version that the parts were joined to, where that is not noted: the upload is still listed.
	there string
	// dead is an upload that is listed, and that the storage has dropped.
	dead  bool
	parts map[int]modelPart
}

type modelPart struct {
	body []byte
	etag string
	// torn says that the storage has other bytes by now, of an attempt that failed: the part has to be sent again.
	torn bool
}

type modelJoined struct {
	key     string
	list    string
	object  modelObject
	version string
}

func newModelS3(d dialect) *modelS3 { return &modelS3{dialect: d, buckets: map[string]*modelBucket{}} }

// clone copies all that changes in place; bodies and versions are shared.
func (m *modelS3) clone() *modelS3 {
	c := &modelS3{dialect: m.dialect, buckets: map[string]*modelBucket{}, pending: m.pending}
	for name, b := range m.buckets {
		n := &modelBucket{versioning: b.versioning, keys: map[string][]modelVersion{}, uploads: map[string]modelUpload{}, joined: maps.Clone(b.joined)}
		for key, list := range b.keys {
			n.keys[key] = slices.Clone(list)
		}
		for id, up := range b.uploads {
			up.parts = maps.Clone(up.parts)
			n.uploads[id] = up
		}
		c.buckets[name] = n
	}
	return c
}

// newID stands for an id that the storage chooses and that is not known yet.
func (m *modelS3) newID() string {
	m.pending++
	return fmt.Sprintf("?%d", m.pending)
}

func isPending(id string) bool { return strings.HasPrefix(id, "?") }

// same says whether the id that was expected is the one that was seen. One that nobody was told yet is known from here on; it must
// not be that of another version or upload.
func (m *modelS3) same(want, got string) bool {
	if !isPending(want) {
		return want == got
	}
	if got == "" || got == "null" || m.knows(got) {
		return false
	}
	for _, b := range m.buckets {
		for _, list := range b.keys {
			for i := range list {
				if list[i].id == want {
					list[i].id = got
				}
			}
		}
		if up, ok := b.uploads[want]; ok {
			delete(b.uploads, want)
			b.uploads[got] = up
		}
		for id, j := range b.joined {
			if j.version == want {
				j.version = got
				b.joined[id] = j
			}
		}
		for id, up := range b.uploads {
			if up.there == want {
				up.there = got
				b.uploads[id] = up
			}
		}
	}
	return true
}

func (m *modelS3) knows(id string) bool {
	for _, b := range m.buckets {
		for _, list := range b.keys {
			if slices.ContainsFunc(list, func(v modelVersion) bool { return v.id == id }) {
				return true
			}
		}
		if _, ok := b.uploads[id]; ok {
			return true
		}
	}
	return false
}

// versioned says whether the bucket ever had versioning.
func (b *modelBucket) versioned() bool { return b.versioning != "" }

// latest gives what a key shows without a version: an object, a delete marker, or nil.
func (b *modelBucket) latest(key string) *modelVersion {
	if list := b.keys[key]; len(list) > 0 {
		return &list[0]
	}
	return nil
}

// current gives the object that a key shows, nil for none.
func (b *modelBucket) current(key string) *modelVersion {
	if v := b.latest(key); v != nil && !v.deleted {
		return v
	}
	return nil
}

// version gives the version of a key that the client names; the latest for "".
func (b *modelBucket) version(key, id string) *modelVersion {
	if id == "" {
		return b.latest(key)
	}
	for i, v := range b.keys[key] {
		if v.id == id {
			return &b.keys[key][i]
		}
	}
	return nil
}

// add puts a version, or a delete marker, upon a key, and gives its id.
func (m *modelS3) add(b *modelBucket, key string, v modelVersion) string {
	if b.versioning == "Enabled" {
		v.id = m.newID()
	} else {
		v.id = "null"
		b.remove(key, "null")
	}
	b.keys[key] = append([]modelVersion{v}, b.keys[key]...)
	return v.id
}

// remove takes a version away for good.
func (b *modelBucket) remove(key, id string) {
	list := slices.DeleteFunc(slices.Clone(b.keys[key]), func(v modelVersion) bool { return v.id == id })
	if b.keys[key] = list; len(list) == 0 {
		delete(b.keys, key)
	}
}

// removal is what a deletion did, as its answer tells it.
type removal struct {
	version string // of the marker that was made, or of the version that went
	marker  bool
	nothing bool // there was nothing to be done
}

// remove does what DeleteObject does.
func (m *modelS3) remove(b *modelBucket, key, id string) removal {
	switch {
	case id != "":
		v := b.version(key, id)
		if v == nil {
			return removal{version: id, nothing: true}
		}
		was := *v
		b.remove(key, id)
		return removal{version: id, marker: was.deleted}
	case !b.versioned():
		nothing := b.latest(key) == nil
		b.remove(key, "null")
		return removal{nothing: nothing}
	case m.dialect.rgw && b.latest(key) != nil && b.latest(key).deleted:
		return removal{nothing: true}
	default:
		return removal{version: m.add(b, key, modelVersion{deleted: true}), marker: true}
	}
}

// listing gives the bucket in the form that listings are walked in.
func (b *modelBucket) listing(d dialect) *listModel {
	l := &listModel{leaps: d.rgw}
	for _, key := range slices.Sorted(maps.Keys(b.keys)) {
		for _, v := range b.keys[key] {
			i := item{Name: key, Version: v.id, Deleted: v.deleted}
			if !v.deleted {
				i.Size, i.ETag = int64(len(v.body)), v.etag
			}
			l.versions = append(l.versions, i)
		}
	}
	return l
}

// openUploads gives the uploads in the order of their listing.
func (b *modelBucket) openUploads() []string {
	return slices.SortedFunc(maps.Keys(b.uploads), func(x, y string) int {
		return cmp.Or(strings.Compare(b.uploads[x].key, b.uploads[y].key), strings.Compare(x, y))
	})
}

// joinParts makes the object of an upload's parts, as Complete does.
func (up modelUpload) joinParts(numbers []int) modelObject {
	o := modelObject{note: up.note, tags: up.tags}
	var sums, checks [][]byte
	for _, n := range numbers {
		p := up.parts[n]
		o.body = append(o.body, p.body...)
		o.parts = append(o.parts, len(p.body))
		sum, _ := hex.DecodeString(p.etag)
		sums = append(sums, sum)
		if up.algorithm != "" {
			checks = append(checks, digest(up.algorithm, p.body))
		}
	}
	o.etag = fmt.Sprintf("%x-%d", md5.Sum(bytes.Join(sums, nil)), len(numbers))
	switch up.algorithm {
	case "", "CRC64NVME":
		o.sum = fullSum("CRC64NVME", o.body)
	default:
		o.sum = modelSum{up.algorithm, "COMPOSITE", fmt.Sprintf("%s-%d", base64Text(digest(up.algorithm, bytes.Join(checks, nil))), len(numbers))}
	}
	return o
}

// wholeObject is an object that was sent in one piece.
func wholeObject(body []byte, note, tags, algorithm string) modelObject {
	return modelObject{body: body, etag: md5Hex(body), note: note, tags: tags, sum: fullSum(cmp.Or(algorithm, "CRC64NVME"), body)}
}
