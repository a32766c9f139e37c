package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxGrantsJSON bounds a grants document, in bytes.
const maxGrantsJSON = 1 << 20

type grantJSON struct {
	Bucket   string   `json:"bucket"`
	Prefixes []string `json:"prefixes,omitempty"`
	Actions  []string `json:"actions"`
}

// MarshalGrants gives the JSON form of grants, in which the store keeps them:
//
//	[{"bucket":"lab-*","prefixes":["results/"],"actions":["read","list"]}]
//
// Grants that ParseGrants would refuse are refused here too.
func MarshalGrants(grants []Grant) ([]byte, error) {
	if err := ValidateGrants(grants); err != nil {
		return nil, fmt.Errorf("encode grants: %w", err)
	}
	docs := make([]grantJSON, len(grants))
	for i, g := range grants {
		if len(g.except) > 0 {
			return nil, errors.New("encode grants: a grant with exceptions has no JSON form")
		}
		docs[i] = grantJSON{Bucket: g.Bucket, Prefixes: g.Prefixes}
		for _, a := range g.Actions {
			docs[i].Actions = append(docs[i].Actions, a.String())
		}
	}
	return json.Marshal(docs)
}

// ParseGrants reads the JSON form. Unknown, repeated and differently cased names, unknown actions, patterns that can match
// nothing and anything behind the document are refused: a mistake must never widen or lose a grant in silence.
func ParseGrants(doc []byte) ([]Grant, error) {
	if len(doc) > maxGrantsJSON {
		return nil, fmt.Errorf("parse grants: document is larger than %d bytes", maxGrantsJSON)
	}
	if !utf8.Valid(doc) { // encoding/json would put U+FFFD in silence
		return nil, errors.New("parse grants: document is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	grants := []Grant{}
	err := eachElement(dec, func() error {
		if len(grants) == MaxGrants {
			return fmt.Errorf("more than %d grants", MaxGrants)
		}
		g, err := parseGrant(dec)
		if err != nil {
			return fmt.Errorf("grant %d: %w", len(grants)+1, err)
		}
		grants = append(grants, g)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("parse grants: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("parse grants: something follows the document")
	}
	return grants, nil
}

// parseGrant reads one object by its tokens, since encoding/json alone takes "BUCKET" for "bucket" and lets the last of
// two equal names win.
func parseGrant(dec *json.Decoder) (Grant, error) {
	var g Grant
	seen := map[string]bool{}
	if err := expectDelim(dec, '{'); err != nil {
		return g, err
	}
	for dec.More() {
		name, err := stringToken(dec)
		if err != nil {
			return g, err
		}
		if seen[name] {
			return g, fmt.Errorf("name %q is given twice", name)
		}
		seen[name] = true
		if err := parseMember(dec, name, &g); err != nil {
			return g, err
		}
	}
	if err := expectDelim(dec, '}'); err != nil {
		return g, err
	}
	return g, g.Validate()
}

func parseMember(dec *json.Decoder, name string, g *Grant) (err error) {
	switch name {
	case "bucket":
		g.Bucket, err = stringToken(dec)
		return err
	case "prefixes":
		g.Prefixes = []string{} // an empty list is refused, not taken for none
		return eachElement(dec, func() error {
			p, err := stringToken(dec)
			g.Prefixes = append(g.Prefixes, p)
			return err
		})
	case "actions":
		return eachElement(dec, func() error {
			word, err := stringToken(dec)
			if err != nil {
				return err
			}
			a, err := ParseAction(word)
			g.Actions = append(g.Actions, a)
			return err
		})
	default:
		return fmt.Errorf("unknown name %q: use bucket, prefixes, actions", name)
	}
}

// eachElement reads an array, calling element at the beginning of each of its values.
func eachElement(dec *json.Decoder, element func() error) error {
	if err := expectDelim(dec, '['); err != nil {
		return err
	}
	for dec.More() {
		if err := element(); err != nil {
			return err
		}
	}
	return expectDelim(dec, ']')
}

func expectDelim(dec *json.Decoder, want json.Delim) error {
	t, err := dec.Token()
	if err != nil {
		return endIsUnexpected(err)
	}
	if t != want {
		return fmt.Errorf("found %v where %v should be", t, want)
	}
	return nil
}

func stringToken(dec *json.Decoder) (string, error) {
	t, err := dec.Token()
	if err != nil {
		return "", endIsUnexpected(err)
	}
	s, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("found %v where a string should be", t)
	}
	return s, nil
}

func endIsUnexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
