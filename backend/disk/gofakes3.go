package disk

import (
	"encoding/hex"
	"errors"
	"io"
	"strings"

	"github.com/johannesboyne/gofakes3"

	"cofre/s3api"
)

// fake is the storage in the shape that gofakes3 asks for. handler.go sends gofakes3 only the calls that it answers
// rightly, so most of these methods serve whoever uses gofakes3's own handler.
type fake struct{ store *store }

var (
	_ gofakes3.Backend          = fake{}
	_ gofakes3.VersionedBackend = fake{}
	_ gofakes3.MultipartBackend = fake{}
)

// fakeError gives an error the type by which gofakes3 finds code and status: it does not unwrap.
func fakeError(err error) error {
	var e *s3api.Error
	var own gofakes3.Error
	switch {
	case errors.As(err, &e):
		return gofakes3.ErrorMessage(gofakes3.ErrorCode(e.Code), e.Message)
	case errors.As(err, &own):
		return own
	}
	return err
}

// fakeMeta tells gofakes3's headers, which mix user metadata with everything else, from those to be kept.
func fakeMeta(meta map[string]string) attributes {
	a := attributes{header: map[string]string{}}
	for name, value := range meta {
		if name = strings.ToLower(name); keptHeader(name) {
			a.header[name] = value
		}
	}
	return a
}

func (f fake) ListBuckets() ([]gofakes3.BucketInfo, error) {
	buckets, err := f.store.listBuckets()
	out := make([]gofakes3.BucketInfo, 0, len(buckets))
	for _, b := range buckets {
		out = append(out, gofakes3.BucketInfo{Name: b.name, CreationDate: gofakes3.NewContentTime(b.created)})
	}
	return out, fakeError(err)
}

func (f fake) BucketExists(name string) (bool, error) {
	_, err := f.store.bucket(name)
	if errors.Is(err, s3api.ErrNoSuchBucket) {
		return false, nil
	}
	return err == nil, fakeError(err)
}

func (f fake) CreateBucket(name string) error {
	err := f.store.createBucket(name)
	if errors.Is(err, s3api.ErrBucketAlreadyOwnedByYou) {
		return gofakes3.ResourceError(gofakes3.ErrBucketAlreadyExists, name) // the one that gofakes3 knows
	}
	return fakeError(err)
}

func (f fake) DeleteBucket(name string) error { return fakeError(f.store.deleteBucket(name)) }

// ForceDeleteBucket is MinIO's way to delete a bucket with its contents; nothing here should be that easy to lose.
func (f fake) ForceDeleteBucket(string) error { return gofakes3.ErrNotImplemented }

func (f fake) GetObject(bucketName, key string, r *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	return f.get(bucketName, key, "", r)
}

func (f fake) GetObjectVersion(bucketName, key string, id gofakes3.VersionID, r *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	return f.get(bucketName, key, string(id), r)
}

func (f fake) get(bucketName, key, id string, r *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	v, pinned, err := f.store.open(bucketName, key, id)
	if err != nil {
		return nil, fakeError(err)
	}
	o := fakeObject(v)
	stretch, err := r.Range(v.size)
	if err != nil {
		f.store.blobs.release(pinned)
		return nil, err
	}
	off, n := int64(0), v.size
	if stretch != nil {
		off, n = stretch.Start, stretch.Length
	}
	o.Range, o.Contents = stretch, f.store.blobs.read(pinned, off, n)
	return o, nil
}

func (f fake) HeadObject(bucketName, key string) (*gofakes3.Object, error) {
	return f.HeadObjectVersion(bucketName, key, "")
}

func (f fake) HeadObjectVersion(bucketName, key string, id gofakes3.VersionID) (*gofakes3.Object, error) {
	v, err := f.store.head(bucketName, key, string(id))
	if err != nil {
		return nil, fakeError(err)
	}
	return fakeObject(v), nil
}

func fakeObject(v version) *gofakes3.Object {
	o := &gofakes3.Object{Name: v.key, Metadata: map[string]string{}, Size: v.size, IsDeleteMarker: v.marker, Contents: io.NopCloser(strings.NewReader(""))}
	for name, value := range v.header {
		o.Metadata[name] = value
	}
	o.Metadata["Last-Modified"] = s3api.FormatHTTPTime(v.modified)
	// gofakes3 knows no other ETags than an MD5: the count of parts is lost here.
	md5, _, _ := strings.Cut(v.etag, "-")
	o.Hash, _ = hex.DecodeString(md5)
	if v.versioned {
		o.VersionID = gofakes3.VersionID(v.id)
	}
	return o
}

func (f fake) PutObject(bucketName, key string, meta map[string]string, body io.Reader, size int64, conditions *gofakes3.PutConditions) (gofakes3.PutObjectResult, error) {
	v, err := f.store.put(bucketName, key, fakeMeta(meta), body, size, expectEnd(body), fakeConditions(conditions))
	if err != nil {
		return gofakes3.PutObjectResult{}, fakeError(err)
	}
	return gofakes3.PutObjectResult{VersionID: fakeVersionID(v)}, nil
}

// expectEnd lets gofakes3's reader reach its end, where it compares Content-MD5.
func expectEnd(body io.Reader) func([]byte) error {
	return func([]byte) error {
		n, err := body.Read(make([]byte, 1))
		if n > 0 {
			return gofakes3.ErrIncompleteBody
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		return nil
	}
}

func fakeConditions(c *gofakes3.PutConditions) precondition {
	if c == nil {
		return nil
	}
	return func(current *version) error {
		var w s3api.WriteConditions
		if c.IfMatch != nil {
			w.IfMatch = *c.IfMatch
		}
		if c.IfNoneMatch != nil {
			w.IfNoneMatch = *c.IfNoneMatch
		}
		return checkWrite(w, current)
	}
}

func fakeVersionID(v version) gofakes3.VersionID {
	if !v.versioned {
		return ""
	}
	return gofakes3.VersionID(v.id)
}

func (f fake) DeleteObject(bucketName, key string) (gofakes3.ObjectDeleteResult, error) {
	return f.DeleteObjectVersion(bucketName, key, "")
}

func (f fake) DeleteObjectVersion(bucketName, key string, id gofakes3.VersionID) (gofakes3.ObjectDeleteResult, error) {
	d, err := f.store.delete(bucketName, key, string(id), nil)
	return gofakes3.ObjectDeleteResult{IsDeleteMarker: d.isMarker, VersionID: gofakes3.VersionID(d.id)}, fakeError(err)
}

func (f fake) DeleteMulti(bucketName string, keys ...string) (gofakes3.MultiDeleteResult, error) {
	ids := make([]gofakes3.ObjectID, 0, len(keys))
	for _, key := range keys {
		ids = append(ids, gofakes3.ObjectID{Key: key})
	}
	return f.DeleteMultiVersions(bucketName, ids...)
}

func (f fake) DeleteMultiVersions(bucketName string, ids ...gofakes3.ObjectID) (gofakes3.MultiDeleteResult, error) {
	var result gofakes3.MultiDeleteResult
	for _, id := range ids {
		if _, err := f.store.delete(bucketName, id.Key, id.VersionID, nil); err != nil {
			failed := gofakes3.ErrorResultFromError(fakeError(err))
			failed.Key = id.Key
			result.Error = append(result.Error, failed)
			continue
		}
		result.Deleted = append(result.Deleted, id)
	}
	return result, nil
}

func (f fake) CopyObject(fromBucket, fromKey, toBucket, toKey string, meta map[string]string) (gofakes3.CopyObjectResult, error) {
	made, _, err := f.store.copy(copyRequest{
		fromBucket: fromBucket, fromKey: fromKey, toBucket: toBucket, toKey: toKey,
		replaceHeader: meta != nil, attributes: fakeMeta(meta), // gofakes3 has merged the source's into meta
	})
	if err != nil {
		return gofakes3.CopyObjectResult{}, fakeError(err)
	}
	return gofakes3.CopyObjectResult{ETag: `"` + made.etag + `"`, LastModified: gofakes3.NewContentTime(made.modified)}, nil
}

func (f fake) ListBucket(name string, prefix *gofakes3.Prefix, p gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	found, err := f.store.list(name, fakePage(prefix, p.Marker, p.MaxKeys))
	if err != nil {
		return nil, fakeError(err)
	}
	out := gofakes3.NewObjectList()
	for _, v := range found.entries {
		out.Add(&gofakes3.Content{Key: v.key, LastModified: gofakes3.NewContentTime(v.modified), ETag: `"` + v.etag + `"`, Size: v.size})
	}
	for _, rolled := range found.prefixes {
		out.AddPrefix(rolled)
	}
	if found.more {
		out.IsTruncated, out.NextMarker = true, found.last
	}
	return out, nil
}

func fakePage(prefix *gofakes3.Prefix, after string, limit int64) page {
	p := page{after: after, limit: int(limit)}
	if p.limit <= 0 {
		p.limit = gofakes3.DefaultMaxBucketKeys
	}
	if prefix != nil {
		p.prefix, p.delimiter = prefix.Prefix, prefix.Delimiter
	}
	return p
}

func (f fake) VersioningConfiguration(name string) (gofakes3.VersioningConfiguration, error) {
	b, err := f.store.bucket(name)
	return gofakes3.VersioningConfiguration{Status: gofakes3.VersioningStatus(b.versioning)}, fakeError(err)
}

func (f fake) SetVersioningConfiguration(name string, v gofakes3.VersioningConfiguration) error {
	if v.MFADelete == gofakes3.MFADeleteEnabled {
		return gofakes3.ErrNotImplemented
	}
	return fakeError(f.store.setVersioning(name, string(v.Status)))
}

func (f fake) ListBucketVersions(name string, prefix *gofakes3.Prefix, p *gofakes3.ListBucketVersionsPage) (*gofakes3.ListBucketVersionsResult, error) {
	if p == nil {
		p = &gofakes3.ListBucketVersionsPage{}
	}
	found, err := f.store.listVersions(name, fakePage(prefix, p.KeyMarker, p.MaxKeys), string(p.VersionIDMarker))
	if err != nil {
		return nil, fakeError(err)
	}
	out := gofakes3.NewListBucketVersionsResult(name, prefix, p)
	for _, v := range found.entries {
		if v.marker {
			out.Versions = append(out.Versions, &gofakes3.DeleteMarker{
				Key: v.key, VersionID: gofakes3.VersionID(v.id), IsLatest: v.latest, LastModified: gofakes3.NewContentTime(v.modified)})
			continue
		}
		out.Versions = append(out.Versions, &gofakes3.Version{
			Key: v.key, VersionID: gofakes3.VersionID(v.id), IsLatest: v.latest, LastModified: gofakes3.NewContentTime(v.modified),
			Size: v.size, ETag: `"` + v.etag + `"`})
	}
	for _, rolled := range found.prefixes {
		out.AddPrefix(rolled)
	}
	if found.more {
		out.IsTruncated, out.NextKeyMarker = true, found.last
		out.NextVersionIDMarker = gofakes3.VersionID(lastVersionID(found))
	}
	return out, nil
}

func (f fake) CreateMultipartUpload(bucketName, key string, meta map[string]string) (gofakes3.UploadID, error) {
	id, err := f.store.createUpload(bucketName, key, fakeMeta(meta))
	return gofakes3.UploadID(id), fakeError(err)
}

func (f fake) UploadPart(bucketName, key string, id gofakes3.UploadID, number int, size int64, body io.Reader) (string, error) {
	p, err := f.store.putPart(bucketName, key, string(id), number, body, size, expectEnd(body))
	if err != nil {
		return "", fakeError(err)
	}
	return `"` + p.etag + `"`, nil
}

func (f fake) AbortMultipartUpload(bucketName, key string, id gofakes3.UploadID) error {
	return fakeError(f.store.abortUpload(bucketName, key, string(id)))
}

func (f fake) CompleteMultipartUpload(bucketName, key string, id gofakes3.UploadID, input *gofakes3.CompleteMultipartUploadRequest) (gofakes3.VersionID, string, error) {
	chosen := make([]chosenPart, 0, len(input.Parts))
	for _, p := range input.Parts {
		chosen = append(chosen, chosenPart{p.PartNumber, s3api.UnquoteETag(p.ETag)})
	}
	v, err := f.store.completeUpload(bucketName, key, string(id), chosen, nil)
	if err != nil {
		return "", "", fakeError(err)
	}
	return fakeVersionID(v), `"` + v.etag + `"`, nil
}

func (f fake) ListParts(bucketName, key string, id gofakes3.UploadID, marker int, limit int64) (*gofakes3.ListMultipartUploadPartsResult, error) {
	_, found, more, err := f.store.parts(bucketName, key, string(id), marker, int(limit))
	if err != nil {
		return nil, fakeError(err)
	}
	out := &gofakes3.ListMultipartUploadPartsResult{
		Bucket: bucketName, Key: key, UploadID: id, StorageClass: gofakes3.StorageStandard, PartNumberMarker: marker, MaxParts: limit, IsTruncated: more}
	for _, p := range found {
		out.Parts = append(out.Parts, gofakes3.ListMultipartUploadPartItem{
			PartNumber: p.number, LastModified: gofakes3.NewContentTime(p.modified), ETag: `"` + p.etag + `"`, Size: p.blob.Size})
		out.NextPartNumberMarker = p.number
	}
	return out, nil
}

func (f fake) ListMultipartUploads(name string, marker *gofakes3.UploadListMarker, prefix gofakes3.Prefix, limit int64) (*gofakes3.ListMultipartUploadsResult, error) {
	if marker == nil {
		marker = &gofakes3.UploadListMarker{}
	}
	found, err := f.store.listUploads(name, fakePage(&prefix, marker.Object, limit), string(marker.UploadID))
	if err != nil {
		return nil, fakeError(err)
	}
	out := &gofakes3.ListMultipartUploadsResult{
		Bucket: name, KeyMarker: marker.Object, UploadIDMarker: marker.UploadID,
		MaxUploads: limit, Delimiter: prefix.Delimiter, Prefix: prefix.Prefix, IsTruncated: found.more}
	for _, u := range found.entries {
		out.Uploads = append(out.Uploads, gofakes3.ListMultipartUploadItem{
			Key: u.key, UploadID: gofakes3.UploadID(u.id), StorageClass: gofakes3.StorageStandard, Initiated: gofakes3.NewContentTime(u.initiated)})
	}
	for _, rolled := range found.prefixes {
		out.CommonPrefixes = append(out.CommonPrefixes, gofakes3.CommonPrefix{Prefix: rolled})
	}
	if found.more {
		out.NextKeyMarker, out.NextUploadIDMarker = found.last, gofakes3.UploadID(lastUploadID(found))
	}
	return out, nil
}
