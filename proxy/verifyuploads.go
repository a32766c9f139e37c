package proxy

import (
	"context"
	"errors"
	"strings"
	"time"

	"cofre/keys"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
)

// uploads compares the store's open uploads with the backend's. Neither is a fault: an upload that one side does not know ends in
// NoSuchUpload for its client, or lies there until somebody aborts it.
func (v *verification) uploads(ctx context.Context) error {
	if err := v.storedUploads(ctx); err != nil {
		return err
	}
	return v.backendUploads(ctx)
}

func (v *verification) storedUploads(ctx context.Context) error {
	key, id := "", ""
	for {
		page, err := v.h.store.Uploads(ctx, v.bucket, "", key, id, rowsPage)
		if err != nil {
			return err
		}
		looks := make([]look, len(page))
		for i, up := range page {
			if env, err := seal.ParseEnvelopeBytes(up.Envelope[:]); err == nil {
				v.layouts.add(env.ObjectID) // Complete writes the layout before the object is there
			}
			looks[i] = v.storedUpload(up.Key, up.ID)
			key, id = up.Key, up.ID
		}
		v.note(func(r *VerifyReport) { r.Uploads += int64(len(page)) })
		err = v.examine(ctx, looks)
		v.release(everything)
		if err != nil || len(page) < rowsPage {
			return err
		}
	}
}

// storedUpload looks at an upload that has a row.
func (v *verification) storedUpload(key, id string) look {
	t := target{Bucket: v.bucket, Key: key}
	return func(ctx context.Context) *Finding {
		there, err := v.h.hasUpload(ctx, v.bucket, key, id)
		if err != nil {
			return v.finding(t, metadata.Envelope{}, err)
		}
		if there {
			return nil
		}
		up, err := v.h.store.Upload(ctx, v.bucket, key, id)
		switch {
		case errors.Is(err, metadata.ErrNotFound), err == nil && up.State == metadata.UploadCompleted:
			return nil
		case err != nil:
			return v.finding(t, metadata.Envelope{}, err)
		}
		return &Finding{Kind: FoundUploadUnknown, Info: true, Bucket: v.bucket, Key: key, state: id,
			Detail: "The store has an upload " + id + " that the storage does not know: it can only be aborted."}
	}
}

func (v *verification) backendUploads(ctx context.Context) error {
	var q s3api.Query
	q.Set("uploads", "")
	var walk progress
	for {
		page, err := v.h.uploadPage(ctx, v.bucket, q)
		if err != nil {
			return err
		}
		looks := make([]look, len(page.Uploads))
		for i, up := range page.Uploads {
			looks[i] = v.backendUpload(up.Key, up.UploadID)
		}
		err = v.examine(ctx, looks)
		v.release(everything)
		if err != nil || !page.Truncated {
			return err
		}
		if !walk.advances(page.NextKeyMarker, page.NextUploadIDMarker) {
			return errChanged
		}
		q.Set("key-marker", page.NextKeyMarker)
		q.Set("upload-id-marker", page.NextUploadIDMarker)
	}
}

// backendUpload looks at an upload that the backend lists.
func (v *verification) backendUpload(key, id string) look {
	t := target{Bucket: v.bucket, Key: key}
	return func(ctx context.Context) *Finding {
		_, err := v.h.store.Upload(ctx, v.bucket, key, id)
		if err == nil {
			return nil
		}
		if !errors.Is(err, metadata.ErrNotFound) {
			return v.finding(t, metadata.Envelope{}, err)
		}
		there, err := v.h.hasUpload(ctx, v.bucket, key, id)
		if err != nil {
			return v.finding(t, metadata.Envelope{}, err)
		}
		if !there {
			return nil
		}
		return &Finding{Kind: FoundUploadAlone, Info: true, Bucket: v.bucket, Key: key, state: id,
			Detail: "The storage has an upload " + id + " of which the store has no row: another site's, or the rest of one that no client can go on with."}
	}
}

// orphans tells of layouts to which the walk met no object and no upload.
func (v *verification) orphans(ctx context.Context) error {
	prefix := "buckets/" + v.bucket + "/layouts/"
	err := v.h.system().eachPage(ctx, prefix, "", func(page *s3api.Listing) (last string) {
		for _, e := range page.Entries {
			last = e.Key
			v.layout(e, strings.TrimPrefix(e.Key, prefix))
		}
		return last
	})
	if hasCode(err, s3api.ErrNoSuchBucket.Code) {
		return nil
	}
	if err != nil {
		return systemError("list", err)
	}
	return ctx.Err()
}

func (v *verification) layout(e s3api.ListEntry, name string) {
	v.note(func(r *VerifyReport) { r.Layouts++ })
	_, object, _ := strings.Cut(name, "/")
	id, err := keys.ParseObjectID(object)
	written, timeErr := time.Parse(time.RFC3339, e.LastModified)
	if err != nil || timeErr != nil || v.layouts.has(id) || v.begun.Sub(written) < v.cfg.LayoutAge {
		return
	}
	v.tell(Finding{Kind: FoundOrphanLayout, Info: true, Bucket: v.bucket,
		Detail: "The system bucket has a layout " + name + " that no object or upload of the bucket needs."})
}
