package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestClientRclone(t *testing.T) {
	tool(t, "rclone")
	testClient(t, func(t *testing.T, r *replica, bucket string) program {
		version, _, _ := strings.Cut(run(t, nil, nil, tool(t, "rclone"), "version"), "\n")
		t.Log(version)
		return &rclone{replica: r, bucket: bucket}
	})
}

// rclonePart is the part size that rclone is told to use, so that a body of a few parts is a small one.
const rclonePart = 5 * mib

// rclone runs rclone, where "cofre:" is cofre.
func (r *replica) rclone(t *testing.T, args ...string) string {
	t.Helper()
	env := []string{
		"RCLONE_CONFIG=" + os.DevNull,
		"RCLONE_CONFIG_COFRE_TYPE=s3", "RCLONE_CONFIG_COFRE_PROVIDER=Ceph", "RCLONE_CONFIG_COFRE_ENDPOINT=" + r.endpoint,
		"RCLONE_CONFIG_COFRE_ACCESS_KEY_ID=" + r.access, "RCLONE_CONFIG_COFRE_SECRET_ACCESS_KEY=" + r.secret,
	}
	return run(t, env, nil, tool(t, "rclone"), append(args, "--s3-upload-cutoff", "6M", "--s3-chunk-size", "5M", "--s3-list-chunk", fmt.Sprint(listPage))...)
}

// rclone is rclone as a program of the matrix.
type rclone struct {
	*replica
	bucket string
}

func (c *rclone) path(key string) string { return "cofre:" + c.bucket + "/" + key }

func (*rclone) traits() traits { return traits{partSize: rclonePart, pages: true} }

func (c *rclone) put(t *testing.T, file, key string) { c.rclone(t, "copyto", file, c.path(key)) }

// upload is the same command as put: above the cutoff it sends parts.
func (c *rclone) upload(t *testing.T, file, key string) { c.rclone(t, "copyto", file, c.path(key)) }

func (c *rclone) get(t *testing.T, key, file string) { c.rclone(t, "copyto", c.path(key), file) }

func (c *rclone) read(t *testing.T, key string, first, last int64) string {
	return c.rclone(t, "cat", c.path(key), "--offset", fmt.Sprint(first), "--count", fmt.Sprint(last-first+1))
}

func (c *rclone) list(t *testing.T, prefix string) map[string]int64 {
	out := c.rclone(t, "lsjson", "--recursive", "--files-only", c.path(prefix))
	var files []struct {
		Path string
		Size int64
	}
	if err := json.Unmarshal([]byte(out), &files); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	sizes := map[string]int64{}
	for _, f := range files {
		sizes[prefix+f.Path] = f.Size
	}
	return sizes
}

func (c *rclone) copy(t *testing.T, from, to string) { c.rclone(t, "copyto", c.path(from), c.path(to)) }

func (c *rclone) remove(t *testing.T, keys ...string) {
	for _, key := range keys {
		c.rclone(t, "deletefile", c.path(key))
	}
}

func (c *rclone) presign(t *testing.T, key string) []string {
	return []string{strings.TrimSpace(c.rclone(t, "link", "--expire", "10m", c.path(key)))}
}
