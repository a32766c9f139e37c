package proxy_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const formBoundary = "----WebKitFormBoundaryX7x"

// webForm is a form as a browser would send it.
type webForm struct {
	fields   [][2]string
	filename string // of the file part; "-" for none at all
	file     []byte
	after    string // parts behind the file, each ending in CRLF
	end      string // "" for the closing boundary and CRLF
	header   http.Header
	chunked  bool
}

func formPart(name, value string) string {
	return "--" + formBoundary + "\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
}

func (f webForm) body() []byte {
	var b bytes.Buffer
	for _, field := range f.fields {
		b.WriteString(formPart(field[0], field[1]))
	}
	filename := `; filename="` + f.filename + `"`
	if f.filename == "-" {
		filename = ""
	}
	b.WriteString("--" + formBoundary + "\r\nContent-Disposition: form-data; name=\"file\"" + filename + "\r\nContent-Type: image/png\r\n\r\n")
	b.Write(f.file)
	b.WriteString("\r\n" + f.after)
	if f.end == "" {
		f.end = "--" + formBoundary + "--\r\n"
	}
	b.WriteString(f.end)
	return b.Bytes()
}

// formReply is an answer whose body has been read.
type formReply struct {
	status int
	header http.Header
	body   string
}

func (r formReply) code() string {
	if m := regexp.MustCompile(`<Code>(\w+)</Code>`).FindStringSubmatch(r.body); m != nil {
		return m[1]
	}
	return ""
}

// post sends a form without following redirects.
func (s *site) post(t *testing.T, bucket string, f webForm) formReply {
	t.Helper()
	body := f.body()
	var reader io.Reader = bytes.NewReader(body)
	if f.chunked {
		reader = io.MultiReader(reader)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/"+bucket, reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range f.header {
		req.Header[name] = v
	}
	req.Header.Set("Content-Type", "multipart/form-data; boundary="+formBoundary)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return formReply{resp.StatusCode, resp.Header, string(text)}
}

// signForm gives the fields with a policy that allows just them, and conditions besides, signed by Version 4 or 2.
func signForm(version int, bucket string, fields [][2]string, conditions ...any) [][2]string {
	now := time.Now().UTC()
	all := []any{map[string]string{"bucket": bucket}}
	out := append([][2]string{}, fields...)
	if version == 4 {
		out = append(out, [][2]string{
			{"X-Amz-Algorithm", "AWS4-HMAC-SHA256"}, {"X-Amz-Credential", accessKey + "/" + now.Format("20060102") + "/" + region + "/s3/aws4_request"},
			{"X-Amz-Date", now.Format("20060102T150405Z")},
		}...)
	}
	covered, _ := json.Marshal(conditions)
	for _, f := range out {
		if !bytes.Contains(bytes.ToLower(covered), []byte(strings.ToLower(`"$`+f[0]+`"`))) {
			all = append(all, map[string]string{f[0]: f[1]})
		}
	}
	doc, _ := json.Marshal(map[string]any{"expiration": now.Add(time.Hour).Format("2006-01-02T15:04:05.000Z"), "conditions": append(all, conditions...)})
	policy := base64.StdEncoding.EncodeToString(doc)
	out = append(out, [2]string{"Policy", policy})
	if version == 2 {
		h := hmac.New(sha1.New, []byte(secretKey))
		h.Write([]byte(policy))
		return append(out, [2]string{"AWSAccessKeyId", accessKey}, [2]string{"Signature", base64.StdEncoding.EncodeToString(h.Sum(nil))})
	}
	key := []byte("AWS4" + secretKey)
	for _, word := range []string{now.Format("20060102"), region, "s3", "aws4_request", policy} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(word))
		key = h.Sum(nil)
	}
	return append(out, [2]string{"X-Amz-Signature", hex.EncodeToString(key)})
}

func etagOf(body []byte) string {
	sum := md5.Sum(body)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// navigation is what a browser sends along when a page's form is submitted without a script.
var navigation = http.Header{"Upgrade-Insecure-Requests": {"1"}}

// formRoads are the ways in which the length of a form's file is found: a size for each, and what the request looks like.
var formRoads = []struct {
	name   string
	size   int
	header http.Header
}{
	{"held", 200_000, nil},
	{"streamed", 700_000, nil},
	{"staged", 700_000, navigation},
}

func TestFormsStoreTheirFile(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "forms")
		for _, n := range []int{0, 1, 65536, 256<<10 - 200, 256<<10 - 5, 256 << 10, 256<<10 + 1, 1 << 20, 5<<20 + 3, 20 << 20} {
			file := pattern(n)
			copy(file, "\r\n--"+formBoundary[:8]+"\r\n") // nearly a boundary
			for _, staged := range []bool{false, true} {
				version := 4
				f := webForm{filename: "photo.png", file: file}
				if staged {
					version, f.header, f.after = 2, navigation, formPart("submit", "Upload to S3")
				}
				key := fmt.Sprintf("user/%d/%v/", n, staged)
				f.fields = signForm(version, b, [][2]string{{"key", key + "${filename}"}, {"Content-Type", "text/x-test"}, {"x-amz-meta-patient", "secret-name"}, {"Cache-Control", "max-age=5"}},
					[]any{"starts-with", "$key", key}, []any{"content-length-range", n, n})
				r := s.post(t, b, f)
				if r.status != http.StatusNoContent || r.body != "" || r.header.Get("ETag") != etagOf(file) {
					t.Fatalf("%s: %d %s %s", key, r.status, r.body, r.header.Get("ETag"))
				}
				if want := s.url + "/" + b + "/" + url.QueryEscape(key+"photo.png"); r.header.Get("Location") != want {
					t.Fatalf("Location %s, want %s", r.header.Get("Location"), want)
				}
				if got := s.get(t, b, key+"photo.png"); !bytes.Equal(got, file) {
					t.Fatalf("%s: other bytes came back", key)
				}
				head, err := s.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b, Key: aws.String(key + "photo.png")})
				if err != nil || *head.ETag != etagOf(file) || *head.ContentType != "text/x-test" || head.Metadata["patient"] != "secret-name" || *head.CacheControl != "max-age=5" {
					t.Fatalf("%+v %v", head, err)
				}
				raw, stored := st.rawObject(t, b, key+"photo.png")
				if n > 100 && bytes.Contains(stored, file[50:90]) || raw.Metadata["patient"] != "" {
					t.Fatal("plaintext on the backend")
				}
			}
		}
		s.wantNothingStaged(t)
	})
}

// wantNothingStaged fails if a staged file is left in the system bucket.
func (s *site) wantNothingStaged(t *testing.T) {
	t.Helper()
	list, err := s.raw.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &s.system, Prefix: str("forms/")})
	if err != nil || len(list.Contents) != 0 {
		t.Fatalf("%d staged files left: %v", len(list.Contents), err)
	}
}

func TestLargeFormIsOnePUTOfExactLength(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "one-put")
	s.put(t, b, "warm", nil)
	s.backend.take()
	r := s.post(t, b, webForm{fields: signForm(4, b, [][2]string{{"key", "k"}}), file: pattern(700_000)})
	if got := fmt.Sprint(s.backend.take()); r.status != 204 || got != "[PUT object body 700320 -> 200]" {
		t.Fatalf("%d %s", r.status, got)
	}
	r = s.post(t, b, webForm{fields: signForm(4, b, [][2]string{{"key", "k"}}), file: pattern(700_000), header: navigation})
	if got := s.backend.take(); r.status != 204 || len(got) != 4 || got[2] != "PUT object body 700320 -> 200" && got[1] != "GET system range bytes=0-700239 -> 206" {
		t.Fatalf("%d %q", r.status, got)
	}
}

// A form that is not whole, or not one form, leaves the object of before, whichever way its file goes.
func TestBrokenFormsLeaveTheOldObject(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "broken")
		s.put(t, b, "k", []byte("the old one"))
		second := "--" + formBoundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"b\"\r\n\r\nanother file\r\n"
		for _, road := range formRoads {
			for _, c := range []struct {
				name       string
				after, end string
				want       string
			}{
				{"two files", second, "", "IncorrectNumberOfFilesInPostRequest"},
				{"no end", "", "xx", "MalformedPOSTRequest"},
				{"half an end", "", "--" + formBoundary + "-", "MalformedPOSTRequest"},
				{"boundary that goes on", "", "--" + formBoundary + "abc--\r\n", "MalformedPOSTRequest"},
			} {
				t.Run(road.name+"/"+c.name, func(t *testing.T) {
					r := s.post(t, b, webForm{fields: signForm(4, b, [][2]string{{"key", "k"}}), file: pattern(road.size), after: c.after, end: c.end, header: road.header})
					if r.status != http.StatusBadRequest || r.code() != c.want {
						t.Errorf("%d %s", r.status, r.body)
					}
				})
			}
			t.Run(road.name+"/wrong checksum", func(t *testing.T) {
				for _, field := range [][2]string{{"x-amz-checksum-crc32", "AAAAAA=="}, {"Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="}} {
					r := s.post(t, b, webForm{fields: signForm(4, b, [][2]string{{"key", "k"}, field}), file: pattern(road.size), header: road.header})
					if r.status != http.StatusBadRequest || r.code() != "BadDigest" {
						t.Errorf("%s: %d %s", field[0], r.status, r.body)
					}
				}
			})
			t.Run(road.name+"/too large and too small", func(t *testing.T) {
				for want, bounds := range map[string][2]int{"EntityTooLarge": {0, road.size - 1}, "EntityTooSmall": {road.size + 1, road.size + 2}} {
					r := s.post(t, b, webForm{fields: signForm(4, b, [][2]string{{"key", "k"}}, []any{"content-length-range", bounds[0], bounds[1]}), file: pattern(road.size), header: road.header})
					if r.status != http.StatusBadRequest || r.code() != want || !strings.Contains(r.body, fmt.Sprintf("<ProposedSize>%d</ProposedSize>", road.size)) {
						t.Errorf("%d %s", r.status, r.body)
					}
				}
			})
			t.Run(road.name+"/connection broken off", func(t *testing.T) {
				body := webForm{fields: signForm(4, b, [][2]string{{"key", "k"}}), file: pattern(road.size)}.body()
				conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(conn, "POST /%s HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=%s\r\nContent-Length: %d\r\n", b, formBoundary, len(body))
				for name := range road.header {
					fmt.Fprintf(conn, "%s: %s\r\n", name, road.header.Get(name))
				}
				_, _ = conn.Write(append([]byte("\r\n"), body[:len(body)-30]...))
				seen := s.logs.Len()
				conn.Close()
				for s.logs.Len() == seen { // the request's line in the log says that it is over
					time.Sleep(5 * time.Millisecond)
				}
			})
			if got := s.get(t, b, "k"); string(got) != "the old one" {
				t.Fatalf("%s: the old object is gone", road.name)
			}
		}
		s.wantNothingStaged(t)
	})
}

func TestSweepRemovesOldStagedFormsAndNothingElse(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		if err := s.handler.SweepStaged(t.Context(), time.Now()); err != nil { // no system bucket yet
			t.Error(err)
		}
		b := s.bucket(t, "sweep")
		s.put(t, b, "k", []byte("kept")) // makes the system bucket
		names := func() string {
			list, err := s.raw.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &s.system})
			if err != nil {
				t.Fatal(err)
			}
			var all []string
			for _, e := range list.Contents {
				all = append(all, *e.Key)
			}
			return strings.Join(all, " ")
		}
		before := names()
		s.rawPut(t, s.system, "forms/00ff", []byte("left behind"), nil)
		if err := s.handler.SweepStaged(t.Context(), time.Now().Add(-time.Hour)); err != nil {
			t.Error(err)
		}
		if !strings.Contains(names(), "forms/00ff") {
			t.Fatal("a fresh file was swept")
		}
		if err := s.handler.SweepStaged(t.Context(), time.Now().Add(time.Hour)); err != nil {
			t.Error(err)
		}
		if got := names(); got != before {
			t.Fatalf("%s is left, want %s", got, before)
		}
	})
}

func TestFormsThatGoOnOrEndInTheirOwnWay(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "tails")
	submit := formPart("submit", "ok") + formPart("key", "ignored")
	bare := "--" + formBoundary + "--"
	for _, c := range []struct {
		name       string
		size       int
		after, end string
		header     http.Header
		code       string
	}{
		{"little, fields behind", 1000, submit, "", nil, ""},
		{"little, no CRLF", 1000, "", bare, nil, ""},
		{"little, epilogue", 1000, "", bare + "\r\nepilogue\r\n", nil, ""},
		{"page, fields behind", 700_000, submit, "", navigation, ""},
		{"page by https, fields behind", 700_000, submit, "", http.Header{"Sec-Fetch-Mode": {"navigate"}}, ""},
		{"page, much behind", 300_000, formPart("comment", strings.Repeat("x", 500_000)), "", navigation, ""},
		{"page, nothing behind", 700_000, "", "", navigation, ""},
		{"page, no file but much behind", 0, formPart("comment", strings.Repeat("x", 500_000)), "", navigation, ""},
		{"node, no CRLF", 700_000, "", bare, http.Header{"User-Agent": {"node"}}, ""},
		{"undici, CRLF", 700_000, "", "", http.Header{"User-Agent": {"undici"}}, ""},
		{"script, fields behind", 700_000, submit, "", nil, "MalformedPOSTRequest"},
		{"script, no CRLF", 700_000, "", bare, nil, "MalformedPOSTRequest"},
		{"script, epilogue", 700_000, "", bare + "\r\nepilogue\r\n", nil, "MalformedPOSTRequest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := pattern(c.size)
			r := s.post(t, b, webForm{fields: signForm(4, b, [][2]string{{"key", c.name}}), file: file, after: c.after, end: c.end, header: c.header})
			if r.code() != c.code || c.code == "" && r.status != http.StatusNoContent {
				t.Fatalf("%d %s", r.status, r.body)
			}
			if c.code == "" {
				if got := s.get(t, b, c.name); !bytes.Equal(got, file) {
					t.Fatalf("%d bytes came back", len(got))
				}
			}
		})
	}
	s.wantNothingStaged(t)
}

func TestFormsWithoutLength(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "chunked")
	fields := signForm(4, b, [][2]string{{"key", "k"}})
	if r := s.post(t, b, webForm{fields: fields, file: pattern(200_000), chunked: true}); r.status != http.StatusNoContent || len(s.get(t, b, "k")) != 200_000 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := s.post(t, b, webForm{fields: fields, file: pattern(300_000), chunked: true}); r.status != http.StatusLengthRequired || r.code() != "MissingContentLength" {
		t.Fatalf("%d %s", r.status, r.body)
	}
}

func TestSlowForms(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "slow")
	for _, road := range formRoads {
		body := webForm{fields: signForm(2, b, [][2]string{{"key", road.name}}), file: pattern(road.size), header: road.header}.body()
		in, out := io.Pipe()
		go func() {
			for len(body) > 0 {
				n := min(len(body), 40_000)
				_, _ = out.Write(body[:n])
				body = body[n:]
				time.Sleep(2 * time.Millisecond)
			}
			out.Close()
		}()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/"+b, in)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = road.header.Clone()
		if req.Header == nil {
			req.Header = http.Header{}
		}
		req.Header.Set("Content-Type", `multipart/form-data; boundary="`+formBoundary+`"`)
		req.ContentLength = int64(len(body))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNoContent || !bytes.Equal(s.get(t, b, road.name), pattern(road.size)) {
			t.Fatalf("%s: %d", road.name, resp.StatusCode)
		}
	}
}
