package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"cofre/jobs"
	"cofre/keys"
)

func reencryptCommand(a app) *cobra.Command {
	var src bucketSource
	var o jobOptions
	cmd := src.command(a, "reencrypt", "Write objects anew under new data keys and the active KEK, in the background",
		"Write the current objects of a bucket anew, each with a new data key under the active KEK: those under closed KEKs, which a\n"+
			"site that left may have kept; or those under the KEKs that --kek names, or with --all whatever is not under the active one.\n"+
			"Clients go on reading and writing; who writes an object meanwhile wins. ETag, size, checksums, parts, metadata, tags, ACL and\n"+
			"protection stay; Last-Modified and, in a versioned bucket, the version id change.\n\n"+
			"It is a job: a running serve of this site does it, resumes it after a restart, and says how far it is (`cofre job show`).\n"+
			"What cannot be rewritten is listed with its reason: older versions, objects under customers' own keys, what does not open.",
		func(ctx context.Context, s *site) error {
			if o.All && len(o.KEKs) > 0 {
				return usagef("--all and --kek are two different things: give one of them")
			}
			return o.begin(ctx, a, s, jobs.Reencrypt, src.bucket)
		})
	cmd.Flags().StringArrayVar(&o.KEKs, "kek", nil, "rewrite what lies under this KEK (repeatable)")
	cmd.Flags().BoolVar(&o.All, "all", false, "rewrite whatever is not under the active KEK, what other sites wrote too")
	o.flags(cmd)
	return cmd
}

// thenReencrypt adds the job that a command was asked to add after its own work.
func thenReencrypt(ctx context.Context, a app, s *site, bucket string, under ...keys.KEKID) error {
	var o jobOptions
	o.Parallel = 4
	for _, id := range under {
		o.KEKs = append(o.KEKs, id.String())
	}
	if err := o.begin(ctx, a, s, jobs.Reencrypt, bucket); err != nil {
		return fmt.Errorf("everything else is done: %w", err)
	}
	return nil
}
