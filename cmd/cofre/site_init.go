package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cofre/internal/durable"
	"cofre/keys"
	"cofre/keys/agefile"
	"cofre/keys/kmsfile"
	"cofre/keys/shares"
)

const kmsUsage = "seal it by a key kept elsewhere: hashivault://KEY, awskms://KEY?region=R, gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K,\n" +
	"azurekeyvault://VAULT.vault.azure.net/keys/K/VERSION, pkcs11:token=T;object=K?module-path=..., or file:///path of a key file; credentials come from the environment"

const workFactorUsage = "how hard guessing the passphrase is made, doubled by each step: 16 costs every start a quarter of a second and 64 MiB, 18 a second and 256 MiB;\n" +
	"for a random passphrase of 32 characters 10 is as good"

// parseKMS reads the URL of --kms.
func parseKMS(url string) (kmsfile.Key, error) {
	key, err := kmsfile.ParseKey(url)
	if err != nil {
		return kmsfile.Key{}, usagef("--kms: %w", err)
	}
	return key, nil
}

// initiation is what `cofre site init` was asked for.
type initiation struct {
	siteSource
	name, kms  string
	ifMissing  bool
	workFactor int

	recovery          bool
	shares, threshold int
	shareDir          string
	trusts            []string
}

func siteInitCommand(a app) *cobra.Command {
	var n initiation
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the identity of a new site, in a file sealed by a passphrase or a KMS",
		Long: "Make the identity of a new site: its keys, in a file sealed by a passphrase or by a key of a KMS, and its trust list beside it.\n" +
			"Keep a copy of the file, and of the passphrase apart from it, away from this machine. Without the file and what opens it,\n" +
			"or a recovery identity, nothing that this site seals can be opened.\n\n" +
			"With --recovery it is a recovery identity, to be kept off line: sites that trust it as such give it every key of theirs.\n" +
			"With --shares N --threshold K its file opens with any K of N shares, which are printed, or written by --share-dir, once;\n" +
			"give each to another person. With --trust it believes that site from the beginning, as it must to recover what is its.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return n.run(cmd.Context(), a) },
	}
	n.fileFlags(cmd, a)
	flags := cmd.Flags()
	flags.StringVar(&n.name, "name", hostname(), "the site's name, shown to people at other sites")
	flags.StringVar(&n.kms, "kms", "", kmsUsage)
	flags.IntVar(&n.workFactor, "work-factor", agefile.DefaultWorkFactor, workFactorUsage)
	flags.BoolVar(&n.ifMissing, "if-missing", false, "do nothing, with success, where the file is there already")
	flags.BoolVar(&n.recovery, "recovery", false, "make a recovery identity: it opens what it is granted, and neither seals nor grants")
	flags.IntVar(&n.shares, "shares", 0, "with --recovery: split what opens it into so many shares")
	flags.IntVar(&n.threshold, "threshold", 0, "with --shares: how many of them it takes")
	flags.StringVar(&n.shareDir, "share-dir", "", "with --shares: write them to files here instead of printing them")
	flags.StringArrayVar(&n.trusts, "trust", nil, "with --recovery: card file of a site whose objects it is to recover (repeatable)")
	cmd.MarkFlagsMutuallyExclusive("kms", "passphrase-file", "shares")
	cmd.MarkFlagsRequiredTogether("shares", "threshold")
	return cmd
}

// hostname is a first guess at a site's name.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

func (n *initiation) check() error {
	switch {
	case !n.recovery && (n.shares != 0 || len(n.trusts) > 0):
		return usagef("--shares and --trust are for recovery identities: give --recovery too")
	case n.shares == 0 && n.shareDir != "":
		return usagef("--share-dir needs --shares")
	case n.shares != 0 && (n.threshold < shares.MinThreshold || n.threshold > n.shares || n.shares > shares.MaxShares):
		return usagef("--shares %d --threshold %d: want %d <= threshold <= shares <= %d", n.shares, n.threshold, shares.MinThreshold, shares.MaxShares)
	}
	return nil
}

func (n *initiation) run(ctx context.Context, a app) error {
	if err := n.check(); err != nil {
		return err
	}
	cards := make([]keys.Card, len(n.trusts))
	for i, path := range n.trusts {
		var err error
		if cards[i], err = readCard(path); err != nil {
			return usageError{err}
		}
	}
	cfg, err := n.siteConfig(a)
	if err != nil {
		return err
	}
	path := cfg.Site.Identity
	if _, err := os.Lstat(path); err == nil {
		if n.ifMissing {
			_, err := fmt.Fprintf(a.stdout, "%s is there already; nothing was done\n", path)
			return err
		}
		return fmt.Errorf("make identity: %s is there already, and an identity is never overwritten", path)
	}
	seal, by, err := n.guard(ctx, a, cfg)
	if err != nil {
		return err
	}
	generate := keys.GenerateIdentity
	if n.recovery {
		generate = keys.GenerateRecoveryIdentity
	}
	id, err := generate(n.name)
	if err != nil {
		return usagef("make identity: %w", err)
	}
	if err := seal(id); err != nil {
		return err
	}
	if err := firstTrust(ctx, id, path, cards); err != nil {
		return err
	}
	return n.tell(a, path, id, by)
}

// guard says what seals the identity. A passphrase is asked for here, before anything else is done.
func (n *initiation) guard(ctx context.Context, a app, cfg Config) (seal func(*keys.Identity) error, by guard, err error) {
	path := cfg.Site.Identity
	switch {
	case n.kms != "":
		key, err := parseKMS(n.kms)
		return func(id *keys.Identity) error { return kmsfile.Write(ctx, path, key, id) }, guard{key: &key}, err
	case n.shares != 0:
		return func(id *keys.Identity) error { return n.split(a, path, id) }, guard{split: n.splitting()}, nil
	}
	pass, err := a.newPassphrase(n.passphraseFile, cfg.Site.Passphrase, oldPassphrase)
	return func(id *keys.Identity) error {
		return agefile.Config{WorkFactor: n.workFactor}.Write(path, pass.Reveal(), id)
	}, guard{}, err
}

func (n *initiation) splitting() agefile.Split {
	return agefile.Split{Threshold: n.threshold, Shares: n.shares}
}

// split seals the identity by a secret that nobody sees, and gives its shares out first: an identity that nobody can open must
// not come into being.
func (n *initiation) split(a app, path string, id *keys.Identity) error {
	passphrase, all, err := shares.Split(id.ID(), n.threshold, n.shares)
	if err != nil {
		return err
	}
	if n.shareDir != "" {
		if err := os.MkdirAll(n.shareDir, 0o700); err != nil {
			return fmt.Errorf("write shares: %w", err)
		}
	}
	for _, s := range all {
		text := fmt.Sprintf("# Share number %d of %d of the recovery identity %q, fingerprint %s ...\n# Keep the lines below as they are: cofre-share-v1 is how they are written, not a number. Any %d of them open it: cofre site reseal --identity FILE --share SHARE ... --passphrase\n%s",
			s.Index(), n.shares, n.name, s.SitePrefix(), s.Threshold(), s.Text())
		if n.shareDir == "" {
			if _, err := fmt.Fprintf(a.stdout, "%s\n", text); err != nil {
				return fmt.Errorf("print share: %w", err)
			}
			continue
		}
		name := fmt.Sprintf("%s.share-%d-of-%d.txt", strings.TrimSuffix(filepath.Base(path), ".age"), s.Index(), n.shares)
		if err := durable.CreateNew(filepath.Join(n.shareDir, name), []byte(text)); err != nil {
			return fmt.Errorf("write share %s: %w", name, err)
		}
	}
	return agefile.Config{WorkFactor: n.workFactor, Split: n.splitting()}.Write(path, passphrase, id)
}

// firstTrust writes the list of a new identity.
func firstTrust(ctx context.Context, id *keys.Identity, path string, members []keys.Card) error {
	trust, err := openTrust(ctx, id, trustPath(path), nil)
	if err != nil {
		return err
	}
	if err := trust.toFile(); err != nil {
		return err
	}
	return trust.change(ctx, func(l *keys.TrustList) error {
		for _, c := range members {
			if err := l.Trust(c, "*", keys.Member, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
}

// tell says what was made, and what to keep.
func (n *initiation) tell(a app, path string, id *keys.Identity, by guard) error {
	fmt.Fprintf(a.stdout, "Identity written to %s, trust list to %s. It is sealed by: %s.\n\n", path, trustPath(path), by)
	if err := printCard(a, id.Card()); err != nil {
		return err
	}
	var keep string
	switch {
	case n.shares != 0:
		keep = fmt.Sprintf("Give each share to another person and keep no copy of it. Keep both files in two places, off line. Without %d shares and the files it opens nothing.", n.threshold)
	case by.key != nil:
		keep = "Keep a copy of the file away from this machine, and the key for as long as the file.\nWithout both, or a recovery identity, nothing that this site seals can be opened."
	default:
		keep = "Keep a copy of the file and of the passphrase, apart from each other and from this machine.\nWithout both, or a recovery identity, nothing that this site seals can be opened."
	}
	if n.recovery {
		keep += "\n\nIt is a recovery identity: have every site trust its card (`cofre site show --card`) by\n" +
			"`cofre site trust CARD --bucket '*' --as recovery`, and have it trust every site's card (--trust, or `cofre site trust CARD --bucket '*' --as member` with it),\n" +
			"before you put it away."
	}
	_, err := fmt.Fprintf(a.stdout, "\n%s\n", keep)
	return err
}
