package sigv4

import "slices"

// Error is a reason to refuse a request, in the words of S3. Whoever answers the client joins the HTTP status by Code.
type Error struct {
	Code    string // S3 error code, such as "SignatureDoesNotMatch"
	Message string // S3's text, safe to show
	// Fields are the further XML elements that S3 gives with the code, in order. They repeat what the client sent, so they belong in the
	// answer and not in a log; they never hold a secret key.
	Fields [][2]string
	Err    error // what lies behind it, such as a broken connection; may be nil
}

// Error leaves Fields out, so that it may be logged.
func (e *Error) Error() string {
	text := e.Code + ": " + e.Message
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives what lies behind the error.
func (e *Error) Unwrap() error { return e.Err }

// Is compares by Code: errors.Is(err, ErrBadDigest) holds for every BadDigest, whatever its text.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// with, say and because give a changed copy; the sentinels below stay as they are.
func (e *Error) with(name, value string) *Error {
	c := *e
	c.Fields = append(slices.Clip(c.Fields), [2]string{name, value})
	return &c
}

func (e *Error) say(message string) *Error {
	c := *e
	c.Message = message
	return &c
}

func (e *Error) because(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// The ways to be refused, with the text that S3 gives where it gives but one.
var (
	ErrAccessDenied = &Error{Code: "AccessDenied", Message: "Access Denied"}

	// ErrUnknownAccessKey is also what a SecretSource gives for a key it does not know.
	ErrUnknownAccessKey      = &Error{Code: "InvalidAccessKeyId", Message: "The AWS Access Key Id you provided does not exist in our records."}
	ErrSignatureDoesNotMatch = &Error{Code: "SignatureDoesNotMatch", Message: "The request signature we calculated does not match the signature you provided. Check your key and signing method."}
	ErrRequestTimeTooSkewed  = &Error{Code: "RequestTimeTooSkewed", Message: "The difference between the request time and the current time is too large."}
	ErrInvalidToken          = &Error{Code: "InvalidToken", Message: "The provided token is malformed or otherwise invalid."}

	ErrAuthorizationHeaderMalformed = &Error{Code: "AuthorizationHeaderMalformed", Message: "The authorization header is malformed"}
	ErrAuthorizationQueryParameters = &Error{Code: "AuthorizationQueryParametersError", Message: "The query-string authentication parameters are not valid"}

	ErrInvalidArgument       = &Error{Code: "InvalidArgument", Message: "Invalid Argument"}
	ErrInvalidRequest        = &Error{Code: "InvalidRequest", Message: "Invalid Request"}
	ErrInvalidURI            = &Error{Code: "InvalidURI", Message: "Couldn't parse the specified URI."}
	ErrMissingContentLength  = &Error{Code: "MissingContentLength", Message: "You must provide the Content-Length HTTP header."}
	ErrEntityTooLarge        = &Error{Code: "EntityTooLarge", Message: "Your proposed upload exceeds the maximum allowed size"}
	ErrEntityTooSmall        = &Error{Code: "EntityTooSmall", Message: "Your proposed upload is smaller than the minimum allowed size"}
	ErrInvalidPolicyDocument = &Error{Code: "InvalidPolicyDocument", Message: "The content of the form does not meet the conditions specified in the policy document."}
	ErrInvalidDigest         = &Error{Code: "InvalidDigest", Message: "The Content-MD5 you specified was invalid."}
	ErrBadDigest             = &Error{Code: "BadDigest", Message: "The Content-MD5 you specified did not match what we received."}
	ErrContentSHA256Mismatch = &Error{Code: "XAmzContentSHA256Mismatch", Message: "The provided 'x-amz-content-sha256' header does not match what was computed."}
	ErrIncompleteBody        = &Error{Code: "IncompleteBody", Message: "The request body terminated unexpectedly"}
	ErrInvalidChunkSize      = &Error{Code: "InvalidChunkSizeError", Message: "The size of a chunk is not valid"}
	ErrMalformedTrailer      = &Error{Code: "MalformedTrailerError", Message: "The request contained trailing data that was not well-formed or did not conform to our published schema."}
	ErrRequestTimeout        = &Error{Code: "RequestTimeout", Message: "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed."}

	errAnonymousChunks      = ErrInvalidRequest.say("Anonymous requests don't support this x-amz-content-sha256 value. Please use UNSIGNED-PAYLOAD or STREAMING-UNSIGNED-PAYLOAD-TRAILER.")
	errUnsupportedMechanism = ErrInvalidRequest.say("The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
	errHeadersNotSigned     = ErrAccessDenied.say("There were headers present in the request which were not signed")
	errNoDate               = ErrAccessDenied.say("AWS authentication requires a valid Date or x-amz-date header")
	errExpired              = ErrAccessDenied.say("Request has expired")
)
