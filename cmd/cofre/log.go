package main

import (
	"fmt"
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger makes the log: JSON, one object per line, nothing sampled away.
func newLogger(level string, out io.Writer) (*zap.Logger, error) {
	l, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, usagef("log.level: %w", err)
	}
	enc := zap.NewProductionEncoderConfig()
	enc.TimeKey = "time"
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	enc.MessageKey = "message"
	enc.EncodeDuration = zapcore.SecondsDurationEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(enc), zapcore.Lock(zapcore.AddSync(out)), l)), nil
}

// connectionLog is where net/http writes what goes wrong on a connection before there is a request, such as a failed TLS
// handshake. Anyone who can connect can cause these lines, so they are for debugging only.
type connectionLog struct{ log *zap.Logger }

func (c connectionLog) Write(line []byte) (int, error) {
	c.log.Debug("connection", zap.String("detail", fmt.Sprintf("%.500s", line)))
	return len(line), nil
}
