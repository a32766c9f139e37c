package s3api

import (
	"io"
	"strconv"
	"strings"
)

// ScanListing reads a backend's page of ListObjects (V1 or V2) or ListObjectVersions. urlEncoded says that encoding-type=url was asked for;
// names are decoded when the answer says EncodingType url, since some stores do not know the parameter. It takes what stores write in
// practice:
//
//   - Ceph RGW 16 encodes Key and CommonPrefixes, and leaves NextMarker and NextKeyMarker raw. A marker is compared with the last name of the
//     page to see which of the two it is.
//   - Names with control characters, as references or raw.
//   - gofakes3 calls a page of versions ListBucketVersionsResult and gives no NextMarker without delimiter.
func ScanListing(r io.Reader, urlEncoded bool) (*Listing, error) {
	p := pageScanner{}
	err := decodeBackend(r, maxBackendDocument, p.scan, "ListBucketResult", "ListVersionsResult", "ListBucketVersionsResult")
	if err != nil {
		return nil, err
	}
	p.finish(urlEncoded && strings.EqualFold(p.encodingType, "url"))
	return &p.page, nil
}

// minEntryText is about how many bytes of XML the shortest entry has.
const minEntryText = 200

// pageScanner holds a page while its names are still as they came: whether they are encoded may be said behind them.
type pageScanner struct {
	s            *scanner
	page         Listing
	encodingType string
	// entry is the one being read, last the one before. Most of a page's entries share owner and class, and so the strings.
	entry, last ListEntry
}

func (p *pageScanner) scan(s *scanner) error {
	p.s = s
	p.page.Entries = make([]ListEntry, 0, min(len(s.data)/minEntryText, MaxListKeys))
	visitEntry := p.entryField // made once, not once per entry
	return s.children(func(name []byte) (err error) {
		switch string(name) {
		case "Contents", "Version", "DeleteMarker":
			p.last, p.entry = p.entry, ListEntry{DeleteMarker: string(name) == "DeleteMarker"}
			if err = s.children(visitEntry); err == nil {
				p.page.Entries = append(p.page.Entries, p.entry)
			}
		case "CommonPrefixes":
			err = s.children(p.prefixField)
		case "EncodingType":
			p.encodingType, err = s.text()
		case "IsTruncated":
			p.page.Truncated, err = s.bool()
		case "NextMarker":
			p.page.NextMarker, err = s.text()
		case "NextKeyMarker":
			p.page.NextKeyMarker, err = s.text()
		case "NextVersionIdMarker":
			p.page.NextVersionIDMarker, err = s.text()
		case "NextContinuationToken":
			p.page.NextContinuationToken, err = s.text()
		}
		return err
	})
}

func (p *pageScanner) prefixField(name []byte) error {
	if string(name) != "Prefix" {
		return nil
	}
	prefix, err := p.s.text()
	p.page.CommonPrefixes = append(p.page.CommonPrefixes, prefix)
	return err
}

func (p *pageScanner) entryField(name []byte) (err error) {
	e, s := &p.entry, p.s
	switch string(name) {
	case "Key":
		e.Key, err = s.text()
	case "VersionId":
		e.VersionID, err = s.textLike(p.last.VersionID) // "null" throughout, where there was never versioning
	case "IsLatest":
		e.Latest, err = s.bool()
	case "LastModified":
		e.LastModified, err = s.text()
	case "ETag":
		e.ETag, err = s.text()
		e.ETag = UnquoteETag(e.ETag)
	case "Size":
		e.Size, err = s.size()
	case "StorageClass":
		e.StorageClass, err = s.textLike(p.last.StorageClass)
	case "ChecksumAlgorithm":
		e.ChecksumAlgorithm, err = s.textLike(p.last.ChecksumAlgorithm)
	case "ChecksumType":
		e.ChecksumType, err = s.textLike(p.last.ChecksumType)
	case "Owner":
		err = s.children(p.ownerField)
	}
	return err
}

func (p *pageScanner) ownerField(name []byte) (err error) {
	switch string(name) {
	case "ID":
		p.entry.OwnerID, err = p.s.textLike(p.last.OwnerID)
	case "DisplayName":
		p.entry.OwnerName, err = p.s.textLike(p.last.OwnerName)
	}
	return err
}

// size reads a size in bytes. Nothing is 0.
func (s *scanner) size() (int64, error) {
	text, err := s.text()
	if text = strings.TrimSpace(text); err != nil || text == "" {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// bool reads a truth value of a backend. What is none is false.
func (s *scanner) bool() (bool, error) {
	text, err := s.text()
	value, _ := parseBool(text)
	return value, err
}

// finish decodes the names and settles the markers.
func (p *pageScanner) finish(encoded bool) {
	page := &p.page
	if len(page.Entries) == 0 {
		page.Entries = nil
	}
	last, lastVersion := "", ""
	for i := range page.Entries {
		e := &page.Entries[i]
		e.Key = decodeName(e.Key, encoded)
		if e.Key >= last {
			last, lastVersion = e.Key, e.VersionID
		}
	}
	for i, prefix := range page.CommonPrefixes {
		prefix = decodeName(prefix, encoded)
		page.CommonPrefixes[i] = prefix
		if prefix > last {
			last, lastVersion = prefix, ""
		}
	}
	if !page.Truncated {
		page.NextMarker, page.NextKeyMarker, page.NextVersionIDMarker, page.NextContinuationToken = "", "", "", ""
		return
	}
	if page.NextKeyMarker == "" {
		page.NextKeyMarker, page.NextVersionIDMarker = last, lastVersion
	} else {
		page.NextKeyMarker = settleMarker(page.NextKeyMarker, last, encoded)
	}
	if page.NextMarker == "" {
		page.NextMarker = last
	} else {
		page.NextMarker = settleMarker(page.NextMarker, last, encoded)
	}
}

// decodeName decodes a name of a page that is url-encoded. AWS writes a space as '+', Ceph RGW as %20; both write a plus as %2B. What is no
// valid encoding was not encoded.
func decodeName(name string, encoded bool) string {
	if !encoded {
		return name
	}
	if decoded, ok := unescape(name, plusIsSpace); ok {
		return decoded
	}
	return name
}

// settleMarker finds out whether a marker of an encoded page is encoded itself: it is the last name of the page in one form or the other.
// Where it is neither it is taken as it came, which is Ceph RGW's way; stores that encode it have it equal the last name.
func settleMarker(sent, last string, encoded bool) string {
	if decoded := decodeName(sent, encoded); decoded == last {
		return decoded
	}
	return sent
}
