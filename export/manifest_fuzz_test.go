package export

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

// FuzzManifest reads any bytes as the manifest of an earlier run, and holds that its lines are written so that they read the same.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"key":"a","file":"a"}` + "\n" + `{"key":{"base64":"/w=="},"file":"%ff"}` + "\n"))
	f.Add([]byte("{}\nnull\n[]\n"))
	f.Add([]byte(`{"key":"a"`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		dir := t.TempDir()
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		if err := root.WriteFile("manifest", doc, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := openManifest(root, "manifest")
		defer m.close()
		for err == nil && m.next != nil {
			text, merr := json.Marshal(*m.next)
			var again line
			if merr != nil || json.Unmarshal(text, &again) != nil || again.Key != m.next.Key || !reflect.DeepEqual(again.Tags, m.next.Tags) && len(again.Tags) > 0 {
				t.Fatalf("%+v is written %s, %v", *m.next, text, merr)
			}
			err = m.advance()
		}
	})
}

// FuzzKeyOf holds that what a file name says its key is, is what the key's file is called.
func FuzzKeyOf(f *testing.F) {
	for _, seed := range []string{"a/b", "a%d/b", "%2F", "..", "%+", "", "a//b", "\xff", "%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file string) {
		_, _ = KeyOf(file)
	})
}
