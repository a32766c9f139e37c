package proxy

import (
	"bytes"

	"cofre/s3api"
)

// The configurations of single objects that the backend keeps.
var (
	// RGW names the bucket's missing configuration where S3 names the object's.
	noObjectLock = map[string]*s3api.Error{"ObjectLockConfigurationNotFoundError": s3api.ErrNoSuchObjectLockConfiguration}

	retentionGet = subresource{refused: noObjectLock}
	retentionPut = subresource{
		headers:  []string{"X-Amz-Bypass-Governance-Retention"},
		document: xmlDocument(func(r *bytes.Reader) *s3api.Error { return s3api.CheckRetention(r) }),
	}
	legalHoldGet = subresource{refused: noObjectLock}
	legalHoldPut = subresource{document: xmlDocument(func(r *bytes.Reader) *s3api.Error { return s3api.CheckLegalHold(r) })}

	objectTaggingPut = subresource{document: xmlDocument(func(r *bytes.Reader) *s3api.Error {
		_, err := s3api.DecodeTagging(r, s3api.MaxObjectTags)
		return err
	})}

	// aclPut serves PutBucketAcl and PutObjectAcl.
	aclPut = subresource{headers: aclHeaders, document: checkACLRequest}
)

// aclHeaders say an ACL in headers; the first is the canned one.
var aclHeaders = []string{
	"X-Amz-Acl", "X-Amz-Grant-Read", "X-Amz-Grant-Write", "X-Amz-Grant-Read-Acp", "X-Amz-Grant-Write-Acp", "X-Amz-Grant-Full-Control",
}

// checkACLRequest judges an ACL, which is said in one of three ways: a document, one canned name, or headers of grants.
func checkACLRequest(rq *request, text []byte) *s3api.Error {
	canned, granted := rq.call.Header.Get(aclHeaders[0]), false
	for _, name := range aclHeaders[1:] {
		granted = granted || rq.call.Header.Get(name) != ""
	}
	switch {
	case canned != "" && granted:
		return s3api.ErrInvalidRequest.With("Specifying both Canned ACLs and Header Grants is not allowed")
	case (canned != "" || granted) && len(text) > 0:
		return s3api.ErrUnexpectedContent
	case canned != "":
		return s3api.CheckCannedACL(canned)
	case granted:
		return nil
	case len(text) == 0:
		return s3api.ErrMissingSecurityHeader.Field("MissingHeaderName", "x-amz-acl")
	}
	return s3api.CheckACL(bytes.NewReader(text))
}
