package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.uber.org/zap"

	"cofre/internal/pause"
	"cofre/metadata"
)

const (
	// backupLook is how often a replica looks whether a backup is due, and what the others have made; an eighth of the time between two
	// where that is shorter.
	backupLook = time.Minute
	// backupRetry is when it is tried again after one has failed.
	backupRetry = 10 * time.Minute
	// backupLockWait is how long the lock may take to be had: it is free, or another replica makes one.
	backupLockWait = 500 * time.Millisecond
)

// backupKeeper makes backups while the site is served: by one replica at a time, at the times that the store's own clock says.
type backupKeeper struct {
	site *site
	cfg  Config
	log  *zap.Logger

	last, size, rows, seconds prometheus.Gauge
	failures                  prometheus.Counter
}

// newBackupKeeper gives nil where the configuration asks for no backups: then there are no metrics of them either.
func newBackupKeeper(s *site, cfg Config, log *zap.Logger, registry prometheus.Registerer) *backupKeeper {
	if cfg.Backup.To == "" || cfg.Backup.Every == 0 {
		return nil
	}
	f := promauto.With(registry)
	f.NewGauge(prometheus.GaugeOpts{
		Name: "cofre_backup_interval_seconds", Help: "How often the configuration wants a backup of the metadata store.",
	}).Set(cfg.Backup.Every.Seconds())
	return &backupKeeper{
		site: s, cfg: cfg, log: log,
		last: f.NewGauge(prometheus.GaugeOpts{
			Name: "cofre_backup_last_success_timestamp_seconds",
			Help: "When the last backup of the metadata store was made and read back, by any replica or command; 0 for never.",
		}),
		size:     f.NewGauge(prometheus.GaugeOpts{Name: "cofre_backup_last_size_bytes", Help: "Size of the last backup."}),
		rows:     f.NewGauge(prometheus.GaugeOpts{Name: "cofre_backup_last_rows", Help: "Rows in the last backup."}),
		seconds:  f.NewGauge(prometheus.GaugeOpts{Name: "cofre_backup_last_duration_seconds", Help: "How long the last backup took, reading back included."}),
		failures: f.NewCounter(prometheus.CounterOpts{Name: "cofre_backup_failures_total", Help: "Backups that this replica began and that failed."}),
	}
}

// run makes backups until ctx ends.
func (k *backupKeeper) run(ctx context.Context) {
	if k == nil {
		return
	}
	for {
		wait := min(backupLook, k.cfg.Backup.Every/8)
		if err := k.round(ctx); err != nil && ctx.Err() == nil {
			k.failures.Inc()
			k.log.Error("backup of the metadata store failed", zap.Error(err))
			wait = min(backupRetry, k.cfg.Backup.Every/8)
		}
		if pause.For(ctx, wait) != nil {
			return
		}
	}
}

// round makes a backup if one is due and no other replica is at it.
func (k *backupKeeper) round(ctx context.Context) error {
	due, err := k.due(ctx)
	if err != nil || !due {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, backupLockWait)
	lock, err := k.site.store.LockJob(wait, backupNote)
	cancel()
	if errors.Is(err, metadata.ErrLockTimeout) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if due, err = k.due(ctx); err != nil || !due { // another one may just have made it
		return err
	}
	in, _, done, err := openPlace(ctx, k.cfg)
	if err != nil {
		return err
	}
	defer done()
	made, err := k.site.backup(ctx, in, "", *k.cfg.Backup.retention(), nil)
	if err != nil {
		return err
	}
	k.log.Info("backup of the metadata store made", zap.String("file", made.line.File), zap.String("place", made.line.Place),
		zap.Int64("rows", made.line.Rows), zap.Int64("size", made.line.Size), zap.Strings("removed", made.line.Removed))
	if made.kept != nil {
		k.log.Warn("older backups stay although their time is over", zap.Error(made.kept))
	}
	_, err = k.due(ctx) // for the metrics
	return err
}

// due says whether it is time, and brings the metrics up to date with what any replica has done. One that another identity made counts
// for nothing: only the old identity opens it.
func (k *backupKeeper) due(ctx context.Context) (bool, error) {
	note, err := k.site.store.Note(ctx, backupNote)
	if errors.Is(err, metadata.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	var l madeLine
	if err := json.Unmarshal(note.Text, &l); err != nil {
		return false, fmt.Errorf("read note of the last backup: %w", err)
	}
	if l.Site != k.site.identity.ID().String() {
		return true, nil
	}
	k.last.Set(float64(note.At.Unix()))
	k.size.Set(float64(l.Size))
	k.rows.Set(float64(l.Rows))
	k.seconds.Set(l.Seconds)
	return !k.site.store.Now().Before(note.At.Add(k.cfg.Backup.Every)), nil
}
