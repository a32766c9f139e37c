package proxy_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// sizes around every edge of the format: nothing, one chunk, several, and a byte to either side.
var sizes = []int{0, 1, 15, 65535, 65536, 65537, 131072, 131073, 1 << 20, 5<<20 + 3}

func TestObjectsComeBackAsTheyWentIn(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "roundtrip")
		for _, n := range sizes {
			body := pattern(n)
			sum := md5.Sum(body)
			key := fmt.Sprintf("size/%d", n)
			out, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: &b, Key: &key, Body: bytes.NewReader(body), ContentType: str("text/x-test"), Metadata: map[string]string{"patient": "secret-name"},
			})
			if err != nil {
				t.Fatalf("put of %d bytes: %v", n, err)
			}
			if want := `"` + hex.EncodeToString(sum[:]) + `"`; *out.ETag != want {
				t.Fatalf("ETag of %d bytes %s, want %s", n, *out.ETag, want)
			}
			head, err := s.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b, Key: &key})
			if err != nil {
				t.Fatalf("head of %d bytes: %v", n, err)
			}
			if *head.ContentLength != int64(n) || *head.ETag != *out.ETag || *head.ContentType != "text/x-test" || head.Metadata["patient"] != "secret-name" {
				t.Fatalf("head of %d bytes: %+v", n, head)
			}
			if got := s.get(t, b, key); !bytes.Equal(got, body) {
				t.Fatalf("%d bytes came back as %d others", n, len(got))
			}
			raw, stored := st.rawObject(t, b, key)
			if n >= 15 && bytes.Contains(stored, body[:15]) {
				t.Fatalf("plaintext on the backend, size %d", n)
			}
			if raw.Metadata["patient"] != "" || *raw.ContentType == "text/x-test" {
				t.Fatalf("attributes in clear on the backend: %v %s", raw.Metadata, *raw.ContentType)
			}
		}
		list, err := s.client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &b, Prefix: str("size/")})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Contents) != len(sizes) {
			t.Fatalf("%d entries, want %d", len(list.Contents), len(sizes))
		}
		for _, e := range list.Contents {
			if want := fmt.Sprintf("size/%d", *e.Size); *e.Key != want {
				t.Fatalf("listing shows %s with %d bytes", *e.Key, *e.Size)
			}
		}
	})
}

func TestMultipartObjectsComeBackAsTheyWentIn(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "multipart")
		whole := pattern(11<<20 + 5)
		key := "a/multi part"
		up, err := s.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &b, Key: &key, Metadata: map[string]string{"k": "v"}, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
		if err != nil {
			t.Fatal(err)
		}
		cuts := [][2]int{{0, 5 << 20}, {5 << 20, 11 << 20}, {11 << 20, len(whole)}}
		var done []types.CompletedPart
		sums := md5.New()
		for i := len(cuts) - 1; i >= 0; i-- { // out of order
			part := whole[cuts[i][0]:cuts[i][1]]
			if i == 1 { // sent twice, with other bytes first
				if _, err := s.client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &b, Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(2), Body: bytes.NewReader(pattern(len(part) - 1))}); err != nil {
					t.Fatal(err)
				}
			}
			out, err := s.client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &b, Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(part)})
			if err != nil {
				t.Fatal(err)
			}
			done = append([]types.CompletedPart{{ETag: out.ETag, PartNumber: aws.Int32(int32(i + 1)), ChecksumCRC32: out.ChecksumCRC32}}, done...)
		}
		for _, c := range cuts {
			sum := md5.Sum(whole[c[0]:c[1]])
			sums.Write(sum[:])
		}
		for range 2 { // completing twice gives the same answer
			out, err := s.client.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: &b, Key: &key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done}})
			if err != nil {
				t.Fatal(err)
			}
			if want := `"` + hex.EncodeToString(sums.Sum(nil)) + `-3"`; *out.ETag != want {
				t.Fatalf("ETag %s, want %s", *out.ETag, want)
			}
		}
		if got := s.get(t, b, key); !bytes.Equal(got, whole) {
			t.Fatal("another body came back")
		}
		for _, r := range []string{"bytes=0-0", "bytes=5242870-5242890", "bytes=65530-65540", "bytes=-7", "bytes=11534336-"} {
			out, err := s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b, Key: &key, Range: &r})
			if err != nil {
				t.Fatalf("%s: %v", r, err)
			}
			got, err := io.ReadAll(out.Body)
			if err != nil {
				t.Fatalf("%s: %v", r, err)
			}
			var from, to int
			var total int
			if _, err := fmt.Sscanf(*out.ContentRange, "bytes %d-%d/%d", &from, &to, &total); err != nil || total != len(whole) {
				t.Fatalf("%s: Content-Range %s", r, *out.ContentRange)
			}
			if !bytes.Equal(got, whole[from:to+1]) {
				t.Fatalf("%s: wrong bytes", r)
			}
		}
		// Another process with an empty store makes the same record from the backend alone.
		fresh := newSite(t, st, siteConfig{identity: s.identity})
		head, err := fresh.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
		if err != nil {
			t.Fatal(err)
		}
		want, err := s.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
		if err != nil {
			t.Fatal(err)
		}
		if *head.ETag != *want.ETag || *head.ContentLength != int64(len(whole)) || head.Metadata["k"] != "v" || aws.ToString(head.ChecksumCRC32) != aws.ToString(want.ChecksumCRC32) || want.ChecksumCRC32 == nil {
			t.Fatalf("healed: %+v, want %+v", head, want)
		}
		if got := fresh.get(t, b, key); !bytes.Equal(got, whole) {
			t.Fatal("another body came back after healing")
		}
	})
}
