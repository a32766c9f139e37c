//go:build !pkcs11

package kmsfile_test

import (
	"strings"
	"testing"

	"cofre/keys/kmsfile"
)

func TestABuildWithoutPKCS11SaysHowToMakeOne(t *testing.T) {
	_, err := kmsfile.ParseKey("pkcs11:token=ward;object=cofre?module-path=/lib/hsm.so&pin-source=file:/pin")
	if err == nil || !strings.Contains(err.Error(), "-tags pkcs11") {
		t.Errorf("got %v", err)
	}
}
