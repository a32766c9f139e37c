package access

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

var (
	// ErrUnknownAccessKey says that there is no such credential, or that it is disabled.
	ErrUnknownAccessKey = errors.New("access key does not exist")
	// ErrUnavailable says that the store cannot be asked now: whether there is such a credential is not known. It is
	// never taken for ErrUnknownAccessKey, since clients give up on that one and try again on this one.
	ErrUnavailable = errors.New("credentials are not available now")
)

// Credential is a client's key pair and what it may do.
type Credential struct {
	AccessKeyID string
	Secret      Secret
	User        BackendUser
	Grants      []Grant
}

// Validate says what is wrong with a credential, or nil. It repeats nothing of the secret.
func (c Credential) Validate() error {
	if err := ValidateAccessKeyID(c.AccessKeyID); err != nil {
		return err
	}
	if err := ValidateSecret(c.Secret); err != nil {
		return err
	}
	return ValidateGrants(c.Grants)
}

// StoredCredential is a credential as the store keeps it.
type StoredCredential struct {
	SealedSecret []byte // by a Sealer, for its access key id
	User         BackendUser
	Grants       []byte // JSON, as MarshalGrants gives it
	Disabled     bool
}

// Store finds stored credentials.
type Store interface {
	// StoredCredential gives the credential of that id. Where there is none its error matches ErrUnknownAccessKey; every
	// other error means that the store could not tell.
	StoredCredential(ctx context.Context, accessKeyID string) (StoredCredential, error)
}

const (
	// DefaultTTL is how long an answer of the store is taken for granted: a credential that is removed or disabled is
	// refused at the latest this long afterwards, and so is one that was just added and had been tried before.
	DefaultTTL = 5 * time.Second
	// DefaultGrace is how long a credential that the store knew lately goes on working while the store does not answer.
	DefaultGrace = time.Hour
	// DefaultCacheSize is how many credentials, and apart from them how many unknown ids, are remembered.
	DefaultCacheSize = 4096

	// lookupTimeout bounds one question to the store. It is the store's time, not the client's: one client that goes away
	// must not fail the others who wait for the same answer.
	lookupTimeout = 5 * time.Second
)

// Config is what Credentials is made of.
type Config struct {
	// Static are the credentials of the configuration. They win over stored ones with the same id and need no store.
	Static []Credential
	// Anonymous is the identity of requests without credentials; its zero value may do nothing.
	Anonymous Identity
	// Store holds the other credentials; nil for none.
	Store Store
	// Sealer opens their secrets. Needed where there is a store.
	Sealer *Sealer

	TTL       time.Duration    // 0 for DefaultTTL
	Grace     time.Duration    // 0 for DefaultGrace
	CacheSize int              // 0 for DefaultCacheSize
	Clock     func() time.Time // nil for time.Now
}

// Credentials finds credentials by access key id. It is safe for concurrent use.
//
// Answers of the store are remembered in this process's memory only, opened secrets among them, for Config.TTL. While the
// store does not answer, credentials of the configuration and those remembered (up to Config.Grace) go on working, and
// others get ErrUnavailable. Unknown ids are remembered apart, so that guessing ids can neither load the store without
// end nor push real credentials out of memory.
type Credentials struct {
	cfg       Config
	static    map[string]found
	anonymous Identity
	flights   singleflight.Group
	down      atomic.Bool // the store did not answer the last question

	known   *cache[found]
	unknown *cache[struct{}]
}

// found is a credential ready for use.
type found struct {
	secret   Secret
	identity Identity
}

// NewCredentials checks the configuration and makes Credentials.
func NewCredentials(cfg Config) (*Credentials, error) {
	if cfg.Store != nil && cfg.Sealer == nil {
		return nil, errors.New("make credentials: a store is given but no sealer")
	}
	if cfg.TTL == 0 {
		cfg.TTL = DefaultTTL
	}
	if cfg.Grace == 0 {
		cfg.Grace = DefaultGrace
	}
	if cfg.CacheSize == 0 {
		cfg.CacheSize = DefaultCacheSize
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	static := make(map[string]found, len(cfg.Static))
	for _, c := range cfg.Static {
		if err := c.Validate(); err != nil {
			return nil, fmt.Errorf("check credential %q: %w", c.AccessKeyID, err)
		}
		if _, twice := static[c.AccessKeyID]; twice {
			return nil, fmt.Errorf("check credential %q: it is given twice", c.AccessKeyID)
		}
		static[c.AccessKeyID] = found{c.Secret, Identity{AccessKeyID: c.AccessKeyID, User: c.User, Grants: c.Grants}}
	}
	cfg.Anonymous.Anonymous, cfg.Anonymous.User = true, AnonymousUser
	return &Credentials{
		cfg: cfg, static: static, anonymous: cfg.Anonymous,
		known: newCache[found](cfg.CacheSize), unknown: newCache[struct{}](cfg.CacheSize),
	}, nil
}

// Secret gives the secret of an access key id, for the verification of a signature. Errors match ErrUnknownAccessKey or
// ErrUnavailable, or say that the stored credential is damaged.
func (c *Credentials) Secret(ctx context.Context, accessKeyID string) (string, error) {
	f, err := c.find(ctx, accessKeyID)
	return f.secret.Reveal(), err
}

// Identity gives who an access key id is. Its errors are those of Secret.
func (c *Credentials) Identity(ctx context.Context, accessKeyID string) (Identity, error) {
	f, err := c.find(ctx, accessKeyID)
	return f.identity, err
}

// Anonymous gives the identity of requests without credentials.
func (c *Credentials) Anonymous() Identity { return c.anonymous }

func (c *Credentials) find(ctx context.Context, accessKeyID string) (found, error) {
	if f, ok := c.static[accessKeyID]; ok {
		return f, nil
	}
	if c.cfg.Store == nil || ValidateAccessKeyID(accessKeyID) != nil {
		return found{}, ErrUnknownAccessKey // what no credential can be called needs no question
	}
	now := c.cfg.Clock()
	f, age, ok := c.known.get(accessKeyID, now)
	if ok && age < c.cfg.TTL {
		return f, nil
	}
	inGrace := ok && age < c.cfg.Grace
	if _, age, ok := c.unknown.get(accessKeyID, now); ok && age < c.cfg.TTL {
		return found{}, ErrUnknownAccessKey
	}
	flight := c.flights.DoChan(accessKeyID, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTimeout)
		defer cancel()
		return c.ask(ctx, accessKeyID)
	})
	if inGrace && c.down.Load() {
		return f, nil // the question goes on in the background: nobody waits for a store that is known to be silent
	}
	select {
	case r := <-flight:
		f, _ := r.Val.(found)
		return f, r.Err
	case <-ctx.Done():
		return found{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// ask asks the store and remembers what it said. The age of an answer counts from before the question, so that a
// credential removed in between is not remembered for longer than the TTL.
func (c *Credentials) ask(ctx context.Context, accessKeyID string) (found, error) {
	asked := c.cfg.Clock()
	stored, err := c.cfg.Store.StoredCredential(ctx, accessKeyID)
	c.down.Store(err != nil && !errors.Is(err, ErrUnknownAccessKey))
	switch {
	case errors.Is(err, ErrUnknownAccessKey) || err == nil && stored.Disabled:
		c.known.remove(accessKeyID)
		c.unknown.put(accessKeyID, struct{}{}, asked)
		return found{}, ErrUnknownAccessKey
	case err != nil:
		if f, age, ok := c.known.get(accessKeyID, c.cfg.Clock()); ok && age < c.cfg.Grace {
			return f, nil
		}
		return found{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	f, err := c.open(accessKeyID, stored)
	if err != nil {
		c.known.remove(accessKeyID) // what the store says now replaces what it said before, also when it is unusable
		return found{}, fmt.Errorf("open credential %s: %w", accessKeyID, err)
	}
	c.unknown.remove(accessKeyID)
	c.known.put(accessKeyID, f, asked)
	return f, nil
}

func (c *Credentials) open(accessKeyID string, stored StoredCredential) (found, error) {
	secret, err := c.cfg.Sealer.Open(accessKeyID, stored.SealedSecret)
	if err != nil {
		return found{}, err
	}
	grants, err := ParseGrants(stored.Grants)
	if err != nil {
		return found{}, err
	}
	if stored.User == AnonymousUser {
		return found{}, errors.New("a credential cannot act as nobody")
	}
	return found{secret, Identity{AccessKeyID: accessKeyID, User: stored.User, Grants: grants}}, nil
}
