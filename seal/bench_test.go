package seal_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"cofre/keys"
	"cofre/seal"
)

var benchSizes = []int64{4 << 10, 64 << 10, 8 << 20}

// onlyReader and onlyWriter hide WriteTo and ReadFrom, so that io.CopyBuffer really reads with the given buffer.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// BenchmarkEncrypter reads in 32 KiB, as net/http's transport does.
func BenchmarkEncrypter(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			plain, buf := pattern(size), make([]byte, 32<<10)
			src := bytes.NewReader(plain)
			dek, id := keys.NewDEK(), keys.NewObjectID()
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				src.Reset(plain)
				e := seal.NewEncrypter(dek, id, seal.Part{Size: size, Salt: seal.NewSalt()}, src, noFooter)
				if _, err := io.CopyBuffer(onlyWriter{io.Discard}, onlyReader{e}, buf); err != nil {
					b.Fatal(err)
				}
				e.Close()
			}
		})
	}
}

// BenchmarkDecrypter writes chunk by chunk, as io.Copy to an http.ResponseWriter does.
func BenchmarkDecrypter(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			o := sealObject(b, size)
			src := bytes.NewReader(o.stored)
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				src.Reset(o.stored)
				d := seal.NewDecrypter(o.dek, o.id, o.geometry, 0, size, src)
				if _, err := d.WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
				d.Close()
			}
		})
	}
}

// BenchmarkRange opens 64 KiB in the middle of a large object, with its bounds off the chunks' edges.
func BenchmarkRange(b *testing.B) {
	const n = 64 << 10
	o := sealObject(b, 8<<20)
	off := o.geometry.Size()/2 + 1000
	span := o.geometry.Span(off, n)
	src := bytes.NewReader(nil)
	b.SetBytes(n)
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(o.stored[span.StoredOff : span.StoredOff+span.StoredLen])
		d := seal.NewDecrypter(o.dek, o.id, o.geometry, off, n, src)
		if _, err := d.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
		d.Close()
	}
}

func BenchmarkEnvelope(b *testing.B) {
	kek, dek, id, salt := fixedKEK(b, "bucket", "kek"), keys.NewDEK(), keys.NewObjectID(), seal.NewSalt()
	b.Run("Seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := seal.SealEnvelope(kek, "some/key", nil, 0, id, salt, dek); err != nil {
				b.Fatal(err)
			}
		}
	})
	text := must(seal.SealEnvelope(kek, "some/key", nil, 0, id, salt, dek))(b).String()
	b.Run("Unseal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			env, err := seal.ParseEnvelope(text)
			if err == nil {
				_, err = env.Unseal(kek, "some/key", nil)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
