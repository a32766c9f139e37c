package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"

	"cofre/metadata"
)

const (
	insertJob = `
INSERT INTO jobs (id, kind, bucket, parameters, progress, state, message, lease, cancelled, created, started, updated, ended)
VALUES (?1, ?2, ?3, ?4, ?6, 1, x'', x'', 0, ?5, 0, ?5, 0)`

	jobColumns = `
SELECT id, kind, bucket, parameters, progress, state, message, lease, cancelled, created, started, updated, ended FROM jobs `

	jobByID   = jobColumns + `WHERE id = ?1`
	jobOpenOf = jobColumns + `WHERE bucket = ?1 AND kind = ?2 AND state < 3`
	lastJob   = jobColumns + `WHERE kind = ?1 AND bucket = ?2 ORDER BY created DESC, id LIMIT 1`
	newJobs   = jobColumns + `ORDER BY created DESC, id LIMIT ?1`
	openJobs  = jobColumns + `WHERE state < 3 ORDER BY created, id`

	setJob = `
UPDATE jobs SET progress = ?2, state = ?3, message = ?4, lease = ?5, cancelled = ?6, started = ?7, updated = ?8, ended = ?9 WHERE id = ?1`
)

// AddJob implements metadata.Store.
func (s *Store) AddJob(ctx context.Context, job metadata.Job) error {
	return s.failed("add job", s.write.update(ctx, func(t *transaction) error {
		there, exists, err := t.job(jobByID, blob(job.ID))
		switch {
		case err != nil:
			return err
		case exists && there.Kind == job.Kind && there.Bucket == job.Bucket && bytes.Equal(there.Parameters, job.Parameters):
			return nil
		case exists:
			return metadata.ErrConflict
		}
		if _, exists, err = t.job(jobOpenOf, blob(job.Bucket), blob(job.Kind)); err != nil || exists {
			return errors.Join(conflictIf(exists), err)
		}
		now, err := t.now()
		if err != nil {
			return err
		}
		_, err = t.exec(insertJob, blob(job.ID), blob(job.Kind), blob(job.Bucket), present(job.Parameters), now, present(job.Progress))
		return err
	}))
}

func conflictIf(conflict bool) error {
	if conflict {
		return metadata.ErrConflict
	}
	return nil
}

// Job implements metadata.Store.
func (s *Store) Job(ctx context.Context, id string) (metadata.Job, error) {
	return s.oneJob(ctx, "find job", jobByID, blob(id))
}

// LastJob implements metadata.Store.
func (s *Store) LastJob(ctx context.Context, kind, bucket string) (metadata.Job, error) {
	return s.oneJob(ctx, "find last job", lastJob, blob(kind), blob(bucket))
}

func (s *Store) oneJob(ctx context.Context, call, query string, args ...any) (metadata.Job, error) {
	found, err := s.jobs(ctx, query, args...)
	if err == nil && len(found) == 0 {
		err = metadata.ErrNotFound
	}
	if err != nil {
		return metadata.Job{}, s.failed(call, err)
	}
	return found[0], nil
}

// Jobs implements metadata.Store.
func (s *Store) Jobs(ctx context.Context, limit int) ([]metadata.Job, error) {
	found, err := s.jobs(ctx, newJobs, limit)
	return found, s.failed("list jobs", err)
}

// OpenJobs implements metadata.Store.
func (s *Store) OpenJobs(ctx context.Context) ([]metadata.Job, error) {
	found, err := s.jobs(ctx, openJobs)
	return found, s.failed("list jobs", err)
}

func (s *Store) jobs(ctx context.Context, query string, args ...any) (found []metadata.Job, err error) {
	err = s.read.query(ctx, query, func(rows *sql.Rows) error {
		job, err := scanJob(rows)
		found = append(found, job)
		return err
	}, args...)
	return found, err
}

// TakeJob implements metadata.Store.
func (s *Store) TakeJob(ctx context.Context, id, lease string) (job metadata.Job, err error) {
	err = s.changeJob(ctx, "take job", id, func(there *metadata.Job, now int64) error {
		if there.State.Over() {
			return metadata.ErrConflict
		}
		there.State, there.Lease = metadata.JobRunning, lease
		if there.Started.IsZero() {
			there.Started = fromNanos(now)
		}
		there.Updated = fromNanos(now)
		job = *there
		return nil
	})
	if err != nil {
		return metadata.Job{}, err
	}
	return job, nil
}

// UpdateJob implements metadata.Store.
func (s *Store) UpdateJob(ctx context.Context, job metadata.Job) (cancelled bool, err error) {
	err = s.changeJob(ctx, "update job", job.ID, func(there *metadata.Job, now int64) error {
		if there.Lease != job.Lease || there.State != metadata.JobRunning && there.State != job.State {
			return metadata.ErrConflict
		}
		cancelled = there.Cancelled
		if there.State != metadata.JobRunning {
			return nil
		}
		there.Progress, there.State, there.Message, there.Updated = job.Progress, job.State, job.Message, fromNanos(now)
		if job.State.Over() {
			there.Ended = there.Updated
		}
		return nil
	})
	return cancelled, err
}

// CancelJob implements metadata.Store.
func (s *Store) CancelJob(ctx context.Context, id string) error {
	return s.changeJob(ctx, "cancel job", id, func(there *metadata.Job, now int64) error {
		if there.State.Over() {
			return nil
		}
		there.Cancelled, there.Updated = true, fromNanos(now)
		if there.State == metadata.JobWaiting && len(there.Progress) == 0 {
			there.State, there.Ended = metadata.JobCancelled, there.Updated
		}
		return nil
	})
}

// changeJob reads a job, changes it and writes it back, in one transaction.
func (s *Store) changeJob(ctx context.Context, call, id string, change func(job *metadata.Job, now int64) error) error {
	return s.failed(call, s.write.update(ctx, func(t *transaction) error {
		job, exists, err := t.job(jobByID, blob(id))
		if err == nil && !exists {
			err = metadata.ErrNotFound
		}
		if err != nil {
			return err
		}
		now, err := t.now()
		if err != nil {
			return err
		}
		if err := change(&job, now); err != nil {
			return err
		}
		_, err = t.exec(setJob, blob(id), present(job.Progress), int64(job.State), blob(job.Message), blob(job.Lease), job.Cancelled,
			toNanos(job.Started), toNanos(job.Updated), toNanos(job.Ended))
		return err
	}))
}

func (t *transaction) job(query string, args ...any) (job metadata.Job, exists bool, err error) {
	stmt, err := t.writer.prepare(t.ctx, query)
	if err != nil {
		return job, false, err
	}
	job, err = scanJob(stmt.QueryRowContext(t.ctx, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return job, false, nil
	}
	return job, err == nil, err
}

func scanJob(rows scanner) (job metadata.Job, err error) {
	var created, started, updated, ended int64
	err = rows.Scan(&job.ID, &job.Kind, &job.Bucket, &job.Parameters, &job.Progress, &job.State, &job.Message, &job.Lease, &job.Cancelled,
		&created, &started, &updated, &ended)
	job.Created, job.Started, job.Updated, job.Ended = fromNanos(created), fromNanos(started), fromNanos(updated), fromNanos(ended)
	return job, err
}
