package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"cofre/audit"
	"cofre/backup"
	"cofre/keys"
	"cofre/keys/agefile"
	"cofre/metadata"
)

const restoreLong = "Read a backup from end to end, and only if all of it is what this site signed load it into the metadata store of the configuration: all of it\n" +
	"or nothing, in one transaction. Without a file, the newest backup is taken. Stop serve first; it would wait, and with SQLite it has the file.\n\n" +
	"The store must be empty. With --force what it has goes, at the same moment: the way when a new serve has already begun to fill an empty one.\n\n" +
	"KEKs come back read-only, and the first write makes a new one; closed ones stay closed, and those that a site could open which has left since\n" +
	"become so. The trust list is the newer one of the backup's and the file's beside the identity. Tombstones come back.\n\n" +
	"With a recovery identity what is sealed to the site alone is left out: KEKs (it has its own grants), credentials, uploads, jobs. Its trust list\n" +
	"must have the site as a member.\n\n" +
	"Then `cofre rebuild` finds what was written since the backup."

func restoreCommand(a app) *cobra.Command {
	var src backupSource
	var force bool
	cmd := &cobra.Command{
		Use: "restore", Short: "Load a backup into an empty metadata store, after all of it was checked", Long: restoreLong, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return restore(cmd.Context(), a, &src, force) },
	}
	src.flags(cmd, a, "from", "the backup")
	cmd.Flags().BoolVar(&force, "force", false, "replace the rows that the store has already")
	return cmd
}

func restore(ctx context.Context, a app, src *backupSource, force bool) error {
	cfg, err := src.load(a)
	if err != nil {
		return err
	}
	o, err := src.openFor(ctx, a, cfg)
	if err != nil {
		return err
	}
	defer o.done()
	fmt.Fprintf(a.stderr, "cofre: reading %s from end to end; nothing is changed before that\n", o.file)
	m, counts, err := backup.Check(ctx, o.src, o.believed, o.id)
	if err != nil {
		return fmt.Errorf("%s is not restored: %w", o.file, err)
	}
	fmt.Fprintf(a.stderr, "cofre: made by %s at %s, whole: %s\n", backupMaker(o, m), m.Created.Format(time.RFC3339), describeRows(counts))
	store, err := openStore(ctx, cfg)
	if err != nil {
		return err
	}
	defer store.Close()
	if store, err = withCache(store, cfg, prometheus.NewRegistry()); err != nil {
		return err
	}
	if err := checkOwner(ctx, store, o.id); err != nil {
		return err
	}
	done, err := loadBackup(ctx, store, o, m, force)
	if err != nil {
		return err
	}
	return reportRestored(ctx, a, store, o, m, done)
}

// checkOwner refuses a store that belongs to another identity, whatever is forced.
func checkOwner(ctx context.Context, store metadata.Store, id *keys.Identity) error {
	_, doc, err := store.TrustList(ctx)
	if errors.Is(err, keys.ErrNoTrustList) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the store: %w", err)
	}
	list, err := keys.InspectTrustList(doc)
	if err == nil && list.Site() != id.ID() {
		return fmt.Errorf("%w, %s: name another one in metadata.url", errOtherIdentity, list.Site())
	}
	return nil
}

func loadBackup(ctx context.Context, store metadata.Store, o openedBackup, m backup.Manifest, force bool) (backup.Restored, error) {
	owner := backup.Owner{Identity: o.id, Now: time.Now}
	doc, err := agefile.ReadTrustList(o.trust.path)
	switch {
	case err == nil:
		owner.TrustList = doc
	case !errors.Is(err, keys.ErrNoTrustList):
		return backup.Restored{}, err
	}
	done, err := backup.Restore(ctx, store, o.src, m, owner, force)
	if errors.Is(err, metadata.ErrNotEmpty) {
		return done, fmt.Errorf("%w: nothing was changed; with --force what it has is replaced by the backup, and `cofre rebuild` finds again what lies on the storage", err)
	}
	return done, err
}

// restoredNote is the name of the note that a store came from a backup, until a rebuild has gone through all buckets.
const restoredNote = "restored"

// restoredFrom is what the note says.
type restoredFrom struct {
	Backup  string    `json:"backup"`
	File    string    `json:"file"`
	Created time.Time `json:"created"`
}

func reportRestored(ctx context.Context, a app, store metadata.Store, o openedBackup, m backup.Manifest, done backup.Restored) error {
	text, err := json.Marshal(restoredFrom{fmt.Sprintf("%x", m.ID), o.file, m.Created})
	if err != nil {
		return err
	}
	err = errors.Join(
		store.SetNote(ctx, restoredNote, text),
		store.AddAudit(ctx, metadata.AuditEvent{
			Actor: a.actor(), Action: string(audit.StoreRestored), Subject: o.file,
			Detail: fmt.Sprintf("made %s, SHA-256 %x", m.Created.Format(time.RFC3339), m.SHA256),
		}))
	if err != nil {
		return fmt.Errorf("all rows were restored, but the store does not say so: %w", err)
	}
	fmt.Fprintf(a.stdout, "Restored from %s: %s.\n", o.file, describeRows(done.Counts))
	if len(done.Left) > 0 {
		fmt.Fprintf(a.stdout, "Left out, since only the site's own identity opens it: %s.\n", describeRows(done.Left))
	}
	if done.TrustFromFile {
		fmt.Fprintf(a.stdout, "The trust list is number %d of %s: the backup's is older.\n", done.TrustNumber, o.trust.path)
	}
	if done.Closed > 0 {
		fmt.Fprintf(a.stdout, "%s closed: a site that has left since the backup could open what they seal.\n", count(done.Closed, "KEK"))
	}
	if now := store.Now(); now.Before(m.Created) {
		fmt.Fprintf(a.stderr, "cofre: the store's clock says %s, which is before the backup was made: set it right before serve is started, or no tombstones are made until then\n",
			now.Format(time.RFC3339))
	}
	fmt.Fprintf(a.stdout, "What was written since %s is on the storage and not in the store. Start serve, which finds it as it is asked for, and run\n"+
		"`cofre rebuild`, which finds all of it. Credentials made or removed since then, and tombstones made since then, are not known any more.\n",
		m.Created.Format(time.RFC3339))
	return nil
}
