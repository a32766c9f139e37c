package kmsfile

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"cofre/keys"
)

// callTimeout bounds each use of a KMS, connecting and retries of its client included.
const callTimeout = 10 * time.Second

// keeper encrypts and decrypts with one key, which stays where it is kept. *secrets.Keeper of gocloud.dev is one.
type keeper interface {
	Encrypt(ctx context.Context, plaintext []byte) ([]byte, error)
	Decrypt(ctx context.Context, ciphertext []byte) ([]byte, error)
	Close() error
}

// opener makes the client for a key. It may ask for credentials, and does not ask for the key. What is sealed is bound to the
// site, where the KMS has a way to.
type opener func(ctx context.Context, u *url.URL, site keys.SiteID) (keeper, error)

// provider is a place where keys are kept.
type provider struct {
	scheme string
	name   string // where it is to be called something else than its scheme
	// check refuses URLs that cannot be right, before anything is asked of anyone.
	check func(u *url.URL) error
	open  opener
	// reach and access say what an operator looks at when it does not answer, and when it does and refuses.
	reach, access string
}

// providers are all that there are, and no others: what merely looks like a KMS (a key written into its own URL) is none.
func providers() []provider {
	return []provider{vaultProvider, awsProvider, gcpProvider, azureProvider, fileProvider, pkcs11Provider}
}

// Key names a key and where it is kept. It holds no secret.
type Key struct {
	raw      string
	url      *url.URL
	provider provider
}

// ParseKey reads a URL that names a key. Its errors repeat nothing of the URL, where somebody may have put a secret.
func ParseKey(raw string) (Key, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return Key{}, errors.New("is no URL")
	}
	all := providers()
	at := slices.IndexFunc(all, func(p provider) bool { return p.scheme == u.Scheme })
	if at < 0 {
		names := make([]string, len(all))
		for i, p := range all {
			names[i] = p.scheme
		}
		return Key{}, fmt.Errorf("scheme %.20q is none that cofre knows: use one of %s", u.Scheme, strings.Join(names, ", "))
	}
	if u.User != nil {
		return Key{}, errors.New("holds a user or password: credentials come from the environment")
	}
	if u.Fragment != "" || strings.Contains(raw, "#") {
		return Key{}, errors.New("holds a fragment (#), which means nothing here")
	}
	if _, err := url.ParseQuery(u.RawQuery); err != nil {
		return Key{}, errors.New("holds a query that cannot be read")
	}
	if err := all[at].check(u); err != nil {
		return Key{}, fmt.Errorf("%s: %w", u.Scheme, err)
	}
	return Key{raw: raw, url: u, provider: all[at]}, nil
}

// String is the URL.
func (k Key) String() string { return k.raw }

// Guard is a word for what keeps the key, for logs.
func (k Key) Guard() string {
	if k.provider.name != "" {
		return k.provider.name
	}
	return k.provider.scheme
}

func (k Key) wrap(ctx context.Context, site keys.SiteID, dataKey []byte) ([]byte, error) {
	return k.with(ctx, site, func(ctx context.Context, kms keeper) ([]byte, error) { return kms.Encrypt(ctx, dataKey) })
}

func (k Key) unwrap(ctx context.Context, site keys.SiteID, wrapped []byte) ([]byte, error) {
	return k.with(ctx, site, func(ctx context.Context, kms keeper) ([]byte, error) { return kms.Decrypt(ctx, wrapped) })
}

// with opens the key for one use.
func (k Key) with(ctx context.Context, site keys.SiteID, use func(context.Context, keeper) ([]byte, error)) (_ []byte, err error) {
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	kms, err := k.provider.open(limited, k.url, site)
	if err != nil {
		return nil, k.explain(ctx, err)
	}
	defer func() { err = errors.Join(err, kms.Close()) }()
	out, err := use(limited, kms)
	if err != nil {
		return nil, k.explain(ctx, err)
	}
	return out, nil
}

// onlyParameters refuses parameters that a provider does not know. A known one is given once.
func onlyParameters(u *url.URL, known ...string) error {
	for name, values := range u.Query() {
		if !slices.Contains(known, name) {
			return fmt.Errorf("parameter %.40q is unknown", name)
		}
		if len(values) != 1 {
			return fmt.Errorf("parameter %s is given twice", name)
		}
	}
	return nil
}
