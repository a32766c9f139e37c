package sigv4

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// PostPolicy is the policy document of a browser form: until when, and under which conditions, whoever holds it may upload.
// Source: "POST Policy", Amazon S3 API Reference; the texts of the errors are those that S3 sends.
type PostPolicy struct {
	expiration time.Time
	conditions []condition
}

// condition is one entry of the policy's list.
type condition struct {
	operator string // opEqual, opStartsWith or opRange
	field    string // lower case, without its "$"; "" where the "$" was missing, which no form meets
	value    string
	min, max int64 // bytes, both inclusive; opRange only
	text     string
	never    bool // understood, but impossible to meet
}

const (
	opEqual      = "eq"
	opStartsWith = "starts-with"
	opRange      = "content-length-range"
)

// ParsePostPolicy reads the base64 text of a policy field. It takes strict JSON (RFC 8259) only: members in the case that AWS documents, each
// of them once, and none besides.
func ParsePostPolicy(text string) (*PostPolicy, error) {
	doc, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, badPolicy("invalid Base64 encoding.")
	}
	if !utf8.Valid(doc) {
		return nil, errPolicyJSON
	}
	members, err := jsonObject(doc)
	if err != nil {
		return nil, err
	}
	var p PostPolicy
	var expires, conditions json.RawMessage
	for _, m := range members {
		switch m.name {
		case "expiration":
			expires = m.value
		case "conditions":
			conditions = m.value
		default:
			return nil, badPolicy("Unexpected: '" + strings.ToLower(m.name) + "'")
		}
	}
	switch {
	case expires == nil:
		return nil, badPolicy("Policy missing expiration.")
	case conditions == nil:
		return nil, badPolicy("Policy missing conditions.")
	}
	if p.expiration, err = parseExpiration(expires); err != nil {
		return nil, err
	}
	if p.conditions, err = parseConditions(conditions); err != nil {
		return nil, err
	}
	return &p, nil
}

func badPolicy(why string) *Error { return ErrInvalidPolicyDocument.say("Invalid Policy: " + why) }

var errPolicyJSON = badPolicy("Invalid JSON.")

// parseExpiration takes ISO 8601 in UTC, with or without a fraction of a second. S3 refuses offsets.
func parseExpiration(raw json.RawMessage) (time.Time, error) {
	s, ok := jsonString(raw)
	if !ok {
		return time.Time{}, badPolicy("Invalid 'expiration' value: '" + string(raw) + "'")
	}
	t, err := time.Parse("2006-01-02T15:04:05Z", s) // time.Parse takes a fraction behind the seconds by itself
	if err != nil {
		return time.Time{}, badPolicy("Invalid 'expiration' value: '" + s + "'")
	}
	return t, nil
}

func parseConditions(raw json.RawMessage) ([]condition, error) {
	if first(raw) != '[' {
		return nil, badPolicy("Invalid 'conditions' value: must be a List.")
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, errPolicyJSON
	}
	conditions := make([]condition, 0, len(list))
	for _, entry := range list {
		var c condition
		var err error
		switch first(entry) {
		case '{':
			c, err = parseSimple(entry)
		case '[':
			c, err = parseOperation(entry)
		default:
			err = badPolicy("Invalid condition test: must be a List or Object.")
		}
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, c)
	}
	return conditions, nil
}

// parseSimple reads {"field": "value"}.
func parseSimple(raw json.RawMessage) (condition, error) {
	members, err := jsonObject(raw)
	if err != nil {
		return condition{}, err
	}
	if len(members) != 1 {
		return condition{}, badPolicy("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
	}
	value, ok := jsonString(members[0].value)
	if !ok {
		if first(members[0].value) == 'n' { // null
			return condition{}, errPolicyJSON
		}
		return condition{}, badPolicy("Invalid Simple-Condition: value must be a string.")
	}
	return condition{
		operator: opEqual, field: strings.ToLower(members[0].name), value: value,
		text: conditionText(opEqual, "$"+members[0].name, value),
	}, nil
}

// parseOperation reads ["operator", operand, operand].
func parseOperation(raw json.RawMessage) (condition, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return condition{}, errPolicyJSON
	}
	if len(items) == 0 {
		return condition{}, badPolicy("Invalid Condition: missing operation identifier.")
	}
	name, ok := jsonString(items[0])
	if !ok {
		return condition{}, errPolicyJSON
	}
	operator := strings.ToLower(name)
	switch {
	case operator != opEqual && operator != opStartsWith && operator != opRange:
		return condition{}, badPolicy("Invalid Condition: unknown operation '" + name + "'.")
	case len(items) != 3:
		return condition{}, badPolicy("Invalid " + operator + ": wrong number of arguments.")
	case operator == opRange:
		return parseRange(items)
	}
	field, okField := jsonString(items[1])
	value, okValue := jsonString(items[2])
	if !okField || !okValue {
		return condition{}, errPolicyJSON
	}
	c := condition{operator: operator, value: value, text: conditionText(operator, field, value)}
	bare, dollar := strings.CutPrefix(field, "$")
	c.field, c.never = strings.ToLower(bare), !dollar
	return c, nil
}

// parseRange reads ["content-length-range", min, max]. S3 takes the bounds as numbers or as strings.
func parseRange(items []json.RawMessage) (condition, error) {
	c := condition{operator: opRange}
	var words [2]string
	for i, bound := range []*int64{&c.min, &c.max} {
		raw := items[i+1]
		word, quoted := jsonString(raw)
		if !quoted {
			word = string(raw)
		}
		words[i] = string(raw)
		n, err := strconv.ParseInt(word, 10, 64)
		switch {
		case err == nil && n < 0:
			return c, badPolicy("Invalid content-length-range: must not be negative.")
		case err == nil:
			*bound = n
		case quoted:
			c.never = true
		case errors.Is(err, strconv.ErrRange) && word[0] != '-':
			*bound = math.MaxInt64
		default:
			return c, errPolicyJSON
		}
	}
	c.text = `["` + opRange + `", ` + words[0] + ", " + words[1] + "]"
	return c, nil
}

// conditionText is the condition as S3 quotes it back: a simple one too in the form of an operation.
func conditionText(operator, field, value string) string {
	return "[" + quoteJSON(operator) + ", " + quoteJSON(field) + ", " + quoteJSON(value) + "]"
}

func quoteJSON(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes, and a bytes.Buffer never fails
	return strings.TrimSuffix(b.String(), "\n")
}

type jsonMember struct {
	name  string
	value json.RawMessage
}

// jsonObject reads an object with nothing behind it and no name twice: two readers of a document that says a thing twice could see two
// documents.
func jsonObject(raw []byte) ([]jsonMember, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errPolicyJSON
	}
	var members []jsonMember
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok || seen[name] {
			return nil, errPolicyJSON
		}
		seen[name] = true
		m := jsonMember{name: name}
		if err := d.Decode(&m.value); err != nil {
			return nil, errPolicyJSON
		}
		members = append(members, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, errPolicyJSON
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errPolicyJSON
	}
	return members, nil
}

func jsonString(raw json.RawMessage) (string, bool) {
	var s string
	if first(raw) != '"' || json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// first gives the byte that says which kind of JSON value this is; 0 where there is none.
func first(raw json.RawMessage) byte {
	trimmed := bytes.TrimLeft(raw, " \t\r\n")
	if len(trimmed) == 0 {
		return 0
	}
	return trimmed[0]
}
