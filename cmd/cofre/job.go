package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"cofre/access"
	"cofre/keys"
	"cofre/proxy"
	"cofre/s3api"
)

// withSite opens all that serve has, without serving, and hands it over. Its warnings go to the command's error output.
func (s *source) withSite(ctx context.Context, a app, use func(Config, *site) error) error {
	return s.withSiteAs(ctx, a, outside{log: a.stderr, actor: a.actor()}, use)
}

func (s *source) withSiteAs(ctx context.Context, a app, out outside, use func(Config, *site) error) error {
	cfg, err := s.load(a)
	if err != nil {
		return err
	}
	logger, err := newLogger("warn", a.stderr)
	if err != nil {
		return err
	}
	site, err := openSite(ctx, cfg, out, logger, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer site.close(logger)
	return use(cfg, site)
}

// bucketSource is a source for commands that are about one bucket.
type bucketSource struct {
	source
	bucket string
}

func (s *bucketSource) flags(cmd *cobra.Command, a app) {
	s.source.flags(cmd, a)
	cmd.Flags().StringVar(&s.bucket, "bucket", "", "the bucket")
	require(cmd, "bucket")
}

// command makes a command that opens the site and says something of the bucket.
func (s *bucketSource) command(a app, use, short, long string, run func(ctx context.Context, site *site) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.withSite(cmd.Context(), a, func(cfg Config, site *site) error {
				return adviseDenied(cfg, s.bucket, run(cmd.Context(), site))
			})
		},
	}
	s.flags(cmd, a)
	return cmd
}

// adviseDenied says whom to ask where the storage refuses this site the system bucket.
func adviseDenied(cfg Config, bucket string, err error) error {
	if !errors.Is(err, proxy.ErrSystemDenied) {
		return err
	}
	return fmt.Errorf("%w\nthe owner of system bucket %s has to let this site's user in: `cofre share policy --bucket %s --backend-user USER --for system` there prints the policy",
		err, cfg.Backend.SystemBucket, bucket)
}

// requireBucket is an error where the storage says that there is no such bucket, so that a slip in a name makes no keys. A bucket
// that this site's user may not see is taken to be there.
func (s *site) requireBucket(ctx context.Context, bucket string) error {
	resp, err := s.backend.Do(ctx, access.SiteUser, &proxy.BackendRequest{Method: http.MethodHead, Bucket: bucket})
	var refused *s3api.Error
	switch {
	case err == nil:
		return resp.Body.Close()
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		return fmt.Errorf("there is no bucket %s on the storage", bucket)
	case refused != nil && refused.Status == http.StatusForbidden:
		return nil
	}
	return fmt.Errorf("look for bucket %s: %w", bucket, err)
}

// progressEvery spaces the lines by which a long command says how far it is.
const progressEvery = 5 * time.Second

// reporter prints lines of progress, not too many.
type reporter struct {
	out  io.Writer
	last time.Time
}

func (r *reporter) print(format string, args ...any) {
	if now := time.Now(); now.Sub(r.last) >= progressEvery {
		r.last = now
		fmt.Fprintf(r.out, format+"\n", args...)
	}
}

func healCommand(a app) *cobra.Command {
	var src bucketSource
	var parallel int
	var asJSON bool
	cmd := src.command(a, "heal", "Make the records of all objects of a bucket that the metadata store does not know",
		"Make the records of all objects of a bucket that the metadata store does not know, in every version: what other\n"+
			"sites wrote, or everything after the store was lost. Reads and listings do the same one by one; this does it in bulk.\n"+
			"It may be stopped and begun again at any time, and runs beside serve.",
		func(ctx context.Context, s *site) error {
			report, err := heal(ctx, a, s, src.bucket, parallel)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(report)
			}
			_, err = fmt.Fprintln(a.stdout, describeHeal(report))
			return err
		})
	cmd.Flags().IntVar(&parallel, "parallel", 0, "objects looked up at a time (limits.heal_parallel of the configuration)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

// heal heals a bucket with progress on the error output, and fails where an object could not be healed.
func heal(ctx context.Context, a app, s *site, bucket string, parallel int) (proxy.HealReport, error) {
	return healWith(ctx, a, s, bucket, proxy.HealConfig{Parallel: parallel})
}

// healWith is heal with somebody who is told of each object.
func healWith(ctx context.Context, a app, s *site, bucket string, c proxy.HealConfig) (proxy.HealReport, error) {
	if c.Progress == nil {
		progress := reporter{out: a.stderr, last: time.Now()}
		c.Progress = func(r proxy.HealReport) { progress.print("cofre: %s so far", describeHeal(r)) }
	}
	told := c.Failed
	c.Failed = func(key, versionID string, err error) {
		fmt.Fprintf(a.stderr, "cofre: not healed: %q version %q: %v\n", key, versionID, err)
		if told != nil {
			told(key, versionID, err)
		}
	}
	report, err := s.handler.HealBucket(ctx, bucket, c)
	if err != nil {
		return report, fmt.Errorf("heal bucket %s: %w", bucket, err)
	}
	if report.Failed > 0 {
		return report, fmt.Errorf("heal bucket %s: %d of %d objects %w", bucket, report.Failed, report.Versions, errNotHealed)
	}
	return report, nil
}

// errNotHealed says that the walk came to its end, and that objects on the way could not be healed.
var errNotHealed = errors.New("could not be healed")

func describeHeal(r proxy.HealReport) string {
	text := fmt.Sprintf("%s: %d known, %d healed, %d unsealed, %d failed", count(r.Versions, "object"), r.Known, r.Healed, r.Unsealed, r.Failed)
	if r.CustomerKey > 0 {
		text += fmt.Sprintf(", %d under keys of clients' own", r.CustomerKey)
	}
	return text
}

// findSite reads a site that a person names: by its id, by the name on a card of the trust list where only one has it, or by a
// card file.
func findSite(list *keys.TrustList, name string) (keys.SiteID, error) {
	if id, err := keys.ParseSiteID(name); err == nil {
		return id, nil
	}
	var found []keys.SiteID
	for _, e := range list.Entries() {
		if e.Card.Name == name && (len(found) == 0 || found[0] != e.Card.ID) {
			found = append(found, e.Card.ID)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if card, err := readCard(name); err == nil {
			return card.ID, nil
		}
		return keys.SiteID{}, usagef("%q is no site id, no card file and no name in the trust list: see `cofre site list`", name)
	default:
		return keys.SiteID{}, usagef("%q is the name of several sites: give the site id, see `cofre site list`", name)
	}
}

// siteName shows a site to a person: by name where the trust list knows it.
func siteName(list *keys.TrustList, id keys.SiteID) string {
	if card, ok := list.Card(id); ok && card.Name != "" {
		return card.Name
	}
	return id.String()[:16]
}
