package e2e_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	parallelUploads = 16
	uploadSize      = 256 * mib
	memoryLimit     = 200 * mib
)

// Bodies are never held: sixteen uploads at once of 256 MiB each, in one PUT each, within 200 MiB from start to end.
func TestParallelUploadsStayWithinMemory(t *testing.T) {
	r := newSite(t, "").start(t, "cofre")
	bucket := r.bucket(t, "memory")
	idle := peakMemory(t, r)
	var uploads sync.WaitGroup
	for i := range parallelUploads {
		uploads.Go(func() {
			p, key := newPayload(uploadSize), fmt.Sprintf("large-%d", i)
			_, err := r.client().PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: &bucket, Key: &key, Body: stream{p.reader()}, ContentLength: aws.Int64(p.size),
			}, s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware), func(o *s3.Options) {
				o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
			})
			if err != nil {
				t.Errorf("upload %d: %v", i, err)
			}
		})
	}
	uploads.Wait()
	writing := peakMemory(t, r)
	var downloads sync.WaitGroup
	for i := range parallelUploads {
		downloads.Go(func() {
			key := fmt.Sprintf("large-%d", i)
			if _, err := read(t.Context(), r, bucket, key); err != nil {
				t.Errorf("download %d: %v", i, err)
			}
		})
	}
	downloads.Wait()
	reading := peakMemory(t, r)
	t.Logf("peak resident memory: %d MiB after start, %d after %d uploads at once, %d after as many downloads", idle/mib, writing/mib, parallelUploads, reading/mib)
	if reading >= memoryLimit {
		t.Errorf("peak resident memory is %d MiB, the limit is %d", reading/mib, memoryLimit/mib)
	}
	// The gateway of the test environment keeps its data in memory: give it back.
	for i := range parallelUploads {
		if _, err := r.client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String(fmt.Sprintf("large-%d", i))}); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
}

var peak = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// peakMemory is the most resident memory that the process ever had, in bytes.
func peakMemory(t *testing.T, r *replica) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		lack(t, "procfs", err.Error())
	}
	match := peak.FindSubmatch(status)
	if match == nil {
		t.Fatalf("no VmHWM in:\n%s", status)
	}
	kib, err := strconv.ParseInt(string(match[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
