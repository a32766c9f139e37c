package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cofre/keys"
)

func siteCommand(a app) *cobra.Command {
	return group("site", "Make and show this site's identity, and say which other sites are trusted",
		siteInitCommand(a), siteShowCommand(a), siteTrustCommand(a), siteDistrustCommand(a), siteListCommand(a), siteResealCommand(a),
		siteRotateCommand(a), siteRetireCommand(a))
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
		audited, done, err := a.audited(opened)
		if err != nil {
			return err
		}
		defer done()
		store = audited
	} else {
		fmt.Fprintln(a.stderr, "cofre: no configuration is named: only the trust list's file is used; serve brings it to the store")
	}
	trust, err := openTrust(ctx, id, trustPath(cfg.Site.Identity), store)
	if err != nil {
		return err
	}
	return use(trust)
}

// newTrust is what `cofre site trust` was asked for.
type newTrust struct {
	card         keys.Card
	bucket, role string
	prefixes     []string
}

// check refuses what makes no sense, in the words of the flags.
func (n newTrust) check() error {
	switch keys.Role(n.role) {
	case keys.Deposit:
	case keys.Member, keys.Recovery:
		if len(n.prefixes) > 0 {
			return usagef("--prefix says where a site may deposit: give it with --as deposit, and not with --as %s", n.role)
		}
	default:
		return usagef("--as %q: a site is trusted as member, deposit or recovery", n.role)
	}
	if slices.Contains(n.prefixes, "") {
		return usagef("--prefix \"\" would allow every key: leave --prefix out if that is meant")
	}
	return nil
}

// add adds the line, and says what it means and what is odd about it.
func (n newTrust) add(ctx context.Context, a app, t *trustKeeper) error {
	before := t.Current()
	err := t.change(ctx, func(l *keys.TrustList) error {
		return l.Trust(n.card, n.bucket, keys.Role(n.role), time.Now(), n.prefixes...)
	})
	if errors.Is(err, keys.ErrMalformed) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "Trust list %d: %s is trusted for %s as %s.\n", t.Current().Number(), n.card.Name, n.bucket, n.role)
	own := n.card.ID == t.identity.ID()
	switch {
	case keys.Role(n.role) == keys.Deposit && own:
		fmt.Fprintf(a.stdout, "This site itself deposits there from now on: it reads nothing of what it writes. `cofre site distrust` with its own card ends that.\n")
	case keys.Role(n.role) == keys.Recovery:
		fmt.Fprintln(a.stdout, "`cofre serve` grants it every KEK there is, in the background: cofre_recovery_grants_missing is 0 once it has all.")
	}
	if err := printCard(a, n.card); err != nil {
		return err
	}
	if !own {
		fmt.Fprintln(a.stdout, "Compare this fingerprint with the one that the other site reads out (`cofre site show` there). If they differ, take it back: `cofre site distrust`.")
	}
	for _, w := range n.warnings(before) {
		fmt.Fprintln(a.stderr, "cofre: warning:", w)
	}
	return nil
}

// warnings is what a person may not have meant.
func (n newTrust) warnings(before *keys.TrustList) (all []string) {
	if keys.Role(n.role) == keys.Deposit && len(n.prefixes) == 0 {
		all = append(all, "without --prefix it may write every key of the bucket, and put its objects in the place of others")
	}
	for _, e := range before.Entries() {
		if e.Card.ID != n.card.ID || e.Withdrawn.IsZero() {
			continue
		}
		all = append(all, fmt.Sprintf("it was trusted for %s as %s before, and withdrawn on %s: make sure that it is meant to come back",
			e.Bucket, e.Role, e.Withdrawn.Format(time.DateOnly)))
	}
	if keys.Role(n.role) == keys.Recovery {
		all = append(all, n.noSafe(before)...)
	}
	return all
}

// noSafe warns of a recovery identity that works as a site elsewhere. A card does not say what its identity was made for, so only
// what this list has seen of it can tell.
func (n newTrust) noSafe(before *keys.TrustList) []string {
	for _, e := range before.Entries() {
		if e.Card.ID == n.card.ID && e.Role != keys.Recovery {
			return []string{fmt.Sprintf("the list names it as %s too: a recovery identity is one of its own (`cofre site init --recovery`), kept off line", e.Role)}
		}
	}
	return nil
}

func siteTrustCommand(a app) *cobra.Command {
	var src siteSource
	var n newTrust
	cmd := &cobra.Command{
		Use:   "trust CARD",
		Short: "Trust the site of a card file, for some buckets and as what",
		Long: "Trust the site whose card is in the file CARD.\n\n" +
			"  member    reads and writes the buckets, and vouches for others\n" +
			"  deposit   writes, and cannot read, not even what it wrote\n" +
			"  recovery  is kept off line and can open everything\n\n" +
			"A site that only deposits says so of itself, with its own card: it then seals under keys that it cannot open\n" +
			"again, for the members and recovery identities of its list.",
		Args: wants("CARD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := n.check(); err != nil {
				return err
			}
			var err error
			if n.card, err = readCard(args[0]); err != nil {
				return err
			}
			return src.withTrust(cmd.Context(), a, func(t *trustKeeper) error { return n.add(cmd.Context(), a, t) })
		},
	}
	src.flags(cmd, a)
	cmd.Flags().StringVar(&n.bucket, "bucket", "", "bucket, or a pattern with *")
	cmd.Flags().StringVar(&n.role, "as", "", "member, deposit or recovery")
	cmd.Flags().StringArrayVar(&n.prefixes, "prefix", nil, "with --as deposit: keys that it may write begin with this (repeatable)")
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
		Args:  wants("SITE"),
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
	fmt.Fprintln(w, "BUCKET\tROLE\tNAME\tADDED\tWITHDRAWN\tSITE\tPREFIXES")
	for _, e := range list.Entries() {
		withdrawn := "-"
		if !e.Withdrawn.IsZero() {
			withdrawn = e.Withdrawn.Format(time.DateOnly)
		}
		prefixes := "-"
		if len(e.Prefixes) > 0 {
			prefixes = fmt.Sprintf("%q", e.Prefixes) // quoted: they may hold anything
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Bucket, e.Role, e.Card.Name, e.Added.Format(time.DateOnly), withdrawn, e.Card.ID, prefixes)
	}
	return w.Flush()
}
