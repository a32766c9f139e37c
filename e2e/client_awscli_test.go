package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// awsCLIs gives the aws CLIs of this machine by where they come from: the one on PATH and Debian's own, which may be years and a
// major version apart.
func awsCLIs(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{"PATH": tool(t, "aws")}
	const debian = "/usr/bin/aws"
	if _, err := exec.LookPath(debian); err == nil && !sameFile(found["PATH"], debian) {
		found["Debian"] = debian
	}
	return found
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

func TestClientAWSCLI(t *testing.T) {
	for from, path := range awsCLIs(t) {
		t.Run(from, func(t *testing.T) { testAWSCLI(t, path) })
	}
}

func testAWSCLI(t *testing.T, path string) {
	testClient(t, func(t *testing.T, r *replica, bucket string) program {
		t.Logf("%s", run(t, nil, nil, path, "--version"))
		return &awsCLI{replica: r, path: path, bucket: bucket}
	})
}

// awsCLI is the aws CLI as a program of the matrix.
type awsCLI struct {
	*replica
	path   string
	bucket string
}

func (c *awsCLI) run(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, c.awsEnv(), nil, c.path, append([]string{"--endpoint-url", c.endpoint}, args...)...)
}

func (c *awsCLI) url(key string) string { return "s3://" + c.bucket + "/" + key }

func (*awsCLI) traits() traits { return traits{partSize: awsChunk, pages: true} }

func (c *awsCLI) put(t *testing.T, file, key string) { c.run(t, "s3", "cp", file, c.url(key)) }

// upload is the same command as put: it sends parts of whatever is as large as one.
func (c *awsCLI) upload(t *testing.T, file, key string) { c.run(t, "s3", "cp", file, c.url(key)) }

func (c *awsCLI) get(t *testing.T, key, file string) { c.run(t, "s3", "cp", c.url(key), file) }

func (c *awsCLI) read(t *testing.T, key string, first, last int64) string {
	file := filepath.Join(t.TempDir(), "range")
	c.run(t, "s3api", "get-object", "--bucket", c.bucket, "--key", key, "--range", fmt.Sprintf("bytes=%d-%d", first, last), file)
	return readFile(t, file)
}

func (c *awsCLI) list(t *testing.T, prefix string) map[string]int64 {
	out := c.run(t, "s3api", "list-objects-v2", "--bucket", c.bucket, "--prefix", prefix, "--page-size", fmt.Sprint(listPage), "--output", "json")
	var answer struct {
		Contents []struct {
			Key  string
			Size int64
		}
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sizes := map[string]int64{}
	for _, o := range answer.Contents {
		sizes[o.Key] = o.Size
	}
	return sizes
}

func (c *awsCLI) copy(t *testing.T, from, to string) { c.run(t, "s3", "cp", c.url(from), c.url(to)) }

func (c *awsCLI) remove(t *testing.T, keys ...string) {
	for _, key := range keys {
		c.run(t, "s3", "rm", c.url(key))
	}
}

func (c *awsCLI) presign(t *testing.T, key string) []string {
	return []string{strings.TrimSpace(c.run(t, "s3", "presign", c.url(key), "--expires-in", "600"))}
}
