package proxy_test

import (
	"cmp"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	gocmp "github.com/google/go-cmp/cmp"

	"cofre/checksum"
	"cofre/proxy"
	"cofre/sigv4/sigv4test"
)

// modelRun plays one sequence.
type modelRun struct {
	w    *modelWorld
	name string // of this sequence's buckets
	// states are all that may be true: one, unless an answer was lost.
	states  []*modelS3
	log     []string
	faulted bool
	// verifies has the audit verify too, where the script does so anywhere: it costs more than all the rest.
	verifies bool
}

// play runs a script and then looks at everything. The error tells the script as it went.
func (w *modelWorld) play(steps []modelStep) error {
	w.buckets++
	r := &modelRun{w: w, name: fmt.Sprintf("model%d", w.buckets), states: []*modelS3{newModelS3(w.dialect)}}
	w.rounds++
	r.verifies = slices.ContainsFunc(steps, func(s modelStep) bool { return s.Do == "verify" })
	err := r.step(modelStep{Do: "create", Bucket: "a"})
	for _, s := range steps {
		if err != nil {
			break
		}
		err = r.step(s)
	}
	if err == nil {
		if err = r.audit(); err != nil {
			r.log = append(r.log, "(then everything was looked at)")
		}
	}
	r.clear()
	if err != nil {
		r.log = append(r.log, w.warnings()...)
		return fmt.Errorf("%w\n%s", err, strings.Join(r.log, "\n"))
	}
	return nil
}

// step plays one step and keeps the states that its outcome leaves.
func (r *modelRun) step(s modelStep) error {
	r.w.operations++
	done, err := r.happens(s)
	if done {
		r.log = append(r.log, s.String())
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
		return nil
	}
	c := r.states[0].resolve(s)
	r.arm(c)
	got, err := r.send(c)
	struck := r.disarm(c)
	r.log = append(r.log, fmt.Sprintf("%s -> %s", s, toldShortly(got, err)))
	return r.judge(c, got, err, struck)
}

func toldShortly(got reply, err error) string {
	if err != nil {
		return "no answer"
	}
	text := fmt.Sprint(got.status)
	if got.code != "" {
		text += " " + got.code
	}
	if v := got.header.Get("X-Amz-Version-Id"); v != "" {
		text += " version " + v
	}
	return text
}

func (r *modelRun) arm(c *modelCall) {
	switch {
	case c.Fault == "":
	case strings.HasPrefix(c.Fault, "store"):
		r.w.store.arm(c.Fault, c.FaultAt)
		r.w.store.down.Store(c.Fault == "store-down")
	default:
		r.w.link.arm(c.Fault, c.FaultAt)
	}
}

func (r *modelRun) disarm(c *modelCall) (struck bool) {
	if c.Fault == "" {
		return false
	}
	struck = r.w.link.disarm()
	down, hit := r.w.store.down.Swap(false), r.w.store.disarm() // both, whatever the one says: a store must not stay down
	struck = down || hit || struck
	r.faulted = r.faulted || struck
	return struck
}

// judge keeps the states that the answer agrees with.
func (r *modelRun) judge(c *modelCall, got reply, err error, struck bool) error {
	if c.Spoil == "gone" && len(c.body) > 0 {
		return nil // nothing may have changed, whatever was answered
	}
	unclear := err != nil || got.cut != nil || got.status >= 500 || got.code == "OperationAborted" || got.code == "ConditionalRequestConflict"
	if unclear && !struck {
		if err == nil {
			err = fmt.Errorf("answer %d %s: %.200s", got.status, got.code, got.body)
		}
		if got.code != "OperationAborted" {
			return fmt.Errorf("no fault was there: %w", err)
		}
	}
	var left []*modelS3
	var why []error
	for _, m := range r.states {
		all := m.outcomes(c)
		if struck {
			all = append(all, m.faultyOutcomes(c, all)...)
		}
		for _, o := range all {
			if struck && (unclear || got.status == 200 && c.tolerates()) {
				left = append(left, o.next)
				continue
			}
			if err := o.matches(got, c.Do == "head"); err != nil {
				why = append(why, err)
				continue
			}
			left = append(left, o.next)
		}
		if unclear && struck {
			left = append(left, m)
		}
	}
	if r.states = distinct(left); len(left) == 0 {
		return errors.Join(why...)
	}
	return nil
}

// distinct drops states that are equal to others.
func distinct(states []*modelS3) []*modelS3 {
	var out []*modelS3
	seen := map[string]bool{}
	for _, m := range states {
		if text := m.text(); !seen[text] {
			seen[text] = true
			out = append(out, m)
		}
	}
	return out
}

// send sends the call as its client.
func (r *modelRun) send(c *modelCall) (reply, error) {
	got, err := r.sendOnce(c)
	for try := 1; c.Fault == "" && try < 30; try++ {
		// RGW 16 refuses a body now and then without a word; a store that has just been down says so until it was looked at again; and
		// who sends on after a refusal may find the connection closed. All of it is sent again, as SDKs do.
		refused := err == nil && (got.code == "ServiceUnavailable" || r.w.dialect.rgw && got.code == "SlowDown" && try < 4)
		if !refused && (err == nil || c.Spoil != "signature") {
			break
		}
		time.Sleep(100 * time.Millisecond)
		got, err = r.sendOnce(c)
	}
	return got, err
}

// sendOnce sends a call once.
func (r *modelRun) sendOnce(c *modelCall) (reply, error) {
	rq := r.request(c)
	switch c.Spoil {
	case "signature":
		rq.as.SecretAccessKey = "another-secret-than-the-client-has-00000"
	case "gone":
		rq.spoil = goAway
	}
	return r.w.exchange(r.w.replicas[c.At%len(r.w.replicas)], rq)
}

// bucket gives the name of a bucket of this sequence.
func (r *modelRun) bucket(word string) string {
	return r.name + "-" + cmp.Or(word, "none") + r.w.storage.bucketTag
}

// request writes the call down as a client sends it.
func (r *modelRun) request(c *modelCall) request {
	rq := request{bucket: r.bucket(c.Bucket), key: c.Key, header: map[string]string{}, as: modelSigner(c.Who)}
	rq.payload.Mode = sigv4test.Unsigned
	query := func(words ...string) {
		for i := 0; i < len(words); i += 2 {
			if words[i+1] != "" {
				rq.query += "&" + words[i] + "=" + escaped(words[i+1])
			}
		}
		rq.query = strings.TrimPrefix(rq.query, "&")
	}
	set := func(name, v string) {
		if v != "" {
			rq.header[name] = v
		}
	}
	set("If-Match", c.ifMatch)
	set("If-None-Match", c.ifNoneMatch)
	switch c.Do {
	case "put":
		rq.method = http.MethodPut
		c.describe(set)
		c.setBody(&rq)
	case "get", "head":
		rq.method = strings.ToUpper(c.Do)
		query("versionId", c.version)
		set("Range", c.Range)
		if c.Range == "" {
			set("X-Amz-Checksum-Mode", "ENABLED")
		}
	case "attributes":
		rq.method, rq.query = http.MethodGet, "attributes="
		query("versionId", c.version)
		set("X-Amz-Object-Attributes", "ETag,Checksum,ObjectParts,ObjectSize")
	case "delete":
		rq.method = http.MethodDelete
		query("versionId", c.version)
	case "deletes":
		rq.method, rq.key, rq.query = http.MethodPost, "", "delete="
		var doc strings.Builder
		for _, key := range c.deletes {
			fmt.Fprintf(&doc, "<Object><Key>%s</Key></Object>", xmlText(key))
		}
		rq.payload.Data = []byte("<Delete>" + doc.String() + "</Delete>")
		set("Content-MD5", contentMD5(rq.payload.Data, c.Spoil == "md5"))
	case "copy", "part-copy":
		rq.method = http.MethodPut
		source := "/" + r.bucket(c.FromBucket) + "/" + strings.ReplaceAll(escaped(c.From), "%2F", "/")
		if c.fromVersion != "" {
			source += "?versionId=" + c.fromVersion
		}
		set("X-Amz-Copy-Source", source)
		if c.Do == "part-copy" {
			query("uploadId", c.uploadID, "partNumber", fmt.Sprint(c.Part))
			break
		}
		c.directives(set)
	case "tags", "untag", "tag":
		rq.method = map[string]string{"tags": "GET", "tag": "PUT", "untag": "DELETE"}[c.Do]
		rq.query = "tagging="
		query("versionId", c.version)
		if c.Do == "tag" {
			rq.payload.Data = taggingDocument(c.Tags)
		}
	case "versioning":
		rq.method, rq.key, rq.query = http.MethodPut, "", "versioning="
		rq.payload.Data = []byte("<VersioningConfiguration><Status>" + c.Status + "</Status></VersioningConfiguration>")
	case "create", "drop":
		rq.method, rq.key = map[string]string{"create": "PUT", "drop": "DELETE"}[c.Do], ""
	case "v1", "v2", "versions":
		c.listing(&rq, query)
	case "uploads":
		rq.method, rq.key, rq.query = http.MethodGet, "", "uploads="
		query("prefix", c.Prefix)
	default:
		c.requestUpload(&rq, query, set)
	}
	return rq
}

// requestUpload writes down what is done with uploads.
func (c *modelCall) requestUpload(rq *request, query func(...string), set func(name, v string)) {
	switch c.Do {
	case "upload":
		rq.method, rq.query = http.MethodPost, "uploads="
		c.describe(set)
		set("X-Amz-Checksum-Algorithm", c.Algorithm)
		return
	case "part":
		rq.method = http.MethodPut
		query("partNumber", fmt.Sprint(c.Part))
		c.setBody(rq)
	case "complete":
		rq.method = http.MethodPost
		var doc strings.Builder
		for _, p := range c.list {
			fmt.Fprintf(&doc, "<Part><PartNumber>%d</PartNumber><ETag>\"%s\"</ETag></Part>", p.number, p.etag)
		}
		rq.payload.Data = []byte("<CompleteMultipartUpload>" + doc.String() + "</CompleteMultipartUpload>")
	case "abort":
		rq.method = http.MethodDelete
	case "parts":
		rq.method = http.MethodGet
	}
	query("uploadId", c.uploadID)
}

// describe sets what the client says about an object.
func (c *modelCall) describe(set func(name, v string)) {
	if c.Note != "" {
		set("X-Amz-Meta-Note", noteText(c.Note))
		set("Content-Type", contentTypeOf(c.Note))
	}
	set("X-Amz-Tagging", c.Tags)
}

func (c *modelCall) directives(set func(name, v string)) {
	if c.Replace {
		set("X-Amz-Metadata-Directive", "REPLACE")
		if c.Note != "" {
			set("X-Amz-Meta-Note", noteText(c.Note))
			set("Content-Type", contentTypeOf(c.Note))
		}
	}
	if c.ReplaceTags {
		set("X-Amz-Tagging-Directive", "REPLACE")
		set("X-Amz-Tagging", c.Tags)
	}
	set("X-Amz-Checksum-Algorithm", c.Algorithm)
}

// setBody gives the request its body, with what is wrong about it.
func (c *modelCall) setBody(rq *request) {
	rq.payload.Data = c.body
	if c.Algorithm != "" && c.Do == "put" {
		alg, _ := checksum.ParseAlgorithm(c.Algorithm)
		rq.payload.Checksum = alg
	}
	switch c.Spoil {
	case "md5":
		rq.header["Content-MD5"] = contentMD5(c.body, true)
	case "checksum":
		rq.payload.Checksum = checksum.None
		rq.header["X-Amz-Checksum-Crc32"] = base64Text(digest("CRC32", append([]byte("wrong"), c.body...)))
	}
}

func (c *modelCall) listing(rq *request, query func(...string)) {
	rq.method, rq.key = http.MethodGet, ""
	q := c.query()
	query("encoding-type", "url", "max-keys", fmt.Sprint(q.MaxKeys), "prefix", q.Prefix, "delimiter", q.Delimiter)
	switch c.Do {
	case "v1":
		query("marker", q.Marker)
	case "v2":
		query("list-type", "2", "start-after", q.Marker)
	case "versions":
		rq.query = "versions=&" + rq.query
		query("key-marker", q.Marker)
	}
}

func contentMD5(data []byte, wrong bool) string {
	if wrong {
		data = append([]byte("wrong"), data...)
	}
	sum := md5.Sum(data)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func xmlText(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}

func taggingDocument(tags string) []byte {
	var doc strings.Builder
	for _, word := range strings.FieldsFunc(tags, func(r rune) bool { return r == '&' }) {
		name, value, _ := strings.Cut(word, "=")
		fmt.Fprintf(&doc, "<Tag><Key>%s</Key><Value>%s</Value></Tag>", name, value)
	}
	return []byte("<Tagging><TagSet>" + doc.String() + "</TagSet></Tagging>")
}

// text is a state in words: two that read the same are the same.
func (m *modelS3) text() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m.buckets)) {
		bucket := m.buckets[name]
		fmt.Fprintf(&b, "%s %s\n", name, bucket.versioning)
		for _, key := range slices.Sorted(maps.Keys(bucket.keys)) {
			for _, v := range bucket.keys[key] {
				fmt.Fprintf(&b, " %q %s %v %s %v %s %s %v\n", key, v.id, v.deleted, v.etag, v.parts, v.note, v.tags, v.sum)
			}
		}
		for _, id := range bucket.openUploads() {
			up := bucket.uploads[id]
			fmt.Fprintf(&b, " upload %s %q %s %s %s %s %s %v", id, up.key, up.note, up.tags, up.algorithm, up.intent, up.there, up.dead)
			for _, n := range slices.Sorted(maps.Keys(up.parts)) {
				fmt.Fprintf(&b, " %d:%s %v", n, up.parts[n].etag, up.parts[n].torn)
			}
			b.WriteString("\n")
		}
		for _, id := range slices.Sorted(maps.Keys(bucket.joined)) {
			fmt.Fprintf(&b, " joined %s %v\n", id, bucket.joined[id].version)
		}
	}
	return b.String()
}

// happens plays what befalls the site, and says whether the step was of that kind.
func (r *modelRun) happens(s modelStep) (bool, error) {
	w := r.w
	at := w.replicas[s.At%len(w.replicas)]
	switch s.Do {
	case "restart":
		w.restarts++
		w.restart(s.At % len(w.replicas))
	case "lose":
		w.losses++
		w.lose()
		r.faulted = true
		for _, m := range r.states {
			for _, b := range m.buckets {
				clear(b.uploads)
				clear(b.joined)
			}
		}
	case "rotate":
		if r.states[0].buckets[s.Bucket] == nil {
			return true, nil
		}
		_, _, err := at.ring.Rotate(w.t.Context(), r.bucket(s.Bucket))
		return true, err
	case "heal":
		if r.states[0].buckets[s.Bucket] == nil {
			return true, nil
		}
		_, err := at.handler.HealBucket(w.t.Context(), r.bucket(s.Bucket), proxy.HealConfig{})
		return true, err
	case "flush":
		w.flush()
	case "reencrypt":
		if r.states[0].buckets[s.Bucket] == nil {
			return true, nil
		}
		return true, r.reencrypt(at, s.Bucket)
	case "verify":
		if r.states[0].buckets[s.Bucket] == nil {
			return true, nil
		}
		return true, w.verify(r.bucket(s.Bucket), r.faulted)
	default:
		return false, nil
	}
	return true, nil
}

// reencrypt rotates the bucket's key and writes everything anew that is not under it, as after a site has left. Nobody sees a
// difference, but that in a bucket with versioning each current object has become a version of its own.
func (r *modelRun) reencrypt(at *site, name string) error {
	if err := r.step(modelStep{Do: "versions", Bucket: name}); err != nil { // what is open is settled by now
		return err
	}
	if _, _, err := at.ring.Rotate(r.w.t.Context(), r.bucket(name)); err != nil {
		return err
	}
	if _, err := at.handler.RewriteBucket(r.w.t.Context(), r.bucket(name), proxy.RewriteConfig{All: true}); err != nil {
		return err
	}
	now, err := r.stored(name)
	if err != nil {
		return err
	}
	for _, m := range r.states {
		b := m.buckets[name]
		for key, list := range b.keys {
			if len(now[key]) == 0 {
				return fmt.Errorf("%q is gone", key)
			}
			if newest := now[key][0]; b.versioned() && !list[0].deleted && b.version(key, newest) == nil {
				v := list[0]
				v.id = newest
				b.keys[key] = append([]modelVersion{v}, list...)
			}
		}
	}
	return nil
}

// stored gives the ids of what the storage itself has in a bucket, by key, newest first.
func (r *modelRun) stored(name string) (map[string][]string, error) {
	bucket := r.bucket(name)
	resp, err := r.w.storage.raw.ListObjectVersions(r.w.t.Context(), &s3.ListObjectVersionsInput{Bucket: &bucket})
	if err != nil {
		return nil, fmt.Errorf("list what is stored: %w", err)
	}
	all := map[string][]string{}
	latest := map[string]string{}
	add := func(key, id string, isLatest bool) {
		all[key] = append(all[key], id)
		if isLatest {
			latest[key] = id
		}
	}
	for _, v := range resp.Versions {
		add(*v.Key, *v.VersionId, *v.IsLatest)
	}
	for _, v := range resp.DeleteMarkers {
		add(*v.Key, *v.VersionId, *v.IsLatest)
	}
	for key, ids := range all {
		at := slices.Index(ids, latest[key])
		if at < 0 {
			return nil, fmt.Errorf("%q has no latest version", key)
		}
		ids[0], ids[at] = ids[at], ids[0]
	}
	return all, nil
}

// audit looks at everything, through every way there is.
func (r *modelRun) audit() error {
	for _, name := range []string{"a", "b"} {
		if err := r.steps(modelStep{Do: "versions", Bucket: name}, modelStep{Do: "v2", Bucket: name, At: 1}, modelStep{Do: "uploads", Bucket: name, Who: "reader"}); err != nil {
			return err
		}
		b := r.states[0].buckets[name]
		if b == nil {
			continue
		}
		if err := r.steps(modelStep{Do: "v1", Bucket: name, Delimiter: "/", MaxKeys: 2, At: 1}, modelStep{Do: "v2", Bucket: name, Prefix: "dir/", MaxKeys: 1, Who: "scoped"}); err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(b.keys)) {
			if err := r.auditKey(name, key, len(b.keys[key])); err != nil {
				return err
			}
		}
		for i := range len(b.uploads) {
			if err := r.steps(modelStep{Do: "parts", Bucket: name, Upload: i}); err != nil {
				return err
			}
		}
		if err := r.auditStorage(name); err != nil {
			return err
		}
		if r.verifies {
			if err := r.w.verify(r.bucket(name), r.faulted); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *modelRun) auditKey(bucket, key string, versions int) error {
	for i := range versions {
		if err := r.steps(
			modelStep{Do: "get", Bucket: bucket, Key: key, Version: fmt.Sprintf("#%d", i), At: i},
			modelStep{Do: "attributes", Bucket: bucket, Key: key, Version: fmt.Sprintf("#%d", i), At: i + 1}); err != nil {
			return err
		}
	}
	return r.steps(modelStep{Do: "head", Bucket: bucket, Key: key}, modelStep{Do: "tags", Bucket: bucket, Key: key, At: 1})
}

func (r *modelRun) steps(list ...modelStep) error {
	for _, s := range list {
		if err := r.step(s); err != nil {
			return err
		}
	}
	return nil
}

// auditStorage looks at the storage itself: it has these versions and no others.
func (r *modelRun) auditStorage(name string) error {
	have, err := r.stored(name)
	if err != nil {
		return err
	}
	want := map[string][]string{}
	for key, list := range r.states[0].buckets[name].keys {
		for _, v := range list {
			want[key] = append(want[key], v.id)
		}
	}
	for _, ids := range [...]map[string][]string{have, want} {
		for _, list := range ids {
			slices.Sort(list)
		}
	}
	if diff := gocmp.Diff(want, have); diff != "" {
		return fmt.Errorf("the storage has other versions than there are: -want +have\n%s", diff)
	}
	return nil
}

// clear empties the real RGW, which outlives the test.
func (r *modelRun) clear() {
	if !r.w.dialect.rgw {
		return
	}
	ctx := r.w.t.Context()
	for _, name := range []string{"a", "b"} {
		bucket := r.bucket(name)
		out, err := r.w.storage.raw.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &bucket})
		if err != nil {
			continue
		}
		for _, v := range out.Versions {
			_, _ = r.w.storage.raw.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: v.Key, VersionId: v.VersionId})
		}
		for _, v := range out.DeleteMarkers {
			_, _ = r.w.storage.raw.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: v.Key, VersionId: v.VersionId})
		}
		_, _ = r.w.storage.raw.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String(bucket)})
	}
}
