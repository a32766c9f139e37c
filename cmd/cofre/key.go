package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cofre/keys"
)

func keyCommand(a app) *cobra.Command {
	return group("key", "List and rotate the key encryption keys of buckets", keyListCommand(a), keyRotateCommand(a))
}

func keyListCommand(a app) *cobra.Command {
	var src bucketSource
	return src.command(a, "list", "List the KEKs of a bucket, and which sites have a grant of each", "",
		func(ctx context.Context, s *site) error {
			if err := s.requireBucket(ctx, src.bucket); err != nil {
				return err
			}
			held, err := s.ring.Holdings(ctx, src.bucket)
			if err != nil {
				return err
			}
			return printHoldings(a, s.trust.Current(), held)
		})
}

func printHoldings(a app, list *keys.TrustList, held []keys.Holding) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEK\tSTATE\tMADE\tBY\tGRANTED TO")
	for _, k := range held {
		state, made, by := "not used here yet", "-", "-"
		if k.State != 0 {
			state = k.State.String()
		}
		if !k.Created.IsZero() {
			made, by = k.Created.Format(time.DateOnly), siteName(list, k.Creator)
		}
		names := make([]string, len(k.Holders))
		for i, id := range k.Holders {
			names[i] = siteName(list, id)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.ID, state, made, by, strings.Join(names, ", "))
	}
	return w.Flush()
}

func keyRotateCommand(a app) *cobra.Command {
	var src bucketSource
	var after reencryptAfter
	cmd := src.command(a, "rotate", "Make a new active KEK for a bucket; objects under the old one stay as they are",
		"Make a new active KEK for a bucket. New objects are sealed under it within 10 seconds, in every replica. What lies under\n"+
			"older KEKs stays as it is and stays readable, by everyone who can read it now.",
		func(ctx context.Context, s *site) error {
			if err := errors.Join(after.check(), s.requireBucket(ctx, src.bucket), after.requireNoOther(ctx, s, src.bucket)); err != nil {
				return err
			}
			old, now, err := s.ring.Rotate(ctx, src.bucket)
			if err != nil {
				return err
			}
			if old == (keys.KEKID{}) {
				_, err = fmt.Fprintf(a.stdout, "Bucket %s seals under its first KEK %s.\n", src.bucket, now.ID())
				return err
			}
			fmt.Fprintf(a.stdout, "Bucket %s seals under KEK %s; KEK %s is read-only.\n", src.bucket, now.ID(), old)
			return after.begin(ctx, a, s, src.bucket, old)
		})
	after.flags(cmd, "then write anew what lies under the KEK that was active, as cofre reencrypt --kek does")
	return cmd
}
