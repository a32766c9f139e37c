package proxy_test

import (
	"strings"
	"testing"
)

// TestANullVersionIsNeverCopiedByTheStorageOnceThereWasVersioning: Ceph RGW 16 loses the body of such a copy when its source goes. A
// replica that knows the bucket from before has to ask.
func TestANullVersionIsNeverCopiedByTheStorageOnceThereWasVersioning(t *testing.T) {
	st := diskStorage(t)
	a := newSite(t, st, siteConfig{})
	replica := newSite(t, st, siteConfig{identity: a.identity, store: a.store})
	b := a.bucket(t, "null")
	a.put(t, b, "k", pattern(100))
	source := map[string]string{"X-Amz-Copy-Source": b + "/k"}
	replica.send(t, request{method: "PUT", bucket: b, key: "before", header: source}).want(t, 200, "")
	if calls := strings.Join(replica.backend.take(), "\n"); !strings.Contains(calls, "PUT object x-amz-copy-source-if-match") {
		t.Fatalf("the storage did not copy where it may:\n%s", calls)
	}
	a.enableVersioning(t, b)
	replica.send(t, request{method: "PUT", bucket: b, key: "after", header: source}).want(t, 200, "")
	if calls := strings.Join(replica.backend.take(), "\n"); strings.Contains(calls, "PUT object x-amz-copy-source-if-match") {
		t.Fatalf("the storage copied a null version:\n%s", calls)
	}
}
