// Package seal holds the sealed format, docs/FORMAT.md sections 3 to 6: geometry, parts, envelopes, attributes and layouts.
//
// A body is sealed in parts: a single PUT is one part, a multipart object several. An [Encrypter] turns the plaintext of
// one part into its stored bytes, a [Decrypter] turns any range of an object's stored bytes back. Both hold one chunk in
// memory whatever the size of the object, and allocate nothing per chunk. [Geometry] is the arithmetic between plaintext
// and stored offsets; it needs no key.
//
// An [Envelope] carries the wrapped data key with the object, [Attributes] what the client says about the object, and a
// [Layout] the parts of a multipart object.
//
// Everything that is read here was kept by a storage operator who is not trusted. Whatever does not verify is an
// [*IntegrityError]; nothing panics on hostile input, and no plaintext byte leaves before its tag has verified.
package seal
