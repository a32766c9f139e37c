package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// program is a client of the matrix, with one bucket, doing each thing the way its users do it. The table in
// docs/S3-COMPAT.md has a row for each client and a column for each subtest of testClient.
type program interface {
	traits() traits
	put(t *testing.T, file, key string)    // in one request
	upload(t *testing.T, file, key string) // in parts
	get(t *testing.T, key, file string)
	read(t *testing.T, key string, first, last int64) string
	list(t *testing.T, prefix string) map[string]int64 // sizes by key
	copy(t *testing.T, from, to string)                // without the bytes passing through the client
	remove(t *testing.T, keys ...string)
}

// traits are what tests have to know of a program to judge what it did.
type traits struct {
	partSize int64 // of its uploads in parts; 0 where parts are of several sizes
	pages    bool  // it was told to list listPage entries at a time
}

const listPage = 5

// presigner is a program that makes URLs which read an object, in each version of signatures that it can make.
type presigner interface {
	presign(t *testing.T, key string) []string
}

// uploadPresigner is a program that makes URLs which write an object.
type uploadPresigner interface {
	presignPut(t *testing.T, key string) string
}

// trial is one program in front of one cofre. What a test needs beside what it tests is done with the replica's own methods.
type trial struct {
	*replica
	program program
	bucket  string
}

// testClient puts a program through the matrix.
func testClient(t *testing.T, open func(t *testing.T, r *replica, bucket string) program) {
	s := newSite(t, "")
	s.moreConfig = "buckets:\n  - {name: \"opaque-*\", etag: opaque}\n"
	r := s.start(t, "cofre")
	bucket := r.bucket(t, "client")
	c := &trial{replica: r, bucket: bucket, program: open(t, r, bucket)}
	t.Run("put", c.testPut)
	t.Run("multipart", c.testMultipart)
	t.Run("range", c.testRange)
	t.Run("list", c.testList)
	t.Run("copy", c.testCopy)
	t.Run("delete", c.testDelete)
	if signer, ok := c.program.(presigner); ok {
		t.Run("presign", func(t *testing.T) { c.testPresign(t, signer) })
	}
	t.Run("opaque", func(t *testing.T) {
		bucket := r.bucket(t, "opaque")
		(&trial{replica: r, bucket: bucket, program: open(t, r, bucket)}).testOpaque(t)
	})
}

func (c *trial) testPut(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	for key, sizes := range map[string][]int64{
		"put/empty":                 {0},
		"put/one byte":              {1},
		"put/dir/ünïcödé + b&c.txt": {100_003, 70_001}, // the second replaces the first
	} {
		for _, size := range sizes {
			p := newPayload(size)
			c.program.put(t, p.file(t, file), key)
			c.wantGet(t, key, p)
			c.wantObject(t, c.bucket, key, p, p.etag())
			if size >= markerLength {
				c.wantSealed(t, c.bucket, key, size, p.needles(0)...)
			}
		}
	}
}

func (c *trial) testMultipart(t *testing.T) {
	const key = "multipart/large file"
	p := newPayload(17*mib + 11)
	c.wantServed(t, 2, func() {
		c.program.upload(t, p.file(t, filepath.Join(t.TempDir(), "file")), key)
	}, "UploadPart 200")
	c.wantGet(t, key, p)
	etag := c.head(t, c.bucket, key).ETag
	if !strings.Contains(etag, "-") {
		t.Errorf("ETag %s is not that of an upload in parts", etag)
	}
	partSize := c.program.traits().partSize
	if partSize > 0 {
		etag = p.multipartETag(partSize)
	}
	c.wantObject(t, c.bucket, key, p, etag)
	c.wantSealed(t, c.bucket, key, p.size, p.needles(partSize)...)
}

// testOpaque: without MD5 ETags a program loses a check at most. What could be taken for an MD5 is the MD5.
func (c *trial) testOpaque(t *testing.T) {
	for key, write := range map[string]func(t *testing.T, file, key string){"single": c.program.put, "parts": c.program.upload} {
		p := newPayload(100_003)
		if key == "parts" {
			p = newPayload(17*mib + 11)
		}
		write(t, p.file(t, filepath.Join(t.TempDir(), "file")), key)
		etag := c.head(t, c.bucket, key).ETag
		t.Logf("%s: the ETag is the MD5: %v", key, etag == p.etag())
		if !opaqueETag.MatchString(etag) && etag != p.etag() { // a program that sends Content-MD5 has it for ETag
			t.Errorf("ETag %s of %s is neither opaque nor the MD5", etag, key)
		}
		c.wantGet(t, key, p)
		c.wantObject(t, c.bucket, key, p, etag)
	}
}

// opaqueETag ends in a number of parts even where there is one, so that nobody takes it for an MD5.
var opaqueETag = regexp.MustCompile(`^[0-9a-f]{32}-[0-9]+$`)

func (c *trial) testRange(t *testing.T) {
	const key, partSize = "range/large", 5 * mib
	p := newPayload(11*mib + 7)
	c.upload(t, c.bucket, key, p, partSize, nil)
	whole := string(p.bytes())
	for _, r := range []struct{ first, last int64 }{
		{1, 100},
		{64<<10 - 1, 64 << 10},              // one byte on each side of a chunk's border
		{partSize - 70_000, partSize + 999}, // across the border of parts
		{p.size - 10, p.size - 1},
	} {
		c.wantServed(t, 1, func() {
			if got := c.program.read(t, key, r.first, r.last); got != whole[r.first:r.last+1] {
				t.Errorf("bytes %d-%d: %d other bytes came", r.first, r.last, len(got))
			}
		}, "GetObject 206")
	}
}

func (c *trial) testList(t *testing.T) {
	want := map[string]int64{}
	for i, name := range []string{
		"a", "a b", "a+b", "a&b=c", "d/e", "d/f/g", "d/f/h", "q%2Fr", "z", "z.txt", "ä", "日本",
	} {
		key, p := "list/"+name, newPayload(int64(i)*1000)
		c.put(t, c.bucket, key, p, nil)
		want[key] = p.size
	}
	large := newPayload(6 * mib)
	c.upload(t, c.bucket, "list/large", large, 5*mib, nil)
	want["list/large"] = large.size

	requests := 1
	if c.program.traits().pages {
		requests = (len(want) + listPage - 1) / listPage
	}
	c.wantServed(t, requests, func() {
		if got := c.program.list(t, "list/"); !maps.Equal(got, want) {
			t.Errorf("listed %v\nwant %v", got, want)
		}
	}, "ListObjects 200", "ListObjectsV2 200")
}

func (c *trial) testCopy(t *testing.T) {
	small, large := newPayload(50_000), newPayload(17*mib+11)
	c.put(t, c.bucket, "copy/small & ä", small, nil)
	c.upload(t, c.bucket, "copy/large", large, 5*mib, nil)
	for from, p := range map[string]payload{"copy/small & ä": small, "copy/large": large} {
		to := strings.Replace(from, "copy/", "copied/", 1)
		c.wantServed(t, 1, func() { c.program.copy(t, from, to) }, "CopyObject 200", "UploadPartCopy 200")
		c.wantGet(t, to, p)
		c.wantObject(t, c.bucket, to, p, c.head(t, c.bucket, to).ETag)
		c.wantSealed(t, c.bucket, to, p.size, p.needles(0)...)
	}
}

func (c *trial) testDelete(t *testing.T) {
	p := newPayload(1000)
	keys := []string{"delete/a b", "delete/d/ü", "delete/z"}
	for _, key := range append(keys, "delete/stays") {
		c.put(t, c.bucket, key, p, nil)
	}
	c.wantServed(t, 1, func() { c.program.remove(t, keys...) }, "DeleteObject 204", "DeleteObjects 200")
	for _, key := range keys {
		_, err := c.client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &c.bucket, Key: &key})
		if missing := new(types.NotFound); !errors.As(err, &missing) {
			t.Errorf("HEAD of the deleted %s: %v", key, err)
		}
		if status, _, _ := c.rgw.rawRequest(t, http.MethodGet, "/"+c.bucket+"/"+escapePath(key)); status != http.StatusNotFound {
			t.Errorf("the storage still has %s: status %d", key, status)
		}
	}
	c.wantObject(t, c.bucket, "delete/stays", p, p.etag())
}

func (c *trial) testPresign(t *testing.T, signer presigner) {
	const key = "presign/shown"
	p := newPayload(200_000)
	c.put(t, c.bucket, key, p, nil)
	for _, url := range signer.presign(t, key) {
		t.Logf("signed with SigV4: %v", strings.Contains(url, "X-Amz-Signature"))
		wantURLBoundTo(t, url, key, p)
	}
	writer, ok := c.program.(uploadPresigner)
	if !ok {
		return
	}
	p = newPayload(300_000)
	if status, answer := fetch(t, http.MethodPut, writer.presignPut(t, key), p.reader(), p.size); status != http.StatusOK {
		t.Fatalf("PUT: status %d: %s", status, answer)
	}
	c.wantObject(t, c.bucket, key, p, p.etag())
	c.wantSealed(t, c.bucket, key, p.size, p.needles(0)...)
}

// wantGet fails unless the program itself reads exactly the body.
func (c *trial) wantGet(t *testing.T, key string, p payload) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "down")
	c.program.get(t, key, file)
	p.wantFile(t, file)
}

// wantServed fails unless do makes cofre serve at least n requests of the given kinds, each an operation and a status: it is
// one thing that the bytes are right, and another that the client got them in the way that is to be tested.
func (r *replica) wantServed(t *testing.T, n int, do func(), kinds ...string) {
	t.Helper()
	before := len(r.served(t))
	do()
	var since []string
	// A request is logged when it has ended, which a client need not wait for.
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		since = r.served(t)[before:]
		of := 0
		for _, request := range since {
			if slices.Contains(kinds, request) {
				of++
			}
		}
		if of >= n {
			return
		}
	}
	t.Errorf("served %v; want %d of %v", since, n, kinds)
}

// served gives the requests in the replica's log, each as its operation and status.
func (r *replica) served(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile(r.log)
	if err != nil {
		t.Fatal(err)
	}
	var requests []string
	for line := range bytes.Lines(raw) {
		var entry struct {
			Operation string `json:"operation"`
			Status    int    `json:"status"`
		}
		if json.Unmarshal(line, &entry) == nil && entry.Operation != "" { // the last line may be half written
			requests = append(requests, fmt.Sprintf("%s %d", entry.Operation, entry.Status))
		}
	}
	return requests
}
