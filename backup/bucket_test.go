package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cofre/access"
	"cofre/backend"
	"cofre/backup"
	"cofre/metadata"
	"cofre/metadata/storetest"
	"cofre/proxy"
	"cofre/s3api"
)

// rgwBucket makes a bucket on the real gateway, which goes with the test, and a client for it.
func rgwBucket(t *testing.T) (*backend.Client, string) {
	t.Helper()
	client, err := backend.New(backend.Config{
		Endpoint: storetest.Server(t, "rgw", "COFRE_TEST_RGW"), Region: "us-east-1",
		Users: map[access.BackendUser]backend.Credentials{access.SiteUser: {
			AccessKeyID:     storetest.Server(t, "rgw", "COFRE_TEST_RGW_ACCESS_KEY"),
			SecretAccessKey: storetest.Server(t, "rgw", "COFRE_TEST_RGW_SECRET_KEY"),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("backups-%x", randomBytes(6))
	do(t, client, &proxy.BackendRequest{Method: http.MethodPut, Bucket: name})
	t.Cleanup(func() {
		defer client.Close()
		in := backup.NewBucket(client, name, "")
		var q s3api.Query
		q.Set("encoding-type", "url")
		resp, err := client.Do(context.Background(), access.SiteUser, &proxy.BackendRequest{Method: http.MethodGet, Bucket: name, Query: q})
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		page, err := s3api.ScanListing(resp.Body, true)
		if err != nil {
			t.Error(err)
			return
		}
		for _, e := range page.Entries {
			if err := in.Remove(context.Background(), e.Key); err != nil {
				t.Error(err)
			}
		}
		do(t, client, &proxy.BackendRequest{Method: http.MethodDelete, Bucket: name})
	})
	return client, name
}

func do(t *testing.T, client proxy.Backend, rq *proxy.BackendRequest) {
	t.Helper()
	resp, err := client.Do(context.Background(), access.SiteUser, rq)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func TestRetentionInABucketEndsThisSitesOlderBackupsAndNoOtherObject(t *testing.T) {
	client, bucket := rgwBucket(t)
	put := func(name string, f file) {
		do(t, client, &proxy.BackendRequest{Method: http.MethodPut, Bucket: bucket, Key: name, Body: bytes.NewReader(f), Length: f.Size(), Replayable: true})
	}
	put("sites/a-neighbour"+backup.Suffix, file("not below the prefix"))
	testRetention(t, backup.NewBucket(client, bucket, "sites/a/"), func(name string, f file) { put("sites/a/"+name, f) })
	if files := names(t, backup.NewBucket(client, bucket, "sites/")); len(files) != 1 {
		t.Errorf("beside the prefix there are %q", files)
	}
}

// A backup of more than one part on the real gateway: it appears when it is whole, and what was broken off leaves nothing.
func TestALargeBackupGoesToABucketInPartsAndComesBack(t *testing.T) {
	client, bucket := rgwBucket(t)
	in := backup.NewBucket(client, bucket, "p/")
	site := newIdentity(t, "a")
	var rows rowsOf
	for i := range 20 { // random bytes do not shrink: 20 MiB are two parts
		rows = append(rows, metadata.Row{Credential: &metadata.Credential{AccessKeyID: fmt.Sprint("k", i), SealedSecret: randomBytes(1 << 20)}})
	}
	made, err := backup.Make(t.Context(), rows, authorOf(site), in, "", backup.Retention{Keep: 1}, nil)
	if err != nil || made.Kept != nil {
		t.Fatal(err, made.Kept)
	}
	if made.FileSize < 20<<20 || made.Counts[metadata.CredentialRow] != 20 {
		t.Errorf("%+v", made)
	}
	broken := errors.New("broken")
	_, err = backup.Make(t.Context(), failing{rows, broken}, authorOf(site), in, "", backup.Retention{Keep: 1}, nil)
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if got := names(t, in); len(got) != 1 || got[0] != made.File {
		t.Errorf("there are %q", got)
	}
	if n := openUploads(t, client, bucket); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

// failing is a store that fails at the end.
type failing struct {
	rowsOf
	err error
}

func (f failing) Dump(ctx context.Context, visit func(metadata.Row) error) error {
	if err := f.rowsOf.Dump(ctx, visit); err != nil {
		return err
	}
	return f.err
}

func openUploads(t *testing.T, client proxy.Backend, bucket string) int {
	t.Helper()
	var q s3api.Query
	q.Set("uploads", "")
	resp, err := client.Do(t.Context(), access.SiteUser, &proxy.BackendRequest{Method: http.MethodGet, Bucket: bucket, Query: q})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := s3api.ScanUploads(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return len(page.Uploads)
}

func TestUploadsOfKilledProcessesAreAbortedWhenTheyAreOld(t *testing.T) {
	client, bucket := rgwBucket(t)
	in := backup.NewBucket(client, bucket, "p/")
	site, other := newIdentity(t, "a"), newIdentity(t, "b")
	for _, m := range []backup.Manifest{backup.NewManifest(site.ID(), time.Now()), backup.NewManifest(other.ID(), time.Now())} {
		draft, err := in.Create(t.Context(), m.Name())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := draft.Write(make([]byte, 17<<20)); err != nil { // as a kill -9 leaves it
			t.Fatal(err)
		}
	}
	if _, err := backup.Make(t.Context(), rowsOf{}, authorOf(site), in, "", backup.Retention{}, nil); err != nil {
		t.Fatal(err)
	}
	if n := openUploads(t, client, bucket); n != 2 {
		t.Errorf("%d uploads, want both: they are young", n)
	}
	for _, step := range []struct {
		prefix string
		left   int
	}{{site.ID().String()[:16] + "-", 1}, {"", 0}} {
		if err := in.Tidy(t.Context(), step.prefix, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if n := openUploads(t, client, bucket); n != step.left {
			t.Errorf("%d uploads after tidying %q, want %d", n, step.prefix, step.left)
		}
	}
}

func TestABucketThatIsMissingIsToldAtOnce(t *testing.T) {
	client, bucket := rgwBucket(t)
	if err := backup.NewBucket(client, bucket, "").Reachable(t.Context()); err != nil {
		t.Error(err)
	}
	if err := backup.NewBucket(client, bucket+"-not", "").Reachable(t.Context()); !errors.Is(err, backup.ErrNoBucket) {
		t.Errorf("error %v", err)
	}
	if _, err := backup.NewBucket(client, bucket, "").Open(t.Context(), "none"+backup.Suffix); !errors.Is(err, backup.ErrNoFile) {
		t.Errorf("error %v", err)
	}
}

// breaking is a storage with one object, whose connections break after some bytes each, or for good.
type breaking struct {
	object file
	each   int64
	dead   atomic.Bool
	gets   atomic.Int64
}

func (b *breaking) Do(_ context.Context, _ access.BackendUser, rq *proxy.BackendRequest) (*proxy.BackendResponse, error) {
	if rq.Method == http.MethodHead {
		return &proxy.BackendResponse{Status: http.StatusOK, Length: b.object.Size(), Header: http.Header{}, Body: http.NoBody}, nil
	}
	b.gets.Add(1)
	if b.dead.Load() {
		return nil, proxy.ErrBackendUnavailable
	}
	var first, last int64
	if _, err := fmt.Sscanf(rq.Header.Get("Range"), "bytes=%d-%d", &first, &last); err != nil {
		return nil, err
	}
	body := io.MultiReader(bytes.NewReader(b.object[first:min(last+1, first+b.each)]), errReader{proxy.ErrBackendUnavailable})
	return &proxy.BackendResponse{Status: http.StatusPartialContent, Length: last - first + 1, Header: http.Header{}, Body: io.NopCloser(body)}, nil
}

type errReader struct{ error }

func (e errReader) Read([]byte) (int, error) { return 0, e.error }

func TestReadingFromABucketGoesOnWhereAConnectionBroke(t *testing.T) {
	storage := &breaking{object: randomBytes(100_000), each: 999}
	src, err := backup.NewBucket(storage, "b", "").Open(t.Context(), "f")
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.Open(t.Context(), 7, 99_000)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, storage.object[7:99_007]) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if n := storage.gets.Load(); n < 99 {
		t.Errorf("%d requests", n)
	}
	storage.dead.Store(true)
	before := storage.gets.Load()
	r, err = src.Open(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !errors.Is(err, proxy.ErrBackendUnavailable) {
		t.Errorf("error %v", err)
	}
	if n := storage.gets.Load() - before; n < 2 || n > 10 {
		t.Errorf("%d requests of a storage that does not answer", n)
	}
	if !strings.Contains(backup.NewBucket(storage, "b", "p/").String(), "s3://b/p/") {
		t.Error("a place does not say where it is")
	}
}
