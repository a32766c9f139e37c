package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"cofre/checksum"
	"cofre/sigv4/sigv4test"
)

// TestEveryPayloadModeArrives sends bodies in all five modes with every checksum, and reads them back with it.
func TestEveryPayloadModeArrives(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "modes")
	for _, mode := range sigv4test.Modes() {
		for _, alg := range append(checksum.All(), checksum.None) {
			for _, n := range []int{0, 1, 65536, 70000} {
				for _, te := range []bool{false, true} {
					if te && !mode.Chunked() {
						continue // a plain body needs its length
					}
					body := pattern(n)
					rq := request{method: "PUT", bucket: b, key: "k", header: map[string]string{"Content-Type": "text/x"},
						payload: sigv4test.Payload{Mode: mode, Data: body, Chunk: 30000, Checksum: alg, TransferEncoding: te}}
					put := s.send(t, rq)
					name := fmt.Sprintf("%s %v %d bytes te=%v", mode, alg, n, te)
					if put.status != 200 || put.header.Get("ETag") != fmt.Sprintf("%q", fmt.Sprintf("%x", md5.Sum(body))) {
						t.Fatalf("%s: %d %s %.200s", name, put.status, put.code, put.body)
					}
					got := s.send(t, request{method: "GET", bucket: b, key: "k", header: map[string]string{"X-Amz-Checksum-Mode": "ENABLED"}}).want(t, 200, "")
					if !bytes.Equal(got.body, body) || got.header.Get("Content-Type") != "text/x" || got.header.Get("Content-Encoding") != "" {
						t.Fatalf("%s: came back as %d bytes, %v", name, len(got.body), got.header)
					}
					if alg == checksum.None {
						continue
					}
					h := alg.New()
					h.Write(body)
					want := base64.StdEncoding.EncodeToString(h.Sum(nil))
					if got.header.Get(alg.Header()) != want || put.header.Get(alg.Header()) != want || got.header.Get("X-Amz-Checksum-Type") != "FULL_OBJECT" {
						t.Fatalf("%s: checksum %q and %q, want %q", name, put.header.Get(alg.Header()), got.header.Get(alg.Header()), want)
					}
				}
			}
		}
	}
}

// spoiledBody changes the bytes of a body after it was signed, keeping its length unless the change does not.
func spoiledBody(change func([]byte) []byte) func(*http.Request) {
	return func(r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n := r.ContentLength
		sigv4test.SetBody(r, change(body), false)
		r.ContentLength = n
	}
}

func flipAt(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		b = bytes.Clone(b)
		b[(at+len(b))%len(b)] ^= 1
		return b
	}
}

// TestWhatDoesNotVerifyLeavesTheObjectBefore sends every kind of wrong upload over an object, and wants the error that S3
// gives, the object as it was, and nothing new at the storage.
func TestWhatDoesNotVerifyLeavesTheObjectBefore(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "intact")
		before := pattern(1000)
		s.put(t, b, "k", before)
		raw, _ := st.rawObject(t, b, "k")
		for _, n := range []int{10, 200_000} {
			body := randomBytes(n)
			sum := md5.Sum([]byte("another"))
			base := func(mode sigv4test.Mode) sigv4test.Payload {
				return sigv4test.Payload{Mode: mode, Data: body, Checksum: checksum.CRC32}
			}
			cases := []struct {
				name   string
				rq     request
				status int
				code   string
			}{
				{"sha256", request{payload: sigv4test.Payload{Data: body}, spoil: spoiledBody(flipAt(3))}, 400, "XAmzContentSHA256Mismatch"},
				{"Content-MD5", request{payload: sigv4test.Payload{Data: body}, header: map[string]string{"Content-Md5": base64.StdEncoding.EncodeToString(sum[:])}}, 400, "BadDigest"},
				{"malformed Content-MD5", request{payload: sigv4test.Payload{Data: body}, header: map[string]string{"Content-Md5": "abc"}}, 400, "InvalidDigest"},
				{"checksum in a header", request{payload: base(sigv4test.Unsigned), spoil: spoiledBody(flipAt(3))}, 400, "BadDigest"},
				{"checksum in a trailer", request{payload: base(sigv4test.UnsignedTrailer), spoil: spoiledBody(flipAt(8))}, 400, "BadDigest"},
				{"chunk signature", request{payload: base(sigv4test.Signed), spoil: spoiledBody(flipAt(30))}, 403, "SignatureDoesNotMatch"},
				{"chunk data", request{payload: sigv4test.Payload{Mode: sigv4test.Signed, Data: body}, spoil: spoiledBody(func(p []byte) []byte {
					return flipAt(bytes.Index(p, []byte("\r\n")) + 4)(p)
				})}, 403, "SignatureDoesNotMatch"},
				{"forged last chunk", request{payload: sigv4test.Payload{Mode: sigv4test.Signed, Data: body}, spoil: spoiledBody(flipAt(-6))}, 403, "SignatureDoesNotMatch"},
				{"trailer signature", request{payload: base(sigv4test.SignedTrailer), spoil: spoiledBody(flipAt(-6))}, 403, "SignatureDoesNotMatch"},
				{"unknown framing", request{payload: sigv4test.Payload{Data: body}, header: map[string]string{"X-Amz-Trailer": "x-amz-checksum-crc32"}}, 400, "MalformedTrailerError"},
				{"two checksums", request{payload: base(sigv4test.SHA256), header: map[string]string{"X-Amz-Checksum-Sha1": base64.StdEncoding.EncodeToString(make([]byte, 20))}}, 400, "InvalidRequest"},
			}
			for _, c := range cases {
				c.rq.method, c.rq.bucket, c.rq.key = "PUT", b, "k"
				got := s.send(t, c.rq)
				if got.status != c.status || got.code != c.code {
					t.Errorf("%s, %d bytes: %d %s, want %d %s", c.name, n, got.status, got.code, c.status, c.code)
				}
				if !got.closing {
					t.Errorf("%s, %d bytes: the connection stays open after an early refusal", c.name, n)
				}
				if now, _ := st.rawObject(t, b, "k"); *now.ETag != *raw.ETag {
					t.Fatalf("%s, %d bytes: the stored object changed", c.name, n)
				}
			}
		}
		if got := s.get(t, b, "k"); !bytes.Equal(got, before) {
			t.Fatal("the object changed")
		}
	})
}

// TestABrokenOffUploadLeavesTheObjectBefore drops the connection in the middle of a body, and just before its last byte.
func TestABrokenOffUploadLeavesTheObjectBefore(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "broken")
		s.put(t, b, "k", []byte("before"))
		body := pattern(300_000)
		for _, sent := range []int{0, 1, 150_000, len(body) - 1} {
			r := s.build(t, request{method: "PUT", bucket: b, key: "k", payload: sigv4test.Payload{Mode: sigv4test.Unsigned, Data: body}})
			conn, err := net.Dial("tcp", r.URL.Host)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.URL.RequestURI(), r.URL.Host, len(body))
			for name, values := range r.Header {
				fmt.Fprintf(conn, "%s: %s\r\n", name, values[0])
			}
			io.WriteString(conn, "\r\n")
			conn.Write(body[:sent])
			conn.(*net.TCPConn).CloseWrite()
			got, err := http.ReadResponse(bufio.NewReader(conn), r)
			if err == nil {
				if answer := read(got); answer.status == 200 {
					t.Errorf("%d of %d bytes: 200", sent, len(body))
				}
			}
			conn.Close()
		}
		if got := s.get(t, b, "k"); string(got) != "before" {
			t.Fatal("the object changed")
		}
	})
}

// TestNothingOfABodyIsReadBeforeItIsWanted sends the head alone: a refused client is told so without a "100 Continue", a
// welcome one gets it.
func TestNothingOfABodyIsReadBeforeItIsWanted(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "expect")
	s.put(t, b, "k", []byte("before"))
	for _, c := range []struct {
		name   string
		header map[string]string
		spoil  func(*http.Request)
		key    string
		bucket string
		query  string
		status string
	}{
		{name: "wrong signature", status: "403", spoil: func(r *http.Request) { r.Header.Set("X-Amz-Meta-Late", "1") }},
		{name: "unknown key", status: "403", spoil: func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), accessKey, "AKIANOBODY0000000000", 1))
		}},
		{name: "system bucket", status: "403", bucket: s.system},
		{name: "no such bucket", status: "404", bucket: "no-such-bucket"},
		{name: "condition", status: "412", header: map[string]string{"If-None-Match": "*"}},
		{name: "metadata too large", status: "400", header: map[string]string{"X-Amz-Meta-A": strings.Repeat("a", 2049)}},
		{name: "reserved metadata", status: "400", header: map[string]string{"X-Amz-Meta-Cofre-Envelope": "x"}},
		{name: "unknown encryption", status: "400", header: map[string]string{"X-Amz-Server-Side-Encryption": "rot13"}},
		{name: "no such upload", status: "404", query: "partNumber=1&uploadId=none"},
		{name: "welcome", status: "100", header: map[string]string{"X-Amz-Meta-A": strings.Repeat("a", 2047)}},
	} {
		if c.bucket == "" {
			c.bucket = b
		}
		r := s.build(t, request{method: "PUT", bucket: c.bucket, key: "k", query: c.query, header: c.header, spoil: c.spoil,
			payload: sigv4test.Payload{Data: []byte("0123456789")}})
		conn, err := net.Dial("tcp", r.URL.Host)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 10\r\nExpect: 100-Continue\r\n", r.URL.RequestURI(), r.URL.Host)
		for name, values := range r.Header {
			fmt.Fprintf(conn, "%s: %s\r\n", name, values[0])
		}
		io.WriteString(conn, "\r\n")
		line, err := bufio.NewReader(conn).ReadString('\n')
		conn.Close()
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 "+c.status) {
			t.Errorf("%s: %q %v, want %s", c.name, line, err, c.status)
		}
	}
}

// TestAClientThatStandsStillIsLetGo bounds how long a body may stop in the middle.
func TestAClientThatStandsStillIsLetGo(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{limits: shortPatience()})
	b := s.bucket(t, "stalled")
	s.put(t, b, "k", []byte("before"))
	body := pattern(200_000)
	r := s.build(t, request{method: "PUT", bucket: b, key: "k", payload: sigv4test.Payload{Mode: sigv4test.Unsigned, Data: body}})
	reader, writer := io.Pipe()
	defer writer.Close()
	r.Body = reader
	go writer.Write(body[:100_000])
	resp, err := clientTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	read(resp).want(t, 400, "RequestTimeout")
	if got := s.get(t, b, "k"); string(got) != "before" {
		t.Fatal("the object changed")
	}
	// A body that is slow but moves is taken, however long the whole of it lasts.
	slow := s.build(t, request{method: "PUT", bucket: b, key: "k", payload: sigv4test.Payload{Mode: sigv4test.Unsigned, Data: body[:20]}})
	slow.Body = io.NopCloser(&dripping{body[:20], shortPatience().UploadStall / 4})
	resp, err = clientTransport.RoundTrip(slow)
	if err != nil {
		t.Fatal(err)
	}
	read(resp).want(t, 200, "")
}

// dripping gives one byte at a time.
type dripping struct {
	left  []byte
	pause time.Duration
}

func (d *dripping) Read(p []byte) (int, error) {
	if len(d.left) == 0 {
		return 0, io.EOF
	}
	time.Sleep(d.pause)
	p[0], d.left = d.left[0], d.left[1:]
	return 1, nil
}

func TestAConnectionServesOnAfterAnError(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "reuse")
	s.put(t, b, "k", []byte("body"))
	r := s.build(t, request{method: "GET", bucket: b, key: "none"})
	conn, err := net.Dial("tcp", r.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	from := bufio.NewReader(conn)
	for _, rq := range []request{
		{method: "GET", bucket: b, key: "none"}, {method: "HEAD", bucket: b, key: "none"}, {method: "HEAD", bucket: b, key: "k"},
		{method: "GET", bucket: b, key: "k", header: map[string]string{"If-None-Match": "*"}},
		{method: "GET", bucket: b, key: "k", header: map[string]string{"Range": "bytes=99-"}},
		{method: "DELETE", bucket: b, key: "none"}, {method: "GET", bucket: b, key: "k"},
	} {
		r := s.build(t, rq)
		if err := r.Write(conn); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(from, r)
		if err != nil {
			t.Fatalf("%s %s: %v", rq.method, rq.key, err)
		}
		if got := read(resp); got.cut != nil || resp.Close || rq.method == "HEAD" && len(got.body) > 0 {
			t.Fatalf("%s %s: %d, %v, close %v", rq.method, rq.key, got.status, got.cut, resp.Close)
		}
	}
	if from.Buffered() != 0 {
		t.Fatal("bytes behind the last answer")
	}
}

func TestMetadataHasS3sLimits(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "limits")
		s.putRaw(t, b, "k", nil, map[string]string{"X-Amz-Meta-A": strings.Repeat("a", 2047)}).want(t, 200, "")
		s.putRaw(t, b, "k", nil, map[string]string{"X-Amz-Meta-A": strings.Repeat("a", 2048)}).want(t, 400, "MetadataTooLarge")
		s.putRaw(t, b, "k", nil, map[string]string{"X-Amz-Meta-Cofre-Attributes": "x"}).want(t, 400, "InvalidArgument")
		s.putRaw(t, b, "k", nil, map[string]string{"X-Amz-Meta-" + strings.Repeat("n", 250): "x", "X-Amz-Meta-A_b": "grün"}).want(t, 200, "")
		got := s.send(t, request{method: "HEAD", bucket: b, key: "k"}).want(t, 200, "")
		if got.header.Get("X-Amz-Meta-"+strings.Repeat("n", 250)) != "x" || got.header.Get("X-Amz-Meta-A_b") != "grün" {
			t.Errorf("metadata came back as %v", got.header)
		}
		s.putRaw(t, b, "k", nil, map[string]string{"Content-Disposition": strings.Repeat("d", 12_000)}).want(t, 400, "MetadataTooLarge")
		if got := s.send(t, request{method: "HEAD", bucket: b, key: "k"}); got.header.Get("Content-Disposition") != "" {
			t.Error("a refused write replaced the object")
		}
	})
}
