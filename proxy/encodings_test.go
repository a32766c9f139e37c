package proxy_test

import (
	"bytes"
	"compress/gzip"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cofre/sigv4/sigv4test"
)

// TestContentEncodingIsTheObjectsAndNeverTheFramings in every way to write it, and gzip comes back byte for byte, asked for
// or not.
func TestContentEncodingIsTheObjectsAndNeverTheFramings(t *testing.T) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	w.Write(bytes.Repeat([]byte("text "), 20_000))
	w.Close()
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "encodings")
		for sent, want := range map[string]string{
			"": "", "aws-chunked": "", "AWS-Chunked": "", "aws-chunked,": "", "gzip": "gzip", "aws-chunked,gzip": "gzip", "aws-chunked, gzip": "gzip",
			"gzip,aws-chunked": "gzip", "gzip, aws-chunked": "gzip", "aws-chunked,gzip,br": "gzip,br", "identity": "identity", "x-aws-chunked-not": "x-aws-chunked-not",
		} {
			payload := sigv4test.Payload{Mode: sigv4test.Signed, Data: zipped.Bytes(), NoContentEncoding: true}
			header := map[string]string{}
			if sent != "" {
				header["Content-Encoding"] = sent
			}
			s.send(t, request{method: "PUT", bucket: b, key: "put", header: header, payload: payload}).want(t, 200, "")
			created := s.send(t, request{method: "POST", bucket: b, key: "parts", query: "uploads=", header: header}).want(t, 200, "")
			id := textOf(created.body, "UploadId")
			part := s.send(t, request{method: "PUT", bucket: b, key: "parts", query: "partNumber=1&uploadId=" + escaped(id), header: header, payload: payload}).want(t, 200, "")
			doc := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + strings.Trim(part.header.Get("ETag"), `"`) + "</ETag></Part></CompleteMultipartUpload>"
			s.send(t, request{method: "POST", bucket: b, key: "parts", query: "uploadId=" + escaped(id), payload: sigv4test.Payload{Data: []byte(doc)}}).want(t, 200, "")
			s.send(t, request{method: "PUT", bucket: b, key: "copy", header: map[string]string{"X-Amz-Copy-Source": b + "/put"}}).want(t, 200, "")
			for _, key := range []string{"put", "parts", "copy"} {
				for _, accepted := range []string{"", "gzip", "identity", "gzip;q=0"} {
					header := map[string]string{}
					if accepted != "" {
						header["Accept-Encoding"] = accepted
					}
					got := s.send(t, request{method: "GET", bucket: b, key: key, header: header}).want(t, 200, "")
					if !bytes.Equal(got.body, zipped.Bytes()) || got.header.Get("Content-Encoding") != want || got.header.Get("Content-Length") != strconv.Itoa(zipped.Len()) || len(got.header.Values("Content-Encoding")) > 1 {
						t.Errorf("%q with %q, asked for as %q: %d bytes, %v", key, sent, accepted, len(got.body), got.header)
					}
				}
			}
		}
	})
}

// TestMetadataNamesAreLowerCaseOnTheWire wherever they come back: SDKs keep the case of what stands behind x-amz-meta-.
func TestMetadataNamesAreLowerCaseOnTheWire(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "names")
		s.enableVersioning(t, b)
		header := map[string]string{"X-Amz-Meta-Foo": "Bar", "X-Amz-Meta-Two-Words": "x"}
		s.putRaw(t, b, "put", []byte("x"), header).want(t, 200, "")
		up, err := s.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &b, Key: str("parts"), Metadata: map[string]string{"Foo": "Bar", "Two-Words": "x"}})
		if err != nil {
			t.Fatal(err)
		}
		part := s.send(t, request{method: "PUT", bucket: b, key: "parts", query: "partNumber=1&uploadId=" + escaped(*up.UploadId), payload: sigv4test.Payload{Data: []byte("x")}}).want(t, 200, "")
		doc := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + strings.Trim(part.header.Get("ETag"), `"`) + "</ETag></Part></CompleteMultipartUpload>"
		s.send(t, request{method: "POST", bucket: b, key: "parts", query: "uploadId=" + escaped(*up.UploadId), payload: sigv4test.Payload{Data: []byte(doc)}}).want(t, 200, "")
		version := s.send(t, request{method: "HEAD", bucket: b, key: "parts"}).want(t, 200, "").header.Get("X-Amz-Version-Id")
		s.send(t, request{method: "PUT", bucket: b, key: "copy", header: map[string]string{"X-Amz-Copy-Source": b + "/parts?versionId=" + version}}).want(t, 200, "")
		replaced := map[string]string{"X-Amz-Copy-Source": b + "/copy", "X-Amz-Metadata-Directive": "REPLACE"}
		for name, v := range header {
			replaced[name] = v
		}
		s.send(t, request{method: "PUT", bucket: b, key: "replaced", header: replaced}).want(t, 200, "")
		for _, key := range []string{"put", "parts", "copy", "replaced"} {
			for _, method := range []string{"GET", "HEAD"} {
				conn := s.socket(t)
				conn.head(s.build(t, request{method: method, bucket: b, key: key}), "Connection: close")
				answer := conn.rest(t)
				if !strings.Contains(answer, "\r\nx-amz-meta-foo: Bar\r\n") || !strings.Contains(answer, "\r\nx-amz-meta-two-words: x\r\n") || strings.Contains(answer, "X-Amz-Meta-") {
					t.Errorf("%s %s:\n%s", method, key, answer)
				}
			}
		}
	})
}
