package seal_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"io"
	"testing"

	"cofre/keys"
	"cofre/seal"
)

// pattern is the plaintext of every test: byte i is i mod 251, so that no two chunks are the same.
func pattern(n int64) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// fixed is as many bytes as wanted that depend on the label alone.
func fixed(label string) [32]byte { return sha256.Sum256([]byte("cofre test " + label)) }

func fixedSalt(label string) seal.Salt { b := fixed(label); return seal.Salt(b[:16]) }

func fixedObjectID(label string) keys.ObjectID { b := fixed(label); return keys.ObjectID(b[:16]) }

func fixedDEK(t testing.TB, label string) keys.DEK {
	t.Helper()
	b := fixed(label)
	return must(keys.ParseDEK(b[:]))(t)
}

func fixedKEK(t testing.TB, bucket, label string) keys.KEK {
	t.Helper()
	id, key := fixed("id of "+label), fixed(label)
	return must(keys.ParseKEK(keys.KEKID(id[:16]), bucket, keys.SiteID{}, key[:]))(t)
}

// must ends the test on an error of what the test itself prepares.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// sealedObject is an object of one or several parts as the storage has it.
type sealedObject struct {
	dek      keys.DEK
	id       keys.ObjectID
	parts    []seal.Part
	geometry seal.Geometry
	plain    []byte
	stored   []byte
	footers  []seal.Footer
}

// sealObject seals the pattern as an object of these part sizes: a single part for one size, else parts 1, 2 and so on.
func sealObject(t testing.TB, sizes ...int64) *sealedObject {
	t.Helper()
	parts := make([]seal.Part, len(sizes))
	for i, size := range sizes {
		parts[i] = seal.Part{Number: i + 1, Size: size, Salt: fixedSalt("part" + string(rune('a'+i)))}
	}
	if len(parts) == 1 {
		parts[0].Number = 0
	}
	return sealParts(t, fixedDEK(t, "dek"), fixedObjectID("object"), parts)
}

// sealParts seals the pattern as the parts of an object.
func sealParts(t testing.TB, dek keys.DEK, id keys.ObjectID, parts []seal.Part) *sealedObject {
	t.Helper()
	o := &sealedObject{dek: dek, id: id, parts: parts, geometry: must(seal.NewGeometry(parts))(t)}
	o.plain = pattern(o.geometry.Size())
	off := int64(0)
	for _, p := range parts {
		plain := o.plain[off : off+p.Size]
		o.footers = append(o.footers, md5Footer(plain))
		o.stored = append(o.stored, sealPart(t, dek, id, p, plain)...)
		off += p.Size
	}
	return o
}

func md5Footer(plain []byte) seal.Footer {
	sum := md5.Sum(plain)
	return seal.Footer{MD5: sum[:]}
}

// sealPart seals one part with an MD5 in its footer.
func sealPart(t testing.TB, dek keys.DEK, id keys.ObjectID, p seal.Part, plain []byte) []byte {
	t.Helper()
	e := seal.NewEncrypter(dek, id, p, bytes.NewReader(plain), func() (seal.Footer, error) { return md5Footer(plain), nil })
	defer e.Close()
	return must(io.ReadAll(e))(t)
}

// piece gives the stored bytes of the part with index i.
func (o *sealedObject) piece(i int) []byte {
	off := int64(0)
	for _, p := range o.parts[:i] {
		off += seal.StoredSize(p.Size)
	}
	return o.stored[off : off+seal.StoredSize(o.parts[i].Size)]
}

// open gives a Decrypter of a range over these stored bytes of the whole object, from the span's beginning on.
func (o *sealedObject) open(stored []byte, off, n int64) *seal.Decrypter {
	return seal.NewDecrypter(o.dek, o.id, o.geometry, off, n, bytes.NewReader(stored[min(o.geometry.Span(off, n).StoredOff, int64(len(stored))):]))
}

// openWhole reads a whole object from these stored bytes.
func (o *sealedObject) openWhole(stored []byte) ([]byte, error) {
	d := o.open(stored, 0, o.geometry.Size())
	defer d.Close()
	return io.ReadAll(d)
}

// edgeSizes are the part sizes at which something changes.
var edgeSizes = []int64{0, 1, 15, 16, 17, 4096, 65519, 65520, 65535, 65536, 65537, 131071, 131072, 131073, 200000}

// readSized reads all of r with buffers of n bytes.
func readSized(r io.Reader, n int) ([]byte, error) {
	var out []byte
	buf := make([]byte, n)
	for {
		m, err := r.Read(buf)
		out = append(out, buf[:m]...)
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
	}
}
