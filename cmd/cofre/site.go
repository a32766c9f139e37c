package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cofre/access"
	"cofre/keys"
	"cofre/keys/agefile"
	"cofre/keys/kmsfile"
)

func siteCommand(a app) *cobra.Command {
	return group("site", "Make and show this site's identity, and say which other sites are trusted",
		siteInitCommand(a), siteShowCommand(a), siteTrustCommand(a), siteDistrustCommand(a), siteListCommand(a), siteResealCommand(a))
}

// siteSource says which identity a command is about, and how to open it.
type siteSource struct {
	source
	identity       string
	passphraseFile string
}

func (s *siteSource) flags(cmd *cobra.Command, a app) {
	s.source.flags(cmd, a)
	cmd.Flags().StringVar(&s.identity, "identity", "", "identity file (site.identity of the configuration)")
	cmd.Flags().StringVar(&s.passphraseFile, "passphrase-file", "", "file that holds its passphrase; else COFRE_SITE_PASSPHRASE, the configuration, or the terminal")
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
		return Config{}, nil, err
	}
	id, err := sealed.open(ctx, func() (access.Secret, error) { return a.passphrase(s.passphraseFile, cfg.Site.Passphrase, askOnce) })
	return cfg, id, err
}

const kmsUsage = "seal it by a key kept elsewhere: hashivault://KEY, awskms://KEY?region=R, gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K,\n" +
	"azurekeyvault://VAULT.vault.azure.net/keys/K/VERSION, pkcs11:token=T;object=K?module-path=..., or file:///path of a key file; credentials come from the environment"

// parseKMS reads the URL of --kms.
func parseKMS(url string) (kmsfile.Key, error) {
	key, err := kmsfile.ParseKey(url)
	if err != nil {
		return kmsfile.Key{}, usagef("--kms: %w", err)
	}
	return key, nil
}

func siteInitCommand(a app) *cobra.Command {
	var src siteSource
	var name, kms string
	var ifMissing bool
	var workFactor int
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the identity of a new site, in a file sealed by a passphrase or a KMS",
		Long: "Make the identity of a new site: its keys, in a file sealed by a passphrase or by a key of a KMS, and its trust list beside it.\n" +
			"Keep a copy of the file, and of the passphrase apart from it, away from this machine. Without the file and what opens it,\n" +
			"or a recovery identity, nothing that this site seals can be opened.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := src.siteConfig(a)
			if err != nil {
				return err
			}
			path := cfg.Site.Identity
			if _, err := os.Lstat(path); err == nil {
				if ifMissing {
					_, err := fmt.Fprintf(a.stdout, "%s is there already; nothing was done\n", path)
					return err
				}
				return fmt.Errorf("make identity: %s is there already, and an identity is never overwritten", path)
			}
			if kms != "" {
				key, err := parseKMS(kms)
				if err != nil {
					return err
				}
				return makeIdentity(cmd.Context(), a, path, name, guard{&key}, func(id *keys.Identity) error {
					return kmsfile.Write(cmd.Context(), path, key, id)
				})
			}
			pass, err := a.newPassphrase(src.passphraseFile, cfg.Site.Passphrase)
			if err != nil {
				return err
			}
			return makeIdentity(cmd.Context(), a, path, name, guard{}, func(id *keys.Identity) error {
				return agefile.Config{WorkFactor: workFactor}.Write(path, pass.Reveal(), id)
			})
		},
	}
	src.flags(cmd, a)
	cmd.Flags().StringVar(&name, "name", hostname(), "the site's name, shown to people at other sites")
	cmd.Flags().StringVar(&kms, "kms", "", kmsUsage)
	cmd.Flags().IntVar(&workFactor, "work-factor", agefile.DefaultWorkFactor,
		"how hard guessing the passphrase is made, doubled by each step: 16 costs every start a quarter of a second and 64 MiB, 18 a second and 256 MiB;\nfor a random passphrase of 32 characters 10 is as good")
	cmd.Flags().BoolVar(&ifMissing, "if-missing", false, "do nothing, with success, where the file is there already")
	cmd.MarkFlagsMutuallyExclusive("kms", "passphrase-file")
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

func makeIdentity(ctx context.Context, a app, path, name string, by guard, write func(*keys.Identity) error) error {
	id, err := keys.GenerateIdentity(name)
	if err != nil {
		return usagef("make identity: %w", err)
	}
	if err := write(id); err != nil {
		return err
	}
	trust, err := openTrust(ctx, id, trustPath(path), nil)
	if err != nil {
		return err
	}
	if err := trust.toFile(); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "Identity written to %s, trust list to %s. It is sealed by: %s.\n\n", path, trustPath(path), by)
	if err := printCard(a, id.Card()); err != nil {
		return err
	}
	needed := "Keep a copy of the file and of the passphrase, apart from each other and from this machine.\nWithout both, or a recovery identity,"
	if by.key != nil {
		needed = "Keep a copy of the file away from this machine, and the key for as long as the file.\nWithout both, or a recovery identity,"
	}
	_, err = fmt.Fprintf(a.stdout, "\n%s nothing that this site seals can be opened.\n", needed)
	return err
}

func printCard(a app, c keys.Card) error {
	_, err := fmt.Fprintf(a.stdout, "name:        %s\nsite id:     %s\nfingerprint: %s\n", c.Name, c.ID, c.Fingerprint())
	return err
}

func siteShowCommand(a app) *cobra.Command {
	var src siteSource
	var asCard bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show this site's public card: name, id, fingerprint, keys",
		Long: "Show this site's public card. With --card it is the file that you send to another site; read the fingerprint\n" +
			"to each other over the telephone before you trust a card that came by mail.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, id, err := src.open(cmd.Context(), a)
			if err != nil {
				return err
			}
			if !asCard {
				return printCard(a, id.Card())
			}
			doc, err := json.Marshal(id.Card())
			if err != nil {
				return fmt.Errorf("encode card: %w", err)
			}
			_, err = fmt.Fprintf(a.stdout, "%s\n", doc)
			return err
		},
	}
	src.flags(cmd, a)
	cmd.Flags().BoolVar(&asCard, "card", false, "print the card itself, as other sites need it")
	return cmd
}

// withTrust opens the identity and its trust list, in the store too where one is configured, and hands it over.
func (s *siteSource) withTrust(ctx context.Context, a app, use func(*trustKeeper) error) error {
	cfg, id, err := s.open(ctx, a)
	if err != nil {
		return err
	}
	var store keys.Store
	if s.data != "" || s.config != "" || a.getenv("COFRE_METADATA_URL") != "" || a.getenv("COFRE_METADATA_URL_FILE") != "" {
		full, err := s.load(a)
		if err != nil {
			return err
		}
		opened, err := openStore(ctx, full)
		if err != nil {
			return err
		}
		defer opened.Close()
		store = opened
	} else {
		fmt.Fprintln(a.stderr, "cofre: no configuration is named: only the trust list's file is used; serve brings it to the store")
	}
	trust, err := openTrust(ctx, id, trustPath(cfg.Site.Identity), store)
	if err != nil {
		return err
	}
	return use(trust)
}

func siteTrustCommand(a app) *cobra.Command {
	var src siteSource
	var bucket, role string
	var prefixes []string
	cmd := &cobra.Command{
		Use:   "trust CARD",
		Short: "Trust the site of a card file, for some buckets and as what",
		Long: "Trust the site whose card is in the file CARD.\n\n" +
			"  member    reads and writes the buckets, and vouches for others\n" +
			"  deposit   writes, and cannot read, not even what it wrote\n" +
			"  recovery  is kept off line and can open everything",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			card, err := readCard(args[0])
			if err != nil {
				return err
			}
			return src.withTrust(cmd.Context(), a, func(t *trustKeeper) error {
				err := t.change(cmd.Context(), func(l *keys.TrustList) error {
					return l.Trust(card, bucket, keys.Role(role), time.Now(), prefixes...)
				})
				if errors.Is(err, keys.ErrMalformed) {
					return usageError{err}
				}
				if err != nil {
					return err
				}
				fmt.Fprintf(a.stdout, "Trust list %d: %s is trusted for %s as %s.\n", t.Current().Number(), card.Name, bucket, role)
				return printCard(a, card)
			})
		},
	}
	src.flags(cmd, a)
	cmd.Flags().StringVar(&bucket, "bucket", "", "bucket, or a pattern with *")
	cmd.Flags().StringVar(&role, "as", "", "member, deposit or recovery")
	cmd.Flags().StringArrayVar(&prefixes, "prefix", nil, "with --as deposit: keys that it may write begin with this (repeatable)")
	require(cmd, "bucket", "as")
	return cmd
}

// require marks flags as required. It panics when there is no such flag, which is a slip in this program.
func require(cmd *cobra.Command, flags ...string) {
	for _, name := range flags {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
}

func siteDistrustCommand(a app) *cobra.Command {
	var src siteSource
	var bucket string
	cmd := &cobra.Command{
		Use:   "distrust SITE",
		Short: "Withdraw the trust in a site, by its site id or card file",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := keys.ParseSiteID(args[0])
			if err != nil {
				card, cardErr := readCard(args[0])
				if cardErr != nil {
					return usagef("%q is neither a site id nor a card file (%w)", args[0], cardErr)
				}
				id = card.ID
			}
			return src.withTrust(cmd.Context(), a, func(t *trustKeeper) error {
				err := t.change(cmd.Context(), func(l *keys.TrustList) error { return l.Distrust(id, bucket, time.Now()) })
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.stdout, "Trust list %d: %s is no longer trusted for %s.\n", t.Current().Number(), id, bucket)
				return err
			})
		},
	}
	src.flags(cmd, a)
	cmd.Flags().StringVar(&bucket, "bucket", "", "the bucket or pattern, exactly as it was trusted")
	require(cmd, "bucket")
	return cmd
}

func siteListCommand(a app) *cobra.Command {
	var src siteSource
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the sites that are or were trusted",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return src.withTrust(cmd.Context(), a, func(t *trustKeeper) error { return printTrust(a, t.Current()) })
		},
	}
	src.flags(cmd, a)
	return cmd
}

func printTrust(a app, list *keys.TrustList) error {
	fmt.Fprintf(a.stdout, "trust list %d of site %s\n", list.Number(), list.Site())
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BUCKET\tROLE\tNAME\tADDED\tWITHDRAWN\tSITE")
	for _, e := range list.Entries() {
		withdrawn := "-"
		if !e.Withdrawn.IsZero() {
			withdrawn = e.Withdrawn.Format(time.DateOnly)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Bucket, e.Role, e.Card.Name, e.Added.Format(time.DateOnly), withdrawn, e.Card.ID)
	}
	return w.Flush()
}
