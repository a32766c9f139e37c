package s3api

import (
	"iter"
	"slices"
	"strings"
)

// Query is the query string of a request as an ordered list of parameters. Unlike url.Values it keeps order and repetition, and reading one
// never loses a parameter: net/url drops every pair that holds a ';'. The zero value is an empty query; a copy is independent of its original.
type Query struct {
	params []param
}

type param struct {
	name, value string
}

// ParseQuery reads the raw query string of a request (without its '?'). Only '&' separates; ';' is a byte like any other. '+' is a space and
// %2B a plus, in names and in values. "uploads" and "uploads=" are the same. It refuses with ErrInvalidURI what is not valid
// percent-encoding.
func ParseQuery(raw string) (Query, error) {
	var q Query
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, okName := unescape(rawName, plusIsSpace)
		value, okValue := unescape(rawValue, plusIsSpace)
		if !okName || !okValue {
			return Query{}, ErrInvalidURI
		}
		q.params = append(q.params, param{name, value})
	}
	return q, nil
}

// Get gives the value of the first parameter called name, "" if there is none.
func (q Query) Get(name string) string {
	for _, p := range q.params {
		if p.name == name {
			return p.value
		}
	}
	return ""
}

// Has says whether there is a parameter called name, with or without a value.
func (q Query) Has(name string) bool {
	return slices.ContainsFunc(q.params, func(p param) bool { return p.name == name })
}

// Len gives the number of parameters.
func (q Query) Len() int { return len(q.params) }

// All gives the parameters in order, repeated ones too.
func (q Query) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, p := range q.params {
			if !yield(p.name, p.value) {
				return
			}
		}
	}
}

// Set makes value the one value of name. A sub-resource is set with the value "".
func (q *Query) Set(name, value string) {
	q.Del(name)
	// Clipped, so that two copies of a query never append into the same array.
	q.params = append(slices.Clip(q.params), param{name, value})
}

// Del removes every parameter called name.
func (q *Query) Del(name string) {
	q.keep(func(p param) bool { return p.name != name })
}

// keep leaves only the parameters that want says yes to. It makes a new list, since copies of q may share the old one.
func (q *Query) keep(want func(param) bool) {
	if !slices.ContainsFunc(q.params, func(p param) bool { return !want(p) }) {
		return
	}
	kept := make([]param, 0, len(q.params))
	for _, p := range q.params {
		if want(p) {
			kept = append(kept, p)
		}
	}
	q.params = kept
}

// Encode gives the query string in the canonical form of Signature Version 4: every byte but the unreserved ones escaped, "name=value" for
// each parameter even where the value is empty, sorted by escaped name and then by escaped value.
func (q Query) Encode() string {
	pairs := make([]param, 0, len(q.params))
	for _, p := range q.params {
		pairs = append(pairs, param{escape(p.name, slashEscaped), escape(p.value, slashEscaped)})
	}
	slices.SortStableFunc(pairs, func(a, b param) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name)
		b.WriteByte('=')
		b.WriteString(p.value)
	}
	return b.String()
}
