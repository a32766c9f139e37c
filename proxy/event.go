package proxy

import (
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// event is what is known of one request when it ends: one line in the log. It holds no header, no query string, no object
// key and no key material.
type event struct {
	ID        string
	Operation string
	Method    string
	Bucket    string
	Identity  string // access key id, empty for anonymous
	Remote    string
	Start     time.Time
	Duration  time.Duration
	Status    int
	Code      string // S3 error code, empty for success
	BytesIn   int64  // plaintext bytes taken from the client
	BytesOut  int64  // bytes of the answer's body
	Aborted   bool   // the connection was broken off in the middle of the body
	Healed    int    // records made by this request
	Detail    string // what stays inside: the cause of an error that the client sees as InternalError
}

// eventFieldsMax is how many fields a line has at most.
const eventFieldsMax = 14

// eventFields hands the fields of a line, about a kilobyte, from one request to the next: a core of zap keeps none of them.
var eventFields = sync.Pool{New: func() any { return new([eventFieldsMax]zap.Field) }}

func (e *event) log(l *zap.Logger) {
	room := eventFields.Get().(*[eventFieldsMax]zap.Field)
	defer func() {
		clear(room[:])
		eventFields.Put(room)
	}()
	fields := append(room[:0],
		zap.String("request_id", e.ID), zap.String("operation", e.Operation), zap.String("method", e.Method),
		zap.String("bucket", e.Bucket), zap.String("identity", e.Identity), zap.String("remote", e.Remote),
		zap.Int("status", e.Status), zap.Duration("duration", e.Duration),
		zap.Int64("bytes_in", e.BytesIn), zap.Int64("bytes_out", e.BytesOut))
	if e.Code != "" {
		fields = append(fields, zap.String("code", e.Code))
	}
	if e.Detail != "" {
		fields = append(fields, zap.String("detail", e.Detail))
	}
	if e.Healed > 0 {
		fields = append(fields, zap.Int("healed", e.Healed))
	}
	if e.Aborted {
		fields = append(fields, zap.Bool("aborted", true))
	}
	if e.Status >= http.StatusInternalServerError || e.Aborted {
		l.Warn("request", fields...)
		return
	}
	l.Info("request", fields...)
}

// responseWriter remembers what was sent: after the first byte an error can only break the connection.
type responseWriter struct {
	http.ResponseWriter
	status   int
	written  int64
	patience patience     // with a client that takes its time to read
	stalled  *atomic.Bool // the client stopped sending its body; nil where there is none
	// pace waits until so many more bytes may go out, for parties with a limit of bytes; nil for others.
	pace func(n int) error
}

func (w *responseWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.patience.arm()
	w.ResponseWriter.WriteHeader(status)
}

func (w *responseWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.pace != nil {
		if err := w.pace(len(p)); err != nil {
			return 0, err
		}
	}
	w.patience.arm()
	began := time.Now()
	n, err := w.ResponseWriter.Write(p)
	w.written += int64(n)
	if err == nil && w.patience.exhausted(began, n) {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
