package proxy_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// TestAPartIsReadWithItsOwnChecksum has the SDK verify each part by the checksum that comes with it.
func TestAPartIsReadWithItsOwnChecksum(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b, ctx := s.bucket(t, "parts"), t.Context()
	up, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &b, Key: str("k"), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c})
	if err != nil {
		t.Fatal(err)
	}
	bodies := [][]byte{bytes.Repeat([]byte("a"), 5<<20), []byte("the rest")}
	var parts []types.CompletedPart
	for i, body := range bodies {
		number := aws.Int32(int32(i + 1))
		out, err := s.client.UploadPart(ctx, &s3.UploadPartInput{Bucket: &b, Key: str("k"), UploadId: up.UploadId, PartNumber: number,
			Body: bytes.NewReader(body), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{ETag: out.ETag, PartNumber: number, ChecksumCRC32C: out.ChecksumCRC32C})
	}
	if _, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &b, Key: str("k"), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}}); err != nil {
		t.Fatal(err)
	}
	for i, body := range bodies {
		out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b, Key: str("k"), PartNumber: parts[i].PartNumber, ChecksumMode: types.ChecksumModeEnabled})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(out.Body) // fails where the checksum is not the body's
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("part %d: %d bytes, %v", i+1, len(got), err)
		}
		if sum := aws.ToString(out.ChecksumCRC32C); sum == "" || sum != *parts[i].ChecksumCRC32C || out.ChecksumType != types.ChecksumTypeComposite {
			t.Errorf("part %d: checksum %q of type %q, want %q", i+1, sum, out.ChecksumType, *parts[i].ChecksumCRC32C)
		}
	}
}
