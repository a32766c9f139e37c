package s3api

// Limits of S3 ("Amazon S3 multipart upload limits" and "Uploading objects", Amazon S3 User Guide).
const (
	// MaxParts is the highest part number, and the most parts that an object can have.
	MaxParts = 10000
	// MinPartSize is the smallest part in bytes, the last of an upload excepted.
	MinPartSize = 5 << 20
	// MaxPutSize is the largest body in bytes of one PUT, a part's included.
	MaxPutSize = 5 << 30
	// MaxListKeys is the most entries of one page of a listing, and its default.
	MaxListKeys = 1000
	// MaxDeleteKeys is the most keys of one DeleteObjects.
	MaxDeleteKeys = 1000
	// MaxUserMetadata is the most user metadata in bytes, names and values.
	MaxUserMetadata = 2 << 10
)
