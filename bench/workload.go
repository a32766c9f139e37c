package main

import (
	"fmt"
	"time"
)

// Unit is what a row counts.
type Unit string

// The units. Costs are for a GiB in the first, for an operation in the second.
const (
	Throughput Unit = "MiB/s"
	Operations Unit = "op/s"
	Start      Unit = "ms"
	Memory     Unit = "MiB"
)

// workload is a row of the table.
type workload struct {
	Name   string
	Unit   Unit
	Job    Job
	Needs  []string // data sets that are read
	OnRGW  bool
	Quick  bool
	Opaque bool // in the bucket without MD5 ETags, so in cofre alone
	Alone  bool // cofre alone, once: for its memory
	// Stored says that PostgreSQL has a part in every operation, which is counted. In other rows what it does meanwhile (autovacuum of
	// what earlier rows wrote) is not theirs.
	Stored bool
	// Special is a row that is no job.
	Special string
}

// scale is how large things are on a storage.
type scale struct {
	large    int64 // bytes of objects that are written and read as a whole
	giant    int64 // of objects that are read in ranges
	listKeys int
	// written bounds the bytes that a contender writes in a round; 0: no bound. What is written goes to few keys then, and is deleted
	// after the row.
	written int64
}

const (
	mib = 1 << 20
	gib = 1 << 30
)

// The null storage holds the two sealed giants in memory, and nothing of what is written. RGW in the test environment has its data in
// memory too, and what was deleted for a minute or two more: with the bounds of the null storage it would take all that a machine has.
func scaleOf(rgw bool, listKeys int) scale {
	if rgw {
		return scale{large: 16 * mib, giant: 128 * mib, listKeys: 2000, written: 128 * mib}
	}
	return scale{large: 64 * mib, giant: gib, listKeys: listKeys}
}

const (
	smallSize  = 4 << 10
	rangeSize  = 64 << 10
	partSize   = 16 * mib
	smallKeys  = 1000
	uploadSize = 8 * partSize
)

// bounded keeps a job that writes within what the storage can take.
func (s scale) bounded(j Job) Job {
	if s.written == 0 {
		j.Fresh = true
		return j
	}
	j.Count = int(max(s.written/j.Size, 1))
	j.Keys = min(j.Count, 1000)
	return j
}

// datasets are the objects that rows read, by name, as jobs that write them.
func datasets(s scale) map[string]Job {
	return map[string]Job{
		"large": {Kind: KindPut, Key: "keep/large", Size: s.large, Count: 1},
		"giant": {Kind: KindPut, Key: "keep/giant", Size: s.giant, Count: 1},
		"parts": {Kind: KindMultipart, Key: "keep/parts", Size: s.giant, Part: partSize, Count: 1, Connections: 4},
		"small": {Kind: KindPut, Key: "keep/small/", Keys: smallKeys, Size: smallSize, Count: smallKeys, Connections: 8},
		"list":  {Kind: KindPut, Key: "keep/list/", Keys: s.listKeys, Size: 1, Count: s.listKeys, Connections: 16},
	}
}

func workloads(s scale) []workload {
	put := func(streams int, m mode) Job {
		return s.bounded(Job{Kind: KindPut, Key: "put/", Mode: m, Size: s.large, Connections: streams})
	}
	get := func(streams int) Job {
		return Job{Kind: KindGet, Key: "keep/large", Size: s.large, Connections: streams}
	}
	parts := func(m mode) Job {
		return s.bounded(Job{Kind: KindMultipart, Key: "parts/", Mode: m, Size: uploadSize, Part: partSize, Connections: 8})
	}
	ranges := func(key string) Job {
		return Job{Kind: KindRange, Key: key, Size: s.giant, Part: rangeSize, Connections: 16}
	}
	small := func(k Kind, connections int) Job {
		if k == KindPut {
			return s.bounded(Job{Kind: k, Key: "small/", Mode: modeUnsigned, Size: smallSize, Connections: connections})
		}
		return Job{Kind: k, Key: "keep/small/", Keys: smallKeys, Size: smallSize, Connections: connections}
	}
	large := func(method, how string) string { return fmt.Sprintf("%s %d MiB, %s", method, s.large/mib, how) }
	return []workload{
		{Name: large("PUT", "1 stream"), Unit: Throughput, Job: put(1, modeUnsigned), OnRGW: true, Quick: true},
		{Name: large("PUT", "4 streams"), Unit: Throughput, Job: put(4, modeUnsigned)},
		{Name: large("PUT", "8 streams"), Unit: Throughput, Job: put(8, modeUnsigned), OnRGW: true, Quick: true},
		{Name: large("PUT", "1 stream, payload hash"), Unit: Throughput, Job: put(1, modeHash)},
		{Name: large("PUT", "1 stream, signed chunks"), Unit: Throughput, Job: put(1, modeChunks)},
		{Name: large("PUT", "1 stream, unsigned trailer"), Unit: Throughput, Job: put(1, modeTrailer)},
		{Name: large("PUT", "1 stream, opaque ETag"), Unit: Throughput, Job: put(1, modeUnsigned), Opaque: true},
		{Name: large("PUT", "8 streams, opaque ETag"), Unit: Throughput, Job: put(8, modeUnsigned), Opaque: true},
		{Name: "multipart, 8 parallel parts, unsigned", Unit: Throughput, Job: parts(modeUnsigned), OnRGW: true},
		{Name: "multipart, 8 parallel parts, payload hash", Unit: Throughput, Job: parts(modeHash)},
		{Name: "multipart, 8 parallel parts, signed chunks", Unit: Throughput, Job: parts(modeChunks)},
		{Name: "multipart, 8 parallel parts, unsigned trailer", Unit: Throughput, Job: parts(modeTrailer)},
		{Name: large("GET", "1 stream"), Unit: Throughput, Job: get(1), Needs: []string{"large"}, OnRGW: true, Quick: true},
		{Name: large("GET", "4 streams"), Unit: Throughput, Job: get(4), Needs: []string{"large"}},
		{Name: large("GET", "8 streams"), Unit: Throughput, Job: get(8), Needs: []string{"large"}, OnRGW: true},
		{Name: fmt.Sprintf("range 64 KiB of %d MiB, single part, 16 connections", s.giant/mib), Unit: Operations, Job: ranges("keep/giant"), Needs: []string{"giant"}, OnRGW: true},
		{Name: fmt.Sprintf("range 64 KiB of %d MiB, multipart, 16 connections", s.giant/mib), Unit: Operations, Job: ranges("keep/parts"), Needs: []string{"parts"}},
		{Name: "PUT 4 KiB, 1 connection", Unit: Operations, Stored: true, Job: small(KindPut, 1)},
		{Name: "PUT 4 KiB, 16 connections", Unit: Operations, Stored: true, Job: small(KindPut, 16), OnRGW: true, Quick: true},
		{Name: "PUT 4 KiB, 64 connections", Unit: Operations, Stored: true, Job: small(KindPut, 64)},
		{Name: "GET 4 KiB, 1 connection", Unit: Operations, Job: small(KindGet, 1), Needs: []string{"small"}},
		{Name: "GET 4 KiB, 16 connections", Unit: Operations, Job: small(KindGet, 16), Needs: []string{"small"}, OnRGW: true, Quick: true},
		{Name: "GET 4 KiB, 64 connections", Unit: Operations, Job: small(KindGet, 64), Needs: []string{"small"}},
		{Name: "HEAD, 16 connections", Unit: Operations, Stored: true, Job: small(KindHead, 16), Needs: []string{"small"}, OnRGW: true},
		{Name: fmt.Sprintf("LIST, 1,000 of %d keys, 4 connections", s.listKeys), Unit: Operations, Stored: true, Needs: []string{"list"}, OnRGW: true,
			Job: Job{Kind: KindList, Key: "keep/list/", Keys: s.listKeys, Size: 1, Connections: 4}},
		{Name: fmt.Sprintf("copy of %d MiB, 1 connection", s.giant/mib), Unit: Operations, Stored: true, Needs: []string{"giant"}, OnRGW: true,
			Job: Job{Kind: KindCopy, Key: "keep/giant", Connections: 1}},
		{Name: "PUT 1 GiB, 8 streams", Unit: Throughput, Alone: true,
			Job: Job{Kind: KindPut, Key: "put/", Fresh: true, Size: gib, Connections: 8, Count: 8}},
		{Name: "GET 1 GiB, 8 streams", Unit: Throughput, Alone: true, Needs: []string{"giant"},
			Job: Job{Kind: KindGet, Key: "keep/giant", Size: s.giant, Connections: 8, Count: 8}},
		{Name: "cold start of serve", Unit: Start, Special: "start", Quick: true},
		{Name: "memory when idle", Unit: Memory, Special: "idle", Quick: true},
	}
}

// plan says how a row is measured.
type plan struct {
	rounds   int
	duration time.Duration
	profiles string // a directory; none where it is empty
}
