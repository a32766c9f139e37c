package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cofre/audit"
	"cofre/backup"
	"cofre/metadata"
)

// backupPlan is what the flags of `cofre backup` say.
type backupPlan struct {
	source
	where          backupSource
	keep, keepDays int
	asJSON         bool
}

const backupLong = "Write a backup of the metadata store as it is at one moment, while clients go on: records, tombstones, KEKs, trust list, credentials,\n" +
	"uploads, jobs and audit trail. The file is sealed to this site and to the recovery identities that it trusts for every bucket, and signed by\n" +
	"this site; it is read back before anything older is removed. A running serve makes backups by itself where backup.to is set.\n\n" +
	"A SQLite store is for one process: stop serve first, or have serve make the backups."

func backupCommand(a app) *cobra.Command {
	var plan backupPlan
	cmd := &cobra.Command{
		Use: "backup", Short: "Write an encrypted, signed backup of the metadata store; verify and list them", Long: backupLong,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q for %q: use list, verify, or none to make a backup", args[0], cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			retention, err := plan.retention(cmd)
			if err != nil {
				return err
			}
			return plan.withSite(cmd.Context(), a, func(cfg Config, s *site) error { return makeBackup(cmd.Context(), a, cfg, s, &plan, retention) })
		},
	}
	plan.flags(cmd, a)
	plan.where.targetFlags(cmd, "to", "where to write it")
	flags := cmd.Flags()
	flags.IntVar(&plan.keep, "keep", 0, "keep so many of this site's backups there, and remove older ones (backup.keep, where --to is not given)")
	flags.IntVar(&plan.keepDays, "keep-days", 0, "remove this site's backups there that are older than so many days")
	flags.BoolVar(&plan.asJSON, "json", false, "print what was done as JSON")
	cmd.AddCommand(backupListCommand(a), backupVerifyCommand(a))
	return cmd
}

// retention is what the flags say of older backups; nil where that is for the configuration to say.
func (p *backupPlan) retention(cmd *cobra.Command) (*backup.Retention, error) {
	given := cmd.Flags().Changed("keep") || cmd.Flags().Changed("keep-days")
	switch {
	case given && (p.keep < 0 || p.keepDays < 0 || p.keep+p.keepDays == 0):
		return nil, usagef("--keep and --keep-days: give a number of 1 or more")
	case !given && p.where.where == "":
		return nil, nil
	}
	return &backup.Retention{Keep: p.keep, KeepFor: time.Duration(p.keepDays) * 24 * time.Hour}, nil
}

// madeLine is a backup for programs.
type madeLine struct {
	ID      string                     `json:"id"`
	Site    string                     `json:"site"`
	Created time.Time                  `json:"created"`
	Place   string                     `json:"place"`
	File    string                     `json:"file"`
	Size    int64                      `json:"size"`
	SHA256  string                     `json:"sha256"`
	Rows    int64                      `json:"rows"`
	Kinds   map[metadata.RowKind]int64 `json:"kinds,omitempty"`
	Removed []string                   `json:"removed,omitempty"`
	Seconds float64                    `json:"seconds,omitempty"`
}

func lineOf(m backup.Manifest, in backup.Place, file string, size int64) madeLine {
	return madeLine{
		ID: fmt.Sprintf("%x", m.ID), Site: m.Site.String(), Created: m.Created, Place: in.String(), File: file, Size: size,
		SHA256: fmt.Sprintf("%x", m.SHA256), Rows: m.Rows,
	}
}

func makeBackup(ctx context.Context, a app, cfg Config, s *site, plan *backupPlan, retention *backup.Retention) error {
	plan.where.data = plan.data
	in, file, done, err := plan.where.place(ctx, a, cfg)
	if err != nil {
		return err
	}
	defer done()
	if retention == nil {
		retention = cfg.Backup.retention()
	}
	if file != "" && *retention != (backup.Retention{}) {
		return usagef("--keep and --keep-days are for a directory or a prefix, and not for one file")
	}
	report := reporter{out: a.stderr, last: time.Now()}
	made, err := s.backup(ctx, in, file, *retention, func(rows int64) { report.print("cofre: %d rows so far", rows) })
	if err != nil {
		return err
	}
	if plan.asJSON {
		err = json.NewEncoder(a.stdout).Encode(made.line)
	} else {
		err = made.print(a, len(s.trust.Current().Confidants())-1)
	}
	return errors.Join(err, made.kept)
}

func (c BackupConfig) retention() *backup.Retention {
	return &backup.Retention{Keep: c.Keep, KeepFor: c.KeepFor}
}

// madeBackup is a backup and what became of older ones.
type madeBackup struct {
	line madeLine
	kept error
}

func (m madeBackup) print(a app, recovery int) error {
	l := m.line
	fmt.Fprintf(a.stdout, "%s: %s, %s, in %s; read back and found whole\n", l.File, count(l.Rows, "row"), Size(l.Size).rounded(),
		time.Duration(l.Seconds*float64(time.Second)).Round(time.Millisecond))
	if recovery == 0 {
		fmt.Fprintln(a.stderr, "cofre: only this site's identity opens it: there is no recovery identity that is trusted for every bucket")
	}
	for _, name := range l.Removed {
		fmt.Fprintf(a.stdout, "removed %s\n", name)
	}
	return nil
}

// backupNote is the name of the note in which the last backup is kept, for all replicas.
const backupNote = "backup"

// backup makes a backup of the site's store, and notes it.
func (s *site) backup(ctx context.Context, in backup.Place, file string, r backup.Retention, progress func(int64)) (madeBackup, error) {
	began := time.Now()
	author := backup.Author{Site: s.identity, Recipients: s.trust.Current().Confidants(), Now: time.Now}
	made, err := backup.Make(ctx, s.store, author, in, file, r, progress)
	if err != nil {
		return madeBackup{}, err
	}
	l := lineOf(made.Manifest, in, made.File, made.FileSize)
	l.Kinds, l.Removed, l.Seconds = made.Counts, made.Removed, time.Since(began).Seconds()
	s.trail.Note(audit.Event{Action: audit.BackupMade, Subject: made.File, Detail: fmt.Sprintf("%s, %d rows, SHA-256 %s", l.Place, l.Rows, l.SHA256)})
	text, err := json.Marshal(l)
	if err == nil {
		err = s.store.SetNote(ctx, backupNote, text)
	}
	if err != nil {
		err = fmt.Errorf("note backup: %w", err)
	}
	return madeBackup{line: l, kept: errors.Join(made.Kept, err)}, nil
}

func backupListCommand(a app) *cobra.Command {
	var src backupSource
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the backups of this site, oldest first",
		Long: "List the backups that lie in a directory or below a prefix. Signatures are verified, by the end of each file alone: `cofre backup verify`\n" +
			"reads a whole one. What is no backup of this site is listed as such, and touched by no retention.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return listBackups(cmd.Context(), a, &src, asJSON) },
	}
	src.flags(cmd, a, "from", "where to look")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document a line")
	return cmd
}

func listBackups(ctx context.Context, a app, src *backupSource, asJSON bool) error {
	cfg, err := src.loadLoosely(a)
	if err != nil {
		return err
	}
	id, trust, err := src.openTrusting(ctx, a)
	if err != nil {
		return err
	}
	in, file, done, err := src.place(ctx, a, cfg)
	if err != nil {
		return err
	}
	defer done()
	if file != "" {
		return usagef("--from names a file: give the directory or the prefix that it is in, or use `cofre backup verify`")
	}
	all, err := backup.List(ctx, in, believedBy(id, trust.Current()))
	if err != nil {
		return err
	}
	if asJSON {
		return printListed(a, in, all)
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MADE\tROWS\tSIZE\tFILE")
	for _, l := range all {
		if l.Err != nil {
			fmt.Fprintf(table, "-\t-\t%s\t%s: %v\n", Size(l.File.Size).rounded(), l.File.Name, l.Err)
			continue
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", l.Created.Format(time.RFC3339), l.Rows, Size(l.File.Size).rounded(), l.File.Name)
	}
	return table.Flush()
}

func printListed(a app, in backup.Place, all []backup.Listed) error {
	out := json.NewEncoder(a.stdout)
	for _, l := range all {
		var err error
		if l.Err != nil {
			err = out.Encode(map[string]any{"place": in.String(), "file": l.File.Name, "size": l.File.Size, "error": l.Err.Error()})
		} else {
			err = out.Encode(lineOf(l.Manifest, in, l.File.Name, l.File.Size))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func backupVerifyCommand(a app) *cobra.Command {
	var src backupSource
	var asJSON bool
	cmd := &cobra.Command{
		Use: "verify", Short: "Read a backup from end to end, as restore does, and touch nothing",
		Long: "Verify a backup, or the newest of a directory or a prefix: signature, digest, and every row, opened with the site's identity or a recovery\n" +
			"identity. The store is not touched. Exit code 1: it is not what this site signed, or this identity cannot open it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return verifyBackup(cmd.Context(), a, &src, asJSON) },
	}
	src.flags(cmd, a, "from", "the backup")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what it holds as JSON")
	return cmd
}

func verifyBackup(ctx context.Context, a app, src *backupSource, asJSON bool) error {
	cfg, err := src.loadLoosely(a)
	if err != nil {
		return err
	}
	o, err := src.openFor(ctx, a, cfg)
	if err != nil {
		return err
	}
	defer o.done()
	m, counts, err := backup.Check(ctx, o.src, o.believed, o.id)
	if err != nil {
		return fmt.Errorf("%s: %w", o.file, err)
	}
	if asJSON {
		l := lineOf(m, o.in, o.file, o.src.Size())
		l.Kinds = counts
		return json.NewEncoder(a.stdout).Encode(l)
	}
	fmt.Fprintf(a.stdout, "%s: made by %s at %s, whole: %s\n", o.file, backupMaker(o, m), m.Created.Format(time.RFC3339), describeRows(counts))
	return nil
}

func backupMaker(o openedBackup, m backup.Manifest) string {
	if m.Site == o.id.ID() {
		return "this site"
	}
	return fmt.Sprintf("site %q", siteName(o.trust.Current(), m.Site))
}

// describeRows says for people how many rows of each kind there are.
func describeRows(counts map[metadata.RowKind]int64) string {
	var parts []string
	for _, k := range []struct {
		kind metadata.RowKind
		word string
	}{
		{metadata.RecordRow, "record"}, {metadata.KEKRow, "KEK"}, {metadata.CredentialRow, "credential"}, {metadata.UploadRow, "upload"},
		{metadata.UploadPartRow, "upload part"}, {metadata.JobRow, "job"}, {metadata.GuardRow, "guarded bucket"},
		{metadata.StagedRow, "staged row"}, {metadata.AuditRow, "audit event"}, {metadata.TrustListRow, "trust list"},
	} {
		if n := counts[k.kind]; n > 0 {
			parts = append(parts, count(n, k.word))
		}
	}
	if len(parts) == 0 {
		return "no rows"
	}
	return strings.Join(parts, ", ")
}
