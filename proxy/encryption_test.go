package proxy_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// customer is a client's own key, as SDKs take it.
type customer struct{ key, sum *string }

func newCustomer() customer {
	raw := randomBytes(32)
	sum := md5.Sum(raw)
	return customer{str(base64.StdEncoding.EncodeToString(raw)), str(base64.StdEncoding.EncodeToString(sum[:]))}
}

var aes256 = aws.String("AES256")

func (s *site) getWith(t *testing.T, bucket, key string, c customer) ([]byte, error) {
	t.Helper()
	out, err := s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key, SSECustomerAlgorithm: aes256, SSECustomerKey: c.key, SSECustomerKeyMD5: c.sum})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	if aws.ToString(out.SSECustomerKeyMD5) != *c.sum {
		t.Errorf("answer speaks of key %v", aws.ToString(out.SSECustomerKeyMD5))
	}
	return io.ReadAll(out.Body)
}

func TestObjectsUnderACustomerKeyOpenWithItOnly(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{keysOverHTTP: true})
		b := s.bucket(t, "ssec")
		body, mine, other := pattern(200_000), newCustomer(), newCustomer()
		out, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: str("k"), Body: bytes.NewReader(body),
			SSECustomerAlgorithm: aes256, SSECustomerKey: mine.key, SSECustomerKeyMD5: mine.sum})
		if err != nil || aws.ToString(out.SSECustomerKeyMD5) != *mine.sum {
			t.Fatalf("put: %+v %v", out, err)
		}
		s.put(t, b, "plain", body)
		// One reader knows the record, the other has to make it from the object, which takes the key.
		for name, reader := range map[string]*site{"known": s, "fresh": newSite(t, st, siteConfig{identity: s.identity, keysOverHTTP: true})} {
			_, err = reader.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b, Key: str("k")})
			wantCode(t, err, "InvalidRequest")
			_, err = reader.getWith(t, b, "k", other)
			wantCode(t, err, "AccessDenied")
			if got, err := reader.getWith(t, b, "k", mine); err != nil || !bytes.Equal(got, body) {
				t.Fatalf("%s: %d bytes, %v", name, len(got), err)
			}
			_, err = reader.getWith(t, b, "plain", mine)
			wantCode(t, err, "InvalidRequest")
			_, err = reader.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b, Key: str("k")})
			var status *awshttp.ResponseError
			if !errors.As(err, &status) || status.HTTPStatusCode() != http.StatusBadRequest {
				t.Fatalf("%s: HEAD without the key: %v", name, err)
			}
		}
		// A copy is read with one key and sealed with another.
		if _, err := s.client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &b, Key: str("copy"), CopySource: aws.String(b + "/k"),
			CopySourceSSECustomerAlgorithm: aes256, CopySourceSSECustomerKey: mine.key, CopySourceSSECustomerKeyMD5: mine.sum,
			SSECustomerAlgorithm: aes256, SSECustomerKey: other.key, SSECustomerKeyMD5: other.sum}); err != nil {
			t.Fatal(err)
		}
		if got, err := s.getWith(t, b, "copy", other); err != nil || !bytes.Equal(got, body) {
			t.Fatalf("copy: %d bytes, %v", len(got), err)
		}
		_, err = s.client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &b, Key: str("copy2"), CopySource: aws.String(b + "/k")})
		wantCode(t, err, "InvalidRequest")
	})
}

func TestMultipartUnderACustomerKey(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{keysOverHTTP: true})
		b, key := s.bucket(t, "ssec-mp"), "k"
		mine, other := newCustomer(), newCustomer()
		up, err := s.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &b, Key: &key, SSECustomerAlgorithm: aes256, SSECustomerKey: mine.key, SSECustomerKeyMD5: mine.sum})
		if err != nil {
			t.Fatal(err)
		}
		body := pattern(300_000)
		part := &s3.UploadPartInput{Bucket: &b, Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(body)}
		_, err = s.client.UploadPart(t.Context(), part)
		wantCode(t, err, "InvalidRequest")
		part.SSECustomerAlgorithm, part.SSECustomerKey, part.SSECustomerKeyMD5 = aes256, other.key, other.sum
		part.Body = bytes.NewReader(body)
		_, err = s.client.UploadPart(t.Context(), part)
		wantCode(t, err, "InvalidRequest")
		part.SSECustomerKey, part.SSECustomerKeyMD5 = mine.key, mine.sum
		part.Body = bytes.NewReader(body)
		done, err := s.client.UploadPart(t.Context(), part)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // Complete comes without the key, and may come twice
			if _, err := s.client.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: &b, Key: &key, UploadId: up.UploadId,
				MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: done.ETag, PartNumber: aws.Int32(1)}}}}); err != nil {
				t.Fatal(err)
			}
		}
		for _, reader := range []*site{s, newSite(t, st, siteConfig{identity: s.identity, keysOverHTTP: true})} {
			if got, err := reader.getWith(t, b, key, mine); err != nil || !bytes.Equal(got, body) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			_, err = reader.getWith(t, b, key, other)
			wantCode(t, err, "AccessDenied")
		}
	})
}

func TestCustomerKeysStayOffPlainHTTP(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b, mine := s.bucket(t, "ssec"), newCustomer()
	_, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: str("k"), Body: bytes.NewReader(nil),
		SSECustomerAlgorithm: aes256, SSECustomerKey: mine.key, SSECustomerKeyMD5: mine.sum})
	wantCode(t, err, "InvalidRequest")
}

func TestEncryptionHeadersAreJudged(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{keysOverHTTP: true})
	b, mine := s.bucket(t, "sse"), newCustomer()
	put := func(in s3.PutObjectInput) (*s3.PutObjectOutput, error) {
		in.Bucket, in.Key, in.Body = &b, str("k"), bytes.NewReader([]byte("x"))
		return s.client.PutObject(t.Context(), &in)
	}
	for name, c := range map[string]struct {
		in   s3.PutObjectInput
		code string
	}{
		"unknown method":     {s3.PutObjectInput{ServerSideEncryption: "rot13"}, "InvalidArgument"},
		"KMS key alone":      {s3.PutObjectInput{SSEKMSKeyId: str("k1")}, "InvalidArgument"},
		"another algorithm":  {s3.PutObjectInput{SSECustomerAlgorithm: str("AES128"), SSECustomerKey: mine.key, SSECustomerKeyMD5: mine.sum}, "InvalidEncryptionAlgorithmError"},
		"MD5 of another key": {s3.PutObjectInput{SSECustomerAlgorithm: aes256, SSECustomerKey: mine.key, SSECustomerKeyMD5: newCustomer().sum}, "InvalidArgument"},
		"key of 3 bytes":     {s3.PutObjectInput{SSECustomerAlgorithm: aes256, SSECustomerKey: str("YWJj"), SSECustomerKeyMD5: mine.sum}, "InvalidArgument"},
		"no key":             {s3.PutObjectInput{SSECustomerAlgorithm: aes256}, "InvalidArgument"},
		"two methods":        {s3.PutObjectInput{ServerSideEncryption: "aws:kms", SSECustomerAlgorithm: aes256, SSECustomerKey: mine.key, SSECustomerKeyMD5: mine.sum}, "InvalidArgument"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := put(c.in)
			wantCode(t, err, c.code)
		})
	}
	out, err := put(s3.PutObjectInput{ServerSideEncryption: types.ServerSideEncryptionAes256})
	if err != nil || out.ServerSideEncryption != types.ServerSideEncryptionAes256 {
		t.Fatalf("SSE-S3: %+v %v", out, err)
	}
	if got := s.send(t, request{method: "GET", bucket: b, key: "k", header: map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms"}}); got.status != 400 || got.code != "InvalidArgument" {
		t.Fatalf("a GET that names a method: %d %s", got.status, got.code)
	}
	head, err := s.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b, Key: str("k")})
	if err != nil || head.ServerSideEncryption != types.ServerSideEncryptionAes256 {
		t.Fatalf("SSE-S3: %+v %v", head, err)
	}
	for _, method := range []string{"GET", "HEAD"} { // which say nothing of how to encrypt
		s.send(t, request{method: method, bucket: b, key: "k", header: map[string]string{"X-Amz-Server-Side-Encryption": "AES256"}}).want(t, 400, map[string]string{"GET": "InvalidArgument"}[method])
	}
}
