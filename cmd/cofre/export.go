package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cofre/access"
	"cofre/backend"
	"cofre/export"
	"cofre/proxy"
)

// exportPlan is what the flags of `cofre export` say.
type exportPlan struct {
	siteSource
	bucket, prefix string
	to             string
	target         exportTarget
	rate           string
	parallel       int
	accept         []string
	asJSON         bool
}

// exportTarget is the storage that objects are copied to.
type exportTarget struct {
	endpoint, region, caFile string
	accessKey, secretFile    string
	sameStorage              bool
}

func (t *exportTarget) flags(flags *pflag.FlagSet, endpoint string) {
	flags.StringVar(&t.endpoint, "endpoint", "", endpoint)
	flags.StringVar(&t.region, "region", "us-east-1", "with s3://: its region")
	flags.StringVar(&t.caFile, "ca-file", "", "with s3://: PEM file of certificates to trust for the endpoint")
	flags.StringVar(&t.accessKey, "access-key", "", "with s3://: access key there (AWS_ACCESS_KEY_ID)")
	flags.StringVar(&t.secretFile, "secret-key-file", "", "with s3://: file that holds the secret key; else AWS_SECRET_ACCESS_KEY")
}

func exportCommand(a app) *cobra.Command {
	var plan exportPlan
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the plaintext of a bucket to a directory or another bucket, with the identity and the storage alone",
		Long: "Write the plaintext of a bucket's objects to a directory or to a bucket of any S3 store. Only the site's identity (or a recovery\n" +
			"identity), its trust list beside it, and the storage are needed: no database, no Redis, no running cofre. A file or object appears only\n" +
			"when its last byte has verified. It may be stopped at any time; the same command again goes on.\n\n" +
			"In a directory, objects/ has the files, named by the keys, and manifest.jsonl one line for each with what a file cannot say: key, version,\n" +
			"ETag, checksum, headers, user metadata, tags. docs/RUNBOOK.md has the rules of names. In a bucket, objects keep headers, user metadata,\n" +
			"tags and parts, and so their ETags. Older versions are counted and left out.\n\n" +
			"Exit code 1: some objects could not be exported; each is named, the rest is done.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runExport(cmd.Context(), a, &plan) },
	}
	plan.flags(cmd, a)
	flags := cmd.Flags()
	flags.StringVar(&plan.bucket, "bucket", "", "the bucket to export")
	flags.StringVar(&plan.prefix, "prefix", "", "only keys that begin with this")
	flags.StringVar(&plan.to, "to", "", "a directory, or s3://bucket/prefix")
	plan.target.flags(flags, "with s3://: URL of the storage to write to")
	flags.BoolVar(&plan.target.sameStorage, "same-storage", false, "with s3://: allow the very storage that must not read these objects")
	flags.StringVar(&plan.rate, "rate", "", "read at most so many bytes per second, as 50MiB")
	flags.IntVar(&plan.parallel, "parallel", 8, "objects at a time")
	flags.StringArrayVar(&plan.accept, "accept-closed", nil, acceptClosedUsage)
	flags.BoolVar(&plan.asJSON, "json", false, "print the report as JSON")
	require(cmd, "bucket", "to")
	return cmd
}

func runExport(ctx context.Context, a app, plan *exportPlan) error {
	limit, err := parseRate(plan.rate)
	if err != nil {
		return err
	}
	accept, err := parseAccepted(plan.accept)
	if err != nil {
		return err
	}
	cfg, err := plan.storageConfig(a)
	if err != nil {
		return err
	}
	siteCfg, id, err := plan.open(ctx, a)
	if err != nil {
		return err
	}
	source, err := openBackend(cfg, outside{}, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer source.Close()
	s, err := openScratch(ctx, scratchConfig{
		identity: id, identityFile: siteCfg.Site.Identity, backend: source, systemBucket: cfg.Backend.SystemBucket, policy: cfg.bucketPolicy, accept: accept,
	})
	if err != nil {
		return err
	}
	dst, closeTarget, err := plan.destination(ctx, a, cfg)
	if err != nil {
		return errors.Join(err, s.close())
	}
	report, err := exportAll(ctx, a, s, dst, plan, limit)
	closeTarget()
	if err := errors.Join(err, s.close()); err != nil {
		return err
	}
	return plan.conclude(a, report)
}

func exportAll(ctx context.Context, a app, s *scratch, dst export.Destination, plan *exportPlan, limit Size) (export.Report, error) {
	progress := reporter{out: a.stderr, last: time.Now()}
	report, err := export.Run(ctx, s.handler, dst, export.Config{
		Bucket: plan.bucket, Prefix: plan.prefix, Parallel: plan.parallel, Pace: pacer(limit),
		Failed: func(key string, err error) {
			fmt.Fprintf(a.stderr, "cofre: not exported: %q: %s\n", key, proxy.Describe(err))
		},
		Progress: func(r export.Report) {
			progress.print("cofre: %s, %d written, %d there already, %s so far", count(r.Objects, "object"), r.Exported, r.Kept, Size(r.Bytes).rounded())
		},
	})
	if err != nil {
		return report, fmt.Errorf("export bucket %s: %w; run the same command again to go on (%d objects are done)", plan.bucket, err, report.Exported+report.Kept)
	}
	return report, nil
}

// conclude prints the report, and fails where objects did.
func (p *exportPlan) conclude(a app, r export.Report) error {
	if p.asJSON {
		if err := json.NewEncoder(a.stdout).Encode(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.stdout, "%s: %d written (%s), %d there already, %d deleted meanwhile, %d failed\n",
			count(r.Objects, "object"), r.Exported, Size(r.Bytes).rounded(), r.Kept, r.Gone, r.Failed)
		if r.Noncurrent > 0 {
			fmt.Fprintf(a.stdout, "%s left out\n", count(r.Noncurrent, "older version"))
		}
		if r.Unsealed > 0 {
			fmt.Fprintf(a.stdout, "%s in clear on the storage: nothing says that this is what was written\n", count(r.Unsealed, "object"))
		}
	}
	if r.Failed > 0 {
		return fmt.Errorf("export bucket %s: %d of %d objects could not be exported", p.bucket, r.Failed, r.Objects)
	}
	return nil
}

// storageConfig gives what the configuration says of the storage and of buckets. Nothing else need be there.
func (p *exportPlan) storageConfig(a app) (Config, error) {
	if p.data != "" {
		return Config{}, usagef("`cofre dev` has its storage within itself: stop here, and read through it")
	}
	l := loadConfig(p.config, a.environ, "backend")
	if l.err() == nil {
		l.checkBackend(&l.config.Backend)
	}
	return l.config, l.err()
}

// destination opens what --to names.
func (p *exportPlan) destination(ctx context.Context, a app, cfg Config) (export.Destination, func(), error) {
	rest, isBucket := strings.CutPrefix(p.to, "s3://")
	if !isBucket {
		dir, err := export.OpenDirectory(p.to, p.bucket, p.prefix)
		return dir, func() {}, err
	}
	bucket, prefix, _ := strings.Cut(rest, "/")
	store, err := p.target.open(a, cfg)
	if err != nil {
		return nil, nil, err
	}
	dst := export.NewBucket(store, bucket, prefix)
	if err := dst.Check(ctx); err != nil {
		store.Close()
		return nil, nil, fmt.Errorf("--to s3://%s: %w", bucket, err)
	}
	return dst, store.Close, nil
}

func (t exportTarget) open(a app, cfg Config) (*backend.Client, error) {
	switch {
	case t.endpoint == "":
		return nil, usagef("--to s3://...: give --endpoint")
	case strings.TrimSuffix(t.endpoint, "/") == strings.TrimSuffix(cfg.Backend.Endpoint, "/") && !t.sameStorage:
		return nil, usagef("--endpoint is the storage that these objects are sealed against: plaintext there can be read by whoever runs it; give --same-storage if that is meant")
	}
	return t.client(a)
}

// client speaks to the endpoint with the credentials that flags or the environment give.
func (t exportTarget) client(a app) (*backend.Client, error) {
	credentials := backend.Credentials{AccessKeyID: t.accessKey, SecretAccessKey: a.getenv("AWS_SECRET_ACCESS_KEY")}
	if credentials.AccessKeyID == "" {
		credentials.AccessKeyID = a.getenv("AWS_ACCESS_KEY_ID")
	}
	if t.secretFile != "" {
		secret, err := readSecret(t.secretFile)
		if err != nil {
			return nil, err
		}
		credentials.SecretAccessKey = secret.Reveal()
	}
	if credentials.AccessKeyID == "" || credentials.SecretAccessKey == "" {
		return nil, usagef("--endpoint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give --access-key and --secret-key-file")
	}
	client, err := backend.New(backend.Config{
		Endpoint: t.endpoint, Region: t.region, CAFile: t.caFile,
		Users: map[access.BackendUser]backend.Credentials{access.SiteUser: credentials},
	})
	if err != nil {
		return nil, usagef("--endpoint: %w", err)
	}
	return client, nil
}

var _ export.Source = (*proxy.Handler)(nil)
