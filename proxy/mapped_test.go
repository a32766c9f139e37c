package proxy_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"cofre/access"
	"cofre/backend"
	"cofre/sigv4/sigv4test"
)

// person is a user of the RGW, and the client of cofre that acts as that user.
type person struct {
	name           string
	uid            string // on the RGW
	access, secret string // on the RGW
}

// client is the credential that cofre knows the person by: other keys than those on the RGW.
func (p person) client() sigv4test.Signer {
	return sigv4test.Signer{AccessKeyID: "AKIACOFRE" + strings.ToUpper(p.name), SecretAccessKey: "a-secret-between-cofre-and-" + p.name, Region: region, Time: time.Now()}
}

func (p person) straight() sigv4test.Signer {
	return sigv4test.Signer{AccessKeyID: p.access, SecretAccessKey: p.secret, Region: region, Time: time.Now()}
}

// people are two users of the real RGW. Ann's is the site's own, Bob's a stranger's.
func people(t *testing.T, st *storage) (ann, bob person) {
	t.Helper()
	bob = person{"bob", os.Getenv("COFRE_TEST_RGW_ALT_UID"), os.Getenv("COFRE_TEST_RGW_ALT_ACCESS_KEY"), os.Getenv("COFRE_TEST_RGW_ALT_SECRET_KEY")}
	if bob.access == "" {
		if strings.Contains(os.Getenv("COFRE_TEST_REQUIRE"), "rgw") {
			t.Fatal("COFRE_TEST_RGW_ALT_ACCESS_KEY is not set, and COFRE_TEST_REQUIRE names rgw")
		}
		t.Skip("COFRE_TEST_RGW_ALT_ACCESS_KEY is not set: no second user of the RGW")
	}
	list, err := st.raw.ListBuckets(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return person{"ann", *list.Owner.ID, st.access, st.secret}, bob
}

// mappedSite is a cofre whose clients act as these users of the RGW.
func mappedSite(t *testing.T, st *storage, cfg siteConfig, who ...person) *site {
	t.Helper()
	cfg.users = map[access.BackendUser]backend.Credentials{}
	for _, p := range who {
		cfg.users[access.BackendUser(p.name)] = backend.Credentials{AccessKeyID: p.access, SecretAccessKey: p.secret}
		c := p.client()
		cfg.credentials = append(cfg.credentials, access.Credential{
			AccessKeyID: c.AccessKeyID, Secret: access.Secret(c.SecretAccessKey), User: access.BackendUser(p.name),
			Grants: []access.Grant{{Bucket: "*", Actions: access.AllActions()}},
		})
	}
	return newSite(t, st, cfg)
}

// sendAs sends a request under other credentials than the test client's.
func (s *site) sendAs(t *testing.T, who sigv4test.Signer, rq request) reply {
	t.Helper()
	rq.as = &who
	return s.send(t, rq)
}

// step is one request of the script that both ways must answer alike.
type step struct {
	who  string // ann, bob, or nobody
	rq   request
	want int
	// through is what cofre answers where it is right to differ from RGW 16, and why.
	through int
	why     string
}

// script is what Ann and Bob do. BUCKET, ANN and BOB stand for names that the run chooses.
var script = []step{
	{who: "ann", rq: request{method: "PUT", bucket: "BUCKET"}, want: 200},
	{who: "ann", rq: put("k"), want: 200},
	{who: "ann", rq: put("private"), want: 200},

	// Nothing granted.
	{who: "bob", rq: request{method: "GET", bucket: "BUCKET", key: "k"}, want: 403},
	{who: "bob", rq: request{method: "HEAD", bucket: "BUCKET", key: "k"}, want: 403},
	{who: "bob", rq: request{method: "GET", bucket: "BUCKET"}, want: 403},
	{who: "bob", rq: request{method: "HEAD", bucket: "BUCKET"}, want: 403},
	{who: "bob", rq: put("k"), want: 403},
	{who: "bob", rq: request{method: "DELETE", bucket: "BUCKET", key: "k"}, want: 403},
	{who: "bob", rq: request{method: "POST", bucket: "BUCKET", key: "m", query: "uploads="}, want: 403},
	{who: "bob", rq: sub("GET", "", "acl", ""), want: 403},
	{who: "bob", rq: sub("GET", "k", "acl", ""), want: 403},
	{who: "bob", rq: sub("GET", "k", "tagging", ""), want: 403},
	{who: "bob", rq: sub("GET", "", "policy", ""), want: 403},
	{who: "bob", rq: sub("GET", "", "lifecycle", ""), want: 403},
	{who: "bob", rq: sub("GET", "", "cors", ""), want: 403},
	{who: "bob", rq: sub("GET", "", "versioning", ""), want: 403},
	{who: "bob", rq: sub("DELETE", "", "lifecycle", ""), want: 403},
	{who: "bob", rq: request{method: "DELETE", bucket: "BUCKET"}, want: 403},
	{who: "nobody", rq: request{method: "GET", bucket: "BUCKET", key: "k"}, want: 403},
	{who: "nobody", rq: request{method: "GET", bucket: "BUCKET"}, want: 403},

	// An ACL on one object.
	{who: "ann", rq: header(sub("PUT", "k", "acl", ""), "X-Amz-Grant-Read", "id=BOB"), want: 200},
	{who: "bob", rq: request{method: "GET", bucket: "BUCKET", key: "k"}, want: 200},
	{who: "bob", rq: request{method: "HEAD", bucket: "BUCKET", key: "k"}, want: 200},
	{who: "bob", rq: request{method: "GET", bucket: "BUCKET", key: "private"}, want: 403},
	{who: "bob", rq: sub("GET", "k", "acl", ""), want: 403},
	{who: "bob", rq: header(sub("PUT", "k", "acl", ""), "X-Amz-Acl", "public-read"), want: 403},
	{who: "bob", rq: put("k"), want: 403},
	{who: "ann", rq: header(sub("PUT", "k", "acl", ""), "X-Amz-Acl", "public-read"), want: 200},
	{who: "nobody", rq: request{method: "GET", bucket: "BUCKET", key: "k"}, want: 200},
	{who: "nobody", rq: request{method: "GET", bucket: "BUCKET", key: "private"}, want: 403},
	{who: "nobody", rq: sub("GET", "k", "acl", ""), want: 403},

	// ACLs on the bucket.
	{who: "ann", rq: header(sub("PUT", "", "acl", ""), "X-Amz-Grant-Read", "id=BOB"), want: 200},
	{who: "bob", rq: request{method: "GET", bucket: "BUCKET"}, want: 200},
	{who: "bob", rq: request{method: "GET", bucket: "BUCKET", query: "list-type=2"}, want: 200},
	{who: "bob", rq: request{method: "GET", bucket: "BUCKET", query: "versions="}, want: 200},
	{who: "bob", rq: request{method: "HEAD", bucket: "BUCKET"}, want: 200},
	{who: "bob", rq: put("from-bob"), want: 403},
	{who: "bob", rq: sub("GET", "", "acl", ""), want: 403},
	{who: "ann", rq: sub("PUT", "", "acl", aclOf("ANN", grantTo("BOB", "WRITE"))), want: 200},
	{who: "bob", rq: put("from-bob"), want: 200},
	{who: "ann", rq: request{method: "GET", bucket: "BUCKET", key: "from-bob"}, want: 403},
	{who: "bob", rq: request{method: "GET", bucket: "BUCKET", key: "from-bob"}, want: 200},
	{who: "bob", rq: header(put("for-ann"), "X-Amz-Acl", "bucket-owner-full-control"), want: 200},
	{who: "ann", rq: request{method: "GET", bucket: "BUCKET", key: "for-ann"}, want: 200},
	{who: "bob", rq: request{method: "GET", bucket: "BUCKET"}, want: 403},
	{who: "bob", rq: request{method: "DELETE", bucket: "BUCKET", key: "for-ann"}, want: 204},
	{who: "ann", rq: sub("PUT", "", "acl", aclOf("ANN", grantTo("BOB", "READ_ACP"))), want: 200},
	{who: "bob", rq: sub("GET", "", "acl", ""), want: 200},
	{who: "bob", rq: header(sub("PUT", "", "acl", ""), "X-Amz-Acl", "public-read-write"), want: 403},
	{who: "ann", rq: sub("PUT", "", "acl", aclOf("ANN", grantTo("BOB", "WRITE_ACP"))), want: 200},
	{who: "bob", rq: sub("PUT", "", "acl", aclOf("ANN", grantTo("BOB", "FULL_CONTROL"))), want: 200},
	{who: "bob", rq: sub("GET", "", "acl", ""), want: 200},
	{who: "bob", rq: sub("PUT", "", "acl", aclOf("BOB", grantTo("BOB", "FULL_CONTROL"))), want: 403},
	{who: "ann", rq: header(sub("PUT", "", "acl", ""), "X-Amz-Acl", "private"), want: 200},
	{who: "bob", rq: put("from-bob"), want: 403},
	{who: "ann", rq: sub("PUT", "", "acl", aclOf("ANN", grantTo("no-such-user", "READ"))), want: 400},
	{who: "ann", rq: header(sub("PUT", "", "acl", ""), "X-Amz-Acl", "nonsense"), want: 400},
	{who: "ann", rq: header(header(sub("PUT", "", "acl", ""), "X-Amz-Acl", "private"), "X-Amz-Grant-Read", "id=BOB"), want: 400},

	// A policy by prefix.
	{who: "ann", rq: put("pub/a"), want: 200},
	{who: "ann", rq: sub("PUT", "", "policy", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam:::user/BOB"},"Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::BUCKET/pub/*"},
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam:::user/BOB"},"Action":"s3:ListBucket","Resource":"arn:aws:s3:::BUCKET","Condition":{"StringEquals":{"s3:prefix":"pub/"}}},
		{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::BUCKET/pub/*"}]}`), want: 204},
	{who: "bob", rq: request{method: "GET", bucket: "BUCKET", key: "pub/a"}, want: 200},
	{who: "bob", rq: request{method: "GET", bucket: "BUCKET", key: "private"}, want: 403},
	{who: "bob", rq: put("pub/b"), want: 200},
	{who: "bob", rq: put("elsewhere"), want: 403},
	{who: "bob", rq: request{method: "GET", bucket: "BUCKET", query: "prefix=pub%2F"}, want: 200},
	{who: "bob", rq: request{method: "GET", bucket: "BUCKET"}, want: 403},
	{who: "bob", rq: sub("GET", "", "policy", ""), want: 403},
	{who: "ann", rq: sub("GET", "", "policy", ""), want: 200},
	{who: "ann", rq: sub("GET", "", "policyStatus", ""), want: 200},
	{who: "ann", rq: request{method: "DELETE", bucket: "BUCKET", key: "pub/a"}, want: 403},
	{who: "bob", rq: request{method: "DELETE", bucket: "BUCKET", key: "pub/b"}, want: 403},
	{who: "nobody", rq: request{method: "GET", bucket: "BUCKET", key: "pub/a"}, want: 403},
	{who: "ann", rq: sub("DELETE", "", "policy", ""), want: 200, through: 204, why: "S3 answers 204"},
	{who: "ann", rq: sub("GET", "", "policy", ""), want: 404},
	{who: "bob", rq: request{method: "GET", bucket: "BUCKET", key: "pub/a"}, want: 403},

	// Copies: the source is read as the one who asks.
	{who: "bob", rq: request{method: "PUT", bucket: "BUCKET-of-bob"}, want: 200},
	{who: "bob", rq: header(request{method: "PUT", bucket: "BUCKET-of-bob", key: "copy"}, "X-Amz-Copy-Source", "/BUCKET/k"), want: 200},
	{who: "bob", rq: header(request{method: "PUT", bucket: "BUCKET-of-bob", key: "copy"}, "X-Amz-Copy-Source", "/BUCKET/private"), want: 403},
	{who: "ann", rq: header(request{method: "PUT", bucket: "BUCKET-of-bob", key: "copy"}, "X-Amz-Copy-Source", "/BUCKET/k"), want: 403},
	{who: "bob", rq: request{method: "GET", bucket: "BUCKET-of-bob", key: "copy"}, want: 200},

	// Blocked public access.
	{who: "ann", rq: sub("PUT", "", "publicAccessBlock", `<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>false</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets></PublicAccessBlockConfiguration>`), want: 200},
	{who: "ann", rq: header(sub("PUT", "", "acl", ""), "X-Amz-Acl", "public-read"), want: 403},
	{who: "ann", rq: sub("PUT", "", "policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/*"}]}`), want: 403},
	{who: "bob", rq: sub("DELETE", "", "publicAccessBlock", ""), want: 403},
	{who: "ann", rq: sub("DELETE", "", "publicAccessBlock", ""), want: 200, through: 204, why: "S3 answers 204"},
	{who: "ann", rq: sub("PUT", "", "policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/*"}]}`), want: 204},
	{who: "nobody", rq: request{method: "GET", bucket: "BUCKET", key: "private"}, want: 200},
}

func put(key string) request {
	return request{method: "PUT", bucket: "BUCKET", key: key, payload: sigv4test.Payload{Data: []byte("of some length")}}
}

func sub(method, key, subresource, body string) request {
	return request{method: method, bucket: "BUCKET", key: key, query: subresource + "=", payload: sigv4test.Payload{Data: []byte(body)}}
}

func header(rq request, name, value string) request {
	h := map[string]string{name: value}
	for n, v := range rq.header {
		h[n] = v
	}
	rq.header = h
	return rq
}

func aclOf(owner, grants string) string {
	return `<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>` + owner + `</ID></Owner><AccessControlList>` +
		grantTo(owner, "FULL_CONTROL") + grants + `</AccessControlList></AccessControlPolicy>`
}

func grantTo(id, permission string) string {
	return `<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>` + id +
		`</ID></Grantee><Permission>` + permission + `</Permission></Grant>`
}

// TestMappedIdentitiesSeeWhatTheySeeStraight plays one script twice, straight to the RGW and through cofre, each on buckets
// of its own, and wants the same statuses and codes: whoever acts as a user of the backend has that user's rights there.
func TestMappedIdentitiesSeeWhatTheySeeStraight(t *testing.T) {
	st := rgwStorage(t)
	ann, bob := people(t, st)
	everything := access.AnonymousIdentity([]access.BucketRule{{Bucket: "*", Actions: []access.Action{access.Read, access.List}}})
	cofre := mappedSite(t, st, siteConfig{anon: everything}, ann, bob)
	rgw := &site{storage: st, url: st.endpoint}
	for i, step := range script {
		name := fmt.Sprintf("%d %s %s %s?%s", i, step.who, step.rq.method, step.rq.key, step.rq.query)
		play := func(s *site, who func(person) sigv4test.Signer, bucket string) reply {
			rq := filled(step.rq, strings.NewReplacer("BUCKET", bucket+st.bucketTag, "ANN", ann.uid, "BOB", bob.uid))
			switch step.who {
			case "ann":
				return s.sendAs(t, who(ann), rq)
			case "bob":
				return s.sendAs(t, who(bob), rq)
			}
			rq.unsigned = true
			return s.send(t, rq)
		}
		straight := play(rgw, person.straight, "straight")
		if straight.status != step.want {
			t.Errorf("%s: straight answers %d %s, the script says %d", name, straight.status, straight.code, step.want)
		}
		through := play(cofre, person.client, "through")
		want := straight.status
		if step.through != 0 {
			want = step.through
		}
		if through.status != want || through.code != straight.code {
			t.Errorf("%s: straight %d %s, through %d %s", name, straight.status, straight.code, through.status, through.code)
		}
		if through.code != "" && strings.Contains(string(through.body), "<Message></Message>") {
			t.Errorf("%s: an error without a message", name)
		}
	}
}

// filled puts names into the places of a request that stand for them.
func filled(rq request, names *strings.Replacer) request {
	rq.bucket = names.Replace(rq.bucket)
	rq.payload.Data = []byte(names.Replace(string(rq.payload.Data)))
	h := map[string]string{}
	for n, v := range rq.header {
		h[n] = names.Replace(v)
	}
	rq.header = h
	return rq
}
