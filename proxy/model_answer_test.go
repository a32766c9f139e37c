package proxy_test

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// modelAnswer is what S3 answers.
type modelAnswer struct {
	status int
	code   string
	// also are errors that are as good: where two things are wrong, S3's documents do not say which one is told.
	also []string
	// header must be so; an empty value must be absent.
	header map[string]string
	// version is the x-amz-version-id, empty for none; it is compared where versioned is set.
	version   string
	versioned bool
	// body is compared where it is not nil.
	body []byte
	// check looks at the rest. It may learn ids that are pending in m, the state that this answer leads to.
	check func(m *modelS3, r reply) error
}

// outcome is an answer with the state that it leads to.
type outcome struct {
	want modelAnswer
	next *modelS3
}

// matches says whether this is the answer.
func (o outcome) matches(r reply, head bool) error {
	w := o.want
	if r.cut != nil {
		return fmt.Errorf("the answer broke off: %w", r.cut)
	}
	if r.status != w.status || !head && r.code != w.code {
		if !(r.status >= 400 && slices.Contains(w.also, r.code)) {
			return fmt.Errorf("answer %d %s, want %d %s", r.status, r.code, w.status, w.code)
		}
		return nil
	}
	for name, value := range w.header {
		if got := r.header.Get(name); got != value {
			return fmt.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	if w.versioned {
		got := r.header.Get("X-Amz-Version-Id")
		if o.next.dialect.rgw && (got == "null" || w.version == "null") {
			got, w.version = strings.TrimPrefix(got, "null"), strings.TrimPrefix(w.version, "null") // named now and then
		}
		if w.version == "" && got != "" || w.version != "" && !o.next.same(w.version, got) {
			return fmt.Errorf("version id is %q, want %q", got, w.version)
		}
	}
	if w.body != nil && !bytes.Equal(r.body, w.body) {
		return fmt.Errorf("body is %d bytes %.40q, want %d bytes %.40q", len(r.body), r.body, len(w.body), w.body)
	}
	if w.check != nil {
		return w.check(o.next, r)
	}
	return nil
}

func refused(status int, code string) modelAnswer { return modelAnswer{status: status, code: code} }

var (
	accessDenied       = refused(403, "AccessDenied")
	noSuchBucket       = refused(404, "NoSuchBucket")
	noSuchKey          = refused(404, "NoSuchKey")
	noSuchUpload       = refused(404, "NoSuchUpload")
	preconditionFailed = refused(412, "PreconditionFailed")
)

// outcomes gives all that S3 may answer to the call, and what is then.
func (m *modelS3) outcomes(c *modelCall) []outcome {
	stay := func(w modelAnswer) []outcome { return []outcome{{w, m.clone()}} }
	if c.Spoil == "signature" {
		return stay(refused(403, "SignatureDoesNotMatch"))
	}
	if !m.allows(c) {
		return stay(accessDenied)
	}
	if c.Do == "create" {
		return m.create(c)
	}
	b := m.buckets[c.Bucket]
	if b == nil {
		if c.Do == "deletes" && m.deniesAll(c) {
			return stay(modelAnswer{status: 200}) // whoever may delete nothing is told so of each key, and not what buckets there are
		}
		return stay(withAlso(noSuchBucket, c, "NoSuchUpload", "InvalidRequest"))
	}
	next := m.clone()
	b = next.buckets[c.Bucket]
	one := func(w modelAnswer) []outcome { return []outcome{{w, next}} }
	switch c.Do {
	case "put":
		return one(next.put(b, c))
	case "get", "head":
		return one(next.get(b, c))
	case "attributes":
		return one(next.attributes(b, c))
	case "delete":
		return one(next.delete(b, c))
	case "deletes":
		return one(next.deletes(b, c))
	case "copy":
		return next.copy(b, c)
	case "tags", "tag", "untag":
		return one(next.tagging(b, c))
	case "upload", "part", "part-copy", "complete", "abort", "parts":
		return next.uploading(b, c)
	case "v1", "v2", "versions":
		return one(next.list(b, c))
	case "uploads":
		return one(next.listUploads(b, c))
	case "versioning":
		b.versioning = c.Status
		return one(modelAnswer{status: 200})
	case "drop":
		return one(next.drop(b, c))
	}
	panic("no model of " + c.Do)
}

// withAlso adds the errors that the same request may get for what else is wrong with it.
func withAlso(w modelAnswer, c *modelCall, codes ...string) modelAnswer {
	w.also = append(slices.Clone(w.also), codes...)
	if c.Spoil == "md5" || c.Spoil == "checksum" {
		w.also = append(w.also, "BadDigest")
	}
	return w
}

// allows decides as docs/S3-COMPAT.md has it.
func (m *modelS3) allows(c *modelCall) bool {
	grants := modelClients[c.Who]
	allow := func(action, key string) bool {
		return slices.ContainsFunc(grants, func(g modelGrant) bool {
			return strings.Contains(g.actions, action) && strings.HasPrefix(key, g.prefix)
		})
	}
	switch c.Do {
	case "get", "head", "attributes", "tags":
		return allow("read", c.Key)
	case "put", "tag", "untag", "upload", "part", "complete", "abort", "parts":
		return allow("write", c.Key)
	case "copy", "part-copy":
		return allow("write", c.Key) && allow("read", c.From)
	case "delete":
		return allow("delete", c.Key) && (c.ifMatch == "" || c.ifMatch == "*" || allow("read", c.Key))
	case "deletes":
		return true // key by key
	case "v1", "v2", "versions", "uploads":
		return allow("list", c.Prefix)
	}
	return slices.ContainsFunc(grants, func(g modelGrant) bool { return g.prefix == "" && strings.Contains(g.actions, "admin") })
}

// deniesAll says that the client may delete none of the keys.
func (m *modelS3) deniesAll(c *modelCall) bool {
	return !slices.ContainsFunc(c.deletes, func(key string) bool {
		one := *c
		one.Do, one.Key = "delete", key
		return m.allows(&one)
	})
}

// shown is the version id as an answer names it.
func (m *modelS3) shown(b *modelBucket, id string) string {
	if !b.versioned() || id == "null" && m.dialect.rgw {
		return ""
	}
	return id
}

func (m *modelS3) create(c *modelCall) []outcome {
	next := m.clone()
	if next.buckets[c.Bucket] == nil {
		next.buckets[c.Bucket] = &modelBucket{keys: map[string][]modelVersion{}, uploads: map[string]modelUpload{}, joined: map[string]modelJoined{}}
		return []outcome{{modelAnswer{status: 200}, next}}
	}
	// One's own bucket again: 200 as on RGW, and on S3 in us-east-1.
	return []outcome{{modelAnswer{status: 200}, next}, {refused(409, "BucketAlreadyOwnedByYou"), next}}
}

func (m *modelS3) drop(b *modelBucket, c *modelCall) modelAnswer {
	if len(b.keys) > 0 {
		return refused(409, "BucketNotEmpty")
	}
	delete(m.buckets, c.Bucket)
	return modelAnswer{status: 204}
}

// judgeWrite judges If-Match and If-None-Match of a write; status 0 to go on.
func (b *modelBucket) judgeWrite(c *modelCall) modelAnswer {
	now := b.current(c.Key)
	switch {
	case c.ifMatch != "" && now == nil:
		return noSuchKey
	case c.ifMatch != "" && c.ifMatch != "*" && c.ifMatch != `"`+now.etag+`"`:
		return preconditionFailed
	case c.ifNoneMatch == "*" && now != nil:
		return preconditionFailed
	}
	return modelAnswer{}
}

func (m *modelS3) put(b *modelBucket, c *modelCall) modelAnswer {
	if w := b.judgeWrite(c); w.status != 0 {
		return withAlso(w, c)
	}
	if c.Spoil == "md5" || c.Spoil == "checksum" {
		return refused(400, "BadDigest")
	}
	o := wholeObject(c.body, c.Note, c.Tags, c.Algorithm)
	id := m.add(b, c.Key, modelVersion{modelObject: o})
	return modelAnswer{status: 200, header: map[string]string{"ETag": `"` + o.etag + `"`, sumHeader(o.sum.algorithm): o.sum.value}, version: m.shown(b, id), versioned: true}
}

func sumHeader(algorithm string) string { return "X-Amz-Checksum-" + algorithm }

// find gives the version that is read, or the error of one that cannot be.
func (m *modelS3) find(b *modelBucket, key, id string) (*modelVersion, modelAnswer) {
	v := b.version(key, id)
	switch {
	case v == nil && id == "":
		return nil, noSuchKey
	case v == nil:
		return nil, refused(404, "NoSuchVersion")
	case v.deleted && id == "":
		return nil, modelAnswer{status: 404, code: "NoSuchKey", header: map[string]string{"X-Amz-Delete-Marker": "true"}, version: v.id, versioned: true}
	case v.deleted:
		return nil, modelAnswer{status: 405, code: "MethodNotAllowed", header: map[string]string{"X-Amz-Delete-Marker": "true"}, version: v.id, versioned: true}
	}
	return v, modelAnswer{}
}

func (m *modelS3) get(b *modelBucket, c *modelCall) modelAnswer {
	v, w := m.find(b, c.Key, c.version)
	if v == nil {
		return w
	}
	etag := `"` + v.etag + `"`
	switch {
	case c.ifMatch != "" && c.ifMatch != "*" && c.ifMatch != etag:
		return preconditionFailed
	case c.ifNoneMatch != "" && (c.ifNoneMatch == "*" || c.ifNoneMatch == etag):
		return modelAnswer{status: 304, header: map[string]string{"ETag": etag}}
	}
	first, n, ok, valid := rangeOf(c.Range, len(v.body))
	if ok && !valid {
		return refused(416, "InvalidRange")
	}
	w = modelAnswer{status: 200, version: m.shown(b, v.id), versioned: true, body: v.body}
	w.header = map[string]string{
		"ETag": etag, "Content-Length": strconv.Itoa(n), "X-Amz-Meta-Note": noteText(v.note), "Content-Type": contentTypeOf(v.note),
		"Content-Range": "", "X-Amz-Tagging-Count": "", "X-Amz-Delete-Marker": "",
	}
	if v.tags != "" {
		w.header["X-Amz-Tagging-Count"] = strconv.Itoa(strings.Count(v.tags, "&") + 1)
	}
	if ok {
		w.status, w.body = 206, v.body[first:first+n]
		w.header["Content-Range"] = fmt.Sprintf("bytes %d-%d/%d", first, first+n-1, len(v.body))
	} else if c.Range == "" {
		w.header[sumHeader(v.sum.algorithm)], w.header["X-Amz-Checksum-Type"] = v.sum.value, v.sum.kind
	}
	if w.body = bytes.Clone(w.body); w.body == nil {
		w.body = []byte{}
	}
	if c.Do == "head" {
		w.body = nil
	}
	return w
}

func noteText(note string) string {
	if note == "" {
		return ""
	}
	return plaintextMark + " " + note
}

func contentTypeOf(note string) string {
	if note == "" {
		return "binary/octet-stream"
	}
	return "text/" + plaintextMark + "-" + note
}

// rangeOf reads a Range as S3 does: ok says that it is one, and valid that the object has bytes there.
func rangeOf(text string, size int) (first, n int, ok, valid bool) {
	spec, is := strings.CutPrefix(text, "bytes=")
	from, to, dash := strings.Cut(spec, "-")
	if !is || !dash {
		return 0, size, false, false
	}
	switch from {
	case "":
		last, err := strconv.Atoi(to)
		if err != nil || size == 0 && last > 0 {
			return 0, size, false, false // of an empty object S3 gives all that there is
		}
		last = min(last, size)
		return size - last, last, true, last > 0
	default:
		a, err := strconv.Atoi(from)
		if err != nil {
			return 0, size, false, false
		}
		b := size - 1
		if to != "" {
			if b, err = strconv.Atoi(to); err != nil || b < a {
				return 0, size, false, false
			}
		}
		if a >= size {
			return 0, 0, true, false
		}
		return a, min(b, size-1) - a + 1, true, true
	}
}

func (m *modelS3) delete(b *modelBucket, c *modelCall) modelAnswer {
	v := b.version(c.Key, c.version)
	if v != nil && c.ifMatch != "" && c.ifMatch != "*" && (v.deleted || c.ifMatch != `"`+v.etag+`"`) {
		return preconditionFailed
	}
	if c.ifMatch != "" && v == nil {
		return modelAnswer{status: 204} // there is nothing to delete
	}
	r := m.remove(b, c.Key, c.version)
	w := modelAnswer{status: 204, header: map[string]string{"X-Amz-Delete-Marker": ""}}
	if r.marker {
		w.header["X-Amz-Delete-Marker"] = "true"
	}
	if !r.nothing {
		w.version, w.versioned = m.shown(b, r.version), true
	}
	return w
}

func (m *modelS3) tagging(b *modelBucket, c *modelCall) modelAnswer {
	v, w := m.find(b, c.Key, c.version)
	if v == nil {
		return w
	}
	w = modelAnswer{status: 200, version: m.shown(b, v.id), versioned: !m.dialect.rgw}
	switch c.Do {
	case "tag":
		v.tags = c.Tags
	case "untag":
		v.tags, w.status = "", 204
	default:
		tags := v.tags
		w.check = func(_ *modelS3, r reply) error { return sameTags(r.body, tags) }
	}
	return w
}

// copy gives the outcomes of CopyObject: a copy of an object in parts may keep its parts, or become one piece.
func (m *modelS3) copy(b *modelBucket, c *modelCall) []outcome {
	refuse := func(w modelAnswer) []outcome { return []outcome{{w, m}} }
	from := m.buckets[c.FromBucket]
	if c.FromBucket == c.Bucket && c.From == c.Key && c.fromVersion == "" && !c.Replace && !c.ReplaceTags {
		return refuse(withAlso(refused(400, "InvalidRequest"), c, "NoSuchKey", "PreconditionFailed"))
	}
	if from == nil {
		return refuse(noSuchBucket)
	}
	src := from.version(c.From, c.fromVersion)
	switch {
	case src == nil && c.fromVersion != "":
		return refuse(withAlso(refused(404, "NoSuchVersion"), c, "PreconditionFailed"))
	case src == nil || src.deleted && c.fromVersion == "":
		return refuse(withAlso(noSuchKey, c, "PreconditionFailed"))
	case src.deleted:
		return refuse(withAlso(refused(400, "InvalidRequest"), c, "NoSuchKey", "PreconditionFailed"))
	}
	if w := b.judgeWrite(c); w.status != 0 {
		return refuse(w)
	}
	source := *src
	whole := wholeObject(source.body, source.note, source.tags, cmp.Or(c.Algorithm, source.sum.algorithm))
	if c.Replace {
		whole.note = c.Note
	}
	if c.ReplaceTags {
		whole.tags = c.Tags
	}
	kept := whole
	kept.etag, kept.parts = source.etag, source.parts
	var all []outcome
	for _, o := range []modelObject{whole, kept} {
		next := m.clone()
		to := next.buckets[c.Bucket]
		w := modelAnswer{status: 200, versioned: !m.dialect.rgw, version: next.shown(to, next.add(to, c.Key, modelVersion{modelObject: o}))}
		w.check = func(_ *modelS3, r reply) error { return sameETag(r.body, o.etag) }
		all = append(all, outcome{w, next})
		if source.parts == nil {
			break
		}
	}
	return all
}
