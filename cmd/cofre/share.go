package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"cofre/keys"
)

func shareCommand(a app) *cobra.Command {
	return group("share", "Let other sites read a bucket, see who can, and end it",
		shareAddCommand(a), shareListCommand(a), shareRevokeCommand(a), sharePolicyCommand(a))
}

// shared is what a command about a bucket and another site is about.
type shared struct {
	bucketSource
	site string
}

func (sh *shared) siteFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&sh.site, "site", "", "the other site: its id, its name in the trust list, or its card file")
	require(cmd, "site")
}

func shareAddCommand(a app) *cobra.Command {
	var sh shared
	cmd := sh.command(a, "add", "Grant the KEKs of a bucket to a site that the trust list names",
		"Grant every KEK of a bucket to another site, so that it can read what is there. The site must be trusted first\n"+
			"(`cofre site trust CARD --bucket B --as member`); new KEKs are then granted to it by themselves.\n"+
			"The other site trusts this one in the same way, and shares back what it has written.\n\n"+
			"Both sites' users need the right to use the bucket and the system bucket on the storage first: see `cofre share policy`.",
		func(ctx context.Context, s *site) error { return sh.add(ctx, a, s) })
	sh.siteFlag(cmd)
	return cmd
}

func (sh *shared) add(ctx context.Context, a app, s *site) error {
	list := s.trust.Current()
	id, err := findSite(list, sh.site)
	if err != nil {
		return err
	}
	roles := list.Roles(sh.bucket, id)
	switch {
	case len(roles) == 0:
		return fmt.Errorf("share bucket %s: %s is not trusted for it: run `cofre site trust CARD --bucket %s --as member` first", sh.bucket, siteName(list, id), sh.bucket)
	case list.OwnDeposit(sh.bucket):
		return fmt.Errorf("share bucket %s: this site only deposits there: what it writes is granted to the members of its trust list by itself", sh.bucket)
	case slices.Equal(roles, []keys.Role{keys.Deposit}):
		_, err := fmt.Fprintf(a.stdout, "%s deposits in bucket %s and reads nothing there: no KEK is granted to it. What it writes is granted to this site by itself.\n", siteName(list, id), sh.bucket)
		return err
	}
	if err := s.requireBucket(ctx, sh.bucket); err != nil {
		return err
	}
	// The bucket's first KEK is made here if need be, so that the other site finds one.
	if _, err := s.ring.Active(ctx, sh.bucket); err != nil {
		return err
	}
	if err := s.ring.Grant(ctx, sh.bucket, id); err != nil {
		return err
	}
	held, err := s.ring.Holdings(ctx, sh.bucket)
	if err != nil {
		return err
	}
	granted, total := countGrants(held, id)
	_, err = fmt.Fprintf(a.stdout, "%s has %d of the %d KEKs of bucket %s that this site knows.\n", siteName(list, id), granted, total, sh.bucket)
	return err
}

// countGrants counts the KEKs known here of which a site has a grant.
func countGrants(held []keys.Holding, id keys.SiteID) (granted, total int) {
	for _, k := range held {
		if k.State == 0 {
			continue
		}
		total++
		if slices.Contains(k.Holders, id) {
			granted++
		}
	}
	return granted, total
}

func shareRevokeCommand(a app) *cobra.Command {
	var sh shared
	var force bool
	var after reencryptAfter
	cmd := sh.command(a, "revoke", "End a site's part in a bucket: no new object is open to it",
		"End a site's part in a bucket. In this order: every object gets a record in this site's metadata store; the trust is\n"+
			"withdrawn; every KEK that the site could open is closed, its grants are removed, its own KEK records are endorsed\n"+
			"so that what it wrote stays readable; and a new KEK is made. From then on new objects are closed to it.\n\n"+
			"Take its right to write from the bucket's policy on the storage first. What it wrote after the records were made\n"+
			"is refused. It may have kept the keys of what it could read: only writing that anew ends what it knows.\n"+
			"Every other member has to do the same; `cofre share list` shows who has not.",
		func(ctx context.Context, s *site) error {
			if err := after.check(); err != nil {
				return err
			}
			if err := sh.revoke(ctx, a, s, force); err != nil {
				return err
			}
			return after.begin(ctx, a, s, sh.bucket)
		})
	sh.siteFlag(cmd)
	after.flags(cmd, "then write anew what the site could read, as cofre reencrypt does")
	cmd.Flags().BoolVar(&force, "force", false, "go on although some objects could not be healed: they will be refused from then on")
	return cmd
}

func (sh *shared) revoke(ctx context.Context, a app, s *site, force bool) error {
	list := s.trust.Current()
	id, err := findSite(list, sh.site)
	if err != nil {
		return err
	}
	name := siteName(list, id)
	if err := sh.makeRecords(ctx, a, s, id, force); err != nil {
		return err
	}
	if len(list.Roles(sh.bucket, id)) > 0 {
		if err := s.trust.change(ctx, func(l *keys.TrustList) error { return l.Distrust(id, sh.bucket, time.Now()) }); err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "Trust list %d: %s is no longer trusted for %s.\n", s.trust.Current().Number(), name, sh.bucket)
	}
	done, err := s.ring.Revoke(ctx, sh.bucket, id)
	if errors.Is(err, keys.ErrKEKUnavailable) {
		return fmt.Errorf("%w: run the same command again", err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%d KEKs closed, %d grants removed, %d records endorsed. New objects are sealed under KEK %s.\n",
		len(done.Closed), done.Removed, len(done.Endorsed), done.Active)
	_, err = fmt.Fprintf(a.stdout, "Replicas of this site follow within %v. %s may have kept the keys of what it could read until now.\n", keys.StateTTL, name)
	if err == nil && len(s.trust.Current().Members(sh.bucket)) > 1 {
		// What this site seals until the others have revoked too is under a KEK that they close: they cannot tell who was granted it.
		_, err = fmt.Fprintf(a.stdout, "The other members revoke it too, on the same day. When the last one has, run `cofre key rotate --bucket %s --reencrypt` here, unless this site was the last.\n", sh.bucket)
	}
	return err
}

// makeRecords makes the records without which what the site could open is refused once its KEKs are closed. Where it was revoked
// before, they were made then, and what has come since shall have none.
func (sh *shared) makeRecords(ctx context.Context, a app, s *site, id keys.SiteID, force bool) error {
	list := s.trust.Current()
	name, trusted := siteName(list, id), len(list.Roles(sh.bucket, id)) > 0
	if trusted {
		if pattern, other := trustedBy(list, sh.bucket, id); other {
			return fmt.Errorf("revoke %s: it is trusted for %q, which is more than this bucket: withdraw that by `cofre site distrust`, and trust it anew for what it keeps", name, pattern)
		}
	} else {
		held, err := s.ring.Holdings(ctx, sh.bucket)
		if err != nil {
			return err
		}
		if len(unrevoked(list, id, held)) == 0 {
			return nil
		}
	}
	report, err := heal(ctx, a, s, sh.bucket, 0)
	if err != nil && (!force || report.Failed == 0) {
		if !trusted && report.Failed > 0 {
			return fmt.Errorf("%w\nits trust was withdrawn before the records were made, and what it wrote is not believed: trust it again (`cofre site trust`) and let this command withdraw it, or give --force", err)
		}
		return err
	}
	if report.CustomerKey > 0 && !force {
		return fmt.Errorf("revoke %s: %d objects are under keys of clients' own (SSE-C) and have no record here: let the clients read them once through this site, or give --force, and they will be refused from then on", name, report.CustomerKey)
	}
	_, err = fmt.Fprintf(a.stdout, "Records: %s.\n", describeHeal(report))
	return err
}

// trustedBy finds a line of the list that trusts the site for this bucket by a wider pattern.
func trustedBy(list *keys.TrustList, bucket string, id keys.SiteID) (pattern string, other bool) {
	exact := false
	for _, e := range list.Entries() {
		if e.Card.ID != id || !e.Withdrawn.IsZero() {
			continue
		}
		if e.Bucket == bucket {
			exact = true
		} else {
			pattern = e.Bucket
		}
	}
	return pattern, !exact
}
