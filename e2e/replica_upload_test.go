package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/internal/longtest"
)

// begin starts an upload in parts through one replica.
func (r *replica) begin(t *testing.T, bucket, key string) string {
	t.Helper()
	made, err := r.client().CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatalf("create upload at %s: %v", r.name, err)
	}
	return *made.UploadId
}

// sendPart sends one part through one replica and gives what Complete has to say of it.
func (r *replica) sendPart(t *testing.T, bucket, key, upload string, number int32, body []byte) types.CompletedPart {
	t.Helper()
	out, err := r.client().UploadPart(t.Context(), &s3.UploadPartInput{
		Bucket: &bucket, Key: &key, UploadId: &upload, PartNumber: &number, Body: bytes.NewReader(body),
	})
	if err != nil {
		t.Errorf("part %d at %s: %v", number, r.name, err)
		return types.CompletedPart{PartNumber: &number}
	}
	return types.CompletedPart{PartNumber: &number, ETag: out.ETag}
}

// join completes an upload through one replica.
func (r *replica) join(ctx context.Context, bucket, key, upload string, parts ...types.CompletedPart) (string, error) {
	out, err := r.client().CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: &key, UploadId: &upload, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	if err != nil {
		return "", err
	}
	return strings.Trim(aws.ToString(out.ETag), `"`), nil
}

// The parts of one upload go through three replicas at the same time, one number through two of them with different bytes, and two
// replicas are told to complete it at once. Both say the same, and every replica reads one and the same object.
func TestPartsOfOneUploadGoThroughEveryReplica(t *testing.T) {
	s := newSite(t, "")
	replicas := []*replica{s.start(t, "one"), s.start(t, "two"), s.start(t, "three")}
	bucket := replicas[0].bucket(t, "parts")
	uploads := 0
	for round := range longtest.Rounds(t, 2) {
		key := fmt.Sprint("upload ", round)
		id := replicas[round%3].begin(t, bucket, key)
		bodies := [][]byte{newPayload(5 * mib).bytes(), newPayload(5 * mib).bytes(), newPayload(300_000).bytes()}
		rival := newPayload(5 * mib).bytes()
		parts := make([]types.CompletedPart, len(bodies))
		var sending sync.WaitGroup
		for i, body := range bodies {
			sending.Go(func() { parts[i] = replicas[(i+round)%3].sendPart(t, bucket, key, id, int32(i+1), body) })
		}
		sending.Go(func() { replicas[(2+round)%3].sendPart(t, bucket, key, id, 2, rival) })
		sending.Wait()
		listed, err := replicas[(round+1)%3].client().ListParts(t.Context(), &s3.ListPartsInput{Bucket: &bucket, Key: &key, UploadId: &id})
		if err != nil || len(listed.Parts) != len(bodies) {
			t.Fatalf("list parts: %d, %v", len(listed.Parts), err)
		}
		if second := listed.Parts[1].ETag; *second != *parts[1].ETag {
			bodies[1], parts[1].ETag = rival, second
		}
		etags := make([]string, 2)
		var joining sync.WaitGroup
		for i := range etags {
			joining.Go(func() {
				etag, err := replicas[(round+1+i)%3].join(t.Context(), bucket, key, id, parts...)
				if err != nil {
					t.Errorf("complete at %s: %v", replicas[(round+1+i)%3].name, err)
				}
				etags[i] = etag
			})
		}
		joining.Wait()
		if etags[0] != etags[1] {
			t.Errorf("one upload was completed twice, as %s and as %s", etags[0], etags[1])
		}
		for _, r := range replicas {
			r.wantBytes(t, bucket, key, etags[0], bytes.Join(bodies, nil))
		}
		replicas[0].remove(t, bucket, key)
		uploads++
	}
	longtest.Figure(t, "uploads through three replicas", uploads)
}

// wantBytes fails unless a replica reads just these bytes under that ETag, and lists them.
func (r *replica) wantBytes(t *testing.T, bucket, key, etag string, want []byte) {
	t.Helper()
	out, err := r.client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Errorf("GET %s at %s: %v", key, r.name, err)
		return
	}
	defer out.Body.Close()
	got, err := io.ReadAll(out.Body)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("GET %s at %s: %d bytes, not the %d that were written: %v", key, r.name, len(got), len(want), err)
	}
	if seen := strings.Trim(aws.ToString(out.ETag), `"`); seen != etag {
		t.Errorf("GET %s at %s: ETag %s, want %s", key, r.name, seen, etag)
	}
	if seen := r.listed(t, bucket)[key]; seen.ETag != etag || seen.Size != int64(len(want)) {
		t.Errorf("%s lists %s as %+v, want %s, %d bytes", r.name, key, seen, etag, len(want))
	}
}

func (r *replica) remove(t *testing.T, bucket, key string) {
	t.Helper()
	if _, err := r.client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
		t.Errorf("DELETE %s at %s: %v", key, r.name, err)
	}
}

// One replica completes an upload while another one is told to abort it. Whoever was told that the object is there finds it; where the
// upload was aborted instead, there is none.
func TestAbortAgainstCompleteAtAnotherReplicaLosesNothing(t *testing.T) {
	s := newSite(t, "")
	replicas := []*replica{s.start(t, "one"), s.start(t, "two")}
	bucket := replicas[0].bucket(t, "abort")
	completed, aborted := 0, 0
	for round := range longtest.Rounds(t, 12) {
		key, body := fmt.Sprint("upload ", round), newPayload(70_000).bytes()
		id := replicas[0].begin(t, bucket, key)
		part := replicas[1].sendPart(t, bucket, key, id, 1, body)
		var etag string
		var errJoin, errAbort error
		var both sync.WaitGroup
		both.Go(func() { etag, errJoin = replicas[round%2].join(t.Context(), bucket, key, id, part) })
		both.Go(func() {
			time.Sleep(time.Duration(rand.Int64N(int64(30 * time.Millisecond)))) // now and then in its middle
			_, errAbort = replicas[(round+1)%2].client().AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: &id})
		})
		both.Wait()
		switch {
		case errJoin == nil:
			completed++
			for _, r := range replicas {
				r.wantBytes(t, bucket, key, etag, body)
			}
		case errAbort == nil:
			aborted++
			if o, there := replicas[1].listed(t, bucket)[key]; there {
				t.Errorf("round %d: the upload was aborted, its Complete refused (%v), and the object is there: %+v", round, errJoin, o)
			}
		default:
			t.Errorf("round %d: neither came to anything: Complete %v; Abort %v", round, errJoin, errAbort)
		}
	}
	longtest.Figure(t, "uploads completed against an Abort", completed)
	longtest.Figure(t, "uploads aborted against a Complete", aborted)
}

// A replica is killed somewhere in an upload in parts, and somewhere in a download: the SDK's own uploader and downloader, which know
// the balancer alone, go on with the other one and notice nothing.
func TestReplicaKilledInAnUploadOrDownloadIsNotNoticed(t *testing.T) {
	c := startCluster(t, newSite(t, ""), 2)
	bucket := c.replicas[0].bucket(t, "victim")
	client := c.visitors(1, c.balancer.endpoint(), bucket, true, c.traffic)[0].s3
	const size, partSize = 11*mib + 5, 5 * mib
	var took [2]time.Duration
	kills := 0
	for round := range longtest.Rounds(t, 5) {
		p, key := newPayload(size), fmt.Sprint("object ", round)
		back := manager.NewWriteAtBuffer(nil)
		for i, step := range []func() error{
			func() error {
				_, err := manager.NewUploader(client).Upload(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(p.bytes())}) //nolint:staticcheck // deprecated, and what programs in the field use
				return err
			},
			func() error {
				_, err := manager.NewDownloader(client).Download(t.Context(), back, &s3.GetObjectInput{Bucket: &bucket, Key: &key}) //nolint:staticcheck // deprecated, and what programs in the field use
				return err
			},
		} {
			ended := make(chan error, 1)
			begin := time.Now()
			go func() { ended <- step() }()
			if round > 0 { // the first one tells how long it takes
				time.Sleep(time.Duration(rand.Int64N(int64(took[i]))))
				victim := (round + i) % 2
				c.replicas[victim].kill(t)
				c.replicas[victim].restart(t)
				c.waitTaken(t, victim)
				kills++
			}
			if err := <-ended; err != nil {
				t.Fatalf("round %d, step %d: %v", round, i, err)
			}
			if round == 0 {
				took[i] = time.Since(begin)
			}
		}
		p.wantReader(t, key, bytes.NewReader(back.Bytes()))
		c.replicas[0].wantObject(t, bucket, key, p, p.multipartETag(partSize))
		c.replicas[1].remove(t, bucket, key)
	}
	t.Log(c.traffic)
	longtest.Figure(t, "replicas killed in an upload or download", kills)
}
