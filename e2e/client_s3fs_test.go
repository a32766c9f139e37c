package e2e_test

import (
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestClientS3fs(t *testing.T) {
	tool(t, "s3fs")
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		lack(t, "s3fs", err.Error())
	}
	fuse.Close()
	testClient(t, func(t *testing.T, r *replica, bucket string) program {
		version, _, _ := strings.Cut(run(t, nil, nil, tool(t, "s3fs"), "--version"), "\n")
		t.Log(version)
		return &s3fs{root: r.mount(t, bucket)}
	})
}

// mount mounts a bucket with s3fs until the test ends and gives the directory.
func (r *replica) mount(t *testing.T, bucket string) string {
	t.Helper()
	// Apart from the directories that the testing package removes: nothing may be removed through a mount left behind.
	dir, err := os.MkdirTemp("", "cofre-s3fs-")
	if err != nil {
		t.Fatal(err)
	}
	outside := device(t, dir)
	log, err := os.Create(filepath.Join(t.TempDir(), "s3fs.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(tool(t, "s3fs"), bucket, dir, "-f",
		"-o", "url="+r.endpoint, "-o", "use_path_request_style", "-o", "endpoint="+region,
		"-o", "passwd_file="+r.write("s3fs.passwd", r.access+":"+r.secret),
		"-o", "multipart_size=5")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "NO_PROXY=*"}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in cmd.ProcessState
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it unmounts as it ends
		select {
		case <-exited:
		case <-time.After(30 * time.Second):
			t.Error("s3fs goes on 30 s after SIGTERM")
			_ = cmd.Process.Kill()
			<-exited
			_ = syscall.Unmount(dir, syscall.MNT_FORCE)
		}
		if err := os.Remove(dir); err != nil { // fails on a mount and on a directory that is not empty
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log of s3fs:\n%s", readFile(t, log.Name()))
		}
	})
	for deadline := time.Now().Add(30 * time.Second); device(t, dir) == outside; time.Sleep(20 * time.Millisecond) {
		select {
		case <-exited:
			t.Fatalf("s3fs ended: %v\n%s", cmd.ProcessState, readFile(t, log.Name()))
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is mounted after 30 s")
		}
	}
	return dir
}

// device numbers the file system that a directory belongs to.
func device(t *testing.T, dir string) uint64 {
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat(dir, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Dev
}

// s3fs is a file system that s3fs mounted as a program of the matrix: everything is done with files.
type s3fs struct{ root string }

func (c *s3fs) path(key string) string { return filepath.Join(c.root, filepath.FromSlash(key)) }

// s3fs makes its last part the larger one, and lists in pages of at least 1000.
func (*s3fs) traits() traits { return traits{} }

func (c *s3fs) put(t *testing.T, file, key string) {
	if err := os.MkdirAll(filepath.Dir(c.path(key)), 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, file, c.path(key))
}

// upload is what put is: s3fs sends parts of what is large.
func (c *s3fs) upload(t *testing.T, file, key string) { c.put(t, file, key) }

func (c *s3fs) get(t *testing.T, key, file string) { copyFile(t, c.path(key), file) }

// copyFile fails also if the file cannot be closed, which is when s3fs sends it.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in := open(t, from)
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func (c *s3fs) read(t *testing.T, key string, first, last int64) string {
	got := make([]byte, last-first+1)
	f := open(t, c.path(key))
	defer f.Close() // s3fs forgets what it has read
	if _, err := f.ReadAt(got, first); err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func (c *s3fs) list(t *testing.T, prefix string) map[string]int64 {
	sizes := map[string]int64{}
	err := filepath.WalkDir(c.path(prefix), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		key, err := filepath.Rel(c.root, path)
		sizes[filepath.ToSlash(key)] = info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sizes
}

// copy renames: s3fs has the storage copy the object and deletes the old one.
func (c *s3fs) copy(t *testing.T, from, to string) {
	if err := os.MkdirAll(filepath.Dir(c.path(to)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(c.path(from), c.path(to)); err != nil {
		t.Fatal(err)
	}
}

func (c *s3fs) remove(t *testing.T, keys ...string) {
	for _, key := range keys {
		if err := os.Remove(c.path(key)); err != nil {
			t.Fatal(err)
		}
	}
}
