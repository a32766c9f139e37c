package sigv4_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"cofre/sigv4"
)

// secrets is a SecretSource over a map.
type secrets map[string]string

func (s secrets) Secret(_ context.Context, id string) (string, error) {
	if secret, ok := s[id]; ok {
		return secret, nil
	}
	return "", sigv4.ErrUnknownAccessKey
}

// example is the credential of the AWS documentation.
var example = secrets{"AKIAIOSFODNN7EXAMPLE": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}

// bucketOf knows the hosts of the AWS examples.
func bucketOf(host string) string {
	if host == "static.johnsmith.net:8080" {
		return "static.johnsmith.net"
	}
	for _, base := range []string{".us-west-1.s3.amazonaws.com", ".s3.amazonaws.com"} {
		if bucket, ok := strings.CutSuffix(host, base); ok {
			return bucket
		}
	}
	return ""
}

func verifierAt(now time.Time) *sigv4.Verifier {
	return sigv4.New(sigv4.Config{Secrets: example, Clock: func() time.Time { return now }, Bucket: bucketOf})
}

// vector is one file of testdata: lines "name: value" (now; want: a scheme, an error code, or "body" and an error code; message), an empty
// line, and a request. Line ends of the request stand for CRLF, {a*9} for nine letters a.
type vector struct {
	now           time.Time
	want, message string
	request       []byte
}

func readVector(t *testing.T, file string) vector {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, request, ok := strings.Cut(string(text), "\n\n")
	if !ok {
		t.Fatalf("%s: no request", file)
	}
	var v vector
	for line := range strings.Lines(head) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case strings.HasPrefix(line, "#"):
		case name == "now":
			if v.now, err = time.Parse(time.RFC3339, value); err != nil {
				t.Fatal(err)
			}
		case name == "want":
			v.want = value
		case name == "message":
			v.message = value
		default:
			t.Fatalf("%s: unknown line %q", file, line)
		}
	}
	request = strings.ReplaceAll(request, "\n", "\r\n")
	request = regexp.MustCompile(`\{a\*(\d+)\}`).ReplaceAllStringFunc(request, func(s string) string {
		n, _ := strconv.Atoi(strings.Trim(s, "{a*}"))
		return strings.Repeat("a", n)
	})
	v.request = []byte(request)
	return v
}

func (v vector) received(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(v.request)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func vectorFiles(t testing.TB) []string {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("found %d vectors: %v", len(files), err)
	}
	return files
}

func TestVectors(t *testing.T) {
	for _, file := range vectorFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			v := readVector(t, file)
			r := v.received(t)
			auth, err := verifierAt(v.now).Verify(r)
			wantBody, bodyFails := strings.CutPrefix(v.want, "body ")
			if err != nil {
				wantCode(t, err, v.want, v.message)
				return
			}
			if !bodyFails && auth.Scheme().String() != v.want {
				t.Fatalf("verified as %s, want %s", auth.Scheme(), v.want)
			}
			if auth.AccessKeyID() != "AKIAIOSFODNN7EXAMPLE" {
				t.Errorf("access key %q", auth.AccessKeyID())
			}
			if int64(len(v.request)) < r.ContentLength {
				return // the documentation shows the head alone
			}
			body, err := auth.Body(r, sigv4.BodyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(body)
			if bodyFails {
				wantCode(t, err, wantBody, v.message)
			} else if err != nil || int64(len(data)) != body.Length() {
				t.Fatalf("read %d of %d bytes: %v", len(data), body.Length(), err)
			}
		})
	}
}

func fieldsOf(t *testing.T, err error) [][2]string {
	t.Helper()
	var e *sigv4.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is no *sigv4.Error", err)
	}
	return e.Fields
}

// wantCode demands an *Error with the code and, unless empty, the message.
func wantCode(t *testing.T, err error, code, message string) {
	t.Helper()
	var e *sigv4.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want code %s", err, code)
	}
	if e.Code != code || message != "" && e.Message != message {
		t.Fatalf("error %q with fields %q, want %s %q", e, e.Fields, code, message)
	}
}
