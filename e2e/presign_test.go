package e2e_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// fetch makes a plain request, as a browser or curl would, without any credentials but those in the URL.
func fetch(t *testing.T, method, url string, body io.Reader, length int64) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = length
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// wantURLBoundTo fails unless the URL gives the body, and gives nothing once it is changed.
func wantURLBoundTo(t *testing.T, url, key string, p payload) {
	t.Helper()
	status, body := fetch(t, http.MethodGet, url, nil, 0)
	if status != http.StatusOK {
		t.Fatalf("GET %s: status %d: %s", url, status, body)
	}
	p.wantReader(t, url, strings.NewReader(body))
	for what, widened := range map[string]string{
		"another key":       strings.Replace(url, "/"+key, "/other", 1),
		"a response header": url + "&response-content-type=text%2Fhtml",
	} {
		if status, body := fetch(t, http.MethodGet, widened, nil, 0); status != http.StatusForbidden || !strings.Contains(body, "<Code>SignatureDoesNotMatch</Code>") {
			t.Errorf("%s: status %d: %s", what, status, body)
		}
	}
	if status, body := fetch(t, http.MethodDelete, url, nil, 0); status != http.StatusForbidden {
		t.Errorf("DELETE with the URL of a GET: status %d: %s", status, body)
	}
}
