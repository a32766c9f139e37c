// Package proxy is the way of a byte through cofre: an S3 request comes in, is understood (s3api), verified (sigv4) and
// authorised (access), its body is sealed or opened (seal, keys) and goes on to the storage (Backend) while the metadata
// store keeps what the storage cannot know (metadata).
//
// One file holds each kind of call: put.go, get.go, delete.go, list.go, multipart.go, copy.go, bucket.go, post.go. object.go finds
// out what an object on the backend is; heal.go makes the record of one that has none; errors.go is the one place where an
// error becomes an S3 answer; event.go is the one line that each request leaves in the log.
package proxy
