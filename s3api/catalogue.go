package s3api

import "net/http"

// The errors, with AWS's codes, messages and statuses ("Error Responses", Amazon S3 API Reference, and answers seen from S3 where the page
// paraphrases). Grouped by what they are about; each is shared and must not be changed.

// Access and signatures.
var (
	ErrAccessDenied                      = &Error{Code: "AccessDenied", Message: "Access Denied", Status: http.StatusForbidden}
	ErrAuthorizationHeaderMalformed      = &Error{Code: "AuthorizationHeaderMalformed", Message: "The authorization header you provided is invalid.", Status: http.StatusBadRequest}
	ErrAuthorizationQueryParametersError = &Error{Code: "AuthorizationQueryParametersError", Message: "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.", Status: http.StatusBadRequest}
	ErrInvalidAccessKeyID                = &Error{Code: "InvalidAccessKeyId", Message: "The AWS Access Key Id you provided does not exist in our records.", Status: http.StatusForbidden}
	ErrInvalidToken                      = &Error{Code: "InvalidToken", Message: "The provided token is malformed or otherwise invalid.", Status: http.StatusBadRequest}
	ErrMissingSecurityHeader             = &Error{Code: "MissingSecurityHeader", Message: "Your request was missing a required header", Status: http.StatusBadRequest}
	ErrRequestTimeTooSkewed              = &Error{Code: "RequestTimeTooSkewed", Message: "The difference between the request time and the current time is too large.", Status: http.StatusForbidden}
	ErrSignatureDoesNotMatch             = &Error{Code: "SignatureDoesNotMatch", Message: "The request signature we calculated does not match the signature you provided. Check your key and signing method.", Status: http.StatusForbidden}
)

// Bodies and their integrity.
var (
	ErrBadDigest                = &Error{Code: "BadDigest", Message: "The Content-MD5 you specified did not match what we received.", Status: http.StatusBadRequest}
	ErrEntityTooLarge           = &Error{Code: "EntityTooLarge", Message: "Your proposed upload exceeds the maximum allowed size", Status: http.StatusBadRequest}
	ErrEntityTooSmall           = &Error{Code: "EntityTooSmall", Message: "Your proposed upload is smaller than the minimum allowed size", Status: http.StatusBadRequest}
	ErrIncompleteBody           = &Error{Code: "IncompleteBody", Message: "You did not provide the number of bytes specified by the Content-Length HTTP header", Status: http.StatusBadRequest}
	ErrInvalidChunkSizeError    = &Error{Code: "InvalidChunkSizeError", Message: "Only the last chunk is allowed to have a size less than 8192 bytes", Status: http.StatusBadRequest}
	ErrInvalidDigest            = &Error{Code: "InvalidDigest", Message: "The Content-MD5 you specified was invalid.", Status: http.StatusBadRequest}
	ErrMalformedTrailerError    = &Error{Code: "MalformedTrailerError", Message: "The request contained trailing data that was not well-formed or did not conform to our published schema.", Status: http.StatusBadRequest}
	ErrMalformedXML             = &Error{Code: "MalformedXML", Message: "The XML you provided was not well-formed or did not validate against our published schema", Status: http.StatusBadRequest}
	ErrMaxMessageLengthExceeded = &Error{Code: "MaxMessageLengthExceeded", Message: "Your request was too big.", Status: http.StatusBadRequest}
	ErrMissingContentLength     = &Error{Code: "MissingContentLength", Message: "You must provide the Content-Length HTTP header.", Status: http.StatusLengthRequired}
	ErrMissingRequestBodyError  = &Error{Code: "MissingRequestBodyError", Message: "Request Body is empty", Status: http.StatusBadRequest}
	ErrRequestTimeout           = &Error{Code: "RequestTimeout", Message: "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.", Status: http.StatusBadRequest}
	ErrUnexpectedContent        = &Error{Code: "UnexpectedContent", Message: "This request does not support content", Status: http.StatusBadRequest}
	ErrContentSHA256Mismatch    = &Error{Code: "XAmzContentSHA256Mismatch", Message: "The provided 'x-amz-content-sha256' header does not match what was computed.", Status: http.StatusBadRequest}
)

// The request itself.
var (
	ErrBadRequest                   = &Error{Code: "BadRequest", Message: "Bad Request", Status: http.StatusBadRequest}
	ErrInvalidArgument              = &Error{Code: "InvalidArgument", Message: "Invalid Argument", Status: http.StatusBadRequest}
	ErrInvalidBucketName            = &Error{Code: "InvalidBucketName", Message: "The specified bucket is not valid.", Status: http.StatusBadRequest}
	ErrInvalidEncryptionAlgorithm   = &Error{Code: "InvalidEncryptionAlgorithmError", Message: "The Encryption request you specified is not valid. Supported value: AES256.", Status: http.StatusBadRequest}
	ErrInvalidRequest               = &Error{Code: "InvalidRequest", Message: "Invalid Request", Status: http.StatusBadRequest}
	ErrInvalidStorageClass          = &Error{Code: "InvalidStorageClass", Message: "The storage class you specified is not valid", Status: http.StatusBadRequest}
	ErrInvalidTag                   = &Error{Code: "InvalidTag", Message: "The tag provided was not a valid tag. This error can occur if the tag did not pass input validation.", Status: http.StatusBadRequest}
	ErrInvalidURI                   = &Error{Code: "InvalidURI", Message: "Couldn't parse the specified URI.", Status: http.StatusBadRequest}
	ErrKeyTooLongError              = &Error{Code: "KeyTooLongError", Message: "Your key is too long", Status: http.StatusBadRequest}
	ErrMetadataTooLarge             = &Error{Code: "MetadataTooLarge", Message: "Your metadata headers exceed the maximum allowed metadata size", Status: http.StatusBadRequest}
	ErrMethodNotAllowed             = &Error{Code: "MethodNotAllowed", Message: "The specified method is not allowed against this resource.", Status: http.StatusMethodNotAllowed}
	ErrNotImplemented               = &Error{Code: "NotImplemented", Message: "A header you provided implies functionality that is not implemented", Status: http.StatusNotImplemented}
	ErrRequestHeaderSectionTooLarge = &Error{Code: "RequestHeaderSectionTooLarge", Message: "Your request header section exceeds the maximum allowed size.", Status: http.StatusBadRequest}
)

// Conditions, ranges and conflicts.
var (
	ErrConditionalRequestConflict = &Error{Code: "ConditionalRequestConflict", Message: "The conditional request cannot succeed due to a conflicting operation against this resource.", Status: http.StatusConflict}
	ErrInvalidPartNumber          = &Error{Code: "InvalidPartNumber", Message: "The requested partnumber is not satisfiable", Status: http.StatusRequestedRangeNotSatisfiable}
	ErrInvalidRange               = &Error{Code: "InvalidRange", Message: "The requested range is not satisfiable", Status: http.StatusRequestedRangeNotSatisfiable}
	ErrNotModified                = &Error{Code: "NotModified", Message: "Not Modified", Status: http.StatusNotModified}
	ErrOperationAborted           = &Error{Code: "OperationAborted", Message: "A conflicting conditional operation is currently in progress against this resource. Please try again.", Status: http.StatusConflict}
	ErrPreconditionFailed         = &Error{Code: "PreconditionFailed", Message: "At least one of the pre-conditions you specified did not hold", Status: http.StatusPreconditionFailed}
)

// Buckets.
var (
	ErrBucketAlreadyExists            = &Error{Code: "BucketAlreadyExists", Message: "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.", Status: http.StatusConflict}
	ErrBucketAlreadyOwnedByYou        = &Error{Code: "BucketAlreadyOwnedByYou", Message: "Your previous request to create the named bucket succeeded and you already own it.", Status: http.StatusConflict}
	ErrBucketNotEmpty                 = &Error{Code: "BucketNotEmpty", Message: "The bucket you tried to delete is not empty", Status: http.StatusConflict}
	ErrIllegalVersioningConfiguration = &Error{Code: "IllegalVersioningConfigurationException", Message: "The versioning configuration specified in the request is not valid.", Status: http.StatusBadRequest}
	ErrInvalidBucketState             = &Error{Code: "InvalidBucketState", Message: "The request is not valid with the current state of the bucket.", Status: http.StatusConflict}
	ErrInvalidLocationConstraint      = &Error{Code: "InvalidLocationConstraint", Message: "The specified location-constraint is not valid", Status: http.StatusBadRequest}
	ErrNoSuchBucket                   = &Error{Code: "NoSuchBucket", Message: "The specified bucket does not exist", Status: http.StatusNotFound}
	ErrTooManyBuckets                 = &Error{Code: "TooManyBuckets", Message: "You have attempted to create more buckets than allowed.", Status: http.StatusBadRequest}
)

// Objects, versions and uploads.
var (
	ErrInvalidObjectState = &Error{Code: "InvalidObjectState", Message: "The operation is not valid for the object's storage class", Status: http.StatusForbidden}
	ErrInvalidPart        = &Error{Code: "InvalidPart", Message: "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.", Status: http.StatusBadRequest}
	ErrInvalidPartOrder   = &Error{Code: "InvalidPartOrder", Message: "The list of parts was not in ascending order. Parts must be ordered by part number.", Status: http.StatusBadRequest}
	ErrNoSuchKey          = &Error{Code: "NoSuchKey", Message: "The specified key does not exist.", Status: http.StatusNotFound}
	ErrNoSuchUpload       = &Error{Code: "NoSuchUpload", Message: "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.", Status: http.StatusNotFound}
	ErrNoSuchVersion      = &Error{Code: "NoSuchVersion", Message: "The specified version does not exist.", Status: http.StatusNotFound}
)

// Configurations that a bucket or object does not have, and ACLs.
var (
	ErrAccessControlListNotSupported    = &Error{Code: "AccessControlListNotSupported", Message: "The bucket does not allow ACLs", Status: http.StatusBadRequest}
	ErrCORSForbidden                    = &Error{Code: "AccessForbidden", Message: "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.", Status: http.StatusForbidden}
	ErrMalformedACLError                = &Error{Code: "MalformedACLError", Message: "The XML you provided was not well-formed or did not validate against our published schema", Status: http.StatusBadRequest}
	ErrMalformedPolicy                  = &Error{Code: "MalformedPolicy", Message: "Policies must be valid JSON and the first byte must be '{'", Status: http.StatusBadRequest}
	ErrNoSuchBucketPolicy               = &Error{Code: "NoSuchBucketPolicy", Message: "The bucket policy does not exist", Status: http.StatusNotFound}
	ErrNoSuchCORSConfiguration          = &Error{Code: "NoSuchCORSConfiguration", Message: "The CORS configuration does not exist", Status: http.StatusNotFound}
	ErrNoSuchLifecycleConfiguration     = &Error{Code: "NoSuchLifecycleConfiguration", Message: "The lifecycle configuration does not exist", Status: http.StatusNotFound}
	ErrNoSuchObjectLockConfiguration    = &Error{Code: "NoSuchObjectLockConfiguration", Message: "The specified object does not have a ObjectLock configuration", Status: http.StatusNotFound}
	ErrNoSuchPublicAccessBlock          = &Error{Code: "NoSuchPublicAccessBlockConfiguration", Message: "The public access block configuration was not found", Status: http.StatusNotFound}
	ErrNoSuchTagSet                     = &Error{Code: "NoSuchTagSet", Message: "The TagSet does not exist", Status: http.StatusNotFound}
	ErrObjectLockConfigurationNotFound  = &Error{Code: "ObjectLockConfigurationNotFoundError", Message: "Object Lock configuration does not exist for this bucket", Status: http.StatusNotFound}
	ErrReplicationConfigurationNotFound = &Error{Code: "ReplicationConfigurationNotFoundError", Message: "The replication configuration was not found", Status: http.StatusNotFound}
	ErrUnresolvableGrantByEmailAddress  = &Error{Code: "UnresolvableGrantByEmailAddress", Message: "The email address you provided does not match any account on record.", Status: http.StatusBadRequest}
	ErrInvalidRetentionPeriod           = &Error{Code: "InvalidRetentionPeriod", Message: "The retention period specified is not valid.", Status: http.StatusBadRequest}
)

// Browser uploads (POST). AWS's page of errors calls one of them MaxPostPreDataLengthExceededError and spells its message better; this is what
// S3 sends.
var (
	ErrIncorrectNumberOfFilesInPostRequest = &Error{Code: "IncorrectNumberOfFilesInPostRequest", Message: "POST requires exactly one file upload per request.", Status: http.StatusBadRequest}
	ErrInvalidPolicyDocument               = &Error{Code: "InvalidPolicyDocument", Message: "The content of the form does not meet the conditions specified in the policy document.", Status: http.StatusBadRequest}
	ErrMalformedPOSTRequest                = &Error{Code: "MalformedPOSTRequest", Message: "The body of your POST request is not well-formed multipart/form-data.", Status: http.StatusBadRequest}
	ErrMaxPostPreDataLengthExceeded        = &Error{Code: "MaxPostPreDataLengthExceeded", Message: "Your POST request fields preceeding the upload file was too large.", Status: http.StatusBadRequest}
	ErrUserKeyMustBeSpecified              = &Error{Code: "UserKeyMustBeSpecified", Message: "The bucket POST must contain the specified field name. If it is specified, check the order of the fields.", Status: http.StatusBadRequest}
)

// The server and what is behind it. 5xx are retried by every client; 4xx stop them.
var (
	ErrInternalError      = &Error{Code: "InternalError", Message: "We encountered an internal error. Please try again.", Status: http.StatusInternalServerError}
	ErrQuotaExceeded      = &Error{Code: "QuotaExceeded", Message: "The quota of the bucket or of its owner is used up.", Status: http.StatusForbidden} // Ceph RGW's, AWS has no quotas
	ErrServiceUnavailable = &Error{Code: "ServiceUnavailable", Message: "Service is unable to handle request.", Status: http.StatusServiceUnavailable}
	ErrSlowDown           = &Error{Code: "SlowDown", Message: "Please reduce your request rate.", Status: http.StatusServiceUnavailable}
)

// Catalogue gives every error of the catalogue.
func Catalogue() []*Error {
	return []*Error{
		ErrAccessDenied, ErrAuthorizationHeaderMalformed, ErrAuthorizationQueryParametersError,
		ErrInvalidAccessKeyID, ErrInvalidToken, ErrMissingSecurityHeader, ErrRequestTimeTooSkewed, ErrSignatureDoesNotMatch,

		ErrBadDigest, ErrEntityTooLarge, ErrEntityTooSmall, ErrIncompleteBody, ErrInvalidChunkSizeError, ErrInvalidDigest,
		ErrMalformedTrailerError, ErrMalformedXML, ErrMaxMessageLengthExceeded, ErrMissingContentLength, ErrMissingRequestBodyError,
		ErrRequestTimeout, ErrUnexpectedContent, ErrContentSHA256Mismatch,

		ErrBadRequest, ErrInvalidArgument, ErrInvalidBucketName, ErrInvalidEncryptionAlgorithm, ErrInvalidRequest, ErrInvalidStorageClass,
		ErrInvalidTag, ErrInvalidURI, ErrKeyTooLongError, ErrMetadataTooLarge, ErrMethodNotAllowed, ErrNotImplemented,
		ErrRequestHeaderSectionTooLarge,

		ErrConditionalRequestConflict, ErrInvalidPartNumber, ErrInvalidRange, ErrNotModified, ErrOperationAborted, ErrPreconditionFailed,

		ErrBucketAlreadyExists, ErrBucketAlreadyOwnedByYou, ErrBucketNotEmpty,
		ErrIllegalVersioningConfiguration, ErrInvalidBucketState, ErrInvalidLocationConstraint, ErrNoSuchBucket, ErrTooManyBuckets,

		ErrInvalidObjectState, ErrInvalidPart, ErrInvalidPartOrder, ErrNoSuchKey, ErrNoSuchUpload, ErrNoSuchVersion,

		ErrAccessControlListNotSupported, ErrCORSForbidden, ErrMalformedACLError, ErrMalformedPolicy, ErrNoSuchBucketPolicy,
		ErrNoSuchCORSConfiguration, ErrNoSuchLifecycleConfiguration, ErrNoSuchObjectLockConfiguration,
		ErrNoSuchPublicAccessBlock, ErrNoSuchTagSet, ErrObjectLockConfigurationNotFound,
		ErrReplicationConfigurationNotFound,
		ErrUnresolvableGrantByEmailAddress, ErrInvalidRetentionPeriod,

		ErrIncorrectNumberOfFilesInPostRequest, ErrInvalidPolicyDocument, ErrMalformedPOSTRequest, ErrMaxPostPreDataLengthExceeded,
		ErrUserKeyMustBeSpecified,

		ErrInternalError, ErrQuotaExceeded, ErrServiceUnavailable, ErrSlowDown,
	}
}

// byCode is never written to after it was made.
var byCode = func() map[string]*Error {
	m := map[string]*Error{}
	for _, e := range Catalogue() {
		m[e.Code] = e
	}
	return m
}()

// ErrorByCode finds an error of the catalogue by its code, nil if there is none.
func ErrorByCode(code string) *Error { return byCode[code] }
