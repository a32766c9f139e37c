package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// restic keeps a repository of its own files in a bucket, so its row of the matrix is what one does with repositories. Packs
// are sent in one request each, whatever their size, and nothing is copied or presigned.
func TestClientRestic(t *testing.T) {
	tool(t, "restic")
	r := newSite(t, "").start(t, "cofre")
	bucket, cache := r.bucket(t, "restic"), t.TempDir()
	source, restored := t.TempDir(), t.TempDir()
	restic := func(t *testing.T, args ...string) string {
		t.Helper()
		env := append(r.awsEnv(), "RESTIC_REPOSITORY=s3:"+r.endpoint+"/"+bucket+"/repo", "RESTIC_PASSWORD="+secretNote)
		return run(t, env, nil, tool(t, "restic"), append([]string{"--cache-dir", cache, "--option", "s3.bucket-lookup=path"}, args...)...)
	}
	t.Log(restic(t, "version"))
	files := tree(t, source)

	// Each step stands on the one before.
	_ = t.Run("put", func(t *testing.T) {
		restic(t, "init")
		r.wantServed(t, 2, func() { restic(t, "backup", source) }, "PutObject 200")
		restic(t, "check", "--read-data")
		r.wantBucketSealed(t, bucket)
	}) && t.Run("list", func(t *testing.T) {
		if got := strings.Count(restic(t, "ls", "latest", "--long"), "\n"); got < len(files) {
			t.Errorf("%d lines for %d files", got, len(files))
		}
		r.wantServed(t, 1, func() {
			if got := resticSnapshots(t, restic(t, "snapshots", "--json")); got != 1 {
				t.Errorf("%d snapshots after one backup", got)
			}
		}, "ListObjectsV2 200")
	}) && t.Run("range", func(t *testing.T) {
		r.wantServed(t, 1, func() { restic(t, "restore", "latest", "--verify", "--target", restored) }, "GetObject 206")
		wantTree(t, filepath.Join(restored, source), files)
	}) && t.Run("delete", func(t *testing.T) {
		newPayload(2*mib).file(t, filepath.Join(source, "deep", "large.bin")) // what was in it is garbage from now on
		restic(t, "backup", source)
		r.wantServed(t, 2, func() { restic(t, "forget", "--keep-last", "1", "--prune", "--max-unused", "0") }, "DeleteObject 204")
		if got := resticSnapshots(t, restic(t, "snapshots", "--json")); got != 1 {
			t.Errorf("%d snapshots after forgetting all but one", got)
		}
		restic(t, "check", "--read-data")
	})
}

func resticSnapshots(t *testing.T, list string) int {
	t.Helper()
	var snapshots []struct{}
	if err := json.Unmarshal([]byte(list), &snapshots); err != nil {
		t.Fatalf("%v: %s", err, list)
	}
	return len(snapshots)
}

// wantBucketSealed reads every object through cofre and fails if the storage operator can find pieces of it. Restic's files
// cannot be told beforehand, and are seldom in clear: what must not be there is what restic sent.
func (r *replica) wantBucketSealed(t *testing.T, bucket string) {
	t.Helper()
	objects := r.listed(t, bucket)
	if len(objects) == 0 {
		t.Errorf("%s is empty", bucket)
	}
	for key := range objects {
		out, err := r.client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
		if err != nil {
			t.Fatalf("GET %s: %v", key, err)
		}
		body, err := io.ReadAll(out.Body)
		out.Body.Close()
		if err != nil {
			t.Fatalf("GET %s: %v", key, err)
		}
		if len(body) < markerLength {
			t.Errorf("%s has only %d bytes", key, len(body))
			continue
		}
		var windows []needle
		for range 16 {
			at := rand.IntN(len(body) - markerLength + 1)
			windows = append(windows, needle{fmt.Sprintf("plaintext at %d", at), body[at : at+markerLength]})
		}
		r.wantSealed(t, bucket, key, int64(len(body)), windows...)
	}
}
