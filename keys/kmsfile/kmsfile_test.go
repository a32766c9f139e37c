package kmsfile_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cofre/keys"
	"cofre/keys/kmsfile"
	"cofre/keys/kmsfile/kmstest"
)

func newIdentity(t *testing.T, name string) *keys.Identity {
	t.Helper()
	id, err := keys.GenerateIdentity(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func secretOf(t *testing.T, id *keys.Identity) []byte {
	t.Helper()
	secret, err := id.MarshalSecret()
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func parseKey(t *testing.T, url string) kmsfile.Key {
	t.Helper()
	key, err := kmsfile.ParseKey(url)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return key
}

// newKeyFile makes a key file and gives its URL.
func newKeyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	raw := make([]byte, 32)
	rand.Read(raw)
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(raw)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}

// startVault serves a Vault with a key named site and points the environment to it.
func startVault(t *testing.T) *kmstest.Vault {
	t.Helper()
	vault := kmstest.NewVault()
	vault.AddKey("site")
	vault.AddToken("root-token", kmstest.Token{})
	server := httptest.NewServer(vault)
	t.Cleanup(server.Close)
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", "root-token")
	return vault
}

// startAWS serves an AWS KMS with a key and gives the URL of that key.
func startAWS(t *testing.T) (*kmstest.AWS, string) {
	t.Helper()
	kms := kmstest.NewAWS("AKIDTEST")
	kms.AddKey("1234abcd")
	server := httptest.NewServer(kms)
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "the-secret-of-the-caller")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	return kms, "awskms://1234abcd?region=eu-west-1&endpoint=" + server.URL
}

func seal(t *testing.T, url string, id *keys.Identity) []byte {
	t.Helper()
	contents, err := kmsfile.Seal(t.Context(), parseKey(t, url), id)
	if err != nil {
		t.Fatal(err)
	}
	return contents
}

func open(ctx context.Context, contents []byte) (*keys.Identity, error) {
	f, err := kmsfile.Parse(contents)
	if err != nil {
		return nil, err
	}
	return f.Open(ctx)
}

// eachKMS runs a test over everything that can be had without a cloud.
func eachKMS(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("vault", func(t *testing.T) {
		startVault(t)
		test(t, "hashivault://site")
	})
	t.Run("aws", func(t *testing.T) {
		_, url := startAWS(t)
		test(t, url)
	})
	t.Run("file", func(t *testing.T) { test(t, newKeyFile(t)) })
}

func TestOpenGivesTheIdentityThatWriteSealed(t *testing.T) {
	eachKMS(t, func(t *testing.T, url string) {
		id, path := newIdentity(t, "Ward A"), filepath.Join(t.TempDir(), "site.kms")
		if err := kmsfile.Write(t.Context(), path, parseKey(t, url), id); err != nil {
			t.Fatal(err)
		}
		contents, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := open(t.Context(), contents)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(secretOf(t, got), secretOf(t, id)) || got.Card() != id.Card() {
			t.Error("another identity came back")
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("file has mode %v, want 0600", info.Mode())
		}
	})
}

func TestTheFileHoldsNoSecretInClear(t *testing.T) {
	eachKMS(t, func(t *testing.T, url string) {
		id := newIdentity(t, "Ward A")
		contents := seal(t, url, id)
		var doc map[string]any
		if err := json.Unmarshal(contents, &doc); err != nil {
			t.Fatal(err)
		}
		raw := append([]byte(nil), contents...)
		for _, field := range []string{"key", "identity"} {
			decoded, err := base64.StdEncoding.DecodeString(doc[field].(string))
			if err != nil {
				t.Fatal(err)
			}
			raw = append(raw, decoded...)
		}
		var secret struct{ HPKE, Ed25519 []byte }
		if err := json.Unmarshal(secretOf(t, id), &secret); err != nil {
			t.Fatal(err)
		}
		for _, seed := range [][]byte{secret.HPKE, secret.Ed25519} {
			if len(seed) != 32 || bytes.Contains(raw, seed) || bytes.Contains(raw, []byte(base64.StdEncoding.EncodeToString(seed))) {
				t.Error("a seed is in the file")
			}
		}
		for _, word := range []string{"root-token", "the-secret-of-the-caller", "Ward A"} {
			if bytes.Contains(raw, []byte(word)) {
				t.Errorf("%q is in the file", word)
			}
		}
	})
}

func TestWriteNeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "site.kms")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := kmsfile.Write(t.Context(), path, parseKey(t, newKeyFile(t)), newIdentity(t, "a"))
	if !errors.Is(err, kmsfile.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	if contents, _ := os.ReadFile(path); string(contents) != "precious" {
		t.Error("the file was overwritten")
	}
}

// fields are a file's, to be put together anew.
type fields struct {
	Version int    `json:"version"`
	Site    string `json:"site"`
	KMS     string `json:"kms"`
	Key     []byte `json:"key"`
	Sealed  []byte `json:"identity"`
}

func take(t *testing.T, contents []byte) fields {
	t.Helper()
	var f fields
	if err := json.Unmarshal(contents, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f fields) put(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWhatWasAlteredDoesNotOpen(t *testing.T) {
	eachKMS(t, func(t *testing.T, url string) {
		mine, other := seal(t, url, newIdentity(t, "mine")), take(t, seal(t, url, newIdentity(t, "other")))
		if _, err := open(t.Context(), take(t, mine).put(t)); err != nil {
			t.Fatalf("put together as it was: %v", err)
		}
		flip := func(b []byte) []byte {
			b = bytes.Clone(b)
			b[len(b)-3] ^= 1 // within Vault's base64 a whole character
			return b
		}
		for name, alter := range map[string]func(*fields){
			"identity flipped":        func(f *fields) { f.Sealed = flip(f.Sealed) },
			"identity cut":            func(f *fields) { f.Sealed = f.Sealed[:len(f.Sealed)-1] },
			"identity gone":           func(f *fields) { f.Sealed = nil },
			"identity of another":     func(f *fields) { f.Sealed = other.Sealed },
			"key of another":          func(f *fields) { f.Key = other.Key },
			"key and identity of it":  func(f *fields) { f.Key, f.Sealed = other.Key, other.Sealed },
			"key flipped":             func(f *fields) { f.Key = flip(f.Key) },
			"key gone":                func(f *fields) { f.Key = nil },
			"site of another":         func(f *fields) { f.Site = other.Site },
			"all of another but kms:": func(f *fields) { f.Site, f.Key = other.Site, other.Key },
		} {
			f := take(t, mine)
			alter(&f)
			_, err := open(t.Context(), f.put(t))
			if !errors.Is(err, kmsfile.ErrAltered) && !errors.Is(err, kmsfile.ErrWrongKey) && !errors.Is(err, keys.ErrMalformed) {
				t.Errorf("%s: got %v", name, err)
			}
			if errors.Is(err, kmsfile.ErrUnavailable) {
				t.Errorf("%s: %v: as if asking again could help", name, err)
			}
		}
	})
}

func TestParseRefusesWhatCofreDoesNotWrite(t *testing.T) {
	good := string(seal(t, newKeyFile(t), newIdentity(t, "a")))
	for name, contents := range map[string]string{
		"empty":          "",
		"not JSON":       "age-encryption.org/v1\n",
		"null":           "null\n",
		"list":           "[]\n",
		"unknown name":   strings.Replace(good, "{\n", "{\n  \"token\": \"x\",\n", 1),
		"repeated name":  strings.Replace(good, "{\n", "{\n  \"version\": 1,\n", 1),
		"other case":     strings.Replace(good, `"kms"`, `"KMS"`, 1),
		"missing name":   strings.Replace(good, "  \"version\": 1,\n", "", 1),
		"version 2":      strings.Replace(good, `"version": 1`, `"version": 2`, 1),
		"cut off":        good[:len(good)-3],
		"data behind":    good + "{}",
		"line break":     strings.Replace(good, `"identity": "`, `"identity": "\n`, 1),
		"upper-case hex": strings.Replace(good, `"site": "`, `"site": "F`, 1),
		"no URL":         strings.Replace(good, "file://", "::", 1),
		"another scheme": strings.Replace(good, "file://", "base64key://", 1),
		"too long":       good + strings.Repeat(" ", kmsfile.MaxSize),
	} {
		if contents == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := kmsfile.Parse([]byte(contents)); err == nil {
			t.Errorf("%s: was read", name)
		}
	}
}

func TestTheURLMayBeCorrectedByHand(t *testing.T) {
	url := newKeyFile(t)
	id := newIdentity(t, "a")
	contents := seal(t, url, id)
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(strings.TrimPrefix(url, "file://"), moved); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t.Context(), contents); !errors.Is(err, kmsfile.ErrNoKey) {
		t.Errorf("key file gone: got %v, want ErrNoKey", err)
	}
	got, err := open(t.Context(), bytes.Replace(contents, []byte(url), []byte("file://"+moved), 1))
	if err != nil {
		t.Fatal(err)
	}
	if got.ID() != id.ID() {
		t.Error("another identity came back")
	}
}

func TestParseKeyTakesTheFormsOfEachKMS(t *testing.T) {
	for url, guard := range map[string]string{
		"hashivault://site":                                                      "hashivault",
		"hashivault://site-A?engine=security/transit":                            "hashivault",
		"awskms://1234abcd-12ab?region=us-east-1":                                "awskms",
		"awskms://alias/cofre?region=us-east-1&context_unit=ward":                "awskms",
		"awskms:///arn:aws:kms:us-east-1:111122223333:key/1234?region=us-east-1": "awskms",
		"gcpkms://projects/p/locations/europe-west6/keyRings/r/cryptoKeys/k":     "gcpkms",
		"azurekeyvault://site.vault.azure.net/keys/cofre/0123456789abcdef":       "azurekeyvault",
		"azurekeyvault://s.vault.azure.net/keys/c/01?algorithm=RSA-OAEP-256":     "azurekeyvault",
		"file:///etc/cofre/site.key":                                             "key file",
	} {
		key, err := kmsfile.ParseKey(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if key.Guard() != guard || key.String() != url {
			t.Errorf("%s: guard %q, URL %q", url, key.Guard(), key)
		}
	}
}

func TestParseKeyRefusesEverythingElseAndRepeatsNothing(t *testing.T) {
	for url, want := range map[string]string{
		"":                                       "use one of hashivault, awskms, gcpkms, azurekeyvault, file, pkcs11",
		"hunter2":                                "use one of",
		"://hunter2":                             "is no URL",
		"base64key://hunter2":                    "use one of",
		"https://kms.example/hunter2":            "use one of",
		"hashivault://":                          "names no key",
		"hashivault://u:hunter2@site":            "credentials come from the environment",
		"hashivault://site#hunter2":              "fragment",
		"hashivault://site/../hunter2":           "names no key",
		"hashivault://..%2fsys":                  "is no URL",
		"hashivault://site?engine=../sys":        "engine is no mount path",
		"hashivault://site?engine=":              "engine is no mount path",
		"hashivault://site?engine=a&engine=b":    "given twice",
		"hashivault://site?token=hunter2":        `"token" is unknown`,
		"hashivault://site?a=%zz":                "query",
		"awskms://?region=x":                     "names no key",
		"awskms://k?secret_access_key=hunter2":   `"secret_access_key" is unknown`,
		"awskms://k?endpoint=http://u:hunter2@h": "endpoint is no plain URL",
		"gcpkms://projects/p/keyRings/r":         "names no key",
		"gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k?token=hunter2": `"token" is unknown`,
		"azurekeyvault://s.vault.azure.net/keys/cofre":                          "names no version",
		"azurekeyvault://s.vault.azure.net/secrets/cofre/01":                    "names no key",
		"azurekeyvault://evil.example/keys/cofre/01":                            "names no key",
		"file://relative/path":                                                  "write file:///absolute/path",
		"file:relative":                                                         "write file:///absolute/path",
	} {
		_, err := kmsfile.ParseKey(url)
		if err == nil {
			t.Errorf("%s: was taken", url)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, want it to say %q", url, err, want)
		}
		if strings.Contains(err.Error(), "hunter2") && !strings.Contains(url, "hunter2:") && url != "hunter2" {
			t.Errorf("%s: the error repeats a secret: %q", url, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("{\n  \"version\": 1,\n  \"site\": \"" + strings.Repeat("0", 64) + "\",\n  \"kms\": \"hashivault://k\",\n  \"key\": \"AA==\",\n  \"identity\": \"AA==\"\n}\n"))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, contents []byte) {
		file, err := kmsfile.Parse(contents)
		if err != nil {
			return
		}
		if again, err := kmsfile.ParseKey(file.Key.String()); err != nil || again.Guard() != file.Key.Guard() {
			t.Errorf("%s: is not read again: %v", file.Key, err)
		}
	})
}
