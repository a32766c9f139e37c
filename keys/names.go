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

// parseRecordName gives back the KEK id of a RecordName of that bucket.
func parseRecordName(bucket, name string) (KEKID, bool) {
	rest, ok := strings.CutPrefix(name, kekPrefix(bucket))
	if !ok {
		return KEKID{}, false
	}
	digits, ok := strings.CutSuffix(rest, "/record.json")
	if !ok {
		return KEKID{}, false
	}
	id, err := ParseKEKID(digits)
	return id, err == nil
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
