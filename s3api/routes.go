package s3api

import "strings"

// level is what the path of a request names.
type level uint8

const (
	service level = iota
	bucket
	object
)

// resourceType gives the word that AWS has in the ResourceType element of MethodNotAllowed.
func (l level) resourceType() string {
	return [...]string{service: "SERVICE", bucket: "BUCKET", object: "OBJECT"}[l]
}

// route is one line of the allow-list: a request of this shape, and no other, is this operation.
type route struct {
	method string
	level  level
	// selector is the sub-resource, or the parameter that works as one (uploadId, list-type); "" for none.
	selector string
	// needs is a further parameter that tells this line from the ones below it; "" for none.
	needs string
	// copies says that the line is for requests with x-amz-copy-source, and only for those.
	copies bool
	op     Operation
	// params are the other parameters that the operation takes.
	params string
}

func (rt route) takes(name string) bool {
	if name == rt.selector {
		return true
	}
	for param := range strings.FieldsSeq(rt.params) {
		if param == name {
			return true
		}
	}
	return false
}

// Parameters of the three listings of objects are accepted by each of them, since AWS ignores those of the other two. allow-unordered is an
// extension of Ceph RGW.
const (
	listParams     = "prefix delimiter marker max-keys encoding-type continuation-token fetch-owner start-after key-marker version-id-marker allow-unordered"
	responseParams = "response-cache-control response-content-disposition response-content-encoding response-content-language response-content-type response-expires"
)

// routes is the closed list of what a request can be, after botocore's S3 model of November 2026. It is never written to. Among lines with the
// same method, level and selector the first that fits wins.
var routes = []route{
	{method: "GET", level: service, op: ListBuckets, params: "max-buckets continuation-token prefix bucket-region"},
	{method: "GET", level: service, selector: "max-directory-buckets", op: ListDirectoryBuckets, params: "continuation-token"},

	// bucket, key and etag mean nothing here: they are what success_action_redirect adds to an address, which may be the bucket's own.
	{method: "GET", level: bucket, op: ListObjects, params: listParams + " bucket key etag"},
	{method: "GET", level: bucket, selector: "list-type", op: ListObjectsV2, params: listParams},
	{method: "GET", level: bucket, selector: "versions", op: ListObjectVersions, params: listParams},
	{method: "GET", level: bucket, selector: "uploads", op: ListMultipartUploads, params: "prefix delimiter key-marker upload-id-marker max-uploads encoding-type"},
	{method: "HEAD", level: bucket, op: HeadBucket},
	{method: "PUT", level: bucket, op: CreateBucket},
	{method: "DELETE", level: bucket, op: DeleteBucket},
	{method: "POST", level: bucket, op: PostObject},
	{method: "POST", level: bucket, selector: "delete", op: DeleteObjects},

	{method: "GET", level: bucket, selector: "abac", op: GetBucketAbac},
	{method: "PUT", level: bucket, selector: "abac", op: PutBucketAbac},
	{method: "GET", level: bucket, selector: "accelerate", op: GetBucketAccelerateConfiguration},
	{method: "PUT", level: bucket, selector: "accelerate", op: PutBucketAccelerateConfiguration},
	{method: "GET", level: bucket, selector: "acl", op: GetBucketAcl},
	{method: "PUT", level: bucket, selector: "acl", op: PutBucketAcl},
	{method: "GET", level: bucket, selector: "analytics", needs: "id", op: GetBucketAnalyticsConfiguration, params: "id"},
	{method: "GET", level: bucket, selector: "analytics", op: ListBucketAnalyticsConfigurations, params: "continuation-token"},
	{method: "PUT", level: bucket, selector: "analytics", op: PutBucketAnalyticsConfiguration, params: "id"},
	{method: "DELETE", level: bucket, selector: "analytics", op: DeleteBucketAnalyticsConfiguration, params: "id"},
	{method: "GET", level: bucket, selector: "cors", op: GetBucketCors},
	{method: "PUT", level: bucket, selector: "cors", op: PutBucketCors},
	{method: "DELETE", level: bucket, selector: "cors", op: DeleteBucketCors},
	{method: "GET", level: bucket, selector: "encryption", op: GetBucketEncryption},
	{method: "PUT", level: bucket, selector: "encryption", op: PutBucketEncryption},
	{method: "DELETE", level: bucket, selector: "encryption", op: DeleteBucketEncryption},
	{method: "GET", level: bucket, selector: "intelligent-tiering", needs: "id", op: GetBucketIntelligentTieringConfiguration, params: "id"},
	{method: "GET", level: bucket, selector: "intelligent-tiering", op: ListBucketIntelligentTieringConfigurations, params: "continuation-token"},
	{method: "PUT", level: bucket, selector: "intelligent-tiering", op: PutBucketIntelligentTieringConfiguration, params: "id"},
	{method: "DELETE", level: bucket, selector: "intelligent-tiering", op: DeleteBucketIntelligentTieringConfiguration, params: "id"},
	{method: "GET", level: bucket, selector: "inventory", needs: "id", op: GetBucketInventoryConfiguration, params: "id"},
	{method: "GET", level: bucket, selector: "inventory", op: ListBucketInventoryConfigurations, params: "continuation-token"},
	{method: "PUT", level: bucket, selector: "inventory", op: PutBucketInventoryConfiguration, params: "id"},
	{method: "DELETE", level: bucket, selector: "inventory", op: DeleteBucketInventoryConfiguration, params: "id"},
	{method: "GET", level: bucket, selector: "lifecycle", op: GetBucketLifecycleConfiguration},
	{method: "PUT", level: bucket, selector: "lifecycle", op: PutBucketLifecycleConfiguration},
	{method: "DELETE", level: bucket, selector: "lifecycle", op: DeleteBucketLifecycle},
	{method: "GET", level: bucket, selector: "location", op: GetBucketLocation},
	{method: "GET", level: bucket, selector: "logging", op: GetBucketLogging},
	{method: "PUT", level: bucket, selector: "logging", op: PutBucketLogging},
	{method: "GET", level: bucket, selector: "metadataConfiguration", op: GetBucketMetadataConfiguration},
	{method: "POST", level: bucket, selector: "metadataConfiguration", op: CreateBucketMetadataConfiguration},
	{method: "DELETE", level: bucket, selector: "metadataConfiguration", op: DeleteBucketMetadataConfiguration},
	{method: "PUT", level: bucket, selector: "metadataInventoryTable", op: UpdateBucketMetadataInventoryTableConfiguration},
	{method: "PUT", level: bucket, selector: "metadataJournalTable", op: UpdateBucketMetadataJournalTableConfiguration},
	{method: "GET", level: bucket, selector: "metadataTable", op: GetBucketMetadataTableConfiguration},
	{method: "POST", level: bucket, selector: "metadataTable", op: CreateBucketMetadataTableConfiguration},
	{method: "DELETE", level: bucket, selector: "metadataTable", op: DeleteBucketMetadataTableConfiguration},
	{method: "GET", level: bucket, selector: "metrics", needs: "id", op: GetBucketMetricsConfiguration, params: "id"},
	{method: "GET", level: bucket, selector: "metrics", op: ListBucketMetricsConfigurations, params: "continuation-token"},
	{method: "PUT", level: bucket, selector: "metrics", op: PutBucketMetricsConfiguration, params: "id"},
	{method: "DELETE", level: bucket, selector: "metrics", op: DeleteBucketMetricsConfiguration, params: "id"},
	{method: "GET", level: bucket, selector: "notification", op: GetBucketNotificationConfiguration},
	{method: "PUT", level: bucket, selector: "notification", op: PutBucketNotificationConfiguration},
	{method: "GET", level: bucket, selector: "object-lock", op: GetObjectLockConfiguration},
	{method: "PUT", level: bucket, selector: "object-lock", op: PutObjectLockConfiguration},
	{method: "GET", level: bucket, selector: "ownershipControls", op: GetBucketOwnershipControls},
	{method: "PUT", level: bucket, selector: "ownershipControls", op: PutBucketOwnershipControls},
	{method: "DELETE", level: bucket, selector: "ownershipControls", op: DeleteBucketOwnershipControls},
	{method: "GET", level: bucket, selector: "policy", op: GetBucketPolicy},
	{method: "PUT", level: bucket, selector: "policy", op: PutBucketPolicy},
	{method: "DELETE", level: bucket, selector: "policy", op: DeleteBucketPolicy},
	{method: "GET", level: bucket, selector: "policyStatus", op: GetBucketPolicyStatus},
	{method: "GET", level: bucket, selector: "publicAccessBlock", op: GetPublicAccessBlock},
	{method: "PUT", level: bucket, selector: "publicAccessBlock", op: PutPublicAccessBlock},
	{method: "DELETE", level: bucket, selector: "publicAccessBlock", op: DeletePublicAccessBlock},
	{method: "GET", level: bucket, selector: "replication", op: GetBucketReplication},
	{method: "PUT", level: bucket, selector: "replication", op: PutBucketReplication},
	{method: "DELETE", level: bucket, selector: "replication", op: DeleteBucketReplication},
	{method: "GET", level: bucket, selector: "requestPayment", op: GetBucketRequestPayment},
	{method: "PUT", level: bucket, selector: "requestPayment", op: PutBucketRequestPayment},
	{method: "GET", level: bucket, selector: "session", op: CreateSession},
	{method: "GET", level: bucket, selector: "tagging", op: GetBucketTagging},
	{method: "PUT", level: bucket, selector: "tagging", op: PutBucketTagging},
	{method: "DELETE", level: bucket, selector: "tagging", op: DeleteBucketTagging},
	{method: "GET", level: bucket, selector: "versioning", op: GetBucketVersioning},
	{method: "PUT", level: bucket, selector: "versioning", op: PutBucketVersioning},
	{method: "GET", level: bucket, selector: "website", op: GetBucketWebsite},
	{method: "PUT", level: bucket, selector: "website", op: PutBucketWebsite},
	{method: "DELETE", level: bucket, selector: "website", op: DeleteBucketWebsite},

	{method: "GET", level: object, op: GetObject, params: "versionId partNumber " + responseParams},
	{method: "HEAD", level: object, op: HeadObject, params: "versionId partNumber " + responseParams},
	{method: "PUT", level: object, copies: true, op: CopyObject},
	{method: "PUT", level: object, op: PutObject},
	{method: "DELETE", level: object, op: DeleteObject, params: "versionId"},

	{method: "POST", level: object, selector: "uploads", op: CreateMultipartUpload},
	{method: "PUT", level: object, selector: "uploadId", needs: "partNumber", copies: true, op: UploadPartCopy, params: "partNumber"},
	{method: "PUT", level: object, selector: "uploadId", needs: "partNumber", op: UploadPart, params: "partNumber"},
	{method: "GET", level: object, selector: "uploadId", op: ListParts, params: "max-parts part-number-marker encoding-type"},
	{method: "POST", level: object, selector: "uploadId", op: CompleteMultipartUpload},
	{method: "DELETE", level: object, selector: "uploadId", op: AbortMultipartUpload},

	{method: "GET", level: object, selector: "acl", op: GetObjectAcl, params: "versionId"},
	{method: "PUT", level: object, selector: "acl", op: PutObjectAcl, params: "versionId"},
	{method: "GET", level: object, selector: "attributes", op: GetObjectAttributes, params: "versionId"},
	{method: "PUT", level: object, selector: "encryption", op: UpdateObjectEncryption, params: "versionId"},
	{method: "GET", level: object, selector: "legal-hold", op: GetObjectLegalHold, params: "versionId"},
	{method: "PUT", level: object, selector: "legal-hold", op: PutObjectLegalHold, params: "versionId"},
	{method: "PUT", level: object, selector: "renameObject", op: RenameObject},
	{method: "POST", level: object, selector: "restore", op: RestoreObject, params: "versionId"},
	{method: "GET", level: object, selector: "retention", op: GetObjectRetention, params: "versionId"},
	{method: "PUT", level: object, selector: "retention", op: PutObjectRetention, params: "versionId"},
	{method: "POST", level: object, selector: "select", op: SelectObjectContent, params: "select-type"},
	{method: "GET", level: object, selector: "tagging", op: GetObjectTagging, params: "versionId"},
	{method: "PUT", level: object, selector: "tagging", op: PutObjectTagging, params: "versionId"},
	{method: "DELETE", level: object, selector: "tagging", op: DeleteObjectTagging, params: "versionId"},
	{method: "GET", level: object, selector: "torrent", op: GetObjectTorrent},
}

// selectors holds the selectors of each level, everySelector those of all. Both are never written to after they were made.
var selectors, everySelector = func() (byLevel [3]map[string]bool, every map[string]bool) {
	every = map[string]bool{}
	for i := range byLevel {
		byLevel[i] = map[string]bool{}
	}
	for _, rt := range routes {
		if rt.selector != "" {
			byLevel[rt.level][rt.selector] = true
			every[rt.selector] = true
		}
	}
	return byLevel, every
}()

// methodsOf gives the methods that a selector of a level has, for Allow.
func methodsOf(l level, selector string) string {
	var methods []string
	for _, m := range []string{"GET", "HEAD", "PUT", "POST", "DELETE"} {
		for _, rt := range routes {
			if rt.method == m && rt.level == l && rt.selector == selector {
				methods = append(methods, m)
				break
			}
		}
	}
	return strings.Join(methods, ", ")
}
