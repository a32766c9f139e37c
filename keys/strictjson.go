package keys

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// decodeStrict reads one JSON value into dst, a pointer to a struct, and refuses all that two parsers could understand in
// two ways: duplicate, unknown or differently cased names, missing names (but those marked omitempty), null, invalid
// UTF-8, and anything behind the value. encoding/json alone accepts every one of them.
//
// Structs are described to it by json tags on every field; fields are strings, integers, slices, structs, and types that
// read themselves from a string.
func decodeStrict(data []byte, dst any) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: invalid UTF-8", ErrMalformed)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := checkShape(dec, reflect.TypeOf(dst).Elem()); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("%w: data behind the JSON value", ErrMalformed)
	}
	if err := json.Unmarshal(data, dst); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// checkShape walks the next value of dec along the type t. It recurses only as deep as t does, so nesting cannot exhaust
// the stack. Kinds of scalars are left to encoding/json, which refuses a number for a string.
func checkShape(dec *json.Decoder, t reflect.Type) error {
	token, err := dec.Token()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	delim, nested := token.(json.Delim)
	switch {
	case token == nil:
		return fmt.Errorf("%w: null", ErrMalformed)
	case !nested:
		if isObject(t) || isList(t) {
			return fmt.Errorf("%w: scalar where an object or a list belongs", ErrMalformed)
		}
		return nil
	case delim == '{' && isObject(t):
		return checkObject(dec, t)
	case delim == '[' && isList(t):
		for dec.More() {
			if err := checkShape(dec, t.Elem()); err != nil {
				return err
			}
		}
		return closeNested(dec)
	}
	return fmt.Errorf("%w: %q where it does not belong", ErrMalformed, delim.String())
}

// checkObject walks the members of an object whose opening brace has been read.
func checkObject(dec *json.Decoder, t reflect.Type) error {
	fields := make(map[string]reflect.Type, t.NumField())
	missing := make(map[string]bool, t.NumField())
	for i := range t.NumField() {
		name, option, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		fields[name] = t.Field(i).Type
		if option != "omitempty" {
			missing[name] = true
		}
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		name, _ := token.(string) // the decoder gives nothing but strings as names
		field, known := fields[name]
		if !known {
			return fmt.Errorf("%w: unknown or repeated name %.40q", ErrMalformed, name)
		}
		if err := checkShape(dec, field); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		delete(fields, name) // so that it is unknown the second time
		delete(missing, name)
	}
	if err := closeNested(dec); err != nil {
		return err
	}
	for name := range missing {
		return fmt.Errorf("%w: no %q", ErrMalformed, name)
	}
	return nil
}

func closeNested(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

func isObject(t reflect.Type) bool { return t.Kind() == reflect.Struct && !isText(t) }

func isList(t reflect.Type) bool { return t.Kind() == reflect.Slice && !isText(t) }

// isText says whether the type reads itself from a string, as base64Bytes and timestamp do.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// base64Bytes stands in JSON as standard base64 with padding, in the one canonical spelling. encoding/base64 alone skips
// line breaks and, without Strict, ignores stray bits at the end.
type base64Bytes []byte

func (b base64Bytes) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, b), nil
}

func (b *base64Bytes) UnmarshalText(text []byte) error {
	raw, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if base64.StdEncoding.EncodedLen(len(raw)) != len(text) {
		return fmt.Errorf("%w: base64 with line breaks", ErrMalformed)
	}
	*b = raw
	return nil
}

// fill copies b into dst, whose length it must have.
func (b base64Bytes) fill(dst []byte) error {
	if len(b) != len(dst) {
		return fmt.Errorf("%w: want %d bytes, got %d", ErrMalformed, len(dst), len(b))
	}
	copy(dst, b)
	return nil
}

// timestamp stands in JSON as RFC 3339. Documents are written in UTC with whole seconds.
type timestamp time.Time

func newTimestamp(t time.Time) timestamp { return timestamp(t.UTC().Truncate(time.Second)) }

func (t timestamp) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, time.RFC3339Nano), nil // no fraction where there is none
}

func (t *timestamp) UnmarshalText(text []byte) error {
	var parsed time.Time
	if err := parsed.UnmarshalText(text); err != nil { // strict, unlike time.Parse
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	parsed = parsed.UTC()
	if year := parsed.Year(); year < 0 || year > 9999 { // RFC 3339 cannot write it, though an offset led there
		return fmt.Errorf("%w: year %d", ErrMalformed, year)
	}
	*t = timestamp(parsed)
	return nil
}
