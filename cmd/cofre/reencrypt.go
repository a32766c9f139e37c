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

// defaultParallel is how many objects a job works on at a time.
const defaultParallel = 4

// reencryptAfter is what a command that re-encrypts after its own work is asked for.
type reencryptAfter struct{ wanted, removeReplaced bool }

func (r *reencryptAfter) flags(cmd *cobra.Command, usage string) {
	cmd.Flags().BoolVar(&r.wanted, "reencrypt", false, usage)
	cmd.Flags().BoolVar(&r.removeReplaced, "remove-replaced", false, "with --reencrypt: in a versioned bucket, delete the versions that it took the place of, once the new ones were read back")
}

func (r *reencryptAfter) check() error {
	if r.removeReplaced && !r.wanted {
		return usagef("--remove-replaced goes with --reencrypt")
	}
	return nil
}

// requireNoOther is asked before a command's own work, where its job would be about something else than one that is open already: a
// bucket has one at a time.
func (r *reencryptAfter) requireNoOther(ctx context.Context, s *site, bucket string) error {
	if !r.wanted {
		return nil
	}
	open, err := s.store.OpenJobs(ctx)
	if err != nil {
		return fmt.Errorf("list jobs: %w", err)
	}
	for _, job := range open {
		if job.Kind == jobs.Reencrypt && job.Bucket == bucket {
			return fmt.Errorf("bucket %s is being re-encrypted already: wait for job %s (`cofre job show %s`) or cancel it, or leave --reencrypt out", bucket, job.ID, job.ID)
		}
	}
	return nil
}

// begin adds the job. What the command itself did stays done, so an error says how to go on.
func (r *reencryptAfter) begin(ctx context.Context, a app, s *site, bucket string, under ...keys.KEKID) error {
	if !r.wanted {
		return nil
	}
	o := jobOptions{Parameters: jobs.Parameters{Parallel: defaultParallel, RemoveReplaced: r.removeReplaced}}
	again := "cofre reencrypt --bucket " + bucket
	for _, id := range under {
		o.KEKs = append(o.KEKs, id.String())
		again += " --kek " + id.String()
	}
	if r.removeReplaced {
		again += " --remove-replaced"
	}
	if err := o.begin(ctx, a, s, jobs.Reencrypt, bucket); err != nil {
		return fmt.Errorf("re-encrypt: %w\neverything else is done: `%s` goes on", err, again)
	}
	return nil
}
