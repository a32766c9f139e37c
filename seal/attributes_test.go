package seal_test

import (
	"encoding/base64"
	"errors"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cofre/keys"
	"cofre/seal"
)

func equalAttributes(a, b seal.Attributes) bool {
	return maps.Equal(a.Headers, b.Headers) && maps.Equal(a.Meta, b.Meta)
}

func TestOpenAttributesUndoesSealForAnyBytes(t *testing.T) {
	dek, env := fixedDEK(t, "dek"), sealedEnvelope(t, seal.HasAttributes)
	anyBytes := rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 70), func(b []byte) string { return string(b) })
	name := rapid.Map(anyBytes, func(s string) string {
		return strings.Map(func(r rune) rune {
			if 'A' <= r && r <= 'Z' {
				return r + 'a' - 'A'
			}
			return r
		}, s)
	})
	header := rapid.SampledFrom([]string{
		"cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires",
	})
	rapid.Check(t, func(t *rapid.T) {
		a := seal.Attributes{
			Headers: rapid.MapOf(header, anyBytes).Draw(t, "headers"),
			Meta:    rapid.MapOf(name, anyBytes).Draw(t, "meta"),
		}
		if len(a.Encode())%64 != 0 {
			t.Fatalf("the document has %d bytes", len(a.Encode()))
		}
		sealed, err := seal.SealAttributes(dek, env, "key", a)
		if err != nil {
			t.Fatal(err)
		}
		got, err := seal.OpenAttributes(dek, env, "key", sealed)
		if err != nil || !equalAttributes(got, a) {
			t.Fatalf("%q comes back as %q, %v", a, got, err)
		}
	})
}

func TestSealAttributesRefusesNamesOutsideTheFormat(t *testing.T) {
	dek, env := fixedDEK(t, "dek"), sealedEnvelope(t, seal.HasAttributes)
	for name, a := range map[string]seal.Attributes{
		"upper case meta":   {Meta: map[string]string{"Patient": "x"}},
		"upper case header": {Headers: map[string]string{"Content-Type": "x"}},
		"another header":    {Headers: map[string]string{"set-cookie": "x"}},
	} {
		if _, err := seal.SealAttributes(dek, env, "key", a); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := seal.SealAttributes(dek, sealedEnvelope(t, 0), "key", seal.Attributes{}); err == nil {
		t.Error("an envelope without the flag: no error")
	}
	if _, err := seal.SealAttributes(keys.DEK{}, env, "key", seal.Attributes{}); !errors.Is(err, keys.ErrZeroKey) {
		t.Errorf("zero DEK: %v", err)
	}
}

func TestOpenAttributesFollowsTheEnvelopesFlag(t *testing.T) {
	dek, env := fixedDEK(t, "dek"), sealedEnvelope(t, seal.HasAttributes)
	sealed := must(seal.SealAttributes(dek, env, "key", seal.Attributes{Meta: map[string]string{"a": "b"}}))(t)
	got, err := seal.OpenAttributes(dek, sealedEnvelope(t, 0), "key", sealed)
	if err != nil || !equalAttributes(got, seal.Attributes{}) {
		t.Errorf("without the flag: %v, %v", got, err)
	}
	_, err = seal.OpenAttributes(dek, env, "key", "")
	wantFault(t, "missing", err, seal.FaultMissing)
}

func TestEveryFlippedBitOfAttributesIsRefused(t *testing.T) {
	dek, env := fixedDEK(t, "dek"), sealedEnvelope(t, seal.HasAttributes)
	good := must(seal.SealAttributesDocument(dek, env, "key", seal.Attributes{}.Encode(), fixed("salt")))(t)
	for i := range good {
		for bit := range 8 {
			bad := append([]byte(nil), good...)
			bad[i] ^= 1 << bit
			_, err := seal.OpenAttributes(dek, env, "key", base64.RawURLEncoding.EncodeToString(bad))
			wantFault(t, "flipped bit", err, seal.FaultAttributes)
		}
		_, err := seal.OpenAttributes(dek, env, "key", base64.RawURLEncoding.EncodeToString(good[:i]))
		if !errors.Is(err, seal.ErrIntegrity) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
}

// padded fills a document up to a multiple of 64 bytes.
func padded(s string) []byte { return []byte(s + strings.Repeat(" ", (64-len(s)%64)%64)) }

func TestDecodeAttributesTakesOtherWritersJSON(t *testing.T) {
	want := seal.Attributes{Headers: map[string]string{"expires": "0"}, Meta: map[string]string{"a": "\xe9\n", "b": "/"}}
	doc := "{ \"meta\" : {\"a\":\"\\u00e9\\n\", \"b\":\"\\/\"},\n\"headers\":{\"expires\":\"\\u0030\"} }"
	got, err := seal.DecodeAttributes(padded(doc))
	if err != nil || !equalAttributes(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestDecodeAttributesRefusesWhatTheFormatDoesNotHave(t *testing.T) {
	for name, doc := range map[string]string{
		"empty":                   "",
		"no JSON":                 "x",
		"cut":                     `{"headers":{},"meta":{}`,
		"array":                   `[]`,
		"null":                    `null`,
		"no meta":                 `{"headers":{}}`,
		"no headers":              `{"meta":{}}`,
		"meta twice":              `{"headers":{},"meta":{},"meta":{}}`,
		"unknown member":          `{"headers":{},"meta":{},"tags":{}}`,
		"member in another case":  `{"Headers":{},"meta":{}}`,
		"null members":            `{"headers":null,"meta":{}}`,
		"number as value":         `{"headers":{},"meta":{"a":1}}`,
		"object as value":         `{"headers":{},"meta":{"a":{}}}`,
		"null as value":           `{"headers":{},"meta":{"a":null}}`,
		"name twice":              `{"headers":{},"meta":{"a":"1","a":"2"}}`,
		"names not sorted":        `{"headers":{},"meta":{"b":"1","a":"2"}}`,
		"name in upper case":      `{"headers":{},"meta":{"A":"1"}}`,
		"header that is not ours": `{"headers":{"etag":"1"},"meta":{}}`,
		"code point above U+00FF": `{"headers":{},"meta":{"a":"` + "\u0100" + `"}}`,
		"escape above U+00FF":     `{"headers":{},"meta":{"a":"\u2603"}}`,
		"lone surrogate":          `{"headers":{},"meta":{"a":"\ud800"}}`,
		"no UTF-8":                `{"headers":{},"meta":{"a":"` + "\xe9" + `"}}`,
		"control character":       `{"headers":{},"meta":{"a":"` + "\n" + `"}}`,
		"second value":            `{"headers":{},"meta":{}}{}`,
		"something behind":        `{"headers":{},"meta":{}}x`,
		"comma behind":            `{"headers":{},"meta":{},}`,
		"name above U+00FF":       `{"headers":{},"meta":{"` + "\u0100" + `":""}}`,
	} {
		if a, err := seal.DecodeAttributes(padded(doc)); err == nil {
			t.Errorf("%s: decodes to %q", name, a)
		}
	}
	if _, err := seal.DecodeAttributes([]byte(`{"headers":{},"meta":{}}`)); err == nil {
		t.Error("without padding: no error")
	}
}
