package keys

import (
	"fmt"
	"strings"
)

const maxBucketName = 255 // bytes; what S3 ever allowed

// RecordName is the name of a KEK's record in the system bucket.
func RecordName(bucket string, id KEKID) string {
	return kekPrefix(bucket) + id.String() + "/record.json"
}

// GrantName is the name in the system bucket of the grant of a KEK to a recipient.
func GrantName(bucket string, id KEKID, recipient SiteID) string {
	return kekPrefix(bucket) + id.String() + "/grants/" + recipient.String() + ".json"
}

// EndorsementName is the name in the system bucket of a site's endorsement of a KEK's record.
func EndorsementName(bucket string, id KEKID, endorser SiteID) string {
	return kekPrefix(bucket) + id.String() + "/endorsements/" + endorser.String() + ".json"
}

func kekPrefix(bucket string) string { return "buckets/" + bucket + "/keks/" }

// DocumentName is the name of one of a KEK's documents in the system bucket, taken apart.
type DocumentName struct {
	Bucket string
	KEK    KEKID
	Kind   DocumentKind
	Site   SiteID // the recipient or the endorser; zero for a record
}

// DocumentKind is the word by which a document's name tells what it is.
type DocumentKind string

// The kinds.
const (
	RecordDocument      DocumentKind = "record.json"
	GrantDocument       DocumentKind = "grants"
	EndorsementDocument DocumentKind = "endorsements"
)

// ParseDocumentName reads what RecordName, GrantName and EndorsementName give, and nothing else.
func ParseDocumentName(name string) (d DocumentName, ok bool) {
	parts := strings.Split(name, "/")
	if len(parts) < 5 || parts[0] != "buckets" || parts[2] != "keks" || checkBucket(parts[1]) != nil {
		return DocumentName{}, false
	}
	d.Bucket, d.Kind = parts[1], DocumentKind(parts[4])
	id, err := ParseKEKID(parts[3])
	if err != nil {
		return DocumentName{}, false
	}
	d.KEK = id
	switch {
	case d.Kind == RecordDocument:
		return d, len(parts) == 5
	case d.Kind != GrantDocument && d.Kind != EndorsementDocument || len(parts) != 6:
		return DocumentName{}, false
	}
	digits, isJSON := strings.CutSuffix(parts[5], ".json")
	d.Site, err = ParseSiteID(digits)
	return d, isJSON && err == nil
}

// parseRecordName gives back the KEK id of a RecordName of that bucket.
func parseRecordName(bucket, name string) (KEKID, bool) {
	d, ok := ParseDocumentName(name)
	return d.KEK, ok && d.Bucket == bucket && d.Kind == RecordDocument
}

// checkBucket refuses what cannot be a bucket and could be taken for something else in a name: the letters of S3's old and
// new rules are allowed, no separator, and no name of dots.
func checkBucket(bucket string) error {
	if bucket == "" || len(bucket) > maxBucketName {
		return fmt.Errorf("%w: bucket name of %d bytes", ErrMalformed, len(bucket))
	}
	if strings.ContainsFunc(bucket, func(r rune) bool { return !isBucketRune(r) }) || strings.Trim(bucket, ".") == "" {
		return fmt.Errorf("%w: bucket name %.80q", ErrMalformed, bucket)
	}
	return nil
}

func isBucketRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_'
}
