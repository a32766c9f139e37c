package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"cofre/access"
	"cofre/keys"
	"cofre/keys/agefile"
	"cofre/keys/kmsfile"
	"cofre/metadata"
	"cofre/proxy"
)

// renewal is what `cofre site rotate` was asked for.
type renewal struct {
	siteSource
	next              string // file of the identity that takes over
	name, kms         string
	newPassphraseFile string
	workFactor        int
	prepare           bool
}

func siteRotateCommand(a app) *cobra.Command {
	var r renewal
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Put another identity in the place of this one",
		Long: "Put another identity in the place of this one. It makes the identity, or goes on with the one that --new names; has this site\n" +
			"trust it; grants it every KEK; seals stored credentials and open uploads to it; and then makes the store its own, in one\n" +
			"step at the end. Whatever stops it before that step, the old identity works on; run it again and it goes on.\n\n" +
			"With --prepare it does everything but the last step, to which open uploads are left: meanwhile send the new card to the other\n" +
			"sites. Then stop every process of this site, run it without --prepare, name the new file as site.identity, and start.\n" +
			"docs/KEYS.md has the ceremony.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd.Context(), a) },
	}
	r.flags(cmd, a)
	flags := cmd.Flags()
	flags.StringVar(&r.next, "new", "", "file of the new identity; it is made unless it is there")
	flags.StringVar(&r.name, "name", "", "name of the new identity (the old one's)")
	flags.StringVar(&r.kms, "kms", "", kmsUsage)
	flags.StringVar(&r.newPassphraseFile, "new-passphrase-file", "", "file that holds the passphrase of the new identity; else typed twice")
	flags.IntVar(&r.workFactor, "work-factor", agefile.DefaultWorkFactor, "as with cofre site init")
	flags.BoolVar(&r.prepare, "prepare", false, "do all but the last step, while the site goes on")
	require(cmd, "new")
	cmd.MarkFlagsMutuallyExclusive("kms", "new-passphrase-file")
	return cmd
}

func (r *renewal) run(ctx context.Context, a app) error {
	_, old, err := r.open(ctx, a)
	if err != nil {
		return err
	}
	cfg, err := r.load(a)
	if err != nil {
		return err
	}
	if r.identity != "" {
		cfg.Site.Identity = r.identity
	}
	if old.Recovery() {
		return usagef("rotate identity: this is a recovery identity, which nothing is sealed under: make another and have the sites trust that")
	}
	next, err := r.successor(ctx, a, old)
	if err != nil {
		return err
	}
	if next.ID() == old.ID() || next.Recovery() {
		return usagef("rotate identity: --new %s must be another identity, and not one for recovery", r.next)
	}
	log, err := newLogger("warn", a.stderr)
	if err != nil {
		return err
	}
	m, err := openMove(ctx, a, cfg, old, next, log)
	if err != nil {
		return err
	}
	defer m.site.close(log)
	return m.run(ctx, a, r)
}

// successor opens the new identity, and makes it where it is not there yet.
func (r *renewal) successor(ctx context.Context, a app, old *keys.Identity) (*keys.Identity, error) {
	sealed, err := readSealed(r.next)
	if err == nil {
		return sealed.openByPassphrase(ctx, func() (access.Secret, error) {
			return a.passphrase(r.newPassphraseFile, "", passphraseWanted{of: "the new identity", flag: "--new-passphrase-file"})
		})
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	name := r.name
	if name == "" {
		name = old.Card().Name
	}
	id, err := keys.GenerateIdentity(name)
	if err != nil {
		return nil, usagef("rotate identity: %w", err)
	}
	if r.kms != "" {
		key, err := parseKMS(r.kms)
		if err != nil {
			return nil, err
		}
		return id, kmsfile.Write(ctx, r.next, key, id)
	}
	pass, err := a.newPassphrase(r.newPassphraseFile, "", passphraseWanted{of: "the new identity", flag: "--new-passphrase-file"})
	if err != nil {
		return nil, err
	}
	return id, agefile.Config{WorkFactor: r.workFactor}.Write(r.next, pass.Reveal(), id)
}

// move is a site on its way from one identity to another.
type move struct {
	site     *site // as the old identity
	next     *keys.Identity
	system   keys.System
	switched bool // the store is the next identity's already
}

// openMove opens what serve has, but for the trust list: the store may have changed hands in an attempt before.
func openMove(ctx context.Context, a app, cfg Config, old, next *keys.Identity, log *zap.Logger) (_ *move, err error) {
	s := &site{identity: old, stop: func() {}}
	defer func() {
		if err != nil {
			s.close(log)
		}
	}()
	registry := prometheus.NewRegistry()
	if s.backend, err = openBackend(cfg, outside{}, registry); err != nil {
		return nil, err
	}
	if s.store, err = openStore(ctx, cfg); err != nil {
		return nil, fmt.Errorf("open metadata store: %w", err)
	}
	s.trail = newTrail(s.store, a.actor(), log)
	s.store = s.trail.Store(s.store)
	m := &move{site: s, next: next}
	if m.switched, err = m.belongsToNext(ctx); err != nil {
		return nil, err
	}
	var inStore keys.Store // where it has the next identity's list, the old one's is in its file alone
	if !m.switched {
		inStore = s.store
	}
	if s.trust, err = openTrust(ctx, old, trustPath(cfg.Site.Identity), inStore); err != nil {
		return nil, err
	}
	m.system = s.trail.System(proxy.NewSystem(s.backend, cfg.Backend.SystemBucket))
	s.ring = keys.NewRing(keys.RingConfig{Identity: old, Trust: s.trust.Current, Store: s.store, System: m.system})
	s.handler, err = newHandler(cfg, s, log, registry)
	return m, err
}

func (m *move) belongsToNext(ctx context.Context) (bool, error) {
	_, doc, err := m.site.store.TrustList(ctx)
	if errors.Is(err, keys.ErrNoTrustList) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read trust list of the store: %w", err)
	}
	_, err = keys.ParseTrustList(doc, m.next.Card(), 0)
	return err == nil, nil
}

// switchAttempts bounds how often rows that came into being meanwhile are staged before the operator is told to stop whoever
// makes them.
const switchAttempts = 5

func (m *move) run(ctx context.Context, a app, r *renewal) error {
	if !m.switched {
		if err := m.site.trust.change(ctx, func(l *keys.TrustList) error {
			return l.PrepareSuccessor(m.next.Card(), time.Now())
		}); err != nil {
			return fmt.Errorf("trust the new identity: %w", err)
		}
		if err := m.importAll(ctx, a); err != nil {
			return err
		}
	}
	if r.prepare && !m.switched {
		staged, err := m.stage(ctx, a, metadata.SealedKEK, metadata.SealedCredential)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%d KEKs and %d credentials are sealed to the new identity.\n", staged[metadata.SealedKEK], staged[metadata.SealedCredential])
		fmt.Fprintf(a.stdout, "The old identity works on. Send the new card to the other sites; then stop every process of this site and run this without --prepare.\n\n")
		return m.printNext(a)
	}
	staged, err := m.stage(ctx, a, metadata.SealedKinds()...)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%d KEKs, %d credentials and %d uploads are sealed to the new identity.\n",
		staged[metadata.SealedKEK], staged[metadata.SealedCredential], staged[metadata.SealedUpload])
	if err := m.take(ctx, a, r.next); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "The store is the new identity's. Name %s as site.identity, with what opens it, and start.\n", r.next)
	fmt.Fprint(a.stdout, "Keep the old file until the other sites and the recovery identities trust the new card; then `cofre site retire OLD-CARD` closes its keys.\n\n")
	return m.printNext(a)
}

// printNext shows the new card, and for whom it is.
func (m *move) printNext(a app) error {
	for _, card := range m.site.trust.Current().RecoveryIdentities() {
		fmt.Fprintf(a.stdout, "Recovery identity %q opens nothing that is sealed from now on until it trusts this card: `cofre site trust CARD --bucket '*' --as member` with it.\n", card.Name)
	}
	return printCard(a, m.next.Card())
}

// importAll takes the KEKs of other members into the store that were granted to the old identity and not needed yet: nobody else
// could open those grants later.
func (m *move) importAll(ctx context.Context, a app) error {
	visit := func(bucket string) error {
		imported, err := m.site.ring.Import(ctx, bucket)
		if err != nil {
			return fmt.Errorf("rotate identity: %w", err)
		}
		for _, k := range imported {
			switch {
			case errors.Is(k.Err, keys.ErrKEKUnavailable):
				return fmt.Errorf("rotate identity: %w", k.Err)
			case k.Err != nil && !errors.Is(k.Err, keys.ErrNotRecipient):
				fmt.Fprintf(a.stderr, "cofre: KEK %s of bucket %s is not taken along: %v\n", k.ID, bucket, k.Err)
			}
		}
		return nil
	}
	if err := eachKEKBucket(ctx, m.site.store, visit); err != nil {
		return err
	}
	names, err := m.site.handler.Buckets(ctx)
	if err != nil {
		return fmt.Errorf("list buckets: %w", err)
	}
	for _, name := range names {
		if err := visit(name); err != nil {
			return err
		}
	}
	return nil
}

// take makes the store the next identity's.
func (m *move) take(ctx context.Context, a app, path string) error {
	for range switchAttempts {
		list := m.site.trust.Current().Succeed(m.next, time.Now())
		if m.switched {
			_, doc, err := m.site.store.TrustList(ctx)
			if err != nil {
				return err
			}
			if list, err = keys.ParseTrustList(doc, m.next.Card(), 0); err != nil {
				return err
			}
			list = list.Renumber()
		}
		doc, err := list.Sign(m.next)
		if err != nil {
			return err
		}
		if err := agefile.WriteTrustList(trustPath(path), doc); err != nil {
			return err
		}
		err = m.site.store.TakeIdentity(ctx, m.next.ID(), list.Number(), doc)
		switch {
		case errors.Is(err, keys.ErrKEKConflict):
			return fmt.Errorf("take identity: %w: somebody else has just changed the trust list; do it again", err)
		case !errors.Is(err, metadata.ErrConflict):
			return err
		}
		if _, err := m.stage(ctx, a, metadata.SealedKinds()...); err != nil { // of rows that came into being since
			return err
		}
	}
	return errors.New("take identity: the store goes on changing: stop every process of this site, and do it again")
}

// stagePage is how many rows are held at a time.
const stagePage = 100

// stage seals every row of these kinds that is not yet sealed to the next identity, and counts them. Uploads come with the last step
// only: whoever has the next identity's file and the store could open one for as long as it is staged.
func (m *move) stage(ctx context.Context, a app, kinds ...metadata.SealedKind) (map[metadata.SealedKind]int, error) {
	succession := &keys.Succession{
		Old: m.site.identity, Next: m.next, Trust: m.site.trust.Current().Succeed(m.next, time.Now()),
		System: m.system, Clock: time.Now,
	}
	counts := make(map[metadata.SealedKind]int)
	progress := reporter{out: a.stderr, last: time.Now()}
	for _, kind := range kinds {
		for after := ""; ; {
			rows, err := m.site.store.UnstagedRows(ctx, m.next.ID(), kind, after, stagePage)
			if err != nil {
				return nil, fmt.Errorf("rotate identity: %w", err)
			}
			for _, row := range rows {
				if err := m.stageRow(ctx, a, succession, row); err != nil {
					return nil, err
				}
				counts[kind]++
				after = row.ID
			}
			progress.print("cofre: %d KEKs, %d credentials, %d uploads so far",
				counts[metadata.SealedKEK], counts[metadata.SealedCredential], counts[metadata.SealedUpload])
			if len(rows) < stagePage {
				break
			}
		}
	}
	return counts, nil
}

// stageRow seals one row to the next identity. What the old one does not open is lost already: it is told, and stays as it is.
func (m *move) stageRow(ctx context.Context, a app, s *keys.Succession, row metadata.SealedRow) error {
	next, err := m.resealed(ctx, s, row)
	if errors.Is(err, keys.ErrKEKUnavailable) || ctx.Err() != nil {
		return fmt.Errorf("rotate identity: %w", err)
	}
	if err != nil {
		fmt.Fprintf(a.stderr, "cofre: %s is not taken along, since the old identity does not open it: %v\n", describeSealed(row), err)
		next = row.Sealed
	}
	if err := m.site.store.StageSealed(ctx, m.next.ID(), row, next); err != nil {
		return fmt.Errorf("rotate identity: %w", err)
	}
	return nil
}

func (m *move) resealed(ctx context.Context, s *keys.Succession, row metadata.SealedRow) ([]byte, error) {
	switch row.Kind {
	case metadata.SealedKEK:
		return s.KEK(ctx, row.Beside, row.Sealed)
	case metadata.SealedUpload:
		return s.UploadDEK(row.Sealed, row.Beside)
	}
	sealer := access.NewSealer(m.next)
	if _, err := sealer.Open(row.ID, row.Sealed); err == nil {
		return row.Sealed, nil // exchanged before
	}
	secret, err := access.NewSealer(m.site.identity).Open(row.ID, row.Sealed)
	if err != nil {
		return nil, err
	}
	return sealer.Seal(row.ID, secret), nil
}

func describeSealed(row metadata.SealedRow) string {
	switch row.Kind {
	case metadata.SealedKEK:
		return fmt.Sprintf("KEK %x", row.ID)
	case metadata.SealedUpload:
		return fmt.Sprintf("upload %q", row.ID)
	}
	return fmt.Sprintf("credential %q", row.ID)
}
