package seal_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"cofre/keys"
	"cofre/seal"
)

// customerKey is a client's SSE-C key.
func customerKey(label string) []byte { b := fixed(label); return b[:] }

// sealedEnvelope is an envelope of the fixture's object, of key "key" under KEK "kek" of bucket "bucket".
func sealedEnvelope(t testing.TB, flags seal.Flags) seal.Envelope {
	t.Helper()
	salt, ssec := fixedSalt("parta"), []byte(nil)
	if flags.Has(seal.Multipart) {
		salt = seal.Salt{}
	}
	if flags.Has(seal.CustomerKey) {
		ssec = customerKey("customer")
	}
	kek := fixedKEK(t, "bucket", "kek")
	return must(seal.SealEnvelopeWithSalt(kek, "key", ssec, flags, fixedObjectID("object"), salt, fixedDEK(t, "dek"), fixed("wrap salt")))(t)
}

func TestUnsealUndoesSealForEveryFlag(t *testing.T) {
	kek, dek := fixedKEK(t, "bucket", "kek"), fixedDEK(t, "dek")
	for flags := seal.Flags(0); flags < 8; flags++ {
		var ssec []byte
		if flags.Has(seal.CustomerKey) {
			ssec = customerKey("customer")
		}
		env := sealedEnvelope(t, flags)
		parsed := must(seal.ParseEnvelope(env.String()))(t)
		if parsed != env {
			t.Errorf("flags %#x: parses as another envelope", flags)
		}
		if got, err := parsed.Unseal(kek, "key", ssec); err != nil || !got.Equal(dek) {
			t.Errorf("flags %#x: does not unseal: %v", flags, err)
		}
	}
}

func TestEveryEnvelopeHasAFreshWrapSalt(t *testing.T) {
	kek, dek := fixedKEK(t, "bucket", "kek"), fixedDEK(t, "dek")
	a := must(seal.SealEnvelope(kek, "key", nil, 0, fixedObjectID("object"), fixedSalt("parta"), dek))(t)
	b := must(seal.SealEnvelope(kek, "key", nil, 0, fixedObjectID("object"), fixedSalt("parta"), dek))(t)
	if a.WrapSalt == b.WrapSalt || a.Wrapped == b.Wrapped || a.WrapSalt == [32]byte{} {
		t.Error("two envelopes share a wrap salt")
	}
}

func TestEveryFlippedBitOfAnEnvelopeIsRefused(t *testing.T) {
	kek := fixedKEK(t, "bucket", "kek")
	for _, flags := range []seal.Flags{0, seal.Multipart | seal.HasAttributes} {
		good := sealedEnvelope(t, flags).Bytes()
		for i := range good {
			for bit := range 8 {
				bad := good
				bad[i] ^= 1 << bit
				env, err := seal.ParseEnvelopeBytes(bad[:])
				if err == nil {
					_, err = env.Unseal(kek, "key", nil)
				}
				// A customer key that the flags ask for and nobody has is refused before anything is opened.
				if !errors.Is(err, seal.ErrIntegrity) && !errors.Is(err, seal.ErrCustomerKey) {
					t.Errorf("flags %#x, byte %d, bit %d: %v", flags, i, bit, err)
				}
			}
		}
	}
}

func TestEnvelopeOpensForItsOwnKeyOnly(t *testing.T) {
	env := sealedEnvelope(t, 0)
	kek := fixedKEK(t, "bucket", "kek")
	for _, key := range []string{"", "Key", "key ", "key/", "/key", "./key", "ke", "keyy", "k\x00ey"} {
		if _, err := env.Unseal(kek, key, nil); !errors.Is(err, seal.ErrIntegrity) {
			t.Errorf("key %q: %v", key, err)
		}
	}
}

func TestAnotherKEKCannotOpenAnEnvelope(t *testing.T) {
	env := sealedEnvelope(t, 0)
	_, err := env.Unseal(fixedKEK(t, "other bucket", "other"), "key", nil)
	wantFault(t, "KEK of another id", err, seal.FaultKEK)

	other := fixed("other")
	sameID := must(keys.ParseKEK(env.KEKID, "bucket", keys.SiteID{}, other[:]))(t)
	_, err = env.Unseal(sameID, "key", nil)
	wantFault(t, "another KEK of that id", err, seal.FaultEnvelope)

	if _, err := env.Unseal(keys.KEK{}, "key", nil); !errors.Is(err, keys.ErrZeroKey) {
		t.Errorf("zero KEK: %v", err)
	}
}

func TestCustomerKeyIsNeeded(t *testing.T) {
	env, kek := sealedEnvelope(t, seal.CustomerKey), fixedKEK(t, "bucket", "kek")
	_, err := env.Unseal(kek, "key", customerKey("another customer"))
	wantFault(t, "another customer's key", err, seal.FaultEnvelope)
	for name, ssec := range map[string][]byte{"none": nil, "short": make([]byte, 31), "long": make([]byte, 33), "zero": make([]byte, 32)} {
		if _, err := env.Unseal(kek, "key", ssec); !errors.Is(err, seal.ErrCustomerKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := sealedEnvelope(t, 0).Unseal(kek, "key", customerKey("customer")); !errors.Is(err, seal.ErrCustomerKey) {
		t.Errorf("unwanted: %v", err)
	}
}

func TestSealEnvelopeRefusesWhatNobodyCouldRead(t *testing.T) {
	kek, dek, id, salt := fixedKEK(t, "bucket", "kek"), fixedDEK(t, "dek"), fixedObjectID("object"), fixedSalt("parta")
	for name, err := range map[string]error{
		"zero KEK":                    second(seal.SealEnvelope(keys.KEK{}, "key", nil, 0, id, salt, dek)),
		"zero DEK":                    second(seal.SealEnvelope(kek, "key", nil, 0, id, salt, keys.DEK{})),
		"undefined flag":              second(seal.SealEnvelope(kek, "key", nil, 8, id, salt, dek)),
		"single part without salt":    second(seal.SealEnvelope(kek, "key", nil, 0, id, seal.Salt{}, dek)),
		"multipart with salt":         second(seal.SealEnvelope(kek, "key", nil, seal.Multipart, id, salt, dek)),
		"flag without customer key":   second(seal.SealEnvelope(kek, "key", nil, seal.CustomerKey, id, salt, dek)),
		"customer key without a flag": second(seal.SealEnvelope(kek, "key", customerKey("c"), 0, id, salt, dek)),
		"customer key of zeros":       second(seal.SealEnvelope(kek, "key", make([]byte, 32), seal.CustomerKey, id, salt, dek)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestParseEnvelopeTakesOneSpellingOnly(t *testing.T) {
	good := sealedEnvelope(t, 0)
	text, b := good.String(), good.Bytes()
	for name, bad := range map[string]string{
		"empty":             "",
		"padded":            text + "=",
		"line end inside":   text[:10] + "\n" + text[10:],
		"line end for text": text[:10] + "\r\n" + text[12:],
		"line end behind":   text + "\n",
		"space before":      " " + text,
		"standard alphabet": base64.RawStdEncoding.EncodeToString(b[:]),
		"too short":         text[:len(text)-4],
		"too long":          text + "AAAA",
		"not base64":        strings.Repeat("*", len(text)),
	} {
		if _, err := seal.ParseEnvelope(bad); !errors.Is(err, seal.ErrIntegrity) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestErrorsTellNothingSecret formats what callers may log.
func TestErrorsTellNothingSecret(t *testing.T) {
	env := sealedEnvelope(t, 0)
	_, err := env.Unseal(fixedKEK(t, "bucket", "other"), "secret-object-key", nil)
	for _, secret := range []string{"secret-object-key", fmt.Sprintf("%x", fixed("kek")), fmt.Sprintf("%x", fixed("dek"))} {
		if strings.Contains(fmt.Sprintf("%+v", err), secret) {
			t.Errorf("error %v holds %s", err, secret)
		}
	}
}
