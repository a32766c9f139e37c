package s3api

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

const formType = "multipart/form-data; boundary=bOuNd"

type readPart struct {
	FormPart
	content string
}

// readForm reads a whole form.
func readForm(body io.Reader, contentType string) ([]readPart, int64, error) {
	f, ferr := NewFormReader(body, contentType)
	if ferr != nil {
		return nil, 0, ferr
	}
	var parts []readPart
	for {
		p, err := f.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return parts, 0, err
		}
		content, err := io.ReadAll(f)
		if err != nil {
			return parts, 0, err
		}
		parts = append(parts, readPart{p, string(content)})
	}
	epilogue, err := f.Finish()
	return parts, epilogue, err
}

func part(name, content string) string {
	return "--bOuNd\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + content + "\r\n"
}

func TestFormsAreReadHoweverTheyArrive(t *testing.T) {
	// Nearly a delimiter, many times over.
	tricky := strings.Repeat("\r\n--bOuN\r\n--\r\r\n--bOun", 3000) + "\r\n--bOuN"
	body := "preamble\r\nand more\r\n" + part("a", "") + part("b", "\r\n") + part("c", tricky) +
		"--bOuNd \t\r\ncontent-disposition: FORM-DATA; Name=\"file\"; filename=\"C:\\dir\\ü.txt\"\r\nContent-Type: text/plain\r\nX: y\r\n\r\n--bOuN" +
		"\r\n--bOuNd--epilogue\r\n--bOuNd"
	for name, reader := range map[string]io.Reader{
		"whole": strings.NewReader(body), "bytes": iotest.OneByteReader(strings.NewReader(body)), "halves": iotest.HalfReader(strings.NewReader(body)),
		"EOF with data": iotest.DataErrReader(strings.NewReader(body)),
	} {
		got, epilogue, err := readForm(reader, formType)
		if err != nil || len(got) != 4 {
			t.Fatalf("%s: %d parts, %v", name, len(got), err)
		}
		for i, want := range []readPart{{FormPart{Name: "a"}, ""}, {FormPart{Name: "b"}, "\r\n"}, {FormPart{Name: "c"}, tricky}, {FormPart{"file", `C:\dir\ü.txt`, true}, "--bOuN"}} {
			if got[i] != want {
				t.Errorf("%s: part %d is %.60v, want %.60v", name, i, got[i], want)
			}
		}
		if want := int64(len("epilogue\r\n--bOuNd")); epilogue != want {
			t.Errorf("%s: epilogue of %d bytes, want %d", name, epilogue, want)
		}
	}
}

func TestFormOffsetsAddUpToTheBody(t *testing.T) {
	body := part("key", "k") + part("file", "the content") + "--bOuNd--\r\n"
	f, _ := NewFormReader(strings.NewReader(body), formType)
	for range 2 {
		if _, err := f.Next(); err != nil {
			t.Fatal(err)
		}
	}
	rest := int64(len(body)) - f.Offset()
	if got := rest - f.ClosingLength(); got != int64(len("the content")) {
		t.Fatalf("a file of %d bytes", got)
	}
}

func TestFilenames(t *testing.T) {
	for params, want := range map[string]FormPart{
		`name=file`:                                         {Name: "file"},
		`name="file"; filename=""`:                          {Name: "file", HasFilename: true},
		`name="file"; filename=plain.txt`:                   {"file", "plain.txt", true},
		`name="file"; filename="a \"b\" c"`:                 {"file", `a "b" c`, true},
		`name="file"; filename="a%22b"`:                     {"file", "a%22b", true},
		`name="file"; filename*=UTF-8''%C3%A9.txt`:          {"file", "é.txt", true},
		"name=\"file\"; filename=\"\xe4\xb8\xad.txt\"":      {"file", "中.txt", true},
		`filename="a;b=c"; name="file"`:                     {"file", "a;b=c", true},
		`name="x-amz-meta-a b"; filename="x-amz-meta-a b"`:  {"x-amz-meta-a b", "x-amz-meta-a b", true},
		`name="file"; filename="C:\temp\new.txt"`:           {"file", `C:\temp\new.txt`, true},
		`name="file" ; filename="trailing semicolon.txt" ;`: {"file", "trailing semicolon.txt", true},
	} {
		body := "--bOuNd\r\nContent-Disposition: form-data; " + params + "\r\n\r\nx\r\n--bOuNd--"
		parts, _, err := readForm(strings.NewReader(body), formType)
		if err != nil || len(parts) != 1 || parts[0].FormPart != want {
			t.Errorf("%s: %+v %v", params, parts, err)
		}
	}
}

func TestMalformedFormsAreRefused(t *testing.T) {
	ok := part("key", "k")
	for name, c := range map[string]struct{ contentType, body string }{
		"no boundary":            {"multipart/form-data", ok},
		"empty boundary":         {"multipart/form-data; boundary=", ok},
		"boundary too long":      {"multipart/form-data; boundary=" + strings.Repeat("b", 71), ok},
		"another boundary":       {"multipart/form-data; boundary=other", ok + "--bOuNd--"},
		"empty":                  {formType, ""},
		"preamble only":          {formType, "preamble"},
		"no end":                 {formType, ok},
		"broken off in content":  {formType, strings.TrimSuffix(ok, "k\r\n")},
		"broken off in header":   {formType, ok + "--bOuNd\r\nContent-Dispo"},
		"broken off in boundary": {formType, ok + "--bOuNd"},
		"half an end":            {formType, ok + "--bOuNd-"},
		"LF lines":               {formType, strings.ReplaceAll(ok+"--bOuNd--", "\r\n", "\n")},
		"text behind boundary":   {formType, ok + "--bOuNdX\r\n\r\n\r\n--bOuNd--"},
		"no disposition":         {formType, "--bOuNd\r\nContent-Type: text/plain\r\n\r\nx\r\n--bOuNd--"},
		"no header":              {formType, "--bOuNd\r\n\r\nx\r\n--bOuNd--"},
		"two dispositions":       {formType, "--bOuNd\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n\r\nx\r\n--bOuNd--"},
		"two names":              {formType, "--bOuNd\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\nx\r\n--bOuNd--"},
		"no name":                {formType, "--bOuNd\r\nContent-Disposition: form-data; filename=a\r\n\r\nx\r\n--bOuNd--"},
		"attachment":             {formType, "--bOuNd\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--bOuNd--"},
		"folded header":          {formType, "--bOuNd\r\nContent-Disposition: form-data;\r\n name=a\r\n\r\nx\r\n--bOuNd--"},
		"header without colon":   {formType, "--bOuNd\r\nContent-Disposition form-data\r\n\r\nx\r\n--bOuNd--"},
		"header without end":     {formType, "--bOuNd\r\n" + strings.Repeat("A: b\r\n", 20_000)},
		"line without end":       {formType, "--bOuNd\r\nA: " + strings.Repeat("b", 100_000)},
	} {
		if _, _, err := readForm(strings.NewReader(c.body), c.contentType); !errors.Is(err, ErrMalformedPOSTRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFormErrorsOfTheBodyStay(t *testing.T) {
	broken := errors.New("broken")
	body := part("key", "k") + part("file", strings.Repeat("x", 100_000))
	f, _ := NewFormReader(io.MultiReader(strings.NewReader(body), iotest.ErrReader(broken)), formType)
	for {
		if _, err := f.Next(); err != nil {
			if !errors.Is(err, broken) {
				t.Fatal(err)
			}
			break
		}
	}
	for range 2 {
		if _, err := f.Next(); !errors.Is(err, broken) {
			t.Fatalf("the next call forgot: %v", err)
		}
	}
	if _, err := f.Finish(); err == nil {
		t.Fatal("a broken form finished")
	}
}

// Any form that the standard library writes is read back the same.
func TestFormsOfTheStandardLibraryComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		var want []readPart
		for range rapid.IntRange(0, 5).Draw(t, "parts") {
			name := rapid.StringMatching(`[a-zA-Z0-9 "\\é-]{1,12}`).Draw(t, "name")
			content := string(rapid.SliceOfN(rapid.SampledFrom([]byte("\r\n-ab"+w.Boundary()[:2])), 0, 200).Draw(t, "content"))
			p, err := w.CreateFormFile(name, name)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(p, content)
			want = append(want, readPart{FormPart{name, name, true}, content})
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, epilogue, err := readForm(iotest.HalfReader(&body), w.FormDataContentType())
		if len(want) == 0 {
			return // the library writes "\r\n--b--" alone, which has no first boundary
		}
		if err != nil || epilogue != 2 || len(got) != len(want) {
			t.Fatalf("%v %v %d", got, err, epilogue)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%+v, want %+v", got[i], want[i])
			}
		}
	})
}

// FuzzForm: a form reads the same whether it comes whole or byte by byte, and what is accepted holds no delimiter.
func FuzzForm(f *testing.F) {
	f.Add([]byte(part("key", "k") + part("file", "content") + "--bOuNd--\r\n"))
	f.Add([]byte("\r\n--bOuNd\r\nContent-Disposition: form-data; name=a; filename=\"\"\r\n\r\n\r\n--bOuNd--"))
	f.Add([]byte(part("a", "\r\n--bOuN") + part("a", "\r") + "--bOuNd--x"))
	f.Add([]byte("--bOuNd--"))
	f.Fuzz(func(t *testing.T, body []byte) {
		whole, tail, err := readForm(bytes.NewReader(body), formType)
		again, tailAgain, errAgain := readForm(iotest.OneByteReader(bytes.NewReader(body)), formType)
		if (err == nil) != (errAgain == nil) || tail != tailAgain || len(whole) != len(again) {
			t.Fatalf("%v and %v", err, errAgain)
		}
		for i := range whole {
			if whole[i] != again[i] || strings.Contains("\r\n"+whole[i].content, "\r\n--bOuNd") && !strings.HasPrefix(whole[i].content, "--bOuNd") {
				t.Fatalf("part %d: %+v and %+v", i, whole[i], again[i])
			}
		}
	})
}

func TestPostResponse(t *testing.T) {
	got := string(EncodePostResponse(PostResponse{Location: "http://h/b/a%2Fb&c", Bucket: "b", Key: "a/b&c", ETag: "e"}))
	want := `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<PostResponse><Location>http://h/b/a%2Fb&amp;c</Location><Bucket>b</Bucket><Key>a/b&amp;c</Key><ETag>&quot;e&quot;</ETag></PostResponse>`
	if got != want {
		t.Fatal(got)
	}
}
