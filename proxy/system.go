package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"cofre/access"
	"cofre/keys"
	"cofre/s3api"
)

// maxSystemDocument bounds what is read from the system bucket: a layout of 10,000 parts is about 1.1 MB.
const maxSystemDocument = 8 << 20

// ErrSystemDenied says that the storage does not let this site's user do in the system bucket what it has to.
var ErrSystemDenied = errors.New("the site's user may not")

// System keeps KEK records, grants and layouts in the system bucket, always under the site's own identity. It implements
// keys.System. Whoever runs the storage may write there too: every document is judged by its signature or its key.
type System struct {
	backend Backend
	bucket  string
}

// NewSystem makes the way to the system bucket.
func NewSystem(b Backend, bucket string) *System { return &System{backend: b, bucket: bucket} }

func (h *Handler) system() *System { return NewSystem(h.backend, h.cfg.SystemBucket) }

// Get reads one document; keys.ErrSystemNotFound where there is none.
func (s *System) Get(ctx context.Context, name string) ([]byte, error) {
	resp, err := s.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodGet, Bucket: s.bucket, Key: name})
	if hasCode(err, s3api.ErrNoSuchKey.Code, s3api.ErrNoSuchBucket.Code) || hasStatus(err, http.StatusNotFound) {
		return nil, keys.ErrSystemNotFound
	}
	if hasStatus(err, http.StatusForbidden) && s.absent(ctx, name) {
		return nil, keys.ErrSystemNotFound
	}
	if err != nil {
		return nil, systemError("read", err)
	}
	defer resp.Body.Close()
	doc, err := io.ReadAll(io.LimitReader(resp.Body, maxSystemDocument+1))
	if err != nil {
		return nil, errors.Join(ErrBackendUnavailable, err)
	}
	if len(doc) > maxSystemDocument {
		return nil, errors.New("system document is too large")
	}
	return doc, nil
}

// absent says whether a document that may not be read is not there at all. S3 tells so only to those who may list the whole bucket,
// and a site that is a guest in another's system bucket may list what concerns it.
func (s *System) absent(ctx context.Context, name string) bool {
	var q s3api.Query
	q.Set("encoding-type", "url")
	q.Set("prefix", name)
	q.Set("max-keys", "1")
	page, err := s.page(ctx, q)
	return err == nil && (len(page.Entries) == 0 || page.Entries[0].Key != name)
}

// Put writes one document, and makes the system bucket where it is not there yet.
func (s *System) Put(ctx context.Context, name string, doc []byte) error {
	err := s.put(ctx, name, doc)
	if hasCode(err, s3api.ErrNoSuchBucket.Code) {
		if err := s.Ensure(ctx); err != nil {
			return systemError("make", err)
		}
		err = s.put(ctx, name, doc)
	}
	if err != nil {
		return systemError("write", err)
	}
	return nil
}

// systemError keeps what the backend said of the system bucket from the client, who would take an AccessDenied or a
// NoSuchBucket for the answer to his own request. For him the storage is unavailable; the log has the code.
func systemError(verb string, err error) error {
	var s3 *s3api.Error
	if !errors.As(err, &s3) {
		return fmt.Errorf("%s system bucket: %w", verb, err)
	}
	if s3.Status == http.StatusForbidden {
		return fmt.Errorf("%s system bucket: %w: %w: %d %s", verb, ErrBackendUnavailable, ErrSystemDenied, s3.Status, s3.Code)
	}
	return fmt.Errorf("%s system bucket: %w: %d %s", verb, ErrBackendUnavailable, s3.Status, s3.Code)
}

func (s *System) put(ctx context.Context, name string, doc []byte) error {
	resp, err := s.backend.Do(ctx, access.SiteUser, &BackendRequest{
		Method: http.MethodPut, Bucket: s.bucket, Key: name, Body: bytes.NewReader(doc), Length: int64(len(doc)), Replayable: true,
		// The owner of a shared system bucket must be able to read what another site wrote there.
		Header: http.Header{"X-Amz-Acl": {"bucket-owner-full-control"}, "Content-Type": {backendContentType}},
	})
	if err != nil {
		return err
	}
	resp.Body.Close()
	return nil
}

// Ensure makes the system bucket unless it is there, or another site has it.
func (s *System) Ensure(ctx context.Context) error {
	resp, err := s.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodHead, Bucket: s.bucket})
	if hasStatus(err, http.StatusForbidden) {
		return nil // it is another site's, where this one is a guest
	}
	if hasStatus(err, http.StatusNotFound) {
		resp, err = s.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodPut, Bucket: s.bucket})
		if hasCode(err, "BucketAlreadyOwnedByYou", "BucketAlreadyExists") {
			return nil
		}
	}
	if err != nil {
		return err
	}
	resp.Body.Close()
	return nil
}

// List gives the names below a prefix.
func (s *System) List(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	err := s.eachPage(ctx, prefix, "", func(page *s3api.Listing) (last string) {
		for _, e := range page.Entries {
			names = append(names, e.Key)
			last = e.Key
		}
		return last
	})
	if hasCode(err, s3api.ErrNoSuchBucket.Code) {
		return nil, nil
	}
	if err != nil {
		return nil, systemError("list", err)
	}
	return names, nil
}

// folders gives the names between a prefix and the next slash.
func (s *System) folders(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	err := s.eachPage(ctx, prefix, "/", func(page *s3api.Listing) (last string) {
		for _, p := range page.CommonPrefixes {
			names = append(names, strings.TrimSuffix(strings.TrimPrefix(p, prefix), "/"))
			last = p
		}
		return last
	})
	if hasStatus(err, http.StatusForbidden) || hasCode(err, s3api.ErrNoSuchBucket.Code) {
		return nil, nil // a guest sees the buckets that are shared with it, and has to name them
	}
	if err != nil {
		return nil, systemError("list", err)
	}
	return names, nil
}

// eachPage walks a listing; visit gives the last name of the page, behind which the next begins.
func (s *System) eachPage(ctx context.Context, prefix, delimiter string, visit func(*s3api.Listing) (last string)) error {
	var q s3api.Query
	q.Set("encoding-type", "url")
	q.Set("prefix", prefix)
	if delimiter != "" {
		q.Set("delimiter", delimiter)
	}
	for {
		page, err := s.page(ctx, q)
		if err != nil {
			return err
		}
		last := visit(page)
		if !page.Truncated || last == "" {
			return nil
		}
		if last <= q.Get("marker") {
			return errChanged // a backend that does not move on would keep this going for ever
		}
		q.Set("marker", last)
	}
}

func (s *System) page(ctx context.Context, q s3api.Query) (*s3api.Listing, error) {
	resp, err := s.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodGet, Bucket: s.bucket, Query: q})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return s3api.ScanListing(resp.Body, true)
}

var _ keys.System = (*System)(nil)

// Delete removes one document.
func (s *System) Delete(ctx context.Context, name string) error {
	resp, err := s.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodDelete, Bucket: s.bucket, Key: name})
	if hasStatus(err, http.StatusNotFound) {
		return nil
	}
	if err != nil {
		return systemError("remove from", err)
	}
	resp.Body.Close()
	return nil
}
