package sigv4_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"cofre/sigv4"
	"cofre/sigv4/sigv4test"
)

// FuzzClaimed holds that whoever a request is verified as, it claimed to be: failures are counted by the claim.
func FuzzClaimed(f *testing.F) {
	good := signed(f, "/b/k").Header.Get("Authorization")
	link := presigned(f, "/b/k", time.Hour).RequestURI
	_, link, _ = strings.Cut(link, "?")
	v2 := request(f, "/b/k")
	sigv4test.New(signedAt).SignV2(v2, "", "", unsigned)
	f.Add(good, "")
	f.Add("", link)
	f.Add(v2.Header.Get("Authorization"), "")
	f.Add("", "AWSAccessKeyId=a&Signature=b&Expires=9999999999")
	f.Add("AWS :", "X-Amz-Credential=/&x-amz-credential=b")
	f.Fuzz(func(t *testing.T, authorization, query string) {
		r := signed(t, "/b/k")
		r.Header.Del("Authorization")
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		r.RequestURI = "/b/k?" + query
		claimed := sigv4.Claimed(r)
		auth, err := verifierAt(signedAt).Verify(r)
		if err == nil && auth.AccessKeyID() != claimed {
			t.Errorf("claimed %q, verified as %q", claimed, auth.AccessKeyID())
		}
	})
}

// FuzzDate reads any text as the time of a request, in both headers.
func FuzzDate(f *testing.F) {
	for _, seed := range []string{"20150830T123600Z", "Sun, 30 Aug 2015 12:36:00 GMT", "Sun, 30 Aug 2015 12:36:00 UTC", "Sun, 30 Aug 2015 14:36:00 +0200", "Sunday, 30-Aug-15 12:36:00 GMT", "Sun Aug 30 12:36:00 2015", "", "99999999T999999Z"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, date string) {
		for _, name := range []string{"Date", "X-Amz-Date"} {
			r := request(t, "/b/k")
			r.Header["Authorization"] = []string{"AWS AKIAIOSFODNN7EXAMPLE:AAAA"}
			r.Header[name] = []string{date}
			if auth, err := verifierAt(signedAt).Verify(r); err == nil {
				t.Errorf("verified as %s", auth.AccessKeyID())
			}
		}
	})
}

// FuzzVerifyForm holds that a form with any trace of credentials is verified by the exact signature or refused.
func FuzzVerifyForm(f *testing.F) {
	for _, seed := range []string{
		"key=k&policy=e30%3D&AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&signature=AAAA", "key=k", "x-amz-credential=a/20150830/us-east-1/s3/aws4_request&x-amz-algorithm=AWS4-HMAC-SHA256&x-amz-date=20150830T123600Z&x-amz-signature=00&policy=e30%3D",
		"policy=&signature=", "X-AMZ-SIGNATURE=1&Signature=2", "x-amz-security-token=t", "key=a&KEY=b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		values, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		var fields []sigv4.FormField
		traced := false
		for name, list := range values {
			for _, v := range list {
				fields = append(fields, sigv4.FormField{Name: name, Value: v})
			}
			switch strings.ToLower(name) {
			case "x-amz-algorithm", "x-amz-credential", "x-amz-signature", "awsaccesskeyid", "signature", "policy", "x-amz-security-token":
				traced = true
			}
		}
		sigv4.ClaimedByForm(fields)
		auth, policy, err := verifierAt(signedAt).VerifyForm(t.Context(), fields)
		if err == nil && (traced || !auth.Anonymous() || policy != nil) {
			t.Errorf("%q is verified as %v", text, auth.Scheme())
		}
	})
}
