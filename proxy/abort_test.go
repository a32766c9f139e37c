package proxy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cofre/proxy"
)

// TestAClientsAbortIsRefusedWhileItsCompleteMayRun: Ceph RGW 16 would lose the object. Completing it is still possible.
func TestAClientsAbortIsRefusedWhileItsCompleteMayRun(t *testing.T) {
	s, m := meddled(t, siteConfig{})
	b := s.bucket(t, "abort")
	s.put(t, b, "warm", nil)
	id, parts := s.upload(t, b, "k", []byte("body"))
	m.before = func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool) {
		return nil, proxy.ErrBackendUnavailable, isComplete(rq)
	}
	_, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, "k", id, parts))
	wantCode(t, err, "SlowDown")
	m.before = nil
	_, err = s.client.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &b, Key: str("k"), UploadId: &id})
	wantCode(t, err, "OperationAborted")
	if _, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, "k", id, parts)); err != nil {
		t.Fatal(err)
	}
	if got := s.get(t, b, "k"); string(got) != "body" {
		t.Errorf("%q", got)
	}
}

// TestHowOldAnIntentIsDecidesOnAnAbort; documents from before they had a time are old.
func TestHowOldAnIntentIsDecidesOnAnAbort(t *testing.T) {
	s, _ := meddled(t, siteConfig{})
	b := s.bucket(t, "intent-age")
	s.put(t, b, "warm", nil)
	for name, c := range map[string]struct {
		intent string
		refuse bool
	}{
		"young":        {fmt.Sprintf(`{"list":[],"salts":[],"at":%q}`, s.store.Now().Add(-14*time.Minute).Format(time.RFC3339)), true},
		"old":          {fmt.Sprintf(`{"list":[],"salts":[],"at":%q}`, s.store.Now().Add(-16*time.Minute).Format(time.RFC3339)), false},
		"without time": {`{"list":[],"salts":[]}`, false},
	} {
		id, _ := s.upload(t, b, name, []byte("body"))
		if err := s.store.SetIntent(t.Context(), id, []byte(c.intent)); err != nil {
			t.Fatal(err)
		}
		_, err := s.client.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &b, Key: &name, UploadId: &id})
		if c.refuse {
			wantCode(t, err, "OperationAborted")
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
