package s3api

import (
	"errors"
	"testing"
)

func TestParseJudgesTheHeadersThatTheStoreActsUpon(t *testing.T) {
	const (
		put, create, initiate, acl = "PUT /bucket/key", "PUT /bucket", "POST /bucket/key?uploads", "PUT /bucket/key?acl"
		everybody                  = `uri="http://acs.amazonaws.com/groups/global/AllUsers"`
		eleven                     = "a&b&c&d&e&f&g&h&i&j&k"
	)
	for _, c := range []struct {
		request, header, value string
		more                   [2]string
		want                   *Error
		message, argument      string
	}{
		{put, "x-amz-acl", "public-read", [2]string{}, nil, "", ""},
		{put, "x-amz-acl", "", [2]string{}, nil, "", ""},
		{put, "x-amz-acl", "public", [2]string{}, ErrInvalidArgument, "The canned ACL is not valid.", "x-amz-acl"},
		{create, "x-amz-acl", "public", [2]string{}, ErrInvalidArgument, "The canned ACL is not valid.", "x-amz-acl"},
		{put, "x-amz-acl", "private", [2]string{"x-amz-grant-read", everybody}, ErrInvalidRequest, "Specifying both Canned ACLs and Header Grants is not allowed", ""},
		{put, "x-amz-grant-read", everybody + `, id=abc , emailAddress="a@b"`, [2]string{}, nil, "", ""},
		{initiate, "x-amz-grant-full-control", "emailaddress=a@b", [2]string{}, nil, "", ""},
		{acl, "x-amz-grant-write", `fakekey="1234"`, [2]string{}, ErrInvalidArgument, "Argument format not recognized", "x-amz-grant-write"},
		{acl, "x-amz-grant-read-acp", "id", [2]string{}, ErrInvalidArgument, "Argument format not recognized", "x-amz-grant-read-acp"},
		{create, "x-amz-grant-write-acp", `id=""`, [2]string{}, ErrInvalidArgument, "Argument format not recognized", "x-amz-grant-write-acp"},
		{put, "x-amz-grant-read", "id=a,", [2]string{}, ErrInvalidArgument, "Argument format not recognized", "x-amz-grant-read"},
		{put, "x-amz-grant-read", "uri=http://acs.amazonaws.com/groups/s3/FakeGroup", [2]string{}, ErrInvalidArgument, "Invalid group uri", "uri"},

		{put, "x-amz-tagging", "a=1&b=2", [2]string{}, nil, "", ""},
		{put, "x-amz-tagging", "a=1&a=2", [2]string{}, ErrInvalidArgument, malformedTagging, "x-amz-tagging"},
		{put, "x-amz-tagging", "a=1,b=2", [2]string{}, ErrInvalidArgument, malformedTagging, "x-amz-tagging"},
		{initiate, "x-amz-tagging", "a=%", [2]string{}, ErrInvalidArgument, malformedTagging, "x-amz-tagging"},
		{initiate, "x-amz-tagging", eleven, [2]string{}, ErrBadRequest, "Object tags cannot be greater than 10", ""},
		{put, "x-amz-tagging", "a=%00", [2]string{}, ErrInvalidTag, "The TagValue you have provided is invalid", ""},
		{put, "x-amz-tagging", "aws:a=1", [2]string{}, ErrInvalidTag, "Your TagKey cannot be prefixed with aws:", ""},
		{put, "x-amz-tagging", eleven, [2]string{"x-amz-copy-source", "bucket/source"}, nil, "", ""}, // a copy's count with a directive only

		{create, "x-amz-object-ownership", "ObjectWriter", [2]string{}, nil, "", ""},
		{create, "x-amz-object-ownership", "RandomValue", [2]string{}, ErrInvalidArgument, "Invalid x-amz-object-ownership header: RandomValue", "x-amz-object-ownership"},

		{put, "x-amz-object-lock-mode", "GOVERNANCE", [2]string{"x-amz-object-lock-retain-until-date", "2030-01-01T00:00:00.000Z"}, nil, "", ""},
		{put, "x-amz-object-lock-mode", "GOVERNANCE", [2]string{}, ErrInvalidArgument, lockPair, "x-amz-object-lock-retain-until-date"},
		{initiate, "x-amz-object-lock-retain-until-date", "2030-01-01T00:00:00Z", [2]string{}, ErrInvalidArgument, lockPair, "x-amz-object-lock-mode"},
		{put, "x-amz-object-lock-mode", "BAD", [2]string{"x-amz-object-lock-retain-until-date", "2030-01-01T00:00:00Z"}, ErrInvalidArgument, "Unknown wormMode directive.", "x-amz-object-lock-mode"},
		{put, "x-amz-object-lock-mode", "COMPLIANCE", [2]string{"x-amz-object-lock-retain-until-date", "tomorrow"}, ErrInvalidArgument, "The retain until date must be provided in ISO 8601 format", "x-amz-object-lock-retain-until-date"},
		{put, "x-amz-object-lock-legal-hold", "ON", [2]string{}, nil, "", ""},
		{put, "x-amz-object-lock-legal-hold", "on", [2]string{}, ErrInvalidArgument, "Legal Hold must be either of 'ON' or 'OFF'", "x-amz-object-lock-legal-hold"},
	} {
		r := requestLine(c.request)
		r.Header.Set(c.header, c.value)
		if c.more[0] != "" {
			r.Header.Set(c.more[0], c.more[1])
		}
		_, err := Parse(r, Hosts{})
		if c.want == nil {
			if err != nil {
				t.Errorf("%s with %s %q: %v", c.request, c.header, c.value, err)
			}
			continue
		}
		var s3 *Error
		if !errors.As(err, &s3) || !errors.Is(s3, c.want) || s3.Message != c.message || argumentName(s3) != c.argument {
			t.Errorf("%s with %s %q: got %+v", c.request, c.header, c.value, s3)
		}
	}
}

const (
	malformedTagging = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates."
	lockPair         = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
)

func argumentName(e *Error) string {
	for _, f := range e.Fields {
		if f[0] == "ArgumentName" {
			return f[1]
		}
	}
	return ""
}

// TestParseLeavesHeadersOfOtherOperationsAlone: what means nothing to an operation is not refused there.
func TestParseLeavesHeadersOfOtherOperationsAlone(t *testing.T) {
	for _, line := range []string{"GET /bucket/key", "DELETE /bucket/key", "PUT /bucket/key?partNumber=1&uploadId=a", "PUT /bucket?versioning", "GET /"} {
		r := requestLine(line)
		for _, name := range append([]string{"x-amz-acl", "x-amz-tagging", "x-amz-object-lock-mode", "x-amz-object-ownership"}, grantHeaders...) {
			r.Header.Set(name, "%nonsense,")
		}
		if _, err := Parse(r, Hosts{}); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}
