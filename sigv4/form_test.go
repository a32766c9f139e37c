package sigv4_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cofre/sigv4"
)

const (
	exampleKey    = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// awsPolicy and awsSignature are the example of "Browser-Based Upload using HTTP POST (Using AWS Signature Version 4)", Amazon S3 API Reference.
const (
	awsPolicy = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9"

	awsSignature = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"
)

// awsForm is the form of the same example, as its page sends it.
func awsForm() []sigv4.FormField {
	return []sigv4.FormField{
		{Name: "key", Value: "user/user1/photo.jpg"}, {Name: "acl", Value: "public-read"},
		{Name: "success_action_redirect", Value: "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},
		{Name: "Content-Type", Value: "image/jpeg"}, {Name: "x-amz-meta-uuid", Value: "14365123651274"},
		{Name: "x-amz-server-side-encryption", Value: "AES256"},
		{Name: "X-Amz-Credential", Value: exampleKey + "/20151229/us-east-1/s3/aws4_request"},
		{Name: "X-Amz-Algorithm", Value: "AWS4-HMAC-SHA256"}, {Name: "X-Amz-Date", Value: "20151229T000000Z"},
		{Name: "x-amz-meta-tag", Value: ""}, {Name: "Policy", Value: awsPolicy}, {Name: "X-Amz-Signature", Value: awsSignature},
	}
}

var beforeExpiry = time.Date(2015, 12, 30, 11, 59, 59, 999e6, time.UTC)

func TestFormOfTheDocumentationVerifies(t *testing.T) {
	auth, policy, err := verifierAt(beforeExpiry).VerifyForm(context.Background(), awsForm())
	if err != nil || auth.Scheme() != sigv4.FormV4 || auth.AccessKeyID() != exampleKey || auth.Anonymous() {
		t.Fatalf("%v %v", auth, err)
	}
	form := append(awsForm(), sigv4.FormField{Name: "bucket", Value: "sigv4examplebucket"})
	if err := policy.Check(beforeExpiry, form); err != nil {
		t.Fatal(err)
	}
	wantCode(t, policy.Check(beforeExpiry.Add(time.Millisecond), form), "AccessDenied", "Invalid according to Policy: Policy expired.")
}

// A form that botocore 1.43 made for the same credentials at 2015-12-29T00:00:00Z.
func TestFormOfBotocoreVerifies(t *testing.T) {
	doc := `{"expiration": "2015-12-29T01:00:00Z", "conditions": [{"bucket": "sigv4examplebucket"}, {"key": "user/user1/photo.jpg"}, ` +
		`{"x-amz-algorithm": "AWS4-HMAC-SHA256"}, {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"}, {"x-amz-date": "20151229T000000Z"}]}`
	form := []sigv4.FormField{
		{Name: "key", Value: "user/user1/photo.jpg"}, {Name: "x-amz-algorithm", Value: "AWS4-HMAC-SHA256"},
		{Name: "x-amz-credential", Value: exampleKey + "/20151229/us-east-1/s3/aws4_request"}, {Name: "x-amz-date", Value: "20151229T000000Z"},
		{Name: "policy", Value: encode(doc)}, {Name: "x-amz-signature", Value: "3364624b39010d9b06f5d9b8c9a18a6e478d261c048159c92f2fd6fa885f14e6"},
		{Name: "bucket", Value: "sigv4examplebucket"},
	}
	now := time.Date(2015, 12, 29, 0, 30, 0, 0, time.UTC)
	_, policy, err := verifierAt(now).VerifyForm(context.Background(), form)
	if err != nil {
		t.Fatal(err)
	}
	if err := policy.Check(now, form); err != nil {
		t.Fatal(err)
	}
}

func encode(doc string) string { return base64.StdEncoding.EncodeToString([]byte(doc)) }

func signV2(policy string) string {
	h := hmac.New(sha1.New, []byte(exampleSecret))
	h.Write([]byte(policy))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// formV2 is a form of Version 2 with this policy document and these further fields, in pairs.
func formV2(doc string, more ...string) []sigv4.FormField {
	form := []sigv4.FormField{{Name: "AWSAccessKeyId", Value: exampleKey}, {Name: "policy", Value: encode(doc)}, {Name: "signature", Value: signV2(encode(doc))}}
	for i := 0; i < len(more); i += 2 {
		form = append(form, sigv4.FormField{Name: more[i], Value: more[i+1]})
	}
	return form
}

func TestFormOfVersion2Verifies(t *testing.T) {
	auth, policy, err := verifierAt(beforeExpiry).VerifyForm(context.Background(), formV2(document(`{"bucket": "b"}`)))
	if err != nil || auth.Scheme() != sigv4.FormV2 || auth.AccessKeyID() != exampleKey || policy == nil {
		t.Fatalf("%v %v", auth, err)
	}
}

// document is a policy with these conditions that has not expired by beforeExpiry.
func document(conditions ...string) string {
	return `{"expiration": "2015-12-30T12:00:00Z", "conditions": [` + strings.Join(conditions, ", ") + `]}`
}

func without(form []sigv4.FormField, names ...string) []sigv4.FormField {
	var kept []sigv4.FormField
	for _, f := range form {
		drop := false
		for _, name := range names {
			drop = drop || strings.EqualFold(f.Name, name)
		}
		if !drop {
			kept = append(kept, f)
		}
	}
	return kept
}

func with(form []sigv4.FormField, name, value string) []sigv4.FormField {
	return append(without(form, name), sigv4.FormField{Name: name, Value: value})
}

func TestFormIsAnonymousOnlyWithoutAnyTrace(t *testing.T) {
	auth, policy, err := verifierAt(beforeExpiry).VerifyForm(context.Background(), []sigv4.FormField{{Name: "key", Value: "k"}, {Name: "acl", Value: "private"}})
	if err != nil || !auth.Anonymous() || policy != nil {
		t.Fatalf("%v %v %v", auth, policy, err)
	}
	for _, name := range []string{"policy", "x-amz-algorithm", "X-AMZ-Credential", "x-amz-signature", "AWSAccessKeyId", "Signature", "x-amz-security-token"} {
		for _, value := range []string{"", "a"} {
			auth, _, err := verifierAt(beforeExpiry).VerifyForm(context.Background(), []sigv4.FormField{{Name: "key", Value: "k"}, {Name: name, Value: value}})
			if err == nil {
				t.Errorf("a form with %s=%q went as %s", name, value, auth.Scheme())
			}
		}
	}
}

func TestFormRefusals(t *testing.T) {
	missing := func(name string) string {
		return "Bucket POST must contain a field named '" + name + "'.  If it is specified, please check the order of the fields."
	}
	v2 := formV2(document(`{"bucket": "b"}`))
	for _, c := range []struct {
		name          string
		form          []sigv4.FormField
		code, message string
	}{
		{"no signature", without(awsForm(), "x-amz-signature"), "InvalidArgument", missing("X-Amz-Signature")},
		{"no algorithm, no credential", without(awsForm(), "x-amz-algorithm", "x-amz-credential"), "InvalidArgument", missing("X-Amz-Algorithm")},
		{"no credential", without(awsForm(), "x-amz-credential"), "InvalidArgument", missing("X-Amz-Credential")},
		{"no date", without(awsForm(), "x-amz-date"), "InvalidArgument", missing("X-Amz-Date")},
		{"no policy", without(awsForm(), "policy"), "InvalidArgument", missing("Policy")},
		{"empty signature", with(awsForm(), "x-amz-signature", ""), "InvalidArgument", missing("X-Amz-Signature")},
		{"only a policy", []sigv4.FormField{{Name: "policy", Value: awsPolicy}}, "AccessDenied", "Access Denied"},
		{"V2 no signature", without(v2, "signature"), "InvalidArgument", missing("Signature")},
		{"V2 no key id", without(v2, "awsaccesskeyid"), "InvalidArgument", missing("AWSAccessKeyId")},
		{"V2 no policy", without(v2, "policy"), "InvalidArgument", missing("Policy")},
		{"both versions", append(awsForm(), v2[0]), "InvalidArgument", "Only one auth mechanism allowed"},
		{"algorithm", with(awsForm(), "x-amz-algorithm", "AWS4-ECDSA-P256-SHA256"), "InvalidArgument", `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`},
		{"credential", with(awsForm(), "x-amz-credential", exampleKey), "InvalidArgument", `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`},
		{"service", with(awsForm(), "x-amz-credential", exampleKey+"/20151229/us-east-1/ec2/aws4_request"), "InvalidArgument", `incorrect service "ec2". This endpoint belongs to "s3".`},
		{"date", with(awsForm(), "x-amz-date", "2015-12-29"), "InvalidArgument", "X-Amz-Date must be formated via ISO8601 Long format"},
		{"token", with(awsForm(), "x-amz-security-token", "t"), "InvalidToken", ""},
		{"unknown key", with(awsForm(), "x-amz-credential", "AKIAIOSFODNN8EXAMPLE/20151229/us-east-1/s3/aws4_request"), "InvalidAccessKeyId", ""},
		{"V2 unknown key", with(v2, "AWSAccessKeyId", "foo"), "InvalidAccessKeyId", ""},
		{"another region", with(awsForm(), "x-amz-credential", exampleKey+"/20151229/eu-west-1/s3/aws4_request"), "SignatureDoesNotMatch", ""},
		{"cut policy", with(awsForm(), "policy", awsPolicy[:len(awsPolicy)-2]), "SignatureDoesNotMatch", ""},
		{"signature in capitals", with(awsForm(), "x-amz-signature", strings.ToUpper(awsSignature)), "SignatureDoesNotMatch", ""},
		{"V2 cut policy", with(v2, "policy", "e30="), "SignatureDoesNotMatch", ""},
		{"twice", append(awsForm(), sigv4.FormField{Name: "KEY", Value: "other"}), "InvalidArgument", "A form field was given more than once"},
		{"V2 signed nonsense", formV2("nonsense"), "InvalidPolicyDocument", "Invalid Policy: Invalid JSON."},
	} {
		t.Run(c.name, func(t *testing.T) {
			auth, policy, err := verifierAt(beforeExpiry).VerifyForm(context.Background(), c.form)
			if auth != nil || policy != nil {
				t.Fatal("an answer with the error")
			}
			wantCode(t, err, c.code, c.message)
		})
	}
}

func TestFormMismatchShowsWhatWasSigned(t *testing.T) {
	_, _, err := verifierAt(beforeExpiry).VerifyForm(context.Background(), with(awsForm(), "x-amz-signature", "00"))
	var e *sigv4.Error
	if !errors.As(err, &e) || len(e.Fields) != 4 || e.Fields[0] != [2]string{"AWSAccessKeyId", exampleKey} ||
		e.Fields[1] != [2]string{"StringToSign", awsPolicy} || e.Fields[2] != [2]string{"SignatureProvided", "00"} || !strings.HasPrefix(e.Fields[3][1], "65 79 41") {
		t.Fatalf("%v", err)
	}
	if text := fmt.Sprint(e.Fields); strings.Contains(text, exampleSecret) || strings.Contains(text, awsSignature) {
		t.Fatal("the answer gives the right signature away")
	}
}

func TestPolicyDocumentsThatAreNone(t *testing.T) {
	expires := `"expiration": "2015-12-30T12:00:00Z"`
	for _, c := range []struct{ doc, message string }{
		{``, "Invalid JSON."},
		{`[]`, "Invalid JSON."},
		{`{} {}`, "Invalid JSON."},
		{`{` + expires + `, "conditions": []`, "Invalid JSON."},
		{`{` + expires + `, "conditions": [{"acl": "a"},]}`, "Invalid JSON."},
		{`{` + expires + `, "conditions": [["eq", "$key", "\$a"]]}`, "Invalid JSON."},
		{`{` + expires + `, ` + expires + `, "conditions": []}`, "Invalid JSON."},
		{"{" + expires + `, "conditions": [{"acl": "` + "\xff" + `"}]}`, "Invalid JSON."},
		{`{` + expires + `}`, "Policy missing conditions."},
		{`{"conditions": []}`, "Policy missing expiration."},
		{`{"EXPIRATION": "2015-12-30T12:00:00Z", "conditions": []}`, "Unexpected: 'expiration'"},
		{`{` + expires + `, "Conditions": []}`, "Unexpected: 'conditions'"},
		{`{"Version": "2012-10-17", ` + expires + `, "conditions": []}`, "Unexpected: 'version'"},
		{`{` + expires + `, "conditions": {}}`, "Invalid 'conditions' value: must be a List."},
		{`{` + expires + `, "conditions": null}`, "Invalid 'conditions' value: must be a List."},
		{`{"expiration": "2015-12-30 12:00:00Z", "conditions": []}`, "Invalid 'expiration' value: '2015-12-30 12:00:00Z'"},
		{`{"expiration": "2015-12-30T12:00:00+02:00", "conditions": []}`, "Invalid 'expiration' value: '2015-12-30T12:00:00+02:00'"},
		{`{"expiration": "2015-12-30T12:00:00", "conditions": []}`, "Invalid 'expiration' value: '2015-12-30T12:00:00'"},
		{`{"expiration": 1451476800, "conditions": []}`, "Invalid 'expiration' value: '1451476800'"},
		{document(`{}`), "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."},
		{document(`{"acl": "a", "key": "b"}`), "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."},
		{document(`{"acl": 1}`), "Invalid Simple-Condition: value must be a string."},
		{document(`{"acl": ["a"]}`), "Invalid Simple-Condition: value must be a string."},
		{document(`{"acl": null}`), "Invalid JSON."},
		{document(`"acl"`), "Invalid condition test: must be a List or Object."},
		{document(`[]`), "Invalid Condition: missing operation identifier."},
		{document(`[1, "$acl", "a"]`), "Invalid JSON."},
		{document(`["ends-with", "$acl", "a"]`), "Invalid Condition: unknown operation 'ends-with'."},
		{document(`["eq", "$acl"]`), "Invalid eq: wrong number of arguments."},
		{document(`["starts-with", "$acl", "a", "b"]`), "Invalid starts-with: wrong number of arguments."},
		{document(`["eq", "$acl", 5]`), "Invalid JSON."},
		{document(`["content-length-range", 0]`), "Invalid content-length-range: wrong number of arguments."},
		{document(`["content-length-range", -1, 0]`), "Invalid content-length-range: must not be negative."},
		{document(`["content-length-range", 0, 512.0]`), "Invalid JSON."},
		{document(`["content-length-range", 0, null]`), "Invalid JSON."},
	} {
		_, err := sigv4.ParsePostPolicy(encode(c.doc))
		var e *sigv4.Error
		if !errors.As(err, &e) || e.Code != "InvalidPolicyDocument" || e.Message != "Invalid Policy: "+c.message {
			t.Errorf("%s: %v", c.doc, err)
		}
	}
	for _, text := range []string{"e30", "e30=!", "e31=", "-_-_"} {
		_, err := sigv4.ParsePostPolicy(text)
		wantCode(t, err, "InvalidPolicyDocument", "Invalid Policy: invalid Base64 encoding.")
	}
}

func TestExpirationMayHaveFractions(t *testing.T) {
	for text, expires := range map[string]time.Time{
		"2015-12-30T12:00:00Z":         time.Date(2015, 12, 30, 12, 0, 0, 0, time.UTC),
		"2015-12-30T12:00:00.000Z":     time.Date(2015, 12, 30, 12, 0, 0, 0, time.UTC),
		"2015-12-30T12:00:00.25Z":      time.Date(2015, 12, 30, 12, 0, 0, 250e6, time.UTC),
		"2015-12-30T12:00:00.1234567Z": time.Date(2015, 12, 30, 12, 0, 0, 123456700, time.UTC),
	} {
		p, err := sigv4.ParsePostPolicy(encode(`{"expiration": "` + text + `", "conditions": []}`))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := p.Check(expires.Add(-1), nil); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		wantCode(t, p.Check(expires, nil), "AccessDenied", "Invalid according to Policy: Policy expired.")
	}
}

func TestConditions(t *testing.T) {
	const failed, extra = "Policy Condition failed: ", "Extra input fields: "
	for _, c := range []struct{ condition, field, value, refusal string }{
		{`{"acl": "private"}`, "acl", "private", ""},
		{`{"AcL": "private"}`, "aCl", "private", ""},
		{`{"acl": "private"}`, "acl", "Private", failed + `["eq", "$acl", "private"]`},
		{`{"acl": "private"}`, "", "", failed + `["eq", "$acl", "private"]`},
		{`["eq", "$acl", "private"]`, "acl", "private", ""},
		{`["EQ", "$Acl", "private"]`, "acl", "private", ""},
		{`["eq", "$Acl", "private"]`, "acl", "private2", failed + `["eq", "$Acl", "private"]`},
		{`["eq", "acl", "private"]`, "acl", "private", failed + `["eq", "acl", "private"]`},
		{`["eq", "$Content-Disposition", "filename=\"a<b>\""]`, "x", "", failed + `["eq", "$Content-Disposition", "filename=\"a<b>\""]`},
		{`["starts-with", "$key", "user/"]`, "key", "user/a", ""},
		{`["StArTs-WiTh", "$KeY", "user/"]`, "kEy", "user/a", ""},
		{`["starts-with", "$key", "user/"]`, "key", "user", failed + `["starts-with", "$key", "user/"]`},
		{`["starts-with", "$key", "user/"]`, "key", "User/a", failed + `["starts-with", "$key", "user/"]`},
		{`["starts-with", "$key", "\\$foo"]`, "key", `\$foo.txt`, ""},
		{`["starts-with", "$key", ""]`, "key", "anything", ""},
		{`["starts-with", "$key", "\u00e9/"]`, "key", "é/a", ""},
		{`["starts-with", "$Content-Type", ""]`, "", "", failed + `["starts-with", "$Content-Type", ""]`},
		{`["starts-with", "$x-amz-server-side-encryption", ""]`, "", "", ""},
		{`["starts-with", "$x-amz-server-side-encryption", "A"]`, "", "", failed + `["starts-with", "$x-amz-server-side-encryption", "A"]`},
		{`["starts-with", "$Content-Type", "image/"]`, "content-type", "image/jpg,image/png, image/gif", ""},
		{`["starts-with", "$Content-Type", "image/"]`, "content-type", "image/jpg,text/plain", failed + `["starts-with", "$Content-Type", "image/"]`},
		{`["eq", "$Content-Type", "image/a,text/b"]`, "Content-Type", "image/a,text/b", ""},
		{`["starts-with", "$x-amz-meta-list", "a"]`, "x-amz-meta-list", "a,b", ""},
		{`["eq", "$x-amz-meta-foo", ""]`, "x-amz-meta-foo", "barclamp", failed + `["eq", "$x-amz-meta-foo", ""]`},
		{`["content-length-range", "test", "10"]`, "", "", failed + `["content-length-range", "test", "10"]`},
		{`["content-length-range", 0, 10]`, "", "", ""},
		{`{"acl": "private"}`, "x-ignore-me", "", failed + `["eq", "$acl", "private"]`},
		{`["content-length-range", 0, 10]`, "X-Ignore-Me", "", ""},
		{`["content-length-range", 0, 10]`, "StorageClass", "", extra + "StorageClass"},
		{`["content-length-range", 0, 10]`, "bucket", "b", extra + "bucket"},
		{`["content-length-range", 0, 10]`, "x-amz-checksum-sha256", "c", ""},
		{`["content-length-range", 0, 10]`, "x-amz-date", "c", extra + "x-amz-date"},
		{`["eq", "content-length", ""]`, "content-length-range", "", failed + `["eq", "content-length", ""]`},
	} {
		p, err := sigv4.ParsePostPolicy(encode(document(c.condition)))
		if err != nil {
			t.Fatalf("%s: %v", c.condition, err)
		}
		form := formV2("")
		if c.field != "" {
			form = append(form, sigv4.FormField{Name: c.field, Value: c.value})
		}
		err = p.Check(beforeExpiry, form)
		if c.refusal == "" && err != nil {
			t.Errorf("%s with %s=%s: %v", c.condition, c.field, c.value, err)
		}
		if c.refusal != "" {
			wantCode(t, err, "AccessDenied", "Invalid according to Policy: "+c.refusal)
		}
	}
}

func TestContentLengthRange(t *testing.T) {
	for _, bounds := range []string{`5, 10`, `"5", "10"`} {
		p, err := sigv4.ParsePostPolicy(encode(document(`["content-length-range", ` + bounds + `]`)))
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int64{5, 7, 10} {
			if err := p.CheckSize(size); err != nil {
				t.Errorf("%d: %v", size, err)
			}
		}
		var e *sigv4.Error
		if err := p.CheckSize(12); !errors.As(err, &e) || e.Code != "EntityTooLarge" || fmt.Sprint(e.Fields) != "[[ProposedSize 12] [MaxSizeAllowed 10]]" {
			t.Error(err)
		}
		if err := p.CheckSize(1); !errors.As(err, &e) || e.Code != "EntityTooSmall" || fmt.Sprint(e.Fields) != "[[ProposedSize 1] [MinSizeAllowed 5]]" {
			t.Error(err)
		}
	}
	p, err := sigv4.ParsePostPolicy(encode(document(`["content-length-range", 0, 99999999999999999999]`)))
	if err != nil || p.CheckSize(5<<40) != nil {
		t.Fatal(err)
	}
}

// Whatever fields a page signs, the form with just them is allowed, and any one of them changed, dropped or added to is not.
func TestPolicyAllowsItsOwnFormAndNoOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,3}-[a-zA-Z-]{0,6}`), 1, 6, strings.ToLower).Draw(t, "names")
		var form []sigv4.FormField
		var conditions []string
		for _, name := range names {
			value := rapid.StringN(1, 20, -1).Draw(t, "value")
			quoted, _ := json.Marshal(value)
			condition := `{"` + name + `": ` + string(quoted) + `}`
			if rapid.Bool().Draw(t, "as operation") {
				condition = `["eq", "$` + name + `", ` + string(quoted) + `]`
			}
			conditions = append(conditions, condition)
			form = append(form, sigv4.FormField{Name: name, Value: value})
		}
		p, err := sigv4.ParsePostPolicy(encode(document(conditions...)))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Check(beforeExpiry, form); err != nil {
			t.Fatal(err)
		}
		for _, f := range form {
			if p.Check(beforeExpiry, with(form, f.Name, f.Value+"x")) == nil || p.Check(beforeExpiry, without(form, f.Name)) == nil {
				t.Fatalf("changed or dropped %s", f.Name)
			}
		}
		if p.Check(beforeExpiry, append(form, sigv4.FormField{Name: "zz", Value: ""})) == nil {
			t.Fatal("a field more")
		}
	})
}

// FuzzPostPolicy: a document is read or refused, and what is read says the same of a form each time.
func FuzzPostPolicy(f *testing.F) {
	f.Add(string(mustDecode(awsPolicy)), "key", "user/user1/a", int64(1))
	f.Add(document(`["content-length-range", "1", 10]`, `{"acl": "a"}`, `["starts-with", "$key", "\u0000"]`), "acl", "a", int64(5))
	f.Add(document(`[]`, `{}`), "a", "", int64(0))
	f.Add(`{"expiration":"9999-12-31T23:59:59.999999999Z","conditions":[["eq","$a","\ud800"]]}`, "a", "\xff", int64(-1))
	f.Fuzz(func(t *testing.T, doc, name, value string, size int64) {
		p, err := sigv4.ParsePostPolicy(encode(doc))
		if err != nil {
			var e *sigv4.Error
			if p != nil || !errors.As(err, &e) || e.Code != "InvalidPolicyDocument" || e.Message == "" {
				t.Fatalf("%v %v", p, err)
			}
			return
		}
		if !json.Valid([]byte(doc)) {
			t.Fatal("read what is no JSON")
		}
		form := []sigv4.FormField{{Name: name, Value: value}}
		first, again := p.Check(beforeExpiry, form), p.Check(beforeExpiry, form)
		sized, sizedAgain := p.CheckSize(size), p.CheckSize(size)
		if fmt.Sprint(first) != fmt.Sprint(again) || fmt.Sprint(sized) != fmt.Sprint(sizedAgain) {
			t.Fatal("two answers")
		}
		// A field that the text does not name, and that nothing exempts, is never let through.
		if p.Check(beforeExpiry, []sigv4.FormField{{Name: "no-condition-names-this", Value: value}}) == nil && !strings.Contains(strings.ToLower(doc), "no-condition-names-this") && !strings.Contains(doc, `\`) {
			t.Fatal("an uncovered field went through")
		}
	})
}

func mustDecode(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
