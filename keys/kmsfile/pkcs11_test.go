//go:build pkcs11

package kmsfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"cofre/keys/kmsfile"
)

// softHSM is where Debian and others put SoftHSM's library.
var softHSM = []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"}

const pin = "123456"

func findSoftHSM(t *testing.T) string {
	t.Helper()
	for _, path := range softHSM {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatal("SoftHSM is not installed (Debian: softhsm2): do without -tags pkcs11")
	return ""
}

// startHSM makes a token "ward" with an AES key "cofre", and gives the key's URI.
func startHSM(t *testing.T) string {
	t.Helper()
	module, dir := findSoftHSM(t), t.TempDir()
	write := func(name, contents string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(contents), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("SOFTHSM2_CONF", write("softhsm2.conf", "directories.tokendir = "+dir+"\nlog.level = ERROR\n"))
	for _, label := range []string{"ward", "other ward"} {
		out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "so-"+pin, "--pin", pin).CombinedOutput()
		if err != nil {
			t.Fatalf("init token: %v: %s", err, out)
		}
		for _, key := range []string{"cofre", "double", "double"} {
			makeKey(t, module, label, key)
		}
	}
	return fmt.Sprintf("pkcs11:token=ward;object=cofre;type=secret-key?module-path=%s&pin-source=file:%s", module, write("pin", pin+"\n"))
}

func makeKey(t *testing.T, module, token, label string) {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	hsm := pkcs11.New(module)
	defer hsm.Destroy()
	check(hsm.Initialize())
	defer hsm.Finalize()
	slots, err := hsm.GetSlotList(true)
	check(err)
	for _, slot := range slots {
		info, err := hsm.GetTokenInfo(slot)
		check(err)
		if strings.TrimRight(info.Label, " ") != token {
			continue
		}
		session, err := hsm.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
		check(err)
		check(hsm.Login(session, pkcs11.CKU_USER, pin))
		_, err = hsm.GenerateKey(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)}, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
			pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, true), pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, true),
			pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32), pkcs11.NewAttribute(pkcs11.CKA_LABEL, label), pkcs11.NewAttribute(pkcs11.CKA_ID, []byte{1, byte(len(label))}),
		})
		check(err)
		return
	}
	t.Fatalf("no token %q", token)
}

func TestPKCS11SealsAndOpens(t *testing.T) {
	uri := startHSM(t)
	id := newIdentity(t, "Ward A")
	contents := seal(t, uri, id)
	for range 2 { // a session is left behind by neither
		got, err := open(t.Context(), contents)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(secretOf(t, got), secretOf(t, id)) {
			t.Fatal("another identity came back")
		}
	}
	if got := parseKey(t, uri).Guard(); got != "pkcs11" {
		t.Errorf("guard %q", got)
	}
	byID := strings.Replace(uri, "object=cofre", "id=%01%05", 1)
	if _, err := open(t.Context(), seal(t, byID, id)); err != nil {
		t.Errorf("key named by its id: %v", err)
	}
}

func TestPKCS11BindsTheKeyToTheSite(t *testing.T) {
	uri := startHSM(t)
	mine, other := seal(t, uri, newIdentity(t, "mine")), take(t, seal(t, uri, newIdentity(t, "other")))
	flipped := take(t, mine)
	flipped.Key[len(flipped.Key)-1] ^= 1
	swapped := take(t, mine)
	swapped.Key = other.Key
	cut := take(t, mine)
	cut.Key = cut.Key[:10]
	for name, f := range map[string]fields{"flipped": flipped, "another site's": swapped, "cut": cut} {
		if _, err := open(t.Context(), f.put(t)); !errors.Is(err, kmsfile.ErrWrongKey) {
			t.Errorf("%s data key: got %v, want ErrWrongKey", name, err)
		}
	}
}

func TestPKCS11RefusalsSayWhatToDo(t *testing.T) {
	uri := startHSM(t)
	contents := string(seal(t, uri, newIdentity(t, "a")))
	with := func(old, replacement string) []byte {
		t.Helper()
		if !strings.Contains(contents, old) {
			t.Fatalf("no %q in the file", old)
		}
		return []byte(strings.Replace(contents, old, replacement, 1))
	}
	refused(t, with("token=ward", "token=nobody"), kmsfile.ErrNoKey, "0 tokens fit the URI")
	refused(t, with("object=cofre", "object=nobody"), kmsfile.ErrNoKey, "0 AES keys fit the URI")
	refused(t, with("object=cofre", "object=double"), kmsfile.ErrNoKey, "2 AES keys fit the URI")
	refused(t, with("token=ward", "token=other%20ward"), kmsfile.ErrWrongKey, "does not open this file with this key")
	refused(t, with("module-path=", "module-path=/nonexistent"), nil, "is no PKCS#11 library", "check")
	refused(t, with("pin-source=file:", "pin-source=file:/nonexistent"), kmsfile.ErrNoKey, "read PIN")

	wrong := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(wrong, []byte("654321"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := strings.Index(contents, "pin-source=")
	end := at + strings.Index(contents[at:], `"`)
	refused(t, with(contents[at:end], "pin-source=file:"+wrong), kmsfile.ErrDenied, "log in", "check the PIN")
}

func TestPKCS11URIsAreReadStrictly(t *testing.T) {
	const rest = "?module-path=/lib/hsm.so&pin-source=file:/pin"
	for _, good := range []string{
		"pkcs11:token=a;object=b" + rest, "pkcs11:serial=01;id=%01%02" + rest, "pkcs11:object=b;token=a%20b;type=secret-key" + rest,
		"pkcs11:token=a;object=b?pin-source=file:///pin&module-path=/lib/hsm.so", "pkcs11:token=a;object=b?pin-source=/pin&module-path=/lib/hsm.so",
	} {
		parseKey(t, good)
	}
	for uri, want := range map[string]string{
		"pkcs11:" + rest:                                                "unknown, repeated or empty",
		"pkcs11:object=b" + rest:                                        "names no key",
		"pkcs11:token=a" + rest:                                         "names no key",
		"pkcs11:token=a;object=b;object=c" + rest:                       "unknown, repeated or empty",
		"pkcs11:token=a;object=b;manufacturer=c" + rest:                 "unknown, repeated or empty",
		"pkcs11:token=a;object=b;type=private" + rest:                   "type must be secret-key",
		"pkcs11:token=a;object=b?module-path=/x&pin-value=hunter2":      "holds the PIN",
		"pkcs11:token=a;object=b?pin-source=file:/x":                    "module-path must be",
		"pkcs11:token=a;object=b?module-path=x&pin-source=file:/x":      "module-path must be",
		"pkcs11:token=a;object=b?module-path=/x":                        "pin-source must be",
		"pkcs11:token=a;object=b?module-path=/x&pin-source=|askpass":    "pin-source must be",
		"pkcs11:token=a;object=b?module-path=/x&pin-source=https://x/y": "pin-source must be",
	} {
		_, err := kmsfile.ParseKey(uri)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q", uri, err, want)
		}
	}
}
