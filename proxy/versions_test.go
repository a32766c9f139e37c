package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestDeleteMarkersAndVersionsAnswerAsS3 has what RGW 16 calls NoSuchKey told apart.
func TestDeleteMarkersAndVersionsAnswerAsS3(t *testing.T) {
	s := newSite(t, rgwStorage(t), siteConfig{})
	b := s.bucket(t, "versions")
	s.send(t, sub2("PUT", b, "", "versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")).want(t, 200, "")
	version := *s.put(t, b, "k", []byte("x")).VersionId
	s.put(t, b, "k2", []byte("a key that begins like the other"))
	out, err := s.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: str("k")})
	if err != nil {
		t.Fatal(err)
	}
	marker := *out.VersionId

	for _, method := range []string{http.MethodGet, http.MethodHead} {
		get := func(key, versionID string) reply {
			rq := request{method: method, bucket: b, key: key}
			if versionID != "" {
				rq.query = "versionId=" + escaped(versionID)
			}
			return s.send(t, rq)
		}
		code := func(c string) string {
			if method == http.MethodHead {
				return ""
			}
			return c
		}
		latest := get("k", "").want(t, 404, code("NoSuchKey"))
		if latest.header.Get("x-amz-delete-marker") != "true" || latest.header.Get("x-amz-version-id") != marker {
			t.Errorf("%s of a deleted key: %v", method, latest.header)
		}
		named := get("k", marker).want(t, 405, code("MethodNotAllowed"))
		if named.header.Get("x-amz-delete-marker") != "true" || named.header.Get("x-amz-version-id") != marker || named.header.Get("Allow") != "DELETE" {
			t.Errorf("%s of a marker: %v", method, named.header)
		}
		get("k", version).want(t, 200, "")
		get("k", strings.Repeat("a", 32)).want(t, 404, code("NoSuchVersion"))
		get("k", "null").want(t, 404, code("NoSuchVersion"))
		get("k", "no version").want(t, 400, code("InvalidArgument"))
		get("nothing", version).want(t, 404, code("NoSuchVersion"))
		if never := get("nothing", "").want(t, 404, code("NoSuchKey")); never.header.Get("x-amz-delete-marker") != "" {
			t.Errorf("%s of what never was: %v", method, never.header)
		}
	}
	for _, q := range []string{"tagging", "acl"} {
		s.send(t, request{method: "GET", bucket: b, key: "k", query: q + "=&versionId=" + escaped(marker)}).want(t, 405, "MethodNotAllowed")
		s.send(t, request{method: "GET", bucket: b, key: "k", query: q + "="}).want(t, 404, "NoSuchKey")
		s.send(t, request{method: "GET", bucket: b, key: "k", query: q + "=&versionId=" + escaped(version)}).want(t, 200, "")
	}
}

// TestMissingObjectsOfPlainBucketsCostNoListing keeps the look-up of versions to where versions are.
func TestMissingObjectsOfPlainBucketsCostNoListing(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "plain")
	s.send(t, request{method: "GET", bucket: b, key: "nothing"}).want(t, 404, "NoSuchKey")
	for _, call := range s.backend.take() {
		if strings.Contains(call, "?versions") {
			t.Errorf("asked %s", call)
		}
	}
	s.send(t, request{method: "GET", bucket: b, key: "nothing", query: "versionId=" + strings.Repeat("a", 32)}).want(t, 404, "NoSuchVersion")
}
