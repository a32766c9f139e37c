package s3api

// Operation is one operation of the S3 API. The list is closed: Parse gives one of these or an error. Whether a server implements an
// operation is not decided here.
//
// Four names of the API have no value of their own because they share the wire form of their successor: GetBucketLifecycle and
// PutBucketLifecycle (...LifecycleConfiguration), GetBucketNotification and PutBucketNotification (...NotificationConfiguration).
type Operation uint8

// The operations, by the name that AWS gives them. PostObject (the browser form) and CORSPreflight (OPTIONS) are not in AWS's service model.
const (
	AbortMultipartUpload Operation = iota + 1
	CompleteMultipartUpload
	CopyObject
	CORSPreflight
	CreateBucket
	CreateBucketMetadataConfiguration
	CreateBucketMetadataTableConfiguration
	CreateMultipartUpload
	CreateSession
	DeleteBucket
	DeleteBucketAnalyticsConfiguration
	DeleteBucketCors
	DeleteBucketEncryption
	DeleteBucketIntelligentTieringConfiguration
	DeleteBucketInventoryConfiguration
	DeleteBucketLifecycle
	DeleteBucketMetadataConfiguration
	DeleteBucketMetadataTableConfiguration
	DeleteBucketMetricsConfiguration
	DeleteBucketOwnershipControls
	DeleteBucketPolicy
	DeleteBucketReplication
	DeleteBucketTagging
	DeleteBucketWebsite
	DeleteObject
	DeleteObjects
	DeleteObjectTagging
	DeletePublicAccessBlock
	GetBucketAbac
	GetBucketAccelerateConfiguration
	GetBucketAcl
	GetBucketAnalyticsConfiguration
	GetBucketCors
	GetBucketEncryption
	GetBucketIntelligentTieringConfiguration
	GetBucketInventoryConfiguration
	GetBucketLifecycleConfiguration
	GetBucketLocation
	GetBucketLogging
	GetBucketMetadataConfiguration
	GetBucketMetadataTableConfiguration
	GetBucketMetricsConfiguration
	GetBucketNotificationConfiguration
	GetBucketOwnershipControls
	GetBucketPolicy
	GetBucketPolicyStatus
	GetBucketReplication
	GetBucketRequestPayment
	GetBucketTagging
	GetBucketVersioning
	GetBucketWebsite
	GetObject
	GetObjectAcl
	GetObjectAttributes
	GetObjectLegalHold
	GetObjectLockConfiguration
	GetObjectRetention
	GetObjectTagging
	GetObjectTorrent
	GetPublicAccessBlock
	HeadBucket
	HeadObject
	ListBucketAnalyticsConfigurations
	ListBucketIntelligentTieringConfigurations
	ListBucketInventoryConfigurations
	ListBucketMetricsConfigurations
	ListBuckets
	ListDirectoryBuckets
	ListMultipartUploads
	ListObjects
	ListObjectsV2
	ListObjectVersions
	ListParts
	PostObject
	PutBucketAbac
	PutBucketAccelerateConfiguration
	PutBucketAcl
	PutBucketAnalyticsConfiguration
	PutBucketCors
	PutBucketEncryption
	PutBucketIntelligentTieringConfiguration
	PutBucketInventoryConfiguration
	PutBucketLifecycleConfiguration
	PutBucketLogging
	PutBucketMetricsConfiguration
	PutBucketNotificationConfiguration
	PutBucketOwnershipControls
	PutBucketPolicy
	PutBucketReplication
	PutBucketRequestPayment
	PutBucketTagging
	PutBucketVersioning
	PutBucketWebsite
	PutObject
	PutObjectAcl
	PutObjectLegalHold
	PutObjectLockConfiguration
	PutObjectRetention
	PutObjectTagging
	PutPublicAccessBlock
	RenameObject
	RestoreObject
	SelectObjectContent
	UpdateBucketMetadataInventoryTableConfiguration
	UpdateBucketMetadataJournalTableConfiguration
	UpdateObjectEncryption
	UploadPart
	UploadPartCopy
	WriteGetObjectResponse
)

// Operations gives every operation, in the order of their names.
func Operations() []Operation {
	all := make([]Operation, 0, WriteGetObjectResponse)
	for op := AbortMultipartUpload; op <= WriteGetObjectResponse; op++ {
		all = append(all, op)
	}
	return all
}

// String gives AWS's name ("PutObject"); "Unknown" for what is not in the list, such as the zero value of a request that did not parse.
func (o Operation) String() string {
	if int(o) < len(operationNames) && o != 0 {
		return operationNames[o]
	}
	return "Unknown"
}

// operationNames is indexed by Operation. It is never written to.
var operationNames = [...]string{
	AbortMultipartUpload:                            "AbortMultipartUpload",
	CompleteMultipartUpload:                         "CompleteMultipartUpload",
	CopyObject:                                      "CopyObject",
	CORSPreflight:                                   "CORSPreflight",
	CreateBucket:                                    "CreateBucket",
	CreateBucketMetadataConfiguration:               "CreateBucketMetadataConfiguration",
	CreateBucketMetadataTableConfiguration:          "CreateBucketMetadataTableConfiguration",
	CreateMultipartUpload:                           "CreateMultipartUpload",
	CreateSession:                                   "CreateSession",
	DeleteBucket:                                    "DeleteBucket",
	DeleteBucketAnalyticsConfiguration:              "DeleteBucketAnalyticsConfiguration",
	DeleteBucketCors:                                "DeleteBucketCors",
	DeleteBucketEncryption:                          "DeleteBucketEncryption",
	DeleteBucketIntelligentTieringConfiguration:     "DeleteBucketIntelligentTieringConfiguration",
	DeleteBucketInventoryConfiguration:              "DeleteBucketInventoryConfiguration",
	DeleteBucketLifecycle:                           "DeleteBucketLifecycle",
	DeleteBucketMetadataConfiguration:               "DeleteBucketMetadataConfiguration",
	DeleteBucketMetadataTableConfiguration:          "DeleteBucketMetadataTableConfiguration",
	DeleteBucketMetricsConfiguration:                "DeleteBucketMetricsConfiguration",
	DeleteBucketOwnershipControls:                   "DeleteBucketOwnershipControls",
	DeleteBucketPolicy:                              "DeleteBucketPolicy",
	DeleteBucketReplication:                         "DeleteBucketReplication",
	DeleteBucketTagging:                             "DeleteBucketTagging",
	DeleteBucketWebsite:                             "DeleteBucketWebsite",
	DeleteObject:                                    "DeleteObject",
	DeleteObjects:                                   "DeleteObjects",
	DeleteObjectTagging:                             "DeleteObjectTagging",
	DeletePublicAccessBlock:                         "DeletePublicAccessBlock",
	GetBucketAbac:                                   "GetBucketAbac",
	GetBucketAccelerateConfiguration:                "GetBucketAccelerateConfiguration",
	GetBucketAcl:                                    "GetBucketAcl",
	GetBucketAnalyticsConfiguration:                 "GetBucketAnalyticsConfiguration",
	GetBucketCors:                                   "GetBucketCors",
	GetBucketEncryption:                             "GetBucketEncryption",
	GetBucketIntelligentTieringConfiguration:        "GetBucketIntelligentTieringConfiguration",
	GetBucketInventoryConfiguration:                 "GetBucketInventoryConfiguration",
	GetBucketLifecycleConfiguration:                 "GetBucketLifecycleConfiguration",
	GetBucketLocation:                               "GetBucketLocation",
	GetBucketLogging:                                "GetBucketLogging",
	GetBucketMetadataConfiguration:                  "GetBucketMetadataConfiguration",
	GetBucketMetadataTableConfiguration:             "GetBucketMetadataTableConfiguration",
	GetBucketMetricsConfiguration:                   "GetBucketMetricsConfiguration",
	GetBucketNotificationConfiguration:              "GetBucketNotificationConfiguration",
	GetBucketOwnershipControls:                      "GetBucketOwnershipControls",
	GetBucketPolicy:                                 "GetBucketPolicy",
	GetBucketPolicyStatus:                           "GetBucketPolicyStatus",
	GetBucketReplication:                            "GetBucketReplication",
	GetBucketRequestPayment:                         "GetBucketRequestPayment",
	GetBucketTagging:                                "GetBucketTagging",
	GetBucketVersioning:                             "GetBucketVersioning",
	GetBucketWebsite:                                "GetBucketWebsite",
	GetObject:                                       "GetObject",
	GetObjectAcl:                                    "GetObjectAcl",
	GetObjectAttributes:                             "GetObjectAttributes",
	GetObjectLegalHold:                              "GetObjectLegalHold",
	GetObjectLockConfiguration:                      "GetObjectLockConfiguration",
	GetObjectRetention:                              "GetObjectRetention",
	GetObjectTagging:                                "GetObjectTagging",
	GetObjectTorrent:                                "GetObjectTorrent",
	GetPublicAccessBlock:                            "GetPublicAccessBlock",
	HeadBucket:                                      "HeadBucket",
	HeadObject:                                      "HeadObject",
	ListBucketAnalyticsConfigurations:               "ListBucketAnalyticsConfigurations",
	ListBucketIntelligentTieringConfigurations:      "ListBucketIntelligentTieringConfigurations",
	ListBucketInventoryConfigurations:               "ListBucketInventoryConfigurations",
	ListBucketMetricsConfigurations:                 "ListBucketMetricsConfigurations",
	ListBuckets:                                     "ListBuckets",
	ListDirectoryBuckets:                            "ListDirectoryBuckets",
	ListMultipartUploads:                            "ListMultipartUploads",
	ListObjects:                                     "ListObjects",
	ListObjectsV2:                                   "ListObjectsV2",
	ListObjectVersions:                              "ListObjectVersions",
	ListParts:                                       "ListParts",
	PostObject:                                      "PostObject",
	PutBucketAbac:                                   "PutBucketAbac",
	PutBucketAccelerateConfiguration:                "PutBucketAccelerateConfiguration",
	PutBucketAcl:                                    "PutBucketAcl",
	PutBucketAnalyticsConfiguration:                 "PutBucketAnalyticsConfiguration",
	PutBucketCors:                                   "PutBucketCors",
	PutBucketEncryption:                             "PutBucketEncryption",
	PutBucketIntelligentTieringConfiguration:        "PutBucketIntelligentTieringConfiguration",
	PutBucketInventoryConfiguration:                 "PutBucketInventoryConfiguration",
	PutBucketLifecycleConfiguration:                 "PutBucketLifecycleConfiguration",
	PutBucketLogging:                                "PutBucketLogging",
	PutBucketMetricsConfiguration:                   "PutBucketMetricsConfiguration",
	PutBucketNotificationConfiguration:              "PutBucketNotificationConfiguration",
	PutBucketOwnershipControls:                      "PutBucketOwnershipControls",
	PutBucketPolicy:                                 "PutBucketPolicy",
	PutBucketReplication:                            "PutBucketReplication",
	PutBucketRequestPayment:                         "PutBucketRequestPayment",
	PutBucketTagging:                                "PutBucketTagging",
	PutBucketVersioning:                             "PutBucketVersioning",
	PutBucketWebsite:                                "PutBucketWebsite",
	PutObject:                                       "PutObject",
	PutObjectAcl:                                    "PutObjectAcl",
	PutObjectLegalHold:                              "PutObjectLegalHold",
	PutObjectLockConfiguration:                      "PutObjectLockConfiguration",
	PutObjectRetention:                              "PutObjectRetention",
	PutObjectTagging:                                "PutObjectTagging",
	PutPublicAccessBlock:                            "PutPublicAccessBlock",
	RenameObject:                                    "RenameObject",
	RestoreObject:                                   "RestoreObject",
	SelectObjectContent:                             "SelectObjectContent",
	UpdateBucketMetadataInventoryTableConfiguration: "UpdateBucketMetadataInventoryTableConfiguration",
	UpdateBucketMetadataJournalTableConfiguration:   "UpdateBucketMetadataJournalTableConfiguration",
	UpdateObjectEncryption:                          "UpdateObjectEncryption",
	UploadPart:                                      "UploadPart",
	UploadPartCopy:                                  "UploadPartCopy",
	WriteGetObjectResponse:                          "WriteGetObjectResponse",
}
