package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"cofre/access"
	"cofre/internal/durable"
	"cofre/keys"
	"cofre/keys/agefile"
	"cofre/keys/kmsfile"
)

// guard is what an identity file is sealed by: a key kept elsewhere, shares of a passphrase that nobody knows, or else a
// passphrase.
type guard struct {
	key   *kmsfile.Key
	split agefile.Split
}

// String is a word for it that holds neither a secret nor a URL.
func (g guard) String() string {
	switch {
	case g.key != nil:
		return g.key.Guard()
	case g.isSplit():
		return g.split.String()
	}
	return "a passphrase"
}

func (g guard) isSplit() bool { return g.split != agefile.Split{} }

// errNeedsShares says what opens a file that no passphrase opens.
func (g guard) errNeedsShares() error {
	return fmt.Errorf("this is a recovery identity sealed by %s: give %d of them, each by --share FILE, or --ask-shares to type them\n"+
		"where a command takes no shares, open a copy of it before: `cofre site reseal --identity COPY --share FILE ... --passphrase`", g, g.split.Threshold)
}

// sealedIdentity is an identity file that was read and not opened yet.
type sealedIdentity struct {
	path     string
	contents []byte
	kms      *kmsfile.File // nil where a passphrase opens it
}

// readSealed reads an identity file. What guards it is told by its contents, so that one may take another's place.
func readSealed(path string) (sealedIdentity, error) {
	contents, err := durable.Read(path, kmsfile.MaxSize)
	if err != nil {
		return sealedIdentity{}, fmt.Errorf("open site identity: %w", err)
	}
	s := sealedIdentity{path: path, contents: contents}
	if kmsfile.Is(contents) {
		if s.kms, err = kmsfile.Parse(contents); err != nil {
			return sealedIdentity{}, fmt.Errorf("open site identity %s: %w", path, err)
		}
	}
	return s, nil
}

func (s sealedIdentity) guard() guard {
	if s.kms == nil {
		return guard{split: agefile.SplitOf(s.contents)}
	}
	return guard{key: &s.kms.Key}
}

// open opens the identity. The passphrase is asked for only where one is needed.
func (s sealedIdentity) open(ctx context.Context, passphrase func() (access.Secret, error)) (*keys.Identity, error) {
	id, err := s.unseal(ctx, passphrase)
	if err != nil {
		return nil, fmt.Errorf("open site identity %s: %w", s.path, err)
	}
	return id, nil
}

// openByPassphrase opens an identity that a KMS or a passphrase guards. Of one that was split the passphrase is not even asked:
// nobody has it.
func (s sealedIdentity) openByPassphrase(ctx context.Context, passphrase func() (access.Secret, error)) (*keys.Identity, error) {
	return s.open(ctx, func() (access.Secret, error) {
		if g := s.guard(); g.isSplit() {
			return "", usageError{g.errNeedsShares()}
		}
		return passphrase()
	})
}

func (s sealedIdentity) unseal(ctx context.Context, passphrase func() (access.Secret, error)) (*keys.Identity, error) {
	if s.kms != nil {
		return s.kms.Open(ctx)
	}
	pass, err := passphrase()
	if err != nil {
		return nil, err
	}
	return agefile.Open(s.contents, pass.Reveal())
}

// readIdentity opens the identity that the configuration names.
func readIdentity(ctx context.Context, cfg Config) (*keys.Identity, guard, error) {
	sealed, err := readSealed(cfg.Site.Identity)
	if err != nil {
		return nil, guard{}, explainMissing(cfg, err)
	}
	id, err := sealed.openByPassphrase(ctx, func() (access.Secret, error) { return cfg.Site.Passphrase, nil })
	return id, sealed.guard(), err
}

// waitForIdentity opens the identity, again and again while the KMS that guards it cannot be reached: at the start of a whole
// installation it may come up after cofre. It gives up after limits.startup.
func waitForIdentity(ctx context.Context, cfg Config, log *zap.Logger) (*keys.Identity, guard, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Limits.Startup)
	defer cancel()
	var last error // of an attempt that had its time
	for pause := firstStartRetry; ; pause = min(2*pause, lastStartRetry) {
		id, g, err := readIdentity(ctx, cfg)
		if err != nil && last != nil && ctx.Err() != nil {
			return nil, guard{}, last
		}
		last = err
		if err == nil {
			log.Info("site identity opened", zap.Stringer("guard", g), zap.Stringer("site", id.ID()))
			return id, g, nil
		}
		if !errors.Is(err, kmsfile.ErrUnavailable) {
			return nil, guard{}, err
		}
		log.Warn("the KMS that guards the site identity does not answer yet", zap.Stringer("guard", g), zap.Error(err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, guard{}, err
		}
	}
}

// keepToken renews what the KMS knows us by, where that expires, until ctx ends: this process asks no more, but the next start
// will. Reads and writes do not depend on it.
func (g guard) keepToken(ctx context.Context, log *zap.Logger) {
	if g.key == nil {
		return
	}
	g.key.KeepToken(ctx, func(e kmsfile.TokenEvent) {
		switch {
		case e.Ends:
			log.Warn("KMS token is not renewed any more: the next start needs a new one once this has expired",
				zap.Stringer("guard", g), zap.Duration("lasts", e.Lasts), zap.Error(e.Err))
		case e.Err != nil:
			log.Warn("KMS token was not renewed; trying again", zap.Stringer("guard", g), zap.Error(e.Err))
		default:
			log.Debug("KMS token renewed", zap.Stringer("guard", g), zap.Duration("lasts", e.Lasts))
		}
	})
}
