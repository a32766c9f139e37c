package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cofre/keys"
)

func shareListCommand(a app) *cobra.Command {
	var src bucketSource
	return src.command(a, "list", "List who can open a bucket: whom this site trusts, and who else has grants", "",
		func(ctx context.Context, s *site) error {
			if err := s.requireBucket(ctx, src.bucket); err != nil {
				return err
			}
			held, err := s.ring.Holdings(ctx, src.bucket)
			if err != nil {
				return err
			}
			return printShares(a, s.trust.Current(), src.bucket, held)
		})
}

// printShares has a line for each site that is or was trusted for the bucket or has a grant there, and then who has not revoked a
// site that this one trusts no more.
func printShares(a app, list *keys.TrustList, bucket string, held []keys.Holding) error {
	if list.OwnDeposit(bucket) {
		fmt.Fprintf(a.stdout, "This site deposits in bucket %s and opens nothing there. Its KEKs lie in the memory of its processes, and are granted\n"+
			"as they are made to the members and recovery identities below.\n\n", bucket)
	}
	ids := sitesOf(list, bucket, held)
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SITE\tTRUSTED AS\tGRANTS\tID")
	for _, id := range ids {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", siteName(list, id), describeRoles(list, bucket, id), describeGrants(list, bucket, id, held), id)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, id := range ids {
		if len(list.Roles(bucket, id)) > 0 {
			continue
		}
		if err := printUnrevoked(a, list, bucket, id, held); err != nil {
			return err
		}
	}
	return nil
}

func describeRoles(list *keys.TrustList, bucket string, id keys.SiteID) string {
	roles := list.Roles(bucket, id)
	if len(roles) == 0 {
		return "-"
	}
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

// describeGrants has no numbers where there is nothing to count: for who only deposits, and where this site does and so knows no KEKs.
func describeGrants(list *keys.TrustList, bucket string, id keys.SiteID, held []keys.Holding) string {
	granted, total := countGrants(held, id)
	if granted == 0 && (list.OwnDeposit(bucket) || slices.Equal(list.Roles(bucket, id), []keys.Role{keys.Deposit})) {
		return "-"
	}
	return fmt.Sprintf("%d of %d", granted, total)
}

// printUnrevoked names the KEKs of which a site that is not trusted still has grants: those that this site has to close, and those of
// sites that still grant to it.
func printUnrevoked(a app, list *keys.TrustList, bucket string, id keys.SiteID, held []keys.Holding) error {
	ours := unrevoked(list, id, held)
	theirs := make(map[keys.SiteID][]string)
	var makers []keys.SiteID
	for _, k := range held {
		if !slices.Contains(k.Holders, id) || slices.Contains(ours, k.ID.String()) {
			continue
		}
		if theirs[k.Creator] == nil {
			makers = append(makers, k.Creator)
		}
		theirs[k.Creator] = append(theirs[k.Creator], k.ID.String())
	}
	name := siteName(list, id)
	if len(ours) > 0 {
		fmt.Fprintf(a.stdout, "\n%s is not trusted here, and can still open %s: run `cofre share revoke --bucket %s --site %s`\n", name, countKEKs(ours), bucket, id)
	}
	for _, maker := range makers {
		if _, err := fmt.Fprintf(a.stdout, "\n%s is not trusted here, and has grants that %s has not revoked, of %s\n", name, siteName(list, maker), countKEKs(theirs[maker])); err != nil {
			return err
		}
	}
	return nil
}

// unrevoked is the KEKs of which a site has grants that `share revoke` here would take from it: what was made since is for who goes on
// granting to it.
func unrevoked(list *keys.TrustList, id keys.SiteID, held []keys.Holding) (ids []string) {
	left := lastTrusted(list, id)
	for _, k := range held {
		if slices.Contains(k.Holders, id) && k.State != keys.Closed && (k.Creator == list.Site() || !k.Created.After(left)) {
			ids = append(ids, k.ID.String())
		}
	}
	return ids
}

// lastTrusted is when the last line that trusted a site, for whatever bucket, was withdrawn.
func lastTrusted(list *keys.TrustList, id keys.SiteID) (at time.Time) {
	for _, e := range list.Entries() {
		if e.Card.ID == id && e.Withdrawn.After(at) {
			at = e.Withdrawn
		}
	}
	return at
}

func countKEKs(ids []string) string {
	if len(ids) == 1 {
		return "1 KEK: " + ids[0]
	}
	return fmt.Sprintf("%d KEKs: %s", len(ids), strings.Join(ids, ", "))
}

func sitesOf(list *keys.TrustList, bucket string, held []keys.Holding) []keys.SiteID {
	var ids []keys.SiteID
	add := func(id keys.SiteID) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, e := range list.Entries() {
		if len(list.Roles(bucket, e.Card.ID)) > 0 {
			add(e.Card.ID)
		}
	}
	for _, k := range held {
		for _, id := range k.Holders {
			add(id)
		}
	}
	return ids
}
