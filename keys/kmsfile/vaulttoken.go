package kmsfile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/api"
)

// TokenEvent is something that happened to the token by which a KMS knows us.
type TokenEvent struct {
	Lasts time.Duration // how long the token lasts from now on
	// Ends says that it is not renewed any more. A start after it has expired needs another one.
	Ends bool
	Err  error // why it could not be looked at or renewed, if that is it
}

const (
	firstTokenRetry = time.Second
	lastTokenRetry  = 5 * time.Minute
)

// KeepToken renews the token of Vault until ctx ends or the token cannot be renewed any more, so that the next start finds a
// live one. It returns at once for guards that need no such thing: the identity is in memory, so this process itself never
// asks again.
func (k Key) KeepToken(ctx context.Context, tell func(TokenEvent)) {
	if k.provider.scheme != vaultProvider.scheme {
		return
	}
	client, err := newVaultClient()
	if err != nil {
		tell(TokenEvent{Ends: true, Err: err})
		return
	}
	if client.Token() == "" { // an agent between us and Vault adds one, and renews it
		return
	}
	token, ok := lookUpToken(ctx, client, tell)
	if !ok {
		return
	}
	if !token.Auth.Renewable {
		if token.Auth.LeaseDuration > 0 { // 0: it never expires
			tell(TokenEvent{Lasts: lease(token), Ends: true})
		}
		return
	}
	watchToken(ctx, client, token, tell)
}

func lease(token *api.Secret) time.Duration {
	return time.Duration(token.Auth.LeaseDuration) * time.Second
}

// lookUpToken asks Vault about the token, again and again while it does not answer.
func lookUpToken(ctx context.Context, client *api.Client, tell func(TokenEvent)) (*api.Secret, bool) {
	for pause := firstTokenRetry; ; pause = min(2*pause, lastTokenRetry) {
		token, err := tokenOf(ctx, client)
		if err == nil {
			return token, true
		}
		if ctx.Err() != nil {
			return nil, false
		}
		again := errors.Is(classify(err), ErrUnavailable)
		tell(TokenEvent{Ends: !again, Err: fmt.Errorf("look up Vault token: %s", words(err))})
		if !again {
			return nil, false
		}
		select {
		case <-ctx.Done():
			return nil, false
		case <-time.After(pause):
		}
	}
}

// tokenOf gives the token in the form in which its renewal is watched.
func tokenOf(ctx context.Context, client *api.Client) (*api.Secret, error) {
	answer, err := client.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		return nil, err
	}
	if answer == nil {
		return nil, errNotVault
	}
	ttl, ok := answer.Data["ttl"].(json.Number)
	if !ok {
		return nil, errNotVault
	}
	seconds, err := ttl.Int64()
	if err != nil {
		return nil, errNotVault
	}
	renewable, _ := answer.Data["renewable"].(bool) // left out for tokens that are not
	return &api.Secret{Auth: &api.SecretAuth{ClientToken: client.Token(), Renewable: renewable, LeaseDuration: int(seconds)}}, nil
}

// watchToken renews the token whenever two thirds of its time are over.
func watchToken(ctx context.Context, client *api.Client, token *api.Secret, tell func(TokenEvent)) {
	watcher, err := client.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: token})
	if err != nil {
		tell(TokenEvent{Ends: true, Err: fmt.Errorf("watch Vault token: %w", err)})
		return
	}
	go watcher.Start() // ends by Stop, after at most one request
	defer watcher.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case renewal := <-watcher.RenewCh():
			token = renewal.Secret
			tell(TokenEvent{Lasts: lease(token)})
		case err := <-watcher.DoneCh():
			if err != nil {
				err = fmt.Errorf("renew Vault token: %s", words(err))
			}
			tell(TokenEvent{Lasts: lease(token), Ends: true, Err: err})
			return
		}
	}
}
