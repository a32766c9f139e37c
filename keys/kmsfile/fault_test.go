package kmsfile_test

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"os"
	"testing"
	"time"

	"cofre/internal/longtest"
	"cofre/keys/kmsfile"
	"cofre/metadata/storetest"
)

// TestABrokenWayToTheKMSIsAnOutageAndNothingElse breaks the way in all manners, and its answer off at each place. An operator who were
// told of a wrong key or an altered file would look for a fault where there is none, and perhaps restore what was whole.
func TestABrokenWayToTheKMSIsAnOutageAndNothingElse(t *testing.T) {
	startVault(t)
	vault, err := url.Parse(os.Getenv("VAULT_ADDR"))
	if err != nil {
		t.Fatal(err)
	}
	gate := storetest.NewGate(t, vault.Host)
	t.Setenv("VAULT_ADDR", "http://"+gate.Addr())
	id := newIdentity(t, "Hospital A")
	contents := seal(t, "hashivault://site", id)
	open := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		f, err := kmsfile.Parse(contents)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Open(ctx)
		if err == nil && !bytes.Equal(secretOf(t, got), secretOf(t, id)) {
			t.Fatal("another identity")
		}
		return err
	}
	injected := 0
	check := func(what string, n int, err error) {
		t.Helper()
		injected++
		if !errors.Is(err, kmsfile.ErrUnavailable) || errors.Is(err, kmsfile.ErrWrongKey) || errors.Is(err, kmsfile.ErrAltered) || errors.Is(err, kmsfile.ErrDenied) {
			t.Errorf("%s %d: %v, want ErrUnavailable", what, n, err)
		}
	}
	for n := 0; n < 240; n += 7 { // the whole answer has some 260 bytes
		gate.Cut(n)
		check("cut after", n, open(time.Minute))
	}
	gate.Cut(-1)
	gate.Refuse(true)
	check("refused", 0, open(time.Minute))
	gate.Refuse(false)
	gate.Silence(true)
	check("silent", 0, open(300*time.Millisecond))
	gate.Silence(false)
	if err := open(time.Minute); err != nil {
		t.Errorf("the way is back: %v", err)
	}
	longtest.Figure(t, "faults injected into the way to the KMS", injected)
}
