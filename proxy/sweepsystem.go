package proxy

import (
	"context"
	"time"

	"cofre/s3api"
)

// stagedKept is the age at which a staged file, or a probe, can only be what a process left behind that died: no form takes as long.
const stagedKept = 24 * time.Hour

// scratch removes what was written below a prefix of the system bucket before a time and never removed, by any process of any site that
// shares it: nobody can open it any more, or needs it.
func (s *sweeper) scratch(ctx context.Context, kind SweepKind, prefix string, before time.Time) error {
	sys := s.h.system()
	var failed error
	err := sys.eachPage(ctx, prefix, "", func(page *s3api.Listing) (last string) {
		for _, e := range page.Entries {
			last = e.Key
			if at, err := time.Parse(time.RFC3339, e.LastModified); err != nil || !at.Before(before) {
				continue
			}
			if !s.cfg.List {
				if failed = sys.Delete(ctx, e.Key); failed != nil {
					return ""
				}
			}
			s.tell(Swept{Kind: kind, Name: e.Key})
		}
		return last
	})
	if hasCode(err, s3api.ErrNoSuchBucket.Code) {
		return nil
	}
	if err != nil {
		return systemError("list", err)
	}
	return failed
}
