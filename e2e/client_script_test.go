package e2e_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestClientBoto3(t *testing.T) {
	for i, python := range pythons(t) {
		t.Run([]string{"PATH", "Debian"}[i], func(t *testing.T) { testBoto3(t, python) })
	}
}

func testBoto3(t *testing.T, python string) {
	testScript(t, traits{partSize: awsChunk, pages: true}, python, "-W", "ignore", script(t, "client.py"))
}

func TestClientAWSSDKJS(t *testing.T) {
	node := tool(t, "node")
	if _, err := filepath.EvalSymlinks(script(t, "js/node_modules/@aws-sdk/client-s3")); err != nil {
		lack(t, "js", err.Error())
	}
	testScript(t, traits{partSize: 5 * mib, pages: true}, node, "--no-warnings", script(t, "js/client.js"))
}

func testScript(t *testing.T, of traits, command ...string) {
	testClient(t, func(t *testing.T, r *replica, bucket string) program {
		c := &scripted{replica: r, bucket: bucket, of: of, command: command}
		t.Log(c.run(t, "version"))
		return c
	})
}

// scripted is a library of another language as a program of the matrix, behind a script that takes commands.
type scripted struct {
	*replica
	bucket  string
	of      traits
	command []string
}

func (c *scripted) run(t *testing.T, args ...string) string {
	t.Helper()
	all := append(append(c.command[1:len(c.command):len(c.command)], c.endpoint, c.bucket), args...)
	return run(t, c.awsEnv(), nil, c.command[0], all...)
}

func (c *scripted) traits() traits { return c.of }

func (c *scripted) put(t *testing.T, file, key string) { c.run(t, "put", file, key) }

func (c *scripted) upload(t *testing.T, file, key string) { c.run(t, "upload", file, key) }

func (c *scripted) get(t *testing.T, key, file string) { c.run(t, "get", key, file) }

func (c *scripted) read(t *testing.T, key string, first, last int64) string {
	return c.run(t, "read", key, fmt.Sprint(first), fmt.Sprint(last))
}

func (c *scripted) list(t *testing.T, prefix string) map[string]int64 {
	out := c.run(t, "list", prefix, fmt.Sprint(listPage))
	var sizes map[string]int64
	if err := json.Unmarshal([]byte(out), &sizes); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return sizes
}

func (c *scripted) copy(t *testing.T, from, to string) { c.run(t, "copy", from, to) }

func (c *scripted) remove(t *testing.T, keys ...string) {
	c.run(t, append([]string{"delete"}, keys...)...)
}

func (c *scripted) presign(t *testing.T, key string) []string {
	return strings.Fields(c.run(t, "presign", key))
}

func (c *scripted) presignPut(t *testing.T, key string) string {
	return strings.TrimSpace(c.run(t, "presign-put", key))
}
