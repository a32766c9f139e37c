package s3api

import (
	"io"
	"sync"
	"time"
)

// pages lends out buffers of listings. A page of 1,000 entries has some 300 KB, and is gone as soon as it is written.
var pages = sync.Pool{New: func() any { return &document{b: make([]byte, 0, 64<<10)} }}

// maxPooledPage keeps a page of unusually long names from staying in memory for good, in bytes.
const maxPooledPage = 4 << 20

// WriteListing writes the answer to the listing that req asks for: the forms of ListObjects, ListObjectsV2 and ListObjectVersions differ.
// The order of the elements is AWS's.
func WriteListing(w io.Writer, req ListRequest, bucketName string, l *Listing) error {
	d, ok := pages.Get().(*document)
	if !ok {
		d = newDocument()
	}
	d.b = append(d.b[:0], xmlHeader...)
	d.listing(req, bucketName, l)
	err := d.writeTo(w)
	if cap(d.b) <= maxPooledPage {
		pages.Put(d)
	}
	return err
}

func (d *document) listing(req ListRequest, bucketName string, l *Listing) {
	root := "ListBucketResult"
	if req.Versions {
		root = "ListVersionsResult"
	}
	d.openRoot(root, namespace)
	d.text("Name", bucketName)
	d.name("Prefix", req.Prefix, req.URLEncode)
	switch {
	case req.Versions:
		d.versionMarkers(req, l)
	case req.V2:
		d.tokens(req, l)
	default:
		d.name("Marker", req.Marker, req.URLEncode)
		if l.Truncated && req.Delimiter != "" {
			d.name("NextMarker", l.NextMarker, req.URLEncode)
		}
	}
	d.int("MaxKeys", int64(req.MaxKeys))
	d.optionalName("Delimiter", req.Delimiter, req.URLEncode)
	if req.URLEncode {
		d.text("EncodingType", "url")
	}
	d.bool("IsTruncated", l.Truncated)
	withOwner := !req.V2 || req.FetchOwner
	for i := range l.Entries {
		d.entry(&l.Entries[i], req, withOwner)
	}
	d.commonPrefixes(l.CommonPrefixes, req.URLEncode)
	d.close(root)
}

func (d *document) versionMarkers(req ListRequest, l *Listing) {
	d.name("KeyMarker", req.KeyMarker, req.URLEncode)
	d.text("VersionIdMarker", req.VersionIDMarker)
	if l.Truncated {
		d.name("NextKeyMarker", l.NextKeyMarker, req.URLEncode)
		d.optional("NextVersionIdMarker", l.NextVersionIDMarker)
	}
}

// tokens writes what is ListObjectsV2's own. The token holds the name behind which the next page begins, never the backend's token: it means
// the same at every replica and whatever call the backend is asked with.
func (d *document) tokens(req ListRequest, l *Listing) {
	d.optionalName("StartAfter", req.StartAfter, req.URLEncode)
	if req.HasContinuationToken {
		d.text("ContinuationToken", req.ContinuationToken)
	}
	if l.Truncated {
		d.text("NextContinuationToken", encodeToken(l.NextMarker))
	}
	d.int("KeyCount", int64(len(l.Entries)+len(l.CommonPrefixes)))
}

func (d *document) entry(e *ListEntry, req ListRequest, withOwner bool) {
	element := "Contents"
	if req.Versions {
		element = "Version"
		if e.DeleteMarker {
			element = "DeleteMarker"
		}
	}
	d.open(element)
	d.name("Key", e.Key, req.URLEncode)
	if req.Versions {
		d.text("VersionId", e.VersionID)
		d.bool("IsLatest", e.Latest)
	}
	d.text("LastModified", listTime(e.LastModified))
	if !e.DeleteMarker {
		d.etag(e.ETag)
		d.optional("ChecksumAlgorithm", e.ChecksumAlgorithm)
		d.optional("ChecksumType", e.ChecksumType)
		d.int("Size", e.Size)
	}
	if withOwner && e.OwnerID != "" {
		d.owner("Owner", e.OwnerID, e.OwnerName)
	}
	if !e.DeleteMarker {
		d.optional("StorageClass", e.StorageClass)
	}
	d.close(element)
}

func (d *document) commonPrefixes(prefixes []string, urlEncode bool) {
	for _, prefix := range prefixes {
		d.open("CommonPrefixes")
		d.name("Prefix", prefix, urlEncode)
		d.close("CommonPrefixes")
	}
}

// listTime brings a backend's time into the form "2006-01-02T15:04:05.000Z". What is no time stays as it is.
func listTime(sent string) string {
	if len(sent) == len("2006-01-02T15:04:05.000Z") && sent[19] == '.' && sent[23] == 'Z' {
		return sent
	}
	t, err := time.Parse(time.RFC3339, sent)
	if err != nil {
		return sent
	}
	return FormatTime(t)
}

// name writes a key, prefix, delimiter or marker, url-encoded where that was asked for. As on AWS letters, digits and "-_./*" stay and '~'
// does not; a space is %20, as Ceph RGW writes it, rather than AWS's '+': every decoder reads the first, not every one the second.
func (d *document) name(element, value string, urlEncode bool) {
	if !urlEncode {
		d.text(element, value)
		return
	}
	d.open(element)
	for i := range len(value) {
		if c := value[i]; unreserved(c) && c != '~' || c == '/' || c == '*' {
			d.b = append(d.b, c)
		} else {
			d.b = append(d.b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	d.close(element)
}

// optionalName leaves out an empty name.
func (d *document) optionalName(element, value string, urlEncode bool) {
	if value != "" {
		d.name(element, value, urlEncode)
	}
}
