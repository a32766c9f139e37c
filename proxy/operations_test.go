package proxy_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"cofre/proxy"
	"cofre/s3api"
	"cofre/sigv4/sigv4test"
)

// notServed are the operations that cofre refuses; docs/S3-COMPAT.md says why. A new operation of s3api fails
// TestEveryOperationIsServedOrRefused until it is in the table of the proxy or here.
var notServed = map[s3api.Operation]request{
	s3api.CreateBucketMetadataConfiguration:               {method: "POST", query: "metadataConfiguration"},
	s3api.CreateBucketMetadataTableConfiguration:          {method: "POST", query: "metadataTable"},
	s3api.CreateSession:                                   {method: "GET", query: "session"},
	s3api.DeleteBucketAnalyticsConfiguration:              {method: "DELETE", query: "analytics&id=x"},
	s3api.DeleteBucketIntelligentTieringConfiguration:     {method: "DELETE", query: "intelligent-tiering&id=x"},
	s3api.DeleteBucketInventoryConfiguration:              {method: "DELETE", query: "inventory&id=x"},
	s3api.DeleteBucketMetadataConfiguration:               {method: "DELETE", query: "metadataConfiguration"},
	s3api.DeleteBucketMetadataTableConfiguration:          {method: "DELETE", query: "metadataTable"},
	s3api.DeleteBucketMetricsConfiguration:                {method: "DELETE", query: "metrics&id=x"},
	s3api.DeleteBucketOwnershipControls:                   {method: "DELETE", query: "ownershipControls"},
	s3api.DeleteBucketReplication:                         {method: "DELETE", query: "replication"},
	s3api.DeleteBucketWebsite:                             {method: "DELETE", query: "website"},
	s3api.GetBucketAbac:                                   {method: "GET", query: "abac"},
	s3api.GetBucketAccelerateConfiguration:                {method: "GET", query: "accelerate"},
	s3api.GetBucketAnalyticsConfiguration:                 {method: "GET", query: "analytics&id=x"},
	s3api.GetBucketIntelligentTieringConfiguration:        {method: "GET", query: "intelligent-tiering&id=x"},
	s3api.GetBucketInventoryConfiguration:                 {method: "GET", query: "inventory&id=x"},
	s3api.GetBucketMetadataConfiguration:                  {method: "GET", query: "metadataConfiguration"},
	s3api.GetBucketMetadataTableConfiguration:             {method: "GET", query: "metadataTable"},
	s3api.GetBucketMetricsConfiguration:                   {method: "GET", query: "metrics&id=x"},
	s3api.GetBucketOwnershipControls:                      {method: "GET", query: "ownershipControls"},
	s3api.GetBucketWebsite:                                {method: "GET", query: "website"},
	s3api.GetObjectTorrent:                                {method: "GET", key: "k", query: "torrent"},
	s3api.ListDirectoryBuckets:                            {method: "GET", query: "max-directory-buckets=1"},
	s3api.ListBucketAnalyticsConfigurations:               {method: "GET", query: "analytics"},
	s3api.ListBucketIntelligentTieringConfigurations:      {method: "GET", query: "intelligent-tiering"},
	s3api.ListBucketInventoryConfigurations:               {method: "GET", query: "inventory"},
	s3api.ListBucketMetricsConfigurations:                 {method: "GET", query: "metrics"},
	s3api.PutBucketAbac:                                   {method: "PUT", query: "abac"},
	s3api.PutBucketAccelerateConfiguration:                {method: "PUT", query: "accelerate"},
	s3api.PutBucketAnalyticsConfiguration:                 {method: "PUT", query: "analytics&id=x"},
	s3api.PutBucketIntelligentTieringConfiguration:        {method: "PUT", query: "intelligent-tiering&id=x"},
	s3api.PutBucketInventoryConfiguration:                 {method: "PUT", query: "inventory&id=x"},
	s3api.PutBucketLogging:                                {method: "PUT", query: "logging"},
	s3api.PutBucketMetricsConfiguration:                   {method: "PUT", query: "metrics&id=x"},
	s3api.PutBucketOwnershipControls:                      {method: "PUT", query: "ownershipControls"},
	s3api.PutBucketReplication:                            {method: "PUT", query: "replication"},
	s3api.PutBucketWebsite:                                {method: "PUT", query: "website"},
	s3api.RenameObject:                                    {method: "PUT", key: "k", query: "renameObject"},
	s3api.RestoreObject:                                   {method: "POST", key: "k", query: "restore"},
	s3api.SelectObjectContent:                             {method: "POST", key: "k", query: "select&select-type=2"},
	s3api.UpdateBucketMetadataInventoryTableConfiguration: {method: "PUT", query: "metadataInventoryTable"},
	s3api.UpdateBucketMetadataJournalTableConfiguration:   {method: "PUT", query: "metadataJournalTable"},
	s3api.UpdateObjectEncryption:                          {method: "PUT", key: "k", query: "encryption"},
	s3api.WriteGetObjectResponse:                          {method: "POST", bucket: "WriteGetObjectResponse", header: map[string]string{"X-Amz-Request-Route": "r"}},
}

func TestEveryOperationIsServedOrRefused(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "operations")
	s.put(t, b, "k", []byte("the object stays"))
	all := s3api.Operations()
	if len(all) == 0 {
		t.Fatal("no operations")
	}
	for _, op := range all {
		rq, refused := notServed[op]
		if proxy.Served(op) == refused {
			t.Errorf("%v: served %v, listed as refused %v", op, proxy.Served(op), refused)
		}
		if !refused {
			continue
		}
		if rq.bucket == "" && op != s3api.ListDirectoryBuckets {
			rq.bucket = b
		}
		if rq.method != http.MethodGet {
			rq.payload = sigv4test.Payload{Data: []byte("<x/>")}
		}
		s.backend.take()
		got := s.send(t, rq)
		if asked := s.backend.take(); len(asked) != 0 {
			t.Errorf("%v: the storage was asked: %v", op, asked)
		}
		if got.status != http.StatusNotImplemented || got.code != "NotImplemented" {
			t.Errorf("%v: answer %d %s", op, got.status, got.code)
		}
		if name := s.logged(got.header.Get("X-Amz-Request-Id"), "operation"); name != op.String() {
			t.Errorf("the request for %v was understood as %v", op, name)
		}
	}
	if got := s.get(t, b, "k"); string(got) != "the object stays" {
		t.Errorf("the object is %q now", got)
	}
}

// awsModel is what S3's service model says of addresses.
type awsModel struct {
	// params are all query parameters; subresources those that turn a request into another operation.
	params, subresources map[string]bool
	// operations are those of a method, a path and a parameter.
	operations map[string][]string
}

func readModel(t *testing.T) awsModel {
	t.Helper()
	text, err := os.ReadFile("../s3api/testdata/operations.txt")
	if err != nil {
		t.Fatal(err)
	}
	m := awsModel{params: map[string]bool{}, subresources: map[string]bool{"uploadId": true}, operations: map[string][]string{}}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] == "#" {
			continue
		}
		path, query, _ := strings.Cut(f[2], "?")
		for i, p := range strings.Split(query, "&") {
			name, _, _ := strings.Cut(p, "=")
			m.subresources[name] = m.subresources[name] || i == 0
			f = append(f, name)
		}
		for _, p := range f[3:] {
			name := strings.TrimSuffix(p, "*")
			m.params[name] = true
			m.operations[f[1]+" "+path+" "+name] = append(m.operations[f[1]+" "+path+" "+name], f[0])
		}
	}
	delete(m.params, "")
	return m
}

// means says whether an operation may be what was asked for: the one of the model, or a read that S3 would give as well if the
// parameter, which is no sub-resource, were not there.
func (m awsModel) means(request, name, op string, exact bool) bool {
	if exact && (m.subresources[name] || slices.Contains(m.operations[request+" "+name], op)) {
		return slices.Contains(m.operations[request+" "+name], op)
	}
	switch op {
	case "GetObject", "HeadObject", "HeadBucket", "ListObjects", "ListObjectsV2", "ListObjectVersions", "ListBuckets":
		return true
	}
	return false
}

// rgwParams turn a request to Ceph RGW into something that S3 does not know.
var rgwParams = []string{"append", "position", "layout", "mdsearch", "usage", "read-stats", "allow-unordered", "admin", "swift", "rgwx-prepend-metadata", "quota", "sync", "data", "torrent2"}

// spellings are the ways to write a parameter. exact says that it is still the one that it was.
func spellings(name string) map[string]bool {
	return map[string]bool{
		name: true, name + "=": true, name + "=1": true, fmt.Sprintf("%%%02x%s=1", name[0], name[1:]): true, "x-id=GetObject&" + name + "=1": true,
		strings.ToUpper(name) + "=": false, name + "&" + name: false, name + ";": false, ";" + name + "=": false, "%20" + name: false, name + "%00": false,
	}
}

// TestNothingUnknownReachesTheStorage sends every sub-resource and parameter that S3 or RGW has, in every spelling, on every
// method and level. Whatever reaches the storage has been understood as the operation that S3's model names for it.
func TestNothingUnknownReachesTheStorage(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "unknown")
	s.put(t, b, "k", []byte("the object stays"))
	model := readModel(t)
	if len(model.params) < 60 || len(model.subresources) < 35 {
		t.Fatalf("%d parameters, %d sub-resources", len(model.params), len(model.subresources))
	}
	paths := map[string]request{"/": {}, "/{Bucket}": {bucket: b}, "/{Bucket}/{Key+}": {bucket: b, key: "k"}}
	for _, name := range append(slices.Sorted(maps.Keys(model.params)), rgwParams...) {
		for query, exact := range spellings(name) {
			for path, rq := range paths {
				for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"} {
					rq.method, rq.query = method, strings.ReplaceAll(query, ";", "%3B") // to sign; the same to S3
					rq.spoil = func(r *http.Request) { r.URL.RawQuery = query }
					if method != "GET" && method != "HEAD" {
						rq.payload = sigv4test.Payload{Data: []byte("<x/>")}
					}
					s.logs.TakeAll()
					s.backend.take()
					got := s.send(t, rq)
					calls := s.backend.take()
					op := fmt.Sprint(s.logged(got.header.Get("X-Amz-Request-Id"), "operation"))
					if (len(calls) > 0 || got.status < 400) && !model.means(method+" "+path, name, op, exact) {
						t.Errorf("%s %s?%s was understood as %s: %d, %v", method, path, query, op, got.status, calls)
					}
				}
			}
		}
	}
	if got := s.get(t, b, "k"); string(got) != "the object stays" {
		t.Errorf("the object is %q now", got)
	}
}
