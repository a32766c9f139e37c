package proxy_test

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	gocmp "github.com/google/go-cmp/cmp"
)

func (m *modelS3) attributes(b *modelBucket, c *modelCall) modelAnswer {
	v, w := m.find(b, c.Key, c.version)
	if v == nil {
		return w
	}
	o := v.modelObject
	return modelAnswer{status: 200, version: m.shown(b, v.id), versioned: true, check: func(_ *modelS3, r reply) error {
		var doc struct {
			ETag        string
			ObjectSize  int
			ObjectParts struct {
				PartsCount int
			}
			Checksum struct {
				ChecksumType string
				Values       []struct {
					XMLName xml.Name
					Text    string `xml:",chardata"`
				} `xml:",any"`
			}
		}
		if err := xml.Unmarshal(r.body, &doc); err != nil {
			return err
		}
		got := modelSum{kind: doc.Checksum.ChecksumType}
		for _, v := range doc.Checksum.Values {
			got.algorithm, got.value = strings.TrimPrefix(v.XMLName.Local, "Checksum"), v.Text
		}
		if doc.ETag != o.etag || doc.ObjectSize != len(o.body) || doc.ObjectParts.PartsCount != len(o.parts) || got != o.sum {
			return fmt.Errorf("attributes %+v, want %s, %d bytes, %d parts, %+v", doc, o.etag, len(o.body), len(o.parts), o.sum)
		}
		return nil
	}}
}

// deletes does what DeleteObjects does, key by key.
func (m *modelS3) deletes(b *modelBucket, c *modelCall) modelAnswer {
	if c.Spoil == "md5" {
		return refused(400, "BadDigest")
	}
	want := map[string]string{} // by key: "deleted", "marker", or an error's code
	for _, key := range c.deletes {
		one := *c
		one.Do, one.Key = "delete", key
		if !m.allows(&one) {
			want[key] = "AccessDenied"
			continue
		}
		want[key] = "deleted"
		if m.remove(b, key, "").marker {
			want[key] = "marker"
		}
	}
	return modelAnswer{status: 200, check: func(_ *modelS3, r reply) error {
		var doc struct {
			Deleted []struct {
				Key          string
				DeleteMarker bool
			}
			Error []struct{ Key, Code string }
		}
		if err := xml.Unmarshal(r.body, &doc); err != nil {
			return err
		}
		got := map[string]string{}
		for _, d := range doc.Deleted {
			got[d.Key] = "deleted"
			if d.DeleteMarker {
				got[d.Key] = "marker"
			}
		}
		for _, e := range doc.Error {
			got[e.Key] = e.Code
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			return fmt.Errorf("deleted -want +got\n%s", diff)
		}
		return nil
	}}
}

// uploading gives what may be answered to what is done with uploads.
func (m *modelS3) uploading(b *modelBucket, c *modelCall) []outcome {
	one := func(w modelAnswer) []outcome { return []outcome{{w, m}} }
	if c.Do == "upload" {
		return one(m.createUpload(b, c))
	}
	up, open := b.uploads[c.uploadID]
	if !open {
		if j, ok := b.joined[c.uploadID]; ok && c.Do == "complete" && listText(c.list) == j.list {
			return one(m.joinedAnswer(b, j))
		}
		return one(withAlso(noSuchUpload, c, "NoSuchKey", "NoSuchVersion", "InvalidRequest", "NoSuchBucket"))
	}
	switch c.Do {
	case "part", "part-copy":
		return one(m.part(b, up, c))
	case "abort":
		switch {
		case up.there != "" && b.shows(up.key, up.there):
			return one(noSuchUpload)
		case up.intent != "":
			return one(refused(409, "OperationAborted"))
		}
		delete(b.uploads, c.uploadID)
		return one(modelAnswer{status: 204})
	case "parts":
		return one(up.listParts())
	case "complete":
		if up.there != "" {
			return m.completeAgain(b, up, c)
		}
	}
	return one(m.complete(b, up, c))
}

// shows says whether a key shows this version.
func (b *modelBucket) shows(key, id string) bool {
	v := b.current(key)
	return v != nil && v.id == id
}

func (m *modelS3) createUpload(b *modelBucket, c *modelCall) modelAnswer {
	up := modelUpload{key: c.Key, note: c.Note, tags: c.Tags, algorithm: c.Algorithm, parts: map[int]modelPart{}}
	id := m.newID()
	b.uploads[id] = up
	return modelAnswer{status: 200, check: func(next *modelS3, r reply) error {
		var doc struct {
			UploadID string `xml:"UploadId"`
		}
		if err := xml.Unmarshal(r.body, &doc); err != nil {
			return err
		}
		if !next.same(id, doc.UploadID) {
			return fmt.Errorf("upload id %q", doc.UploadID)
		}
		return nil
	}}
}

func (m *modelS3) joinedAnswer(b *modelBucket, j modelJoined) modelAnswer {
	return modelAnswer{status: 200, version: m.shownJoined(b, j.version), versioned: !m.dialect.rgw, check: func(_ *modelS3, r reply) error { return sameETag(r.body, j.object.etag) }}
}

// completeAgain ends an upload whose object is there already.
func (m *modelS3) completeAgain(b *modelBucket, up modelUpload, c *modelCall) []outcome {
	if up.intent != listText(c.list) {
		return []outcome{{refused(409, "OperationAborted"), m}}
	}
	var numbers []int
	for _, p := range c.list {
		numbers = append(numbers, p.number)
	}
	done := m.clone()
	to := done.buckets[c.Bucket]
	j := modelJoined{key: up.key, list: up.intent, object: up.joinParts(numbers), version: up.there}
	delete(to.uploads, c.uploadID)
	to.joined[c.uploadID] = j
	if !b.shows(up.key, up.there) {
		return []outcome{{done.joinedAnswer(to, j), done}, {noSuchUpload, m}}
	}
	to.current(up.key).tags = up.tags
	return []outcome{{done.joinedAnswer(to, j), done}}
}

func (m *modelS3) part(b *modelBucket, up modelUpload, c *modelCall) modelAnswer {
	body := c.body
	if c.Do == "part-copy" {
		from := m.buckets[c.FromBucket]
		if from == nil {
			return noSuchBucket
		}
		src := from.version(c.From, c.fromVersion)
		switch {
		case src == nil && c.fromVersion != "":
			return refused(404, "NoSuchVersion")
		case src == nil || src.deleted && c.fromVersion == "":
			return noSuchKey
		case src.deleted:
			return refused(400, "InvalidRequest")
		}
		body = src.body
	}
	if up.intent != "" || up.dead {
		return withAlso(noSuchUpload, c)
	}
	if c.Spoil == "md5" || c.Spoil == "checksum" {
		return withAlso(refused(400, "BadDigest"), c, "InvalidRequest") // where the upload has another kind of checksum
	}
	etag := md5Hex(body)
	up.parts[c.Part] = modelPart{body: body, etag: etag}
	if c.Do == "part-copy" {
		return modelAnswer{status: 200, check: func(_ *modelS3, r reply) error { return sameETag(r.body, etag) }}
	}
	return modelAnswer{status: 200, header: map[string]string{"ETag": `"` + etag + `"`}}
}

// minimumPart is the least that any part but the last may have.
const minimumPart = 5 << 20

func (m *modelS3) complete(b *modelBucket, up modelUpload, c *modelCall) modelAnswer {
	if len(c.list) == 0 {
		return refused(400, "InvalidRequest") // "You must specify at least one part"
	}
	if up.intent != "" && up.intent != listText(c.list) {
		return refused(409, "OperationAborted")
	}
	var numbers []int
	for i, p := range c.list {
		kept, ok := up.parts[p.number]
		switch {
		case i > 0 && p.number <= c.list[i-1].number:
			return refused(400, "InvalidPartOrder")
		case !ok || kept.etag != p.etag || kept.torn:
			return withAlso(refused(400, "InvalidPart"), c, "InvalidPartOrder", "EntityTooSmall")
		case i < len(c.list)-1 && len(kept.body) < minimumPart:
			return withAlso(refused(400, "EntityTooSmall"), c, "InvalidPart", "InvalidPartOrder")
		}
		numbers = append(numbers, p.number)
	}
	if w := b.judgeWrite(c); w.status != 0 {
		return w
	}
	if up.dead {
		return noSuchUpload
	}
	o := up.joinParts(numbers)
	delete(b.uploads, c.uploadID)
	id := m.add(b, up.key, modelVersion{modelObject: o})
	b.joined[c.uploadID] = modelJoined{key: up.key, list: listText(c.list), object: o, version: id}
	return modelAnswer{status: 200, version: m.shownJoined(b, id), versioned: !m.dialect.rgw, check: func(_ *modelS3, r reply) error { return sameETag(r.body, o.etag) }}
}

// shownJoined is the version id as a Complete names it.
func (m *modelS3) shownJoined(b *modelBucket, id string) string {
	if id == "null" {
		return ""
	}
	return m.shown(b, id)
}

func (up modelUpload) listParts() modelAnswer {
	return modelAnswer{status: 200, check: func(_ *modelS3, r reply) error {
		var doc struct {
			Part []struct {
				PartNumber, Size int
				ETag             string
			}
		}
		if err := xml.Unmarshal(r.body, &doc); err != nil {
			return err
		}
		if len(doc.Part) != len(up.parts) {
			return fmt.Errorf("%d parts, want %d", len(doc.Part), len(up.parts))
		}
		for _, p := range doc.Part {
			if kept, ok := up.parts[p.PartNumber]; !ok || strings.Trim(p.ETag, `"`) != kept.etag || p.Size != len(kept.body) {
				return fmt.Errorf("part %+v, want %s of %d bytes", p, kept.etag, len(kept.body))
			}
		}
		return nil
	}}
}

// query is the listing that the call asks for.
func (c *modelCall) query() query {
	return query{Form: c.Do, Prefix: c.Prefix, Delimiter: c.Delimiter, Marker: c.Marker, MaxKeys: cmp.Or(c.MaxKeys, 1000), URLEncode: true}
}

func (m *modelS3) list(b *modelBucket, c *modelCall) modelAnswer {
	q := c.query()
	want := b.listing(m.dialect).walk(q)[0]
	return modelAnswer{status: 200, check: func(next *modelS3, r reply) error {
		var doc listDocument
		if err := xml.Unmarshal(r.body, &doc); err != nil {
			return err
		}
		got, err := doc.items(q)
		if err != nil {
			return err
		}
		return next.samePage(want, page{Items: got, Truncated: doc.IsTruncated})
	}}
}

// samePage compares a page, and learns the ids of versions that nobody was told.
func (m *modelS3) samePage(want, got page) error {
	ids := slices.Clone(want.Items)
	for i := range ids {
		if i < len(got.Items) && isPending(ids[i].Version) && ids[i].Name == got.Items[i].Name && m.same(ids[i].Version, got.Items[i].Version) {
			ids[i].Version = got.Items[i].Version
		}
	}
	if diff := gocmp.Diff(page{Items: ids, Truncated: want.Truncated}, got); diff != "" {
		return fmt.Errorf("listing -want +got\n%s", diff)
	}
	return nil
}

func (m *modelS3) listUploads(b *modelBucket, c *modelCall) modelAnswer {
	var want []string
	for _, id := range b.openUploads() {
		if strings.HasPrefix(b.uploads[id].key, c.Prefix) {
			want = append(want, b.uploads[id].key+" "+id)
		}
	}
	return modelAnswer{status: 200, check: func(next *modelS3, r reply) error {
		var doc struct {
			Upload []struct {
				Key      string
				UploadID string `xml:"UploadId"`
			}
		}
		if err := xml.Unmarshal(r.body, &doc); err != nil {
			return err
		}
		var got []string
		for _, u := range doc.Upload {
			got = append(got, u.Key+" "+u.UploadID)
		}
		return next.sameUploads(want, got)
	}}
}

// sameUploads compares listed uploads, and learns the ids of those whose making was not answered.
func (m *modelS3) sameUploads(want, got []string) error {
	var left []string
	for _, w := range want {
		if i := slices.Index(got, w); i >= 0 {
			got = slices.Delete(slices.Clone(got), i, i+1)
		} else {
			left = append(left, w)
		}
	}
	for _, w := range left {
		key, id, _ := strings.Cut(w, " ")
		i := slices.IndexFunc(got, func(g string) bool { return strings.HasPrefix(g, key+" ") })
		if i < 0 || !m.same(id, strings.TrimPrefix(got[i], key+" ")) {
			return fmt.Errorf("upload %q is not listed", w)
		}
		got = slices.Delete(slices.Clone(got), i, i+1)
	}
	if len(got) > 0 {
		return fmt.Errorf("listed uploads that are not there: %q", got)
	}
	return nil
}

func sameETag(body []byte, etag string) error {
	var doc struct{ ETag string }
	if err := xml.Unmarshal(body, &doc); err != nil {
		return err
	}
	if got := strings.Trim(doc.ETag, `"`); got != etag {
		return fmt.Errorf("ETag %s, want %s", got, etag)
	}
	return nil
}

func sameTags(body []byte, want string) error {
	var doc struct {
		TagSet struct {
			Tag []struct{ Key, Value string }
		}
	}
	if err := xml.Unmarshal(body, &doc); err != nil {
		return err
	}
	var got []string
	for _, t := range doc.TagSet.Tag {
		got = append(got, t.Key+"="+t.Value)
	}
	slices.Sort(got)
	if text := strings.Join(got, "&"); text != want {
		return fmt.Errorf("tags %q, want %q", text, want)
	}
	return nil
}
