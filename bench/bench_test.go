package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Everything that the table rests on, for being right; nothing here is timed.

// serveNullStorage gives a null storage, and the endpoint at which it is.
func serveNullStorage(t *testing.T, dropFrom ...string) (*nullStore, Endpoint) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &nullServer{newNullStore(dropFrom...)}
	go s.serve(l)
	address := l.Addr().String()
	return s.store, Endpoint{Address: address, Host: address, Access: "null", Secret: "null"}
}

// do does a job and fails where it does.
func do(t *testing.T, p *payloads, j Job) Result {
	t.Helper()
	if j.Count == 0 {
		j.Count = 2
	}
	r, err := runJob(j, p)
	if err != nil {
		t.Fatalf("%s: %v", j.Kind, err)
	}
	return r
}

// everyRow does the job of each row once, on small objects, with every byte looked at.
func everyRow(t *testing.T, e Endpoint, bucket string) {
	t.Helper()
	p := newPayloads()
	do(t, p, Job{Kind: KindBucket, Endpoint: e, Bucket: bucket, Count: 1})
	s := scale{large: 6*mib + 77, giant: 10*mib + 4096, listKeys: PageSize}
	for name, j := range datasets(s) {
		j.Endpoint, j.Bucket, j.Mode = e, bucket, modeUnsigned
		if r := do(t, p, j); r.Operations != j.Count {
			t.Errorf("%s: %d operations", name, r.Operations)
		}
	}
	for _, l := range workloads(s) {
		if l.Special != "" || l.Alone {
			continue
		}
		j := l.Job
		j.Endpoint, j.Bucket, j.Check, j.Count = e, bucket, true, 2
		if j.Fresh {
			j.Size, j.Part = min(j.Size, s.large), min(j.Part, 5*mib)
		}
		t.Run(l.Name, func(t *testing.T) {
			if r := do(t, p, j); r.Operations != 2 || r.P50 <= 0 || r.P99 < r.P50 {
				t.Errorf("result %+v", r)
			}
		})
	}
}

func TestEveryRowIsAnsweredRightlyByTheNullStorage(t *testing.T) {
	_, e := serveNullStorage(t, "plain")
	everyRow(t, e, "plain")
}

func TestEveryRowIsAnsweredRightlyThroughCofre(t *testing.T) {
	if testing.Short() {
		t.Skip("builds cofre")
	}
	store, e := serveNullStorage(t, "sealed")
	dir := t.TempDir()
	binary, err := buildCofre(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCofre(binary, dir, "site", e, "sqlite://"+filepath.Join(dir, "metadata.db"), buckets{opaque: "opaque", system: "system"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if took, err := c.serve(t.Context()); err != nil || took <= 0 {
		t.Fatalf("%v after %v", err, took)
	}
	t.Cleanup(c.stop)
	everyRow(t, c.endpoint(), "sealed")
	for key, o := range store.bucket("sealed").objects {
		for _, b := range o.blocks {
			if strings.Contains(string(b), string(newPayloads().block[:64])) {
				t.Fatalf("the storage holds %s in clear", key)
			}
		}
	}
	a, err := c.allocated(t.Context())
	if err != nil || a.count < 1000 || a.bytes < 1000 {
		t.Errorf("allocated %+v: %v", a, err)
	}
	before, err := treeCPU(c.pid())
	if err != nil || before <= 0 {
		t.Errorf("%v s of CPU: %v", before, err)
	}
	if err := resetPeak(c.pid()); err != nil {
		t.Error(err)
	}
	if bytes, err := peak(c.pid()); err != nil || bytes < mib {
		t.Errorf("%d bytes resident: %v", bytes, err)
	}
}

func TestAWrongAnswerIsNoResult(t *testing.T) {
	store, e := serveNullStorage(t, "plain")
	p := newPayloads()
	do(t, p, Job{Kind: KindBucket, Endpoint: e, Bucket: "plain", Count: 1})
	do(t, p, Job{Kind: KindPut, Endpoint: e, Bucket: "plain", Key: "keep/a", Size: 100_000, Mode: modeUnsigned, Count: 1})
	get := Job{Kind: KindGet, Endpoint: e, Bucket: "plain", Key: "keep/a", Size: 100_000, Count: 1, Check: true}
	do(t, p, get)
	other := get
	other.Size++
	if _, err := runJob(other, p); err == nil {
		t.Error("an object of another length was taken")
	}
	store.object("plain", "keep/a").blocks[0][99_999]++
	if _, err := runJob(get, p); err == nil {
		t.Error("other bytes were taken")
	}
	get.Key = "keep/none"
	if _, err := runJob(get, p); err == nil || !strings.Contains(err.Error(), "NoSuchKey") {
		t.Errorf("an object that is not there: %v", err)
	}
}

func TestWhatIsNotReadIsDropped(t *testing.T) {
	store, e := serveNullStorage(t, "plain")
	p := newPayloads()
	do(t, p, Job{Kind: KindBucket, Endpoint: e, Bucket: "plain", Count: 1})
	do(t, p, Job{Kind: KindPut, Endpoint: e, Bucket: "plain", Key: "put/", Fresh: true, Size: 3 * mib, Mode: modeTrailer})
	do(t, p, Job{Kind: KindMultipart, Endpoint: e, Bucket: "plain", Key: "parts/", Fresh: true, Size: 3 * mib, Part: mib, Connections: 2})
	do(t, p, Job{Kind: KindPut, Endpoint: e, Bucket: "plain", Key: "keep/large", Size: 64 * mib, Mode: modeUnsigned, Count: 1})
	if n := len(store.bucket("plain").objects); n != 1 {
		t.Errorf("%d objects are held", n)
	}
	o := store.object("plain", "keep/large")
	for _, b := range o.blocks {
		if &b[0] != &o.blocks[0][0] {
			t.Fatal("a body that repeats itself is held more than once")
		}
	}
	do(t, p, Job{Kind: KindDelete, Endpoint: e, Bucket: "plain", Key: "keep/large", Count: 1})
	if store.object("plain", "keep/large") != nil {
		t.Error("what was deleted is still there")
	}
}

func TestLengthsOfFramedBodiesAreThoseThatAreSent(t *testing.T) {
	p := newPayloads()
	s := newSigner("access", "secret", time.Now())
	for _, m := range []mode{modeUnsigned, modeHash, modeChunks, modeTrailer} {
		for _, n := range []int64{0, 1, wireChunk - 1, wireChunk, wireChunk + 1, period + 5, 3 * period} {
			client, server := net.Pipe()
			sent := make(chan int64, 1)
			go func() {
				defer server.Close()
				total, buf := int64(0), make([]byte, 64<<10)
				for {
					got, err := server.Read(buf)
					total += int64(got)
					if err != nil {
						sent <- total
						return
					}
				}
			}()
			b := body{payloads: p}
			if err := b.send(client, "", m, n, s, "seed"); err != nil {
				t.Fatal(err)
			}
			client.Close()
			_, _, want := p.framing(m, n)
			if got := <-sent; got != want {
				t.Errorf("%s, %d bytes: %d on the wire, %d announced", m, n, got, want)
			}
		}
	}
}

func TestTheTableHasACellForEachColumn(t *testing.T) {
	r := Report{Rows: []Row{
		{Storage: "null", Name: "PUT", Unit: Throughput, Samples: map[string]Sample{
			straight: {Rate: 2000}, viaNginx: {Rate: 1000, CPU: 0.5}, viaCofre: {Rate: 500, CPU: 2.25, RSS: 40, Allocs: 12_345, AllocBytes: 99 << 20}}},
		{Storage: "null", Name: "LIST", Unit: Operations, Samples: map[string]Sample{viaCofre: {Rate: 5, CPU: 3, PostgreSQL: 1}}},
		{Storage: "null", Name: "start", Unit: Start, Samples: map[string]Sample{viaCofre: {Rate: 250, CPU: 200, RSS: 90}}},
		{Storage: "null", Name: "idle", Unit: Memory, Samples: map[string]Sample{viaCofre: {Rate: 40, RSS: 40}}},
	}}
	for _, row := range r.Rows {
		if got := len(row.cells()); got != len(columns) {
			t.Errorf("%s: %d cells, %d columns", row.Name, got, len(columns))
		}
	}
	var b strings.Builder
	r.Markdown(&b)
	for _, want := range []string{"| null | PUT | 500 MiB/s |", "| 2.25 |  | 40.0 | 12k | 99 MiB | 1000 | 0.500 | 2000 | 0.25 | 0.50 |", "| 3.00 | 4.00 |"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
}

func TestTheMedianOfRounds(t *testing.T) {
	m := median([]Sample{{Rate: 3, RSS: 9}, {Rate: 100, RSS: 1}, {Rate: 1, RSS: 2}})
	if m.Rate != 3 || m.RSS != 9 {
		t.Errorf("%+v", m)
	}
	if m := median([]Sample{{CPU: 1}, {CPU: 2}}); m.CPU != 1.5 {
		t.Errorf("%+v", m)
	}
}
