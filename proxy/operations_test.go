package proxy_test

import (
	"net/http"
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
	s3api.DeleteBucketEncryption:                          {method: "DELETE", query: "encryption"},
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
	s3api.PutBucketEncryption:                             {method: "PUT", query: "encryption"},
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
		logged := s.logs.TakeAll()
		if name := logged[len(logged)-1].ContextMap()["operation"]; name != op.String() {
			t.Errorf("the request for %v was understood as %v", op, name)
		}
	}
	if got := s.get(t, b, "k"); string(got) != "the object stays" {
		t.Errorf("the object is %q now", got)
	}
}
