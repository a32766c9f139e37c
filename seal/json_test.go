package seal

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"testing"
)

// tokens reads what document reads with the tokens of encoding/json.
type tokens struct{ dec *json.Decoder }

func (d tokens) text() (string, bool) {
	t, err := d.dec.Token()
	s, ok := t.(string)
	return s, err == nil && ok
}

func (d tokens) object(field func(name string) bool) bool {
	if t, err := d.dec.Token(); err != nil || t != json.Delim('{') {
		return false
	}
	for d.dec.More() {
		if name, ok := d.text(); !ok || !field(name) {
			return false
		}
	}
	_, err := d.dec.Token()
	return err == nil
}

func (d tokens) attributes() (a Attributes, ok bool) {
	read := func(to *map[string]string) bool {
		if *to != nil {
			return false
		}
		m, previous := map[string]string{}, ""
		*to = m
		return d.object(func(name string) bool {
			value, ok := d.text()
			rawName, nameOK := codePointsToBytes(name)
			rawValue, valueOK := codePointsToBytes(value)
			if !ok || !nameOK || !valueOK || len(m) > 0 && rawName <= previous {
				return false
			}
			m[rawName], previous = rawValue, rawName
			return true
		})
	}
	ok = d.object(func(name string) bool {
		switch name {
		case "headers":
			return read(&a.Headers)
		case "meta":
			return read(&a.Meta)
		}
		return false
	})
	return a, ok && a.Headers != nil && a.Meta != nil && a.valid()
}

// FuzzDocument holds the reader of documents to what encoding/json understands.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		`{"headers":{},"meta":{}}`, `{"meta":{"a":"1","b":"\u00e9"},"headers":{"expires":"0"}}`, `{"headers":{},"meta":{"a":"1","a":"2"}}`,
		`{"headers":{},"headers":{},"meta":{}}`, " {\t\"headers\" :\n{ } ,\r\"meta\":{ \"a\" : \"\\\"\\\\\\/\\b\" } } ", `{"headers":{},"meta":{}}x`,
		`{"headers":{},"meta":{"a":1}}`, `{"headers":[],"meta":{}}`, `{"headers":{},"meta":{"b":"","a":""}}`, `{"h\u0065aders":{},"meta":{"":"\ud83d"}}`,
		"{\"headers\":{},\"meta\":{\"a\":\"\xff\"}}", `"headers"`, `{"headers":null,"meta":{}}`, `{"Headers":{},"meta":{}}`, `{"headers":{},"meta":{"a":"é"}}`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b)%attributesBlock != 0 {
			b = append(b, ' ')
		}
		d := tokens{json.NewDecoder(bytes.NewReader(b))}
		var want Attributes
		ok := json.Valid(b)
		if ok {
			want, ok = d.attributes()
		}
		if _, err := d.dec.Token(); ok && err != io.EOF {
			ok = false
		}
		got, err := decodeAttributes(b)
		if ok != (err == nil) || ok && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v, and by encoding/json %v, %v", b, got, err, want, ok)
		}
	})
}

// TestIntegersAreSpeltOneWay holds numbers to the spelling that the writer has.
func TestIntegersAreSpeltOneWay(t *testing.T) {
	for text, want := range map[string]bool{
		"0": true, "12": true, "-7": true, "9223372036854775807": true, " 5 ": true,
		"-0": false, "1.0": false, "1e2": false, "9223372036854775808": false, `"1"`: false, "null": false, "[1]": false, "1 2": false, "01": false, "+1": false, "": false,
	} {
		err := readDocument([]byte(text), func(d *document) error {
			_, err := d.integer()
			return err
		})
		if (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}
