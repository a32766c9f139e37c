package e2e_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"

	"cofre/internal/longtest"
)

const (
	// manyRequests is what one client has in flight at once.
	manyRequests = 1000
	// memoryAtRest, memoryPerRequest: what docs/RELIABILITY.md states as the most that a process holds.
	memoryAtRest     = 110 * mib
	memoryPerRequest = 400 << 10
)

// A thousand uploads at once, then a thousand downloads, each stopped in its middle until all others are there: memory is that of a
// few chunks each, and it is given back.
func TestMemoryIsFlatForAThousandRequests(t *testing.T) {
	storage, backend := newForgetful(t)
	s := newSiteAs(t, backend, "")
	s.moreConfig = "limits: {requests: 2048, memory: 2GiB}\n" // one credential alone gets four fifths
	r := s.start(t, "cofre")
	bucket := r.bucket(t, "memory")
	client := r.clientOfMany(manyRequests)
	const size = 1 * mib
	rest := r.usage(t)
	t.Logf("at rest: %v", rest)
	for _, n := range []int{100, manyRequests} {
		r.resetPeak(t)
		meet := newMeeting(n)
		var uploads sync.WaitGroup
		for i := range n {
			uploads.Go(func() {
				defer meet.arrive(i) // also of one that was refused
				put(t, client, bucket, fmt.Sprint("upload ", i), &patternReader{size: size, half: func() { meet.arrive(i); meet.wait() }})
			})
		}
		<-meet.complete
		during := r.usage(t)
		meet.goOn()
		uploads.Wait()
		t.Logf("%d uploads in their middle: %v; peak %d MiB", n, during, r.usage(t).peak/mib)
		r.wantPeak(t, n)
	}

	storage.keepAll.Store(true)
	put(t, client, bucket, "download", &patternReader{size: 4 * mib})
	r.resetPeak(t)
	meet := newMeeting(manyRequests)
	var downloads sync.WaitGroup
	for i := range manyRequests {
		downloads.Go(func() {
			defer meet.arrive(i)
			get(t, client, bucket, "download", &patternReader{size: 4 * mib, half: func() { meet.arrive(i); meet.wait() }})
		})
	}
	<-meet.complete
	during := r.usage(t)
	meet.goOn()
	downloads.Wait()
	t.Logf("%d downloads in their middle: %v; peak %d MiB", manyRequests, during, r.usage(t).peak/mib)
	r.wantPeak(t, manyRequests)
	longtest.Figure(t, "MiB resident at rest", int(rest.resident/mib))
}

// One object of 50 GiB (2 GiB in the short form) in ten parts that are all sent at once, and one of 1 GiB that is read again: memory
// does not know how large a part is.
func TestMemoryIsFlatForALargeObject(t *testing.T) {
	storage, backend := newForgetful(t)
	r := newSiteAs(t, backend, "").start(t, "cofre")
	bucket, client := r.bucket(t, "large"), r.clientOfMany(20)
	const parts = 10
	partSize := int64(2048 / parts * mib)
	if _, long := longtest.Long(t); long {
		partSize = 5 << 30
	}
	r.resetPeak(t)
	uploadPattern(t, client, bucket, "large", parts, partSize)
	if got := storage.dropped.Load(); got < parts*(partSize-smallestPart) {
		t.Errorf("only %d bytes came to the storage and were dropped", got)
	}
	t.Logf("after an upload of %d MiB in %d parts at once: %v", parts*partSize/mib, parts, r.usage(t))
	r.wantPeak(t, parts)
	// That the storage dropped them does not go unnoticed.
	if _, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("large")}, func(o *s3.Options) { o.RetryMaxAttempts = 1 }); statusOf(err) != http.StatusInternalServerError {
		t.Errorf("HEAD of an object of which the storage kept a beginning: %v", err)
	}

	storage.keepAll.Store(true)
	const readSize = 1024 * mib
	uploadPattern(t, client, bucket, "read", 2, readSize/2)
	r.resetPeak(t)
	var downloads sync.WaitGroup
	for range 2 {
		downloads.Go(func() {
			get(t, client, bucket, "read", io.MultiReader(&patternReader{size: readSize / 2}, &patternReader{size: readSize / 2}))
		})
	}
	downloads.Wait()
	t.Logf("after two downloads of %d MiB at once: %v", readSize/mib, r.usage(t))
	r.wantPeak(t, 2)
	longtest.Figure(t, "MiB in one object", int(parts*partSize/mib))
}

// clientOfMany is the SDK with room for n connections, and bodies that go out as they are: neither hashed nor held.
func (r *replica) clientOfMany(n int) *s3.Client {
	return s3.New(s3.Options{
		Region: region, BaseEndpoint: aws.String(r.endpoint), UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider(r.access, r.secret, ""),
		HTTPClient:                 &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		APIOptions:                 []func(*middleware.Stack) error{v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware},
	})
}

func put(t *testing.T, client *s3.Client, bucket, key string, body *patternReader) {
	t.Helper()
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: body, ContentLength: &body.size}); err != nil {
		t.Errorf("PUT %s: %v", key, err)
	}
}

// get reads an object and compares it.
func get(t *testing.T, client *s3.Client, bucket, key string, want io.Reader) {
	t.Helper()
	out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Errorf("GET %s: %v", key, err)
		return
	}
	defer out.Body.Close()
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := 0; ; at += len(a) {
		n, errWant := io.ReadFull(want, a)
		m, errGot := io.ReadFull(out.Body, b)
		if !bytes.Equal(a[:n], b[:m]) || (errWant == nil) != (errGot == nil) {
			t.Errorf("GET %s: other bytes came behind %d: %v", key, at, errGot)
			return
		}
		if errWant != nil {
			return
		}
	}
}

// uploadPattern sends an object whose parts all hold the same pattern, all at once.
func uploadPattern(t *testing.T, client *s3.Client, bucket, key string, parts int, partSize int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Hour)
	defer cancel()
	sum := md5.New()
	if _, err := io.Copy(sum, &patternReader{size: partSize}); err != nil {
		t.Fatal(err)
	}
	part := sum.Sum(nil)
	made, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	sent := make([]types.CompletedPart, parts)
	var all sync.WaitGroup
	for i := range parts {
		all.Go(func() {
			number := aws.Int32(int32(i + 1))
			out, err := client.UploadPart(ctx, &s3.UploadPartInput{
				Bucket: &bucket, Key: &key, UploadId: made.UploadId, PartNumber: number, Body: &patternReader{size: partSize}, ContentLength: &partSize,
			})
			if err != nil {
				t.Errorf("part %d: %v", i+1, err)
				return
			}
			if got := strings.Trim(aws.ToString(out.ETag), `"`); got != hex.EncodeToString(part) {
				t.Errorf("part %d: ETag %s, want %x", i+1, got, part)
			}
			sent[i] = types.CompletedPart{PartNumber: number, ETag: out.ETag}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	out, err := client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: &key, UploadId: made.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: sent},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Trim(aws.ToString(out.ETag), `"`), fmt.Sprintf("%x-%d", md5.Sum(bytes.Repeat(part, parts)), parts); got != want {
		t.Errorf("%s: ETag %s, want %s", key, got, want)
	}
}

// pattern is what a patternReader repeats: cheap to make, and no two chunks of an object begin alike.
var pattern = newPayload(1_000_003).bytes()

// patternReader is a body of any size that costs nothing to make or hold. half is called once, before its second half.
type patternReader struct {
	size, at int64
	half     func()
}

func (p *patternReader) Read(b []byte) (int, error) {
	if p.at == p.size {
		return 0, io.EOF
	}
	if p.half != nil && p.at >= p.size/2 {
		p.half()
		p.half = nil
	}
	n := copy(b[:min(int64(len(b)), p.size-p.at)], pattern[p.at%int64(len(pattern)):])
	p.at += int64(n)
	return n, nil
}

// Seek implements io.Seeker: an SDK begins anew where it sends a request again.
func (p *patternReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		p.at = offset
	case io.SeekCurrent:
		p.at += offset
	case io.SeekEnd:
		p.at = p.size + offset
	}
	return p.at, nil
}

// meeting has everybody wait until everybody else is there.
type meeting struct {
	mu       sync.Mutex
	there    map[int]bool
	n        int
	complete chan struct{} // closed once all are there
	end      chan struct{} // closed for them to go on
}

func newMeeting(n int) *meeting {
	return &meeting{there: map[int]bool{}, n: n, complete: make(chan struct{}), end: make(chan struct{})}
}

func (m *meeting) arrive(i int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.there[i] {
		return
	}
	m.there[i] = true
	if len(m.there) == m.n {
		close(m.complete)
	}
}

func (m *meeting) wait() { <-m.end }
func (m *meeting) goOn() { close(m.end) }

// usage is what a process holds.
type usage struct {
	resident, peak          int64 // bytes
	goroutines, descriptors int
}

func (u usage) String() string {
	return fmt.Sprintf("%d MiB resident, %d goroutines, %d descriptors", u.resident/mib, u.goroutines, u.descriptors)
}

// usage asks the kernel and the process itself.
func (r *replica) usage(t *testing.T) usage {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		lack(t, "procfs", err.Error())
	}
	resp, err := http.Get(r.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	metrics, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	figure := func(text []byte, pattern string) int64 {
		match := regexp.MustCompile(`(?m)^` + pattern).FindSubmatch(text)
		if match == nil {
			t.Fatalf("no %s in:\n%s", pattern, text)
		}
		n, err := strconv.ParseInt(string(match[1]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return usage{
		resident: figure(status, `VmRSS:\s+(\d+) kB$`) << 10, peak: figure(status, `VmHWM:\s+(\d+) kB$`) << 10,
		goroutines: int(figure(metrics, `go_goroutines (\d+)`)), descriptors: int(figure(metrics, `process_open_fds (\d+)`)),
	}
}

// resetPeak has the kernel forget the most that the process held.
func (r *replica) resetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", r.cmd.Process.Pid), []byte("5"), 0); err != nil {
		lack(t, "procfs", err.Error())
	}
}

// wantPeak fails if the process held more than it may for so many requests at once.
func (r *replica) wantPeak(t *testing.T, requests int) {
	t.Helper()
	limit := int64(memoryAtRest + requests*memoryPerRequest)
	if peak := r.usage(t).peak; peak > limit {
		t.Errorf("peak resident memory with %d requests is %d MiB, the limit is %d", requests, peak/mib, limit/mib)
	}
}
