package proxy

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"cofre/s3api"
)

// keptHeaders are answers of the backend that a write repeats to have the same again.
var keptHeaders = []string{"X-Amz-Storage-Class", "X-Amz-Website-Redirect-Location"}

// kept gives, as headers of a write, what the backend knows of an object beside its bytes: tags, ACL, protection, storage class.
// seen is a HEAD's, or a GET's, answer.
func (w *rewriter) kept(ctx context.Context, rq *request, src *rewriteSource, seen http.Header) (http.Header, error) {
	keep := passHeaders(seen, keptHeaders)
	if strings.HasPrefix(seen.Get(headerSSE), "aws:kms") {
		maps.Copy(keep, passHeaders(seen, []string{headerSSE, headerKMSKey}))
	}
	if mode, until := seen.Get(s3api.ObjectLockHeaders[0]), seen.Get(s3api.ObjectLockHeaders[1]); mode != "" && after(until, w.h.cfg.Clock()) {
		keep.Set(s3api.ObjectLockHeaders[0], mode)
		keep.Set(s3api.ObjectLockHeaders[1], until)
	}
	if seen.Get(s3api.ObjectLockHeaders[2]) == "ON" {
		keep.Set(s3api.ObjectLockHeaders[2], "ON")
	}
	tags, err := w.tags(ctx, rq, src.target)
	if err != nil {
		return nil, err
	}
	if tags != "" {
		keep.Set("X-Amz-Tagging", tags)
	}
	grants, err := w.grants(ctx, rq, src)
	if err != nil {
		return nil, err
	}
	maps.Copy(keep, grants)
	return keep, nil
}

// after says whether a time of the backend's is still to come. What is no time is taken for one that is: protection is never
// dropped for a spelling.
func after(text string, now time.Time) bool {
	t, err := time.Parse(time.RFC3339, text)
	return err != nil || t.After(now)
}

func sameHeader(a, b http.Header) bool { return maps.EqualFunc(a, b, slices.Equal) }

func (w *rewriter) tags(ctx context.Context, rq *request, t target) (string, error) {
	tags, err := w.h.tagsOf(ctx, rq.as(), t)
	if hasStatus(err, http.StatusForbidden) {
		return "", refuse("forbidden", "the storage does not let this site read its tags, which would be lost")
	}
	return s3api.EncodeTaggingHeader(tags), err
}

const fullControl = "FULL_CONTROL"

// grants gives the headers that set the object's ACL again; none where it is the one that every new object of this site gets.
//
// On Ceph RGW an object belongs to the user who wrote it, so this site's user becomes the owner, and nobody can give it away. Whoever
// owned it keeps full control by a grant: reading, and reading and changing the ACL. Where the ACL may not be read (an object of
// another user's, without s3:GetObjectAcl) its owner, whom the listing names, is given that, and other grants are lost: less
// access rather than more.
func (w *rewriter) grants(ctx context.Context, rq *request, src *rewriteSource) (http.Header, error) {
	doc, err := w.h.subresourceOf(ctx, rq.as(), src.target, "acl")
	acl := s3api.ACL{OwnerID: src.owner}
	switch {
	case hasStatus(err, http.StatusForbidden):
	case err != nil:
		return nil, err
	case len(doc) == 0:
		return nil, nil // a backend without ACLs
	default:
		if acl, err = s3api.ScanACL(bytes.NewReader(doc)); err != nil {
			return nil, err
		}
	}
	owner := s3api.ACLGrant{ID: acl.OwnerID, Permission: fullControl}
	if acl.OwnerID == "" || acl.OwnerID == w.site.id && len(acl.Grants) == 1 && acl.Grants[0] == owner {
		return nil, nil
	}
	list := slices.Clone(acl.Grants)
	for _, g := range []s3api.ACLGrant{owner, {ID: w.site.id, Permission: fullControl}} {
		if g.ID != "" && !slices.Contains(list, g) {
			list = append(list, g)
		}
	}
	if w.site.id == "" {
		return nil, ErrBackendUnavailable // nobody could read an object whose grants leave its own site out
	}
	header, err := s3api.GrantHeaders(list)
	if err != nil {
		return nil, refuse("acl", "its ACL has a grant that cannot be given again: "+err.Error())
	}
	return header, nil
}
