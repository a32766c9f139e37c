package backend_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"cofre/access"
	"cofre/backend"
	"cofre/proxy"
	"cofre/s3api"
)

// newRGW gives a client of a real RGW and a bucket of its own there.
func newRGW(t *testing.T) (*backend.Client, string) {
	t.Helper()
	endpoint := os.Getenv("COFRE_TEST_RGW")
	if endpoint == "" {
		if slices.Contains(strings.Split(os.Getenv("COFRE_TEST_REQUIRE"), ","), "rgw") {
			t.Fatal("COFRE_TEST_REQUIRE names rgw, but COFRE_TEST_RGW is not set")
		}
		t.Skip("COFRE_TEST_RGW is not set: not tested against a real RGW")
	}
	c := newClient(t, endpoint, func(c *backend.Config) {
		c.Users = map[access.BackendUser]backend.Credentials{access.SiteUser: {
			AccessKeyID:     os.Getenv("COFRE_TEST_RGW_ACCESS_KEY"),
			SecretAccessKey: os.Getenv("COFRE_TEST_RGW_SECRET_KEY"),
		}}
	})
	bucket := fmt.Sprintf("backend-%d", time.Now().UnixNano())
	must(t, c, &proxy.BackendRequest{Method: "PUT", Bucket: bucket})
	t.Cleanup(func() { emptyAndDelete(c, bucket) })
	return c, bucket
}

// must does the request and gives its answer's body.
func must(t *testing.T, c proxy.Backend, req *proxy.BackendRequest) (http.Header, []byte) {
	t.Helper()
	resp, err := c.Do(t.Context(), access.SiteUser, req)
	if err != nil {
		t.Fatalf("%s %q: %v", req.Method, req.Key, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %q: %v", req.Method, req.Key, err)
	}
	return resp.Header, body
}

func emptyAndDelete(c proxy.Backend, bucket string) {
	ctx := context.Background() // the test's own has ended
	for _, key := range append(tortureKeys, "key") {
		if resp, err := c.Do(ctx, access.SiteUser, &proxy.BackendRequest{Method: "DELETE", Bucket: bucket, Key: key}); err == nil {
			resp.Body.Close()
		}
	}
	if resp, err := c.Do(ctx, access.SiteUser, &proxy.BackendRequest{Method: "DELETE", Bucket: bucket}); err == nil {
		resp.Body.Close()
	}
}

func TestRGWKeepsEveryKeyApart(t *testing.T) {
	c, bucket := newRGW(t)
	for _, key := range tortureKeys {
		must(t, c, put(bucket, key, strings.NewReader(key), int64(len(key))))
	}
	for _, key := range tortureKeys {
		if _, body := must(t, c, get(bucket, key)); string(body) != key {
			t.Errorf("key %q holds %q", key, body)
		}
	}
	var query s3api.Query
	query.Set("encoding-type", "url")
	_, listing := must(t, c, &proxy.BackendRequest{Method: "GET", Bucket: bucket, Query: query})
	if n := bytes.Count(listing, []byte("<Contents>")); n != len(tortureKeys) {
		t.Errorf("%d keys were made of %d", n, len(tortureKeys))
	}
	for _, key := range tortureKeys {
		must(t, c, &proxy.BackendRequest{Method: "DELETE", Bucket: bucket, Key: key})
	}
}

func TestRGWKeepsThePreviousObjectWhenTheBodyFails(t *testing.T) {
	c, bucket := newRGW(t)
	errSource := errors.New("forged")
	for _, size := range []int{1, 200, 1 << 20, 5 << 20} {
		text := strings.Repeat("n", size)
		for name, body := range map[string]errAtEnd{
			"in the middle":       {text[:size/2], errSource, false},
			"with the last byte":  {text, errSource, true},
			"after the last byte": {text, errSource, false},
			"too short":           {text[1:], io.EOF, false},
			"too long":            {text + "x", io.EOF, false},
		} {
			for _, previous := range []string{"", "previous"} {
				if previous != "" {
					must(t, c, put(bucket, "key", strings.NewReader(previous), int64(len(previous))))
				}
				source := body // a fresh one each time
				if _, err := do(t, c, put(bucket, "key", &source, int64(size))); err == nil {
					t.Fatalf("%s, %d bytes: no error", name, size)
				}
				_, err := do(t, c, &proxy.BackendRequest{Method: "HEAD", Bucket: bucket, Key: "key"})
				if previous == "" {
					if !errors.Is(err, s3api.ErrNoSuchKey) {
						t.Fatalf("%s, %d bytes: HEAD says %v", name, size, err)
					}
					continue
				}
				if _, got := must(t, c, get(bucket, "key")); string(got) != previous {
					t.Fatalf("%s, %d bytes: the previous object was lost", name, size)
				}
				must(t, c, &proxy.BackendRequest{Method: "DELETE", Bucket: bucket, Key: "key"})
			}
		}
	}
}

func TestRGWTakesTheHeadersAsTheyAreSigned(t *testing.T) {
	c, bucket := newRGW(t)
	req := put(bucket, "key", strings.NewReader("body"), 4)
	req.Header = http.Header{
		"Content-Type":                {"text/plain;  charset=utf-8"},
		"Content-Disposition":         {`attachment; filename="two  spaces é.txt"`},
		"X-Amz-Meta-Cofre-Envelope":   {strings.Repeat("A", 176)},
		"X-Amz-Meta-Cofre-Attributes": {strings.Repeat("b", 8<<10)},
		"X-Amz-Tagging":               {"a=b%20c&d=%2B"},
	}
	must(t, c, req)
	header, _ := must(t, c, &proxy.BackendRequest{Method: "HEAD", Bucket: bucket, Key: "key"})
	for name, values := range req.Header {
		if name != "X-Amz-Tagging" && header.Get(name) != values[0] {
			t.Errorf("%s: got %q, want %q", name, header.Get(name), values[0])
		}
	}

	suffix := get(bucket, "key")
	suffix.Header = http.Header{"Range": {"bytes=-2"}}
	if header, body := must(t, c, suffix); string(body) != "dy" || header.Get("Content-Range") != "bytes 2-3/4" {
		t.Errorf("suffix range: %q, %q", body, header.Get("Content-Range"))
	}
}

func TestRGWRefusesAnonymousRequests(t *testing.T) {
	c, bucket := newRGW(t)
	_, err := c.Do(t.Context(), access.AnonymousUser, get(bucket, ""))
	var answer *s3api.Error
	if !errors.As(err, &answer) || answer.Code != "AccessDenied" || answer.Message == "" {
		t.Fatalf("got %v", err)
	}
}

func TestRGWTakesDocuments(t *testing.T) {
	c, bucket := newRGW(t)
	for _, key := range tortureKeys[:20] {
		must(t, c, put(bucket, key, strings.NewReader(key), int64(len(key))))
	}
	var document bytes.Buffer
	document.WriteString("<Delete>")
	for _, key := range tortureKeys[:20] {
		fmt.Fprintf(&document, "<Object><Key>%s</Key></Object>", key) // the first twenty need no escaping
	}
	document.WriteString("</Delete>")
	var query s3api.Query
	query.Set("delete", "")
	_, body := must(t, c, &proxy.BackendRequest{
		Method: "POST", Bucket: bucket, Query: query,
		Body: bytes.NewReader(document.Bytes()), Length: int64(document.Len()), Replayable: true,
	})
	if n := bytes.Count(body, []byte("<Deleted>")); n != 20 {
		t.Errorf("%d deleted: %s", n, body)
	}
}

func TestRGWRefusesTooLargeWhileItIsSent(t *testing.T) {
	c, bucket := newRGW(t)
	const size = 5<<30 + 64 + 16*81920 + 80 + 1 // one byte over rgw_max_put_size of deploy/testenv: refused by its declared length
	_, err := do(t, c, put(bucket, "key", io.LimitReader(zeroes{}, size), size))
	var answer *s3api.Error
	if !errors.As(err, &answer) || answer.Code != "EntityTooLarge" {
		t.Fatalf("got %v", err)
	}
}
