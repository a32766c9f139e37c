package postgres

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"cofre/metadata"
)

const (
	insertJob = `INSERT INTO jobs (id, kind, bucket, parameters, progress) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`

	jobColumns = `
SELECT id, kind, bucket, parameters, progress, state, message, lease, cancelled, created, started, updated, ended FROM jobs `

	jobByID  = jobColumns + `WHERE id = $1`
	lastJob  = jobColumns + `WHERE kind = $1 AND bucket = $2 ORDER BY created DESC, id LIMIT 1`
	newJobs  = jobColumns + `ORDER BY created DESC, id LIMIT $1`
	openJobs = jobColumns + `WHERE state < 3 ORDER BY created, id`

	takeJob = `
UPDATE jobs SET state = 2, lease = $2, updated = clock_timestamp(), started = coalesce(started, clock_timestamp())
WHERE id = $1 AND state < 3`

	updateJob = `
UPDATE jobs SET progress = $3, state = $4::smallint, message = $5, updated = clock_timestamp(),
    ended = CASE WHEN $4::smallint >= 3 THEN clock_timestamp() END
WHERE id = $1 AND lease = $2 AND state = 2 RETURNING cancelled`

	cancelJob = `
UPDATE jobs SET cancelled = true, updated = clock_timestamp(),
    ended = CASE WHEN state = 1 AND progress = '' THEN clock_timestamp() END, state = CASE WHEN state = 1 AND progress = '' THEN 5 ELSE state END
WHERE id = $1 AND state < 3`
)

// AddJob implements metadata.Store.
func (s *Store) AddJob(ctx context.Context, job metadata.Job) error {
	return s.run(ctx, "add job", again, func(ctx context.Context, q querier) error {
		tag, err := q.Exec(ctx, insertJob, raw(job.ID), raw(job.Kind), raw(job.Bucket), present(job.Parameters), present(job.Progress))
		if err != nil || tag.RowsAffected() == 1 {
			return err
		}
		there, err := findJob(ctx, q, job.ID)
		same := err == nil && there.Kind == job.Kind && there.Bucket == job.Bucket && bytes.Equal(there.Parameters, job.Parameters)
		if errors.Is(err, metadata.ErrNotFound) || err == nil && !same {
			err = metadata.ErrConflict
		}
		return err
	})
}

// Job implements metadata.Store.
func (s *Store) Job(ctx context.Context, id string) (job metadata.Job, err error) {
	err = s.run(ctx, "find job", again, func(ctx context.Context, q querier) (err error) {
		job, err = findJob(ctx, q, id)
		return err
	})
	return job, err
}

func findJob(ctx context.Context, q querier, id string) (metadata.Job, error) {
	return foundJob(q.QueryRow(ctx, jobByID, raw(id)))
}

func foundJob(r pgx.Row) (metadata.Job, error) {
	job, err := scanJob(r)
	if errors.Is(err, pgx.ErrNoRows) {
		err = metadata.ErrNotFound
	}
	return job, err
}

// LastJob implements metadata.Store.
func (s *Store) LastJob(ctx context.Context, kind, bucket string) (job metadata.Job, err error) {
	err = s.run(ctx, "find last job", again, func(ctx context.Context, q querier) (err error) {
		job, err = foundJob(q.QueryRow(ctx, lastJob, raw(kind), raw(bucket)))
		return err
	})
	return job, err
}

// Jobs implements metadata.Store.
func (s *Store) Jobs(ctx context.Context, limit int) ([]metadata.Job, error) {
	return s.jobs(ctx, newJobs, limit)
}

// OpenJobs implements metadata.Store.
func (s *Store) OpenJobs(ctx context.Context) ([]metadata.Job, error) { return s.jobs(ctx, openJobs) }

func (s *Store) jobs(ctx context.Context, query string, args ...any) (found []metadata.Job, err error) {
	err = s.run(ctx, "list jobs", again, func(ctx context.Context, q querier) error {
		rows, err := q.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (metadata.Job, error) { return scanJob(r) })
		return err
	})
	return found, err
}

// TakeJob implements metadata.Store.
func (s *Store) TakeJob(ctx context.Context, id, lease string) (job metadata.Job, err error) {
	err = s.run(ctx, "take job", again, func(ctx context.Context, q querier) error {
		tag, err := q.Exec(ctx, takeJob, raw(id), raw(lease))
		if err != nil {
			return err
		}
		if job, err = findJob(ctx, q, id); err == nil && tag.RowsAffected() == 0 {
			err = metadata.ErrConflict
		}
		return err
	})
	if err != nil {
		return metadata.Job{}, err
	}
	return job, nil
}

// UpdateJob implements metadata.Store.
func (s *Store) UpdateJob(ctx context.Context, job metadata.Job) (cancelled bool, err error) {
	err = s.run(ctx, "update job", again, func(ctx context.Context, q querier) error {
		err := q.QueryRow(ctx, updateJob, raw(job.ID), raw(job.Lease), present(job.Progress), int16(job.State), raw(job.Message)).Scan(&cancelled)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		there, err := findJob(ctx, q, job.ID)
		if err == nil && there.Lease == job.Lease && there.State == job.State {
			cancelled = there.Cancelled // the answer to the first of two was lost
			return nil
		}
		if err == nil {
			err = metadata.ErrConflict
		}
		return err
	})
	return cancelled, err
}

// CancelJob implements metadata.Store.
func (s *Store) CancelJob(ctx context.Context, id string) error {
	return s.run(ctx, "cancel job", again, func(ctx context.Context, q querier) error {
		tag, err := q.Exec(ctx, cancelJob, raw(id))
		if err == nil && tag.RowsAffected() == 0 {
			_, err = findJob(ctx, q, id)
		}
		return err
	})
}

func scanJob(r pgx.Row) (job metadata.Job, err error) {
	var (
		id, kind, bucket, message, lease []byte
		started, ended                   *time.Time
	)
	err = r.Scan(&id, &kind, &bucket, &job.Parameters, &job.Progress, &job.State, &message, &lease, &job.Cancelled,
		&job.Created, &started, &job.Updated, &ended)
	job.ID, job.Kind, job.Bucket, job.Message, job.Lease = string(id), string(kind), string(bucket), string(message), string(lease)
	job.Created, job.Updated = job.Created.UTC(), job.Updated.UTC()
	if started != nil {
		job.Started = started.UTC()
	}
	if ended != nil {
		job.Ended = ended.UTC()
	}
	return job, err
}
