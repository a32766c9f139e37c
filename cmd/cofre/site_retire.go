package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"cofre/keys"
)

func siteRetireCommand(a app) *cobra.Command {
	var src source
	var force bool
	cmd := &cobra.Command{
		Use:   "retire OLD-CARD",
		Short: "Close the keys of the identity that this site had before, after `cofre site rotate`",
		Long: "Close every KEK that the identity of the card file OLD-CARD could open, in every bucket: after that nothing which anybody\n" +
			"seals with the old file is believed. In this order: every object gets a record; the trust list notes it; the KEKs from before the\n" +
			"rotation are closed, and those that other members have made until now; the old identity's grants are removed, and new KEKs are\n" +
			"made. It may be stopped and begun again.\n\n" +
			"Do it once the other sites and the recovery identities trust the new card: the grants they have are signed anew by the new identity.\n" +
			"Other members whose KEKs the old identity could open have to end its part too (`cofre share revoke`): what they seal under those is\n" +
			"refused here until they have.",
		Args: wants("OLD-CARD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return src.withSite(cmd.Context(), a, func(_ Config, s *site) error { return retire(cmd.Context(), a, s, args[0], force) })
		},
	}
	src.flags(cmd, a)
	cmd.Flags().BoolVar(&force, "force", false, "go on although some objects could not be healed: they will be refused from then on")
	return cmd
}

func retire(ctx context.Context, a app, s *site, path string, force bool) error {
	card, err := readCard(path)
	if err != nil {
		return usageError{err}
	}
	if err := wasOurs(ctx, s, card); err != nil {
		return err
	}
	if !s.trust.Current().Retired(card.ID) {
		if err := healAll(ctx, a, s, force); err != nil {
			return err
		}
		if err := s.trust.change(ctx, func(l *keys.TrustList) error { return l.Retire(card, time.Now()) }); err != nil {
			return err
		}
	}
	return eachKEKBucket(ctx, s.store, func(bucket string) error {
		done, err := s.ring.Revoke(ctx, bucket, card.ID)
		if err != nil {
			return fmt.Errorf("%w: run the same command again", err)
		}
		_, err = fmt.Fprintf(a.stdout, "%s: %d KEKs closed, %d grants removed. New objects are sealed under KEK %s.\n", bucket, len(done.Closed), done.Removed, done.Active)
		return err
	})
}

// wasOurs refuses to retire what this site never was: it would close every KEK there is. What a site was before made KEKs that its
// store has.
func wasOurs(ctx context.Context, s *site, old keys.Card) error {
	if old.ID == s.identity.ID() {
		return usagef("retire identity: %s is the identity that this site has now", old.ID)
	}
	if err := s.trust.Current().Clone().Retire(old, time.Now()); err != nil {
		return usagef("%w, which `cofre share revoke` is for", err)
	}
	made := false
	err := eachKEKBucket(ctx, s.store, func(bucket string) error {
		stored, err := s.store.KEKs(ctx, bucket)
		made = made || slices.ContainsFunc(stored, func(k keys.StoredKEK) bool { return k.Creator == old.ID })
		return err
	})
	if err == nil && !made {
		err = usagef("retire identity: %s made none of the KEKs that this site knows, so it is not what this site was before", old.ID)
	}
	return err
}

// healAll makes the records of everything that lies under the KEKs of the store: once they are closed, what has none is refused.
func healAll(ctx context.Context, a app, s *site, force bool) error {
	served, err := s.handler.Buckets(ctx)
	if err != nil {
		return fmt.Errorf("list buckets: %w", err)
	}
	return eachKEKBucket(ctx, s.store, func(bucket string) error {
		if _, found := slices.BinarySearch(served, bucket); !found {
			return nil // of a bucket that was deleted only the KEKs are left
		}
		report, err := heal(ctx, a, s, bucket, 0)
		if err != nil && (!force || report.Failed == 0) {
			return err
		}
		if report.CustomerKey > 0 && !force {
			return fmt.Errorf("retire identity: %d objects of bucket %s are under keys of clients' own (SSE-C) and have no record here: let the clients read them once, or give --force, and they will be refused from then on", report.CustomerKey, bucket)
		}
		return nil
	})
}
