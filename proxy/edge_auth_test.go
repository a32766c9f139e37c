package proxy_test

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"cofre/access"
	"cofre/internal/longtest"
	"cofre/sigv4/sigv4test"
)

// everyOperation gives a request for each operation of S3's model, addressed to a bucket and the key k.
func everyOperation(t *testing.T, bucket string) map[string]request {
	t.Helper()
	text, err := os.ReadFile("../s3api/testdata/operations.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]request{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] == "#" {
			continue
		}
		path, query, _ := strings.Cut(f[2], "?")
		rq := request{method: f[1], query: query}
		for _, p := range f[3:] {
			if name, needed := strings.CutSuffix(p, "*"); needed {
				rq.query += "&" + name + "=1"
			}
		}
		rq.query = strings.TrimPrefix(rq.query, "&")
		if strings.Contains(path, "{Bucket}") {
			rq.bucket = bucket
		}
		if strings.Contains(path, "{Key+}") {
			rq.key = "k"
		}
		if f[0] == "WriteGetObjectResponse" {
			continue // has an address of its own, without a bucket
		}
		if strings.HasSuffix(f[0], "Copy") || f[0] == "CopyObject" {
			rq.header = map[string]string{"X-Amz-Copy-Source": bucket + "/k"}
		}
		all[f[0]] = rq
	}
	if len(all) < 90 {
		t.Fatalf("%d operations in the model", len(all))
	}
	return all
}

// untouched fails the test if anybody reads it.
type untouched struct{ t *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, errors.New("read")
}
func (untouched) Close() error { return nil }

// strangers are the ways to come without proof of who one is; each spoils a request that has been signed.
var strangers = map[string]struct {
	code  string
	spoil func(*http.Request)
}{
	"wrong signature": {"SignatureDoesNotMatch", wrongSignature},
	"unknown key":     {"InvalidAccessKeyId", rewritten(accessKey, "AKIANOBODY")},
	"nobody":          {"AccessDenied", withoutHeader("Authorization")},
	"no grant":        {"AccessDenied", func(r *http.Request) { resign(r, "AKIAWITHOUTGRANTS", "the-secret-of-one-without-grants") }},
	"wrong link": {"SignatureDoesNotMatch", func(r *http.Request) {
		r.Header = http.Header{}
		signer().Presign(r, time.Hour, sigv4test.Payload{Mode: sigv4test.Unsigned})
		r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "X-Amz-Signature=", "X-Amz-Signature=0", 1)
	}},
	"wrong signature of version 2": {"SignatureDoesNotMatch", func(r *http.Request) {
		r.Header = http.Header{"Authorization": {"AWS " + accessKey + ":AAAA"}, "Date": {time.Now().UTC().Format(http.TimeFormat)}}
	}},
}

func resign(r *http.Request, key, secret string) {
	s := signer()
	s.AccessKeyID, s.SecretAccessKey = key, secret
	r.Header.Del("Authorization")
	s.Sign(r, sigv4test.Payload{Mode: sigv4test.Unsigned})
}

// TestNothingOfABodyIsReadBeforeItsSenderIsKnown: for every operation, whoever proves nothing, or may do nothing, gets his answer with
// his body unread. The one exception is a form, whose fields say who sends it.
func TestNothingOfABodyIsReadBeforeItsSenderIsKnown(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{credentials: []access.Credential{{AccessKeyID: "AKIAWITHOUTGRANTS", Secret: "the-secret-of-one-without-grants"}}})
	b := s.bucket(t, "strangers")
	s.put(t, b, "k", []byte("the object"))
	s.backend.take()
	tried := 0
	for name, rq := range everyOperation(t, b) {
		for who, stranger := range strangers {
			t.Run(name+"/"+who, func(t *testing.T) {
				if who == "no grant" && (slices.Contains([]string{"ListBuckets", "ListDirectoryBuckets", "DeleteObjects"}, name) || notServedByName(name)) {
					t.Skip("is answered with what the grants allow: nothing")
				}
				rq.spoil = func(r *http.Request) {
					stranger.spoil(r)
					r.RequestURI = r.URL.RequestURI()
					if r.Host == "" {
						r.Host = r.URL.Host
					}
					r.Body, r.ContentLength = untouched{t}, 1<<20
					r.RemoteAddr = "192.0.2.1:1"
				}
				rec := httptest.NewRecorder()
				s.handler.ServeHTTP(rec, s.build(t, rq))
				code := stranger.code
				got := read(rec.Result())
				if rq.method != "HEAD" && got.code != code && !(got.code == "NotImplemented" && code == "AccessDenied") {
					t.Errorf("answer %d %s, want %s", got.status, got.code, code)
				}
				if got.status < 400 {
					t.Errorf("answer %d", got.status)
				}
				if asked := s.backend.take(); len(asked) > 0 && who != "no grant" {
					t.Errorf("the storage was asked: %v", asked)
				}
				tried++
			})
		}
	}
	longtest.Figure(t, "requests of strangers refused with their body unread", tried)
}

func notServedByName(name string) bool {
	for op := range notServed {
		if op.String() == name {
			return true
		}
	}
	return false
}

// TestARefusedClientIsNotAskedForItsBody: no 100 Continue goes out to a stranger, and nobody waits for the body.
func TestARefusedClientIsNotAskedForItsBody(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "expected")
	for who, stranger := range strangers {
		if who == "no grant" {
			continue
		}
		for _, rq := range []request{{method: "PUT", key: "k"}, {method: "PUT", key: "k", query: "partNumber=1&uploadId=1"}, {method: "POST", query: "delete="}, {method: "PUT", query: "policy="}, {method: "POST", key: "k", query: "uploadId=1"}} {
			rq.bucket, rq.spoil = b, stranger.spoil
			r := s.build(t, rq)
			r.Header.Set("Expect", "100-continue")
			conn := s.dial(t, r, 1000)
			conn.SetDeadline(time.Now().Add(time.Minute))
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil || !strings.HasPrefix(line, "HTTP/1.1 403 ") {
				t.Errorf("%s, %s: first line %q, %v", who, rq.method+" "+rq.query, line, err)
			}
			conn.Close()
		}
	}
}

// TestAFormsSenderIsKnownBeforeItsFile: who sends a form is judged by fields of at most 20 KiB, and not a byte of the file is
// waited for.
func TestAFormsSenderIsKnownBeforeItsFile(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "formed")
	fields := signForm(4, b, [][2]string{{"key", "k"}})
	fields[len(fields)-1][1] = strings.Repeat("0", 64)
	whole := webForm{fields: fields, file: []byte("FILE")}.body()
	upToFile := whole[:strings.Index(string(whole), "FILE")]
	endless := []byte(formPart("key", "k") + "--" + formBoundary + "\r\nContent-Disposition: form-data; name=\"x-ignore-a\"\r\n\r\n" + strings.Repeat("a", 64<<10))
	for name, c := range map[string]struct {
		sent []byte
		want string
	}{"a wrong signature": {upToFile, "SignatureDoesNotMatch"}, "fields without end": {endless, "MaxPostPreDataLengthExceeded"}} {
		conn := s.connect(t)
		conn.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprintf(conn, "POST /%s HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=%s\r\nContent-Length: 104857600\r\n\r\n", b, formBoundary)
		go conn.Write(c.sent)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var doc struct{ Code string }
		xml.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&doc)
		if !strings.HasPrefix(doc.Code, c.want) {
			t.Errorf("%s: answer %d %s", name, resp.StatusCode, doc.Code)
		}
		conn.Close()
	}
}

// TestARefusalSaysWhatS3SaysAndNothingMore holds the elements of the two refusals that guessing can meet, and that neither the
// secret nor the signature that would have been right is among what they say.
func TestARefusalSaysWhatS3SaysAndNothingMore(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "refused")
	rq := request{method: "GET", bucket: b, key: "k", header: map[string]string{"X-Amz-Meta-Mark": "1"}}
	var right string
	rq.spoil = func(r *http.Request) {
		right = r.Header.Get("Authorization")[len(r.Header.Get("Authorization"))-64:]
		wrongSignature(r)
	}
	wrong := s.send(t, rq).want(t, 403, "SignatureDoesNotMatch")
	rq.spoil = rewritten(accessKey, "AKIANOBODY")
	unknown := s.send(t, rq).want(t, 403, "InvalidAccessKeyId")
	always := []string{"Code", "Message", "Resource", "RequestId", "HostId", "AWSAccessKeyId"}
	wantElements(t, unknown.body, always)
	wantElements(t, wrong.body, append(always, "StringToSign", "SignatureProvided", "StringToSignBytes", "CanonicalRequest", "CanonicalRequestBytes"))
	for _, secret := range []string{secretKey, right} {
		if strings.Contains(string(wrong.body), secret) || strings.Contains(string(unknown.body), secret) {
			t.Errorf("the answer holds %.8s...", secret)
		}
	}
	for name := range wrong.header {
		if _, same := unknown.header[name]; !same {
			t.Errorf("header %s tells the two apart", name)
		}
	}
}

// wantElements fails unless the document has just these.
func wantElements(t *testing.T, doc []byte, want []string) {
	t.Helper()
	var e struct {
		Elements []struct{ XMLName xml.Name } `xml:",any"`
	}
	if err := xml.Unmarshal(doc, &e); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range e.Elements {
		got = append(got, x.XMLName.Local)
	}
	slices.Sort(got)
	want = slices.Clone(want)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("elements %v, want %v", got, want)
	}
}
