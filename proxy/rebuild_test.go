package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sync/errgroup"

	"cofre/metadata"
	"cofre/metadata/sqlite"
	"cofre/proxy"
)

// TestALostStoreIsMadeAgainRowByRow writes ten thousand objects of every kind, loses the store, and heals an empty one from the
// backend: each version has the record that it had, but for the times of the rows themselves.
func TestALostStoreIsMadeAgainRowByRow(t *testing.T) {
	t.Parallel()
	s := newSite(t, rgwStorage(t), siteConfig{})
	b := s.bucket(t, "rebuild")
	s.version(t, b)
	var writers errgroup.Group
	writers.SetLimit(16)
	for i := range 9_900 {
		writers.Go(func() error {
			_, err := s.client.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &b, Key: str(fmt.Sprintf("dir %d/object %d", i%97, i/2)),
				Body: bytes.NewReader(pattern(i % 300)), ContentType: str("text/x-kind"), Metadata: map[string]string{"n": fmt.Sprint(i)}})
			return err
		})
	}
	algorithms := []types.ChecksumAlgorithm{"", types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmSha256, types.ChecksumAlgorithmCrc64nvme}
	for i := range 60 {
		writers.Go(func() error { return s.twoParts(b, fmt.Sprint("multipart ", i), algorithms[i%len(algorithms)]) })
	}
	if err := writers.Wait(); err != nil {
		t.Fatal(err)
	}
	for i := range 40 { // copies, half of them of objects in parts, and what is deleted
		from := fmt.Sprint("multipart ", i)
		if i%2 == 0 {
			from = fmt.Sprintf("dir %d/object %d", (2*i)%97, i)
		}
		if _, err := s.client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &b, Key: str(fmt.Sprint("copy ", i)), CopySource: aws.String(b + "/" + from)}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: &from}); err != nil {
			t.Fatal(err)
		}
	}

	empty, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "empty.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = empty.Close() })
	lost := newSite(t, s.storage, siteConfig{identity: s.identity, store: empty})
	report, err := lost.handler.HealBucket(t.Context(), b, proxy.HealConfig{Failed: func(key, version string, err error) {
		t.Errorf("not healed: %s %s: %v", key, version, err)
	}})
	if err != nil || report.Versions != 10_000 || report.Healed != report.Versions {
		t.Fatalf("%+v, %v", report, err)
	}
	compared := 0
	ignored := cmpopts.IgnoreFields(metadata.Record{}, "Began", "Committed")
	pages := s3.NewListObjectVersionsPaginator(s.client, &s3.ListObjectVersionsInput{Bucket: &b})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Versions {
			before, err := s.store.Latest(t.Context(), b, *v.Key, *v.VersionId)
			if err != nil {
				t.Fatalf("%s %s: %v", *v.Key, *v.VersionId, err)
			}
			after, err := lost.store.Latest(t.Context(), b, *v.Key, *v.VersionId)
			if err != nil {
				t.Fatalf("%s %s: %v", *v.Key, *v.VersionId, err)
			}
			if diff := cmp.Diff(before, after, ignored, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s %s:\n%s", *v.Key, *v.VersionId, diff)
			}
			compared++
		}
	}
	if compared != 10_000 {
		t.Errorf("%d versions compared", compared)
	}
	again, err := lost.handler.HealBucket(t.Context(), b, proxy.HealConfig{})
	if err != nil || again.Known != 10_000 || again.Healed != 0 {
		t.Errorf("healing again: %+v, %v", again, err)
	}
}

// TestABulkHealCountsOnlyWhatTheStoreHas: KEKs are closed on its word, and what has no record then is refused for good.
func TestABulkHealCountsOnlyWhatTheStoreHas(t *testing.T) {
	st := diskStorage(t)
	s := newSite(t, st, siteConfig{})
	b := s.bucket(t, "lossy")
	s.put(t, b, "one", []byte("1"))
	s.put(t, b, "two", []byte("2"))
	empty, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "empty.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = empty.Close() })
	lossy := newSite(t, st, siteConfig{identity: s.identity, store: fullStore{empty}})
	told := 0
	report, err := lossy.handler.HealBucket(t.Context(), b, proxy.HealConfig{Failed: func(string, string, error) { told++ }})
	if err != nil || report.Versions != 2 || report.Healed != 0 || report.Failed != 2 || told != 2 {
		t.Fatalf("%+v, %v; told of %d", report, err, told)
	}
	if got := lossy.get(t, b, "one"); string(got) != "1" {
		t.Fatalf("a reader needs no record, and got %q", got)
	}
}

// fullStore is up and takes no records: its disk is full.
type fullStore struct{ metadata.Store }

func (fullStore) Add(context.Context, metadata.Record, metadata.Origin) error {
	return metadata.ErrUnavailable
}

// TestABulkHealTellsObjectsUnderACustomerKeyApart: nobody but the client can have their records made.
func TestABulkHealTellsObjectsUnderACustomerKeyApart(t *testing.T) {
	st := diskStorage(t)
	s := newSite(t, st, siteConfig{keysOverHTTP: true})
	b := s.bucket(t, "customer")
	mine := newCustomer()
	if _, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: str("k"), Body: bytes.NewReader([]byte("body")),
		SSECustomerAlgorithm: aes256, SSECustomerKey: mine.key, SSECustomerKeyMD5: mine.sum}); err != nil {
		t.Fatal(err)
	}
	empty, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "empty.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = empty.Close() })
	lost := newSite(t, st, siteConfig{identity: s.identity, store: empty, keysOverHTTP: true})
	report, err := lost.handler.HealBucket(t.Context(), b, proxy.HealConfig{})
	if err != nil || report.CustomerKey != 1 || report.Failed != 0 {
		t.Fatalf("%+v, %v", report, err)
	}
}

// twoParts makes an object of two parts.
func (s *site) twoParts(bucket, key string, algorithm types.ChecksumAlgorithm) error {
	ctx := context.Background()
	up, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key, ChecksumAlgorithm: algorithm})
	if err != nil {
		return err
	}
	var parts []types.CompletedPart
	for i, size := range []int{5 << 20, 77} {
		number := num(int32(i + 1))
		part, err := s.client.UploadPart(ctx, &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, PartNumber: number,
			Body: bytes.NewReader(pattern(size)), ChecksumAlgorithm: algorithm})
		if err != nil {
			return err
		}
		parts = append(parts, types.CompletedPart{PartNumber: number, ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32,
			ChecksumSHA256: part.ChecksumSHA256, ChecksumCRC64NVME: part.ChecksumCRC64NVME})
	}
	_, err = s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	return err
}
