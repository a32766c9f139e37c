package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"cofre/access"
	"cofre/backend"
	"cofre/backup"
	"cofre/keys"
)

// backupTarget is a place for backups in words: a directory, s3://bucket/prefix, or one file of either.
type backupTarget struct {
	bucket, prefix string // of s3://
	dir            string // else
	file           string // the file that is meant; empty for the place itself
}

// parseTarget reads --to, --from and backup.to. Of s3:// what ends in the suffix of backups is a file, and the rest a prefix that ends
// where a folder does; of paths, what is a directory is one.
func parseTarget(text string) (backupTarget, error) {
	rest, isBucket := strings.CutPrefix(text, "s3://")
	if !isBucket {
		info, err := os.Stat(text)
		switch {
		case err == nil && info.IsDir():
			return backupTarget{dir: text}, nil
		case strings.HasSuffix(text, "/"):
			return backupTarget{}, fmt.Errorf("%s is no directory: make it first", text)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return backupTarget{}, err
		}
		return backupTarget{dir: filepath.Dir(text), file: filepath.Base(text)}, nil
	}
	t := backupTarget{}
	t.bucket, t.prefix, _ = strings.Cut(rest, "/")
	if t.bucket == "" {
		return backupTarget{}, fmt.Errorf("%s names no bucket", text)
	}
	if strings.HasSuffix(t.prefix, backup.Suffix) {
		at := strings.LastIndex(t.prefix, "/") + 1
		t.prefix, t.file = t.prefix[:at], t.prefix[at:]
	}
	if t.prefix != "" && !strings.HasSuffix(t.prefix, "/") {
		t.prefix += "/" // so that no file of a neighbour has a name that begins alike
	}
	return t, nil
}

// backupSource is what the commands about backups have in common: where they are.
type backupSource struct {
	siteSource
	where  string
	target exportTarget
}

func (s *backupSource) flags(cmd *cobra.Command, a app, name, usage string) {
	s.siteSource.flags(cmd, a)
	s.targetFlags(cmd, name, usage)
}

func (s *backupSource) targetFlags(cmd *cobra.Command, name, usage string) {
	cmd.Flags().StringVar(&s.where, name, "", usage+": a directory, a file, or s3://bucket/prefix/ (backup.to of the configuration)")
	s.target.flags(cmd.Flags(), "with s3://: URL of the storage, where it is not the backend of the configuration")
}

// place opens where the backups are, and gives the file that is meant. c is what the configuration says.
func (s *backupSource) place(ctx context.Context, a app, cfg Config) (in backup.Place, file string, done func(), err error) {
	if s.where == "" {
		return openPlace(ctx, cfg)
	}
	t, err := parseTarget(s.where)
	if err != nil {
		return nil, "", nil, usageError{err}
	}
	if t.bucket == "" {
		return backup.NewDir(t.dir), t.file, func() {}, nil
	}
	if s.target.endpoint != "" {
		client, err := s.target.client(a)
		if err != nil {
			return nil, "", nil, err
		}
		return openBucketPlace(ctx, client, t)
	}
	if s.data != "" {
		return nil, "", nil, usagef("`cofre dev` has its storage within itself: give --endpoint with s3://, or a directory")
	}
	client, err := backupClient(cfg)
	if err != nil {
		return nil, "", nil, err
	}
	return openBucketPlace(ctx, client, t)
}

// openPlace opens what backup.to names.
func openPlace(ctx context.Context, cfg Config) (in backup.Place, file string, done func(), err error) {
	if cfg.Backup.To == "" {
		return nil, "", nil, usagef("no place for backups is named: give --to or --from, or set backup.to in the configuration")
	}
	t, err := parseTarget(cfg.Backup.To)
	if err != nil {
		return nil, "", nil, usagef("backup.to: %w", err)
	}
	if t.bucket == "" {
		return backup.NewDir(t.dir), t.file, func() {}, nil
	}
	client, err := backupClient(cfg)
	if err != nil {
		return nil, "", nil, err
	}
	return openBucketPlace(ctx, client, t)
}

// backupClient speaks to backup.endpoint or, where that is not set, to the backend as the site itself.
func backupClient(cfg Config) (*backend.Client, error) {
	if cfg.Backup.Endpoint == "" {
		if cfg.Backend.Endpoint == "" {
			return nil, usagef("s3://...: give --endpoint, or backend.endpoint in the configuration")
		}
		return openBackend(cfg, outside{}, prometheus.NewRegistry())
	}
	client, err := backend.New(backend.Config{
		Endpoint: cfg.Backup.Endpoint, Region: cfg.Backup.Region, CAFile: cfg.Backup.CAFile,
		Users: map[access.BackendUser]backend.Credentials{
			access.SiteUser: {AccessKeyID: cfg.Backup.AccessKey, SecretAccessKey: cfg.Backup.SecretKey.Reveal()},
		},
	})
	if err != nil {
		return nil, usagef("backup.endpoint: %w", err)
	}
	return client, nil
}

func openBucketPlace(ctx context.Context, client *backend.Client, t backupTarget) (backup.Place, string, func(), error) {
	in := backup.NewBucket(client, t.bucket, t.prefix)
	if err := in.Reachable(ctx); err != nil {
		client.Close()
		return nil, "", nil, err
	}
	return in, t.file, client.Close, nil
}

// newest gives the newest backup of a believed site, of those that a place has.
func newest(ctx context.Context, in backup.Place, believed backup.Signer) (string, error) {
	all, err := backup.List(ctx, in, believed)
	if err != nil {
		return "", err
	}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Err == nil {
			return all[i].File.Name, nil
		}
	}
	return "", fmt.Errorf("%s has no backup of this site (%s)", in, count(len(all), "file"))
}

// believedBy says whose backups an identity believes: its own, and a recovery identity those of the members that its trust list names.
func believedBy(id *keys.Identity, list *keys.TrustList) backup.Signer {
	return func(site keys.SiteID) (keys.Card, bool) {
		if site == id.ID() {
			return id.Card(), true
		}
		if !id.Recovery() {
			return keys.Card{}, false
		}
		for _, e := range list.Entries() {
			if e.Card.ID == site && e.Role == keys.Member && e.Withdrawn.IsZero() {
				return e.Card, true
			}
		}
		return keys.Card{}, false
	}
}

// openFor opens identity, trust list and place of a command that reads backups, and chooses the file: the one that is named, or the newest.
func (s *backupSource) openFor(ctx context.Context, a app, cfg Config) (o openedBackup, err error) {
	if o.id, o.trust, err = s.openTrusting(ctx, a); err != nil {
		return o, err
	}
	o.believed = believedBy(o.id, o.trust.Current())
	if o.in, o.file, o.done, err = s.place(ctx, a, cfg); err != nil {
		return o, err
	}
	if o.file == "" {
		if o.file, err = newest(ctx, o.in, o.believed); err != nil {
			o.done()
			return o, err
		}
	}
	if o.src, err = o.in.Open(ctx, o.file); err != nil {
		o.done()
	}
	return o, err
}

type openedBackup struct {
	id       *keys.Identity
	trust    *trustKeeper
	believed backup.Signer
	in       backup.Place
	file     string
	src      backup.Source
	done     func()
}

// openTrusting opens the identity and the trust list beside it, without a store.
func (s *backupSource) openTrusting(ctx context.Context, a app) (*keys.Identity, *trustKeeper, error) {
	siteCfg, id, err := s.open(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	trust, err := openTrust(ctx, id, trustPath(siteCfg.Site.Identity), nil)
	return id, trust, err
}

// loadLoosely gives the configuration as far as reading a backup needs it: without a store, and without a backend where none is asked.
func (s *backupSource) loadLoosely(a app) (Config, error) {
	if s.data != "" {
		return devDirectory(s.data).config()
	}
	l := loadConfig(s.config, a.environ, "site", "backend", "backup")
	return l.config, l.err()
}
