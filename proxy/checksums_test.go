package proxy_test

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/checksum"
	"cofre/sigv4/sigv4test"
)

// shownChecksum is a checksum as answers show it.
type shownChecksum struct {
	alg  checksum.Algorithm
	kind checksum.Type
	text string
}

// checksumOf is what S3 shows of an object that came in one piece.
func checksumOf(alg checksum.Algorithm, body []byte) shownChecksum {
	return shownChecksum{alg, checksum.FullObject, checksumText(alg, body)}
}

func checksumText(alg checksum.Algorithm, body []byte) string {
	h := alg.New()
	h.Write(body)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// wantHeaders fails unless the x-amz-checksum-* headers are those of c and no others; none at all for the zero value.
func (c shownChecksum) wantHeaders(t *testing.T, where string, header http.Header) {
	t.Helper()
	got := map[string]string{}
	for name, values := range header {
		if strings.HasPrefix(strings.ToLower(name), "x-amz-checksum-") {
			got[strings.ToLower(name)] = strings.Join(values, " and ")
		}
	}
	want := map[string]string{}
	if c.alg != checksum.None {
		want[c.alg.Header()] = c.text
	}
	if c.kind != "" {
		want["x-amz-checksum-type"] = string(c.kind)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: headers %v, want %v", where, got, want)
	}
}

// wantElements fails unless the checksum elements right under the root, or under the path given, are those of c.
func (c shownChecksum) wantElements(t *testing.T, where string, doc []byte, path ...string) {
	t.Helper()
	got := elements(t, doc, path...)
	want := map[string]string{}
	if c.alg != checksum.None {
		want["Checksum"+c.alg.String()] = c.text
	}
	if c.kind != "" {
		want["ChecksumType"] = string(c.kind)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: elements %v, want %v in %s", where, got, want, doc)
	}
}

// elements gives all leaves of a document whose name begins with Checksum and that stand under this path.
func elements(t *testing.T, doc []byte, path ...string) map[string]string {
	t.Helper()
	found, at := map[string]string{}, []string{}
	for d := xml.NewDecoder(bytes.NewReader(doc)); ; {
		token, err := d.Token()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatalf("%v in %s", err, doc)
		}
		switch e := token.(type) {
		case xml.StartElement:
			at = append(at, e.Name.Local)
		case xml.EndElement:
			at = at[:len(at)-1]
		case xml.CharData:
			if n := len(at); n == len(path)+2 && strings.HasPrefix(at[n-1], "Checksum") && strings.Join(at[1:n-1], "/") == strings.Join(path, "/") {
				found[at[n-1]] += string(e)
			}
		}
	}
}

// wantEverywhere fails unless every answer that speaks of the object's checksum says the same of it: HEAD and GET where they
// are asked, listings and GetObjectAttributes. extra are headers that reading takes.
func (c shownChecksum) wantEverywhere(t *testing.T, s *site, b, key string, body []byte, extra map[string]string) {
	t.Helper()
	with := func(more map[string]string) map[string]string {
		header := map[string]string{}
		for _, from := range []map[string]string{extra, more} {
			for name, v := range from {
				header[name] = v
			}
		}
		return header
	}
	none := shownChecksum{}
	for _, method := range []string{"HEAD", "GET"} {
		plain := s.send(t, request{method: method, bucket: b, key: key, header: extra}).want(t, 200, "")
		none.wantHeaders(t, key+": "+method+" without checksum mode", plain.header)
		asked := s.send(t, request{method: method, bucket: b, key: key, header: with(map[string]string{"X-Amz-Checksum-Mode": "ENABLED"})}).want(t, 200, "")
		c.wantHeaders(t, key+": "+method, asked.header)
		if method == "GET" && !bytes.Equal(asked.body, body) {
			t.Errorf("%s: %d bytes came back, want %d", key, len(asked.body), len(body))
		}
		if len(body) < 2 {
			continue
		}
		part := s.send(t, request{method: method, bucket: b, key: key, header: with(map[string]string{"X-Amz-Checksum-Mode": "ENABLED", "Range": "bytes=1-"})}).want(t, 206, "")
		none.wantHeaders(t, key+": "+method+" of a range", part.header)
		whole := s.send(t, request{method: method, bucket: b, key: key, header: with(map[string]string{"X-Amz-Checksum-Mode": "ENABLED", "Range": "bytes=0-"})}).want(t, 206, "")
		ofRange := c
		if c.kind == checksum.Composite {
			ofRange = none // clients would take it for that of the bytes
		}
		ofRange.wantHeaders(t, key+": "+method+" of all bytes as a range", whole.header)
	}
	c.wantListed(t, s, b, key)
	attrs := s.send(t, request{method: "GET", bucket: b, key: key, query: "attributes", header: with(map[string]string{"X-Amz-Object-Attributes": "Checksum"})}).want(t, 200, "")
	c.wantElements(t, key+": attributes", attrs.body, "Checksum")
	if extra == nil {
		s.wantVerifiedBySDK(t, b, key, body)
	}
}

// wantListed looks the object up in listings of all three kinds.
func (c shownChecksum) wantListed(t *testing.T, s *site, b, key string) {
	t.Helper()
	for query, entry := range map[string]string{"": "Contents", "list-type=2": "Contents", "versions": "Version"} {
		got := s.send(t, request{method: "GET", bucket: b, query: strings.TrimPrefix(query+"&prefix="+escaped(key)+"&max-keys=1", "&")}).want(t, 200, "")
		listed := elements(t, got.body, entry)
		if listed["ChecksumAlgorithm"] != c.alg.String() || listed["ChecksumType"] != string(c.kind) {
			t.Errorf("%s: listing %q says %v, want %s of type %s", key, query, listed, c.alg, c.kind)
		}
	}
}

// wantVerifiedBySDK reads the object with a client that compares it with the checksum that comes with it.
func (s *site) wantVerifiedBySDK(t *testing.T, b, key string, body []byte) {
	t.Helper()
	out, err := s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	if got, err := io.ReadAll(out.Body); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%s: the SDK read %d bytes, %v", key, len(got), err)
	}
}

// TestEveryObjectHasAChecksum: the one that was sent, in whatever way, else S3's default. It outlives the record.
func TestEveryObjectHasAChecksum(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "checksums")
		body := pattern(70_000)
		want := map[string]shownChecksum{}
		put := func(key string, alg checksum.Algorithm, mode sigv4test.Mode, header map[string]string) {
			if alg != checksum.None {
				want[key] = checksumOf(alg, body)
			} else {
				want[key] = checksumOf(checksum.CRC64NVME, body)
			}
			got := s.send(t, request{method: "PUT", bucket: b, key: key, header: header, payload: sigv4test.Payload{Mode: mode, Data: body, Checksum: alg}}).want(t, 200, "")
			want[key].wantHeaders(t, key+": PUT", got.header)
		}
		for _, alg := range checksum.All() {
			put("header "+alg.String(), alg, sigv4test.Unsigned, nil)
			put("named header "+alg.String(), alg, sigv4test.SHA256, map[string]string{"X-Amz-Sdk-Checksum-Algorithm": strings.ToLower(alg.String())})
			put("signed trailer "+alg.String(), alg, sigv4test.SignedTrailer, map[string]string{"X-Amz-Sdk-Checksum-Algorithm": alg.String()})
			put("unsigned trailer "+alg.String(), alg, sigv4test.UnsignedTrailer, nil)
		}
		for _, mode := range sigv4test.Modes() {
			put("none, "+string(mode)[:8], checksum.None, mode, nil)
		}
		// PutObject has no such header: S3 takes it for one that it does not know.
		put("algorithm of another operation", checksum.None, sigv4test.Unsigned, map[string]string{"X-Amz-Checksum-Algorithm": "SHA256", "X-Amz-Checksum-Type": "COMPOSITE"})
		fresh := newSite(t, st, siteConfig{identity: s.identity})
		for key, c := range want {
			c.wantEverywhere(t, s, b, key, body, nil)
			c.wantEverywhere(t, fresh, b, key, body, nil)
		}
		s.putRaw(t, b, "empty", nil, nil).want(t, 200, "")
		checksumOf(checksum.CRC64NVME, nil).wantEverywhere(t, s, b, "empty", nil, nil)
		got := s.send(t, request{method: "GET", bucket: b, key: "none, UNSIGNED", query: "partNumber=1", header: map[string]string{"X-Amz-Checksum-Mode": "ENABLED"}}).want(t, 206, "")
		checksumOf(checksum.CRC64NVME, body).wantHeaders(t, "the only part", got.header)
	})
}

// unknownChecksums are headers of algorithms that AWS's model of S3 has and cofre has not, and of one that nobody has.
var unknownChecksums = []string{"md5", "sha512", "xxhash64", "xxhash3", "xxhash128", "crc16"}

// TestWrongChecksumsAreRefused: of objects and of parts, and what was there before stays.
func TestWrongChecksumsAreRefused(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "wrong")
		before, body := pattern(1000), pattern(70_000)
		kept := checksumOf(checksum.CRC32C, before)
		s.putRaw(t, b, "k", before, map[string]string{"X-Amz-Checksum-Crc32c": kept.text}).want(t, 200, "")
		id := s.begin(t, b, "part", nil)
		number := "partNumber=1&uploadId=" + escaped(id)
		refused := func(name string, rq request, code string) {
			t.Helper()
			rq.method, rq.bucket = "PUT", b
			if rq.payload.Data == nil {
				rq.payload.Data = body
			}
			for _, target := range [][2]string{{"k", ""}, {"part", number}} {
				rq.key, rq.query = target[0], target[1]
				if got := s.send(t, rq); got.status != 400 || got.code != code {
					t.Errorf("%s of %s: %d %s, want 400 %s: %.300s", name, rq.key, got.status, got.code, code, got.body)
				}
			}
		}
		zeros := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
		for _, alg := range checksum.All() {
			name := alg.Header()
			header := func(v string) request { return request{header: map[string]string{name: v}} }
			refused(name+" wrong", header(zeros(alg.Size())), "BadDigest")
			refused(name+" wrong in the trailer", request{payload: sigv4test.Payload{Mode: sigv4test.UnsignedTrailer, Data: body, Checksum: alg}, spoil: spoiledBody(flipAt(20))}, "BadDigest")
			refused(name+" no base64", header("!"), "InvalidRequest")
			refused(name+" too short", header(zeros(alg.Size()-1)), "InvalidRequest")
			refused(name+" too long", header(zeros(alg.Size()+1)), "InvalidRequest")
			refused(name+" empty", header(""), "InvalidRequest")
			refused(name+" with the number of parts", header(checksumText(alg, body)+"-1"), "InvalidRequest")
			for _, other := range checksum.All() {
				if other == alg {
					continue
				}
				refused("two headers", request{header: map[string]string{name: checksumText(alg, body), other.Header(): checksumText(other, body)}}, "InvalidRequest")
				refused("header and trailer", request{header: map[string]string{name: checksumText(alg, body)}, payload: sigv4test.Payload{Mode: sigv4test.UnsignedTrailer, Data: body, Checksum: other}}, "InvalidRequest")
				refused("header of another name", request{header: map[string]string{name: checksumText(alg, body), "X-Amz-Sdk-Checksum-Algorithm": other.String()}}, "InvalidRequest")
				refused("trailer of another name", request{header: map[string]string{"X-Amz-Sdk-Checksum-Algorithm": other.String()}, payload: sigv4test.Payload{Mode: sigv4test.UnsignedTrailer, Data: body, Checksum: alg}}, "InvalidRequest")
			}
		}
		refused("name without checksum", request{header: map[string]string{"X-Amz-Sdk-Checksum-Algorithm": "SHA256"}}, "InvalidRequest")
		refused("unknown name", request{header: map[string]string{"X-Amz-Sdk-Checksum-Algorithm": "CRC16", "X-Amz-Checksum-Crc32": checksumText(checksum.CRC32, body)}}, "InvalidRequest")
		for _, unknown := range unknownChecksums {
			name := "X-Amz-Checksum-" + unknown
			refused(name, request{header: map[string]string{name: zeros(16)}}, "InvalidRequest")
			refused(name+" besides a known one", request{header: map[string]string{name: zeros(16), "X-Amz-Checksum-Crc32": checksumText(checksum.CRC32, body)}}, "InvalidRequest")
			refused(name+" as trailer", request{header: map[string]string{"X-Amz-Trailer": name}, payload: sigv4test.Payload{Mode: sigv4test.UnsignedTrailer, Data: body}}, "InvalidRequest")
		}
		kept.wantEverywhere(t, s, b, "k", before, nil)
		if parts := s.send(t, request{method: "GET", bucket: b, key: "part", query: "uploadId=" + escaped(id)}).want(t, 200, ""); bytes.Contains(parts.body, []byte("<Part>")) {
			t.Errorf("a refused part is listed: %s", parts.body)
		}
	})
}

// TestChecksumsOfPresignedURLsAreNotOfTheBody: SDKs put the checksum of an empty body into the addresses that they sign for
// others, and S3 pays no heed to it there.
func TestChecksumsOfPresignedURLsAreNotOfTheBody(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b, body := s.bucket(t, "presigned"), pattern(1000)
	r := s.build(t, request{method: "PUT", bucket: b, key: "k", unsigned: true, payload: sigv4test.Payload{Data: body},
		query: url.Values{"x-amz-checksum-crc32": {"AAAAAA=="}, "x-amz-sdk-checksum-algorithm": {"CRC32"}, "x-id": {"PutObject"}}.Encode()})
	signer().Presign(r, time.Minute, sigv4test.Payload{Mode: sigv4test.Unsigned, Data: body})
	resp, err := clientTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	read(resp).want(t, 200, "")
	checksumOf(checksum.CRC64NVME, body).wantEverywhere(t, s, b, "k", body, nil)
}

// TestFormsHaveChecksums: a field says what a header says.
func TestFormsHaveChecksums(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b, file := s.bucket(t, "forms"), pattern(70_000)
	post := func(key string, fields ...[2]string) formReply {
		return s.post(t, b, webForm{fields: signForm(4, b, append([][2]string{{"key", key}}, fields...)), file: file})
	}
	want := map[string]shownChecksum{"none": checksumOf(checksum.CRC64NVME, file)}
	got := post("none")
	want["none"].wantHeaders(t, "form without checksum", got.header)
	for _, alg := range checksum.All() {
		want[alg.String()] = checksumOf(alg, file)
		got := post(alg.String(), [2]string{alg.Header(), checksumText(alg, file)}, [2]string{"x-amz-sdk-checksum-algorithm", alg.String()})
		if got.status != 204 {
			t.Fatalf("%s: %d %s", alg, got.status, got.body)
		}
		want[alg.String()].wantHeaders(t, "form with "+alg.String(), got.header)
		for value, code := range map[string]string{checksumText(alg, []byte("another")): "BadDigest", "!": "InvalidRequest"} {
			if got := post(alg.String(), [2]string{alg.Header(), value}); got.status != 400 || got.code() != code {
				t.Errorf("%s %q: %d %s, want 400 %s", alg, value, got.status, got.code(), code)
			}
		}
	}
	for _, unknown := range unknownChecksums {
		if got := post("none", [2]string{"x-amz-checksum-" + unknown, "AAAAAA=="}); got.status != 400 || got.code() != "InvalidRequest" {
			t.Errorf("%s: %d %s", unknown, got.status, got.code())
		}
	}
	for key, c := range want {
		c.wantEverywhere(t, s, b, key, file, nil)
	}
}
