package s3api

import (
	"errors"
	"io"
	"net/http"
	"strings"
)

// ACL is an access control list as a store answers it.
type ACL struct {
	OwnerID string
	Grants  []ACLGrant
}

// ACLGrant is one line of it: one grantee, by one of three names, and one permission.
type ACLGrant struct {
	ID, URI, Email string
	Permission     string
}

// ScanACL reads a store's answer to GetObjectAcl.
func ScanACL(r io.Reader) (acl ACL, err error) {
	err = decodeBackend(r, maxBackendDocument, func(s *scanner) error {
		return s.children(func(name []byte) (err error) {
			switch string(name) {
			case "Owner":
				acl.OwnerID, _, err = scanOwner(s)
			case "AccessControlList":
				err = s.children(func([]byte) error {
					g, err := readGrant(s)
					acl.Grants = append(acl.Grants, g)
					return err
				})
			}
			return err
		})
	}, "AccessControlPolicy")
	acl.OwnerID = strings.TrimSpace(acl.OwnerID)
	return acl, err
}

func readGrant(s *scanner) (g ACLGrant, err error) {
	err = s.children(func(name []byte) (err error) {
		switch string(name) {
		case "Permission":
			g.Permission, err = s.text()
		case "Grantee":
			err = s.children(func(name []byte) (err error) {
				switch string(name) {
				case "ID":
					g.ID, err = s.text()
				case "URI":
					g.URI, err = s.text()
				case "EmailAddress":
					g.Email, err = s.text()
				}
				return err
			})
		}
		return err
	})
	return g, err
}

var errGrant = errors.New("s3api: grant cannot be said in a header")

// grantHeader names the header of each permission.
var grantHeader = map[string]string{
	"READ": "X-Amz-Grant-Read", "WRITE": "X-Amz-Grant-Write", "READ_ACP": "X-Amz-Grant-Read-Acp", "WRITE_ACP": "X-Amz-Grant-Write-Acp",
	"FULL_CONTROL": "X-Amz-Grant-Full-Control",
}

// GrantHeaders says grants in the headers of a write, so that the object has them from its first moment.
func GrantHeaders(grants []ACLGrant) (http.Header, error) {
	header := http.Header{}
	for _, g := range grants {
		name, known := grantHeader[g.Permission]
		kind, who := "id", g.ID
		switch {
		case g.URI != "":
			kind, who = "uri", g.URI
		case g.ID == "":
			kind, who = "emailAddress", g.Email
		}
		if !known || who == "" || strings.ContainsAny(who, "\",\r\n") {
			return nil, errGrant
		}
		text := kind + `="` + who + `"`
		if before := header.Get(name); before != "" {
			text = before + "," + text
		}
		header.Set(name, text)
	}
	return header, nil
}
