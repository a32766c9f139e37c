package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"cofre/keys"
	"cofre/proxy"
)

// rebuilt is what was made of one bucket.
type rebuilt struct {
	Bucket     string           `json:"bucket"`
	KEKs       int              `json:"keks"`        // taken over from the system bucket
	KEKsFailed int              `json:"keks_failed"` // that this identity cannot open, or does not believe
	Objects    proxy.HealReport `json:"objects"`
}

func rebuildCommand(a app) *cobra.Command {
	var src source
	var buckets []string
	var parallel int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Fill an empty metadata store from the backend alone",
		Long: "Fill an empty metadata store from the backend and the site's identity alone: the KEKs from the system bucket, and a record\n" +
			"for every object in every version, with its size, ETag, checksum and parts. KEKs come back read-only, and new objects\n" +
			"are sealed under a new one. It may be stopped and begun again at any time, and clients may be served meanwhile:\n" +
			"what they read is healed on the way.\n\n" +
			"The identity may be a recovery identity (site.identity in a configuration of its own): it reads everything and seals nothing.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return src.withSite(cmd.Context(), a, func(_ Config, s *site) error {
				return rebuild(cmd.Context(), a, s, rebuildPlan{buckets: buckets, parallel: parallel, asJSON: asJSON})
			})
		},
	}
	src.flags(cmd, a)
	cmd.Flags().StringArrayVar(&buckets, "bucket", nil, "only this bucket (repeatable); else all that the site's backend user owns, and all that have KEKs in the system bucket")
	cmd.Flags().IntVar(&parallel, "parallel", 0, "objects looked up at a time (limits.heal_parallel of the configuration)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document for each bucket")
	return cmd
}

type rebuildPlan struct {
	buckets  []string
	parallel int
	asJSON   bool
}

func rebuild(ctx context.Context, a app, s *site, plan rebuildPlan) error {
	if len(plan.buckets) == 0 {
		var err error
		if plan.buckets, err = s.handler.Buckets(ctx); err != nil {
			return fmt.Errorf("list buckets: %w", err)
		}
	}
	var failed []error
	for _, bucket := range plan.buckets {
		r, err := rebuildBucket(ctx, a, s, bucket, plan.parallel)
		if err != nil {
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if plan.asJSON {
			err = json.NewEncoder(a.stdout).Encode(r)
		} else {
			_, err = fmt.Fprintf(a.stdout, "%s: %d KEKs, %d not opened; %s\n", bucket, r.KEKs, r.KEKsFailed, describeHeal(r.Objects))
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

func rebuildBucket(ctx context.Context, a app, s *site, bucket string, parallel int) (rebuilt, error) {
	r := rebuilt{Bucket: bucket}
	imported, err := s.ring.Import(ctx, bucket)
	if err != nil {
		return r, fmt.Errorf("rebuild bucket %s: %w", bucket, err)
	}
	for _, k := range imported {
		switch {
		case k.Err == nil:
			r.KEKs++
		case errors.Is(k.Err, keys.ErrNotRecipient):
			r.KEKsFailed++ // none of this site's business
		default:
			r.KEKsFailed++
			fmt.Fprintf(a.stderr, "cofre: KEK %s of bucket %s: %v\n", k.ID, bucket, k.Err)
		}
	}
	r.Objects, err = heal(ctx, a, s, bucket, parallel)
	return r, err
}
