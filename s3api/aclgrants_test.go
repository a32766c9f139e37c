package s3api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const aclOfRGW = `<?xml version="1.0" encoding="UTF-8"?><AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` +
	`<Owner><ID>hospital</ID><DisplayName>Hospital</DisplayName></Owner><AccessControlList>` +
	`<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>hospital</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant>` +
	`<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>ward$b</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant>` +
	`<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant>` +
	`</AccessControlList></AccessControlPolicy>`

func TestGrantsOfAnObjectBecomeHeadersOfAWrite(t *testing.T) {
	acl, err := ScanACL(strings.NewReader(aclOfRGW))
	if err != nil || acl.OwnerID != "hospital" {
		t.Fatalf("%+v, %v", acl, err)
	}
	got, err := GrantHeaders(acl.Grants)
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{
		"X-Amz-Grant-Full-Control": {`id="hospital",id="ward$b"`},
		"X-Amz-Grant-Read":         {`uri="http://acs.amazonaws.com/groups/global/AllUsers"`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestGrantsThatAHeaderCannotSayAreRefused(t *testing.T) {
	for name, g := range map[string]ACLGrant{
		"unknown permission": {ID: "a", Permission: "OWN"},
		"nobody":             {Permission: "READ"},
		"a list in a name":   {ID: `a",id="b`, Permission: "READ"},
	} {
		if header, err := GrantHeaders([]ACLGrant{g}); err == nil {
			t.Errorf("%s: %v", name, header)
		}
	}
}
