package access_test

import (
	"testing"

	"cofre/access"
	"cofre/keys"
)

// FuzzOpenSecret holds that of all bytes that a store could give, only those open that were sealed, for their own access key.
func FuzzOpenSecret(f *testing.F) {
	site, err := keys.GenerateIdentity("a site")
	if err != nil {
		f.Fatal(err)
	}
	s := access.NewSealer(site)
	f.Add("AKIA", s.Seal("AKIA", "the-secret"))
	f.Add("", []byte{})
	f.Add("AKIA", []byte{1})
	f.Add("AKIA", make([]byte, 29))
	f.Fuzz(func(t *testing.T, id string, sealed []byte) {
		// A new sealer of the same site would open the first seed only, which is another run's: nothing opens but what is sealed here.
		secret, err := s.Open(id, sealed)
		if err == nil && (id != "AKIA" || secret.Reveal() != "the-secret") {
			t.Errorf("%x opened for %q", sealed, id)
		}
		if opened, err := s.Open(id, s.Seal(id, access.Secret(sealed))); err != nil || opened.Reveal() != string(sealed) {
			t.Errorf("a sealed secret does not open: %v", err)
		}
	})
}
