package s3api

import (
	"bytes"
	"strings"
	"testing"
)

// checks are the judgements of configuration documents, with one document that each takes.
var checks = []struct {
	name, good string
	check      func(text []byte) *Error
}{
	{"acl", `<AccessControlPolicy><Owner><ID>a</ID></Owner><AccessControlList><Grant><Grantee><ID>b</ID></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>`,
		func(b []byte) *Error { return CheckACL(bytes.NewReader(b)) }},
	{"cors", `<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>https://*</AllowedOrigin><MaxAgeSeconds>5</MaxAgeSeconds></CORSRule></CORSConfiguration>`,
		func(b []byte) *Error { return CheckCORS(bytes.NewReader(b)) }},
	{"lifecycle", `<LifecycleConfiguration><Rule><ID>a</ID><Filter><And><Prefix>p</Prefix></And></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>`,
		func(b []byte) *Error { _, err := CheckLifecycle(bytes.NewReader(b)); return err }},
	{"object lock", `<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Years>1</Years></DefaultRetention></Rule></ObjectLockConfiguration>`,
		func(b []byte) *Error { return CheckObjectLock(bytes.NewReader(b)) }},
	{"retention", `<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-01T00:00:00.123Z</RetainUntilDate></Retention>`,
		func(b []byte) *Error { return CheckRetention(bytes.NewReader(b)) }},
	{"legal hold", `<LegalHold><Status>OFF</Status></LegalHold>`,
		func(b []byte) *Error { return CheckLegalHold(bytes.NewReader(b)) }},
	{"request payment", `<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>`,
		func(b []byte) *Error { return CheckRequestPayment(bytes.NewReader(b)) }},
	{"public access block", `<PublicAccessBlockConfiguration><BlockPublicAcls>TRUE</BlockPublicAcls></PublicAccessBlockConfiguration>`,
		func(b []byte) *Error { return CheckPublicAccessBlock(bytes.NewReader(b)) }},
	{"notification", `<NotificationConfiguration><TopicConfiguration><Topic>arn:aws:sns:default::a</Topic></TopicConfiguration></NotificationConfiguration>`,
		func(b []byte) *Error { _, err := DecodeNotification(bytes.NewReader(b)); return err }},
	{"policy", `{"Version":"2012-10-17","Statement":[]}`, CheckPolicy},
}

// TestConfigurationChecksTakeTheirOwnDocumentOnly has each check take its document, with the namespace of S3 too, and
// refuse those of all others, a document cut short anywhere, and one with a DTD.
func TestConfigurationChecksTakeTheirOwnDocumentOnly(t *testing.T) {
	for _, c := range checks {
		if err := c.check([]byte(c.good)); err != nil {
			t.Errorf("%s: own document: %v", c.name, err)
		}
		if c.name != "policy" {
			spaced := strings.Replace(c.good, ">", ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`, 1)
			if err := c.check([]byte("<?xml version=\"1.0\"?>\n" + spaced)); err != nil {
				t.Errorf("%s: with namespace: %v", c.name, err)
			}
		}
		for n := range len(c.good) {
			if err := c.check([]byte(c.good[:n])); err == nil {
				t.Errorf("%s: took its first %d bytes", c.name, n)
			}
		}
		if err := c.check([]byte("<!DOCTYPE a [<!ENTITY b 'c'>]>" + c.good)); err == nil {
			t.Errorf("%s: took a DTD", c.name)
		}
		for _, other := range checks {
			if other.name != c.name && c.check([]byte(other.good)) == nil {
				t.Errorf("%s: took the document of %s", c.name, other.name)
			}
		}
	}
}

func TestLifecycleChecksFindSizes(t *testing.T) {
	doc := `<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter>%</Filter></Rule></LifecycleConfiguration>`
	for filter, want := range map[string]bool{
		"<Prefix>ObjectSizeGreaterThan</Prefix>":                            false,
		"<ObjectSizeGreaterThan>1</ObjectSizeGreaterThan>":                  true,
		"<And><Prefix/><ObjectSizeLessThan>1</ObjectSizeLessThan></And>":    true,
		"<Tag><Key>ObjectSizeLessThan</Key><Value>ObjectSize</Value></Tag>": false,
	} {
		if sized, err := CheckLifecycle(strings.NewReader(strings.Replace(doc, "%", filter, 1))); err != nil || sized != want {
			t.Errorf("%s: %v, %v", filter, sized, err)
		}
	}
}

func TestCannedACLsAreAClosedList(t *testing.T) {
	for value, good := range map[string]bool{"private": true, "bucket-owner-full-control": true, "": false, "Private": false, "public": false, "private ": false} {
		if err := CheckCannedACL(value); (err == nil) != good {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// FuzzConfigurationChecks looks for documents that stop a check, or that it refuses with an error that no client knows.
func FuzzConfigurationChecks(f *testing.F) {
	for _, c := range checks {
		f.Add([]byte(c.good))
	}
	f.Add([]byte("<CORSConfiguration><CORSRule><AllowedMethod>\x00</AllowedMethod></CORSRule></CORSConfiguration>"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, c := range checks {
			if err := c.check(text); err != nil && (ErrorByCode(err.Code) == nil || err.Message == "" || err.Status < 400) {
				t.Errorf("%s: %+v", c.name, err)
			}
		}
		// What a backend sends must not stop anything either.
		_, _ = ScanACLOwner(bytes.NewReader(text))
		_, _ = ScanReplication(text)
		if p, err := ScanPublicAccessBlock(text); err == nil {
			if again, err := ScanPublicAccessBlock(EncodePublicAccessBlock(p)); err != nil || again != p {
				t.Errorf("%+v came back as %+v, %v", p, again, err)
			}
		}
	})
}
