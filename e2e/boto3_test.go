package e2e_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
)

// pythons gives the interpreters that have boto3: the one on PATH and Debian's own, which may be years apart.
func pythons(t *testing.T) []string {
	t.Helper()
	var found []string
	seen := map[string]bool{}
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		where, err := exec.Command(path, "-c", "import boto3; print(boto3.__file__)").Output()
		if err == nil && !seen[string(where)] {
			seen[string(where)] = true
			found = append(found, path)
		}
	}
	if len(found) == 0 {
		lack(t, "boto3", "no python3 has it")
	}
	return found
}

func script(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBoto3DefaultTransfer(t *testing.T) {
	interpreters := pythons(t)
	r := newSite(t, "").start(t, "cofre")
	for _, python := range interpreters {
		for _, size := range []int64{5_000, 100 * mib} {
			bucket := r.bucket(t, "boto3")
			p := newPayload(size)
			out := run(t, r.awsEnv(), nil, python, "-W", "ignore", script(t, "transfer.py"), r.endpoint, bucket,
				p.file(t, filepath.Join(t.TempDir(), "up")), "key", secretNote)
			var got struct {
				Version    string `json:"version"`
				ETag       string `json:"etag"`
				Size       int64  `json:"size"`
				Note       string `json:"note"`
				ListedETag string `json:"listed_etag"`
				ListedSize int64  `json:"listed_size"`
				PutETag    string `json:"put_etag"`
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%s: %v: %s", python, err, out)
			}
			t.Logf("%s has boto3 %s", python, got.Version)
			etag := p.etag()
			if size > awsChunk {
				etag = p.multipartETag(awsChunk)
			}
			if got.ETag != etag || got.ListedETag != etag || got.PutETag != p.etag() {
				t.Errorf("%s, %d bytes: ETag %s, listed %s, put %s; want %s and %s", python, size, got.ETag, got.ListedETag, got.PutETag, etag, p.etag())
			}
			if got.Size != size || got.ListedSize != size || got.Note != secretNote {
				t.Errorf("%s, %d bytes: %+v", python, size, got)
			}
			needles := append(p.needles(awsChunk), spellings("the metadata value", []byte(secretNote))...)
			for _, key := range []string{"key", "key-stream", "key-put"} {
				r.wantSealed(t, bucket, key, size, needles...)
			}
		}
	}
}

// A connection on which an empty file was sent goes on being good for the next one.
func TestBoto3ReusesConnectionAfterEmptyFile(t *testing.T) {
	interpreters := pythons(t)
	r := newSite(t, "").start(t, "cofre")
	for _, python := range interpreters {
		run(t, r.awsEnv(), nil, python, "-W", "ignore", script(t, "reuse.py"), r.endpoint, r.bucket(t, "reuse"))
	}
}
