package agefile_test

import (
	"testing"

	"cofre/keys/agefile"
)

// FuzzSplitOf reads any bytes as the head of an identity file.
func FuzzSplitOf(f *testing.F) {
	for _, seed := range []string{"age-encryption.org/v1\n-> cofre-shares c2FsdA 16 3 5\n", "age-encryption.org/v1\n-> scrypt c2FsdA 18\n", "age-encryption.org/v1\n-> cofre-shares a b 99999999999999999999 1\n", "", "-> "} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, contents []byte) {
		if s := agefile.SplitOf(contents); s != (agefile.Split{}) && (s.Threshold < 1 || s.Shares < s.Threshold) {
			t.Errorf("%q is split %v", contents, s)
		}
		// The parser behind it must not be stopped either; a work factor that it takes would cost seconds, so no passphrase is tried.
		if _, err := agefile.Open(contents, ""); err == nil {
			t.Error("opened without a passphrase")
		}
	})
}
