package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
)

// errDocument says that a sealed document is not of the form that docs/FORMAT.md gives.
var errDocument = errors.New("malformed document")

// document reads JSON token by token, because encoding/json takes a name twice and a name in another case for the same field.
type document struct{ dec *json.Decoder }

// readDocument reads one JSON value with read and refuses anything behind it but white space.
func readDocument(b []byte, read func(document) error) error {
	if !json.Valid(b) {
		return errDocument
	}
	d := document{json.NewDecoder(bytes.NewReader(b))}
	d.dec.UseNumber()
	if err := read(d); err != nil {
		return err
	}
	if _, err := d.dec.Token(); err != io.EOF {
		return errDocument
	}
	return nil
}

// object reads an object; field reads the value of the field with that name. A name that comes twice is refused.
func (d document) object(field func(name string) error) error {
	seen := make(map[string]bool)
	return d.enclosed('{', func() error {
		name, err := d.text()
		if err != nil {
			return err
		}
		if seen[name] {
			return errDocument
		}
		seen[name] = true
		return field(name)
	})
}

// array reads an array; item reads each of its values.
func (d document) array(item func() error) error { return d.enclosed('[', item) }

// enclosed reads what stands between two delimiters, one item after the other. That they match is json.Valid's business.
func (d document) enclosed(open json.Delim, item func() error) error {
	if t, err := d.dec.Token(); err != nil || t != open {
		return errDocument
	}
	for d.dec.More() {
		if err := item(); err != nil {
			return err
		}
	}
	_, err := d.dec.Token()
	return err
}

// text reads a string. What is no UTF-8, and a lone surrogate, comes out as U+FFFD, which no caller accepts.
func (d document) text() (string, error) {
	t, err := d.dec.Token()
	s, ok := t.(string)
	if err != nil || !ok {
		return "", errDocument
	}
	return s, nil
}

// integer reads a number that is spelt as an integer is.
func (d document) integer() (int64, error) {
	t, err := d.dec.Token()
	number, ok := t.(json.Number)
	if err != nil || !ok {
		return 0, errDocument
	}
	n, err := strconv.ParseInt(number.String(), 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != number.String() {
		return 0, errDocument
	}
	return n, nil
}
