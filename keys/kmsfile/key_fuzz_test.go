package kmsfile_test

import (
	"testing"

	"cofre/keys/kmsfile"
)

// FuzzParseKey reads any text as the URL of a KMS's key, and holds that what is taken reads the same from its own text.
func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{
		"vault://transit/keys/site", "vault:///site", "awskms:///arn:aws:kms:eu-central-1:1:key/x?region=eu-central-1", "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k", "azurekeyvault://v.vault.azure.net/keys/k/1",
		"file:///etc/cofre/key", "pkcs11:token=T;object=O?module-path=/l.so&pin-source=file:/p", "pkcs11:token=T;pin-value=1", "http://x", "://", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		k, err := kmsfile.ParseKey(raw)
		if err != nil {
			return
		}
		again, err := kmsfile.ParseKey(k.String())
		if err != nil || again.String() != k.String() {
			t.Errorf("%q is %q, which is %q, %v", raw, k, again, err)
		}
	})
}
