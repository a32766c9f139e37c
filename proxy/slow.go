package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cofre/s3api"
)

// How long a client waits for the first and for each further sign of life of a slow answer. AWS promises no figure; every
// client measured waits at least a minute for the first byte.
const (
	slowFirst = 10 * time.Second
	slowNext  = 10 * time.Second
)

const xmlDeclaration = `<?xml version="1.0" encoding="UTF-8"?>`

// answer is what a slow operation ends with: headers, which are lost if the status line is already out, and a document.
type answer struct {
	header http.Header
	write  func(io.Writer) error
}

// answerSlowly does work that may take minutes (joining parts, copying a large object). If it takes long, the client gets
// 200 and white space meanwhile, and then the result or an <Error>, as S3 does for CompleteMultipartUpload and CopyObject
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html).
func (h *Handler) answerSlowly(rq *request, work func() (*answer, error)) error {
	type outcome struct {
		a   *answer
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- outcome{err: panicked(p)}
			}
		}()
		a, err := work()
		done <- outcome{a, err}
	}()
	timer := time.NewTimer(slowFirst)
	defer timer.Stop()
	select {
	case o := <-done:
		if o.err != nil {
			return o.err
		}
		return answerNow(rq, o.a)
	case <-timer.C:
	}

	rq.w.Header().Set("Content-Type", "application/xml")
	rq.w.WriteHeader(http.StatusOK)
	flusher := http.NewResponseController(rq.w)
	send := func(s string) {
		// A client that went away does not stop the work: it is past the point where stopping would help anybody.
		if _, err := io.WriteString(rq.w, s); err == nil {
			_ = flusher.Flush()
		}
	}
	send(xmlDeclaration)
	for {
		timer.Reset(slowNext)
		select {
		case o := <-done:
			return answerLate(h, rq, o.a, o.err)
		case <-timer.C:
			send(" ")
		}
	}
}

func answerNow(rq *request, a *answer) error {
	var doc bytes.Buffer
	if err := a.write(&doc); err != nil {
		return err
	}
	header := rq.w.Header()
	for name, v := range a.header {
		header[name] = v
	}
	header.Set("Content-Type", "application/xml")
	header.Set("Content-Length", strconv.Itoa(doc.Len()))
	rq.w.WriteHeader(http.StatusOK)
	_, err := rq.w.Write(doc.Bytes())
	return err
}

// answerLate ends an answer whose status line is out.
func answerLate(h *Handler, rq *request, a *answer, err error) error {
	var doc bytes.Buffer
	if err == nil {
		err = a.write(&doc)
	}
	if err != nil {
		e := rq.describe(answerTo(err))
		h.note(rq.target(), err)
		rq.event.Code, rq.event.Detail = e.Code, detail(err)
		doc.Reset()
		doc.Write(s3api.ErrorDocument(e, rq.call.RawPath, rq.event.ID, rq.event.ID))
	}
	text := strings.TrimPrefix(doc.String(), xmlDeclaration)
	_, werr := io.WriteString(rq.w, text)
	return werr
}

// panicked turns a panic of the working goroutine into an error of its request.
func panicked(p any) error {
	if err, ok := p.(error); ok {
		return fmt.Errorf("panic: %w", err)
	}
	return fmt.Errorf("panic: %v", p)
}
