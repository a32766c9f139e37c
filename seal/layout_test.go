package seal_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"

	"cofre/checksum"
	"cofre/keys"
	"cofre/seal"
)

func sameLayout(a, b seal.Layout) bool { return bytes.Equal(a.Encode(), b.Encode()) }

// drawLayout draws any layout that an object can have.
func drawLayout(t *rapid.T) seal.Layout {
	var l seal.Layout
	number := 0
	for range rapid.IntRange(1, 20).Draw(t, "parts") {
		number += rapid.IntRange(1, 500).Draw(t, "step")
		p := seal.LayoutPart{Number: number, Size: rapid.Int64Range(0, seal.MaxPlainSize).Draw(t, "size")}
		copy(p.Salt[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "salt"))
		if rapid.Bool().Draw(t, "has MD5") {
			p.MD5 = rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "md5")
		}
		l.Parts = append(l.Parts, p)
	}
	if rapid.Bool().Draw(t, "has checksum") {
		alg := rapid.SampledFrom(checksum.All()).Draw(t, "algorithm")
		l.Checksum = &seal.LayoutChecksum{
			Algorithm: alg,
			Type:      rapid.SampledFrom([]checksum.Type{checksum.FullObject, checksum.Composite}).Draw(t, "type"),
			Value:     rapid.SliceOfN(rapid.Byte(), alg.Size(), alg.Size()).Draw(t, "value"),
		}
		for i := range l.Parts {
			if rapid.Bool().Draw(t, "has sum") {
				l.Parts[i].Sum = rapid.SliceOfN(rapid.Byte(), alg.Size(), alg.Size()).Draw(t, "sum")
			}
		}
	}
	return l
}

func TestOpenLayoutUndoesSeal(t *testing.T) {
	dek, id := fixedDEK(t, "dek"), fixedObjectID("object")
	rapid.Check(t, func(t *rapid.T) {
		l := drawLayout(t)
		sealed, err := seal.SealLayout(dek, id, l)
		if err != nil {
			t.Fatal(err)
		}
		got, err := seal.OpenLayout(dek, id, sealed)
		if err != nil || !sameLayout(got, l) {
			t.Fatalf("%s comes back as %s, %v", l.Encode(), got.Encode(), err)
		}
		g, err := got.Geometry()
		if err != nil || g.Parts() != len(l.Parts) {
			t.Fatalf("geometry of %d parts: %v", g.Parts(), err)
		}
	})
}

func TestTheLargestLayoutFits(t *testing.T) {
	var l seal.Layout
	for i := range seal.MaxParts {
		l.Parts = append(l.Parts, seal.LayoutPart{Number: i + 1, Size: seal.MaxPlainSize, MD5: make([]byte, 16)})
	}
	l.Checksum = &seal.LayoutChecksum{Algorithm: checksum.SHA256, Type: checksum.Composite, Value: make([]byte, 32)}
	sealed := must(seal.SealLayout(fixedDEK(t, "dek"), fixedObjectID("object"), l))(t)
	if len(sealed) > seal.MaxLayoutSize {
		t.Errorf("%d bytes, more than MaxLayoutSize", len(sealed))
	}
	if _, err := seal.OpenLayout(fixedDEK(t, "dek"), fixedObjectID("object"), sealed); err != nil {
		t.Error(err)
	}
	_, err := seal.OpenLayout(fixedDEK(t, "dek"), fixedObjectID("object"), make([]byte, seal.MaxLayoutSize+1))
	wantFault(t, "a longer layout", err, seal.FaultLimit)
}

// smallLayout is that of an object of two parts.
func smallLayout() seal.Layout {
	return seal.Layout{
		Parts: []seal.LayoutPart{
			{Number: 1, Size: 100, Salt: fixedSalt("parta"), MD5: md5Footer(pattern(100)).MD5},
			{Number: 3, Size: 5, Salt: fixedSalt("partb")},
		},
		Checksum: &seal.LayoutChecksum{Algorithm: checksum.CRC32C, Type: checksum.FullObject, Value: []byte{1, 2, 3, 4}},
	}
}

func TestEveryFlippedBitOfALayoutIsRefused(t *testing.T) {
	dek, id := fixedDEK(t, "dek"), fixedObjectID("object")
	good := must(seal.SealLayoutWithSalt(dek, id, smallLayout(), fixed("salt")))(t)
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			_, err := seal.OpenLayout(dek, id, bad)
			wantFault(t, "flipped bit", err, seal.FaultLayout)
		}
		if _, err := seal.OpenLayout(dek, id, good[:i]); !errors.Is(err, seal.ErrIntegrity) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
	_, err := seal.OpenLayout(dek, fixedObjectID("other"), good)
	wantFault(t, "another object", err, seal.FaultLayout)
	_, err = seal.OpenLayout(fixedDEK(t, "other"), id, good)
	wantFault(t, "another DEK", err, seal.FaultLayout)
	if _, err := seal.OpenLayout(keys.DEK{}, id, good); !errors.Is(err, keys.ErrZeroKey) {
		t.Errorf("zero DEK: %v", err)
	}
}

// badLayouts are layouts that no object can have.
func badLayouts() map[string]seal.Layout {
	change := func(f func(l *seal.Layout)) seal.Layout { l := smallLayout(); f(&l); return l }
	return map[string]seal.Layout{
		"no parts":            {},
		"number 0":            change(func(l *seal.Layout) { l.Parts = l.Parts[:1]; l.Parts[0].Number = 0 }),
		"number above":        change(func(l *seal.Layout) { l.Parts[1].Number = 10001 }),
		"numbers that fall":   change(func(l *seal.Layout) { l.Parts[1].Number = 1 }),
		"negative size":       change(func(l *seal.Layout) { l.Parts[1].Size = -1 }),
		"size above 5 TiB":    change(func(l *seal.Layout) { l.Parts[1].Size = seal.MaxPlainSize + 1 }),
		"short MD5":           change(func(l *seal.Layout) { l.Parts[1].MD5 = make([]byte, 15) }),
		"checksum of none":    change(func(l *seal.Layout) { l.Checksum = &seal.LayoutChecksum{Type: checksum.FullObject} }),
		"unknown algorithm":   change(func(l *seal.Layout) { l.Checksum.Algorithm = 6 }),
		"short checksum":      change(func(l *seal.Layout) { l.Checksum.Value = make([]byte, 3) }),
		"unknown type":        change(func(l *seal.Layout) { l.Checksum.Type = "PART" }),
		"checksum of no type": change(func(l *seal.Layout) { l.Checksum.Type = "" }),
	}
}

func TestSealAndOpenRefuseLayoutsThatNoObjectHas(t *testing.T) {
	dek, id := fixedDEK(t, "dek"), fixedObjectID("object")
	for name, l := range badLayouts() {
		if _, err := seal.SealLayout(dek, id, l); !errors.Is(err, seal.ErrIntegrity) {
			t.Errorf("seal with %s: %v", name, err)
		}
		sealed := must(seal.SealLayoutDocument(dek, id, l.Encode(), fixed("salt")))(t)
		if _, err := seal.OpenLayout(dek, id, sealed); !errors.Is(err, seal.ErrIntegrity) {
			t.Errorf("open with %s: %v", name, err)
		}
	}
}

func TestDecodeLayoutRefusesWhatTheFormatDoesNotHave(t *testing.T) {
	const salt = `"salt":"AAAAAAAAAAAAAAAAAAAAAA=="`
	const part = `{"number":1,"size":0,` + salt + `}`
	if _, err := seal.DecodeLayout([]byte(`{"parts":[` + part + `]}`)); err != nil {
		t.Fatalf("the layout that the others are made from: %v", err)
	}
	for name, doc := range map[string]string{
		"empty":                 ``,
		"no parts":              `{}`,
		"parts null":            `{"parts":null}`,
		"parts twice":           `{"parts":[` + part + `],"parts":[]}`,
		"parts in other case":   `{"Parts":[` + part + `]}`,
		"unknown member":        `{"parts":[` + part + `],"version":1}`,
		"something behind":      `{"parts":[` + part + `]} {}`,
		"part is a number":      `{"parts":[1]}`,
		"part without size":     `{"parts":[{"number":1,` + salt + `}]}`,
		"size twice":            `{"parts":[{"number":1,"size":0,"size":0,` + salt + `}]}`,
		"unknown part member":   `{"parts":[{"number":1,"size":0,"etag":"",` + salt + `}]}`,
		"number as text":        `{"parts":[{"number":"1","size":0,` + salt + `}]}`,
		"number as a fraction":  `{"parts":[{"number":1.0,"size":0,` + salt + `}]}`,
		"size with exponent":    `{"parts":[{"number":1,"size":1e3,` + salt + `}]}`,
		"size of minus zero":    `{"parts":[{"number":1,"size":-0,` + salt + `}]}`,
		"size beyond 64 bits":   `{"parts":[{"number":1,"size":9223372036854775808,` + salt + `}]}`,
		"number beyond 64 bits": `{"parts":[{"number":18446744073709551617,"size":0,` + salt + `}]}`,
		"short salt":            `{"parts":[{"number":1,"size":0,"salt":"AAAA"}]}`,
		"salt not padded":       `{"parts":[{"number":1,"size":0,"salt":"AAAAAAAAAAAAAAAAAAAAAA"}]}`,
		"salt with odd bits":    `{"parts":[{"number":1,"size":0,"salt":"AAAAAAAAAAAAAAAAAAAAAB=="}]}`,
		"salt with line end":    `{"parts":[{"number":1,"size":0,"salt":"AAAAAAAAAAAAAAAAAAAAAA==\n"}]}`,
		"checksum null":         `{"parts":[` + part + `],"checksum":null}`,
		"checksum empty":        `{"parts":[` + part + `],"checksum":{}}`,
		"algorithm lower case":  `{"parts":[` + part + `],"checksum":{"algorithm":"crc32","type":"FULL_OBJECT","value":"AAAAAA=="}}`,
		"algorithm unknown":     `{"parts":[` + part + `],"checksum":{"algorithm":"CRC8","type":"FULL_OBJECT","value":"AAAAAA=="}}`,
		"unknown in checksum":   `{"parts":[` + part + `],"checksum":{"algorithm":"CRC32","type":"FULL_OBJECT","value":"AAAAAA==","parts":1}}`,
	} {
		if l, err := seal.DecodeLayout([]byte(doc)); err == nil {
			t.Errorf("%s: decodes to %s", name, l.Encode())
		}
	}
}

func TestLayoutNameIsTheFormats(t *testing.T) {
	kek, object := keys.KEKID{0xab, 1}, keys.ObjectID{0xcd, 2}
	want := "buckets/my-bucket/layouts/ab010000000000000000000000000000/cd020000000000000000000000000000"
	if got := seal.LayoutName("my-bucket", kek, object); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLayoutSaysHowAnObjectIsRead(t *testing.T) {
	o := sealObject(t, 100, 0, 5)
	var l seal.Layout
	for i, p := range o.parts {
		l.Parts = append(l.Parts, seal.LayoutPart{Number: p.Number, Size: p.Size, Salt: p.Salt, MD5: o.footers[i].MD5})
	}
	read := func(l seal.Layout) ([]byte, error) {
		opened := must(seal.OpenLayout(o.dek, o.id, must(seal.SealLayout(o.dek, o.id, l))(t)))(t)
		d := seal.NewDecrypter(o.dek, o.id, must(opened.Geometry())(t), 0, o.geometry.Size(), bytes.NewReader(o.stored))
		defer d.Close()
		d.ExpectFooters(opened.Footers())
		return io.ReadAll(d)
	}
	if got, err := read(l); err != nil || !bytes.Equal(got, o.plain) {
		t.Errorf("the object does not open by its layout: %v", err)
	}
	l.Parts[2].MD5 = make([]byte, 16)
	_, err := read(l)
	wantFault(t, "another MD5 in the layout", err, seal.FaultRecord)
}

func TestLayoutRefusesSumsThatNoPartCanHave(t *testing.T) {
	dek, id := keys.NewDEK(), keys.NewObjectID()
	crc := &seal.LayoutChecksum{Algorithm: checksum.CRC32, Type: checksum.FullObject, Value: make([]byte, 4)}
	for name, l := range map[string]seal.Layout{
		"no algorithm": {Parts: []seal.LayoutPart{{Number: 1, Sum: make([]byte, 4)}}},
		"length":       {Parts: []seal.LayoutPart{{Number: 1, Sum: make([]byte, 8)}}, Checksum: crc},
		"empty":        {Parts: []seal.LayoutPart{{Number: 1, Sum: []byte{}}}, Checksum: crc},
	} {
		if _, err := seal.SealLayout(dek, id, l); err == nil {
			t.Errorf("%s: sealed", name)
		}
	}
}
