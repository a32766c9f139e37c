package e2e_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

func TestClientS5cmd(t *testing.T) {
	tool(t, "s5cmd")
	testClient(t, func(_ *testing.T, r *replica, bucket string) program { return &s5cmd{replica: r, bucket: bucket} })
}

// s5cmd is s5cmd as a program of the matrix.
type s5cmd struct {
	*replica
	bucket string
}

func (c *s5cmd) run(t *testing.T, args ...string) string {
	t.Helper()
	env := append(c.awsEnv(), "AWS_REGION="+region)
	return run(t, env, nil, tool(t, "s5cmd"), append([]string{"--endpoint-url", c.endpoint}, args...)...)
}

func (c *s5cmd) url(key string) string { return "s3://" + c.bucket + "/" + key }

func (*s5cmd) traits() traits { return traits{partSize: 5 * mib} }

func (c *s5cmd) put(t *testing.T, file, key string) { c.run(t, "cp", file, c.url(key)) }

func (c *s5cmd) upload(t *testing.T, file, key string) {
	c.run(t, "cp", "--part-size", "5", file, c.url(key))
}

func (c *s5cmd) get(t *testing.T, key, file string) { c.run(t, "cp", c.url(key), file) }

// read takes its bytes from a download of the whole, which s5cmd makes of ranges.
func (c *s5cmd) read(t *testing.T, key string, first, last int64) string {
	file := filepath.Join(t.TempDir(), "whole")
	c.run(t, "cp", "--part-size", "2", c.url(key), file)
	return readFile(t, file)[first : last+1]
}

func (c *s5cmd) list(t *testing.T, prefix string) map[string]int64 {
	sizes := map[string]int64{}
	for line := range strings.Lines(c.run(t, "--json", "ls", c.url(prefix+"*"))) {
		var object struct {
			Key  string
			Size int64
		}
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		sizes[strings.TrimPrefix(object.Key, c.url(""))] = object.Size
	}
	return sizes
}

func (c *s5cmd) copy(t *testing.T, from, to string) { c.run(t, "cp", c.url(from), c.url(to)) }

func (c *s5cmd) remove(t *testing.T, keys ...string) {
	args := []string{"rm"}
	for _, key := range keys {
		args = append(args, c.url(key))
	}
	c.run(t, args...)
}

func (c *s5cmd) presign(t *testing.T, key string) []string {
	return []string{strings.TrimSpace(c.run(t, "presign", "--expire", "10m", c.url(key)))}
}
