package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"cofre/access"
	"cofre/proxy"
)

func writeFile(t *testing.T, name, contents string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readConfig(t *testing.T, doc string, environ ...string) (Config, error) {
	t.Helper()
	l := loadConfig(writeFile(t, "cofre.yaml", doc), environ)
	return l.config, l.err()
}

// samples are values of each kind, as an operator would write them in a variable.
var samples = map[reflect.Type]string{
	reflect.TypeFor[string]():        "0123",
	reflect.TypeFor[access.Secret](): "yes",
	reflect.TypeFor[bool]():          "true",
	reflect.TypeFor[int]():           "77",
	reflect.TypeFor[Size]():          "7MiB",
	reflect.TypeFor[time.Duration](): "77s",
	reflect.TypeFor[[]string]():      "one,two",
}

func TestEveryKeyHasItsOwnVariableWithTheSameMeaning(t *testing.T) {
	keys := environmentKeys()
	count := 0
	walkKeys(reflect.TypeFor[Config](), "", func(string) { count++ })
	if count != len(keys) || count < 35 {
		t.Fatalf("%d keys and %d variables", count, len(keys))
	}
	for name, key := range keys {
		field, ok := (&loader{}).field(key)
		if !ok {
			t.Fatalf("no field for %s", key)
		}
		value := samples[field.Type()]
		inFile := value
		switch {
		case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct:
			value = "[{}]"
			inFile = value
		case field.Kind() == reflect.Slice:
			inFile = "[one, two]"
		}
		if value == "" {
			t.Fatalf("no sample for %v (%s)", field.Type(), key)
		}
		if strings.HasSuffix(key, "_file") {
			value = writeFile(t, "secret", "from a file\n")
			inFile = value
		}
		doc := inFile
		parts := strings.Split(key, ".")
		for i := len(parts) - 1; i >= 0; i-- {
			doc = fmt.Sprintf("{%s: %s}", parts[i], doc)
		}
		fromFile, err := readConfig(t, doc)
		if err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		fromVariable, err := readConfig(t, "", name+"="+value)
		if err != nil {
			t.Fatalf("%s=%s: %v", name, value, err)
		}
		if d := cmp.Diff(fromFile, fromVariable); d != "" {
			t.Errorf("%s means another thing than %s:\n%s", name, key, d)
		}
		if cmp.Equal(fromVariable, defaultConfig()) {
			t.Errorf("%s=%s changes nothing", name, value)
		}
	}
}

func TestVariablesWinOverTheFile(t *testing.T) {
	secret := writeFile(t, "secret", "from-the-file\n")
	for rule, c := range map[string]struct {
		doc     string
		environ []string
		want    string
	}{
		"value over value":             {"backend: {secret_key: a}", []string{"COFRE_BACKEND_SECRET_KEY=b"}, "b"},
		"value over file":              {"backend: {secret_key_file: /no/such/file}", []string{"COFRE_BACKEND_SECRET_KEY=b"}, "b"},
		"file over value":              {"backend: {secret_key: a}", []string{"COFRE_BACKEND_SECRET_KEY_FILE=" + secret}, "from-the-file"},
		"an empty variable is nothing": {"backend: {secret_key: a}", []string{"COFRE_BACKEND_SECRET_KEY="}, "a"},
	} {
		cfg, err := readConfig(t, c.doc, c.environ...)
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		if got := cfg.Backend.SecretKey.Reveal(); got != c.want {
			t.Errorf("%s: got %q", rule, got)
		}
	}
	_, err := readConfig(t, "", "COFRE_BACKEND_SECRET_KEY=a", "COFRE_BACKEND_SECRET_KEY_FILE="+secret)
	if err == nil {
		t.Error("a secret was taken from two variables at once")
	}
}

const secretWord = "tell-nobody"

func TestSecretsAreNeverPrinted(t *testing.T) {
	doc := strings.ReplaceAll(`
site: {passphrase: S}
backend: {secret_key: S, users: [{name: u, access_key: k, secret_key: S}]}
metadata: {url: "postgres://u:S@h/d"}
cache: {redis: "redis://u:S@h"}
credentials: [{access_key: abc, secret_key: S}]
`, "S", secretWord)
	cfg, err := readConfig(t, doc)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	shows := []string{string(asYAML), string(asJSON)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		shows = append(shows, fmt.Sprintf(verb, cfg))
	}
	for _, shown := range shows {
		if strings.Contains(shown, secretWord) || strings.Contains(shown, fmt.Sprintf("%x", secretWord)) {
			t.Errorf("a secret is printed: %s", shown)
		}
	}
}

// A value that is wrong may be a secret in the wrong place, so no message repeats one that could be.
func TestMistakesNeverRepeatSecrets(t *testing.T) {
	for doc, key := range map[string]string{
		"site: {passphrase: [S]}":                                       "site.passphrase",
		"site: {passphrase: S, passphrase_file: /x}":                    "site.passphrase",
		"backend: {secret_key: {a: S}}":                                 "backend.secret_key",
		"backend: {endpoint: 'http://u:S@h'}":                           "backend.endpoint",
		"backend: {max_put_size: S}":                                    "backend.max_put_size",
		"metadata: {url: S}":                                            "metadata.url",
		"metadata: {url: 'postgres://u:S@[h'}":                          "metadata.url",
		"cache: {redis: 'S'}":                                           "cache.redis",
		"credentials: [{access_key: abc, secret_key: 'S with blanks'}]": "credentials[0].secret_key",
		"limits: {requests: S}":                                         "limits.requests",
		"limits: {drain: S}":                                            "limits.drain",
		"admin_pprof: S":                                                "admin_pprof",
	} {
		err := loadConfig(writeFile(t, "cofre.yaml", strings.ReplaceAll(doc, "S", secretWord)), nil).check()
		if err == nil || !strings.Contains(err.Error(), key+": ") {
			t.Errorf("%s was taken: %v", doc, err)
			continue
		}
		if strings.Contains(err.Error(), secretWord) {
			t.Errorf("%s: the message repeats the value: %v", doc, err)
		}
	}
}

func TestPolicyOfTheFirstMatchingBucketCounts(t *testing.T) {
	cfg, err := readConfig(t, `
buckets:
  - {name: raw-*, unsealed: pass, seal_attributes: false}
  - {name: "fast-?", etag: opaque, anonymous: read, anonymous_prefixes: [pub/]}
  - {name: "*", anonymous: [read, list]}
`)
	if err != nil {
		t.Fatal(err)
	}
	for bucket, want := range map[string]proxy.BucketPolicy{
		"raw-1":  {PassUnsealed: true, ClearAttributes: true},
		"fast-1": {ETag: proxy.ETagOpaque},
		"fast-":  {},
	} {
		if d := cmp.Diff(want, cfg.bucketPolicy(bucket)); d != "" {
			t.Errorf("%s: %s", bucket, d)
		}
	}
	who := cfg.anonymousIdentity()
	for _, c := range []struct {
		bucket, key string
		want        bool
	}{{"raw-1", "k", false}, {"fast-1", "pub/k", true}, {"fast-1", "k", false}, {"any", "k", true}} {
		if got := who.Allows(access.Read, c.bucket, c.key); got != c.want {
			t.Errorf("anonymous read of %s/%s: %v", c.bucket, c.key, got)
		}
	}
}

func TestSizeIsReadBackAsWritten(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "1": 1, "64KiB": 64 << 10, "5 GiB": 5 << 30, "1TiB": 1 << 40, "5370019984": 5370019984} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: got %d, %v", text, s, err)
		}
		var again Size
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
			t.Errorf("%s is written as %v", text, s)
		}
	}
	for _, text := range []string{"", "-1", "1.5GiB", "GiB", "5GB", "5 gib", "9223372036854775807KiB", "1e9"} {
		if err := new(Size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func FuzzConfigFile(f *testing.F) {
	f.Add([]byte(exampleConfig))
	f.Add([]byte("buckets: [{name: '*', anonymous: read}, *a]\n"))
	f.Add([]byte("site: &s {identity: x}\nbackend: *s\nlimits: {<<: *s}\n"))
	f.Add([]byte("listen: {a: b}\n---\n"))
	f.Add([]byte("credentials: [{access_key: a, grants: [{actions: read}]}]"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		l := &loader{file: "cofre.yaml", config: defaultConfig(), origin: map[string]string{}}
		l.readYAML(doc)
		err := l.check()
		var c configError
		if err != nil && !errors.As(err, &c) {
			t.Fatalf("an error of another kind: %v", err)
		}
	})
}

func TestGrantFlag(t *testing.T) {
	for text, want := range map[string]access.Grant{
		"read,list:photos":     {Bucket: "photos", Actions: []access.Action{access.Read, access.List}},
		"write:lab-*/a/b*.csv": {Bucket: "lab-*", Prefixes: []string{"a/b*.csv"}, Actions: []access.Action{access.Write}},
		"all:*":                {Bucket: "*", Actions: access.AllActions()},
		"read:b/x:y":           {Bucket: "b", Prefixes: []string{"x:y"}, Actions: []access.Action{access.Read}},
	} {
		got, err := parseGrantFlag(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{"", "read", "read:", ":b", "Read:b", "read,:b", "read:b/", "read,read:b", "all,read:b", "read:b c"} {
		if g, err := parseGrantFlag(text); err == nil {
			t.Errorf("%q was taken as %v", text, g)
		}
	}
}
