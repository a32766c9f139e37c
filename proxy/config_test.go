package proxy_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cofre/access"
	"cofre/sigv4/sigv4test"
)

// configured is a configuration of a bucket in a client's words: what it answers before, put, read back, taken away.
type configured struct {
	none   string // the error while there is none; "" where reading gives a default
	put    func(c *s3.Client, bucket string) error
	read   func(c *s3.Client, bucket string) (any, error)
	want   any
	delete func(c *s3.Client, bucket string) error // nil where S3 has no such operation
}

func configurations(t *testing.T) map[string]configured {
	ctx := t.Context()
	cors := []types.CORSRule{{AllowedMethods: []string{"GET", "PUT"}, AllowedOrigins: []string{"https://a.example"}, AllowedHeaders: []string{"*"}, ExposeHeaders: []string{"ETag"}, MaxAgeSeconds: aws.Int32(30)}}
	rules := []types.LifecycleRule{{ID: str("old"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: str("tmp/")}, Expiration: &types.LifecycleExpiration{Days: aws.Int32(30)}}}
	tags := []types.Tag{{Key: str("team"), Value: str("x y")}}
	block := &types.PublicAccessBlockConfiguration{BlockPublicAcls: aws.Bool(true), IgnorePublicAcls: aws.Bool(false), BlockPublicPolicy: aws.Bool(true), RestrictPublicBuckets: aws.Bool(false)}
	policy := func(bucket string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::` + bucket + `"}]}`
	}
	return map[string]configured{
		"cors": {
			none: "NoSuchCORSConfiguration", want: cors,
			put: func(c *s3.Client, b string) error {
				_, err := c.PutBucketCors(ctx, &s3.PutBucketCorsInput{Bucket: &b, CORSConfiguration: &types.CORSConfiguration{CORSRules: cors}})
				return err
			},
			read: func(c *s3.Client, b string) (any, error) {
				o, err := c.GetBucketCors(ctx, &s3.GetBucketCorsInput{Bucket: &b})
				if err != nil {
					return nil, err
				}
				return o.CORSRules, nil
			},
			delete: func(c *s3.Client, b string) error {
				_, err := c.DeleteBucketCors(ctx, &s3.DeleteBucketCorsInput{Bucket: &b})
				return err
			},
		},
		"lifecycle": {
			none: "NoSuchLifecycleConfiguration", want: rules,
			put: func(c *s3.Client, b string) error {
				_, err := c.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: &b, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: rules}})
				return err
			},
			read: func(c *s3.Client, b string) (any, error) {
				o, err := c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &b})
				if err != nil {
					return nil, err
				}
				return o.Rules, nil
			},
			delete: func(c *s3.Client, b string) error {
				_, err := c.DeleteBucketLifecycle(ctx, &s3.DeleteBucketLifecycleInput{Bucket: &b})
				return err
			},
		},
		"tagging": {
			none: "NoSuchTagSet", want: tags,
			put: func(c *s3.Client, b string) error {
				_, err := c.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: &b, Tagging: &types.Tagging{TagSet: tags}})
				return err
			},
			read: func(c *s3.Client, b string) (any, error) {
				o, err := c.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: &b})
				if err != nil {
					return nil, err
				}
				return o.TagSet, nil
			},
			delete: func(c *s3.Client, b string) error {
				_, err := c.DeleteBucketTagging(ctx, &s3.DeleteBucketTaggingInput{Bucket: &b})
				return err
			},
		},
		"policy": {
			none: "NoSuchBucketPolicy", want: "s3:ListBucket",
			put: func(c *s3.Client, b string) error {
				_, err := c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &b, Policy: aws.String(policy(b))})
				return err
			},
			read: func(c *s3.Client, b string) (any, error) {
				o, err := c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &b})
				if err != nil {
					return nil, err
				}
				if *o.Policy != policy(b) {
					return *o.Policy, nil
				}
				status, err := c.GetBucketPolicyStatus(ctx, &s3.GetBucketPolicyStatusInput{Bucket: &b})
				if err != nil || !*status.PolicyStatus.IsPublic {
					return nil, errors.Join(err, errors.New("policy status"))
				}
				return "s3:ListBucket", nil
			},
			delete: func(c *s3.Client, b string) error {
				_, err := c.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: &b})
				return err
			},
		},
		"public access block": {
			want: block,
			put: func(c *s3.Client, b string) error {
				_, err := c.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: &b, PublicAccessBlockConfiguration: block})
				return err
			},
			read: func(c *s3.Client, b string) (any, error) {
				o, err := c.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &b})
				if err != nil {
					return nil, err
				}
				return o.PublicAccessBlockConfiguration, nil
			},
			delete: func(c *s3.Client, b string) error {
				_, err := c.DeletePublicAccessBlock(ctx, &s3.DeletePublicAccessBlockInput{Bucket: &b})
				return err
			},
		},
		"request payment": {
			want: types.PayerRequester,
			put: func(c *s3.Client, b string) error {
				_, err := c.PutBucketRequestPayment(ctx, &s3.PutBucketRequestPaymentInput{Bucket: &b, RequestPaymentConfiguration: &types.RequestPaymentConfiguration{Payer: types.PayerRequester}})
				return err
			},
			read: func(c *s3.Client, b string) (any, error) {
				o, err := c.GetBucketRequestPayment(ctx, &s3.GetBucketRequestPaymentInput{Bucket: &b})
				if err != nil {
					return nil, err
				}
				return o.Payer, nil
			},
		},
		"versioning": {
			want: types.BucketVersioningStatusSuspended,
			put: func(c *s3.Client, b string) error {
				_, err := c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &b, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusSuspended}})
				return err
			},
			read: func(c *s3.Client, b string) (any, error) {
				o, err := c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &b})
				if err != nil {
					return nil, err
				}
				return o.Status, nil
			},
		},
	}
}

// TestConfigurationsComeBackAsTheyWerePut runs each configuration through its life, as an SDK sees it.
func TestConfigurationsComeBackAsTheyWerePut(t *testing.T) {
	s := newSite(t, rgwStorage(t), siteConfig{})
	for name, c := range configurations(t) {
		t.Run(name, func(t *testing.T) {
			b := s.bucket(t, "conf-"+strings.ReplaceAll(name, " ", "-"))
			before, err := c.read(s.client, b)
			if c.none != "" {
				wantCode(t, err, c.none)
			} else if err != nil {
				t.Fatal(err)
			}
			if err := c.put(s.client, b); err != nil {
				t.Fatal(err)
			}
			got, err := c.read(s.client, b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreUnexported(types.CORSRule{}, types.LifecycleRule{}, types.LifecycleRuleFilter{},
				types.LifecycleExpiration{}, types.Tag{}, types.PublicAccessBlockConfiguration{})); diff != "" {
				t.Errorf("read back:\n%s", diff)
			}
			if c.delete == nil {
				return
			}
			for range 2 { // the second finds nothing and is no error
				if err := c.delete(s.client, b); err != nil {
					t.Fatal(err)
				}
			}
			after, err := c.read(s.client, b)
			if c.none != "" {
				wantCode(t, err, c.none)
			} else if diff := cmp.Diff(before, after, cmpopts.IgnoreUnexported(types.PublicAccessBlockConfiguration{})); err != nil || diff != "" {
				t.Errorf("after the delete: %v\n%s", err, diff)
			}
		})
	}
}

// TestObjectLocksHold covers the lock's configuration, retention and legal hold, with and without the bypass.
func TestObjectLocksHold(t *testing.T) {
	s := newSite(t, rgwStorage(t), siteConfig{})
	ctx := t.Context()
	plain := s.bucket(t, "unlocked")
	_, err := s.client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &plain})
	wantCode(t, err, "ObjectLockConfigurationNotFoundError")

	b := "locked" + s.bucketTag
	if _, err := s.client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &b, ObjectLockEnabledForBucket: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	body := pattern(70_000)
	version := s.put(t, b, "k", body).VersionId
	_, err = s.client.GetObjectRetention(ctx, &s3.GetObjectRetentionInput{Bucket: &b, Key: str("k")})
	wantCode(t, err, "NoSuchObjectLockConfiguration")

	if _, err := s.client.PutObjectLockConfiguration(ctx, &s3.PutObjectLockConfigurationInput{Bucket: &b, ObjectLockConfiguration: &types.ObjectLockConfiguration{
		ObjectLockEnabled: types.ObjectLockEnabledEnabled,
		Rule:              &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Mode: types.ObjectLockRetentionModeGovernance, Days: aws.Int32(1)}},
	}}); err != nil {
		t.Fatal(err)
	}
	lock, err := s.client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &b})
	if err != nil || *lock.ObjectLockConfiguration.Rule.DefaultRetention.Days != 1 {
		t.Fatalf("%v %+v", err, lock)
	}
	if v := s.put(t, b, "by default", []byte("x")).VersionId; v == nil {
		t.Fatal("no version")
	}
	if r, err := s.client.GetObjectRetention(ctx, &s3.GetObjectRetentionInput{Bucket: &b, Key: str("by default")}); err != nil || r.Retention.Mode != types.ObjectLockRetentionModeGovernance {
		t.Fatalf("default retention: %v %+v", err, r)
	}

	retain := func(until time.Time, bypass bool) error {
		_, err := s.client.PutObjectRetention(ctx, &s3.PutObjectRetentionInput{
			Bucket: &b, Key: str("k"), VersionId: version, BypassGovernanceRetention: &bypass,
			Retention: &types.ObjectLockRetention{Mode: types.ObjectLockRetentionModeGovernance, RetainUntilDate: &until},
		})
		return err
	}
	far, near := time.Now().Add(48*time.Hour), time.Now().Add(24*time.Hour)
	if err := retain(far, false); err != nil {
		t.Fatal(err)
	}
	wantCode(t, retain(near, false), "AccessDenied")
	if err := retain(near, true); err != nil {
		t.Fatal(err)
	}
	remove := func(bypass bool) error {
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b, Key: str("k"), VersionId: version, BypassGovernanceRetention: &bypass})
		return err
	}
	wantCode(t, remove(false), "AccessDenied")
	hold := func(status types.ObjectLockLegalHoldStatus) {
		t.Helper()
		if _, err := s.client.PutObjectLegalHold(ctx, &s3.PutObjectLegalHoldInput{Bucket: &b, Key: str("k"), VersionId: version, LegalHold: &types.ObjectLockLegalHold{Status: status}}); err != nil {
			t.Fatal(err)
		}
		if got, err := s.client.GetObjectLegalHold(ctx, &s3.GetObjectLegalHoldInput{Bucket: &b, Key: str("k"), VersionId: version}); err != nil || got.LegalHold.Status != status {
			t.Fatalf("legal hold: %v %+v", err, got)
		}
	}
	hold(types.ObjectLockLegalHoldStatusOn)
	wantCode(t, remove(true), "AccessDenied")
	if got := s.get(t, b, "k"); string(got) != string(body) {
		t.Error("the locked object reads otherwise")
	}
	hold(types.ObjectLockLegalHoldStatusOff)
	if err := remove(true); err != nil {
		t.Fatal(err)
	}
	s.send(t, sub2("PUT", b, "", "versioning", `<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>`)).want(t, 409, "InvalidBucketState")
}

func TestEncryptionIsAlwaysOnAndCannotBeTurnedOff(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "encrypted")
		got, err := s.client.GetBucketEncryption(t.Context(), &s3.GetBucketEncryptionInput{Bucket: &b})
		if err != nil {
			t.Fatal(err)
		}
		rules := got.ServerSideEncryptionConfiguration.Rules
		if len(rules) != 1 || rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm != types.ServerSideEncryptionAes256 {
			t.Errorf("rules %+v", rules)
		}
		// What holds already may be asked for; anything else would be believed.
		set := func(algorithm types.ServerSideEncryption) error {
			_, err := s.client.PutBucketEncryption(t.Context(), &s3.PutBucketEncryptionInput{Bucket: &b, ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{
				Rules: []types.ServerSideEncryptionRule{{ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: algorithm}}},
			}})
			return err
		}
		if err := set(types.ServerSideEncryptionAes256); err != nil {
			t.Error(err)
		}
		wantCode(t, set(types.ServerSideEncryptionAwsKms), "NotImplemented")
		wantCode(t, set("ROT13"), "MalformedXML")
		if _, err = s.client.DeleteBucketEncryption(t.Context(), &s3.DeleteBucketEncryptionInput{Bucket: &b}); err != nil {
			t.Error(err)
		}
		if got, err := s.client.GetBucketEncryption(t.Context(), &s3.GetBucketEncryptionInput{Bucket: &b}); err != nil || len(got.ServerSideEncryptionConfiguration.Rules) != 1 {
			t.Errorf("after its deletion: %v, %v", got, err)
		}
		_, err = s.client.GetBucketEncryption(t.Context(), &s3.GetBucketEncryptionInput{Bucket: aws.String("no-such-bucket" + st.bucketTag)})
		wantCode(t, err, "NoSuchBucket")
	})
}

func sub2(method, bucket, key, subresource, body string) request {
	rq := sub(method, key, subresource, body)
	rq.bucket = bucket
	return rq
}

// TestMalformedConfigurationsAreRefusedBeforeTheStorage has S3's error for each, and for those that RGW 16 would take (a
// lifecycle of another root element is "no rules" to it) proves that the storage never saw them.
func TestMalformedConfigurationsAreRefusedBeforeTheStorage(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "malformed")
	s.put(t, b, "k", []byte("x"))
	rule := func(inner string) string {
		return "<LifecycleConfiguration><Rule>" + inner + "</Rule></LifecycleConfiguration>"
	}
	cors := func(inner string) string {
		return "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>" + inner + "</CORSRule></CORSConfiguration>"
	}
	lock := func(inner string) string {
		return "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>" + inner + "</DefaultRetention></Rule></ObjectLockConfiguration>"
	}
	for _, c := range []struct {
		key, subresource, body string
		status                 int
		code                   string
	}{
		{"", "lifecycle", "<x/>", 400, "MalformedXML"},
		{"", "lifecycle", "<LifecycleConfiguration/>", 400, "MalformedXML"},
		{"", "lifecycle", "<!DOCTYPE x [<!ENTITY a 'b'>]><LifecycleConfiguration>&a;</LifecycleConfiguration>", 400, "MalformedXML"},
		{"", "lifecycle", rule("<ID>a</ID><Prefix/><Status>enabled</Status><Expiration><Days>1</Days></Expiration>"), 400, "MalformedXML"},
		{"", "lifecycle", rule("<ID>" + strings.Repeat("i", 256) + "</ID><Prefix/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration>"), 400, "InvalidArgument"},
		{"", "lifecycle", "<LifecycleConfiguration>" + strings.Repeat("<Rule><ID>a</ID><Status>Enabled</Status></Rule>", 2) + "</LifecycleConfiguration>", 400, "InvalidArgument"},
		{"", "lifecycle", rule("<Status>Enabled</Status><Filter><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></Filter><Expiration><Days>1</Days></Expiration>"), 501, "NotImplemented"},
		{"", "lifecycle", rule("<Status>Enabled</Status><Filter><And><Prefix>a</Prefix><ObjectSizeLessThan>5</ObjectSizeLessThan></And></Filter><Expiration><Days>1</Days></Expiration>"), 501, "NotImplemented"},
		{"", "lifecycle", "", 400, "MissingRequestBodyError"},
		{"", "cors", "<CORSConfiguration/>", 400, "MalformedXML"},
		{"", "cors", cors("<AllowedMethod>PATCH</AllowedMethod>"), 400, "InvalidRequest"},
		{"", "cors", cors("<AllowedOrigin>a*b*</AllowedOrigin>"), 400, "InvalidRequest"},
		{"", "cors", cors("<AllowedHeader>a*b*</AllowedHeader>"), 400, "InvalidRequest"},
		{"", "cors", cors("<ExposeHeader>x-*</ExposeHeader>"), 400, "InvalidRequest"},
		{"", "cors", cors("<MaxAgeSeconds>-1</MaxAgeSeconds>"), 400, "MalformedXML"},
		{"", "cors", strings.Repeat("x", 1<<20+1), 400, "MaxMessageLengthExceeded"},
		{"", "policy", "", 400, "MalformedPolicy"},
		{"", "policy", " {}", 400, "MalformedPolicy"},
		{"", "policy", `{"a":`, 400, "MalformedPolicy"},
		{"", "publicAccessBlock", "<PublicAccessBlockConfiguration><BlockPublicAcls>yes</BlockPublicAcls></PublicAccessBlockConfiguration>", 400, "MalformedXML"},
		{"", "requestPayment", "<RequestPaymentConfiguration><Payer>me</Payer></RequestPaymentConfiguration>", 400, "MalformedXML"},
		{"", "versioning", "<VersioningConfiguration/>", 400, "IllegalVersioningConfigurationException"},
		{"", "versioning", "<VersioningConfiguration><Status>On</Status></VersioningConfiguration>", 400, "MalformedXML"},
		{"", "tagging", "<Tagging><TagSet>" + strings.Repeat("<Tag><Key>a</Key><Value/></Tag>", 2) + "</TagSet></Tagging>", 400, "InvalidTag"},
		{"k", "tagging", "<x/>", 400, "MalformedXML"},
		{"", "object-lock", lock("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"), 400, "MalformedXML"},
		{"", "object-lock", lock("<Mode>GOVERNANCE</Mode><Days>0</Days>"), 400, "InvalidRetentionPeriod"},
		{"", "object-lock", lock("<Mode>governance</Mode><Days>1</Days>"), 400, "MalformedXML"},
		{"", "object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>Disabled</ObjectLockEnabled></ObjectLockConfiguration>", 400, "MalformedXML"},
		{"k", "retention", "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-01</RetainUntilDate></Retention>", 400, "MalformedXML"},
		{"k", "retention", "", 400, "MissingRequestBodyError"},
		{"k", "legal-hold", "<LegalHold><Status>on</Status></LegalHold>", 400, "MalformedXML"},
		{"", "acl", "", 400, "MissingSecurityHeader"},
		{"", "acl", "<x/>", 400, "MalformedACLError"},
		{"", "acl", aclOf("me", grantTo("you", "EVERYTHING")), 400, "MalformedACLError"},
		{"k", "acl", aclOf("me", strings.Repeat(grantTo("you", "READ"), 100)), 400, "MalformedACLError"},
		{"", "notification", "<NotificationConfiguration><QueueConfiguration><Queue>a</Queue></QueueConfiguration></NotificationConfiguration>", 501, "NotImplemented"},
		{"", "notification", "<x/>", 400, "MalformedXML"},
	} {
		s.backend.take()
		got := s.send(t, sub2("PUT", b, c.key, c.subresource, c.body))
		if got.status != c.status || got.code != c.code {
			t.Errorf("%s %.60s: %d %s, want %d %s", c.subresource, c.body, got.status, got.code, c.status, c.code)
		}
		if asked := s.backend.take(); len(asked) != 0 {
			t.Errorf("%s %.60s: the storage was asked: %v", c.subresource, c.body, asked)
		}
	}
	damaged := sub2("PUT", b, "", "cors", cors(""))
	damaged.header = map[string]string{"Content-Md5": "AAAAAAAAAAAAAAAAAAAAAA=="}
	s.send(t, damaged).want(t, 400, "BadDigest")
}

// TestConfigurationNeedsItsGrant has every action granted but the one that an operation needs.
func TestConfigurationNeedsItsGrant(t *testing.T) {
	st := diskStorage(t)
	owner := newSite(t, st, siteConfig{})
	b := owner.bucket(t, "rights")
	needs := map[access.Action][]request{
		access.Admin: {
			sub2("GET", b, "", "acl", ""), sub2("PUT", b, "", "acl", ""), sub2("GET", b, "", "policy", ""), sub2("PUT", b, "", "policy", "{}"),
			sub2("DELETE", b, "", "policy", ""), sub2("GET", b, "", "policyStatus", ""), sub2("GET", b, "", "publicAccessBlock", ""),
			sub2("PUT", b, "", "publicAccessBlock", ""), sub2("DELETE", b, "", "publicAccessBlock", ""), sub2("PUT", b, "", "cors", ""),
			sub2("DELETE", b, "", "cors", ""), sub2("PUT", b, "", "lifecycle", ""), sub2("DELETE", b, "", "lifecycle", ""),
			sub2("PUT", b, "", "tagging", ""), sub2("DELETE", b, "", "tagging", ""), sub2("PUT", b, "", "requestPayment", ""),
			sub2("PUT", b, "", "object-lock", ""), sub2("PUT", b, "", "notification", ""), sub2("PUT", b, "k", "acl", ""),
			sub2("PUT", b, "k", "retention", ""), sub2("PUT", b, "k", "legal-hold", ""),
		},
		access.List: {
			sub2("GET", b, "", "cors", ""), sub2("GET", b, "", "lifecycle", ""), sub2("GET", b, "", "tagging", ""), sub2("GET", b, "", "requestPayment", ""),
			sub2("GET", b, "", "object-lock", ""), sub2("GET", b, "", "notification", ""), sub2("GET", b, "", "logging", ""),
			sub2("GET", b, "", "replication", ""), sub2("GET", b, "", "encryption", ""),
		},
		access.Read: {sub2("GET", b, "k", "acl", ""), sub2("GET", b, "k", "retention", ""), sub2("GET", b, "k", "legal-hold", "")},
	}
	for missing, calls := range needs {
		var others []access.Action
		for _, a := range access.AllActions() {
			if a != missing {
				others = append(others, a)
			}
		}
		s := newSite(t, st, siteConfig{identity: owner.identity, store: owner.store, grants: []access.Grant{{Bucket: "*", Actions: others}}})
		only := newSite(t, st, siteConfig{identity: owner.identity, store: owner.store, grants: []access.Grant{{Bucket: "*", Actions: []access.Action{missing}}}})
		for _, rq := range calls {
			s.backend.take()
			if got := s.send(t, rq); got.status != http.StatusForbidden || got.code != "AccessDenied" {
				t.Errorf("%s %s ?%s without %v: %d %s", rq.method, rq.key, rq.query, missing, got.status, got.code)
			}
			if asked := s.backend.take(); len(asked) != 0 {
				t.Errorf("%s %s ?%s without %v asked the storage: %v", rq.method, rq.key, rq.query, missing, asked)
			}
			if got := only.send(t, rq); got.code == "AccessDenied" {
				t.Errorf("%s %s ?%s with %v alone: AccessDenied", rq.method, rq.key, rq.query, missing)
			}
		}
	}
}

// TestEmptyNotificationConfigurationTakesAllAway sends what S3 clients send to be rid of notifications, which RGW 16 calls
// malformed.
func TestEmptyNotificationConfigurationTakesAllAway(t *testing.T) {
	s := newSite(t, rgwStorage(t), siteConfig{})
	b := s.bucket(t, "notify")
	s.send(t, sub2("PUT", b, "", "notification", "<NotificationConfiguration/>")).want(t, 200, "")
	s.send(t, sub2("GET", b, "", "notification", "")).want(t, 200, "")
	unknown := "<NotificationConfiguration><TopicConfiguration><Id>n</Id><Topic>arn:aws:sns:default::no-such-topic</Topic><Event>s3:ObjectCreated:*</Event></TopicConfiguration></NotificationConfiguration>"
	s.send(t, sub2("PUT", b, "", "notification", unknown)).want(t, 400, "InvalidArgument")
	if got := s.send(t, request{method: "GET", bucket: b}); got.status != http.StatusOK {
		t.Errorf("the bucket is gone: %d", got.status)
	}
}

// TestConfigurationsOfMissingThingsAnswerAsS3 covers what is asked of buckets and objects that are not there, and what RGW
// answers where S3 says that there is nothing.
func TestConfigurationsOfMissingThingsAnswerAsS3(t *testing.T) {
	s := newSite(t, rgwStorage(t), siteConfig{})
	b := s.bucket(t, "missing")
	none := "no-such-bucket" + s.bucketTag
	for _, q := range []string{"acl", "policy", "policyStatus", "publicAccessBlock", "cors", "lifecycle", "tagging", "requestPayment",
		"versioning", "object-lock", "notification", "logging", "replication", "encryption", "location"} {
		got := s.send(t, sub2("GET", none, "", q, ""))
		if got.status != 404 || got.code != "NoSuchBucket" {
			t.Errorf("?%s of no bucket: %d %s", q, got.status, got.code)
		}
	}
	for _, q := range []string{"acl", "tagging"} {
		if got := s.send(t, sub2("GET", b, "nothing", q, "")); got.status != 404 || got.code != "NoSuchKey" {
			t.Errorf("?%s of no object: %d %s", q, got.status, got.code)
		}
	}
	s.send(t, sub2("GET", b, "", "replication", "")).want(t, 404, "ReplicationConfigurationNotFoundError")
	s.send(t, sub2("GET", b, "", "logging", "")).want(t, 200, "")
	s.put(t, b, "k", []byte("x"))
	s.send(t, sub2("GET", b, "k", "retention", "")).want(t, 400, "InvalidRequest")
	s.send(t, sub2("PUT", b, "", "tagging", "<Tagging><TagSet/></Tagging>")).want(t, 204, "")
	s.send(t, sub2("GET", b, "", "tagging", "")).want(t, 404, "NoSuchTagSet")
	s.send(t, request{method: "PUT", bucket: b, query: "policy=", payload: sigv4test.Payload{Data: []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Maybe"}]}`)}}).want(t, 400, "MalformedPolicy")
}
