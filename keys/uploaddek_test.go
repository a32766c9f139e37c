package keys_test

import (
	"bytes"
	"testing"

	"cofre/keys"
	"cofre/keys/keystest"
)

func TestUploadDEKOpensForItsSiteAndEnvelopeOnly(t *testing.T) {
	system := &keystest.FakeSystem{}
	ring := keystest.NewSite(t, "a", system).Ring(nil)
	other := keystest.NewSite(t, "b", system).Ring(nil)
	dek, envelope := keys.NewDEK(), bytes.Repeat([]byte{7}, 132)
	sealed := ring.SealDEK(dek, envelope)
	if got, err := ring.OpenDEK(sealed, envelope); err != nil || !got.Equal(dek) {
		t.Fatalf("own DEK does not open: %v", err)
	}
	if bytes.Contains(sealed, dek.Bytes()[:8]) {
		t.Fatal("DEK in clear")
	}
	if _, err := ring.OpenDEK(sealed, bytes.Repeat([]byte{8}, 132)); err == nil {
		t.Fatal("opened for another envelope")
	}
	if _, err := other.OpenDEK(sealed, envelope); err == nil {
		t.Fatal("opened by another site")
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := ring.OpenDEK(bad, envelope); err == nil {
			t.Fatalf("opened with byte %d altered", i)
		}
		if _, err := ring.OpenDEK(sealed[:i], envelope); err == nil {
			t.Fatalf("opened with %d bytes", i)
		}
	}
}
