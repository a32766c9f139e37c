package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// throughStorage writes a policy and reads it back, as putting it on a bucket and asking for it does.
func throughStorage(t *testing.T, p policyDoc) policyDoc {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	back, err := parsePolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// sharing adds users to what the policy of the system bucket gives for a bucket.
func sharing(t *testing.T, p policyDoc, change func(*systemSharers)) policyDoc {
	t.Helper()
	s, err := readSystemSharers("system", p.Own)
	if err != nil {
		t.Fatal(err)
	}
	change(&s)
	p.Own = systemStatements("system", s)
	return throughStorage(t, p)
}

// granted gives what a user may do by cofre's statements: action and resource, sorted.
func granted(p policyDoc, user string) (list []string) {
	for _, s := range p.Own {
		if !slices.Contains(s.Principal.AWS, arn(user)) {
			continue
		}
		for _, a := range s.Action {
			for _, r := range s.Resource {
				list = append(list, strings.TrimPrefix(a, "s3:")+" "+strings.TrimPrefix(r, resourceARN))
			}
		}
	}
	slices.Sort(list)
	return list
}

func TestPolicyOfASecondBucketKeepsTheFirst(t *testing.T) {
	first := sharing(t, policyDoc{}, func(s *systemSharers) { s.bucket("one").add([]string{"a", "b"}, nil, nil) })
	both := sharing(t, first, func(s *systemSharers) { s.bucket("two.x-y").add([]string{"a", "c"}, nil, nil) })
	if d := cmp.Diff(granted(first, "b"), granted(both, "b")); d != "" {
		t.Errorf("b's rights are others than before:\n%s", d)
	}
	if !slices.Contains(granted(both, "c"), "PutObject system/buckets/two.x-y/*") {
		t.Errorf("c may %v", granted(both, "c"))
	}
	less := sharing(t, both, func(s *systemSharers) { s.bucket("one").remove("a") })
	if slices.ContainsFunc(granted(less, "a"), func(r string) bool { return strings.Contains(r, "/one/") }) {
		t.Errorf("a was taken out of one, and may %v", granted(less, "a"))
	}
	if d := cmp.Diff(granted(first, "b"), granted(less, "b")); d != "" {
		t.Errorf("b's rights went with a's:\n%s", d)
	}
	gone := sharing(t, less, func(s *systemSharers) { s.bucket("one").remove("b") })
	if got := granted(gone, "b"); len(got) != 0 {
		t.Errorf("b shares nothing any more, and may %v", got)
	}
}

func TestPolicyKeepsStatementsOfOthers(t *testing.T) {
	text := `{"Version":"2008-10-17","Id":"ours","Statement":[{"Sid":"Backup","Effect":"Deny","NotPrincipal":"*","Action":"s3:*","Resource":"arn:aws:s3:::system/*"},` +
		`{"Sid":"CofreDepositary","Effect":"Allow","Principal":{"AWS":"arn:aws:iam:::user/b"},"Action":"s3:*","Resource":"arn:aws:s3:::system"}]}`
	p, err := parsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p = sharing(t, p, func(s *systemSharers) { s.bucket("one").add([]string{"a"}, nil, nil) })
	p = sharing(t, p, func(s *systemSharers) { s.bucket("one").remove("a") })
	back, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var was, is any
	if err := json.Unmarshal([]byte(text), &was); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(back, &is); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(was, is); d != "" {
		t.Errorf("the policy came back changed:\n%s", d)
	}
	if d := cmp.Diff([]string{`"CofreDepositary"`}, p.naming("b")); d != "" {
		t.Errorf("statements that still name b:\n%s", d)
	}
}

// AWS gives lists of one element back as plain strings.
func TestPolicyReadsOwnStatementsAsAWSWritesThem(t *testing.T) {
	p, err := parsePolicy([]byte(`{"Version":"2012-10-17","Statement":{"Sid":"CofreSharedKeysone","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:user/b"},` +
		`"Action":"s3:GetObject","Resource":"arn:aws:s3:::system/buckets/one/*"}}`))
	if err != nil {
		t.Fatal(err)
	}
	p = sharing(t, p, func(*systemSharers) {})
	if !slices.Contains(granted(p, "arn:aws:iam::1:user/b"), "GetObject system/buckets/one/*") {
		t.Errorf("b may %v", granted(p, "arn:aws:iam::1:user/b"))
	}
}

func TestPolicyRefusesOwnStatementsChangedByHand(t *testing.T) {
	for what, text := range map[string]string{
		"condition":       `{"Sid":"CofreScratch","Effect":"Allow","Principal":{"AWS":["x"]},"Action":["s3:GetObject"],"Resource":["r"],"Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`,
		"denial":          `{"Sid":"CofreScratch","Effect":"Deny","Principal":{"AWS":["x"]},"Action":["s3:GetObject"],"Resource":["r"]}`,
		"everyone":        `{"Sid":"CofreScratch","Effect":"Allow","Principal":"*","Action":["s3:GetObject"],"Resource":["r"]}`,
		"other element":   `{"Sid":"CofreScratch","Effect":"Allow","Principal":{"AWS":["x"]},"NotAction":["s3:GetObject"],"Resource":["r"]}`,
		"without objects": `{"Sid":"CofreScratch","Effect":"Allow","Principal":{"AWS":["x"]},"Action":["s3:GetObject"],"Resource":[]}`,
	} {
		if _, err := parsePolicy([]byte(`{"Statement":[` + text + `]}`)); err == nil || !strings.Contains(err.Error(), "changed by hand") {
			t.Errorf("%s: %v", what, err)
		}
	}
	of := func(sid, resource string) []statement {
		return []statement{{Sid: ownSid + sid, Resource: texts{resource}, Principal: awsPrincipal{AWS: texts{"x"}}}}
	}
	if _, err := readSystemSharers("system", of("SharedKeysone", "arn:aws:s3:::system/buckets/e/*")); err == nil {
		t.Error("a statement about another bucket than it says was taken")
	}
	if _, err := bucketSharers("one", of("DepositWritex", "arn:aws:s3:::two/in/*")); err == nil {
		t.Error("a depositor's statement about another bucket was taken")
	}
}

func TestDepositorsDestroyNothing(t *testing.T) {
	var s sharers
	s.add([]string{"a"}, []string{"d"}, []string{"in/"})
	s.add(nil, []string{"e"}, []string{"of-e/", "log/"})
	p := throughStorage(t, policyDoc{Own: bucketStatements("one", s)})
	back, err := bucketSharers("one", p.Own)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s, back, cmp.AllowUnexported(sharers{}, depositUser{}), cmp.Transformer("plain", func(t texts) []string { return t })); d != "" {
		t.Errorf("sharers read back:\n%s", d)
	}
	want := []string{
		"AbortMultipartUpload one/in/*", "GetBucketVersioning one", "GetBucketVersioning one/*", "GetObject one", "GetObject one/*", "ListBucket one", "ListBucket one/*",
		"ListMultipartUploadParts one/in/*", "PutObject one/in/*",
	}
	if d := cmp.Diff(want, granted(p, "d")); d != "" {
		t.Errorf("d may:\n%s", d)
	}
	system := sharing(t, policyDoc{}, func(s *systemSharers) { s.bucket("one").add([]string{"a"}, []string{"d"}, nil) })
	for _, right := range granted(system, "d") {
		if strings.HasPrefix(right, "DeleteObject system/buckets/") || right == "PutObject system/buckets/one/*" {
			t.Errorf("d may %s", right)
		}
	}
}

func TestUserIsMemberOrDepositor(t *testing.T) {
	var s sharers
	s.add([]string{"a", "b"}, nil, nil)
	s.add(nil, []string{"b"}, []string{"in/"})
	s.add([]string{"a"}, nil, nil)
	if d := cmp.Diff(sharers{members: []string{arn("a")}, deposits: []depositUser{{arn("b"), []string{"in/"}}}}, s, cmp.AllowUnexported(sharers{}, depositUser{})); d != "" {
		t.Error(d)
	}
	if s.remove("c") || !s.remove("b") || s.remove("b") {
		t.Errorf("after b was taken out: %+v", s)
	}
}
