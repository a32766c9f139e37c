package disk_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/access"
	"cofre/backend"
	"cofre/backend/disk"
	"cofre/proxy"
	"cofre/s3api"
)

// tortureKeys are object keys that path cleaning, escaping or XML get wrong somewhere.
var tortureKeys = []string{
	"plain", "a/b/c", "a//b", "//", "/lead", "//lead", "trail/", "trail//", ".", "..", "./a", "../a", "a/.", "a/..", "a/../b", "/../../x",
	"a b", " lead", "trail ", "a+b", "a%b", "a%2Fb", "a%252Fb", "%", "?", "a?b=c&d", "#", "a;b", "a&b=c", `back\slash`, `"quoted"`, "<tag>&amp;",
	"a\nb", "a\r\nb", "\t", "\x01\x02\x1f\x7f", "é", "e\u0301", "日本語/キー", "\u200b", "\ufeff", "\uffff", "😀", strings.Repeat("k", 1024),
}

// newBackendClient serves a fresh directory to the client that cofre uses.
func newBackendClient(t *testing.T) *backend.Client {
	t.Helper()
	b, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(b.Handler())
	t.Cleanup(func() {
		server.Close()
		b.Close()
	})
	c, err := backend.New(backend.Config{
		Endpoint: server.URL,
		Users:    map[access.BackendUser]backend.Credentials{access.SiteUser: {AccessKeyID: "a", SecretAccessKey: "b"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func do(t *testing.T, c *backend.Client, req *proxy.BackendRequest) *proxy.BackendResponse {
	t.Helper()
	resp, err := c.Do(t.Context(), access.SiteUser, req)
	if err != nil {
		t.Fatalf("%s %q: %v", req.Method, req.Key, err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestKeysAreKeptByteForByte(t *testing.T) {
	c := newBackendClient(t)
	do(t, c, &proxy.BackendRequest{Method: "PUT", Bucket: bucket})
	for _, key := range tortureKeys {
		do(t, c, &proxy.BackendRequest{Method: "PUT", Bucket: bucket, Key: key, Body: strings.NewReader(key), Length: int64(len(key))})
	}
	for _, key := range tortureKeys {
		var body bytes.Buffer
		if _, err := body.ReadFrom(do(t, c, &proxy.BackendRequest{Method: "GET", Bucket: bucket, Key: key}).Body); err != nil || body.String() != key {
			t.Errorf("key %q holds %q, %v", key, body.String(), err)
		}
	}
	want := slices.Clone(tortureKeys)
	slices.Sort(want)
	for _, kind := range []string{"", "list-type=2", "versions"} {
		if got := listAll(t, c, kind); !slices.Equal(got, want) {
			t.Errorf("listing %q gives %q", kind, got)
		}
	}
	for _, key := range tortureKeys {
		do(t, c, &proxy.BackendRequest{Method: "DELETE", Bucket: bucket, Key: key})
	}
	if got := listAll(t, c, ""); len(got) != 0 {
		t.Errorf("left after deleting: %q", got)
	}
}

// listAll pages through a bucket, three entries at a time.
func listAll(t *testing.T, c *backend.Client, kind string) (keys []string) {
	t.Helper()
	name, value, _ := strings.Cut(kind, "=")
	for marker, idMarker := "", ""; ; {
		var q s3api.Query
		q.Set("encoding-type", "url")
		q.Set("max-keys", "3")
		if kind != "" {
			q.Set(name, value)
		}
		switch {
		case marker == "":
		case kind == "":
			q.Set("marker", marker)
		case kind == "versions":
			q.Set("key-marker", marker)
			q.Set("version-id-marker", idMarker)
		default:
			q.Set("continuation-token", marker)
		}
		page, err := s3api.ScanListing(do(t, c, &proxy.BackendRequest{Method: "GET", Bucket: bucket, Query: q}).Body, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			keys = append(keys, e.Key)
		}
		if !page.Truncated {
			return keys
		}
		switch kind {
		case "":
			marker = page.NextMarker
		case "versions":
			marker, idMarker = page.NextKeyMarker, page.NextVersionIDMarker
		default:
			marker = page.NextContinuationToken
		}
	}
}

func TestDeleteObjectsTakesManyKeys(t *testing.T) {
	c := withBucket(t)
	var ids []types.ObjectIdentifier
	for i := range 20 {
		key := fmt.Sprintf("key & <%d>", i)
		put(t, c, key, []byte(key))
		ids = append(ids, types.ObjectIdentifier{Key: &key})
	}
	put(t, c, "pinned", []byte("x"))
	ids = append(ids, types.ObjectIdentifier{Key: aws.String("missing")}, types.ObjectIdentifier{Key: aws.String("pinned"), ETag: aws.String(etagOf(nil))})
	out, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: aws.String(bucket), Delete: &types.Delete{Objects: ids}})
	if err != nil || len(out.Deleted) != 21 || len(out.Errors) != 1 || *out.Errors[0].Code != "PreconditionFailed" {
		t.Fatalf("%+v, %v", out, err)
	}
	list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	if err != nil || len(list.Contents) != 1 || *list.Contents[0].Key != "pinned" {
		t.Errorf("left: %+v, %v", list, err)
	}
}

func TestVersioning(t *testing.T) {
	c := withBucket(t)
	ctx := t.Context()
	set := func(status types.BucketVersioningStatus) {
		t.Helper()
		_, err := c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: aws.String(bucket), VersioningConfiguration: &types.VersioningConfiguration{Status: status}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: aws.String(bucket)})
		if err != nil || got.Status != status {
			t.Fatalf("status %v, %v", got, err)
		}
	}
	read := func(id string) string {
		t.Helper()
		body, out, err := get(t, c, &s3.GetObjectInput{Key: aws.String("key"), VersionId: &id})
		if err != nil {
			t.Fatalf("version %s: %v", id, err)
		}
		if *out.VersionId != id {
			t.Errorf("version %s calls itself %s", id, *out.VersionId)
		}
		return string(body)
	}

	if out := put(t, c, "key", []byte("before")); out.VersionId != nil {
		t.Errorf("unversioned PUT tells a version id")
	}
	set(types.BucketVersioningStatusEnabled)
	one := *put(t, c, "key", []byte("one")).VersionId
	two := *put(t, c, "key", []byte("two")).VersionId
	if read("null") != "before" || read(one) != "one" || read(two) != "two" {
		t.Error("versions are mixed up")
	}
	removed, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("key")})
	if err != nil || !*removed.DeleteMarker || removed.VersionId == nil {
		t.Fatalf("DELETE: %+v, %v", removed, err)
	}
	_, _, err = get(t, c, &s3.GetObjectInput{Key: aws.String("key")})
	wantCode(t, err, "NoSuchKey")
	_, _, err = get(t, c, &s3.GetObjectInput{Key: aws.String("key"), VersionId: removed.VersionId})
	wantCode(t, err, "MethodNotAllowed")
	_, _, err = get(t, c, &s3.GetObjectInput{Key: aws.String("key"), VersionId: aws.String("00000000000000000000000000000000")})
	wantCode(t, err, "NoSuchVersion")
	list, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	if err != nil || len(list.Contents) != 0 {
		t.Errorf("a deleted object is listed: %+v, %v", list, err)
	}
	versions, err := c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: aws.String(bucket)})
	if err != nil || len(versions.Versions) != 3 || len(versions.DeleteMarkers) != 1 || !*versions.DeleteMarkers[0].IsLatest || *versions.Versions[0].VersionId != two || *versions.Versions[2].VersionId != "null" {
		t.Errorf("versions: %+v, %v", versions, err)
	}

	// Removing the marker brings the object back.
	if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), VersionId: removed.VersionId}); err != nil {
		t.Fatal(err)
	}
	if got := mustGet(t, c, "key"); string(got) != "two" {
		t.Errorf("after removing the marker: %q", got)
	}
	copied := copyObject(t, c, &s3.CopyObjectInput{Key: aws.String("copy"), CopySource: aws.String(bucket + "/key?versionId=" + one)})
	if *copied.CopySourceVersionId != one || copied.VersionId == nil || string(mustGet(t, c, "copy")) != "one" {
		t.Errorf("copy of a version: %+v", copied)
	}

	set(types.BucketVersioningStatusSuspended)
	put(t, c, "key", []byte("suspended"))
	if read("null") != "suspended" || read(two) != "two" {
		t.Error("a suspended PUT replaces the null version and no other")
	}
	if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), VersionId: aws.String("null")}); err != nil {
		t.Fatal(err)
	}
	if got := mustGet(t, c, "key"); string(got) != "two" {
		t.Errorf("after deleting the null version: %q", got)
	}
}

// manyKeys is many pages; more would only make the race detector slow.
const manyKeys = 20_000

func TestListingOfManyKeysReadsOnlyThePage(t *testing.T) {
	dir := t.TempDir()
	c, stop := serve(t, dir)
	createBucket(t, c, bucket)
	stop()
	fillIndex(t, dir, manyKeys)
	c = open(t, dir)
	ctx := t.Context()

	// dir000/ to dir099/ with two hundred keys each.
	top, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(bucket), Delimiter: aws.String("/")})
	if err != nil || len(top.CommonPrefixes) != 100 || len(top.Contents) != 0 || *top.IsTruncated {
		t.Fatalf("top: %d prefixes, %v", len(top.CommonPrefixes), err)
	}
	inside, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(bucket), Delimiter: aws.String("/"), Prefix: aws.String("dir042/")})
	if err != nil || len(inside.Contents) != manyKeys/100 || *inside.IsTruncated {
		t.Fatalf("inside: %d keys, %v", len(inside.Contents), err)
	}
	seen, last := 0, ""
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			if *o.Key <= last {
				t.Fatalf("%q comes after %q", *o.Key, last)
			}
			last = *o.Key
			seen++
		}
	}
	if seen != manyKeys {
		t.Errorf("%d keys were listed", seen)
	}
	checkPlans(t, dir)
}

// fillIndex adds empty objects without the fsync of each.
func fillIndex(t *testing.T, dir string, n int) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.Exec(`WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i + 1 < ?)
		INSERT INTO versions (bucket, key, version_id, latest, marker, size, etag, modified, header, tags)
		SELECT 'bucket', CAST(printf('dir%03d/key%06d', i % 100, i) AS BLOB), 'null', TRUE, FALSE, 0, 'd41d8cd98f00b204e9800998ecf8427e', 0, CAST('{}' AS BLOB), '' FROM c`, n)
	if err != nil {
		t.Fatal(err)
	}
}

// checkPlans looks at how SQLite means to run the queries of listings: by an index, in its order.
func checkPlans(t *testing.T, dir string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, query := range []string{
		`SELECT id, key, etag FROM versions WHERE bucket = 'b' AND latest AND NOT marker AND key > x'00' AND key < x'01' ORDER BY key LIMIT 10`,
		`SELECT id, key, etag FROM versions WHERE bucket = 'b' AND key >= x'00' ORDER BY key, id DESC LIMIT 10`,
		`SELECT id FROM versions WHERE bucket = 'b' AND key = x'00' AND latest`,
		`SELECT id, key FROM uploads WHERE bucket = 'b' AND key > x'00' ORDER BY key, id LIMIT 10`,
	} {
		rows, err := db.Query("EXPLAIN QUERY PLAN " + query)
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, detail)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		if len(plan) != 1 || !strings.HasPrefix(plan[0], "SEARCH") || !strings.Contains(plan[0], "key") && !strings.Contains(query, "key = ") {
			t.Errorf("%s\nis run as %q", query, plan)
		}
	}
}
