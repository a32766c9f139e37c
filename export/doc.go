// Package export takes objects out of cofre's sealed form: to a directory or to another bucket, whole and verified or not at
// all. It walks a bucket in order of key and holds a page of it, whatever the bucket's size, and goes on where a run before
// it ended.
package export
