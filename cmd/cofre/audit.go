package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"cofre/audit"
	"cofre/metadata"
	"cofre/proxy"
)

// actor names this process in the audit trail: the command, and the account and machine that it was given on.
func (a app) actor() string {
	var words []string
	for _, arg := range a.args {
		if strings.HasPrefix(arg, "-") || len(words) == 2 { // what follows may be a path, or a secret
			break
		}
		words = append(words, arg)
	}
	name := a.getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, _ := os.Hostname()
	return strings.Join(words, " ") + " by " + name + "@" + host
}

// newTrail keeps the audit trail in the store; what that does not take goes to the log.
func newTrail(store metadata.Store, actor string, log *zap.Logger) *audit.Trail {
	return audit.NewTrail(store, actor, func(e audit.Event, err error) {
		log.Error("audit event not kept", zap.String("action", string(e.Action)), zap.String("bucket", e.Bucket),
			zap.String("subject", e.Subject), zap.String("detail", e.Detail), zap.Error(err))
	})
}

// audited puts the trail before the store of a command. The caller calls done before it closes the store.
func (a app) audited(store metadata.Store) (_ metadata.Store, done func(), err error) {
	log, err := newLogger("warn", a.stderr)
	if err != nil {
		return nil, nil, err
	}
	trail := newTrail(store, a.actor(), log)
	return trail.Store(store), trail.Close, nil
}

// refused tells the trail what the storage returned and was refused.
func (s *site) refused(r proxy.Refusal) {
	object := r.Key
	if r.VersionID != "" {
		object += " version " + r.VersionID
	}
	s.trail.Refused(audit.Event{Action: audit.ObjectRefused, Bucket: r.Bucket, Subject: r.Kind, Detail: fmt.Sprintf("%q: %v", object, r.Err)})
}

// guessing tells the trail who has failed to authenticate so often that he has to wait.
func (s *site) guessing(g proxy.Guessing) {
	detail := "failed with access keys that do not exist"
	if g.AccessKeyID != "" {
		detail = "failed with access key " + g.AccessKeyID
	}
	s.trail.Refused(audit.Event{Action: audit.ClientSlowed, Subject: g.Source.String(), Detail: detail})
}

func auditCommand(a app) *cobra.Command {
	var src source
	var bucket, since string
	var show auditShow
	list := &cobra.Command{
		Use:   "list",
		Short: "Show what was done with keys, trust and credentials, and what the storage offered and was refused",
		Long: "Show the audit trail, oldest first: what was done with keys, trust and credentials, by which command or process, and what\n" +
			"the storage offered and was refused. Requests of clients are not here: each has its line in the log.\n\n" +
			"That a command opened the identity (identity.opened) is kept, and shown with --all or --json; that serve did, always.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := parseSince(since, time.Now())
			if err != nil {
				return err
			}
			return src.withStore(cmd.Context(), a, func(_ Config, store metadata.Store) error {
				return listAudit(cmd.Context(), a, store, metadata.AuditFilter{Since: from, Bucket: bucket}, show)
			})
		},
	}
	src.flags(list, a)
	list.Flags().StringVar(&bucket, "bucket", "", "only what is about this bucket")
	list.Flags().StringVar(&since, "since", "", "only what is not older: a duration as 24h or 7d, or a time as 2026-01-31T08:00:00Z")
	list.Flags().BoolVar(&show.asJSON, "json", false, "print one JSON document for each event, of all there are")
	list.Flags().BoolVar(&show.all, "all", false, "show openings of the identity by commands too")
	return group("audit", "Show the audit trail", list)
}

func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := parseAge(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, usagef("--since %q: write a duration as 24h or 7d, or a time as 2026-01-31T08:00:00Z", text)
	}
	return t, nil
}

// parseAge reads a duration as Go writes it, or a number of days.
func parseAge(text string) (time.Duration, error) {
	days, isDays := strings.CutSuffix(text, "d")
	if !isDays {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 16) // 16 bits of days are far from overflowing a duration
	return time.Duration(n) * 24 * time.Hour, err
}

// auditShow is how events are shown, and which.
type auditShow struct{ all, asJSON bool }

// hides says of an event that it is left out for people: whoever looks for what was done to keys does not want each command that
// looked at them. That serve holds them is worth a line.
func (s auditShow) hides(e metadata.AuditEvent) bool {
	command, _, _ := strings.Cut(e.Actor, " ")
	return !s.all && !s.asJSON && audit.Action(e.Action) == audit.IdentityOpened && command != "serve" && command != "dev"
}

// auditPage is how many events are held at a time.
const auditPage = 1000

func listAudit(ctx context.Context, a app, store metadata.Store, want metadata.AuditFilter, show auditShow) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	lines := json.NewEncoder(a.stdout)
	headed := show.asJSON
	for {
		events, err := store.Audit(ctx, want, auditPage)
		if err != nil {
			return err
		}
		for _, e := range events {
			want.After = e.ID
			if show.hides(e) {
				continue
			}
			if !headed {
				fmt.Fprintln(w, "TIME\tACTION\tBUCKET\tSUBJECT\tBY\tDETAIL")
				headed = true
			}
			if show.asJSON {
				err = lines.Encode(auditLine{e.At, e.Actor, e.Action, e.Bucket, e.Subject, e.Detail})
			} else {
				_, err = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", e.At.Format(time.RFC3339), e.Action, orDash(e.Bucket), orDash(e.Subject), e.Actor, orDash(e.Detail))
			}
			if err != nil {
				return err
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if len(events) < auditPage {
			return nil
		}
	}
}

type auditLine struct {
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
	Action  string    `json:"action"`
	Bucket  string    `json:"bucket,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Detail  string    `json:"detail,omitempty"`
}
