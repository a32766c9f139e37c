package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// serveLoad is the load process: a job on each line of its input, a result on each line of its output. It is a process of its own so
// that its CPU is nobody else's.
func serveLoad(in io.Reader, out io.Writer) error {
	jobs, results := json.NewDecoder(in), json.NewEncoder(out)
	bodies := newPayloads()
	for {
		var j Job
		if err := jobs.Decode(&j); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		before, err := processCPU(os.Getpid())
		if err != nil {
			return err
		}
		r, err := runJob(j, bodies)
		if err != nil {
			r.Error = err.Error()
		}
		after, err := processCPU(os.Getpid())
		if err != nil {
			return err
		}
		r.CPU = after - before
		if err := results.Encode(r); err != nil {
			return err
		}
	}
}

// load is a job that is being done.
type load struct {
	Job
	bodies *payloads
	signer *signer
	end    time.Time
	taken  atomic.Int64 // operations begun
	run    string       // makes fresh keys differ from those of another job
}

// runJob does a job with a goroutine for each connection.
func runJob(j Job, bodies *payloads) (Result, error) {
	start := time.Now()
	l := &load{
		Job: j, bodies: bodies, signer: newSigner(j.Endpoint.Access, j.Endpoint.Secret, start),
		end: start.Add(j.Duration), run: strconv.FormatInt(start.UnixNano(), 36),
	}
	if j.Kind == KindMultipart {
		return l.multipart()
	}
	bodies.of(j.Size) // outside the time that is measured
	start = time.Now()
	l.end = start.Add(j.Duration)
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		times   []time.Duration
		moved   int64
		failed  error
	)
	for range max(j.Connections, 1) {
		running.Go(func() {
			c := newClient(j.Endpoint, l.signer, bodies)
			defer c.close()
			mine, bytes, err := l.repeat(c)
			mu.Lock()
			defer mu.Unlock()
			times, moved = append(times, mine...), moved+bytes
			failed = errors.Join(failed, err)
		})
	}
	running.Wait()
	return result(times, moved, time.Since(start)), failed
}

func result(times []time.Duration, moved int64, elapsed time.Duration) Result {
	r := Result{Operations: len(times), Bytes: moved, Elapsed: elapsed}
	if len(times) > 0 {
		slices.Sort(times)
		r.P50, r.P99 = times[len(times)/2], times[len(times)*99/100]
	}
	return r
}

// next says whether another operation is to be begun, and which one.
func (l *load) next() (n int64, ok bool) {
	n = l.taken.Add(1) - 1
	if l.Count > 0 && (n >= int64(l.Count) || l.Duration == 0) {
		return n, n < int64(l.Count)
	}
	return n, time.Now().Before(l.end)
}

func (l *load) repeat(c *client) (times []time.Duration, moved int64, err error) {
	for {
		n, ok := l.next()
		if !ok {
			return times, moved, nil
		}
		begin := time.Now()
		bytes, err := l.one(c, n)
		if err != nil {
			return times, moved, err
		}
		times, moved = append(times, time.Since(begin)), moved+bytes
	}
}

// key is the key of the nth operation.
func (l *load) key(n int64) string {
	switch {
	case l.Fresh:
		return l.Key + l.run + "-" + strconv.FormatInt(n, 10)
	case l.Keys == 0:
		return l.Key
	case l.Kind == KindPut || l.Kind == KindMultipart || l.Kind == KindDelete:
		return l.Key + fmt.Sprintf("%08d", n%int64(l.Keys))
	}
	return l.Key + fmt.Sprintf("%08d", rand.IntN(l.Keys)) //nolint:gosec // any key will do
}

// one does one operation and says how many bytes it moved.
func (l *load) one(c *client, n int64) (int64, error) {
	rq := request{method: "GET", path: "/" + l.Bucket + "/" + l.key(n)}
	switch l.Kind {
	case KindBucket:
		_, err := c.do(request{method: "PUT", path: "/" + l.Bucket}, false)
		return 0, err
	case KindPut:
		rq.method, rq.mode, rq.length = "PUT", l.Mode, l.Size
		_, err := c.do(rq, false)
		return l.Size, err
	case KindDelete:
		rq.method = "DELETE"
		_, err := c.do(rq, false)
		return 0, err
	case KindGet:
		return l.read(c, rq, 0, l.Size)
	case KindRange:
		const step = 4 << 10                              // where blocks of databases and file systems begin
		off := rand.Int64N((l.Size-l.Part)/step+1) * step //nolint:gosec // any range will do
		rq.more = fmt.Sprintf("range: bytes=%d-%d\r\n", off, off+l.Part-1)
		return l.read(c, rq, off, l.Part)
	case KindHead:
		rq.method = "HEAD"
		a, err := c.do(rq, false)
		if err == nil && a.length != l.Size {
			err = fmt.Errorf("HEAD %s: %d bytes, want %d", rq.path, a.length, l.Size)
		}
		return 0, err
	case KindList:
		return 0, l.list(c, n)
	case KindCopy:
		rq.method, rq.path = "PUT", fmt.Sprintf("/%s/copy/%d", l.Bucket, n%int64(l.Connections))
		rq.header = []pair{{"x-amz-copy-source", "/" + l.Bucket + "/" + l.Key}}
		a, err := c.do(rq, true)
		if err == nil && !strings.Contains(string(a.body), "<ETag>") {
			err = fmt.Errorf("copy: %s", a.body)
		}
		return 0, err
	}
	return 0, fmt.Errorf("job of unknown kind %q", l.Kind)
}

// read reads an object or a range of it, which is so many bytes from off on.
func (l *load) read(c *client, rq request, off, want int64) (int64, error) {
	a, err := c.do(rq, l.Check)
	if err == nil && a.length != want {
		err = fmt.Errorf("GET %s: %d bytes, want %d", rq.path, a.length, want)
	}
	if err == nil && l.Check && !l.bodies.matches(a.body, off) {
		err = fmt.Errorf("GET %s: other bytes than were written", rq.path)
	}
	return want, err
}

// list reads one page of a listing, the next one of all.
func (l *load) list(c *client, n int64) error {
	page := n % int64(max(l.Keys/PageSize, 1))
	query := url.Values{"list-type": {"2"}, "max-keys": {strconv.Itoa(PageSize)}, "prefix": {l.Key}}
	if page > 0 {
		query.Set("start-after", fmt.Sprintf("%s%08d", l.Key, page*PageSize-1))
	}
	a, err := c.do(request{method: "GET", path: "/" + l.Bucket, query: query.Encode()}, true)
	if err != nil {
		return err
	}
	size := "<Size>" + strconv.FormatInt(l.Size, 10) + "</Size>"
	if got, want := strings.Count(string(a.body), size), min(PageSize, l.Keys); got != want {
		return fmt.Errorf("listing: %d entries with %s, want %d: %.500s", got, size, want, a.body)
	}
	return nil
}
