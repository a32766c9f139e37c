package proxy_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cofre/proxy"
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
	for try := 1; c.Fault == "" && r.w.dialect.rgw && try < 4; try++ {
		if err != nil || got.code != "SlowDown" { // RGW 16 refuses a body now and then without a word: it is sent again, as SDKs do
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
