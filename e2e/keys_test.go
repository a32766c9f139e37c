package e2e_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// wantClosed fails unless every way to read an object is an error without a byte of it.
func (r *replica) wantClosed(t *testing.T, bucket, key string, p payload, status int, code string) {
	t.Helper()
	b := rgw{endpoint: r.endpoint, access: r.access, secret: r.secret}
	got, _, body := b.rawRequest(t, http.MethodGet, "/"+bucket+"/"+key)
	if got != status || !strings.Contains(string(body), "<Code>"+code+"</Code>") {
		t.Errorf("GET %s: status %d, want %d %s: %.500s", key, got, status, code, body)
	}
	if leaks := findLeaks(body, p.needles(0)); len(leaks) > 0 {
		t.Errorf("GET %s: the answer holds %v", key, leaks)
	}
	if got, head, _ := b.rawRequest(t, http.MethodHead, "/"+bucket+"/"+key); got != status || bytes.Contains(head, []byte(secretNote)) {
		t.Errorf("HEAD %s: status %d, want %d\n%s", key, got, status, head)
	}
}

// Another site, with the same backend user, may fetch the sealed object and still cannot open it: neither where it sees the
// key records but no grant to itself, nor where it sees no records at all. Its own objects beside it do not change that.
func TestAnotherKEKCannotOpenThis(t *testing.T) {
	owner := newSite(t, "")
	r := owner.start(t, "owner")
	bucket := r.bucket(t, "shared")
	p := newPayload(200_000)
	r.put(t, bucket, "single", p, map[string]string{"note": secretNote})
	large := newPayload(11 * mib)
	r.upload(t, bucket, "multipart", large, 5*mib, nil)

	t.Run("no grant", func(t *testing.T) {
		stranger := newSite(t, owner.systemBucket).start(t, "stranger")
		stranger.wantClosed(t, bucket, "single", p, http.StatusForbidden, "AccessDenied")
		stranger.wantClosed(t, bucket, "multipart", large, http.StatusForbidden, "AccessDenied")
	})
	t.Run("no records", func(t *testing.T) {
		stranger := newSite(t, "").start(t, "stranger")
		stranger.wantClosed(t, bucket, "single", p, http.StatusServiceUnavailable, "SlowDown")
		own := newPayload(1000)
		stranger.wantObject(t, bucket, "own", own, stranger.put(t, bucket, "own", own, nil))
		stranger.wantClosed(t, bucket, "single", p, http.StatusServiceUnavailable, "SlowDown")
	})
	r.wantObject(t, bucket, "single", p, p.etag())
}

// A sealed object that the storage moves to another bucket or another key does not open there, though the site holds both
// buckets' KEKs: the envelope is bound to bucket and key.
func TestMovedObjectDoesNotOpen(t *testing.T) {
	r := newSite(t, "").start(t, "cofre")
	here, there := r.bucket(t, "here"), r.bucket(t, "there")
	p := newPayload(200_000)
	r.put(t, here, "key", p, nil)
	r.put(t, there, "neighbour", newPayload(10), nil) // the other bucket has a KEK too
	raw := r.rgw.client()
	for _, target := range []struct{ bucket, key string }{{there, "key"}, {here, "other"}} {
		_, err := raw.CopyObject(t.Context(), &s3.CopyObjectInput{
			Bucket: &target.bucket, Key: &target.key, CopySource: aws.String(here + "/key"), MetadataDirective: types.MetadataDirectiveCopy,
		})
		if err != nil {
			t.Fatalf("copy on the backend: %v", err)
		}
		b := rgw{endpoint: r.endpoint, access: r.access, secret: r.secret}
		status, _, body := b.rawRequest(t, http.MethodGet, "/"+target.bucket+"/"+target.key)
		if status < 400 {
			t.Errorf("%s/%s opened: status %d, %d bytes", target.bucket, target.key, status, len(body))
		}
		if leaks := findLeaks(body, p.needles(0)); len(leaks) > 0 {
			t.Errorf("%s/%s: the answer holds %v", target.bucket, target.key, leaks)
		}
	}
	r.wantObject(t, here, "key", p, p.etag())
}

// A wrong passphrase ends the start, and says so without the passphrase.
func TestWrongPassphraseDoesNotStart(t *testing.T) {
	s := newSite(t, "")
	right, err := os.ReadFile(filepath.Join(s.dir, "passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	wrong := randomHex(16)
	s.write("passphrase", wrong)
	out, err := s.command("serve", "--config", s.writeConfig("wrong", freeAddress(t), freeAddress(t))).CombinedOutput()
	if err == nil {
		t.Fatal("cofre started and ended without an error")
	}
	if !bytes.Contains(bytes.ToLower(out), []byte("passphrase")) {
		t.Errorf("the message does not speak of the passphrase:\n%s", out)
	}
	for _, secret := range []string{wrong, string(right), s.secret, s.rgw.secret} {
		if strings.Contains(string(out), secret) {
			t.Errorf("the message holds a secret:\n%s", out)
		}
	}
}

// What a site logs holds no secret, no key of an object and no query string.
func TestLogHoldsNoSecret(t *testing.T) {
	r := newSite(t, "").start(t, "cofre")
	bucket, p := r.bucket(t, "log"), newPayload(10_000)
	r.put(t, bucket, "patient-4711", p, map[string]string{"note": secretNote})
	r.wantObject(t, bucket, "patient-4711", p, p.etag())
	b := rgw{endpoint: r.endpoint, access: r.access, secret: "wrong" + r.secret[5:]}
	if status, _, _ := b.rawRequest(t, http.MethodGet, "/"+bucket+"/patient-4711?response-content-type=text/secret"); status != http.StatusForbidden {
		t.Errorf("a wrong secret key: status %d", status)
	}
	r.stop(t)
	log, err := os.ReadFile(r.log)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(log, []byte("PutObject")) {
		t.Errorf("the log does not tell of the PUT:\n%s", log)
	}
	passphrase, err := os.ReadFile(filepath.Join(r.dir, "passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	database, err := os.ReadFile(filepath.Join(r.dir, "metadata_url"))
	if err != nil {
		t.Fatal(err)
	}
	for what, secret := range map[string]string{
		"the client's secret key": r.secret, "the backend's secret key": r.rgw.secret, "the passphrase": string(passphrase),
		"the database URL": string(database), "the object key": "patient-4711", "the metadata": secretNote, "the query": "text/secret",
		"the marker": string(p.marker()), "the signature": "Signature=",
	} {
		if bytes.Contains(log, []byte(secret)) {
			t.Errorf("the log holds %s", what)
		}
	}
}
