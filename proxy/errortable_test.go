package proxy_test

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/proxy"
	"cofre/s3api"
	"cofre/sigv4/sigv4test"
)

// The table of errors: every code that cofre can answer with, and each of its causes, as a request over the wire and the whole
// answer to it. What S3 answers is known from answers that S3 gave to others and from its reference ("Error responses",
// Amazon S3 API Reference); where the texts differ, the answers count.

// errorRow is one cause of one error.
type errorRow struct {
	name, code string
	// message is the text, "" for the catalogue's, "*" where only the code counts.
	message string
	// fields are the elements of the document besides those that every error has, in order; the value "*" stands for any.
	fields [][2]string
	rq     request
	// send makes the request in place of rq.
	send func(t *testing.T, w *errorWorld) reply
	// storage is what the storage answers to everything that is asked of the bucket, status and code, as Ceph RGW does
	// where it has no more to say.
	storage *refusal
}

type refusal struct {
	status int
	code   string
}

// errorWorld is a site, and what its rows speak of.
type errorWorld struct {
	*site
	meddler *meddler
	// b holds the object k of ten bytes, and has the open upload id, whose part 1 of four bytes has this ETag.
	b, id, etag string
	// versions holds a key k whose latest version is the delete marker of this id.
	versions, marker string
	// cors has rules that let https://b read; only a Ceph RGW has such.
	cors string
}

func newErrorWorld(t *testing.T, st *storage) *errorWorld {
	t.Helper()
	w := &errorWorld{meddler: &meddler{}}
	w.site = newSite(t, st, siteConfig{wrap: func(b proxy.Backend) proxy.Backend { w.meddler.Backend = b; return w.meddler }})
	w.b, w.versions = w.bucket(t, "errors"), w.bucket(t, "errors-versions")
	w.put(t, w.b, "k", []byte("0123456789"))
	id, parts := w.upload(t, w.b, "mpu", []byte("tiny"))
	w.id, w.etag = id, *parts[0].ETag
	if _, err := w.client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &w.versions, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	w.put(t, w.versions, "k", []byte("body"))
	out, err := w.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &w.versions, Key: str("k")})
	if err != nil {
		t.Fatal(err)
	}
	w.marker = *out.VersionId
	return w
}

// errorRows gives the rows that any storage can show, and those that take a Ceph RGW.
func errorRows(w *errorWorld) []errorRow {
	return slices.Concat(authorizationRows(w), presignedRows(w), headRows(w), queryRows(w), nameRows(w), tagRows(w), bodyRows(w), checksumRows(w),
		chunkRows(w), documentRows(w), formRows(w), conditionRows(w), copyRows(w), sourceRows(w), uploadRows(w), versionRows(w), accessRows(w), storageRows(w))
}

// TestEveryErrorIsGivenAsS3GivesIt walks the table, and then the catalogue: an error without a row cannot be given, or is not
// known to be given right.
func TestEveryErrorIsGivenAsS3GivesIt(t *testing.T) {
	rows := map[string]int{}
	t.Run("disk", func(t *testing.T) {
		w := newErrorWorld(t, diskStorage(t))
		for _, row := range errorRows(w) {
			rows[row.code]++
			t.Run(row.code+"/"+row.name, func(t *testing.T) { w.check(t, row) })
		}
	})
	for _, row := range rgwRows(&errorWorld{site: &site{storage: &storage{}}}) {
		rows[row.code]++
	}
	for _, e := range s3api.Catalogue() {
		if rows[e.Code] == 0 {
			t.Errorf("%s has no row", e.Code)
		}
		delete(rows, e.Code)
	}
	for code := range rows {
		t.Errorf("%s has rows and is not in the catalogue", code)
	}
	t.Run("rgw", func(t *testing.T) {
		w := newErrorWorld(t, rgwStorage(t))
		w.cors = w.bucket(t, "errors-cors")
		if _, err := w.client.PutBucketCors(t.Context(), &s3.PutBucketCorsInput{Bucket: &w.cors, CORSConfiguration: &types.CORSConfiguration{
			CORSRules: []types.CORSRule{{AllowedOrigins: []string{"https://b"}, AllowedMethods: []string{"GET"}}},
		}}); err != nil {
			t.Fatal(err)
		}
		for _, row := range rgwRows(w) {
			t.Run(row.code+"/"+row.name, func(t *testing.T) { w.check(t, row) })
		}
	})
}

// check sends the request of a row and compares the whole answer.
func (w *errorWorld) check(t *testing.T, row errorRow) {
	want := s3api.ErrorByCode(row.code)
	if want == nil {
		t.Fatalf("%s is not in the catalogue", row.code)
	}
	if row.message != "" {
		want = want.With(row.message)
	}
	if row.storage != nil {
		w.meddler.before = func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool) {
			if rq.Bucket != w.b {
				return nil, nil, false
			}
			return nil, s3api.DecodeError(row.storage.status, fmt.Appendf(nil, "<Error><Code>%s</Code><Message/></Error>", row.storage.code)), true
		}
		defer func() { w.meddler.before = nil }()
	}
	w.logs.TakeAll()
	var got reply
	if row.send != nil {
		for try := 1; try == 1 || got.code == "SlowDown" && want.Status != got.status && try <= 4; try++ { // as send does
			got = row.send(t, w)
		}
	} else {
		got = w.send(t, row.rq)
	}
	if got.status != want.Status {
		t.Fatalf("status %d, want %d: %.400s", got.status, want.Status, got.body)
	}
	if row.send == nil && want.Status != http.StatusNotModified { // else the answer may be that of another site
		if code := w.logged(got.header.Get("X-Amz-Request-Id"), "code"); code != row.code {
			t.Errorf("logged as %v", code)
		}
	}
	if row.rq.method == http.MethodHead || want.Status == http.StatusNotModified {
		if len(got.body) > 0 {
			t.Errorf("a body: %s", got.body)
		}
		return
	}
	got.checkDocument(t, want, row.fields)
}

// TestARefusalIsLoggedWithWhatWasUnderstood: whoever reads the log sees what was asked for and refused, and sees it when the
// client does, however long the rest of the body is waited for.
func TestARefusalIsLoggedWithWhatWasUnderstood(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "refusals")
	for _, c := range []struct {
		operation string
		rq        request
	}{
		{"GetObject", request{method: "GET", bucket: b, key: "k", query: "versionId="}},
		{"Unknown", request{method: "PATCH", bucket: b, key: "k"}},
		{"PutObject", request{method: "PUT", bucket: b, key: "k", header: headers("X-Amz-Acl", "public")}},
		{"PutObject", request{method: "PUT", bucket: b, key: "k", spoil: wrongSignature}},
	} {
		r := s.build(t, c.rq)
		s.logs.TakeAll()
		conn := s.dial(t, r, 1000) // of which nothing comes
		resp, err := http.ReadResponse(bufio.NewReader(conn), r)
		if err != nil {
			t.Fatal(err)
		}
		lines := s.logs.TakeAll()
		got := read(resp)
		conn.Close()
		if len(lines) != 1 {
			t.Fatalf("%s: %d lines with %d %s", c.operation, len(lines), got.status, got.code)
		}
		if line := lines[0].ContextMap(); line["operation"] != c.operation || line["bucket"] != b || line["code"] != got.code {
			t.Errorf("%s: %d %s is logged as %v", c.operation, got.status, got.code, line)
		}
	}
}

// logged gives a field of the log's line of a request. The line comes behind the answer.
func (s *site) logged(id, field string) any {
	for {
		for _, line := range s.logs.All() {
			if fields := line.ContextMap(); fields["request_id"] == id {
				return fields[field]
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// checkDocument wants an error's document: code, message, the elements of its own, and what every error has.
func (r reply) checkDocument(t *testing.T, want *s3api.Error, fields [][2]string) {
	t.Helper()
	var doc struct {
		XMLName  xml.Name `xml:"Error"`
		Elements []struct {
			XMLName xml.Name
			Text    string `xml:",chardata"`
		} `xml:",any"`
	}
	if err := xml.Unmarshal(r.body, &doc); err != nil {
		t.Fatalf("%v: %.400s", err, r.body)
	}
	var got [][2]string
	for _, e := range doc.Elements {
		got = append(got, [2]string{e.XMLName.Local, e.Text})
	}
	all := append([][2]string{{"Code", want.Code}, {"Message", want.Message}}, fields...)
	all = append(all, [][2]string{{"Resource", "*"}, {"RequestId", r.header.Get("X-Amz-Request-Id")}, {"HostId", r.header.Get("X-Amz-Id-2")}}...)
	same := func(got, want [2]string) bool {
		return got[0] == want[0] && (got[1] == want[1] || want[1] == "*" && got[1] != "")
	}
	if !slices.EqualFunc(got, all, same) {
		t.Errorf("document\n%q, want\n%q", got, all)
	}
	if r.header.Get("Content-Type") != "application/xml" || r.header.Get("X-Amz-Request-Id") == "" || r.header.Get("X-Amz-Id-2") == "" {
		t.Errorf("headers %v", r.header)
	}
}

// argument is what S3 says with an InvalidArgument.
func argument(name, value string) [][2]string {
	return [][2]string{{"ArgumentName", name}, {"ArgumentValue", value}}
}

// body is a payload signed by its hash.
func body(text string) sigv4test.Payload { return sigv4test.Payload{Data: []byte(text)} }

// headers makes a map of pairs.
func headers(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// headAlone sends the head of a request that claims a body of this length and asks first; nothing of the body follows.
func headAlone(rq request, length int) func(*testing.T, *errorWorld) reply {
	return func(t *testing.T, w *errorWorld) reply {
		r := w.build(t, rq)
		r.Header.Set("Expect", "100-continue")
		conn := w.dial(t, r, length)
		defer conn.Close()
		resp, err := http.ReadResponse(bufio.NewReader(conn), r)
		if err != nil {
			t.Fatal(err)
		}
		return read(resp)
	}
}

// rawLine sends a request line that no HTTP client would, unsigned.
func rawLine(line string) func(*testing.T, *errorWorld) reply {
	return func(t *testing.T, w *errorWorld) reply {
		r := w.build(t, request{method: http.MethodGet, unsigned: true})
		conn := w.connect(t)
		defer conn.Close()
		if _, err := io.WriteString(conn, line+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), r)
		if err != nil {
			t.Fatal(err)
		}
		return read(resp)
	}
}

// elsewhere runs a request at another site over the same storage.
func elsewhere(cfg siteConfig, rq request) func(*testing.T, *errorWorld) reply {
	return func(t *testing.T, w *errorWorld) reply {
		cfg.identity = w.identity
		if cfg.store == nil {
			cfg.store = w.store
		}
		return newSite(t, w.storage, cfg).send(t, rq)
	}
}

func wireForm(w *errorWorld, f webForm) func(*testing.T, *errorWorld) reply {
	return func(t *testing.T, _ *errorWorld) reply {
		got := w.post(t, w.b, f)
		return reply{status: got.status, header: got.header, body: []byte(got.body)}
	}
}

// replaced changes a body after it was signed, by one text for another.
func replaced(old, with string) func(*http.Request) {
	return func(r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Contains(text, []byte(old)) {
			panic(errors.Join(err, fmt.Errorf("%q is not in %q", old, text)))
		}
		sigv4test.SetBody(r, bytes.ReplaceAll(text, []byte(old), []byte(with)), true)
	}
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }
