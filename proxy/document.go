package proxy

import (
	"io"

	"cofre/s3api"
	"cofre/sigv4"
)

// readDocument takes a small verified body and, where check is given, judges it.
func (h *Handler) readDocument(rq *request, check func([]byte) *s3api.Error) ([]byte, error) {
	body, err := rq.auth.Body(rq.Request, sigv4.BodyOptions{MaxLength: maxBucketDocument})
	if err != nil {
		return nil, err
	}
	doc, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if check != nil {
		if cerr := check(doc); cerr != nil {
			return nil, cerr
		}
	}
	return doc, nil
}
