package kmsfile_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cofre/keys/kmsfile"
	"cofre/keys/kmsfile/kmstest"
)

// keepToken keeps the token in the background and gives what is told of it. stop ends it.
func keepToken(t *testing.T, url string) (events <-chan kmsfile.TokenEvent, stop func()) {
	t.Helper()
	told := make(chan kmsfile.TokenEvent, 100)
	ctx, cancel := context.WithCancel(t.Context())
	key := parseKey(t, url)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(told)
		key.KeepToken(ctx, func(e kmsfile.TokenEvent) { told <- e })
	}()
	return told, func() {
		cancel()
		<-done
	}
}

func TestATokenIsRenewedForAsLongAsItIsKept(t *testing.T) {
	vault := startVault(t)
	contents := seal(t, "hashivault://site", newIdentity(t, "a"))
	vault.AddToken("site-token", kmstest.Token{TTL: time.Second, Renewable: true})
	t.Setenv("VAULT_TOKEN", "site-token")
	events, stop := keepToken(t, "hashivault://site")
	for range 4 {
		event := <-events
		if event.Err != nil || event.Ends || event.Lasts != time.Second {
			t.Fatalf("told %+v, want a renewal by a second", event)
		}
		vault.Advance(600 * time.Millisecond) // by the fourth its first second is long over
	}
	if _, err := open(t.Context(), contents); err != nil {
		t.Errorf("the next start finds a dead token: %v", err)
	}
	stop()
	vault.Advance(2 * time.Second)
	if _, err := open(t.Context(), contents); err == nil {
		t.Error("the token outlived its time without being renewed: this test proves nothing")
	}
}

func TestTheEndOfATokenIsTold(t *testing.T) {
	t.Run("at its last day", func(t *testing.T) {
		vault := startVault(t)
		vault.AddToken("site-token", kmstest.Token{TTL: time.Second, MaxTTL: 1500 * time.Millisecond, Renewable: true})
		t.Setenv("VAULT_TOKEN", "site-token")
		events, stop := keepToken(t, "hashivault://site")
		defer stop()
		if first := <-events; first.Ends {
			t.Fatalf("told %+v, want a renewal", first)
		}
		vault.Advance(900 * time.Millisecond)
		var last kmsfile.TokenEvent
		for last = range events { // until KeepToken gives up
		}
		if !last.Ends {
			t.Errorf("told %+v at last, want the end", last)
		}
	})
	t.Run("not renewable", func(t *testing.T) {
		vault := startVault(t)
		vault.AddToken("site-token", kmstest.Token{TTL: time.Hour})
		t.Setenv("VAULT_TOKEN", "site-token")
		events, stop := keepToken(t, "hashivault://site")
		defer stop()
		if event := <-events; !event.Ends || event.Err != nil || event.Lasts != time.Hour {
			t.Errorf("told %+v, want the end in an hour", event)
		}
	})
	t.Run("revoked", func(t *testing.T) {
		startVault(t)
		t.Setenv("VAULT_TOKEN", "site-token")
		events, stop := keepToken(t, "hashivault://site")
		defer stop()
		event := <-events
		if !event.Ends || event.Err == nil || strings.Contains(event.Err.Error(), "site-token") {
			t.Errorf("told %+v, want the end and why", event)
		}
	})
}

func TestATokenThatNeverExpiresIsLeftAlone(t *testing.T) {
	vault := startVault(t)
	events, stop := keepToken(t, "hashivault://site")
	defer stop()
	if event, told := <-events; told {
		t.Errorf("told %+v of a root token", event)
	}
	if path := <-vault.Asked(); path != "auth/token/lookup-self" {
		t.Errorf("asked for %s", path)
	}
}

func TestKeepTokenOutlastsAnOutage(t *testing.T) {
	vault := startVault(t)
	vault.AddToken("site-token", kmstest.Token{TTL: time.Hour, Renewable: true})
	t.Setenv("VAULT_TOKEN", "site-token")
	vault.SetSealed(true)
	events, stop := keepToken(t, "hashivault://site")
	if event := <-events; event.Ends || event.Err == nil {
		t.Errorf("sealed: told %+v, want that it is tried again", event)
	}
	vault.SetSealed(false)
	for event := range events {
		if event.Err == nil {
			break
		}
	}
	stop()
}

func TestOtherGuardsHaveNoTokenToKeep(t *testing.T) {
	events, stop := keepToken(t, newKeyFile(t))
	defer stop()
	if event, told := <-events; told {
		t.Errorf("told %+v", event)
	}
}

func TestKeepTokenEndsWithItsContext(t *testing.T) {
	vault := startVault(t)
	vault.AddToken("site-token", kmstest.Token{TTL: time.Hour, Renewable: true})
	before := goleak.IgnoreCurrent()
	entered, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "renew-self") {
			close(entered)
			<-release // an answer that does not come
		}
		vault.ServeHTTP(w, r)
	}))
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", "site-token")
	_, stop := keepToken(t, "hashivault://site")
	<-entered
	stop() // does not wait for Vault
	close(release)
	server.Close()
	goleak.VerifyNone(t, before)
}
