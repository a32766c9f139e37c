package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"cofre/checksum"
	"cofre/keys"
	"cofre/seal"
)

// makeFailures makes every vector of testdata/failures: controls that must be accepted, and what a hostile storage makes of
// them. Salts, ids and keys are fixed, so it always makes the same.
func makeFailures(t *testing.T) []*vector {
	t.Helper()
	return slices.Concat(headerFailures(t), chunkFailures(t), streamFailures(t), footerFailures(t), envelopeFailures(t),
		attributesFailures(t), layoutFailures(t), keyFailures(t))
}

// newVector begins a vector; class and fault are "none" for a control.
func newVector(name, what, class string, fault seal.Fault, open string) *vector {
	v := &vector{name: name}
	return v.set("what", "%s", what).set("class", "%s", class).set("error", "%s", fault).set("open", "%s", open)
}

// objectVector reads an object, as the record in o says it is, from stored.
func objectVector(name, what, class string, fault seal.Fault, o *sealedObject, stored []byte, released int) *vector {
	v := newVector(name, what, class, fault, "object").of(o).set("released", "%d", released)
	v.body = stored
	return v
}

// of sets what record and envelope say of an object.
func (v *vector) of(o *sealedObject) *vector {
	v.set("dek", "%x", o.dek.Bytes()).set("object", "%s", o.id)
	for _, p := range o.parts {
		v.set("part", "%d %d %x", p.Number, p.Size, p.Salt)
	}
	return v
}

// ranged makes the vector read a range.
func (v *vector) ranged(off, n int64) *vector { return v.set("range", "%d %d", off, n) }

// changed is stored with other bytes at an offset.
func changed(stored []byte, at int, b ...byte) []byte {
	out := bytes.Clone(stored)
	copy(out[at:], b)
	return out
}

// flipped is stored with one bit flipped.
func flipped(stored []byte, at int) []byte { return changed(stored, at, stored[at]^1) }

// resent is the part with this index of o, sent again with another salt.
func (o *sealedObject) resent(t *testing.T, i int, label string) []byte {
	t.Helper()
	off, n, _ := o.geometry.PartRange(o.parts[i].Number)
	p := o.parts[i]
	p.Salt = fixedSalt(label)
	return sealPart(t, o.dek, o.id, p, o.plain[off:off+n])
}

const (
	headerMagic    = 0
	headerVersion  = 5
	headerSuite    = 6
	headerReserved = 7
	headerLength   = 8
	headerSalt     = 16
	headerCommit   = 32
)

func headerFailures(t *testing.T) []*vector {
	o := sealObject(t, 20)
	bad := func(name, what, class string, fault seal.Fault, at int, b ...byte) *vector {
		return objectVector(name, what, class, fault, o, changed(o.stored, at, b...), 0)
	}
	headerOnly := newVector("salt-header-alone", "The header alone has another salt than the record.",
		"salt other than the record's", seal.FaultSalt, "header").of(o)
	headerOnly.body = flipped(o.stored[:seal.HeaderSize], headerSalt)
	size := func(name, what, class string, fault seal.Fault, stored string) *vector {
		return newVector(name, what, class, fault, "size").set("stored-size", "%s", stored)
	}
	return []*vector{
		objectVector("good-object", "A single-part object as it was written.", "none", "none", o, o.stored, 20),
		objectVector("good-empty-object", "An empty object.", "none", "none", sealObject(t, 0), sealObject(t, 0).stored, 0),
		bad("magic", "The header begins with another word.", "bad magic", seal.FaultMagic, headerMagic, 'k'),
		bad("version", "The header says version 2.", "bad version", seal.FaultVersion, headerVersion, 2),
		bad("suite", "The header says suite 2.", "bad suite", seal.FaultSuite, headerSuite, 2),
		bad("reserved", "The header's reserved byte is not zero.", "reserved byte not zero", seal.FaultReserved, headerReserved, 1),
		bad("limit-header", "The header says 2^64-1 bytes.", "length beyond the limits", seal.FaultLimit,
			headerLength, 255, 255, 255, 255, 255, 255, 255, 255),
		bad("limit-header-by-one", "The header says one byte more than 5 TiB.", "length beyond the limits", seal.FaultLimit,
			headerLength, 0, 0, 5, 0, 0, 0, 0, 1),
		bad("length-recorded", "The header says one byte more than the record.", "length other than the record's", seal.FaultSize,
			headerLength, 0, 0, 0, 0, 0, 0, 0, 21),
		bad("salt-recorded", "The header has another salt than the record.", "salt other than the record's", seal.FaultSalt,
			headerSalt, o.stored[headerSalt]^1),
		headerOnly,
		bad("commitment", "The header's commitment was altered.", "commitment mismatch", seal.FaultCommitment,
			headerCommit, o.stored[headerCommit]^1),
		size("size-below-a-part", "The stored object is shorter than header and footer.",
			"length that does not fit the stored size", seal.FaultLength, "143"),
		size("size-of-a-tag-alone", "The stored object has room for a tag and no plaintext byte.",
			"length that does not fit the stored size", seal.FaultLength, "160"),
		size("size-between-chunks", "The stored object ends inside the second chunk's tag.",
			"length that does not fit the stored size", seal.FaultLength, "65712"),
		size("size-above-5-TiB", "The stored object is one byte longer than the longest part.",
			"length beyond the limits", seal.FaultLimit, "5498900316305"),
		size("size-of-64-bits", "The stored object says that it is 2^63-1 bytes long.",
			"length beyond the limits", seal.FaultLimit, "9223372036854775807"),
	}
}

func chunkFailures(t *testing.T) []*vector {
	o, multi := sealObject(t, 20), sealObject(t, 20, 20)
	const chunk = seal.ChunkSize + seal.TagSize
	two := sealObject(t, 2*seal.ChunkSize)
	first, second := seal.HeaderSize, seal.HeaderSize+chunk
	swapped := slices.Concat(two.stored[:first], two.stored[second:second+chunk], two.stored[first:second], two.stored[second+chunk:])
	fromOther := bytes.Clone(multi.stored)
	copy(multi.within(fromOther, 1)[first:first+20+seal.TagSize], multi.piece(0)[first:])
	earlier := o.resent(t, 0, "earlier")
	return []*vector{
		objectVector("chunk-tag", "A bit of the chunk's tag was flipped.", "chunk tag mismatch", seal.FaultChunk,
			o, flipped(o.stored, first+20), 0),
		objectVector("chunk-body", "A bit of the chunk was flipped.", "chunk tag mismatch", seal.FaultChunk,
			o, flipped(o.stored, first), 0),
		objectVector("chunk-range", "A bit of the chunk was flipped, and a range of it is read.", "chunk tag mismatch", seal.FaultChunk,
			o, flipped(o.stored, first), 0).ranged(5, 10),
		objectVector("chunks-swapped", "The two chunks of the part changed places.", "chunk swapped within a part", seal.FaultChunk,
			two, swapped, 0),
		objectVector("chunk-of-other-part", "The second part has the first part's chunk.", "chunk from another part", seal.FaultChunk,
			multi, fromOther, 20),
		objectVector("earlier-send", "The part is one that the same upload sent earlier.",
			"an earlier send of the same part", seal.FaultSalt, o, earlier, 0),
		objectVector("earlier-send-range", "The part is one that the same upload sent earlier, and a range of it is read.",
			"an earlier send of the same part", seal.FaultChunk, o, earlier, 0).ranged(5, 10),
		objectVector("earlier-send-new-header", "Behind the header stands what the same upload sent earlier.",
			"an earlier send of the same part", seal.FaultChunk,
			o, slices.Concat(o.stored[:first], earlier[first:]), 0),
	}
}

// within gives the part with index i of these stored bytes.
func (o *sealedObject) within(stored []byte, i int) []byte {
	begin := int64(0)
	for _, p := range o.parts[:i] {
		begin += seal.StoredSize(p.Size)
	}
	return stored[begin : begin+seal.StoredSize(o.parts[i].Size)]
}

func streamFailures(t *testing.T) []*vector {
	o := sealObject(t, 20, 0, 20)
	dek, id := fixedDEK(t, "other dek"), fixedObjectID("other object")
	other := sealParts(t, dek, id, o.parts)
	otherID := sealParts(t, o.dek, id, o.parts) // as if two objects shared a DEK
	a, b, c := o.piece(0), o.piece(1), o.piece(2)
	forged := changed(other.piece(2), headerSalt, o.parts[2].Salt[:]...)
	return []*vector{
		objectVector("good-multipart", "An object of three parts, one of them empty.", "none", "none", o, o.stored, 40),
		objectVector("part-of-other-object", "The last part is that of another object, with the right salt in its header.",
			"part from another object", seal.FaultCommitment, o, slices.Concat(a, b, forged), 20),
		objectVector("part-of-other-object-id", "The last part is that of an object with the same DEK and another id.",
			"part from another object", seal.FaultCommitment, o, slices.Concat(a, b, otherID.piece(2)), 20),
		objectVector("part-of-other-object-range", "The last part is that of another object, and a range of it is read.",
			"part from another object", seal.FaultChunk, o, slices.Concat(a, b, forged), 0).ranged(25, 10),
		objectVector("parts-reordered", "The first part and the last, of equal size, changed places.",
			"parts reordered", seal.FaultSalt, o, slices.Concat(c, b, a), 0),
		objectVector("part-missing", "The last part is not there.", "part missing", seal.FaultTruncated, o, slices.Concat(a, b), 20),
		objectVector("part-missing-inside", "The empty part is not there.", "part missing", seal.FaultSalt, o, slices.Concat(a, c), 20),
		objectVector("part-added", "A fourth part, sealed by a holder of the DEK, follows.", "part added", seal.FaultTrailing,
			o, slices.Concat(o.stored, sealPart(t, o.dek, o.id, seal.Part{Number: 4, Size: 5, Salt: fixedSalt("fourth")}, pattern(5))), 20),
		objectVector("part-twice", "The first part stands there twice.", "part added", seal.FaultSalt, o, slices.Concat(a, a, b, c), 20),
		objectVector("trailing-byte", "A byte follows the last footer.", "bytes behind the last footer", seal.FaultTrailing,
			o, append(bytes.Clone(o.stored), 0), 20),
		objectVector("trailing-byte-of-empty", "A byte follows the footer of an empty object.", "bytes behind the last footer",
			seal.FaultTrailing, sealObject(t, 0), append(bytes.Clone(sealObject(t, 0).stored), 0), 0),
		objectVector("truncated-chunk", "The stored object ends inside the chunk.", "length that does not fit the stored size",
			seal.FaultTruncated, sealObject(t, 20), sealObject(t, 20).stored[:seal.HeaderSize+30], 0),
	}
}

func footerFailures(t *testing.T) []*vector {
	o, multi := sealObject(t, 20), sealObject(t, 20, 20)
	body := len(o.stored) - seal.FooterSize
	first := seal.StoredSize(20) - seal.FooterSize
	// forge is a footer that no writer makes but that carries the right tag.
	forge := func(name, what, class string, fault seal.Fault, edit func(plain []byte)) *vector {
		plain := must(seal.Footer{Checksum: checksum.CRC32, Sum: []byte{1, 2, 3, 4}}.Encode())(t)
		edit(plain)
		v := newVector(name, what, class, fault, "footer").of(o)
		v.body = must(seal.SealFooterPlaintext(o.dek, o.id, o.parts[0], plain))(t)
		return v
	}
	alone := newVector("footer-of-other-part", "The footer is that of the other part.", "footer altered", seal.FaultFooter, "footer")
	alone.set("dek", "%x", multi.dek.Bytes()).set("object", "%s", multi.id)
	alone.set("part", "%d %d %x", multi.parts[0].Number, multi.parts[0].Size, multi.parts[0].Salt)
	alone.body = multi.piece(1)[first:]
	short := newVector("footer-short", "The footer lacks its last byte.", "footer altered", seal.FaultLength, "footer").of(o)
	short.body = o.stored[body : len(o.stored)-1]
	return []*vector{
		forge("good-footer", "A footer with a CRC32.", "none", "none", func([]byte) {}),
		objectVector("no-footer", "An upload that broke off before its footer is served as the object.",
			"whole read of a part without footer", seal.FaultTruncated, o, o.stored[:body], 0),
		objectVector("no-footer-of-empty", "The header of an empty object is served as the object.",
			"whole read of a part without footer", seal.FaultTruncated,
			sealObject(t, 0), sealObject(t, 0).stored[:seal.HeaderSize], 0),
		objectVector("footer-missing", "The first part's footer is not there: the second part follows its chunk.",
			"footer missing", seal.FaultFooter, multi, slices.Concat(multi.stored[:first], multi.piece(1)), 0),
		objectVector("footer-altered", "A bit of the footer was flipped.", "footer altered", seal.FaultFooter,
			o, flipped(o.stored, body), 0),
		objectVector("footer-tag-altered", "A bit of the footer's tag was flipped.", "footer altered", seal.FaultFooter,
			o, flipped(o.stored, len(o.stored)-1), 0),
		objectVector("footer-is-a-chunk", "Where the footer belongs, the part's own chunk and more of it stand.", "footer altered",
			seal.FaultFooter, o, slices.Concat(o.stored[:body], o.stored[seal.HeaderSize:body], o.stored[:44]), 0),
		alone,
		short,
		forge("footer-algorithm", "The footer names checksum algorithm 6.", "footer of an unknown algorithm", seal.FaultAlgorithm,
			func(p []byte) { p[17] = 6 }),
		forge("footer-flag", "The footer has an undefined flag.", "undefined flag not zero", seal.FaultFlags,
			func(p []byte) { p[0] = 2 }),
		forge("footer-checksum-length", "The footer says that a CRC32 has five bytes.", "footer altered", seal.FaultLength,
			func(p []byte) { p[18] = 5 }),
		forge("footer-unused-md5", "The footer has an MD5 and says that it has none.", "footer altered", seal.FaultPadding,
			func(p []byte) { p[1] = 1 }),
		forge("footer-unused-checksum", "Behind the CRC32 in the footer stands another byte.", "footer altered", seal.FaultPadding,
			func(p []byte) { p[23] = 1 }),
		forge("footer-unused-end", "The footer's last byte is not zero.", "footer altered", seal.FaultPadding,
			func(p []byte) { p[63] = 1 }),
	}
}

func envelopeFailures(t *testing.T) []*vector {
	kek := fixedKEK(t, "bucket", "kek")
	open := func(name, what, class string, fault seal.Fault, envelope string, with keys.KEK, key string) *vector {
		return newVector(name, what, class, fault, "envelope").set("envelope", "%s", envelope).set("key", "%s", key).
			set("bucket", "%s", with.Bucket()).set("kek-id", "%s", with.ID()).set("kek", "%x", with.Bytes())
	}
	good := sealedEnvelope(t, 0)
	raw := good.Bytes()
	bad := func(name, what, class string, fault seal.Fault, at int, b byte) *vector {
		edited := base64.RawURLEncoding.EncodeToString(changed(raw[:], at, b))
		return open(name, what, class, fault, edited, kek, "key")
	}
	otherBucket, otherKEK := fixedKEK(t, "other-bucket", "other bucket's kek"), fixedKEK(t, "bucket", "other kek")
	renamed := good
	renamed.KEKID = otherBucket.ID()
	ssec := sealedEnvelope(t, seal.CustomerKey).String()
	multi := sealedEnvelope(t, seal.Multipart)
	multi.PartSalt = fixedSalt("parta")
	text := good.String()
	// 132 bytes are 176 digits without bits to spare; a standard digit and a line end are what can go wrong.
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(text)
	return []*vector{
		open("good-envelope", "An envelope as it was written.", "none", "none", text, kek, "key"),
		open("good-envelope-customer-key", "An envelope with the right customer key.", "none", "none", ssec, kek, "key").
			set("customer-key", "%x", customerKey("customer")),
		bad("envelope-version", "The envelope says version 2.", "bad version", seal.FaultVersion, 0, 2),
		bad("envelope-suite", "The envelope says suite 2.", "bad suite", seal.FaultSuite, 1, 2),
		bad("envelope-flag", "The envelope has an undefined flag.", "undefined flag not zero", seal.FaultFlags, 2, 8),
		bad("envelope-reserved", "The envelope's reserved byte is not zero.", "reserved byte not zero", seal.FaultReserved, 3, 1),
		bad("envelope-flag-flipped", "The flag of sealed attributes was set.", "envelope flag flipped", seal.FaultEnvelope,
			2, byte(seal.HasAttributes)),
		open("envelope-flag-taken", "The flag of sealed attributes was taken away.", "envelope flag flipped", seal.FaultEnvelope,
			unflagged(sealedEnvelope(t, seal.HasAttributes)).String(), kek, "key"),
		open("envelope-multipart-salt", "The envelope of a multipart object has a part salt.", "salt other than the record's",
			seal.FaultPadding, multi.String(), kek, "key"),
		bad("envelope-object-id", "The envelope names another object id.", "part from another object", seal.FaultEnvelope, 4, raw[4]^1),
		bad("envelope-part-salt", "The envelope has another part salt.", "salt other than the record's", seal.FaultEnvelope, 36, raw[36]^1),
		open("envelope-short", "The envelope lacks its last three bytes.", "length that does not fit the stored size", seal.FaultLength,
			text[:len(text)-4], kek, "key"),
		open("envelope-alphabet", "The envelope is spelt with the standard alphabet.", "base64url that is not canonical",
			seal.FaultEncoding, standard, kek, "key"),
		open("envelope-padding", "The envelope's last digits are padding.", "base64url that is not canonical",
			seal.FaultEncoding, text[:len(text)-1]+"=", kek, "key"),
		open("envelope-key", "The envelope is that of the key \"other\".", "envelope of another key", seal.FaultEnvelope, text, kek, "other"),
		open("envelope-key-cleaned", "The envelope is that of a key with a slash more.", "envelope of another key", seal.FaultEnvelope,
			text, kek, "/key"),
		open("envelope-bucket", "The envelope was copied to another bucket.", "envelope of another bucket", seal.FaultKEK,
			text, otherBucket, "key"),
		open("envelope-bucket-renamed", "The envelope was copied to another bucket and names that bucket's KEK.",
			"envelope of another bucket", seal.FaultEnvelope, renamed.String(), otherBucket, "key"),
		open("envelope-kek", "The envelope is under another KEK of the bucket.", "envelope of another KEK", seal.FaultKEK, text, otherKEK, "key"),
		open("envelope-customer-key", "The customer key is another one.", "envelope of another KEK", seal.FaultEnvelope, ssec, kek, "key").
			set("customer-key", "%x", customerKey("another customer")),
		open("zero-key-wrapped", "The envelope wraps a DEK of zeros.", "zero key", seal.FaultZeroKey,
			must(seal.WrapAnything(good, kek, "key", make([]byte, 32)))(t).String(), kek, "key"),
		objectVector("envelope-of-other-dek", "The body is sealed under another DEK than the envelope's.", "commitment mismatch",
			seal.FaultCommitment, sealObject(t, 5), sealParts(t, fixedDEK(t, "other dek"), fixedObjectID("object"), sealObject(t, 5).parts).stored, 0),
	}
}

func unflagged(e seal.Envelope) seal.Envelope { e.Flags = 0; return e }

func attributesFailures(t *testing.T) []*vector {
	dek, kek := fixedDEK(t, "dek"), fixedKEK(t, "bucket", "kek")
	env := sealedEnvelope(t, seal.HasAttributes)
	seals := func(salt string, object keys.ObjectID) seal.Envelope {
		return must(seal.SealEnvelopeWithSalt(kek, "key", nil, seal.HasAttributes, object, fixedSalt("parta"), dek, fixed(salt)))(t)
	}
	earlier, otherObject := seals("earlier wrap salt", fixedObjectID("object")), seals("wrap salt", fixedObjectID("other object"))
	a := seal.Attributes{Headers: map[string]string{"content-type": "text/plain"}, Meta: map[string]string{"patient": "\xc5ngstr\xf6m"}}
	sealed := func(e seal.Envelope, key string) string {
		return must(seal.SealAttributesWithSalt(dek, e, key, a, fixed("salt")))(t)
	}
	document := func(doc string) string {
		b := must(seal.SealAttributesDocument(dek, env, "key", padded(doc), fixed("salt")))(t)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	open := func(name, what, class string, fault seal.Fault, attributes string) *vector {
		v := newVector(name, what, class, fault, "attributes").set("dek", "%x", dek.Bytes())
		return v.set("envelope", "%s", env).set("key", "key").set("attributes", "%s", attributes)
	}
	good := sealed(env, "key")
	return []*vector{
		open("good-attributes", "Attributes as they were written.", "none", "none", good),
		open("attributes-missing", "The attributes that the envelope promises are not there.",
			"attributes missing though flagged", seal.FaultMissing, ""),
		open("attributes-of-other-object", "The attributes are those of another object id.",
			"attributes of another object", seal.FaultAttributes, sealed(otherObject, "key")),
		open("attributes-of-other-key", "The attributes are those of another object key.",
			"attributes of another object", seal.FaultAttributes, sealed(env, "other")),
		open("attributes-of-earlier-envelope", "The attributes are those of an earlier envelope of the same body.",
			"attributes of an earlier envelope", seal.FaultAttributes, sealed(earlier, "key")),
		open("attributes-spare-bits", "The last digit of the attributes has bits that mean nothing.", "base64url that is not canonical",
			seal.FaultEncoding, spareBits(good)),
		open("attributes-short", "The attributes are shorter than salt and tag.", "length that does not fit the stored size",
			seal.FaultLength, good[:60]),
		open("attributes-name-twice", "A name stands twice in the attributes.", "attributes of another object",
			seal.FaultDocument, document(`{"headers":{},"meta":{"a":"1","a":"2"}}`)),
	}
}

// spareBits gives text, whose last digit carries two or four bits that no byte has, with one of those set.
func spareBits(text string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(digits, text[len(text)-1])
	return text[:len(text)-1] + digits[last|1:last|1+1]
}

func layoutFailures(t *testing.T) []*vector {
	dek, id := fixedDEK(t, "dek"), fixedObjectID("object")
	open := func(name, what, class string, fault seal.Fault, sealed []byte) *vector {
		v := newVector(name, what, class, fault, "layout").set("dek", "%x", dek.Bytes()).set("object", "%s", id)
		v.body = sealed
		return v
	}
	sealed := func(object keys.ObjectID) []byte {
		return must(seal.SealLayoutWithSalt(dek, object, smallLayout(), fixed("salt")))(t)
	}
	document := func(doc string) []byte {
		return must(seal.SealLayoutDocument(dek, id, []byte(doc), fixed("salt")))(t)
	}
	const salt = `"salt":"AAAAAAAAAAAAAAAAAAAAAA=="`
	return []*vector{
		open("good-layout", "A layout as it was written.", "none", "none", sealed(id)),
		open("layout-missing", "There is no layout.", "layout missing", seal.FaultMissing, nil),
		open("layout-altered", "A bit of the layout was flipped.", "layout altered", seal.FaultLayout, flipped(sealed(id), 40)),
		open("layout-salt-altered", "A bit of the layout's salt was flipped.", "layout altered", seal.FaultLayout, flipped(sealed(id), 0)),
		open("layout-cut", "The layout lacks its last byte.", "layout altered", seal.FaultLayout, sealed(id)[:len(sealed(id))-1]),
		open("layout-short", "The layout is shorter than salt and tag.", "length that does not fit the stored size", seal.FaultLength,
			sealed(id)[:47]),
		open("layout-of-other-object", "The layout is that of another object.", "layout of another object", seal.FaultLayout,
			sealed(fixedObjectID("other object"))),
		open("layout-parts-fall", "The layout's part numbers fall.", "parts reordered", seal.FaultParts,
			document(`{"parts":[{"number":2,"size":0,`+salt+`},{"number":1,"size":0,`+salt+`}]}`)),
		open("layout-limit", "A part of the layout is larger than 5 TiB.", "length beyond the limits", seal.FaultLimit,
			document(`{"parts":[{"number":1,"size":5497558138881,`+salt+`}]}`)),
		open("layout-member-twice", "A part of the layout has two sizes.", "layout altered", seal.FaultDocument,
			document(`{"parts":[{"number":1,"size":0,"size":5,`+salt+`}]}`)),
	}
}

func keyFailures(t *testing.T) []*vector {
	zeros := strings.Repeat("00", 32)
	kek := fixedKEK(t, "bucket", "kek")
	dek := newVector("zero-key-dek", "A DEK of zeros.", "zero key", seal.Fault(keys.ErrZeroKey.Error()), "DEK").set("dek", "%s", zeros)
	k := newVector("zero-key-kek", "A KEK of zeros.", "zero key", seal.Fault(keys.ErrZeroKey.Error()), "KEK").
		set("kek", "%s", zeros).set("kek-id", "%s", kek.ID()).set("bucket", "bucket")
	good := newVector("good-key", "A DEK that is none of those.", "none", "none", "DEK").
		set("dek", "%s", hex.EncodeToString(fixedDEK(t, "dek").Bytes()))
	return []*vector{good, dek, k}
}
