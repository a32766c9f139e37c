package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// traffic counts what clients sent and what came of it.
type traffic struct {
	requests atomic.Int64 // as the program that uses the SDK counts them
	sent     atomic.Int64 // over the network: a request that the SDK sends again counts twice
	broken   atomic.Int64 // of those, connections that ended without an answer
	refused  atomic.Int64 // of those, answers of 500 and above
	cut      atomic.Int64 // bodies of GETs that broke off, and were asked for again

	mu   sync.Mutex
	why  map[string]int // errors and statuses that the SDK met and hid
	http aws.HTTPClient
}

func newTraffic() *traffic {
	return &traffic{why: map[string]int{}, http: awshttp.NewBuildableClient()} // the SDK's own, with its default settings
}

// Do implements aws.HTTPClient.
func (l *traffic) Do(req *http.Request) (*http.Response, error) {
	l.sent.Add(1)
	resp, err := l.http.Do(req)
	switch {
	case err != nil:
		l.broken.Add(1)
		l.note(req.Method + ": " + innermost(err).Error())
	case resp.StatusCode >= http.StatusInternalServerError:
		l.refused.Add(1)
		l.note(req.Method + ": " + resp.Status)
	}
	return resp, err
}

func (l *traffic) note(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.why[what]++
}

// String tells what the SDK hid.
func (l *traffic) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d requests, sent %d times, %d connections broke, %d answers of 500 and above, %d bodies cut; hidden by the SDK: %v",
		l.requests.Load(), l.sent.Load(), l.broken.Load(), l.refused.Load(), l.cut.Load(), l.why)
}

func innermost(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

// visitor is one client with keys of its own. It does one thing after the other, and knows what each key must hold: what was last
// acknowledged.
type visitor struct {
	s3      *s3.Client
	traffic *traffic
	bucket  string
	prefix  string
	random  *rand.Rand
	want    map[string]content
	// again says that a body which breaks off is asked for again: a process was killed, and no SDK repeats what it has given out already.
	again bool
}

// content is what a key must hold.
type content struct {
	body payload
	etag string
}

// visitors are n clients with the SDK's default settings, each with connections of its own.
func (s *site) visitors(n int, endpoint, bucket string, again bool, traffic *traffic) []*visitor {
	var all []*visitor
	for i := range n {
		all = append(all, &visitor{
			s3: s3.New(s3.Options{
				Region: region, BaseEndpoint: &endpoint, UsePathStyle: true, HTTPClient: traffic,
				Credentials: credentials.NewStaticCredentialsProvider(s.access, s.secret, ""),
			}),
			traffic: traffic, bucket: bucket, prefix: fmt.Sprintf("visitor %d/", i),
			random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), want: map[string]content{}, again: again,
		})
	}
	return all
}

// visit has all visitors act until stop is called, which waits for them. An act that fails, or finds what it must not, fails the test.
func visit(t *testing.T, all []*visitor) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, v := range all {
		running.Go(func() {
			for ctx.Err() == nil && !t.Failed() {
				if what, err := v.act(); err != nil {
					t.Errorf("%s%s: %v", v.prefix, what, err)
				}
			}
		})
	}
	return func() { cancel(); running.Wait() }
}

// act does one thing of a mixed load, on one of a few keys, so that what is read was often written or deleted just before, through
// another replica.
func (v *visitor) act() (what string, err error) {
	// Longer than all attempts of the SDK: no act is given up by the test itself.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	key := fmt.Sprintf("%s%d", v.prefix, v.random.IntN(6))
	switch n := v.random.IntN(100); {
	case n < 25:
		return "PUT of a small object", v.put(ctx, key, v.random.Int64N(60_000))
	case n < 29:
		return "PUT of a large object", v.put(ctx, key, mib+v.random.Int64N(mib/2))
	case n < 32:
		return "upload in parts", v.upload(ctx, key)
	case n < 52:
		return "GET", v.get(ctx, key)
	case n < 64:
		return "GET of a range", v.getRange(ctx, key)
	case n < 72:
		return "HEAD", v.head(ctx, key)
	case n < 80:
		return "LIST", v.list(ctx)
	case n < 90:
		return "DELETE", v.remove(ctx, key)
	default:
		return "COPY", v.copy(ctx, key, fmt.Sprintf("%s%d", v.prefix, v.random.IntN(6)))
	}
}

func (v *visitor) put(ctx context.Context, key string, size int64) error {
	v.traffic.requests.Add(1)
	p := newPayload(size)
	if _, err := v.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &v.bucket, Key: &key, Body: bytes.NewReader(p.bytes())}); err != nil {
		return err
	}
	v.want[key] = content{p, p.etag()}
	return nil
}

func (v *visitor) upload(ctx context.Context, key string) error {
	const partSize = 5 * mib
	p := newPayload(partSize + 1 + v.random.Int64N(50_000))
	v.traffic.requests.Add(1)
	made, err := v.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &v.bucket, Key: &key})
	if err != nil {
		return err
	}
	body := p.bytes()
	var parts []types.CompletedPart
	for i, piece := range [][]byte{body[:partSize], body[partSize:]} {
		number := aws.Int32(int32(i + 1))
		v.traffic.requests.Add(1)
		out, err := v.s3.UploadPart(ctx, &s3.UploadPartInput{Bucket: &v.bucket, Key: &key, UploadId: made.UploadId, PartNumber: number, Body: bytes.NewReader(piece)})
		if err != nil {
			return fmt.Errorf("part %d: %w", i+1, err)
		}
		parts = append(parts, types.CompletedPart{PartNumber: number, ETag: out.ETag})
	}
	v.traffic.requests.Add(1)
	if _, err = v.s3.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &v.bucket, Key: &key, UploadId: made.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}); err != nil {
		return fmt.Errorf("complete: %w", err)
	}
	v.want[key] = content{p, p.multipartETag(partSize)}
	return nil
}

// missing says whether an answer is that there is no such key.
func missing(err error) bool {
	var none *types.NoSuchKey
	var head *types.NotFound
	return errors.As(err, &none) || errors.As(err, &head)
}

// judge compares an answer's ETag with what the key must hold. absent says that it must, and does, hold nothing.
func (v *visitor) judge(key string, etag *string, err error) (absent bool, _ error) {
	want, there := v.want[key]
	switch {
	case err != nil && missing(err) && !there:
		return true, nil
	case err != nil:
		return false, fmt.Errorf("%s, which was written: %v: %w", key, there, err)
	case !there:
		return false, fmt.Errorf("%s was deleted and is back, with ETag %s", key, aws.ToString(etag))
	case strings.Trim(aws.ToString(etag), `"`) != want.etag:
		return false, fmt.Errorf("%s has ETag %s, the last acknowledged is %s", key, aws.ToString(etag), want.etag)
	}
	return false, nil
}

func (v *visitor) get(ctx context.Context, key string) error { return v.read(ctx, key, 0, -1) }

func (v *visitor) getRange(ctx context.Context, key string) error {
	size := v.want[key].body.size
	if size < 2 {
		return v.get(ctx, key)
	}
	first := v.random.Int64N(size)
	return v.read(ctx, key, first, first+v.random.Int64N(size-first))
}

// read reads bytes first to last, or all where last is below zero, and compares them.
func (v *visitor) read(ctx context.Context, key string, first, last int64) error {
	in := &s3.GetObjectInput{Bucket: &v.bucket, Key: &key}
	if last >= 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", first, last))
	}
	for {
		v.traffic.requests.Add(1)
		out, err := v.s3.GetObject(ctx, in)
		var etag *string
		if err == nil {
			etag = out.ETag
			defer out.Body.Close()
		}
		if absent, err := v.judge(key, etag, err); absent || err != nil {
			return err
		}
		got, err := io.ReadAll(out.Body)
		if err != nil && v.again && ctx.Err() == nil {
			v.traffic.cut.Add(1)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s, after %d bytes: %w", key, len(got), err)
		}
		want := v.want[key].body.bytes()
		if last >= 0 {
			want = want[first : last+1]
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%s: %d other bytes came, want %d", key, len(got), len(want))
		}
		return nil
	}
}

func (v *visitor) head(ctx context.Context, key string) error {
	v.traffic.requests.Add(1)
	out, err := v.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &v.bucket, Key: &key})
	if err != nil {
		_, err = v.judge(key, nil, err)
		return err
	}
	if _, err := v.judge(key, out.ETag, nil); err != nil {
		return err
	}
	if got := aws.ToInt64(out.ContentLength); got != v.want[key].body.size {
		return fmt.Errorf("%s has %d bytes, want %d", key, got, v.want[key].body.size)
	}
	return nil
}

func (v *visitor) list(ctx context.Context) error {
	v.traffic.requests.Add(1)
	out, err := v.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &v.bucket, Prefix: &v.prefix})
	if err != nil {
		return err
	}
	got, want := map[string]object{}, map[string]object{}
	for _, o := range out.Contents {
		got[*o.Key] = object{ETag: strings.Trim(aws.ToString(o.ETag), `"`), Size: aws.ToInt64(o.Size)}
	}
	for key, c := range v.want {
		want[key] = object{ETag: c.etag, Size: c.body.size}
	}
	if !maps.EqualFunc(got, want, object.same) {
		return fmt.Errorf("listed %v, want %v", got, want)
	}
	return nil
}

func (v *visitor) remove(ctx context.Context, key string) error {
	v.traffic.requests.Add(1)
	if _, err := v.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &v.bucket, Key: &key}); err != nil {
		return err
	}
	delete(v.want, key)
	return nil
}

func (v *visitor) copy(ctx context.Context, from, to string) error {
	if from == to {
		return nil
	}
	v.traffic.requests.Add(1)
	source := v.bucket + "/" + strings.ReplaceAll(from, " ", "%20")
	out, err := v.s3.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &v.bucket, Key: &to, CopySource: &source})
	want, there := v.want[from]
	if err != nil && !there && strings.Contains(err.Error(), "NoSuchKey") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s, which was written: %v: %w", from, there, err)
	}
	if !there {
		return fmt.Errorf("%s was deleted, and copied all the same", from)
	}
	// A copy that the proxy streams has the ETag of an object in one piece.
	etag := strings.Trim(aws.ToString(out.CopyObjectResult.ETag), `"`)
	if etag != want.etag && etag != want.body.etag() {
		return fmt.Errorf("copy of %s has ETag %s, want %s", from, etag, want.etag)
	}
	v.want[to] = content{want.body, etag}
	return nil
}

// checkAll reads back everything that a visitor wrote, and that nothing else is there.
func (v *visitor) checkAll(ctx context.Context) error {
	for _, key := range slices.Sorted(maps.Keys(v.want)) {
		if err := v.get(ctx, key); err != nil {
			return err
		}
	}
	return v.list(ctx)
}

// leave gives the storage its memory back.
func (v *visitor) leave(ctx context.Context) error {
	for key := range v.want {
		if err := v.remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}
