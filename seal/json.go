package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"unicode/utf8"
)

// errDocument says that a sealed document is not of the form that docs/FORMAT.md gives.
var errDocument = errors.New("malformed document")

// document reads JSON token by token, because encoding/json takes a name twice and a name in another case for the same field. What it
// reads is known to be valid, so a token ends where its first byte says; how strings are escaped is left to encoding/json.
type document struct{ rest []byte }

// readDocument reads one JSON value with read and refuses anything behind it but white space.
func readDocument(b []byte, read func(*document) error) error {
	if !json.Valid(b) {
		return errDocument
	}
	d := document{b}
	if err := read(&d); err != nil {
		return err
	}
	if d.next() != 0 {
		return errDocument
	}
	return nil
}

// next is the first byte of the next token, which stays where it is; zero at the end.
func (d *document) next() byte {
	d.rest = bytes.TrimLeft(d.rest, " \t\r\n")
	if len(d.rest) == 0 {
		return 0
	}
	return d.rest[0]
}

// object reads an object; field reads the value of the field with that name. A name that comes twice is refused.
func (d *document) object(field func(name string) error) error {
	var seen []string // few, since every caller refuses names that it does not know
	return d.pairs(func(name string) error {
		if slices.Contains(seen, name) {
			return errDocument
		}
		seen = append(seen, name)
		return field(name)
	})
}

// pairs reads an object in which any name may stand. That none comes twice is its caller's to see.
func (d *document) pairs(value func(name string) error) error {
	return d.enclosed('{', '}', func() error {
		name, err := d.text()
		if err != nil {
			return err
		}
		if !d.skip(':') {
			return errDocument
		}
		return value(name)
	})
}

// array reads an array; item reads each of its values.
func (d *document) array(item func() error) error { return d.enclosed('[', ']', item) }

// enclosed reads what stands between two delimiters, one item after the other.
func (d *document) enclosed(open, end byte, item func() error) error {
	if !d.skip(open) {
		return errDocument
	}
	if d.skip(end) {
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		if d.skip(end) {
			return nil
		}
		if !d.skip(',') {
			return errDocument
		}
	}
}

// skip takes a delimiter, where it is the next token.
func (d *document) skip(delimiter byte) bool {
	if d.next() != delimiter {
		return false
	}
	d.rest = d.rest[1:]
	return true
}

// text reads a string. What is no UTF-8, and a lone surrogate, comes out as U+FFFD, which no caller accepts.
func (d *document) text() (string, error) {
	if d.next() != '"' {
		return "", errDocument
	}
	end, escaped := 1, false
	for d.rest[end] != '"' {
		if d.rest[end] == '\\' {
			escaped = true
			end++
		}
		end++
	}
	token := d.rest[:end+1]
	d.rest = d.rest[end+1:]
	if plain := token[1:end]; !escaped && utf8.Valid(plain) {
		return string(plain), nil
	}
	var s string
	if err := json.Unmarshal(token, &s); err != nil {
		return "", errDocument
	}
	return s, nil
}

// integer reads a number that is spelt as an integer is.
func (d *document) integer() (int64, error) {
	if c := d.next(); c != '-' && (c < '0' || c > '9') {
		return 0, errDocument
	}
	end := 1
	for end < len(d.rest) && bytes.IndexByte([]byte("0123456789+-.eE"), d.rest[end]) >= 0 {
		end++
	}
	token := string(d.rest[:end])
	d.rest = d.rest[end:]
	n, err := strconv.ParseInt(token, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != token {
		return 0, errDocument
	}
	return n, nil
}
