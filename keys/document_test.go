package keys_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"cofre/keys"
	"cofre/keys/keystest"
)

// referee checks and makes signatures for the reference implementation of DSSE.
type referee struct{ key ed25519.PrivateKey }

func (r referee) Sign(_ context.Context, data []byte) ([]byte, error) {
	return ed25519.Sign(r.key, data), nil
}
func (r referee) KeyID() (string, error)   { return "referee", nil }
func (r referee) Public() crypto.PublicKey { return r.key.Public() }
func (r referee) Verify(_ context.Context, data, sig []byte) error {
	if !ed25519.Verify(r.key.Public().(ed25519.PublicKey), data, sig) {
		return errors.New("bad signature")
	}
	return nil
}

// identityOf is an identity and the signing key that its file holds.
func identityOf(t testing.TB) (*keys.Identity, referee) {
	t.Helper()
	id := newIdentity(t, "signer")
	secret, err := id.MarshalSecret()
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Ed25519 []byte }
	if err := json.Unmarshal(secret, &file); err != nil {
		t.Fatal(err)
	}
	return id, referee{ed25519.NewKeyFromSeed(file.Ed25519)}
}

func newIdentity(t testing.TB, name string) *keys.Identity {
	t.Helper()
	id, err := keys.GenerateIdentity(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestDSSEAgreesWithTheReferenceImplementation(t *testing.T) {
	id, ref := identityOf(t)
	verifier, err := dsse.NewEnvelopeVerifier(ref)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := dsse.NewEnvelopeSigner(ref)
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range []string{"", "hello world", "ünï\x00", strings.Repeat("x", 10000)} {
		for _, kind := range []string{"http://example.com/HelloWorld", "t", "ü"} {
			ours := id.Sign(kind, []byte(payload))
			if !ed25519.Verify(ref.Public().(ed25519.PublicKey), dsse.PAE(kind, []byte(payload)), ours.Signature) {
				t.Fatalf("type %q, %d bytes: signature is not over the reference's PAE", kind, len(payload))
			}
			var env dsse.Envelope
			if err := json.Unmarshal(ours.Bytes(), &env); err != nil {
				t.Fatal(err)
			}
			env.Signatures[0].KeyID = "referee"
			if _, err := verifier.Verify(t.Context(), &env); err != nil {
				t.Errorf("the reference refuses ours: %v", err)
			}
			theirs, err := signer.SignPayload(t.Context(), kind, []byte(payload))
			if err != nil {
				t.Fatal(err)
			}
			doc, err := json.Marshal(theirs)
			if err != nil {
				t.Fatal(err)
			}
			back, err := keys.ParseDSSE(doc)
			if err != nil {
				t.Fatal(err)
			}
			if err := back.Verify(id.Card()); err != nil || string(back.Payload) != payload || back.PayloadType != kind {
				t.Errorf("the reference's came back as %q, %v", back.Payload, err)
			}
		}
	}
}

func TestSiteIDIsTheHashOfBothKeys(t *testing.T) {
	card := newIdentity(t, "a").Card()
	want := sha256.Sum256(append(append([]byte("cofre v1 site"), card.HPKE[:]...), card.Ed25519[:]...))
	if card.ID != want {
		t.Errorf("id is %s, want %x", card.ID, want)
	}
	if f := card.Fingerprint(); !regexp.MustCompile(`^([0-9a-f]{4} ){15}[0-9a-f]{4}$`).MatchString(f) ||
		strings.ReplaceAll(f, " ", "") != hex.EncodeToString(want[:]) {
		t.Errorf("fingerprint is %q", f)
	}
}

func TestCardAndIdentityComeBack(t *testing.T) {
	id := newIdentity(t, `Ünïversity <Hospital> & "friends"`)
	doc, err := json.Marshal(id.Card())
	if err != nil {
		t.Fatal(err)
	}
	if card, err := keys.ParseCard(append(doc, '\n')); err != nil || card != id.Card() {
		t.Errorf("card came back as %v, %v", card.Name, err)
	}
	secret, err := id.MarshalSecret()
	if err != nil {
		t.Fatal(err)
	}
	back, err := keys.ParseIdentity(secret)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := back.MarshalSecret(); !bytes.Equal(again, secret) || back.Card() != id.Card() {
		t.Error("another identity came back")
	}
}

func TestIdentityNamesAreShort(t *testing.T) {
	for _, name := range []string{"", strings.Repeat("x", 101), "a\nb", "a\x1b[2J", "\xff", "a\u202eb"} {
		if _, err := keys.GenerateIdentity(name); !errors.Is(err, keys.ErrMalformed) {
			t.Errorf("name %q: got %v, want ErrMalformed", name, err)
		}
	}
}

func TestParseIdentityQuotesNothing(t *testing.T) {
	for _, doc := range []string{
		`{"version":1,"name":"n","hpke":"TOPSECRET","ed25519":"TOPSECRET"}`, `{"version":1,"TOPSECRET":2}`,
		`{"version":"TOPSECRET","name":"n","hpke":"","ed25519":""}`, `TOPSECRET`, `{"version":1}TOPSECRET`,
	} {
		if _, err := keys.ParseIdentity([]byte(doc)); err == nil || strings.Contains(err.Error(), "TOP") {
			t.Errorf("error is %v", err)
		}
	}
}

func TestDerivedKeysAreBoundToSiteAndPurpose(t *testing.T) {
	a, b := newIdentity(t, "a"), newIdentity(t, "b")
	secret, err := a.MarshalSecret()
	if err != nil {
		t.Fatal(err)
	}
	again, err := keys.ParseIdentity(secret)
	if err != nil {
		t.Fatal(err)
	}
	if !a.DeriveKey("credentials").Equal(again.DeriveKey("credentials")) {
		t.Error("the same identity derives another key")
	}
	if a.DeriveKey("credentials").Equal(a.DeriveKey("uploads")) || a.DeriveKey("p").Equal(b.DeriveKey("p")) {
		t.Error("two purposes or two sites share a key")
	}
}

func TestGrantIsSealedToExactly1168Bytes(t *testing.T) {
	a, b := newIdentity(t, "a"), newIdentity(t, "b")
	kek := keys.NewKEK("b", a.ID())
	grant, err := keys.NewGrant(a, kek, b.Card(), keystest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	if keys.SealedSize != 1168 {
		t.Fatalf("SealedSize is %d", keys.SealedSize)
	}
	var payload struct{ Sealed []byte }
	d, err := keys.ParseDSSE(grant.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(d.Payload, &payload); err != nil {
		t.Fatal(err)
	}
	if len(payload.Sealed) != 1168 {
		t.Errorf("sealed is %d bytes", len(payload.Sealed))
	}
	record, err := keys.NewRecord(a, kek, keystest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.OpenGrant(grant, record); err != nil || !got.Equal(kek) {
		t.Errorf("opened %v, %v", got, err)
	}
	if bytes.Contains(grant.Bytes(), kek.Bytes()) || bytes.Contains(record.Bytes(), kek.Bytes()) {
		t.Error("a document holds the key")
	}
}

func TestNewRecordIsTheCreatorsAlone(t *testing.T) {
	a, b := newIdentity(t, "a"), newIdentity(t, "b")
	if _, err := keys.NewRecord(b, keys.NewKEK("b", a.ID()), keystest.Epoch); !errors.Is(err, keys.ErrUntrusted) {
		t.Errorf("got %v, want ErrUntrusted", err)
	}
	for _, bucket := range []string{"", "a/b", ".."} {
		if _, err := keys.NewRecord(a, keys.NewKEK(bucket, a.ID()), keystest.Epoch); !errors.Is(err, keys.ErrMalformed) {
			t.Errorf("record for bucket %q: got %v", bucket, err)
		}
		if _, err := keys.NewGrant(a, keys.NewKEK(bucket, a.ID()), b.Card(), keystest.Epoch); !errors.Is(err, keys.ErrMalformed) {
			t.Errorf("grant for bucket %q: got %v", bucket, err)
		}
	}
}

// Every bit of a document counts: flipped anywhere, the record, grant or endorsement no longer verifies, or its bytes mean
// exactly what they meant (DSSE's key id is only a hint, and white space is none of ours).
func TestNoBitOfADocumentCanBeChanged(t *testing.T) {
	a, b := newIdentity(t, "a"), newIdentity(t, "b")
	kek := keys.NewKEK("b", a.ID())
	record, err := keys.NewRecord(a, kek, keystest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	grant, err := keys.NewGrant(a, kek, b.Card(), keystest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	checks := map[string]struct {
		doc   []byte
		check func([]byte) error
	}{
		"record": {record.Bytes(), func(doc []byte) error {
			r, err := keys.ParseRecord(doc)
			if err == nil {
				err = r.Verify(a.Card())
			}
			return err
		}},
		"endorsement": {keys.NewEndorsement(b, record), func(doc []byte) error {
			e, err := keys.ParseEndorsement(doc)
			if err == nil {
				err = e.Verify(b.Card(), record)
			}
			return err
		}},
		"grant": {grant.Bytes(), func(doc []byte) error {
			g, err := keys.ParseGrant(doc)
			if err == nil {
				err = g.Verify(a.Card())
			}
			return err
		}},
	}
	for name, c := range checks {
		if err := c.check(c.doc); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		hint := bytes.Index(c.doc, []byte(`"keyid":"`)) + len(`"keyid":"`)
		for at := range c.doc {
			if at >= hint && at < hint+64 {
				continue
			}
			bad := bytes.Clone(c.doc)
			bad[at] ^= 1 << (at % 8)
			if err := c.check(bad); !errors.Is(err, keys.ErrMalformed) && !errors.Is(err, keys.ErrSignature) {
				t.Errorf("%s with byte %d changed to %q: %v", name, at, bad[at], err)
			}
		}
		for cut := range 40 {
			if err := c.check(c.doc[:len(c.doc)-1-cut]); !errors.Is(err, keys.ErrMalformed) {
				t.Errorf("%s cut by %d: %v", name, cut+1, err)
			}
		}
	}
}

func TestVerifyWantsTheSignersOwnCard(t *testing.T) {
	a, b := newIdentity(t, "a"), newIdentity(t, "b")
	kek := keys.NewKEK("b", a.ID())
	record, err := keys.NewRecord(a, kek, keystest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	grant, err := keys.NewGrant(a, kek, b.Card(), keystest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	if err := record.Verify(b.Card()); !errors.Is(err, keys.ErrSignature) {
		t.Errorf("record: %v", err)
	}
	if err := grant.Verify(b.Card()); !errors.Is(err, keys.ErrSignature) {
		t.Errorf("grant: %v", err)
	}
	// What says that a made it, and b signed.
	inAName, err := keys.ParseRecord(keys.NewEndorsement(b, record))
	if err != nil {
		t.Fatal(err)
	}
	if err := inAName.Verify(b.Card()); !errors.Is(err, keys.ErrSignature) {
		t.Errorf("record in another's name: %v", err)
	}
	d, err := keys.ParseDSSE(grant.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	granted, err := keys.ParseGrant(b.Sign(keys.GrantType, d.Payload).Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := granted.Verify(b.Card()); !errors.Is(err, keys.ErrSignature) {
		t.Errorf("grant in another's name: %v", err)
	}
	other, err := keys.ParseKEK(kek.ID(), "b", a.ID(), keys.NewDEK().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for name, wrong := range map[string]keys.KEK{
		"key": other, "id": keys.NewKEK("b", a.ID()),
	} {
		if err := record.Check(wrong); !errors.Is(err, keys.ErrCommit) {
			t.Errorf("KEK of another %s: %v", name, err)
		}
	}
	if err := record.Check(kek); err != nil {
		t.Error(err)
	}
}
