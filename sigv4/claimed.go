package sigv4

import (
	"net/http"
	"strings"
)

// Claimed gives the access key that a request says it was signed with; "" where it says none that can be read. Nothing of it
// is verified: it is for counting who fails with what.
func Claimed(r *http.Request) string {
	_, rawQuery := requestTarget(r)
	query, err := parseQuery(rawQuery)
	if err != nil {
		return ""
	}
	scheme, err := mechanism(r, query)
	if err != nil {
		return ""
	}
	switch scheme {
	case HeaderV4:
		c, err := parseAuthorization(r.Header.Get("Authorization"))
		if err != nil {
			return ""
		}
		return c.credential.accessKeyID
	case QueryV4:
		value, _ := lookup(query, "X-Amz-Credential")
		return claimedV4(value)
	case HeaderV2:
		_, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		return value[:max(strings.LastIndexByte(value, ':'), 0)]
	case QueryV2:
		value, _ := lookup(query, "AWSAccessKeyId")
		return value
	default:
		return ""
	}
}

// ClaimedByForm does for the fields of a form what Claimed does for a request.
func ClaimedByForm(fields []FormField) string {
	for _, f := range fields {
		switch strings.ToLower(f.Name) {
		case "x-amz-credential":
			return claimedV4(f.Value)
		case "awsaccesskeyid":
			return f.Value
		}
	}
	return ""
}

func claimedV4(value string) string {
	c, err := parseCredential(value, queryMalformed)
	if err != nil {
		return ""
	}
	return c.accessKeyID
}
