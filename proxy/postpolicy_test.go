package proxy_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cofre/access"
)

func TestFormAnswers(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "answers")
	file := []byte("content")
	tag := etagOf(file)
	quoted := url.QueryEscape(tag)
	where := s.url + "/" + b + "/a%20b%2F%C3%A9"
	for _, c := range []struct {
		field, value string
		status       int
		location     string
	}{
		{"success_action_status", "200", 200, where},
		{"success_action_status", "201", 201, where},
		{"success_action_status", "204", 204, where},
		{"success_action_status", "404", 204, where},
		{"success_action_status", "", 204, where},
		{"success_action_redirect", "http://h.example/done.html", 303, "http://h.example/done.html?bucket=" + b + "&key=a+b%2F%C3%A9&etag=" + quoted},
		{"SUCCESS_action_redirect", "https://h.example/?x=1", 303, "https://h.example/?x=1&bucket=" + b + "&key=a+b%2F%C3%A9&etag=" + quoted},
		{"redirect", "https://h.example/p#f", 303, "https://h.example/p?bucket=" + b + "&key=a+b%2F%C3%A9&etag=" + quoted + "#f"},
		{"success_action_redirect", "/relative", 204, where},
		{"success_action_redirect", "javascript:alert(1)", 204, where},
		{"success_action_redirect", "data:text/html,x", 204, where},
		{"success_action_redirect", "https:///nowhere", 204, where},
		{"success_action_redirect", "https://h.example/\r\nSet-Cookie: a=b", 204, where},
	} {
		r := s.post(t, b, webForm{fields: signForm(4, b, [][2]string{{"key", "a b/é"}, {c.field, c.value}}), file: file})
		if r.status != c.status || r.header.Get("Location") != c.location || r.header.Get("ETag") != tag || r.header.Get("Set-Cookie") != "" {
			t.Errorf("%s=%q: %d %s %s %s", c.field, c.value, r.status, r.header.Get("Location"), r.header.Get("ETag"), r.body)
		}
		body := ""
		if c.status == 201 {
			body = `<?xml version="1.0" encoding="UTF-8"?>` + "\n<PostResponse><Location>" + where + "</Location><Bucket>" + b + "</Bucket><Key>a b/é</Key><ETag>" + strings.ReplaceAll(tag, `"`, "&quot;") + "</ETag></PostResponse>"
		}
		if r.body != body {
			t.Errorf("%s=%q: body %q", c.field, c.value, r.body)
		}
	}
}

func TestFormKeysAndFilenames(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "names")
	for _, c := range []struct{ key, filename, want string }{
		{"up/${filename}", "a.txt", "up/a.txt"},
		{"up/${filename}", `C:\\Program Files\\dir\\b.txt`, "up/b.txt"},
		{"up/${filename}", "../../c.txt", "up/c.txt"},
		{"up/${filename}", "", "up/"},
		{"up/${filename}", "-", "up/${filename}"},
		{"${filename}/${filename}", "d", "d/d"},
		{"plain", "e", "plain"},
		{"a//./../b", "f", "a//./../b"},
		{"${filename}", "grün 中.txt", "grün 中.txt"},
	} {
		r := s.post(t, b, webForm{fields: signForm(4, b, [][2]string{{"key", c.key}}, []any{"starts-with", "$key", ""}), filename: c.filename, file: []byte(c.want)})
		if r.status != http.StatusNoContent || string(s.get(t, b, c.want)) != c.want {
			t.Errorf("%s with %s: %d %s", c.key, c.filename, r.status, r.body)
		}
	}
	for code, key := range map[string]string{"UserKeyMustBeSpecified": "", "KeyTooLongError": strings.Repeat("k", 1025), "InvalidURI": "a\xff"} {
		policyKey := []any{"starts-with", "$key", ""}
		if r := s.post(t, b, webForm{fields: signForm(4, b, [][2]string{{"key", key}}, policyKey), file: nil}); r.status != 400 || r.code() != code {
			t.Errorf("%s: %d %s", code, r.status, r.body)
		}
	}
}

func TestFormRefusals(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{grants: []access.Grant{{Bucket: "*", Actions: access.AllActions()}}})
	b := s.bucket(t, "refusals")
	other := s.bucket(t, "other")
	good := signForm(4, b, [][2]string{{"key", "user/a"}, {"acl", "private"}})
	change := func(name, value string) [][2]string {
		out := [][2]string{}
		for _, f := range good {
			if strings.EqualFold(f[0], name) {
				if value == "" {
					continue
				}
				f[1] = value
			}
			out = append(out, f)
		}
		return out
	}
	for _, c := range []struct {
		name, bucket string
		fields       [][2]string
		status       int
		code, text   string
	}{
		{"changed key", b, change("key", "user/b"), 403, "AccessDenied", `Invalid according to Policy: Policy Condition failed: [&quot;eq&quot;, &quot;$key&quot;, &quot;user/a&quot;]`},
		{"changed acl", b, change("acl", "public-read"), 403, "AccessDenied", "Policy Condition failed"},
		{"a field more", b, append(change("", ""), [2]string{"x-amz-meta-note", "n"}), 403, "AccessDenied", "Invalid according to Policy: Extra input fields: x-amz-meta-note"},
		{"another bucket", other, good, 403, "AccessDenied", "Policy Condition failed"},
		{"another bucket, said so", other, append(change("", ""), [2]string{"bucket", b}), 403, "AccessDenied", "Policy Condition failed"},
		{"bucket field of another", b, append(change("", ""), [2]string{"bucket", other}), 400, "InvalidArgument", "another bucket"},
		{"no key", b, change("key", ""), 400, "InvalidArgument", "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields."},
		{"no signature", b, change("x-amz-signature", ""), 400, "InvalidArgument", "'X-Amz-Signature'"},
		{"bad signature", b, change("x-amz-signature", strings.Repeat("0", 64)), 403, "SignatureDoesNotMatch", "<StringToSign>"},
		{"unknown access key", b, change("x-amz-credential", "AKIANOBODY/20260101/us-east-1/s3/aws4_request"), 403, "InvalidAccessKeyId", ""},
		{"no policy, no grant", b, [][2]string{{"key", "user/a"}}, 403, "AccessDenied", ""},
		{"policy, nobody's", b, [][2]string{{"key", "user/a"}, {"policy", "e30="}}, 403, "AccessDenied", ""},
		{"key twice", b, append(change("", ""), [2]string{"Key", "user/b"}), 400, "InvalidArgument", "more than once"},
		{"tags that are none", b, signForm(4, b, [][2]string{{"key", "k"}, {"tagging", "not-xml"}}), 400, "MalformedXML", ""},
		{"a header that is none", b, signForm(4, b, [][2]string{{"key", "k"}, {"x-amz-meta-a", "b\r\nc: d"}}), 400, "InvalidArgument", ""},
		{"a header name that is none", b, signForm(4, b, [][2]string{{"key", "k"}, {"x-amz-meta-a b", "c"}}), 400, "InvalidArgument", ""},
		{"own metadata", b, signForm(4, b, [][2]string{{"key", "k"}, {"x-amz-meta-cofre-envelope", "c"}}), 400, "InvalidArgument", ""},
		{"too much metadata", b, signForm(4, b, [][2]string{{"key", "k"}, {"x-amz-meta-a", strings.Repeat("c", 2100)}}), 400, "MetadataTooLarge", ""},
		{"too many fields", b, append(change("", ""), [2]string{"x-ignore-a", strings.Repeat("a", 20<<10)}), 400, "MaxPostPreDataLengthExceeded", "<MaxPostPreDataLengthBytes>20480</MaxPostPreDataLengthBytes>"},
		{"the system bucket", s.system, signForm(4, s.system, [][2]string{{"key", "k"}}), 403, "AccessDenied", ""},
		{"no such bucket", "nowhere-at-all", signForm(4, "nowhere-at-all", [][2]string{{"key", "k"}}), 404, "NoSuchBucket", ""},
		{"ignored fields", b, append(change("", ""), [2]string{"x-ignore-a", "1"}, [2]string{"X-Ignore-A", "2"}), 204, "", ""},
	} {
		sizes := []int{3, 700_000}
		if c.bucket == s.system {
			sizes = sizes[:1] // refused before its body is looked at: the answer may be lost to a client that is still sending
		}
		for _, size := range sizes {
			r := s.post(t, c.bucket, webForm{fields: c.fields, file: pattern(size)})
			if r.status != c.status || r.code() != c.code || !strings.Contains(r.body, c.text) {
				t.Errorf("%s, %d bytes: %d %s", c.name, size, r.status, r.body)
			}
			if strings.Contains(r.body, secretKey) {
				t.Fatalf("%s: the secret is in the answer", c.name)
			}
		}
	}
	good[0][1] = "user/a"
	noFile := webForm{fields: good}.body()
	noFile = bytes.ReplaceAll(noFile, []byte(`name="file"`), []byte(`name="fale"`))
	resp, err := http.Post(s.url+"/"+b, "multipart/form-data; boundary="+formBoundary, bytes.NewReader(noFile))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !strings.Contains(string(text), "<Code>InvalidArgument</Code><Message>POST requires exactly one file upload per request.</Message><ArgumentName>file</ArgumentName><ArgumentValue>0</ArgumentValue>") {
		t.Errorf("no file: %d %s", resp.StatusCode, text)
	}
	for contentType, code := range map[string]string{"multipart/form-data": "MalformedPOSTRequest", "multipart/form-data; boundary=other": "MalformedPOSTRequest", "text/html": "PreconditionFailed"} {
		resp, err := http.Post(s.url+"/"+b, contentType, bytes.NewReader(noFile))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.Contains(string(text), "<Code>"+code+"</Code>") {
			t.Errorf("%s: %d %s", contentType, resp.StatusCode, text)
		}
	}
}

func TestFormIsAuthenticatedByItsFieldsAlone(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "auth")
	fields := signForm(4, b, [][2]string{{"key", "k"}})
	if r := s.post(t, b, webForm{fields: fields, header: http.Header{"Authorization": {"Bearer token"}}}); r.status != 400 || r.code() != "InvalidArgument" {
		t.Fatalf("%d %s", r.status, r.body)
	}
	// A request signed in its header, with an unsigned form in its body.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/"+b, bytes.NewReader(webForm{fields: [][2]string{{"key", "k"}}}.body()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "multipart/form-data; boundary="+formBoundary)
	date := time.Now().UTC().Format(http.TimeFormat)
	req.Header.Set("Date", date)
	h := hmac.New(sha1.New, []byte(secretKey))
	h.Write([]byte("POST\n\nmultipart/form-data; boundary=" + formBoundary + "\n" + date + "\n/" + b))
	req.Header.Set("Authorization", "AWS "+accessKey+":"+base64.StdEncoding.EncodeToString(h.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 400 || !strings.Contains(string(text), "Only one auth mechanism allowed") {
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
}

func TestFormNeedsTheGrantToWriteItsKey(t *testing.T) {
	st := diskStorage(t)
	owner := newSite(t, st, siteConfig{})
	b := owner.bucket(t, "granted")
	s := newSite(t, st, siteConfig{identity: owner.identity, grants: []access.Grant{{Bucket: b, Prefixes: []string{"up/"}, Actions: []access.Action{access.Write}}}})
	for key, status := range map[string]int{"up/a": 204, "down/a": 403, "u": 403} {
		if r := s.post(t, b, webForm{fields: signForm(4, b, [][2]string{{"key", "${filename}"}}, []any{"starts-with", "$key", ""}), filename: "a", file: []byte("x")}); r.status != 403 {
			t.Errorf("${filename}: %d", r.status)
		}
		if r := s.post(t, b, webForm{fields: signForm(4, b, [][2]string{{"key", key}}), file: []byte("x")}); r.status != status {
			t.Errorf("%s: %d %s", key, r.status, r.body)
		}
	}
	reader := newSite(t, st, siteConfig{identity: owner.identity, grants: []access.Grant{{Bucket: "*", Actions: []access.Action{access.Read, access.List, access.Delete, access.Admin}}}})
	if r := reader.post(t, b, webForm{fields: signForm(4, b, [][2]string{{"key", "up/a"}}), file: []byte("x")}); r.status != 403 || r.code() != "AccessDenied" {
		t.Errorf("without Write: %d %s", r.status, r.body)
	}
}

func TestAnonymousFormsWhereAnybodyMayWrite(t *testing.T) {
	st := diskStorage(t)
	anybody := access.Identity{Anonymous: true, Grants: []access.Grant{{Bucket: "open*", Prefixes: []string{"in/"}, Actions: []access.Action{access.Write}}}}
	s := newSite(t, st, siteConfig{anon: anybody})
	b, closed := s.bucket(t, "open-bucket"), s.bucket(t, "closed-bucket")
	for _, c := range []struct {
		bucket, key string
		fields      [][2]string
		status      int
	}{
		{b, "in/a", [][2]string{{"Content-Type", "text/plain"}, {"success_action_status", "201"}}, 201},
		{b, "out/a", nil, 403},
		{closed, "in/a", nil, 403},
		{b, "in/b", [][2]string{{"Signature", "x"}}, 400},
		{b, "in/b", [][2]string{{"AWSAccessKeyId", "nobody"}, {"Signature", "x"}, {"Policy", "e30="}}, 403},
	} {
		if r := s.post(t, c.bucket, webForm{fields: append([][2]string{{"key", c.key}}, c.fields...), file: []byte("bar")}); r.status != c.status {
			t.Errorf("%s/%s: %d %s", c.bucket, c.key, r.status, r.body)
		}
	}
	if got := s.get(t, b, "in/a"); string(got) != "bar" {
		t.Fatalf("%q", got)
	}
}

func TestFormsSetWhatAPUTSets(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "attributes")
		file := []byte("content")
		sum := sha256.Sum256(file)
		r := s.post(t, b, webForm{file: file, fields: signForm(2, b, [][2]string{
			{"key", "k"}, {"acl", "private"}, {"x-amz-storage-class", "STANDARD"}, {"X-Amz-Server-Side-Encryption", "AES256"},
			{"tagging", "<Tagging><TagSet><Tag><Key>a b</Key><Value>1&amp;2=3</Value></Tag><Tag><Key>c</Key><Value/></Tag></TagSet></Tagging>"},
			{"Content-Disposition", `attachment; filename="ü.txt"`}, {"Content-Encoding", "gzip"}, {"Expires", "Wed, 21 Oct 2026 07:28:00 GMT"}, {"Content-Language", "ca"},
			{"x-amz-meta-TEST-2", "zwei"}, {"x-amz-meta-empty", ""}, {"x-amz-checksum-sha256", base64.StdEncoding.EncodeToString(sum[:])}, {"utf8", "✓"},
		})})
		if r.status != 400 || r.code() != "InvalidTag" { // '&' may not be in a tag
			t.Fatalf("%d %s", r.status, r.body)
		}
		r = s.post(t, b, webForm{file: file, fields: signForm(2, b, [][2]string{
			{"key", "k"}, {"acl", "private"}, {"x-amz-storage-class", "STANDARD"}, {"X-Amz-Server-Side-Encryption", "AES256"},
			{"tagging", "<Tagging><TagSet><Tag><Key>a b</Key><Value>1+2=3</Value></Tag><Tag><Key>c</Key><Value/></Tag></TagSet></Tagging>"},
			{"Content-Disposition", `attachment; filename="ü.txt"`}, {"Content-Encoding", "gzip"}, {"Expires", "Wed, 21 Oct 2026 07:28:00 GMT"}, {"Content-Language", "ca"},
			{"x-amz-meta-TEST-2", "zwei"}, {"x-amz-meta-empty", ""}, {"x-amz-checksum-sha256", base64.StdEncoding.EncodeToString(sum[:])}, {"utf8", "✓"},
		})})
		if r.status != 204 || r.header.Get("x-amz-server-side-encryption") != "AES256" || r.header.Get("x-amz-checksum-sha256") != base64.StdEncoding.EncodeToString(sum[:]) {
			t.Fatalf("%d %s %v", r.status, r.body, r.header)
		}
		head, err := s.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b, Key: str("k"), ChecksumMode: "ENABLED"})
		if err != nil {
			t.Fatal(err)
		}
		if *head.ContentDisposition != `attachment; filename="ü.txt"` || *head.ContentEncoding != "gzip" || *head.ContentLanguage != "ca" || head.Metadata["test-2"] != "zwei" ||
			aws.ToString(head.ChecksumSHA256) != base64.StdEncoding.EncodeToString(sum[:]) || *head.ContentType != "binary/octet-stream" || aws.ToString(head.ExpiresString) != "Wed, 21 Oct 2026 07:28:00 GMT" {
			t.Fatalf("%+v", head)
		}
		if _, ok := head.Metadata["empty"]; !ok {
			t.Fatal("empty metadata value is gone")
		}
		if st.bucketTag == "" {
			return // the store of cofre dev keeps no tags given with a PUT
		}
		tags, err := s.client.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: &b, Key: str("k")})
		if err != nil || len(tags.TagSet) != 2 {
			t.Fatalf("%+v %v", tags, err)
		}
		for _, tag := range tags.TagSet {
			if want := map[string]string{"a b": "1+2=3", "c": ""}[*tag.Key]; *tag.Value != want {
				t.Errorf("tag %s=%s", *tag.Key, *tag.Value)
			}
		}
	})
}
