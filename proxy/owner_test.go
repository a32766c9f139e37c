package proxy_test

import (
	"testing"

	"cofre/access"
)

const (
	expectedOwner       = "X-Amz-Expected-Bucket-Owner"
	expectedSourceOwner = "X-Amz-Source-Expected-Bucket-Owner"
)

// TestExpectedOwnersAreCompared has every operation refused that names another owner than the bucket has; RGW ignores it.
func TestExpectedOwnersAreCompared(t *testing.T) {
	st := rgwStorage(t)
	ann, bob := people(t, st)
	s := mappedSite(t, st, siteConfig{}, ann, bob)
	b := s.bucket(t, "owned")
	s.put(t, b, "k", []byte("x"))
	bobs := "bobs" + s.bucketTag
	s.sendAs(t, bob.client(), request{method: "PUT", bucket: bobs}).want(t, 200, "")
	upload := put("up")
	upload.bucket = b
	for _, rq := range []request{
		{method: "GET", bucket: b, key: "k"}, {method: "GET", bucket: b}, upload, sub2("GET", b, "", "acl", ""),
		sub2("GET", b, "", "encryption", ""), {method: "POST", bucket: b, key: "m", query: "uploads="}, {method: "DELETE", bucket: b, key: "nothing"},
	} {
		if got := s.send(t, header(rq, expectedOwner, ann.uid)); got.status/100 != 2 {
			t.Errorf("%s %s?%s with the owner named: %d %s", rq.method, rq.key, rq.query, got.status, got.code)
		}
		s.send(t, header(rq, expectedOwner, bob.uid)).want(t, 403, "AccessDenied")
		s.send(t, header(rq, expectedOwner, "111122223333")).want(t, 403, "AccessDenied")
	}
	// A bucket that the site may not look into is asked about as its owner.
	s.sendAs(t, bob.client(), header(request{method: "GET", bucket: bobs}, expectedOwner, bob.uid)).want(t, 200, "")
	s.sendAs(t, bob.client(), header(request{method: "GET", bucket: bobs}, expectedOwner, ann.uid)).want(t, 403, "AccessDenied")
	s.send(t, header(request{method: "GET", bucket: "no-such-bucket" + s.bucketTag}, expectedOwner, ann.uid)).want(t, 404, "NoSuchBucket")

	copied := header(request{method: "PUT", bucket: b, key: "copy"}, "X-Amz-Copy-Source", "/"+b+"/k")
	s.send(t, header(copied, expectedSourceOwner, ann.uid)).want(t, 200, "")
	s.send(t, header(copied, expectedSourceOwner, bob.uid)).want(t, 403, "AccessDenied")
}

// TestExpectedOwnerOfTheSourceTellsNothingOfForeignBuckets keeps the header from being a probe for what exists.
func TestExpectedOwnerOfTheSourceTellsNothingOfForeignBuckets(t *testing.T) {
	st := diskStorage(t)
	s := newSite(t, st, siteConfig{grants: []access.Grant{{Bucket: "mine", Actions: access.AllActions()}}})
	b := s.bucket(t, "mine")
	s.backend.take()
	for _, source := range []string{"/theirs/k", "/" + s.system + "/k"} {
		copied := header(request{method: "PUT", bucket: b, key: "copy"}, "X-Amz-Copy-Source", source)
		s.send(t, header(copied, expectedSourceOwner, "anybody")).want(t, 403, "AccessDenied")
	}
	if asked := s.backend.take(); len(asked) != 0 {
		t.Errorf("the storage was asked: %v", asked)
	}
}
