package main

import (
	"time"

	"go.uber.org/zap"

	"cofre/keys"
)

// rotatePolicy is what the configuration says of replacing KEKs, and a line in the log for each.
func rotatePolicy(cfg KeysConfig, logger *zap.Logger) keys.RotatePolicy {
	return keys.RotatePolicy{After: cfg.RotateAfter, Objects: int64(cfg.RotateObjects), Tell: func(r keys.Rotation) {
		fields := []zap.Field{
			zap.String("bucket", r.Bucket), zap.Stringer("old", r.Old), zap.Duration("age", r.Age.Round(time.Second)), zap.Int64("objects", r.Objects),
		}
		if r.Err != nil {
			logger.Warn("KEK was not replaced: it seals on, and it is tried again", append(fields, zap.Error(r.Err))...)
			return
		}
		logger.Info("KEK replaced", append(fields, zap.Stringer("new", r.New))...)
	}}
}
