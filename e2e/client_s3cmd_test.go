package e2e_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestClientS3cmd(t *testing.T) {
	tool(t, "s3cmd")
	testClient(t, func(t *testing.T, r *replica, bucket string) program {
		t.Log(run(t, nil, nil, tool(t, "s3cmd"), "--version"))
		return &s3cmd{replica: r, bucket: bucket}
	})
}

// s3cmd runs s3cmd against cofre.
func (r *replica) s3cmd(t *testing.T, args ...string) string {
	t.Helper()
	host := strings.TrimPrefix(r.endpoint, "http://")
	flags := []string{
		"--config", os.DevNull, "--no-ssl", "--host", host, "--host-bucket", host, "--region", region,
		"--access_key", r.access, "--secret_key", r.secret, "--no-progress",
	}
	return run(t, nil, nil, tool(t, "s3cmd"), append(flags, args...)...)
}

// s3cmd is s3cmd as a program of the matrix.
type s3cmd struct {
	*replica
	bucket string
}

func (c *s3cmd) url(key string) string { return "s3://" + c.bucket + "/" + key }

func (*s3cmd) traits() traits { return traits{partSize: 5 * mib} }

func (c *s3cmd) put(t *testing.T, file, key string) { c.s3cmd(t, "put", file, c.url(key)) }

func (c *s3cmd) upload(t *testing.T, file, key string) {
	c.s3cmd(t, "put", "--multipart-chunk-size-mb", "5", file, c.url(key))
}

func (c *s3cmd) get(t *testing.T, key, file string) { c.s3cmd(t, "get", c.url(key), file) }

// read has s3cmd go on with a download that was broken off: the only range that it knows reaches to the end.
func (c *s3cmd) read(t *testing.T, key string, first, last int64) string {
	file := filepath.Join(t.TempDir(), "begun")
	if err := os.WriteFile(file, make([]byte, first), 0o600); err != nil {
		t.Fatal(err)
	}
	c.s3cmd(t, "get", "--continue", c.url(key), file)
	return readFile(t, file)[first : last+1]
}

func (c *s3cmd) list(t *testing.T, prefix string) map[string]int64 {
	sizes := map[string]int64{}
	for line := range strings.Lines(c.s3cmd(t, "ls", "--recursive", c.url(prefix))) {
		about, key, found := strings.Cut(strings.TrimSpace(line), c.url("")) // date, time, size, URL
		fields := strings.Fields(about)
		if !found || len(fields) != 3 {
			t.Fatalf("s3cmd ls: %q", line)
		}
		size, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sizes[key] = size
	}
	return sizes
}

func (c *s3cmd) copy(t *testing.T, from, to string) { c.s3cmd(t, "cp", c.url(from), c.url(to)) }

func (c *s3cmd) remove(t *testing.T, keys ...string) {
	args := []string{"del"}
	for _, key := range keys {
		args = append(args, c.url(key))
	}
	c.s3cmd(t, args...)
}

func (c *s3cmd) presign(t *testing.T, key string) []string {
	return []string{strings.TrimSpace(c.s3cmd(t, "signurl", c.url(key), "+600"))}
}
