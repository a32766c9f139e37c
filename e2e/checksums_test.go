package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestBoto3ReadsEveryChecksum has botocore verify what it reads, and compares what it was shown by what S3 would show.
func TestBoto3ReadsEveryChecksum(t *testing.T) {
	interpreters := pythons(t)
	r := newSite(t, "").start(t, "cofre")
	for _, python := range interpreters {
		out := run(t, r.awsEnv(), nil, python, "-W", "ignore", script(t, "checksums.py"), r.endpoint, r.bucket(t, "checksums"))
		var got struct {
			Version string                       `json:"version"`
			Shown   map[string]map[string]string `json:"shown"`
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%s: %v: %s", python, err, out)
		}
		t.Logf("%s has boto3 %s", python, got.Version)
		if len(got.Shown) != 14 {
			t.Errorf("%s: %d objects were read, want 14", python, len(got.Shown))
		}
		for key, shown := range got.Shown {
			want := "FULL_OBJECT"
			if strings.HasPrefix(key, "multipart ") && !strings.Contains(key, " as ") {
				want = "COMPOSITE"
			}
			if len(shown) != 2 || shown["type"] != want || key == "multipart" && shown["crc64nvme"] == "" {
				t.Errorf("%s: %s is shown with %v, want one checksum of type %s", python, key, shown, want)
			}
		}
	}
}
