package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/jackc/pgx/v5"

	"cofre/internal/longtest"
)

// backups is where a site's backups go in these tests: the system bucket, which no client sees.
func (s *site) backups() string { return "s3://" + s.systemBucket + "/backups/" }

// A backup is made while clients write, the database is lost, and restore and rebuild bring back every write that was acknowledged, before
// and after the backup; with it stored credentials, an upload in progress, and the tombstone by which a replay is known.
func TestRestoreAndRebuildBringBackEveryAcknowledgedWrite(t *testing.T) {
	s := newSite(t, "")
	r := s.start(t, "cofre")
	bucket := r.bucket(t, "backup")
	written := map[string]payload{}
	for _, key := range []string{"before/1", "before/2"} {
		written[key] = newPayload(70_000)
		r.put(t, bucket, key, written[key], nil)
	}
	stored := s.cofre(t, "credential", "add", "--access-key", "STORED"+strings.ToUpper(randomHex(6)), "--grant", "read:"+bucket, "--json")
	old := r.replaced(t, bucket)
	up, part1 := r.openUpload(t, bucket)

	acknowledged := r.whileWriting(t, bucket, func() {
		if out := s.cofre(t, "backup", "--to", s.backups()); !strings.Contains(out, "read back and found whole") {
			t.Errorf("backup says %s", out)
		}
	})
	for key, p := range acknowledged {
		written[key] = p
	}
	written["after"] = newPayload(5 * mib)
	r.upload(t, bucket, "after", written["after"], 5*mib, nil)
	gone := "before/2"
	if _, err := r.client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &gone}); err != nil {
		t.Fatal(err)
	}
	delete(written, gone)
	want := r.view(t, bucket)

	r.stop(t)
	s.dropDatabase()
	s.flushRedis()
	s.createDatabase()
	if out := s.cofre(t, "restore", "--from", s.backups()); !strings.Contains(out, "Restored from") || !strings.Contains(out, "1 credential") {
		t.Errorf("restore says %s", out)
	}
	if out := s.cofre(t, "rebuild", "--bucket", bucket); !strings.Contains(out, "0 failed") {
		t.Errorf("rebuild says %s", out)
	}
	r.restart(t)
	r.wantView(t, bucket, want)
	r.wantBodies(t, bucket, written)
	r.finishUpload(t, bucket, up, part1)
	var reader struct {
		AccessKey string `json:"access_key"`
		SecretKey string `json:"secret_key"`
	}
	if err := json.Unmarshal([]byte(stored), &reader); err != nil {
		t.Fatal(err)
	}
	if _, err := sdkClient(r.endpoint, reader.AccessKey, reader.SecretKey).HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("before/1")}); err != nil {
		t.Errorf("with a credential that was in the backup: %v", err)
	}
	p := newPayload(1000)
	r.wantObject(t, bucket, "new", p, r.put(t, bucket, "new", p, nil))

	// The storage puts back what was replaced before the backup.
	old.putBack(t, s.rgw.client(), bucket)
	if out, err := r.client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &old.key}); err == nil {
		out.Body.Close()
		t.Error("an old object that the storage put back is served: its tombstone was lost")
	}
	longtest.Figure(t, "acknowledged writes during a backup, all there after restore and rebuild", len(acknowledged))
}

// whileWriting runs do while four clients put objects, and gives what was acknowledged.
func (r *replica) whileWriting(t *testing.T, bucket string, do func()) map[string]payload {
	t.Helper()
	acknowledged := map[string]payload{}
	var mu sync.Mutex
	var writers sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			for i := 0; i < 60; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key, p := fmt.Sprintf("during/%d/%d", w, i), newPayload(int64(100*i))
				body, err := io.ReadAll(p.reader())
				if err == nil {
					_, err = r.client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)})
				}
				if err != nil {
					t.Errorf("put %s: %v", key, err)
					return
				}
				mu.Lock()
				acknowledged[key] = p
				mu.Unlock()
			}
		})
	}
	do()
	close(stop)
	writers.Wait()
	return acknowledged
}

// rawOld is an object as the storage had it.
type rawOld struct {
	key  string
	body []byte
	meta map[string]string
}

// replaced writes a key twice, and gives what the storage had the first time.
func (r *replica) replaced(t *testing.T, bucket string) rawOld {
	t.Helper()
	old := rawOld{key: "replaced"}
	r.put(t, bucket, old.key, newPayload(3000), nil)
	out, err := r.rgw.client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &old.key})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	if old.body, err = io.ReadAll(out.Body); err != nil {
		t.Fatal(err)
	}
	old.meta = out.Metadata
	time.Sleep(300 * time.Millisecond) // so that the next write is known to have begun after this one
	r.put(t, bucket, old.key, newPayload(3000), nil)
	return old
}

func (o rawOld) putBack(t *testing.T, storage *s3.Client, bucket string) {
	t.Helper()
	_, err := storage.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &o.key, Body: bytes.NewReader(o.body), Metadata: o.meta,
		ContentType: aws.String("application/octet-stream")})
	if err != nil {
		t.Fatal(err)
	}
}

const openKey = "in progress"

// openUpload begins an upload and sends its first part.
func (r *replica) openUpload(t *testing.T, bucket string) (id string, part1 types.CompletedPart) {
	t.Helper()
	created, err := r.client().CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: aws.String(openKey)})
	if err != nil {
		t.Fatal(err)
	}
	return *created.UploadId, r.sendPart(t, bucket, openKey, *created.UploadId, 1, make([]byte, 5*mib))
}

func (r *replica) finishUpload(t *testing.T, bucket, id string, part1 types.CompletedPart) {
	t.Helper()
	part2 := r.sendPart(t, bucket, openKey, id, 2, []byte("the end"))
	_, err := r.client().CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: &bucket, Key: aws.String(openKey), UploadId: &id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{part1, part2}}})
	if err != nil {
		t.Fatalf("complete an upload that was in the backup: %v", err)
	}
	out, err := r.client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String(openKey)})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	if body, err := io.ReadAll(out.Body); err != nil || len(body) != 5*mib+7 || string(body[5*mib:]) != "the end" {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}

// Killed at any moment, backup leaves whole files or none, and restore a whole store or an empty one.
func TestKillingBackupAndRestoreLeavesAllOrNothing(t *testing.T) {
	s := newSite(t, "")
	const rows = 30_000
	s.cofre(t, "backup", "--to", filepath.Join(s.dir, "empty")) // makes the tables
	s.inDatabase(`
INSERT INTO objects SELECT 'b', decode(md5(i::text), 'hex'), 'null', sha256(i::text::bytea) || sha256('a' || i::text::bytea) || sha256('b' || i::text::bytea)
    || sha256('c' || i::text::bytea) || '\x01020304', 'e', i, 'm', 0, 0, '', '', 0, now(), now(), CASE WHEN i % 3 = 0 THEN now() END
FROM generate_series(1, ` + fmt.Sprint(rows) + `) i`)
	dir := filepath.Join(s.dir, "backups")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.cofre(t, "backup", "--to", dir)
	took := time.Since(began)
	kept := 1
	for range longtest.Rounds(t, 5) {
		s.killed(t, time.Duration(rand.Float64()*float64(took)), "backup", "--to", dir, "--keep", "1000000")
		files, err := filepath.Glob(filepath.Join(dir, "*.cofre-backup"))
		if err != nil || len(files) < kept {
			t.Fatalf("%d files, %v", len(files), err)
		}
		for _, f := range files[kept:] {
			s.cofre(t, "backup", "verify", "--from", f)
		}
		kept = len(files)
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".*.partial"))
	partial := len(left)

	whole, none := 0, 0
	began = time.Now()
	s.emptyDatabase()
	s.cofre(t, "restore", "--from", dir)
	took = time.Since(began)
	for range longtest.Rounds(t, 5) {
		s.emptyDatabase()
		s.killed(t, time.Duration(rand.Float64()*float64(took)), "restore", "--from", dir)
		switch n := s.countRows(t); n {
		case 0:
			none++
			s.cofre(t, "restore", "--from", dir) // without a word: it is empty
			if n := s.countRows(t); n != rows {
				t.Fatalf("%d rows after the restore was done again", n)
			}
		case rows:
			whole++
		default:
			t.Fatalf("%d of %d rows in a store whose restore was killed", n, rows)
		}
	}
	t.Logf("backups killed: %d files were left unfinished; restores killed: %d stores empty, %d whole", partial, none, whole)
	longtest.Figure(t, "backups and restores killed, rows lost or half restored 0", kept-1+partial+none+whole)
}

// emptyDatabase is a server's that has just been set up: the tables are not there.
func (s *site) emptyDatabase() {
	s.t.Helper()
	s.dropDatabase()
	s.createDatabase()
	s.flushRedis()
}

// killed runs cofre and kills it after that time, if it has not ended before.
func (s *site) killed(t *testing.T, after time.Duration, args ...string) {
	t.Helper()
	cmd := s.command(append(args, "--config", s.writeConfig("command", "127.0.0.1:9000", "127.0.0.1:9090"))...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait() // killed, or done
	timer.Stop()
}

func (s *site) inDatabase(statement string) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.metadataURL())
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(s.t.Context())
	if _, err := conn.Exec(s.t.Context(), statement); err != nil {
		s.t.Fatal(err)
	}
}

// countRows counts the records; a store whose tables were not made yet has none. What a killed process had in hand is waited for.
func (s *site) countRows(t *testing.T) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.metadataURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var there bool
	if err := conn.QueryRow(t.Context(), `SELECT to_regclass('objects') IS NOT NULL`).Scan(&there); err != nil || !there {
		return 0
	}
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM objects`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
