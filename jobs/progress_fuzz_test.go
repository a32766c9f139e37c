package jobs_test

import (
	"encoding/json"
	"testing"

	"cofre/jobs"
	"cofre/metadata"
)

// FuzzJobRow reads any bytes as what a job's row holds, and holds that what was read is written so that it reads the same.
func FuzzJobRow(f *testing.F) {
	f.Add([]byte(`{"now":{"seen":3},"at":{"key":"k"},"left":[{"key":"k","why":"w"}],"pending":{"a":{"b":1}}}`), []byte(`{}`))
	f.Add([]byte(`null`), []byte(`null`))
	f.Add([]byte(``), []byte(`[`))
	f.Fuzz(func(t *testing.T, progress, parameters []byte) {
		row := metadata.Job{Progress: progress, Parameters: parameters}
		_, _ = jobs.ParametersOf(row)
		p, err := jobs.ProgressOf(row)
		if err != nil {
			return
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := jobs.ProgressOf(metadata.Job{Progress: text})
		twice, _ := json.Marshal(again)
		if err != nil || string(text) != string(twice) {
			t.Errorf("%s came back as %s, %v", text, twice, err)
		}
	})
}
