package main

import (
	"time"
)

// Kind is what the requests of a job are.
type Kind string

// The kinds of requests.
const (
	KindPut       Kind = "put"
	KindGet       Kind = "get"
	KindRange     Kind = "range"
	KindHead      Kind = "head"
	KindList      Kind = "list"
	KindCopy      Kind = "copy"
	KindMultipart Kind = "multipart"
	KindDelete    Kind = "delete"
	KindBucket    Kind = "bucket" // makes the bucket
)

// Job is what the load process is told to do: requests of one kind over a number of connections, for a time, or up to a count.
type Job struct {
	Kind        Kind
	Endpoint    Endpoint
	Bucket      string
	Key         string // of the object; where there are several Keys, what they begin with
	Keys        int    // reads take one of so many keys at random, writes take them in turn; 0: Key alone, or fresh keys for writes
	Fresh       bool   // writes never write a key twice
	Mode        mode
	Size        int64 // of the object
	Part        int64 // of it, in uploads by parts; of it that is read, in reads of ranges
	Connections int
	Duration    time.Duration // 0: until Count
	Count       int           // of operations at most; 0: as many as the time allows
	Check       bool          // look at every byte that is read
}

// Result is what came of a job.
type Result struct {
	Error      string
	Operations int
	Bytes      int64 // of plaintext that were moved
	Elapsed    time.Duration
	P50, P99   time.Duration // of an operation
	CPU        float64       // seconds of the load process
}

// PageSize is how many keys a page of a listing has.
const PageSize = 1000
