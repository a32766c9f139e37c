package kmsfile

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"regexp"
	"strings"

	"github.com/hashicorp/vault/api"

	"cofre/keys"
)

// Vault's Transit engine, or OpenBao's, with gocloud.dev's URLs (hashivault://KEY?engine=transit). Its driver is not used: it
// cannot be interrupted, panics when something else than Vault answers, and does not tell a refusal from an outage.

var vaultProvider = provider{
	scheme: "hashivault", check: checkVault, open: openVault,
	reach:  "check VAULT_ADDR, the network, and that Vault runs and is unsealed",
	access: "check VAULT_TOKEN: it may have expired, and its policy must allow update on encrypt/KEY and decrypt/KEY of the engine",
}

// vaultPathPattern keeps a name from reaching other parts of Vault's API: no segment begins with a dot.
var vaultPathPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$`)

func checkVault(u *url.URL) error {
	if !vaultPathPattern.MatchString(u.Host + u.Path) {
		return errors.New("names no key: write hashivault://KEY or hashivault://KEY?engine=MOUNT")
	}
	if u.Query().Has("engine") && !vaultPathPattern.MatchString(u.Query().Get("engine")) {
		return errors.New("parameter engine is no mount path: write it as transit or security/transit")
	}
	return onlyParameters(u, "engine")
}

type vaultKeeper struct {
	client           *api.Client
	encrypt, decrypt string // paths
}

func openVault(_ context.Context, u *url.URL, _ keys.SiteID) (keeper, error) {
	client, err := newVaultClient()
	if err != nil {
		return nil, err
	}
	engine := u.Query().Get("engine")
	if engine == "" {
		engine = "transit"
	}
	name := path.Join(u.Host, u.Path)
	return &vaultKeeper{client: client, encrypt: path.Join(engine, "encrypt", name), decrypt: path.Join(engine, "decrypt", name)}, nil
}

// newVaultClient makes a client from Vault's own variables: VAULT_ADDR, VAULT_TOKEN, VAULT_NAMESPACE, VAULT_CACERT and the rest.
func newVaultClient() (*api.Client, error) {
	if os.Getenv("VAULT_ADDR") == "" && os.Getenv("VAULT_PROXY_ADDR") == "" && os.Getenv("VAULT_AGENT_ADDR") == "" {
		return nil, errors.New("VAULT_ADDR is not set")
	}
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, fmt.Errorf("read VAULT_* variables: %w", config.Error)
	}
	config.Timeout = callTimeout
	config.MaxRetries = 0 // whoever starts the process waits, and says so
	client, err := api.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("read VAULT_* variables: %w", err)
	}
	return client, nil
}

func (k *vaultKeeper) Encrypt(ctx context.Context, plaintext []byte) ([]byte, error) {
	ciphertext, err := k.ask(ctx, k.encrypt, "plaintext", base64.StdEncoding.EncodeToString(plaintext), "ciphertext")
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(ciphertext, "vault:v") {
		return nil, errNotVault
	}
	return []byte(ciphertext), nil
}

func (k *vaultKeeper) Decrypt(ctx context.Context, ciphertext []byte) ([]byte, error) {
	encoded, err := k.ask(ctx, k.decrypt, "ciphertext", string(ciphertext), "plaintext")
	if err != nil {
		return nil, err
	}
	plaintext, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errNotVault
	}
	return plaintext, nil
}

var errNotVault = errors.New("answered something that Vault does not: is VAULT_ADDR another server's?")

func (k *vaultKeeper) ask(ctx context.Context, where, name, value, want string) (string, error) {
	answer, err := k.client.Logical().WriteWithContext(ctx, where, map[string]any{name: value})
	if err != nil {
		return "", err
	}
	if answer == nil {
		return "", errNotVault
	}
	text, ok := answer.Data[want].(string)
	if !ok {
		return "", errNotVault
	}
	return text, nil
}

func (k *vaultKeeper) Close() error { return nil }
