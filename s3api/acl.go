package s3api

import (
	"io"
	"strings"
)

// maxGrants is S3's limit of grants in one ACL ("Access control list (ACL) overview", Amazon S3 User Guide).
const maxGrants = 100

// CheckACL judges the AccessControlPolicy document of PutBucketAcl and PutObjectAcl. Whether the grantees exist is for the store to say.
func CheckACL(r io.Reader) *Error {
	var (
		o      once
		owner  string
		grants int
		listed int
	)
	err := decodeClient(r, maxDocument, "AccessControlPolicy", func(s *scanner) error {
		return s.children(func(name []byte) error {
			switch string(name) {
			case "Owner":
				return s.children(func(name []byte) error {
					if string(name) == "ID" {
						return o.text(s, name, &owner)
					}
					return nil
				})
			case "AccessControlList":
				if listed++; listed > 1 {
					return errDuplicate
				}
				return s.children(func(name []byte) error {
					if string(name) != "Grant" {
						return nil
					}
					grants++
					return scanGrant(s)
				})
			}
			return nil
		})
	})
	malformed := err != nil && err.Code == ErrMalformedXML.Code
	if malformed || err == nil && (owner == "" || listed == 0 || grants > maxGrants) {
		return ErrMalformedACLError
	}
	return err
}

// scanGrant reads one Grant: one grantee, named in one way, and one permission of the closed list.
func scanGrant(s *scanner) error {
	var (
		o          once
		permission string
		names      int
		value      string
		group      string
	)
	err := s.children(func(name []byte) error {
		switch string(name) {
		case "Permission":
			return o.text(s, name, &permission)
		case "Grantee":
			return s.children(func(name []byte) error {
				switch string(name) {
				case "ID", "EmailAddress":
					names++
					return o.text(s, name, &value)
				case "URI":
					names++
					err := o.text(s, name, &value)
					group = value
					return err
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	switch permission {
	case "FULL_CONTROL", "READ", "WRITE", "READ_ACP", "WRITE_ACP":
	default:
		return ErrMalformedACLError
	}
	switch {
	case names != 1 || value == "":
		return ErrMalformedACLError
	case group != "" && !isGroup(group):
		return invalidArgument("Invalid group uri", "Group/URI", group)
	}
	return nil
}

// isGroup says whether a URI names one of S3's predefined groups. Which of them there are is for the store.
func isGroup(uri string) bool {
	switch uri {
	case "http://acs.amazonaws.com/groups/global/AllUsers", "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
		"http://acs.amazonaws.com/groups/s3/LogDelivery":
		return true
	}
	return false
}

// grantHeaders are those that say an ACL grant by grant. Never written to.
var grantHeaders = []string{
	"X-Amz-Grant-Read", "X-Amz-Grant-Write", "X-Amz-Grant-Read-Acp", "X-Amz-Grant-Write-Acp", "X-Amz-Grant-Full-Control",
}

// checkGrants judges one of them: a list of id="...", uri="..." and emailAddress="...", quoted or not.
func checkGrants(name, value string) *Error {
	for grantee := range strings.SplitSeq(value, ",") {
		kind, who, _ := strings.Cut(grantee, "=")
		who = strings.Trim(strings.TrimSpace(who), `"`)
		switch kind = strings.ToLower(strings.TrimSpace(kind)); {
		case who == "", kind != "id" && kind != "uri" && kind != "emailaddress":
			return invalidArgument("Argument format not recognized", name, value)
		case kind == "uri" && !isGroup(who):
			return invalidArgument("Invalid group uri", "uri", who)
		}
	}
	return nil
}

// ScanACLOwner reads the owner's id from a store's answer to GetBucketAcl or GetObjectAcl.
func ScanACLOwner(r io.Reader) (id string, err error) {
	err = decodeBackend(r, maxBackendDocument, func(s *scanner) error {
		return s.children(func(name []byte) (err error) {
			if string(name) == "Owner" {
				id, _, err = scanOwner(s)
			}
			return err
		})
	}, "AccessControlPolicy")
	return strings.TrimSpace(id), err
}

// cannedACLs are the predefined ACLs of x-amz-acl. aws-exec-read and log-delivery-write name services that other stores do not have.
var cannedACLs = []string{
	"private", "public-read", "public-read-write", "authenticated-read", "bucket-owner-read", "bucket-owner-full-control",
	"aws-exec-read", "log-delivery-write",
}

// CheckCannedACL judges the value of x-amz-acl.
func CheckCannedACL(value string) *Error {
	for _, known := range cannedACLs {
		if value == known {
			return nil
		}
	}
	return invalidArgument("The canned ACL is not valid.", "x-amz-acl", value)
}
