package s3api

import (
	"net/http"
	"strings"
	"time"
)

// CheckHeaders judges the form of headers that the store acts upon itself, of a request for op. Stores read them laxer than S3 does, or say
// less of what is wrong. Whether what they name is there is for the store. A form upload, whose fields Parse does not see, is judged as the
// PutObject that it stands for.
func CheckHeaders(op Operation, h http.Header) *Error {
	err := checkSingle(h)
	if err != nil {
		return err
	}
	switch op {
	case PutObject, CreateMultipartUpload: // those of a copy count with x-amz-tagging-directive alone
		_, err = ParseTaggingHeader(h.Get("X-Amz-Tagging"))
	case CreateBucket:
		err = checkOwnership(h)
	}
	if err != nil {
		return err
	}
	switch op {
	case PutObject, CreateMultipartUpload, CopyObject:
		if err := checkLock(h); err != nil {
			return err
		}
		return checkACL(h)
	case CreateBucket, PutBucketAcl, PutObjectAcl:
		return checkACL(h)
	}
	return nil
}

// singleHeaders are headers with one value that a store acts upon, or that say what a request is. Given twice, one reader would go by
// the first and another by the last. In canonical form, since they are looked up in every request. Never written to.
var singleHeaders = append([]string{
	"X-Amz-Acl", "X-Amz-Storage-Class", "X-Amz-Tagging", "X-Amz-Object-Lock-Mode", "X-Amz-Object-Lock-Retain-Until-Date",
	"X-Amz-Object-Lock-Legal-Hold", "X-Amz-Website-Redirect-Location", "X-Amz-Bypass-Governance-Retention", "X-Amz-Mfa",
	"X-Amz-Bucket-Object-Lock-Enabled", "X-Amz-Object-Ownership", "X-Amz-Confirm-Remove-Self-Bucket-Access",
	"X-Amz-Bucket-Object-Lock-Token", "X-Amz-Copy-Source", "X-Amz-Copy-Source-Range", "X-Amz-Metadata-Directive",
	"X-Amz-Tagging-Directive", "Range",
}, grantHeaders...)

func checkSingle(h http.Header) *Error {
	for _, name := range singleHeaders {
		if len(h[name]) > 1 {
			return ErrInvalidArgument.With("A header was given more than once").Field("ArgumentName", strings.ToLower(name))
		}
	}
	return nil
}

func checkACL(h http.Header) *Error {
	canned, granted := h.Get("X-Amz-Acl"), false
	for _, name := range grantHeaders {
		value := h.Get(name)
		if value == "" {
			continue
		}
		granted = true
		if err := checkGrants(strings.ToLower(name), value); err != nil {
			return err
		}
	}
	switch {
	case canned == "":
		return nil
	case granted:
		return ErrInvalidRequest.With("Specifying both Canned ACLs and Header Grants is not allowed")
	}
	return CheckCannedACL(canned)
}

// checkOwnership judges x-amz-object-ownership of CreateBucket.
func checkOwnership(h http.Header) *Error {
	switch v := h.Get("X-Amz-Object-Ownership"); v {
	case "", "BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced":
		return nil
	default:
		return ErrInvalidArgument.With("Invalid x-amz-object-ownership header: "+v).Field("ArgumentName", "x-amz-object-ownership")
	}
}

// checkLock judges the three headers of an object lock. Whether the date has passed is for the store, which keeps the time.
func checkLock(h http.Header) *Error {
	const (
		modeHeader  = "x-amz-object-lock-mode"
		untilHeader = "x-amz-object-lock-retain-until-date"
		holdHeader  = "x-amz-object-lock-legal-hold"
	)
	mode, until, hold := h.Get(ObjectLockHeaders[0]), h.Get(ObjectLockHeaders[1]), h.Get(ObjectLockHeaders[2])
	if (mode == "") != (until == "") {
		missing := modeHeader
		if until == "" {
			missing = untilHeader
		}
		return ErrInvalidArgument.With(untilHeader+" and "+modeHeader+" must both be supplied").Field("ArgumentName", missing)
	}
	if mode != "" && !isRetentionMode(mode) {
		return invalidArgument("Unknown wormMode directive.", modeHeader, mode)
	}
	if until != "" {
		if _, err := time.Parse(time.RFC3339, until); err != nil {
			return invalidArgument("The retain until date must be provided in ISO 8601 format", untilHeader, until)
		}
	}
	if hold = strings.TrimSpace(hold); hold != "" && hold != "ON" && hold != "OFF" {
		return invalidArgument("Legal Hold must be either of 'ON' or 'OFF'", holdHeader, hold)
	}
	return nil
}
