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
	s3api.GetObject:           {access.Read, objectScope, (*Handler).getObject},
	s3api.HeadObject:          {access.Read, objectScope, (*Handler).getObject},
	s3api.GetObjectAttributes: {access.Read, objectScope, (*Handler).getObjectAttributes},
	s3api.CopyObject:          {access.Write, objectScope, (*Handler).copyObject},
	s3api.DeleteObject:        {access.Delete, objectScope, (*Handler).deleteObject},
	s3api.DeleteObjects:       {scope: ownScope, serve: (*Handler).deleteObjects},

	s3api.CreateMultipartUpload:   {access.Write, objectScope, (*Handler).createMultipartUpload},
	s3api.UploadPart:              {access.Write, objectScope, (*Handler).uploadPart},
	s3api.UploadPartCopy:          {access.Write, objectScope, (*Handler).uploadPartCopy},
	s3api.CompleteMultipartUpload: {access.Write, objectScope, (*Handler).completeMultipartUpload},
	s3api.AbortMultipartUpload:    {access.Write, objectScope, (*Handler).abortMultipartUpload},
	s3api.ListParts:               {access.Write, objectScope, (*Handler).listParts},

	s3api.GetObjectTagging:    {access.Read, objectScope, pass(passNothing)},
	s3api.PutObjectTagging:    {access.Write, objectScope, (*Handler).putObjectTagging},
	s3api.DeleteObjectTagging: {access.Write, objectScope, pass(passNothing)},

	s3api.GetBucketVersioning: {access.List, bucketScope, pass(passNothing)},
	s3api.PutBucketVersioning: {access.Admin, bucketScope, (*Handler).putBucketVersioning},
}
