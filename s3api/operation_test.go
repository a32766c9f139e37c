package s3api

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// sameWireForm are the names of the model that Parse cannot tell from their successors.
var sameWireForm = map[string]string{
	"GetBucketLifecycle":    "GetBucketLifecycleConfiguration",
	"PutBucketLifecycle":    "PutBucketLifecycleConfiguration",
	"GetBucketNotification": "GetBucketNotificationConfiguration",
	"PutBucketNotification": "PutBucketNotificationConfiguration",
}

type modelOperation struct {
	name, method, uri string
	required          []string
	optional          []string
}

func readModel(t *testing.T) []modelOperation {
	t.Helper()
	text, err := os.ReadFile("testdata/operations.txt")
	if err != nil {
		t.Fatal(err)
	}
	var ops []modelOperation
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] == "#" {
			continue
		}
		op := modelOperation{name: f[0], method: f[1], uri: f[2]}
		for _, p := range f[3:] {
			if name, ok := strings.CutSuffix(p, "*"); ok {
				op.required = append(op.required, name)
			} else {
				op.optional = append(op.optional, p)
			}
		}
		ops = append(ops, op)
	}
	if len(ops) != 111 {
		t.Fatalf("model has %d operations, want 111", len(ops))
	}
	return ops
}

// request gives a request for the operation with the given query parameters.
func (op modelOperation) request(t *testing.T, params ...string) *http.Request {
	t.Helper()
	uri := strings.NewReplacer("{Bucket}", "bucket", "{Key+}", "some/key").Replace(op.uri)
	for _, p := range params {
		sep := "?"
		if strings.Contains(uri, "?") {
			sep = "&"
		}
		value := "1"
		if p == "encoding-type" {
			value = "url"
		}
		uri += sep + p + "=" + value
	}
	r := newRequest(op.method, uri)
	switch op.name {
	case "CopyObject", "UploadPartCopy":
		r.Header.Set("x-amz-copy-source", "bucket/source")
	case "WriteGetObjectResponse":
		r.Header.Set("x-amz-request-route", "route")
	case "ListDirectoryBuckets":
		if len(params) == 0 {
			r.RequestURI += "?x-id=ListDirectoryBuckets"
		}
	}
	return r
}

func TestParseKnowsEveryOperationOfTheModel(t *testing.T) {
	reached := map[string]bool{"PostObject": true, "CORSPreflight": true}
	for _, op := range readModel(t) {
		want := op.name
		if successor, ok := sameWireForm[want]; ok {
			want = successor
		}
		reached[want] = true
		got, err := Parse(op.request(t, op.required...), Hosts{})
		if err != nil || got.Op.String() != want {
			t.Errorf("%s: got %v, %v", op.name, got.Op, err)
		}
	}
	for _, op := range Operations() {
		if !reached[op.String()] {
			t.Errorf("%v is not in the model", op)
		}
	}
	if n := len(Operations()); n != 111-len(sameWireForm)+2 {
		t.Errorf("%d operations", n)
	}
}

func TestParseTakesEveryParameterOfTheModel(t *testing.T) {
	for _, op := range readModel(t) {
		for _, p := range op.optional {
			if p == "max-directory-buckets" || op.name == "ListDirectoryBuckets" {
				continue
			}
			call, err := Parse(op.request(t, append(slices.Clone(op.required), p)...), Hosts{})
			if err != nil {
				t.Errorf("%s with %s: %v", op.name, p, err)
				continue
			}
			if !call.Query.Has(p) {
				t.Errorf("%s lost %s", op.name, p)
			}
		}
	}
}

func TestOperationNamesAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, op := range Operations() {
		name := op.String()
		if name == "" || name == "Unknown" || seen[name] {
			t.Errorf("operation %d has the name %q", op, name)
		}
		seen[name] = true
	}
	if Operation(0).String() != "Unknown" || Operation(255).String() != "Unknown" {
		t.Error("operations outside the list have names")
	}
	for _, rt := range routes {
		if !seen[rt.op.String()] {
			t.Errorf("route to operation %d", rt.op)
		}
	}
}
