package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cofre/access"
	"cofre/metadata"
)

func credentialCommand(a app) *cobra.Command {
	return group("credential", "Give client credentials out and take them back",
		credentialAddCommand(a), credentialListCommand(a), credentialRemoveCommand(a))
}

// withStore opens the store of a configuration and hands it over.
func (s *source) withStore(ctx context.Context, a app, use func(Config, metadata.Store) error) (err error) {
	cfg, err := s.load(a)
	if err != nil {
		return err
	}
	store, err := openStore(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	audited, done, err := a.audited(store)
	if err != nil {
		return err
	}
	defer done()
	return use(cfg, audited)
}

// newCredential is what a credential is asked to be.
type newCredential struct {
	accessKeyID string
	user        string
	description string
	grants      []string
	grantsFile  string
	asJSON      bool
}

func credentialAddCommand(a app) *cobra.Command {
	var src source
	var n newCredential
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Make a credential and show its secret, this once",
		Long: "Make a credential. Its secret is kept sealed under the site identity and is shown this once.\n\n" +
			"A grant is written ACTIONS:BUCKET or ACTIONS:BUCKET/PREFIX, as\n\n" +
			"  --grant read,list:photos            read and list all of bucket photos\n" +
			"  --grant read,write,list,delete:lab-*/results/\n" +
			"  --grant all:*                       everything, everywhere\n\n" +
			"ACTIONS are read, write, list, delete, admin, or all. BUCKET and PREFIX may hold * and ?.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			grants, err := n.parseGrants()
			if err != nil {
				return err
			}
			return src.withStore(cmd.Context(), a, func(cfg Config, store metadata.Store) error {
				return n.add(cmd.Context(), a, cfg, store, grants)
			})
		},
	}
	src.flags(cmd, a)
	cmd.Flags().StringArrayVar(&n.grants, "grant", nil, "what it may do: ACTIONS:BUCKET[/PREFIX] (repeatable)")
	cmd.Flags().StringVar(&n.grantsFile, "grants-file", "", `the same as JSON: [{"bucket":"b","prefixes":["p/"],"actions":["read"]}]`)
	cmd.Flags().StringVar(&n.user, "user", "", "name of one of backend.users, as whom it acts on the backend")
	cmd.Flags().StringVar(&n.description, "description", "", "whose it is, and what for")
	cmd.Flags().StringVar(&n.accessKeyID, "access-key", "", "use this access key id instead of a new random one")
	cmd.Flags().BoolVar(&n.asJSON, "json", false, "print JSON")
	cmd.MarkFlagsOneRequired("grant", "grants-file")
	cmd.MarkFlagsMutuallyExclusive("grant", "grants-file")
	return cmd
}

func (n *newCredential) parseGrants() ([]access.Grant, error) {
	var grants []access.Grant
	if n.grantsFile != "" {
		doc, err := os.ReadFile(n.grantsFile)
		if err != nil {
			return nil, fmt.Errorf("read grants: %w", err)
		}
		if grants, err = access.ParseGrants(doc); err != nil {
			return nil, usageError{err}
		}
	}
	for _, text := range n.grants {
		g, err := parseGrantFlag(text)
		if err != nil {
			return nil, usagef("--grant %q: %w", text, err)
		}
		grants = append(grants, g)
	}
	if err := access.ValidateGrants(grants); err != nil {
		return nil, usageError{err}
	}
	return grants, nil
}

// parseGrantFlag reads ACTIONS:BUCKET[/PREFIX].
func parseGrantFlag(text string) (access.Grant, error) {
	words, target, ok := strings.Cut(text, ":")
	if !ok {
		return access.Grant{}, errors.New("write ACTIONS:BUCKET or ACTIONS:BUCKET/PREFIX")
	}
	var g access.Grant
	if words == "all" {
		g.Actions = access.AllActions()
	} else {
		for word := range strings.SplitSeq(words, ",") {
			action, err := access.ParseAction(word)
			if err != nil {
				return access.Grant{}, err
			}
			g.Actions = append(g.Actions, action)
		}
	}
	bucket, prefix, limited := strings.Cut(target, "/")
	g.Bucket = bucket
	if limited {
		if prefix == "" {
			return access.Grant{}, errors.New("the prefix behind the slash is empty: leave the slash out to cover all keys")
		}
		g.Prefixes = []string{prefix}
	}
	return g, g.Validate()
}

func (n *newCredential) add(ctx context.Context, a app, cfg Config, store metadata.Store, grants []access.Grant) error {
	if n.user != "" && !hasUser(cfg, n.user) {
		return usagef("--user %q is none of backend.users in the configuration", n.user)
	}
	cred := access.Credential{
		AccessKeyID: n.accessKeyID, Secret: access.NewSecret(), User: access.BackendUser(n.user), Grants: grants,
	}
	if cred.AccessKeyID == "" {
		cred.AccessKeyID = access.NewAccessKeyID()
	}
	if err := cred.Validate(); err != nil {
		return usageError{err}
	}
	for _, c := range cfg.Credentials {
		if c.AccessKey == cred.AccessKeyID {
			return usagef("access key %s is one of the configuration's, which would win over a stored one", cred.AccessKeyID)
		}
	}
	id, _, err := readIdentity(ctx, cfg)
	if err != nil {
		return err
	}
	grantsJSON, err := access.MarshalGrants(grants)
	if err != nil {
		return err
	}
	err = store.AddCredential(ctx, metadata.Credential{
		AccessKeyID: cred.AccessKeyID, SealedSecret: access.NewSealer(id).Seal(cred.AccessKeyID, cred.Secret),
		Description: n.description, BackendUser: n.user, Grants: grantsJSON,
	})
	if errors.Is(err, metadata.ErrConflict) {
		return fmt.Errorf("add credential: there is one with access key %s already", cred.AccessKeyID)
	}
	if err != nil {
		return fmt.Errorf("add credential: %w", err)
	}
	return n.show(a, cred)
}

func hasUser(cfg Config, name string) bool {
	for _, u := range cfg.Backend.Users {
		if u.Name == name {
			return true
		}
	}
	return false
}

// show prints the secret. This is the only place from which it ever leaves.
func (n *newCredential) show(a app, cred access.Credential) error {
	if n.asJSON {
		return json.NewEncoder(a.stdout).Encode(struct {
			AccessKey string `json:"access_key"`
			SecretKey string `json:"secret_key"`
		}{cred.AccessKeyID, cred.Secret.Reveal()})
	}
	_, err := fmt.Fprintf(a.stdout, "access key: %s\nsecret key: %s\n\nThe secret is shown this once. Running processes know the credential within %v.\n",
		cred.AccessKeyID, cred.Secret.Reveal(), access.DefaultTTL)
	return err
}

func credentialListCommand(a app) *cobra.Command {
	var src source
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List credentials, without secrets: the configuration's and the store's",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return src.withStore(cmd.Context(), a, func(cfg Config, store metadata.Store) error {
				stored, err := store.Credentials(cmd.Context())
				if err != nil {
					return fmt.Errorf("list credentials: %w", err)
				}
				return printCredentials(a, cfg, stored)
			})
		},
	}
	src.flags(cmd, a)
	return cmd
}

func printCredentials(a app, cfg Config, stored []metadata.Credential) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ACCESS KEY\tFROM\tUSER\tCREATED\tGRANTS\tDESCRIPTION")
	for _, c := range cfg.staticCredentials() {
		grants, err := access.MarshalGrants(c.Grants)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\tconfiguration\t%s\t-\t%s\t\n", c.AccessKeyID, orDash(string(c.User)), grants)
	}
	for _, c := range stored {
		from := "store"
		if c.Disabled {
			from = "store, disabled"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.AccessKeyID, from, orDash(c.BackendUser), c.Created.Format(time.DateOnly), c.Grants, printable(c.Description))
	}
	return w.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// printable keeps what somebody wrote into a description from moving the cursor of whoever reads it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if isControl(r) {
			return ' '
		}
		return r
	}, s)
}

func credentialRemoveCommand(a app) *cobra.Command {
	var src source
	cmd := &cobra.Command{
		Use:   "remove ACCESS-KEY",
		Short: "Remove a stored credential",
		Args:  wants("ACCESS-KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return src.withStore(cmd.Context(), a, func(cfg Config, store metadata.Store) error {
				return removeCredential(cmd.Context(), a, cfg, store, args[0])
			})
		},
	}
	src.flags(cmd, a)
	return cmd
}

func removeCredential(ctx context.Context, a app, cfg Config, store metadata.Store, id string) error {
	_, err := store.Credential(ctx, id)
	if errors.Is(err, metadata.ErrNotFound) {
		for _, c := range cfg.Credentials {
			if c.AccessKey == id {
				return fmt.Errorf("remove credential: %s is one of the configuration's: take it out there and restart", id)
			}
		}
		return fmt.Errorf("remove credential: the store has none with access key %q", id)
	}
	if err != nil {
		return fmt.Errorf("remove credential: %w", err)
	}
	if err := store.DeleteCredential(ctx, id); err != nil {
		return fmt.Errorf("remove credential: %w", err)
	}
	_, err = fmt.Fprintf(a.stdout, "%s is removed. Running processes refuse it within %v.\n", id, cfg.Limits.CredentialTTL)
	return err
}
