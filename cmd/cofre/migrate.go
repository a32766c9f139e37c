package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"cofre/jobs"
)

func migrateCommand(a app) *cobra.Command {
	var src bucketSource
	var o jobOptions
	var force bool
	cmd := &cobra.Command{
		Use: "migrate", Short: "Seal the objects of a bucket that lie in clear, in place and in the background",
		Long: "Seal the current objects of a bucket that lie in clear on the storage, under their own names. ETags, parts, metadata, tags and\n" +
			"ACL stay. It is a job, as `cofre reencrypt` is: a running serve of this site does it.\n\n" +
			"So that clients go on reading meanwhile, every replica's configuration says `unsealed: pass` for the bucket, which gives\n" +
			"up authenticity for what is still in clear; when the job is done with nothing refused, set it to `refuse` again.\n" +
			"Clients must write through cofre alone from the start: what else writes there, writes in clear.\n\n" +
			"What cannot be sealed is listed with its reason: older versions, which stay in clear until they are deleted, and objects\n" +
			"whose ETag would change.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return src.withSite(cmd.Context(), a, func(cfg Config, s *site) error {
				return migrate(cmd.Context(), a, cfg, s, src.bucket, &o, force)
			})
		},
	}
	src.flags(cmd, a)
	cmd.Flags().BoolVar(&force, "force", false, "go on although the configuration refuses what is not sealed: clients cannot read it until it is")
	o.flags(cmd)
	return cmd
}

func migrate(ctx context.Context, a app, cfg Config, s *site, bucket string, o *jobOptions, force bool) error {
	passes := cfg.bucketPolicy(bucket).PassUnsealed
	if !passes && !force && !o.list {
		return usagef("bucket %s: the configuration refuses objects that are not sealed, so clients could not read them until the job has come to them:\n"+
			"set `unsealed: pass` for it while the job runs, in every replica, or give --force", bucket)
	}
	if err := o.begin(ctx, a, s, jobs.Migrate, bucket); err != nil || o.list || !passes {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "When it is done with nothing refused, set `unsealed: refuse` for bucket %s in every replica.\n", bucket)
	return err
}
