package sigv4_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cofre/checksum"
	"cofre/sigv4"
	"cofre/sigv4/sigv4test"
)

var sdkCredentials = aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: example["AKIAIOSFODNN7EXAMPLE"]}

func sdkSigner() *v4.Signer {
	return v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
}

// sdkTargets are requests that the SDK's signer and this package must see alike.
var sdkTargets = []string{
	"/", "/bucket", "/bucket/a%20b%2Bc/~e", "/bucket//x", "/bucket/%E2%82%AC?versionId=a%2Fb%2Bc", "/bucket?uploads=", "/bucket?list-type=2&prefix=a%2Fb%20c&delimiter=%2F",
}

func TestRequestsOfTheSDKsSignerVerify(t *testing.T) {
	for _, target := range sdkTargets {
		r := request(t, target, "X-Amz-Meta-A", "  a   b ", "Content-Type", "text/plain")
		hash := hex.EncodeToString(sum(checksum.SHA256, nil))
		r.Header.Set("X-Amz-Content-Sha256", hash)
		if err := sdkSigner().SignHTTP(context.Background(), sdkCredentials, r, hash, "s3", "eu-central-1", signedAt); err != nil {
			t.Fatal(err)
		}
		if auth, err := verifierAt(signedAt).Verify(sigv4test.Receive(r)); err != nil || auth.Scheme() != sigv4.HeaderV4 {
			t.Errorf("%s: %v", target, err)
		}
	}
}

func TestPresignedURLsOfTheSDKsSignerVerify(t *testing.T) {
	for _, target := range sdkTargets {
		r := request(t, target, "X-Amz-Meta-A", "b", "X-Amz-Storage-Class", "STANDARD")
		query := r.URL.Query()
		query.Set("X-Amz-Expires", "600")
		r.URL.RawQuery = query.Encode()
		signedURL, headers, err := sdkSigner().PresignHTTP(context.Background(), sdkCredentials, r, "UNSIGNED-PAYLOAD", "s3", "eu-central-1", signedAt)
		if err != nil {
			t.Fatal(err)
		}
		sent, err := http.NewRequest(http.MethodGet, signedURL, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range headers {
			if name != "Host" {
				sent.Header[name] = values
			}
		}
		if auth, err := verifierAt(signedAt).Verify(sigv4test.Receive(sent)); err != nil || auth.Scheme() != sigv4.QueryV4 {
			t.Errorf("%s: %v", target, err)
		}
	}
}

// sink verifies every request for real and keeps what the last one said.
type sink struct {
	mode, scheme string
	length       int64 // Content-Length
	data         []byte
	checksum     checksum.Algorithm
	err          error
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	*s = sink{mode: r.Header.Get("X-Amz-Content-Sha256"), length: r.ContentLength}
	if s.data, s.err = s.read(r); s.err != nil {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusBadRequest)
	}
}

func (s *sink) read(r *http.Request) ([]byte, error) {
	auth, err := sigv4.New(sigv4.Config{Secrets: example}).Verify(r)
	if err != nil {
		return nil, err
	}
	s.scheme = auth.Scheme().String()
	body, err := auth.Body(r, sigv4.BodyOptions{MD5: true})
	if err != nil {
		return nil, err
	}
	s.checksum = body.ClientChecksum()
	return io.ReadAll(body)
}

func sdkClient(server *httptest.Server) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(server.URL),
		Region:       "us-east-1",
		UsePathStyle: true,
		HTTPClient:   server.Client(),
		Credentials:  aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return sdkCredentials, nil }),
		Retryer:      aws.NopRetryer{},

		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
	})
}

// TestUploadsOfTheSDKVerify puts real uploads of aws-sdk-go-v2 through a server: hashed over HTTP, chunks with a trailer over HTTPS, a stream of
// unknown length, and a presigned URL.
func TestUploadsOfTheSDKVerify(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 200_000) // more than 2 MiB, so that the SDK sends Expect: 100-continue
	var got sink
	plain := httptest.NewServer(&got)
	defer plain.Close()
	secure := httptest.NewUnstartedServer(&got)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()

	hash := sha256.Sum256(data)
	for _, c := range []struct {
		name      string
		server    *httptest.Server
		algorithm types.ChecksumAlgorithm
		mode      string
		want      checksum.Algorithm
	}{
		{"http", plain, "", hex.EncodeToString(hash[:]), checksum.CRC32},
		{"http crc64", plain, types.ChecksumAlgorithmCrc64nvme, hex.EncodeToString(hash[:]), checksum.CRC64NVME},
		{"https", secure, "", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", checksum.CRC32},
		{"https sha1", secure, types.ChecksumAlgorithmSha1, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", checksum.SHA1},
	} {
		_, err := sdkClient(c.server).PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String("bucket"), Key: aws.String("a key/with+signs"), Body: bytes.NewReader(data), ChecksumAlgorithm: c.algorithm,
			Metadata: map[string]string{"a": "b"},
		})
		if err != nil || got.err != nil {
			t.Errorf("%s: %v, %v", c.name, err, got.err)
			continue
		}
		if got.mode != c.mode || got.checksum != c.want || !bytes.Equal(got.data, data) || got.scheme != "header-v4" {
			t.Errorf("%s: %s with %s, %d bytes", c.name, got.mode, got.checksum, len(got.data))
		}
	}
}

func TestPresignedUploadsOfTheSDKVerify(t *testing.T) {
	var got sink
	server := httptest.NewServer(&got)
	defer server.Close()
	presigned, err := s3.NewPresignClient(sdkClient(server)).PresignPutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("bucket"), Key: aws.String("key"), ContentType: aws.String("text/plain"), StorageClass: types.StorageClassStandardIa,
	}, s3.WithPresignExpires(7*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, changed := range []bool{false, true} {
		url := presigned.URL
		if changed {
			url = strings.Replace(url, "/key", "/kex", 1)
		}
		r, err := http.NewRequestWithContext(t.Context(), presigned.Method, url, strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range presigned.SignedHeader {
			if name != "Host" && name != "Content-Length" {
				r.Header[name] = values
			}
		}
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if changed {
			if !errors.Is(got.err, sigv4.ErrSignatureDoesNotMatch) {
				t.Errorf("another key: %v", got.err)
			}
		} else if got.err != nil || string(got.data) != "hello" || got.scheme != "query-v4" {
			t.Errorf("%q as %s: %v (%s)", got.data, got.scheme, got.err, presigned.URL)
		}
	}
}

func TestASignatureOverTheRawPathVerifiesToo(t *testing.T) {
	const raw = "/bucket/a%2fb(c)"
	r := request(t, raw)
	r.URL.Opaque = "//" + r.URL.Host + raw // what the signer signs as it stands
	hash := hex.EncodeToString(sum(checksum.SHA256, nil))
	r.Header.Set("X-Amz-Content-Sha256", hash)
	if err := sdkSigner().SignHTTP(context.Background(), sdkCredentials, r, hash, "s3", "eu-central-1", signedAt); err != nil {
		t.Fatal(err)
	}
	received := sigv4test.Receive(r)
	received.RequestURI = raw
	if _, err := verifierAt(signedAt).Verify(received); err != nil {
		t.Fatal(err)
	}
	received.RequestURI = "/bucket/a%2Fc(c)"
	if _, err := verifierAt(signedAt).Verify(received); !errors.Is(err, sigv4.ErrSignatureDoesNotMatch) {
		t.Fatalf("another path under the same signature: %v", err)
	}
}

// TestSignerSignsAsTheSDKDoes signs random requests with both, through one midnight, and compares all that would be sent.
func TestSignerSignsAsTheSDKDoes(t *testing.T) {
	signer, sdk := sigv4.NewSigner(sdkCredentials.AccessKeyID, sdkCredentials.SecretAccessKey, "eu-central-1"), sdkSigner()
	text := rapid.StringMatching(`[ -~]{0,40}`)
	rapid.Check(t, func(t *rapid.T) {
		header := http.Header{}
		for name := range rapid.MapOfN(rapid.StringMatching(`[A-Za-z][A-Za-z0-9_-]{0,70}`), rapid.Just(0), 0, 12).Draw(t, "names") {
			header[http.CanonicalHeaderKey(name)] = rapid.SliceOfN(text, 1, 3).Draw(t, "values")
		}
		for _, name := range []string{"Authorization", "User-Agent", "Expect", "Content-Type", "X-Amz-Date", "X-Amz-Content-Sha256"} {
			if rapid.Bool().Draw(t, name) {
				header[name] = []string{text.Draw(t, "value")}
			}
		}
		delete(header, "Host")
		query := url.Values{}
		for name := range rapid.MapOfN(rapid.String(), rapid.Just(0), 0, 5).Draw(t, "parameters") {
			query[name] = rapid.SliceOfN(rapid.String(), 1, 3).Draw(t, "values")
		}
		sha := rapid.SampledFrom([]string{"UNSIGNED-PAYLOAD", hex.EncodeToString(sum(checksum.SHA256, nil))}).Draw(t, "payload")
		header.Set("X-Amz-Content-Sha256", sha) // which the SDK leaves to its caller
		at := signedAt.Add(time.Duration(rapid.IntRange(0, 48*3600).Draw(t, "seconds")) * time.Second)
		path := "/" + strings.ReplaceAll(url.QueryEscape(rapid.String().Draw(t, "path")), "+", "%20")
		if rapid.Bool().Draw(t, "many slashes") {
			path = "/b" + strings.ReplaceAll(path, "%2F", "/") + "//../x"
		}
		ours := &http.Request{
			Method: rapid.SampledFrom([]string{"GET", "PUT", "POST", "HEAD", "DELETE"}).Draw(t, "method"),
			URL:    &url.URL{Scheme: "http", Host: "127.0.0.1:8080", Opaque: path, RawQuery: query.Encode()},
			Host:   rapid.SampledFrom([]string{"", "storage.example", "storage.example:8080"}).Draw(t, "host"), Header: header,
			ContentLength: rapid.Int64Range(0, 1<<40).Draw(t, "length"),
		}
		theirs := ours.Clone(t.Context())
		if err := signer.Sign(ours, sha, at); err != nil {
			t.Fatal(err)
		}
		if err := sdk.SignHTTP(t.Context(), sdkCredentials, theirs, sha, "s3", "eu-central-1", at); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(theirs.Header, ours.Header); diff != "" || ours.Host != theirs.Host {
			t.Fatalf("header (-SDK +ours):\n%s", diff)
		}
	})
}

// TestSignerMakesTheSignaturesOfTheDocumentation signs the requests of the AWS documentation again.
func TestSignerMakesTheSignaturesOfTheDocumentation(t *testing.T) {
	signed := 0
	for _, file := range vectorFiles(t) {
		v := readVector(t, file)
		if v.want != sigv4.HeaderV4.String() {
			continue
		}
		signed++
		r := v.received(t)
		want := r.Header.Get("Authorization")
		at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Opaque = strings.ReplaceAll(url.QueryEscape(r.URL.Path), "%2F", "/")
		if !strings.Contains(want, ";content-length;") {
			r.ContentLength = 0
		}
		signer := sigv4.NewSigner("AKIAIOSFODNN7EXAMPLE", example["AKIAIOSFODNN7EXAMPLE"], "us-east-1")
		if err := signer.Sign(r, r.Header.Get("X-Amz-Content-Sha256"), at); err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(r.Header.Get("Authorization"), ", ", ","); got != want {
			t.Errorf("%s:\n%s, want\n%s", file, got, want)
		}
	}
	if signed < 3 {
		t.Errorf("%d vectors are signed in the header", signed)
	}
}

// TestSignerSignsForManyAtOnce has one signer used by several at a time, over two days.
func TestSignerSignsForManyAtOnce(t *testing.T) {
	signer := sigv4.NewSigner(sdkCredentials.AccessKeyID, sdkCredentials.SecretAccessKey, "us-east-1")
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for j := range 200 {
				at := signedAt.Add(time.Duration(j%2) * 24 * time.Hour)
				r := request(t, "/bucket/key"+strconv.Itoa(i*1000+j))
				if err := signer.Sign(r, "UNSIGNED-PAYLOAD", at); err != nil {
					t.Error(err)
				}
				if _, err := verifierAt(at).Verify(sigv4test.Receive(r)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
}
