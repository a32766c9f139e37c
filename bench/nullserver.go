package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// nullServer speaks S3 for a nullStore: what cofre and the bench ask of a storage, and 501 for everything else, so that nothing is
// measured that was answered wrongly. Signatures are not looked at.
type nullServer struct{ store *nullStore }

func (s *nullServer) serve(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			w, err := newWire(conn)
			if err != nil {
				log.Print(err)
				return
			}
			for {
				if err := s.answer(w); err != nil {
					if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
						log.Printf("null storage: %v", err)
					}
					return
				}
			}
		}()
	}
}

// nullRequest is one request, taken apart.
type nullRequest struct {
	*wire
	method, bucket, key, rawQuery string
	query                         url.Values
	length                        int64
}

func (s *nullServer) answer(w *wire) error {
	if err := w.head.read(w.r); err != nil {
		return err
	}
	line := strings.Fields(string(w.head.first))
	if len(line) != 3 {
		return fmt.Errorf("request line %q", w.head.first)
	}
	rq := &nullRequest{wire: w, method: line[0]}
	path, query, _ := strings.Cut(line[1], "?")
	path, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	if err != nil {
		return err
	}
	rq.bucket, rq.key, _ = strings.Cut(path, "/")
	if rq.rawQuery = query; query != "" {
		if rq.query, err = url.ParseQuery(query); err != nil {
			return err
		}
	}
	if rq.length, err = w.head.length(); err != nil {
		return err
	}
	if w.head.get("transfer-encoding") != nil {
		return errors.New("a body without a length")
	}
	rq.length = max(rq.length, 0)
	if strings.EqualFold(string(w.head.get("expect")), "100-continue") {
		if _, err := io.WriteString(w.conn, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return err
		}
	}
	if rq.key == "" {
		return s.bucketCall(rq)
	}
	return s.objectCall(rq)
}

func (rq *nullRequest) has(parameter string) bool { _, ok := rq.query[parameter]; return ok }

func (s *nullServer) bucketCall(rq *nullRequest) error {
	if rq.method == http.MethodPut {
		s.store.makeBucket(rq.bucket)
		return rq.drainThen(200, "", nil)
	}
	if err := rq.discard(rq.length); err != nil {
		return err
	}
	switch {
	case s.store.bucket(rq.bucket) == nil:
		return rq.refuse(404, "NoSuchBucket")
	case rq.method == http.MethodHead:
		return rq.say(200, "", nil)
	case rq.method != http.MethodGet:
		return rq.refuse(501, "NotImplemented")
	case rq.has("versioning"):
		return rq.say(200, "", []byte(`<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>`))
	case rq.has("uploads"):
		return rq.say(200, "", []byte(`<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>`))
	}
	v2, after, limit := false, "", PageSize
	for name, values := range rq.query {
		switch name {
		case "list-type":
			v2 = values[0] == "2"
		case "marker", "start-after", "continuation-token":
			after = max(after, values[0])
		case "max-keys":
			n, err := strconv.Atoi(values[0])
			if err != nil || n < 0 {
				return rq.refuse(400, "InvalidArgument")
			}
			limit = min(n, PageSize)
		case "prefix", "encoding-type", "fetch-owner":
		default:
			return rq.refuse(501, "NotImplemented")
		}
	}
	page := s.store.page(rq.bucket, rq.rawQuery, v2, rq.query.Get("prefix"), after, limit)
	return rq.say(200, "content-type: application/xml\r\n", page)
}

func (s *nullServer) objectCall(rq *nullRequest) error {
	switch {
	case rq.method == http.MethodPut && rq.head.get("x-amz-copy-source") != nil:
		return s.copy(rq)
	case rq.method == http.MethodPut && (rq.rawQuery == "" || rq.has("partNumber")):
		return s.put(rq)
	case rq.method == http.MethodPost && (rq.has("uploads") || rq.has("uploadId")):
		return s.upload(rq)
	}
	if err := rq.discard(rq.length); err != nil {
		return err
	}
	switch {
	case rq.method == http.MethodDelete && rq.has("uploadId"):
		s.store.abort(rq.query.Get("uploadId"))
		return rq.say(204, "", nil)
	case rq.method == http.MethodGet && rq.has("tagging"):
		return rq.say(200, "", []byte(`<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet></TagSet></Tagging>`))
	case rq.rawQuery != "":
		return rq.refuse(501, "NotImplemented")
	case rq.method == http.MethodDelete:
		s.store.put(rq.bucket, rq.key, nil)
		return rq.say(204, "", nil)
	case rq.method == http.MethodGet, rq.method == http.MethodHead:
		return s.get(rq)
	}
	return rq.refuse(501, "NotImplemented")
}

// put takes an object or a part. A body that does not come whole leaves nothing: the connection ends.
func (s *nullServer) put(rq *nullRequest) error {
	o := &nullObject{etag: s.store.newID(), size: rq.length, fields: rq.given(), modified: time.Now().UTC()}
	keep := s.store.keeps(rq.bucket, rq.key)
	if keep {
		var body blocks
		piece := make([]byte, min(rq.length, period))
		for left := rq.length; left > 0; left -= int64(len(piece)) {
			piece = piece[:min(left, period)]
			if _, err := io.ReadFull(rq.r, piece); err != nil {
				return err
			}
			body.add(piece)
		}
		o.blocks = body.all
	} else if err := rq.discard(rq.length); err != nil {
		return err
	}
	var there bool
	switch id := rq.query.Get("uploadId"); {
	case id != "":
		number, err := strconv.Atoi(rq.query.Get("partNumber"))
		there = err == nil && s.store.addPart(id, number, o)
	case keep:
		there = s.store.put(rq.bucket, rq.key, o)
	default:
		there = s.store.bucket(rq.bucket) != nil
	}
	if !there {
		return rq.refuse(404, "NoSuchBucket")
	}
	return rq.say(200, "etag: \""+o.etag+"\"\r\n", nil)
}

// upload begins and completes uploads. The list that a Complete carries is taken for all parts that there are.
func (s *nullServer) upload(rq *nullRequest) error {
	fields := rq.given()
	if err := rq.discard(rq.length); err != nil {
		return err
	}
	if rq.has("uploads") {
		id := s.store.begin(rq.bucket, rq.key, fields)
		return rq.say(200, "", fmt.Appendf(nil, "<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>",
			rq.bucket, rq.key, id))
	}
	o := s.store.complete(rq.query.Get("uploadId"))
	if o == nil {
		return rq.refuse(404, "NoSuchUpload")
	}
	return rq.say(200, "", fmt.Appendf(nil, "<CompleteMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><ETag>&quot;%s&quot;</ETag></CompleteMultipartUploadResult>",
		rq.bucket, rq.key, o.etag))
}

// copy makes an object with the body of another, which may be pinned.
func (s *nullServer) copy(rq *nullRequest) error {
	fields := rq.given()
	source, err := url.PathUnescape(strings.TrimPrefix(string(rq.head.get("x-amz-copy-source")), "/"))
	pin := strings.Trim(string(rq.head.get("x-amz-copy-source-if-match")), `"`)
	replace := bytes.EqualFold(rq.head.get("x-amz-metadata-directive"), []byte("REPLACE"))
	if err := errors.Join(err, rq.discard(rq.length)); err != nil {
		return err
	}
	bucket, key, _ := strings.Cut(source, "/")
	from := s.store.object(bucket, key)
	switch {
	case rq.rawQuery != "":
		return rq.refuse(501, "NotImplemented")
	case from == nil:
		return rq.refuse(404, "NoSuchKey")
	case pin != "" && pin != from.etag:
		return rq.refuse(412, "PreconditionFailed")
	}
	o := *from
	o.modified = time.Now().UTC()
	if replace {
		o.fields = fields
	}
	if !s.store.put(rq.bucket, rq.key, &o) {
		return rq.refuse(404, "NoSuchBucket")
	}
	return rq.say(200, "", fmt.Appendf(nil, "<CopyObjectResult><LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag></CopyObjectResult>",
		o.modified.Format("2006-01-02T15:04:05.000Z"), o.etag))
}

func (s *nullServer) get(rq *nullRequest) error {
	o := s.store.object(rq.bucket, rq.key)
	if o == nil {
		return rq.refuse(404, "NoSuchKey")
	}
	if pin := strings.Trim(string(rq.head.get("if-match")), `"`); pin != "" && pin != o.etag {
		return rq.refuse(412, "PreconditionFailed")
	}
	fields := o.fields + "etag: \"" + o.etag + "\"\r\nlast-modified: " + o.modified.Format(http.TimeFormat) + "\r\naccept-ranges: bytes\r\n"
	off, n, status := int64(0), o.size, 200
	if r := string(rq.head.get("range")); r != "" {
		var ok bool
		if off, n, ok = parseRange(r, o.size); !ok {
			return rq.refuse(416, "InvalidRange")
		}
		status = 206
		fields += fmt.Sprintf("content-range: bytes %d-%d/%d\r\n", off, off+n-1, o.size)
	}
	fields += "content-length: " + strconv.FormatInt(n, 10) + "\r\n"
	if rq.method == http.MethodHead {
		return rq.write(status, fields, nil)
	}
	return rq.write(status, fields, o.slice(off, n))
}

// parseRange understands one range, as "bytes=0-9", "bytes=10-" and "bytes=-80".
func parseRange(r string, size int64) (off, n int64, ok bool) {
	first, last, found := strings.Cut(strings.TrimPrefix(r, "bytes="), "-")
	if !found {
		return 0, 0, false
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		n = min(n, size)
		return size - n, n, err == nil && n > 0
	}
	off, err := strconv.ParseInt(first, 10, 64)
	end := size - 1
	if err == nil && last != "" {
		end, err = strconv.ParseInt(last, 10, 64)
		end = min(end, size-1)
	}
	return off, end - off + 1, err == nil && off >= 0 && off <= end
}

// given is what a writer wants said again of an object, as lines of a head.
func (rq *nullRequest) given() string {
	var b strings.Builder
	for _, f := range rq.head.fields {
		name := strings.ToLower(string(f.name))
		if strings.HasPrefix(name, "x-amz-meta-") || name == "content-type" {
			b.WriteString(name + ": " + string(f.value) + "\r\n")
		}
	}
	return b.String()
}

func (rq *nullRequest) drainThen(status int, fields string, body []byte) error {
	if err := rq.discard(rq.length); err != nil {
		return err
	}
	return rq.say(status, fields, body)
}

func (rq *nullRequest) refuse(status int, code string) error {
	if status == 501 {
		log.Printf("null storage: does not know %s ?%s", rq.method, rq.rawQuery)
	}
	return rq.say(status, "content-type: application/xml\r\n", fmt.Appendf(nil, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, code))
}

// say answers with a document.
func (rq *nullRequest) say(status int, fields string, doc []byte) error {
	if status != 204 {
		fields += "content-length: " + strconv.Itoa(len(doc)) + "\r\n"
	}
	if rq.method == http.MethodHead || len(doc) == 0 {
		return rq.write(status, fields, nil)
	}
	return rq.write(status, fields, [][]byte{doc})
}

// write sends head and body with as few calls as the kernel takes.
func (rq *nullRequest) write(status int, fields string, body [][]byte) error {
	out := make(net.Buffers, 0, 1+len(body))
	out = append(out, []byte("HTTP/1.1 "+strconv.Itoa(status)+" "+http.StatusText(status)+"\r\n"+fields+"\r\n"))
	out = append(out, body...)
	_, err := out.WriteTo(rq.conn)
	return err
}
