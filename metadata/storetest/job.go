package storetest

import (
	"context"
	"slices"

	"github.com/google/go-cmp/cmp/cmpopts"

	"cofre/metadata"
)

// addJob adds a waiting job of the test's own bucket.
func (s *suite) addJob(kind string) metadata.Job {
	s.Helper()
	job := metadata.Job{ID: "job\x00\xff" + unique(), Kind: kind, Bucket: s.bucket, Parameters: []byte(`{"all":true}`), State: metadata.JobWaiting}
	s.must(s.store.AddJob(s.ctx, job))
	return job
}

func (s *suite) job(id string) metadata.Job {
	s.Helper()
	job, err := s.store.Job(s.ctx, id)
	s.must(err)
	return job
}

var jobTimes = cmpopts.IgnoreFields(metadata.Job{}, "Created", "Started", "Updated", "Ended")

// openOf gives the test's own jobs that are not over, as the store orders them.
func (s *suite) openOf() (ids []string) {
	s.Helper()
	all, err := s.store.OpenJobs(s.ctx)
	s.must(err)
	for _, j := range all {
		if j.Bucket == s.bucket {
			ids = append(ids, j.ID)
		}
	}
	return ids
}

var jobTests = map[string]func(*suite){
	"GoesFromWaitingToDone": func(s *suite) {
		job := s.addJob("reencrypt")
		s.must(s.store.AddJob(s.ctx, job))
		got := s.job(job.ID)
		s.equal(got, job, jobTimes)
		if got.Created.IsZero() || !got.Started.IsZero() || !got.Ended.IsZero() {
			s.Errorf("new job %+v", got)
		}
		taken, err := s.store.TakeJob(s.ctx, job.ID, "lease 1")
		s.must(err)
		if taken.State != metadata.JobRunning || taken.Lease != "lease 1" || taken.Started.IsZero() {
			s.Errorf("taken %+v", taken)
		}
		taken.Progress, taken.Message = []byte(`{"at":"k"}`), "waits\xff"
		cancelled, err := s.store.UpdateJob(s.ctx, taken)
		s.must(err)
		s.equal(s.job(job.ID), taken, jobTimes)
		taken.State = metadata.JobDone
		for range 2 {
			_, err := s.store.UpdateJob(s.ctx, taken)
			s.must(err)
		}
		done := s.job(job.ID)
		s.equal(done, taken, jobTimes)
		if cancelled || done.Ended.IsZero() || done.Started.Before(done.Created) || done.Ended.Before(done.Started) {
			s.Errorf("done %+v", done)
		}
		_, err = s.store.TakeJob(s.ctx, job.ID, "lease 2")
		s.wantErr(err, metadata.ErrConflict)
		s.must(s.store.CancelJob(s.ctx, job.ID))
		if state := s.job(job.ID).State; state != metadata.JobDone {
			s.Errorf("a job that is done was cancelled: %v", state)
		}
	},
	"IsOneOfItsKindAndBucket": func(s *suite) {
		first := s.addJob("reencrypt")
		other := first
		other.ID = unique()
		s.wantErr(s.store.AddJob(s.ctx, other), metadata.ErrConflict)
		_, err := s.store.Job(s.ctx, other.ID)
		s.wantErr(err, metadata.ErrNotFound)
		changed := first
		changed.Parameters = []byte("{}")
		s.wantErr(s.store.AddJob(s.ctx, changed), metadata.ErrConflict)
		second := s.addJob("migrate")
		if got := s.openOf(); !slices.Equal(got, []string{first.ID, second.ID}) {
			s.Errorf("open jobs %q", got)
		}
		s.must(s.store.CancelJob(s.ctx, first.ID))
		s.must(s.store.AddJob(s.ctx, other))
		if got := s.openOf(); !slices.Equal(got, []string{second.ID, other.ID}) {
			s.Errorf("open jobs %q", got)
		}
		newest, err := s.store.Jobs(s.ctx, 1)
		s.must(err)
		if len(newest) != 1 || newest[0].Created.Before(s.job(second.ID).Created) {
			s.Errorf("newest job %+v", newest)
		}
	},
	"BeginsWithItsProgressAndIsTheLastOfItsKind": func(s *suite) {
		_, err := s.store.LastJob(s.ctx, "reencrypt", s.bucket)
		s.wantErr(err, metadata.ErrNotFound)
		job := metadata.Job{
			ID: unique(), Kind: "reencrypt", Bucket: s.bucket, Parameters: []byte("{}"), Progress: []byte(`{"pending":"\u0000"}`), State: metadata.JobWaiting,
		}
		s.must(s.store.AddJob(s.ctx, job))
		s.addJob("migrate")
		last := func() metadata.Job {
			got, err := s.store.LastJob(s.ctx, "reencrypt", s.bucket)
			s.must(err)
			return got
		}
		s.equal(last(), job, jobTimes)
		taken, err := s.store.TakeJob(s.ctx, job.ID, "lease")
		s.must(err)
		taken.State = metadata.JobFailed
		_, err = s.store.UpdateJob(s.ctx, taken)
		s.must(err)
		s.equal(last(), taken, jobTimes)
		next := s.addJob("reencrypt")
		s.equal(last(), next, jobTimes)
		_, err = s.store.LastJob(s.ctx, "reencrypt", s.bucket+"x")
		s.wantErr(err, metadata.ErrNotFound)
	},
	"IsCancelledByItsHolderOnceItHasProgress": func(s *suite) {
		job := metadata.Job{ID: unique(), Kind: "reencrypt", Bucket: s.bucket, Parameters: []byte("{}"), Progress: []byte("begun"), State: metadata.JobWaiting}
		s.must(s.store.AddJob(s.ctx, job))
		s.must(s.store.CancelJob(s.ctx, job.ID))
		job.Cancelled = true
		s.equal(s.job(job.ID), job, jobTimes)
		taken, err := s.store.TakeJob(s.ctx, job.ID, "lease")
		s.must(err)
		if !taken.Cancelled || string(taken.Progress) != "begun" {
			s.Errorf("taken %+v", taken)
		}
		taken.State = metadata.JobCancelled
		_, err = s.store.UpdateJob(s.ctx, taken)
		s.must(err)
		if got := s.job(job.ID); got.State != metadata.JobCancelled || got.Ended.IsZero() {
			s.Errorf("%+v", got)
		}
	},
	"IsWrittenByWhoTookItLast": func(s *suite) {
		job := s.addJob("reencrypt")
		first, err := s.store.TakeJob(s.ctx, job.ID, "lease 1")
		s.must(err)
		second, err := s.store.TakeJob(s.ctx, job.ID, "lease 2")
		s.must(err)
		first.Progress = []byte("behind")
		_, err = s.store.UpdateJob(s.ctx, first)
		s.wantErr(err, metadata.ErrConflict)
		second.Progress = []byte("ahead")
		_, err = s.store.UpdateJob(s.ctx, second)
		s.must(err)
		second.State, second.Message = metadata.JobWaiting, "the backend does not answer"
		_, err = s.store.UpdateJob(s.ctx, second)
		s.must(err)
		second.State = metadata.JobRunning
		_, err = s.store.UpdateJob(s.ctx, second)
		s.wantErr(err, metadata.ErrConflict)
		if got := s.job(job.ID); got.State != metadata.JobWaiting || string(got.Progress) != "ahead" {
			s.Errorf("%+v", got)
		}
	},
	"IsCancelledAtOnceOrByItsHolder": func(s *suite) {
		waiting, running := s.addJob("migrate"), s.addJob("reencrypt")
		s.must(s.store.CancelJob(s.ctx, waiting.ID))
		if got := s.job(waiting.ID); got.State != metadata.JobCancelled || got.Ended.IsZero() {
			s.Errorf("%+v", got)
		}
		taken, err := s.store.TakeJob(s.ctx, running.ID, "lease")
		s.must(err)
		s.must(s.store.CancelJob(s.ctx, running.ID))
		cancelled, err := s.store.UpdateJob(s.ctx, taken)
		s.must(err)
		if got := s.job(running.ID); !cancelled || got.State != metadata.JobRunning || !got.Cancelled {
			s.Errorf("%+v, cancelled %v", got, cancelled)
		}
		s.wantErr(s.store.CancelJob(s.ctx, unique()), metadata.ErrNotFound)
		_, err = s.store.TakeJob(s.ctx, unique(), "lease")
		s.wantErr(err, metadata.ErrNotFound)
	},
	"LockHasOneHolder": func(s *suite) {
		id := unique()
		lock, err := s.store.LockJob(s.ctx, id)
		s.must(err)
		s.must(lock.Held(s.ctx))
		s.refused(func(ctx context.Context) (metadata.Lock, error) { return s.store.LockJob(ctx, id) })
		lock.Unlock()
		s.wantErr(lock.Held(s.ctx), metadata.ErrLockLost)
		again, err := s.store.LockJob(s.ctx, id)
		s.must(err)
		again.Unlock()
	},
}
