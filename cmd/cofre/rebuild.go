package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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
	Accepted   int64            `json:"accepted"`         // objects under closed KEKs, by the operator's word
	Closed     []keys.KEKID     `json:"closed,omitempty"` // KEKs because of which objects were refused
	// Uploads is how many uploads in progress go on, of those that a backup brought back; UploadsGone of how many the storage knows nothing.
	Uploads     int `json:"uploads,omitempty"`
	UploadsGone int `json:"uploads_gone,omitempty"`

	why map[keys.KEKID]string // of those closed by their makers' leaving: that, in words
}

// notRebuilt is told at the end: who rebuilds has lost more than what comes back.
const notRebuilt = "Not brought back, since the storage does not have it: tombstones (until objects are written anew, an old state of a key that\n" +
	"the storage puts back is not noticed), stored credentials, uploads in progress, and the state of KEKs. `cofre restore` brings them back\n" +
	"from a backup: do that first, and then rebuild."

func rebuildCommand(a app) *cobra.Command {
	var src source
	var plan rebuildPlan
	var accept []string
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Fill the metadata store from the backend: all of an empty one, or what a restored backup lacks",
		Long: "Fill the metadata store from the backend and the site's identity: the KEKs from the system bucket, and a record for every object in\n" +
			"every version that the store does not know, with its size, ETag, checksum and parts. In an empty store that is everything; after\n" +
			"`cofre restore` it is what was written since the backup. KEKs come back read-only, and new objects are sealed under a new one. Clients\n" +
			"may be served meanwhile: what they read is healed on the way.\n\n" +
			"S3 cannot list by time, so every version is listed. It may be killed at any moment, and goes on where it was; --afresh begins at the\n" +
			"beginning. docs/BACKUP.md says how long it takes.\n\n" +
			"The identity may be a recovery identity (site.identity in a configuration of its own): it reads everything and seals nothing.\n\n" +
			"Objects under the KEK of a site that has left cannot be told from forgeries once the records are gone. They are refused, and\n" +
			"the KEK is named. With --accept-closed you say that what lies under that KEK now is what was there before.\n\n" +
			notRebuilt,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if plan.accept, err = parseAccepted(accept); err != nil {
				return err
			}
			out := outside{log: a.stderr, actor: a.actor(), acceptClosed: plan.accept}
			return src.withSiteAs(cmd.Context(), a, out, func(_ Config, s *site) error { return rebuild(cmd.Context(), a, s, plan) })
		},
	}
	src.flags(cmd, a)
	cmd.Flags().StringArrayVar(&plan.buckets, "bucket", nil, "only this bucket (repeatable); else all that the site's backend user owns, and all that have KEKs in the system bucket")
	cmd.Flags().IntVar(&plan.parallel, "parallel", 0, "objects looked up at a time (limits.heal_parallel of the configuration)")
	cmd.Flags().BoolVar(&plan.asJSON, "json", false, "print one JSON document for each bucket")
	cmd.Flags().BoolVar(&plan.afresh, "afresh", false, "begin at the beginning, although an earlier run was stopped midway")
	cmd.Flags().StringArrayVar(&accept, "accept-closed", nil, "id of a closed KEK whose objects are accepted without a record, or \"all\" (repeatable)")
	return cmd
}

// parseAccepted reads the KEK ids of --accept-closed.
func parseAccepted(words []string) (func(keys.KEKID) bool, error) {
	if slices.Contains(words, "all") {
		return func(keys.KEKID) bool { return true }, nil
	}
	ids := make(map[keys.KEKID]bool, len(words))
	for _, word := range words {
		id, err := keys.ParseKEKID(word)
		if err != nil {
			return nil, usagef("--accept-closed %.40q: %w", word, err)
		}
		ids[id] = true
	}
	return func(id keys.KEKID) bool { return ids[id] }, nil
}

type rebuildPlan struct {
	buckets  []string
	parallel int
	asJSON   bool
	afresh   bool
	accept   func(keys.KEKID) bool
	page     int // entries listed at a time; 0 for the storage's own number
}

func rebuild(ctx context.Context, a app, s *site, plan rebuildPlan) error {
	all := len(plan.buckets) == 0
	if all {
		var err error
		if plan.buckets, err = s.handler.Buckets(ctx); err != nil {
			return fmt.Errorf("list buckets: %w", err)
		}
	}
	var failed []error
	made := false
	for _, bucket := range plan.buckets {
		r, err := rebuildBucket(ctx, a, s, bucket, plan)
		if err != nil {
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		made = made || r.Objects.Healed > 0
		if plan.asJSON {
			err = json.NewEncoder(a.stdout).Encode(r)
		} else {
			err = r.print(a)
		}
		if err != nil {
			return err
		}
	}
	restored, err := s.closeGap(ctx, a, all && len(failed) == 0)
	if err == nil && made && !restored {
		fmt.Fprintln(a.stderr, "cofre: "+strings.ReplaceAll(notRebuilt, "\n", "\ncofre: "))
	}
	return errors.Join(append(failed, err)...)
}

func (r rebuilt) print(a app) error {
	accepted := ""
	if r.Accepted > 0 {
		accepted = fmt.Sprintf("; %d accepted under closed KEKs", r.Accepted)
	}
	opened := count(r.KEKs, "KEK") + " opened"
	if r.KEKsFailed > 0 {
		opened += fmt.Sprintf(", %d not", r.KEKsFailed)
	}
	if _, err := fmt.Fprintf(a.stdout, "%s: %s; %s%s\n", r.Bucket, opened, describeHeal(r.Objects), accepted); err != nil {
		return err
	}
	if r.UploadsGone > 0 {
		_, err := fmt.Fprintf(a.stdout, "%s: %s in progress; %d that ended since the backup forgotten\n", r.Bucket, count(r.Uploads, "upload"), r.UploadsGone)
		if err != nil {
			return err
		}
	}
	for _, id := range r.Closed {
		_, err := fmt.Fprintf(a.stdout, "%s: KEK %s is closed%s, and objects under it were refused: where they are known to be genuine, run this again with --accept-closed %s\n",
			r.Bucket, id, r.why[id], id)
		if err != nil {
			return err
		}
	}
	return nil
}

func rebuildBucket(ctx context.Context, a app, s *site, bucket string, plan rebuildPlan) (rebuilt, error) {
	r := rebuilt{Bucket: bucket, why: map[keys.KEKID]string{}}
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
	accepted, err := acceptedOf(ctx, s, bucket, plan.accept)
	if err != nil {
		return r, fmt.Errorf("rebuild bucket %s: %w", bucket, err)
	}
	if r.Uploads, r.UploadsGone, err = s.handler.DropGoneUploads(ctx, bucket); err != nil {
		return r, fmt.Errorf("rebuild bucket %s: look at uploads: %w", bucket, err)
	}
	p, err := s.resume(ctx, a, bucket, plan)
	if err != nil {
		return r, err
	}
	r.Accepted, r.Closed = p.Accepted, p.Closed
	p.began, p.total = time.Now(), s.handler.ObjectCount(ctx, bucket)
	r.Objects, err = healWith(ctx, a, s, bucket, proxy.HealConfig{
		Parallel: plan.parallel, Page: plan.page, From: proxy.HealMark{Key: string(p.Key)}, Report: p.Report,
		Healed: func(kek keys.KEKID) {
			if accepted[kek] {
				r.Accepted++
			}
		},
		Failed: func(_, _ string, err error) {
			if id, closed := proxy.ClosedKEK(err); closed && !slices.Contains(r.Closed, id) {
				r.Closed = append(r.Closed, id)
			}
		},
		Mark: func(report proxy.HealReport, at proxy.HealMark) error {
			return p.keep(ctx, s, bucket, rebuildMark{Key: []byte(at.Key), Report: report, Accepted: r.Accepted, Closed: r.Closed})
		},
		Progress: p.estimate(a, bucket),
	})
	if ctx.Err() == nil && reachedEnd(r.Objects, err) {
		err = errors.Join(err, s.store.DropNote(ctx, rebuildNote+bucket))
	}
	return r, errors.Join(err, r.explainClosed(ctx, s))
}

// explainClosed says of each closed KEK whose leaving closed it, where that is its maker's.
func (r *rebuilt) explainClosed(ctx context.Context, s *site) error {
	if len(r.Closed) == 0 {
		return nil
	}
	stored, err := s.store.KEKs(ctx, r.Bucket)
	if err != nil {
		return err
	}
	list := s.trust.Current()
	for _, k := range stored {
		if card, known := list.Card(k.Creator); known && !list.Is(r.Bucket, k.Creator, keys.Member) {
			r.why[k.ID] = fmt.Sprintf(" since %q, who made it, has left", card.Name)
		}
	}
	return nil
}

// acceptedOf is the bucket's closed KEKs that the operator accepts.
func acceptedOf(ctx context.Context, s *site, bucket string, accept func(keys.KEKID) bool) (map[keys.KEKID]bool, error) {
	stored, err := s.store.KEKs(ctx, bucket)
	if err != nil {
		return nil, err
	}
	accepted := make(map[keys.KEKID]bool)
	for _, k := range stored {
		if k.State == keys.Closed && accept(k.ID) {
			accepted[k.ID] = true
		}
	}
	return accepted, nil
}
