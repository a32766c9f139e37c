package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cofre/internal/longtest"
)

// stalledEach is how many requests stand still at once: enough that what one holds shows beside what the process holds anyway.
const stalledEach = 100

// TestRequestsHoldNoMoreThanTheyWereAdmittedWith stops a hundred uploads and a hundred downloads in the middle, and compares what the
// process holds more than before with what it admitted them for. The garbage collector is told to leave nothing lying about.
func TestRequestsHoldNoMoreThanTheyWereAdmittedWith(t *testing.T) {
	t.Setenv("GOGC", "5")
	s := newSite(t, "")
	s.moreConfig = "limits: {memory: 1GiB}\n"
	r := s.start(t, "cofre")
	bucket := r.bucket(t, "admission")
	const size = 24 * mib
	p := newPayload(size)
	if _, err := r.client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("large"), Body: stream{p.reader()}, ContentLength: aws.Int64(size)},
		s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware), func(o *s3.Options) {
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, method, key string }{{"uploads", http.MethodPut, "stalled-%d"}, {"downloads", http.MethodGet, "large"}} {
		before := r.metrics(t)
		var open []net.Conn
		for i := range stalledEach {
			key := c.key
			if strings.Contains(key, "%") {
				key = fmt.Sprintf(key, i)
			}
			open = append(open, r.stall(t, c.method, bucket, key, size))
		}
		after := r.metrics(t)
		for deadline := time.Now().Add(time.Minute); after.requests < stalledEach && time.Now().Before(deadline); after = r.metrics(t) {
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(2 * time.Second) // until their buffers are full and the collector has been by
		after = r.metrics(t)
		held, admitted := after.held-before.held, after.admitted
		t.Logf("%d %s: %d KiB each held, %d KiB each admitted", int(after.requests), c.name, int(held/after.requests)>>10, int(admitted/after.requests)>>10)
		longtest.Figure(t, "KiB held by each of the stalled "+c.name, int(held/max(after.requests, 1))>>10)
		if after.requests < stalledEach || held > admitted {
			t.Errorf("%d %s hold %d MiB, and were admitted with %d", int(after.requests), c.name, int(held)>>20, int(admitted)>>20)
		}
		for _, conn := range open {
			conn.Close()
		}
		for deadline := time.Now().Add(time.Minute); r.metrics(t).requests > 0 && time.Now().Before(deadline); {
			time.Sleep(100 * time.Millisecond)
		}
	}
	if _, err := r.client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String("large")}); err != nil {
		t.Error(err)
	}
}

// stall sends the head of a request and half a MiB of a body, or reads nothing of an answer, over a connection of its own.
func (r *replica) stall(t *testing.T, method, bucket, key string, size int64) net.Conn {
	t.Helper()
	u, err := url.Parse(r.endpoint + "/" + bucket + "/" + key)
	if err != nil {
		t.Fatal(err)
	}
	rq := &http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}}}
	if method == http.MethodPut {
		rq.ContentLength = size
	}
	keys, err := credentials.NewStaticCredentialsProvider(r.access, r.secret, "").Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := v4.NewSigner().SignHTTP(t.Context(), keys, rq, "UNSIGNED-PAYLOAD", "s3", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	_ = conn.(*net.TCPConn).SetReadBuffer(32 << 10)
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", method, u.RequestURI(), u.Host, rq.ContentLength)
	for name, values := range rq.Header {
		head += name + ": " + values[0] + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPut {
		if _, err := conn.Write(make([]byte, 512<<10)); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// held is what /metrics says of memory and admission.
type heldMetrics struct{ held, admitted, requests float64 }

var metricLine = regexp.MustCompile(`^([a-z_]+)(\{[^}]*\})? (\S+)$`)

func (r *replica) metrics(t *testing.T) (m heldMetrics) {
	t.Helper()
	resp, err := http.Get(r.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		found := metricLine.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		v, err := strconv.ParseFloat(found[3], 64)
		if err != nil {
			continue
		}
		switch found[1] {
		case "go_memstats_heap_alloc_bytes", "go_memstats_stack_inuse_bytes":
			m.held += v
		case "cofre_admission_memory_bytes":
			m.admitted += v
		case "cofre_admission_requests":
			m.requests += v
		}
	}
	return m
}
