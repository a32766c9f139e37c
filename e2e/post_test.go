package e2e_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

func TestBoto3PresignedPost(t *testing.T) {
	interpreters := pythons(t)
	r := newSite(t, "").start(t, "cofre")
	for _, python := range interpreters {
		for _, size := range []int64{5_000, 3 * mib} {
			bucket := r.bucket(t, "post")
			p := newPayload(size)
			out := run(t, r.awsEnv(), nil, python, "-W", "ignore", script(t, "post.py"), r.endpoint, bucket, p.file(t, filepath.Join(t.TempDir(), "up")))
			var got map[string]json.RawMessage
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%s: %v: %s", python, err, out)
			}
			t.Logf("%s has boto3 %s", python, got["version"])
			for _, version := range []string{"v4", "v2"} {
				for name, want := range map[string]struct {
					status int
					text   string
				}{
					"": {201, "<Key>" + version + "/up.bin</Key>"}, " page": {201, "<Key>" + version + "/page.bin</Key>"}, " bare": {204, ""},
					" too large": {400, "<Code>EntityTooLarge</Code>"}, " empty": {400, "<Code>EntityTooSmall</Code>"},
					" tampered": {403, "Invalid according to Policy: Policy Condition failed"}, " outside": {403, "Invalid according to Policy: Policy Condition failed"},
				} {
					var answer struct {
						Status int    `json:"status"`
						ETag   string `json:"etag"`
						Body   string `json:"body"`
					}
					if err := json.Unmarshal(got[version+name], &answer); err != nil {
						t.Fatalf("%s%s: %v", version, name, err)
					}
					if answer.Status != want.status || !strings.Contains(answer.Body, want.text) || answer.Status < 300 && answer.ETag != p.etag() {
						t.Errorf("%s, %d bytes, %s%s: %+v", python, size, version, name, answer)
					}
				}
				if keys, want := string(got[version+" keys"]), `["`+version+`/bare", "`+version+`/page.bin", "`+version+`/up.bin"]`; keys != want {
					t.Errorf("%s: keys %s, want %s", python, keys, want)
				}
				for _, key := range []string{"up.bin", "page.bin", "bare"} {
					r.wantSealed(t, bucket, version+"/"+key, size, p.needles(awsChunk)...)
				}
			}
		}
	}
}
