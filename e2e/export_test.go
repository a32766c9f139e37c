package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"
)

// hardKeys are keys that no file can be named after as they are, and keys that get in each other's way.
var hardKeys = []string{
	"a", "a/", "a//b", "a/b", "A", "..", "../../escape", "/absolute", "./dot", "trailing dot.", "trailing space ", "percent%2Fsign%", "colon:star*",
	"back\\slash", "tab\tand\x01control", "ünïcödé/é", strings.Repeat("long", 200) + "/x", strings.Repeat("é", 400),
}

// exportSource fills a bucket with hard keys, large objects, and all that belongs to objects.
func exportSource(t *testing.T, r *replica) (bucket string, bodies map[string]payload) {
	t.Helper()
	bucket = r.bucket(t, "export")
	bodies = map[string]payload{"empty": newPayload(0), "parts": newPayload(23*mib + 7), "chunk": newPayload(64 << 10)}
	for i, key := range hardKeys {
		bodies[key] = newPayload(int64(i * 10_000))
	}
	var puts errgroup.Group
	puts.SetLimit(8)
	for key, p := range bodies {
		puts.Go(func() error {
			if key == "parts" {
				r.upload(t, bucket, key, p, 5*mib, map[string]string{"note": secretNote})
				return nil
			}
			_, err := r.client().PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: &bucket, Key: &key, Body: bytes.NewReader(p.bytes()), ContentType: aws.String("text/x-" + fmt.Sprint(p.size)),
				ContentEncoding: aws.String("gzip"), CacheControl: aws.String("no-store"), Metadata: map[string]string{"size": fmt.Sprint(p.size)},
				Tagging: aws.String("kind=hard%20one&n=" + fmt.Sprint(p.size)),
			})
			return err
		})
	}
	if err := puts.Wait(); err != nil {
		t.Fatal(err)
	}
	return bucket, bodies
}

// shown gives what HEAD says of each object: Go's XML reader does not take a listing with control characters.
func (r *replica) shown(t *testing.T, bucket string, bodies map[string]payload) map[string]object {
	t.Helper()
	objects := map[string]object{}
	for key := range bodies {
		objects[key] = r.head(t, bucket, key)
	}
	return objects
}

// manifestLine is what the tests read of a line of a manifest.
type manifestLine struct {
	Key, File, ETag string
	Size            int64
	LastModified    time.Time `json:"last_modified"`
	Headers         map[string]string
	Metadata        map[string]string
	Tags            []struct{ Key, Value string }
}

// wantExported compares a directory with what was written through cofre.
func wantExported(t *testing.T, dir string, bodies map[string]payload, shown map[string]object) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "manifest.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	seen := map[string]bool{}
	for lines.Scan() {
		var l manifestLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("%v: %s", err, lines.Bytes())
		}
		path := filepath.Join(dir, "objects", l.File)
		bodies[l.Key].wantFile(t, path)
		info, err := os.Stat(path)
		if err != nil || !info.ModTime().Equal(l.LastModified) {
			t.Errorf("%q was changed %v, its file %v", l.Key, l.LastModified, info.ModTime())
		}
		if l.ETag != shown[l.Key].ETag || l.Size != bodies[l.Key].size {
			t.Errorf("%q has ETag %s and %d bytes in the manifest", l.Key, l.ETag, l.Size)
		}
		if size := fmt.Sprint(l.Size); l.Key != "parts" && (l.Metadata["size"] != size || l.Headers["content-type"] != "text/x-"+size || len(l.Tags) != 2) {
			t.Errorf("%q: %s", l.Key, lines.Bytes())
		}
		seen[l.Key] = true
	}
	if len(seen) != len(bodies) {
		t.Errorf("%d of %d keys are in the manifest", len(seen), len(bodies))
	}
	left, err := os.ReadDir(filepath.Join(dir, "partial"))
	if err != nil || len(left) > 0 {
		t.Errorf("left unfinished: %v, %v", left, err)
	}
}

// TestExportNeedsNothingButIdentityAndStorage exports to a directory and to another bucket after the database is gone.
func TestExportNeedsNothingButIdentityAndStorage(t *testing.T) {
	s := newSite(t, "")
	r := s.start(t, "A")
	bucket, bodies := exportSource(t, r)
	shown := r.shown(t, bucket, bodies)
	r.stop(t)
	s.dropDatabase()

	dir := filepath.Join(t.TempDir(), "out")
	out, errs, code := s.try(t, "export", "--bucket", bucket, "--to", dir)
	if code != 0 || !strings.HasPrefix(out, fmt.Sprintf("%d objects: %d written", len(bodies), len(bodies))) {
		t.Fatalf("export: %d\n%s%s", code, out, errs)
	}
	wantExported(t, dir, bodies, shown)

	elsewhere := "exported-" + randomHex(6)
	raw := s.rgw.client()
	if _, err := raw.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &elsewhere}); err != nil {
		t.Fatal(err)
	}
	secret := s.write("target_secret", s.rgw.secret)
	to := []string{"export", "--bucket", bucket, "--to", "s3://" + elsewhere + "/copy/", "--endpoint", s.rgw.endpoint, "--same-storage",
		"--access-key", s.rgw.access, "--secret-key-file", secret}
	if out, errs, code := s.try(t, to...); code != 0 {
		t.Fatalf("export to a bucket: %d\n%s%s", code, out, errs)
	}
	for key, p := range bodies {
		wantCopied(t, raw, elsewhere, "copy/"+key, p, shown[key])
	}
	if out, _, _ := s.try(t, to...); !strings.Contains(out, fmt.Sprintf(" 0 written (0 bytes), %d there already", len(bodies))) {
		t.Errorf("a second export says %s", out)
	}
}

// wantCopied compares an object of the other bucket with its source.
func wantCopied(t *testing.T, raw *s3.Client, bucket, key string, p payload, of object) {
	t.Helper()
	got, err := raw.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Errorf("%q: %v", key, err)
		return
	}
	defer got.Body.Close()
	p.wantReader(t, key, got.Body)
	if strings.Trim(*got.ETag, `"`) != of.ETag {
		t.Errorf("%q has ETag %s, its source %s", key, *got.ETag, of.ETag)
	}
	if key == "copy/parts" {
		if got.Metadata["note"] != secretNote {
			t.Errorf("%q has metadata %v", key, got.Metadata)
		}
		return
	}
	size := fmt.Sprint(p.size)
	if !maps.Equal(got.Metadata, map[string]string{"size": size}) || *got.ContentType != "text/x-"+size || *got.ContentEncoding != "gzip" || *got.CacheControl != "no-store" {
		t.Errorf("%q: %v %v", key, got.Metadata, *got.ContentType)
	}
	tags, err := raw.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: &bucket, Key: &key})
	if err != nil || len(tags.TagSet) != 2 {
		t.Errorf("%q has tags %v, %v", key, tags, err)
	}
}

// TestAnExportThatWasKilledIsGoneOnWith kills an export with SIGKILL in the middle of an object, and runs it again.
func TestAnExportThatWasKilledIsGoneOnWith(t *testing.T) {
	s := newSite(t, "")
	r := s.start(t, "A")
	bucket, bodies := exportSource(t, r)
	shown := r.shown(t, bucket, bodies)
	dir := filepath.Join(t.TempDir(), "out")
	config := s.writeConfig("command", "127.0.0.1:9000", "127.0.0.1:9090")
	slow := s.command("export", "--config", config, "--bucket", bucket, "--to", dir, "--rate", "4MiB", "--parallel", "2")
	if err := slow.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "a part of a large object is on disk", func() bool {
		partial, _ := filepath.Glob(filepath.Join(dir, "partial", "*"))
		for _, name := range partial {
			if info, err := os.Stat(name); err == nil && info.Size() > mib {
				return true
			}
		}
		return false
	})
	if err := slow.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = slow.Wait()
	if _, err := os.Stat(filepath.Join(dir, "objects", "parts")); err == nil {
		t.Error("an object that was not read to its end has a file")
	}
	out, errs, code := s.try(t, "export", "--bucket", bucket, "--to", dir)
	if code != 0 || strings.Contains(out, " 0 there already") {
		t.Errorf("export again: %d\n%s%s", code, out, errs)
	}
	wantExported(t, dir, bodies, shown)
}

// until waits for something that another process does.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// TestDecryptOpensRawObjects fetches objects and documents with the storage's own keys, and opens them off line.
func TestDecryptOpensRawObjects(t *testing.T) {
	s := newSite(t, "")
	r := s.start(t, "A")
	bucket := r.bucket(t, "decrypt")
	single, parts := newPayload(300_000), newPayload(11*mib)
	r.put(t, bucket, "one/single", single, map[string]string{"note": secretNote})
	r.upload(t, bucket, "parts", parts, 5*mib, nil)
	r.stop(t)
	s.dropDatabase()

	documents := s.systemDocuments(t, bucket)
	for key, p := range map[string]payload{"one/single": single, "parts": parts} {
		got, err := s.rgw.client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		args := []string{"decrypt", "--object", s.write("raw", string(body)), "--bucket", bucket, "--key", key, "--out", filepath.Join(s.dir, "plain"), "--force",
			"--envelope", got.Metadata["cofre-envelope"], "--attributes", got.Metadata["cofre-attributes"],
			"--record", documents["record.json"], "--grant", documents["grants"]}
		if key == "parts" {
			args = append(args, "--layout", documents["layouts"])
		}
		out, errs, code := s.try(t, args...)
		if code != 0 || !strings.Contains(errs, fmt.Sprintf("%d bytes, ETag ", p.size)) {
			t.Fatalf("decrypt %s: %d\n%s%s", key, code, out, errs)
		}
		p.wantFile(t, filepath.Join(s.dir, "plain"))
	}
}

// systemDocuments writes the documents of a bucket with one KEK and one layout to files, and gives these by a word of their names.
func (s *site) systemDocuments(t *testing.T, bucket string) map[string]string {
	t.Helper()
	list, err := s.rgw.client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &s.systemBucket, Prefix: aws.String("buckets/" + bucket + "/")})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, o := range list.Contents {
		got, err := s.rgw.client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &s.systemBucket, Key: o.Key})
		if err != nil {
			t.Fatal(err)
		}
		doc, err := io.ReadAll(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"record.json", "grants", "layouts"} {
			if strings.Contains(*o.Key, word) {
				files[word] = s.write(strings.ReplaceAll(word, ".", "-"), string(doc))
			}
		}
	}
	return files
}
