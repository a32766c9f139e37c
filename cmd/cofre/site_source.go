package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"cofre/access"
	"cofre/internal/durable"
	"cofre/keys"
	"cofre/keys/agefile"
	"cofre/keys/shares"
)

// siteSource says which identity a command is about, and how to open it.
type siteSource struct {
	source
	identity       string
	passphraseFile string
	shareFiles     []string
	askShares      bool
}

// fileFlags are for commands that make an identity.
func (s *siteSource) fileFlags(cmd *cobra.Command, a app) {
	s.source.flags(cmd, a)
	cmd.Flags().StringVar(&s.identity, "identity", "", "identity file (site.identity of the configuration)")
	cmd.Flags().StringVar(&s.passphraseFile, "passphrase-file", "", "file that holds its passphrase; else COFRE_SITE_PASSPHRASE, the configuration, or the terminal")
}

// flags are for commands that open one.
func (s *siteSource) flags(cmd *cobra.Command, a app) {
	s.fileFlags(cmd, a)
	cmd.Flags().StringArrayVar(&s.shareFiles, "share", nil, "file that holds a share of a recovery identity (repeatable), instead of a passphrase")
	cmd.Flags().BoolVar(&s.askShares, "ask-shares", false, "ask for the shares at the terminal, without showing what is typed")
	cmd.MarkFlagsMutuallyExclusive("share", "ask-shares", "passphrase-file")
}

// siteConfig gives what the configuration says of the site, without looking at what it says of anything else: an identity
// is made before there is a backend or a store.
func (s *siteSource) siteConfig(a app) (Config, error) {
	if s.data != "" {
		return devDirectory(s.data).config()
	}
	l := loadConfig(s.config, a.environ, "site")
	if err := l.err(); err != nil {
		return Config{}, err
	}
	if s.identity != "" {
		l.config.Site.Identity = s.identity
	}
	if l.config.Site.Identity == "" {
		return Config{}, usagef("no identity file is named: give --identity, or site.identity in the configuration")
	}
	return l.config, nil
}

// open opens the identity.
func (s *siteSource) open(ctx context.Context, a app) (Config, *keys.Identity, error) {
	cfg, err := s.siteConfig(a)
	if err != nil {
		return Config{}, nil, err
	}
	sealed, err := readSealed(cfg.Site.Identity)
	if err != nil {
		return Config{}, nil, explainMissing(cfg, err)
	}
	id, err := s.unseal(ctx, a, cfg, sealed)
	return cfg, id, err
}

func (s *siteSource) hasShares() bool { return len(s.shareFiles) > 0 || s.askShares }

// errOtherShares says that shares belong together, and to another file than this one. Which one is not told.
var errOtherShares = errors.New("the shares do not open this file: they are of another identity")

// unseal opens an identity file by its KMS, by shares where some are given, or by a passphrase.
func (s *siteSource) unseal(ctx context.Context, a app, cfg Config, sealed sealedIdentity) (*keys.Identity, error) {
	if !s.hasShares() {
		return sealed.openByPassphrase(ctx, func() (access.Secret, error) {
			return a.passphrase(s.passphraseFile, cfg.Site.Passphrase, oldPassphrase)
		})
	}
	if sealed.kms != nil {
		return nil, usagef("%s is sealed by %s, not by shares", sealed.path, sealed.guard())
	}
	given, err := s.readShares()
	if err != nil {
		return nil, err
	}
	id, err := sealed.open(ctx, func() (access.Secret, error) {
		pass, err := shares.Combine(given)
		return access.Secret(pass), err
	})
	if errors.Is(err, agefile.ErrWrongPassphrase) || err == nil && !given[0].Of(id.ID()) {
		return nil, fmt.Errorf("open site identity %s: %w", sealed.path, errOtherShares)
	}
	return id, err
}

func (s *siteSource) readShares() ([]shares.Share, error) {
	if s.askShares {
		return typedShares()
	}
	var given []shares.Share
	for _, path := range s.shareFiles {
		text, err := durable.Read(path, shares.MaxText)
		if err != nil {
			return nil, fmt.Errorf("read share: %w", err)
		}
		share, err := shares.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("read share %s: %w", path, err)
		}
		given = append(given, share)
	}
	return given, nil
}

// maxSlips is how often a share may be typed wrongly before that is an error.
const maxSlips = 3

// typedShares asks for shares until there are enough. A slip is told, and the share asked for again: 80 letters are much to
// type unseen.
func typedShares() ([]shares.Share, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, usagef("no terminal to ask for shares: give --share")
	}
	defer tty.Close()
	var given []shares.Share
	indexes := make(map[int]bool)
	slips := 0
	for len(given) == 0 || len(indexes) < given[0].Threshold() {
		typed, err := askPassphrase(tty, fmt.Sprintf("Share, in one line (%d so far): ", len(indexes)))
		if err != nil {
			return nil, err
		}
		share, err := shares.Parse([]byte(typed.Reveal()))
		if err != nil {
			if slips++; slips == maxSlips {
				return nil, fmt.Errorf("read share: %w", err)
			}
			fmt.Fprintf(tty, "%v; type it again\n", err)
			continue
		}
		given = append(given, share)
		indexes[share.Index()] = true
	}
	return given, nil
}
