package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"math"
	"testing"

	"cofre/checksum"
	"cofre/seal"
)

// mustBeIntegrity ends a fuzz run in which hostile bytes gave an error that no caller would know for what it is.
func mustBeIntegrity(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, seal.ErrIntegrity) {
		t.Fatalf("error %v is no ErrIntegrity", err)
	}
}

func FuzzPlainSize(f *testing.F) {
	for _, n := range append(edgeSizes, seal.MaxPlainSize) {
		f.Add(seal.StoredSize(n))
		f.Add(seal.StoredSize(n) + 1)
	}
	f.Add(int64(math.MinInt64))
	f.Add(int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, stored int64) {
		n, err := seal.PlainSize(stored)
		if err != nil {
			mustBeIntegrity(t, err)
			return
		}
		if n < 0 || n > seal.MaxPlainSize || seal.StoredSize(n) != stored {
			t.Fatalf("PlainSize(%d) = %d, which is stored as %d", stored, n, seal.StoredSize(n))
		}
	})
}

func FuzzParseHeader(f *testing.F) {
	for _, size := range []int64{0, 1, 70000} {
		f.Add(sealObject(f, size).stored[:seal.HeaderSize])
	}
	huge := seal.Header{Size: seal.MaxPlainSize}.Bytes()
	f.Add(huge[:])
	f.Add([]byte(seal.Magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := seal.ParseHeader(b)
		if err != nil {
			mustBeIntegrity(t, err)
			return
		}
		if again := h.Bytes(); !bytes.Equal(again[:], b) {
			t.Fatalf("%x is written as %x", b, again)
		}
		if h.Size < 0 || h.Size > seal.MaxPlainSize {
			t.Fatalf("size %d", h.Size)
		}
	})
}

func FuzzDecodeFooter(f *testing.F) {
	for _, footer := range []seal.Footer{
		{}, md5Footer(nil),
		{Checksum: checksum.CRC32, Sum: make([]byte, 4)},
		{Checksum: checksum.SHA256, Sum: make([]byte, 32)},
	} {
		f.Add(must(footer.Encode())(f))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != seal.FooterSize-seal.TagSize {
			return // the tag vouches for the length
		}
		footer, fault := seal.DecodeFooter(b)
		if fault != "" {
			return
		}
		if again, err := footer.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x is written as %x, %v", b, again, err)
		}
	})
}

func FuzzParseEnvelope(f *testing.F) {
	kek := fixedKEK(f, "bucket", "kek")
	for flags := seal.Flags(0); flags < 8; flags++ {
		f.Add(sealedEnvelope(f, flags).String())
	}
	for _, e := range loadVectors(f).Envelopes {
		f.Add(e.Envelope)
	}
	genuine := make(map[string]bool)
	for flags := seal.Flags(0); flags < 8; flags++ {
		genuine[sealedEnvelope(f, flags).String()] = true
	}
	f.Fuzz(func(t *testing.T, s string) {
		env, err := seal.ParseEnvelope(s)
		if err != nil {
			mustBeIntegrity(t, err)
			return
		}
		if env.String() != s {
			t.Fatalf("%s is written as %s", s, env)
		}
		if _, err := env.Unseal(kek, "key", nil); err == nil && !genuine[s] {
			t.Fatalf("%s opens, and nobody sealed it", s)
		}
	})
}

func FuzzParseEnvelopeBytes(f *testing.F) {
	for flags := seal.Flags(0); flags < 8; flags++ {
		b := sealedEnvelope(f, flags).Bytes()
		f.Add(b[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		env, err := seal.ParseEnvelopeBytes(b)
		if err != nil {
			mustBeIntegrity(t, err)
			return
		}
		if again := env.Bytes(); !bytes.Equal(again[:], b) {
			t.Fatalf("%x is written as %x", b, again)
		}
	})
}

func FuzzOpenAttributes(f *testing.F) {
	dek, env := fixedDEK(f, "dek"), sealedEnvelope(f, seal.HasAttributes)
	good := must(seal.SealAttributesWithSalt(dek, env, "key", seal.Attributes{}, fixed("salt")))(f)
	f.Add(good)
	f.Add("")
	f.Add(base64.RawURLEncoding.EncodeToString(make([]byte, 47)))
	f.Fuzz(func(t *testing.T, sealed string) {
		_, err := seal.OpenAttributes(dek, env, "key", sealed)
		if err == nil && sealed != good {
			t.Fatalf("%s opens, and nobody sealed it", sealed)
		}
		if err != nil {
			mustBeIntegrity(t, err)
		}
	})
}

func FuzzDecodeAttributes(f *testing.F) {
	for _, v := range loadVectors(f).Attributes {
		f.Add([]byte(v.JSON))
	}
	f.Add(padded(`{"headers":{"expires":"\u0030"},"meta":{"a":"\n","b":"/\/"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := seal.DecodeAttributes(b)
		if err != nil {
			return
		}
		again, err := seal.DecodeAttributes(a.Encode())
		if err != nil || !maps.Equal(a.Headers, again.Headers) || !maps.Equal(a.Meta, again.Meta) {
			t.Fatalf("%q comes back as %q, %v", a, again, err)
		}
		if !bytes.Equal(a.Encode(), again.Encode()) {
			t.Fatalf("%q has two encodings", a)
		}
	})
}

func FuzzOpenLayout(f *testing.F) {
	dek, id := fixedDEK(f, "dek"), fixedObjectID("object")
	good := must(seal.SealLayoutWithSalt(dek, id, smallLayout(), fixed("salt")))(f)
	f.Add(good)
	f.Add([]byte{})
	f.Add(make([]byte, 48))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		_, err := seal.OpenLayout(dek, id, sealed)
		if err == nil && !bytes.Equal(sealed, good) {
			t.Fatalf("%x opens, and nobody sealed it", sealed)
		}
		if err != nil {
			mustBeIntegrity(t, err)
		}
	})
}

func FuzzDecodeLayout(f *testing.F) {
	for _, v := range loadVectors(f).Layouts {
		f.Add([]byte(v.JSON))
	}
	f.Add(smallLayout().Encode())
	f.Add([]byte("{\"parts\":[],\"checksum\":{\"algorithm\":\"CRC32\",\"type\":\"\xf4\"}}"))
	for _, l := range badLayouts() {
		f.Add(l.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := seal.DecodeLayout(b)
		if err != nil {
			return
		}
		again, err := seal.DecodeLayout(l.Encode())
		if err != nil || !sameLayout(l, again) {
			t.Fatalf("%s comes back as %s, %v", l.Encode(), again.Encode(), err)
		}
		if g, err := l.Geometry(); err == nil && g.Parts() != len(l.Parts) {
			t.Fatalf("%d parts make a geometry of %d", len(l.Parts), g.Parts())
		}
	})
}

// FuzzSpan looks at geometries that a hostile record might hold: whatever is accepted, spans stay within the stored object.
func FuzzSpan(f *testing.F) {
	f.Add(int64(0), int64(0), int64(0), int64(0), int64(0))
	f.Add(int64(65536), int64(0), int64(65537), int64(65536), int64(1))
	f.Add(seal.MaxPlainSize, seal.MaxPlainSize, seal.MaxPlainSize, int64(1), 3*seal.MaxPlainSize-1)
	f.Add(int64(math.MaxInt64), int64(math.MinInt64), int64(-1), int64(math.MaxInt64), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, a, b, c, off, n int64) {
		g, err := seal.NewGeometry([]seal.Part{{Number: 1, Size: a}, {Number: 2, Size: b}, {Number: 3, Size: c}})
		if err != nil {
			mustBeIntegrity(t, err)
			return
		}
		s := g.Span(off, n)
		if s.StoredOff < 0 || s.StoredLen < 0 || s.StoredLen > g.StoredSize()-s.StoredOff {
			t.Fatalf("span %+v of %d stored bytes", s, g.StoredSize())
		}
		if inside := off >= 0 && n >= 0 && off <= g.Size() && n <= g.Size()-off; inside && s.StoredLen < n {
			t.Fatalf("%d bytes need a span of %d", n, s.StoredLen)
		}
	})
}

// FuzzDecrypter gives any range of an object of two parts a stream in which bytes were changed, cut out and put in. What comes
// out is the beginning of the right plaintext; all of it, or an error, and all of it without an error only from a span that was
// not touched.
func FuzzDecrypter(f *testing.F) {
	o := sealObject(f, 65540, 9)
	f.Add(int64(0), int64(65549), 0, 0, []byte{})
	f.Add(int64(0), int64(65549), 70, 1, []byte{0})
	f.Add(int64(10), int64(10), 65616, 20, []byte{})
	f.Add(int64(65530), int64(15), len(o.stored), 0, []byte("more"))
	f.Add(int64(65540), int64(9), 65780, 64, o.stored[:64])
	f.Fuzz(func(t *testing.T, off, n int64, at, drop int, put []byte) {
		at = min(max(at, 0), len(o.stored))
		drop = min(max(drop, 0), len(o.stored)-at)
		stored := append(append(bytes.Clone(o.stored[:at]), put...), o.stored[at+drop:]...)

		d := o.open(stored, off, n)
		defer d.Close()
		got, err := io.ReadAll(d)
		if errors.Is(err, seal.ErrRange) {
			if len(got) > 0 || off >= 0 && n >= 0 && off <= 65549 && n <= 65549-off {
				t.Fatalf("range %d+%d: %d bytes, %v", off, n, len(got), err)
			}
			return
		}
		if want := o.plain[off : off+n]; !bytes.HasPrefix(want, got) || err == nil && len(got) != len(want) {
			t.Fatalf("range %d+%d gives wrong bytes", off, n)
		}
		span := o.geometry.Span(off, n)
		untouched := int64(len(stored)) >= span.StoredOff+span.StoredLen &&
			bytes.Equal(stored[span.StoredOff:span.StoredOff+span.StoredLen], o.stored[span.StoredOff:span.StoredOff+span.StoredLen]) &&
			(!span.WholeObject || len(stored) == len(o.stored))
		if untouched != (err == nil) {
			t.Fatalf("range %d+%d: span untouched: %v, error %v", off, n, untouched, err)
		}
		if err != nil {
			mustBeIntegrity(t, err)
		}
	})
}

// FuzzDecrypterOnAnyBytes opens bytes that nobody sealed.
func FuzzDecrypterOnAnyBytes(f *testing.F) {
	o := sealObject(f, 20)
	f.Add(o.stored, uint16(20))
	f.Add(sealObject(f, 0).stored, uint16(0))
	f.Add([]byte(seal.Magic), uint16(1))
	f.Fuzz(func(t *testing.T, stored []byte, size uint16) {
		part := seal.Part{Size: int64(size), Salt: o.parts[0].Salt}
		g := must(seal.NewGeometry([]seal.Part{part}))(t)
		d := seal.NewDecrypter(o.dek, o.id, g, 0, g.Size(), bytes.NewReader(stored))
		defer d.Close()
		got, err := io.ReadAll(d)
		if err == nil {
			if sealed := sealPart(t, o.dek, o.id, part, got); !bytes.Equal(sealed, stored) {
				t.Fatalf("%x opens, and nobody sealed it", stored)
			}
			return
		}
		mustBeIntegrity(t, err)
	})
}
