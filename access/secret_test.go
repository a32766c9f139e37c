package access_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"cofre/access"
	"cofre/keys"
)

func TestSecretShowsItselfNowhere(t *testing.T) {
	c := access.Credential{AccessKeyID: "someone", Secret: "very-secret-indeed"}
	doc, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown := string(doc) + c.Secret.String() + c.Secret.GoString()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown += fmt.Sprintf(verb, c) + fmt.Sprintf(verb, c.Secret) + fmt.Sprintf(verb, &c)
	}
	for _, form := range []string{"very-secret-indeed", fmt.Sprintf("%x", "very-secret-indeed")} {
		if strings.Contains(strings.ToLower(shown), form) {
			t.Fatalf("the secret is shown: %s", shown)
		}
	}
}

func TestGeneratedCredentialsAreWellFormedAndNeverAlike(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id, secret := access.NewAccessKeyID(), access.NewSecret()
		if len(id) != 20 || len(secret) != 40 {
			t.Fatalf("id of %d and secret of %d characters", len(id), len(secret))
		}
		if err := (access.Credential{AccessKeyID: id, Secret: secret}).Validate(); err != nil {
			t.Fatal(err)
		}
		if seen[id] || seen[secret.Reveal()] {
			t.Fatal("drawn twice")
		}
		seen[id], seen[secret.Reveal()] = true, true
	}
}

func TestSealedSecretOpensOnlyForItsIDAndSite(t *testing.T) {
	s, other := newSealer(t), newSealer(t)
	sealed := s.Seal("ann", "the-secret")
	if got, err := s.Open("ann", sealed); err != nil || got.Reveal() != "the-secret" {
		t.Fatalf("got error %v", err)
	}
	if bytes.Equal(sealed, s.Seal("ann", "the-secret")) {
		t.Error("sealed twice alike: a nonce was used again")
	}
	if _, err := s.Open("bob", sealed); !errors.Is(err, access.ErrSealedSecret) {
		t.Errorf("opened for another id: %v", err)
	}
	if _, err := other.Open("ann", sealed); !errors.Is(err, access.ErrSealedSecret) {
		t.Errorf("opened by another site: %v", err)
	}
	for i := range sealed {
		forged := bytes.Clone(sealed)
		forged[i] ^= 1
		if _, err := s.Open("ann", forged); !errors.Is(err, access.ErrSealedSecret) {
			t.Errorf("opened with byte %d altered: %v", i, err)
		}
		if _, err := s.Open("ann", sealed[:i]); !errors.Is(err, access.ErrSealedSecret) {
			t.Errorf("opened when cut at %d: %v", i, err)
		}
	}
}

func TestSealedSecretOpensAfterARestart(t *testing.T) {
	site, err := keys.GenerateIdentity("test")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := site.MarshalSecret()
	if err != nil {
		t.Fatal(err)
	}
	again, err := keys.ParseIdentity(doc)
	if err != nil {
		t.Fatal(err)
	}
	got, err := access.NewSealer(again).Open("ann", access.NewSealer(site).Seal("ann", "the-secret"))
	if err != nil || got.Reveal() != "the-secret" {
		t.Fatalf("got error %v", err)
	}
}
