package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// multipart does uploads one after the other, the parts of each over all connections.
func (l *load) multipart() (Result, error) {
	clients := make([]*client, max(l.Connections, 1))
	for i := range clients {
		clients[i] = newClient(l.Endpoint, l.signer, l.bodies)
		defer clients[i].close()
	}
	for at := int64(0); at < l.Size; at += l.Part {
		l.bodies.of(min(l.Part, l.Size-at)) // outside the time that is measured
	}
	start := time.Now()
	l.end = start.Add(l.Duration)
	var times []time.Duration
	var moved int64
	for {
		n, ok := l.next()
		if !ok {
			return result(times, moved, time.Since(start)), nil
		}
		begin := time.Now()
		if err := l.upload(clients, "/"+l.Bucket+"/"+l.key(n)); err != nil {
			return result(times, moved, time.Since(start)), err
		}
		times, moved = append(times, time.Since(begin)), moved+l.Size
	}
}

func (l *load) upload(clients []*client, path string) error {
	a, err := clients[0].post(request{path: path, query: "uploads="}, "")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(a.body), "<UploadId>")
	id, _, ok := strings.Cut(rest, "</UploadId>")
	if !ok {
		return fmt.Errorf("no upload id in %s", a.body)
	}
	etags := make([]string, (l.Size+l.Part-1)/l.Part)
	numbers := make(chan int, len(etags))
	for i := range etags {
		numbers <- i
	}
	close(numbers)
	var running sync.WaitGroup
	failed := make([]error, len(clients))
	for i, c := range clients {
		running.Go(func() {
			for n := range numbers {
				// The ids of uploads hold nothing that needs escaping but what RGW begins them with.
				query := fmt.Sprintf("partNumber=%d&uploadId=%s", n+1, escapeQuery(id))
				size := min(l.Part, l.Size-int64(n)*l.Part)
				a, err := c.do(request{method: "PUT", path: path, query: query, mode: l.Mode, length: size}, false)
				if err != nil {
					failed[i] = err
					return
				}
				etags[n] = a.etag
			}
		})
	}
	running.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	var doc strings.Builder
	doc.WriteString("<CompleteMultipartUpload>")
	for i, etag := range etags {
		fmt.Fprintf(&doc, "<Part><PartNumber>%d</PartNumber><ETag>&quot;%s&quot;</ETag></Part>", i+1, etag)
	}
	doc.WriteString("</CompleteMultipartUpload>")
	a, err = clients[0].post(request{path: path, query: "uploadId=" + escapeQuery(id)}, doc.String())
	if err == nil && strings.Contains(string(a.body), "<Error>") {
		err = fmt.Errorf("complete: %s", a.body)
	}
	return err
}

// escapeQuery escapes what stands in a query as signatures want it.
func escapeQuery(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
