package proxy

import (
	"cofre/access"
	"cofre/s3api"
)

// operation is what the handler does for one S3 operation: which right it needs and who serves it. What is not in the
// table is answered NotImplemented, so nothing unknown ever reaches the backend.
type operation struct {
	action access.Action
	// scope says what the right is asked for.
	scope scope
	serve func(*Handler, *request) error
}

type scope uint8

const (
	objectScope  scope = iota // the bucket and key of the call
	bucketScope               // the bucket as a whole
	listingScope              // the keys below the prefix parameter
	ownScope                  // decided by the handler itself, key by key
)

func (o operation) allowed(who access.Identity, c s3api.Call) bool {
	switch o.scope {
	case objectScope:
		return who.Allows(o.action, c.Bucket, c.Key)
	case bucketScope:
		return who.Allows(o.action, c.Bucket, "")
	case listingScope:
		return who.AllowsList(c.Bucket, c.Query.Get("prefix"))
	default:
		return true
	}
}

var operations = map[s3api.Operation]operation{
	s3api.ListBuckets:       {scope: ownScope, serve: (*Handler).listBuckets},
	s3api.CreateBucket:      {access.Admin, bucketScope, (*Handler).createBucket},
	s3api.DeleteBucket:      {access.Admin, bucketScope, (*Handler).deleteBucket},
	s3api.HeadBucket:        {scope: ownScope, serve: (*Handler).headBucket},
	s3api.GetBucketLocation: {scope: ownScope, serve: (*Handler).getBucketLocation},

	s3api.ListObjects:          {access.List, listingScope, (*Handler).listObjects},
	s3api.ListObjectsV2:        {access.List, listingScope, (*Handler).listObjects},
	s3api.ListObjectVersions:   {access.List, listingScope, (*Handler).listObjects},
	s3api.ListMultipartUploads: {access.List, listingScope, (*Handler).listMultipartUploads},

	s3api.PutObject:           {access.Write, objectScope, (*Handler).putObject},
	s3api.PostObject:          {scope: ownScope, serve: (*Handler).postObject}, // the key is in the form
	s3api.GetObject:           {access.Read, objectScope, tellVersion((*Handler).getObject)},
	s3api.HeadObject:          {access.Read, objectScope, tellVersion((*Handler).getObject)},
	s3api.GetObjectAttributes: {access.Read, objectScope, tellVersion((*Handler).getObjectAttributes)},
	s3api.CopyObject:          {access.Write, objectScope, (*Handler).copyObject},
	s3api.DeleteObject:        {access.Delete, objectScope, (*Handler).deleteObject},
	s3api.DeleteObjects:       {scope: ownScope, serve: (*Handler).deleteObjects},

	s3api.CreateMultipartUpload:   {access.Write, objectScope, (*Handler).createMultipartUpload},
	s3api.UploadPart:              {access.Write, objectScope, (*Handler).uploadPart},
	s3api.UploadPartCopy:          {access.Write, objectScope, (*Handler).uploadPartCopy},
	s3api.CompleteMultipartUpload: {access.Write, objectScope, (*Handler).completeMultipartUpload},
	s3api.AbortMultipartUpload:    {access.Write, objectScope, (*Handler).abortMultipartUpload},
	s3api.ListParts:               {access.Write, objectScope, (*Handler).listParts},

	// The configurations of single objects. Who may read an object may see who else may; to change
	// that, or a lock, takes Admin.
	s3api.GetObjectTagging:    {access.Read, objectScope, tellVersion(plainConfig.serve())},
	s3api.PutObjectTagging:    {access.Write, objectScope, tellVersion(objectTaggingPut.serve())},
	s3api.DeleteObjectTagging: {access.Write, objectScope, tellVersion(plainConfig.serve())},
	s3api.GetObjectAcl:        {access.Read, objectScope, tellVersion(plainConfig.serve())},
	s3api.PutObjectAcl:        {access.Admin, objectScope, tellVersion(aclPut.serve())},
	s3api.GetObjectRetention:  {access.Read, objectScope, tellVersion(retentionGet.serve())},
	s3api.PutObjectRetention:  {access.Admin, objectScope, tellVersion(retentionPut.serve())},
	s3api.GetObjectLegalHold:  {access.Read, objectScope, tellVersion(legalHoldGet.serve())},
	s3api.PutObjectLegalHold:  {access.Admin, objectScope, tellVersion(legalHoldPut.serve())},

	// Who may do what in a bucket: Admin, to read it too.
	s3api.GetBucketAcl:            {access.Admin, bucketScope, plainConfig.serve()},
	s3api.PutBucketAcl:            {access.Admin, bucketScope, aclPut.serve()},
	s3api.GetBucketPolicy:         {access.Admin, bucketScope, policyGet.serve()},
	s3api.PutBucketPolicy:         {access.Admin, bucketScope, policyPut.serve()},
	s3api.DeleteBucketPolicy:      {access.Admin, bucketScope, policyDelete.serve()},
	s3api.GetBucketPolicyStatus:   {access.Admin, bucketScope, plainConfig.serve()},
	s3api.GetPublicAccessBlock:    {access.Admin, bucketScope, publicAccessBlockGet.serve()},
	s3api.PutPublicAccessBlock:    {access.Admin, bucketScope, publicAccessBlockPut.serve()},
	s3api.DeletePublicAccessBlock: {access.Admin, bucketScope, publicAccessBlockDelete.serve()},

	// How a bucket works: read by whoever may list all of it, changed with Admin.
	s3api.GetBucketVersioning:                {access.List, bucketScope, plainConfig.serve()},
	s3api.PutBucketVersioning:                {access.Admin, bucketScope, (*Handler).putBucketVersioning},
	s3api.GetBucketCors:                      {access.List, bucketScope, plainConfig.serve()},
	s3api.PutBucketCors:                      {access.Admin, bucketScope, (*Handler).putBucketCors},
	s3api.DeleteBucketCors:                   {access.Admin, bucketScope, (*Handler).deleteBucketCors},
	s3api.GetBucketLifecycleConfiguration:    {access.List, bucketScope, plainConfig.serve()},
	s3api.PutBucketLifecycleConfiguration:    {access.Admin, bucketScope, lifecyclePut.serve()},
	s3api.DeleteBucketLifecycle:              {access.Admin, bucketScope, plainConfig.serve()},
	s3api.GetBucketTagging:                   {access.List, bucketScope, bucketTaggingGet.serve()},
	s3api.PutBucketTagging:                   {access.Admin, bucketScope, bucketTaggingPut.serve()},
	s3api.DeleteBucketTagging:                {access.Admin, bucketScope, bucketTaggingDelete.serve()},
	s3api.GetBucketRequestPayment:            {access.List, bucketScope, plainConfig.serve()},
	s3api.PutBucketRequestPayment:            {access.Admin, bucketScope, requestPaymentPut.serve()},
	s3api.GetObjectLockConfiguration:         {access.List, bucketScope, plainConfig.serve()},
	s3api.PutObjectLockConfiguration:         {access.Admin, bucketScope, objectLockPut.serve()},
	s3api.GetBucketNotificationConfiguration: {access.List, bucketScope, plainConfig.serve()},
	s3api.PutBucketNotificationConfiguration: {access.Admin, bucketScope, (*Handler).putBucketNotification},
	s3api.GetBucketLogging:                   {access.List, bucketScope, plainConfig.serve()},
	s3api.GetBucketReplication:               {access.List, bucketScope, replicationGet.serve()},
	s3api.GetBucketEncryption:                {access.List, bucketScope, (*Handler).getBucketEncryption},
	s3api.PutBucketEncryption:                {access.Admin, bucketScope, (*Handler).putBucketEncryption},
	s3api.DeleteBucketEncryption:             {access.Admin, bucketScope, (*Handler).deleteBucketEncryption},
}
