package kmsfile_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"cofre/keys/kmsfile"
	"cofre/keys/kmsfile/kmstest"
)

// refused checks that a file does not open, why, and that the message says what to do and holds no secret.
func refused(t *testing.T, contents []byte, want error, says ...string) {
	t.Helper()
	_, err := open(t.Context(), contents)
	if want != nil && !errors.Is(err, want) || err == nil {
		t.Fatalf("got %v, want %v", err, want)
	}
	for _, words := range says {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%q does not say %q", err, words)
		}
	}
	for _, secret := range []string{"root-token", "site-token", "the-secret-of-the-caller"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q holds a secret", err)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\t") {
		t.Errorf("%q is more than a line", err)
	}
}

func TestVaultsRefusalsSayWhatToDo(t *testing.T) {
	vault := startVault(t)
	contents := seal(t, "hashivault://site", newIdentity(t, "a"))

	t.Run("wrong token", func(t *testing.T) {
		t.Setenv("VAULT_TOKEN", "site-token-of-another-day")
		refused(t, contents, kmsfile.ErrDenied, "hashivault denies the use of the key", "403", "check VAULT_TOKEN")
	})
	t.Run("no token", func(t *testing.T) {
		t.Setenv("VAULT_TOKEN", "")
		refused(t, contents, kmsfile.ErrDenied, "check VAULT_TOKEN")
	})
	t.Run("policy", func(t *testing.T) {
		vault.AddToken("site-token", kmstest.Token{Paths: []string{"transit/encrypt/site"}})
		t.Setenv("VAULT_TOKEN", "site-token")
		refused(t, contents, kmsfile.ErrDenied, "its policy must allow update on encrypt/KEY and decrypt/KEY")
	})
	t.Run("no address", func(t *testing.T) {
		t.Setenv("VAULT_ADDR", "")
		refused(t, contents, nil, "VAULT_ADDR is not set")
	})
	t.Run("wrong key", func(t *testing.T) {
		vault.AddKey("other")
		other := strings.Replace(string(contents), "hashivault://site", "hashivault://other", 1)
		refused(t, []byte(other), kmsfile.ErrWrongKey, "does not open this file with this key", "restore it from its copy")
	})
	t.Run("no such key", func(t *testing.T) {
		other := strings.Replace(string(contents), "hashivault://site", "hashivault://none", 1)
		refused(t, []byte(other), kmsfile.ErrNoKey, "hashivault has no such key", "check the key's name")
	})
	t.Run("no such engine", func(t *testing.T) {
		other := strings.Replace(string(contents), "hashivault://site", "hashivault://site?engine=elsewhere", 1)
		refused(t, []byte(other), kmsfile.ErrNoKey, "no handler for route")
	})
	t.Run("sealed", func(t *testing.T) {
		vault.SetSealed(true)
		defer vault.SetSealed(false)
		refused(t, contents, kmsfile.ErrUnavailable, "hashivault does not answer", "Vault is sealed", "unsealed")
	})
	t.Run("down", func(t *testing.T) {
		t.Setenv("VAULT_ADDR", "http://127.0.0.1:1")
		refused(t, contents, kmsfile.ErrUnavailable, "hashivault does not answer", "connection refused", "check VAULT_ADDR")
	})
	t.Run("another server", func(t *testing.T) {
		for _, body := range []string{"", "{}", `{"data":{"plaintext":5}}`, `{"data":{"plaintext":"?"}}`, "<html>"} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) }))
			t.Setenv("VAULT_ADDR", server.URL)
			refused(t, contents, nil, "hashivault: ")
			server.Close()
		}
	})
}

func TestAnOpenThatIsBrokenOffEndsAtOnce(t *testing.T) {
	startVault(t)
	contents := seal(t, "hashivault://site", newIdentity(t, "a"))
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		cancel()
		<-release // an answer that does not come
	}))
	defer server.Close()
	defer close(release)
	t.Setenv("VAULT_ADDR", server.URL)
	if _, err := open(ctx, contents); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestARotatedVaultKeyStillOpensWhatItSealed(t *testing.T) {
	vault := startVault(t)
	id := newIdentity(t, "a")
	contents := seal(t, "hashivault://site", id)
	vault.AddKey("site")
	if _, err := open(t.Context(), contents); err != nil {
		t.Errorf("sealed by version 1, with version 2 there: %v", err)
	}
	again := take(t, seal(t, "hashivault://site", id))
	if !strings.HasPrefix(string(again.Key), "vault:v2:") {
		t.Errorf("sealed anew by %.9s, want version 2", again.Key)
	}
}

func TestSealRefusesAKeyThatDoesNotDecrypt(t *testing.T) {
	vault := startVault(t)
	vault.AddToken("site-token", kmstest.Token{Paths: []string{"transit/encrypt/site"}})
	t.Setenv("VAULT_TOKEN", "site-token")
	_, err := kmsfile.Seal(t.Context(), parseKey(t, "hashivault://site"), newIdentity(t, "a"))
	if !errors.Is(err, kmsfile.ErrDenied) || !strings.Contains(err.Error(), "open again what was sealed") {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestAWSRefusalsSayWhatToDo(t *testing.T) {
	kms, url := startAWS(t)
	id := newIdentity(t, "a")
	contents := seal(t, url, id)
	for _, bound := range kms.Contexts() {
		if bound["cofre-site"] != id.ID().String() {
			t.Errorf("encryption context %v does not name the site", bound)
		}
	}
	t.Run("wrong credentials", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "AKIDOTHER")
		refused(t, contents, kmsfile.ErrDenied, "awskms denies the use of the key", "check the credentials (AWS_*)")
	})
	t.Run("down", func(t *testing.T) {
		f := take(t, contents)
		f.KMS = "awskms://1234abcd?region=eu-west-1&endpoint=http://127.0.0.1:1"
		refused(t, f.put(t), kmsfile.ErrUnavailable, "awskms does not answer", "connection refused", "check region and network")
	})
	t.Run("no such key", func(t *testing.T) {
		_, err := kmsfile.Seal(t.Context(), parseKey(t, strings.Replace(url, "1234abcd", "none", 1)), id)
		if !errors.Is(err, kmsfile.ErrNoKey) {
			t.Errorf("got %v, want ErrNoKey", err)
		}
	})
	t.Run("policy", func(t *testing.T) {
		kms.Deny("Decrypt")
		refused(t, contents, kmsfile.ErrDenied, "kms:Decrypt", "kms:Encrypt and kms:Decrypt")
	})
}

func TestGCPWithoutCredentialsSaysSo(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/credentials.json")
	_, err := kmsfile.Seal(t.Context(), parseKey(t, "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k"), newIdentity(t, "a"))
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/credentials.json") || !strings.Contains(err.Error(), "check the credentials") {
		t.Errorf("got %v", err)
	}
}

func TestKeyFilesOfOthersAreRefused(t *testing.T) {
	url := newKeyFile(t)
	path := strings.TrimPrefix(url, "file://")
	contents := seal(t, url, newIdentity(t, "a"))
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		refused(t, contents, nil, "is open to others than its owner", "chmod 600")
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"empty": "", "short": "AAAA", "not base64": "hunter2hunter2hunter2", "long": string(good) + string(good)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := open(t.Context(), contents)
		if err == nil || !strings.Contains(err.Error(), "does not hold 32 bytes in base64") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	other := newKeyFile(t)
	refused(t, []byte(strings.Replace(string(contents), url, other, 1)), kmsfile.ErrWrongKey, "key file does not open this file with this key")
	directory := "file://" + t.TempDir()
	refused(t, []byte(strings.Replace(string(contents), url, directory, 1)), nil, "is no regular file")
}
