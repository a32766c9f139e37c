package e2e_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// secretNote is a user metadata value that must not be readable on the backend.
const secretNote = "diagnosis: confidential as can be"

const mib = 1 << 20

// awsChunk is the part size of the aws CLI's and boto3's transfer manager.
const awsChunk = 8 * mib

// run runs a client program with nothing of this user's own configuration and gives its standard output.
func run(t *testing.T, env []string, stdin *os.File, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	home := t.TempDir()
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "LANG=C.UTF-8", "PYENV_ROOT=" + os.Getenv("PYENV_ROOT"),
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_DEFAULT_REGION=" + region, "NO_PROXY=*",
	}, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if stdin != nil {
		cmd.Stdin = stdin
	}
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(name), strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String() + stderr.String()
}

// awsEnv are the credentials as the AWS tools read them.
func (r *replica) awsEnv() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + r.access, "AWS_SECRET_ACCESS_KEY=" + r.secret}
}

// aws runs the aws CLI against cofre.
func (r *replica) aws(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, r.awsEnv(), nil, tool(t, "aws"), append([]string{"--endpoint-url", r.endpoint}, args...)...)
}

// tree writes a directory of bodies, some in folders, and gives them by their path in it.
func tree(t *testing.T, dir string) map[string]payload {
	t.Helper()
	files := map[string]payload{
		"empty":             newPayload(0),
		"one byte":          newPayload(1),
		"chunk":             newPayload(64 << 10),
		"deep/er/chunk+1":   newPayload(64<<10 + 1),
		"deep/ünïcödé & co": newPayload(300_000),
		"deep/large.bin":    newPayload(20 * mib), // above every tool's limit for one PUT
	}
	for name, p := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		p.file(t, path)
	}
	return files
}

func wantTree(t *testing.T, dir string, files map[string]payload) {
	t.Helper()
	for name, p := range files {
		p.wantFile(t, filepath.Join(dir, filepath.FromSlash(name)))
	}
}

// wantTreeSealed reads each body of a tree raw from the backend.
func (r *replica) wantTreeSealed(t *testing.T, bucket, prefix string, partSize int64, files map[string]payload) {
	t.Helper()
	for name, p := range files {
		if p.size >= markerLength { // nothing can be told of a single byte
			r.wantSealed(t, bucket, prefix+name, p.size, p.needles(partSize)...)
		}
	}
}

func TestAWSCopySmallObject(t *testing.T) {
	tool(t, "aws")
	r := newSite(t, "").start(t, "cofre")
	bucket, dir := "aws-small-"+randomHex(4), t.TempDir()
	r.aws(t, "s3", "mb", "s3://"+bucket)
	p := newPayload(10_000)
	r.aws(t, "s3", "cp", p.file(t, filepath.Join(dir, "up")), "s3://"+bucket+"/a dir/ä+b.txt", "--metadata", "note="+secretNote, "--content-type", "text/x-secret-kind")
	r.aws(t, "s3", "cp", "s3://"+bucket+"/a dir/ä+b.txt", filepath.Join(dir, "down"))
	p.wantFile(t, filepath.Join(dir, "down"))
	head := r.aws(t, "s3api", "head-object", "--bucket", bucket, "--key", "a dir/ä+b.txt")
	for _, want := range []string{secretNote, p.etag(), `"ContentLength": 10000`, "text/x-secret-kind"} {
		if !strings.Contains(head, want) {
			t.Errorf("head-object lacks %q:\n%s", want, head)
		}
	}
	needles := append(p.needles(0), spellings("the metadata value", []byte(secretNote))...)
	needles = append(needles, spellings("the content type", []byte("text/x-secret-kind"))...)
	r.wantSealed(t, bucket, "a dir/ä+b.txt", p.size, needles...)
	r.aws(t, "s3", "rm", "s3://"+bucket+"/a dir/ä+b.txt")
	r.aws(t, "s3", "rb", "s3://"+bucket)
}

func TestAWSCopyMultipart100MiB(t *testing.T) {
	tool(t, "aws")
	r := newSite(t, "").start(t, "cofre")
	bucket, dir := r.bucket(t, "aws-large"), t.TempDir()
	p := newPayload(100 * mib)
	r.aws(t, "s3", "cp", p.file(t, filepath.Join(dir, "up")), "s3://"+bucket+"/large", "--metadata", "note="+secretNote, "--no-progress")
	r.aws(t, "s3", "cp", "s3://"+bucket+"/large", filepath.Join(dir, "down"), "--no-progress")
	p.wantFile(t, filepath.Join(dir, "down"))
	head := r.aws(t, "s3api", "head-object", "--bucket", bucket, "--key", "large")
	for _, want := range []string{secretNote, p.multipartETag(awsChunk), `"ContentLength": 104857600`} {
		if !strings.Contains(head, want) {
			t.Errorf("head-object lacks %q:\n%s", want, head)
		}
	}
	r.wantSealed(t, bucket, "large", p.size, append(p.needles(awsChunk), spellings("the metadata value", []byte(secretNote))...)...)
}

func TestAWSCopyFromAndToPipes(t *testing.T) {
	tool(t, "aws")
	r := newSite(t, "").start(t, "cofre")
	bucket, dir := r.bucket(t, "aws-pipe"), t.TempDir()
	for _, size := range []int64{0, 77, 20 * mib} {
		p := newPayload(size)
		stdin, err := os.Open(p.file(t, filepath.Join(dir, "up")))
		if err != nil {
			t.Fatal(err)
		}
		run(t, r.awsEnv(), stdin, tool(t, "aws"), "--endpoint-url", r.endpoint, "s3", "cp", "-", "s3://"+bucket+"/piped")
		stdin.Close()
		down := r.aws(t, "s3", "cp", "s3://"+bucket+"/piped", "-")
		p.wantReader(t, "aws s3 cp to standard output", strings.NewReader(down))
		if size >= markerLength {
			r.wantSealed(t, bucket, "piped", p.size, p.needles(awsChunk)...)
		}
	}
}

func TestAWSSyncTwiceMovesNothing(t *testing.T) {
	tool(t, "aws")
	r := newSite(t, "").start(t, "cofre")
	bucket, up, down := r.bucket(t, "aws-sync"), t.TempDir(), t.TempDir()
	files := tree(t, up)
	sync := func(from, to string) string {
		t.Helper()
		return strings.TrimSpace(r.aws(t, "s3", "sync", "--no-progress", from, to))
	}
	remote := "s3://" + bucket + "/mirror"
	if got := strings.Count(sync(up, remote), "upload:"); got != len(files) {
		t.Errorf("first sync uploaded %d of %d files", got, len(files))
	}
	if again := sync(up, remote); again != "" {
		t.Errorf("second sync up moved:\n%s", again)
	}
	sync(remote, down)
	wantTree(t, down, files)
	if again := sync(remote, down); again != "" {
		t.Errorf("second sync down moved:\n%s", again)
	}
	r.wantTreeSealed(t, bucket, "mirror/", awsChunk, files)
}

func TestRcloneCopyAndCheckTwice(t *testing.T) {
	tool(t, "rclone")
	r := newSite(t, "").start(t, "cofre")
	bucket, up, down := r.bucket(t, "rclone"), t.TempDir(), t.TempDir()
	files := tree(t, up)
	rclone := func(args ...string) string {
		t.Helper()
		return r.rclone(t, append(args, "-v")...)
	}
	remote := "cofre:" + bucket + "/mirror"
	rclone("copy", up, remote)
	for range 2 {
		if out := rclone("check", up, remote); !strings.Contains(out, "0 differences found") {
			t.Errorf("rclone check:\n%s", out)
		}
	}
	if out := rclone("check", "--download", up, remote); !strings.Contains(out, "0 differences found") {
		t.Errorf("rclone check --download:\n%s", out)
	}
	if out := rclone("copy", up, remote); !strings.Contains(out, "There was nothing to transfer") {
		t.Errorf("second rclone copy moved something:\n%s", out)
	}
	rclone("copy", remote, down)
	wantTree(t, down, files)
	r.wantTreeSealed(t, bucket, "mirror/", rclonePart, files)
}

func TestS3cmdPutGetSync(t *testing.T) {
	tool(t, "s3cmd")
	r := newSite(t, "").start(t, "cofre")
	bucket, up, down := r.bucket(t, "s3cmd"), t.TempDir(), t.TempDir()
	files := tree(t, up)
	s3cmd := func(args ...string) string {
		t.Helper()
		return r.s3cmd(t, args...)
	}
	p := newPayload(12_345)
	s3cmd("put", p.file(t, filepath.Join(t.TempDir(), "single")), "s3://"+bucket+"/single", "--add-header", "x-amz-meta-note:"+secretNote)
	s3cmd("get", "s3://"+bucket+"/single", filepath.Join(down, "single"))
	p.wantFile(t, filepath.Join(down, "single"))
	r.wantSealed(t, bucket, "single", p.size, append(p.needles(0), spellings("the metadata value", []byte(secretNote))...)...)
	if info := s3cmd("info", "s3://"+bucket+"/single"); !strings.Contains(info, p.etag()) || !strings.Contains(info, "12345") {
		t.Errorf("s3cmd info:\n%s", info)
	}
	remote := "s3://" + bucket + "/mirror/"
	s3cmd("sync", up+"/", remote)
	if again := s3cmd("sync", up+"/", remote); strings.Contains(again, "upload:") {
		t.Errorf("second s3cmd sync moved:\n%s", again)
	}
	s3cmd("sync", remote, filepath.Join(down, "mirror")+"/")
	wantTree(t, filepath.Join(down, "mirror"), files)
	r.wantTreeSealed(t, bucket, "mirror/", 15*mib, files)
}
