// Package s3api is the S3 protocol without any opinion on what stands behind it: which operation a request asks for, what its parameters,
// conditions and documents mean, and how answers and errors are written. It does no I/O but on the readers and writers it is handed.
//
// The first rule is parse or refuse. A request becomes one Call with an Operation of a closed list, or an *Error; a sub-resource that is not
// in the list is never taken for the operation underneath it. Storage that ignores what it does not know would store the body of
// `PUT /bucket/key?renameObject` as the object.
//
// Three byte rules hold throughout:
//
//   - Keys, prefixes and markers are raw bytes in Go strings, percent-decoded once and never cleaned: "a//b", "a/../b" and "a/b" are three keys.
//   - No key, prefix or identifier holds a NUL byte. C code behind an S3 store ends a string there, so that a name could be judged by one
//     spelling and acted on by another.
//   - Entity tags are kept without their quotes and written with them.
//
// XML is read and written by hand. Documents of clients are small and hostile: no DTD, no entities but the five of XML, bounded size and depth.
// Listings of backends are large and sometimes not XML 1.0 at all: a key with the byte 0x01 comes as a character reference that encoding/xml refuses.
package s3api
