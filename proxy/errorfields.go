package proxy

import (
	"net/http"
	"strings"

	"cofre/s3api"
)

// describe makes of an error what S3 would say to this request: in S3's word where Ceph RGW has a vaguer one, and with the
// elements that S3 has beside the message. Whoever made the error may have known better, so what has elements keeps just those.
func (rq *request) describe(e *s3api.Error) *s3api.Error {
	if e.Code == s3api.ErrEntityTooLarge.Code && !carriesObject(rq.call.Op) {
		return tooLong(e) // a document, of which S3 has another word
	}
	if len(e.Fields) > 0 {
		return e
	}
	e = rq.preciser(e)
	if len(e.Fields) > 0 {
		return e
	}
	for _, f := range rq.elements(e.Code) {
		e = e.Field(f[0], f[1])
	}
	return e
}

// elements are what S3 says with an error of this code: what it was that is not there, or not valid.
func (rq *request) elements(code string) [][2]string {
	call := rq.call
	query := func(element, name string) [][2]string { return [][2]string{{element, call.Query.Get(name)}} }
	switch code {
	case "NoSuchUpload", "InvalidPartOrder":
		return query("UploadId", "uploadId")
	case "RequestHeaderSectionTooLarge":
		return [][2]string{{"MaxSizeAllowed", "8192"}} // bytes of all headers on S3
	case "ConditionalRequestConflict":
		return append(rq.condition("If-None-Match", "If-Match"), [2]string{"Key", call.Key})
	case "MethodNotAllowed": // of storage that knows a delete marker when it sees one
		if call.Query.Has("versionId") {
			return [][2]string{{"Method", rq.Method}, {"ResourceType", "DeleteMarker"}}
		}
	}
	if call.Op == s3api.CopyObject || call.Op == s3api.UploadPartCopy {
		return nil // of two buckets, keys and sets of conditions; which of them is not said
	}
	switch code {
	case "NoSuchBucket", "BucketNotEmpty", "BucketAlreadyExists", "BucketAlreadyOwnedByYou", "InvalidBucketName", "NoSuchBucketPolicy",
		"NoSuchCORSConfiguration", "NoSuchLifecycleConfiguration", "NoSuchPublicAccessBlockConfiguration", "NoSuchTagSet",
		"ReplicationConfigurationNotFoundError", "ObjectLockConfigurationNotFoundError":
		return [][2]string{{"BucketName", call.Bucket}}
	case "NoSuchKey":
		return [][2]string{{"Key", call.Key}}
	case "NoSuchVersion":
		return append([][2]string{{"Key", call.Key}}, query("VersionId", "versionId")...)
	case "PreconditionFailed": // of a read: of a write, whoever judged has said which
		return rq.condition("If-Match", "If-Unmodified-Since")
	}
	return nil
}

// condition names the first of these conditions that the request has. Where it has several, S3 judges them in this order.
func (rq *request) condition(names ...string) [][2]string {
	for _, name := range names {
		if rq.call.Header.Get(name) != "" {
			return [][2]string{{"Condition", name}}
		}
	}
	return nil
}

// preciser finds S3's error for a request that Ceph RGW 16 refuses without saying why. What else can be wrong with the headers
// that it acts upon, s3api has refused before.
func (rq *request) preciser(e *s3api.Error) *s3api.Error {
	header := rq.call.Header
	class, until := header.Get("X-Amz-Storage-Class"), header.Get("X-Amz-Object-Lock-Retain-Until-Date")
	switch {
	case e.Code == "InvalidStorageClass", e.Code == "InvalidArgument" && e.Message == s3api.ErrInvalidArgument.Message && class != "" && class != "STANDARD":
		return s3api.ErrInvalidStorageClass.Field("StorageClassRequested", class)
	case e.Code == "InvalidArgument" && e.Message == s3api.ErrInvalidArgument.Message && until != "":
		return s3api.ErrInvalidArgument.With("The retain until date must be in the future!").
			Field("ArgumentName", "x-amz-object-lock-retain-until-date").Field("ArgumentValue", until)
	case e.Code == "NoSuchKey" && takesGrants(rq.call.Op): // a grantee, whom RGW looks for like a key
		return unknownGrantee(header, e)
	}
	return e
}

// takesGrants says whether an operation takes grants in headers, and asks for no object that could be missing.
func takesGrants(op s3api.Operation) bool {
	switch op {
	case s3api.CreateBucket, s3api.PutBucketAcl, s3api.PutObject, s3api.PostObject, s3api.CreateMultipartUpload, s3api.CopyObject:
		return true
	}
	return false
}

// unknownGrantee is the error of grants in headers one of whose grantees is not known; e where there are none.
func unknownGrantee(header http.Header, e *s3api.Error) *s3api.Error {
	for _, name := range aclHeaders[1:] {
		value := header.Get(name)
		kind, who, ok := strings.Cut(value, "=")
		switch {
		case !ok:
			continue
		case strings.Contains(strings.ToLower(value), "emailaddress"):
			return s3api.ErrUnresolvableGrantByEmailAddress
		case strings.EqualFold(strings.TrimSpace(kind), "id") && !strings.Contains(who, ","):
			value = strings.Trim(strings.TrimSpace(who), `"`) // of several, which of them is not said
		}
		return s3api.ErrInvalidArgument.With("Invalid id").Field("ArgumentName", "id").Field("ArgumentValue", value)
	}
	return e
}

// carriesObject says whether the body of an operation is that of an object, or its answer speaks of one's size.
func carriesObject(op s3api.Operation) bool {
	switch op {
	case s3api.PutObject, s3api.PostObject, s3api.UploadPart, s3api.CopyObject, s3api.UploadPartCopy:
		return true
	}
	return false
}

// tooLong is the error of a document that is too long.
func tooLong(e *s3api.Error) *s3api.Error {
	for _, f := range e.Fields {
		if f[0] == "MaxSizeAllowed" {
			return s3api.ErrMaxMessageLengthExceeded.Field("MaxMessageLengthBytes", f[1])
		}
	}
	return e
}
