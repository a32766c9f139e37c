package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"cofre/internal/durable"
	"cofre/keys"
	"cofre/keys/agefile"
	"cofre/keys/kmsfile"
)

// resealing is what `cofre site reseal` was asked for.
type resealing struct {
	siteSource
	kms               string
	passphrase        bool
	newPassphraseFile string
	workFactor        int
	keepOld           bool
}

func siteResealCommand(a app) *cobra.Command {
	var r resealing
	cmd := &cobra.Command{
		Use:   "reseal",
		Short: "Move the identity to another guard: same keys, same site",
		Long: "Seal the identity file anew, by a key of a KMS or by a passphrase, whatever it is sealed by now: same keys, same site id,\n" +
			"and nothing else changes. With the same --kms URL it takes the newest version of a key that was rotated there. The file is replaced in one step, after what is\n" +
			"new was opened once. A cofre that is running goes on; the next start uses the new guard.\n" +
			"It is also the way to open a recovery identity that was split: with --share FILE for each of the shares, or --ask-shares.\n\n" +
			"Who has a copy of the old file and what opened it has the identity: destroy such copies, or keep them as carefully as before.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd.Context(), a) },
	}
	r.flags(cmd, a)
	cmd.Flags().StringVar(&r.kms, "kms", "", kmsUsage)
	cmd.Flags().BoolVar(&r.passphrase, "passphrase", false, "seal it by a passphrase, from --new-passphrase-file or typed twice")
	cmd.Flags().StringVar(&r.newPassphraseFile, "new-passphrase-file", "", "with --passphrase: file that holds the new passphrase")
	cmd.Flags().IntVar(&r.workFactor, "work-factor", agefile.DefaultWorkFactor, "with --passphrase: as with cofre site init")
	cmd.Flags().BoolVar(&r.keepOld, "keep-old", false, "keep the old file beside it, with .bak at the end of its name")
	cmd.MarkFlagsOneRequired("kms", "passphrase")
	cmd.MarkFlagsMutuallyExclusive("kms", "passphrase")
	cmd.MarkFlagsMutuallyExclusive("kms", "new-passphrase-file")
	return cmd
}

func (r *resealing) run(ctx context.Context, a app) error {
	cfg, err := r.siteConfig(a)
	if err != nil {
		return err
	}
	path, err := filepath.EvalSymlinks(cfg.Site.Identity) // the file is to be replaced, not a link to it
	if err != nil {
		return explainMissing(cfg, fmt.Errorf("open site identity: %w", err))
	}
	old, err := readSealed(path)
	if err != nil {
		return err
	}
	if g := old.guard(); g.isSplit() && !r.hasShares() {
		return usagef("open site identity %s: %w", path, g.errNeedsShares()) // before a new passphrase is asked for
	}
	seal, now, err := r.newGuard(a, cfg, old.guard())
	if err != nil {
		return err
	}
	id, err := r.unseal(ctx, a, cfg, old)
	if err != nil {
		return err
	}
	contents, err := seal(ctx, id)
	if err != nil {
		return err
	}
	if r.keepOld {
		err := durable.Keep(path, path+".bak")
		if errors.Is(err, durable.ErrExists) {
			return fmt.Errorf("keep the old file: %s.bak is there already, and is not overwritten", path)
		}
		if err != nil {
			return fmt.Errorf("keep the old file: %w", err)
		}
	}
	if err := durable.Replace(path, contents); err != nil {
		return fmt.Errorf("replace identity file: %w", err)
	}
	fmt.Fprintf(a.stdout, "%s is sealed by %s now; before it was by %s.\n\n", path, now, old.guard())
	return printCard(a, id.Card())
}

// newGuard says how the identity is to be sealed. A new passphrase is asked for here, before anything else is done.
func (r *resealing) newGuard(a app, cfg Config, old guard) (seal func(context.Context, *keys.Identity) ([]byte, error), now guard, err error) {
	if r.kms != "" {
		key, err := parseKMS(r.kms)
		if err != nil {
			return nil, guard{}, err
		}
		return func(ctx context.Context, id *keys.Identity) ([]byte, error) { return kmsfile.Seal(ctx, key, id) }, guard{key: &key}, nil
	}
	configured := cfg.Site.Passphrase
	if old.key == nil && !old.isSplit() {
		configured = "" // which is the old one
	}
	pass, err := a.newPassphrase(r.newPassphraseFile, configured, passphraseWanted{of: "the identity file from now on", flag: "--new-passphrase-file"})
	if err != nil {
		return nil, guard{}, err
	}
	how := agefile.Config{WorkFactor: r.workFactor}
	return func(_ context.Context, id *keys.Identity) ([]byte, error) { return how.Seal(pass.Reveal(), id) }, guard{}, nil
}
