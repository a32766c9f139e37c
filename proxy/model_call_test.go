package proxy_test

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// modelStep is one line of a script: an operation of a client, or something that happens to the site. It names versions, uploads
// and ETags by where they stand when it is played, so that any step makes sense wherever it stands in a script.
type modelStep struct {
	Do     string
	Who    string // a client of modelClients; the owner if empty
	At     int    // the replica that is asked
	Bucket string
	Key    string
	// Version is "", "null", "never" (an id that no version has), or "#n": the n-th newest of the key.
	Version string

	Size      int    // of the body
	Seed      int    // tells bodies apart
	Note      string // user metadata and content type
	Tags      string
	Algorithm string // of the checksum: that is sent, or that an upload or copy is to have
	// IfMatch and IfNoneMatch are "*", "current" (the ETag that is there) or "other".
	IfMatch, IfNoneMatch string
	Range                string

	From, FromBucket, FromVersion string
	Replace, ReplaceTags          bool

	Upload int // the n-th upload of the bucket, open or completed
	Part   int
	// Parts are what a Complete lists: numbers, "all", or with a "!" behind a number a wrong ETag.
	Parts string

	Form, Prefix, Delimiter, Marker string // of a listing
	MaxKeys                         int

	Status string // of versioning
	Keys   string // of DeleteObjects, with "|" between
	// Spoil is what is wrong with the request: "md5", "checksum", "signature", or "gone": the client leaves in the middle.
	Spoil string
	// Fault is armed while the step runs: see faults.
	Fault   string
	FaultAt int // the request to the link, or call of the store, at which it strikes
}

// String writes the step as a line of a script, as somebody would write it in an issue.
func (s modelStep) String() string {
	words := []string{cmp.Or(s.Who, "owner"), s.Do}
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if f := v.Field(i); name != "Do" && name != "Who" && !f.IsZero() {
			words = append(words, fmt.Sprintf("%s=%s", strings.ToLower(name), quoteWord(fmt.Sprint(f.Interface()))))
		}
	}
	return strings.Join(words, " ")
}

// GoString is String, for whoever prints a whole script.
func (s modelStep) GoString() string { return "\n" + s.String() }

func quoteWord(word string) string {
	if strings.ContainsAny(word, " \"\n") {
		return strconv.Quote(word)
	}
	return word
}

// parseScript reads a script: a line for each step, empty lines and those that begin with "//" left out.
func parseScript(text string) ([]modelStep, error) {
	var steps []modelStep
	for n, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		s, err := parseStep(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		steps = append(steps, s)
	}
	return steps, nil
}

func parseStep(line string) (modelStep, error) {
	words, err := splitWords(line)
	if err != nil || len(words) < 2 {
		return modelStep{}, fmt.Errorf("%q is no step", line)
	}
	s := modelStep{Who: words[0], Do: words[1]}
	for _, word := range words[2:] {
		name, value, ok := strings.Cut(word, "=")
		f := reflect.ValueOf(&s).Elem().FieldByNameFunc(func(field string) bool { return strings.EqualFold(field, name) })
		if !ok || !f.IsValid() {
			return s, fmt.Errorf("no field in %q", word)
		}
		switch f.Kind() {
		case reflect.Int:
			n, err := strconv.Atoi(value)
			if err != nil {
				return s, fmt.Errorf("%q: %w", word, err)
			}
			f.SetInt(int64(n))
		case reflect.Bool:
			f.SetBool(value == "true")
		default:
			f.SetString(value)
		}
	}
	return s, nil
}

// splitWords splits at spaces that are not in a quoted value.
func splitWords(line string) (words []string, err error) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		name, rest, ok := strings.Cut(line, "=")
		if ok && !strings.Contains(name, " ") && strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, err
			}
			value, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, err
			}
			words, line = append(words, name+"="+value), rest[len(quoted):]
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		words, line = append(words, word), rest
	}
	return words, nil
}

// modelCall is a step with everything that it names by its place looked up.
type modelCall struct {
	modelStep
	body                 []byte
	version, fromVersion string
	ifMatch, ifNoneMatch string // as headers have them
	uploadID             string
	list                 []listedModelPart
	deletes              []string
}

type listedModelPart struct {
	number int
	etag   string
}

const (
	neverVersion = "0123456789abcdef0123456789abcdef"
	neverUpload  = "2~neverneverneverneverneverne"
)

// resolve looks up what a step names.
func (m *modelS3) resolve(s modelStep) *modelCall {
	c := &modelCall{modelStep: s, body: markedBody(s.Size, s.Seed)}
	c.Who = cmp.Or(c.Who, "owner")
	b := m.buckets[s.Bucket]
	if b == nil {
		b = &modelBucket{}
	}
	c.version = b.named(s.Key, s.Version)
	from := m.buckets[c.FromBucket]
	if from == nil {
		from = &modelBucket{}
	}
	c.fromVersion = from.named(s.From, s.FromVersion)
	c.resolveUpload(b)
	c.ifMatch, c.ifNoneMatch = b.condition(c.Key, s.IfMatch), b.condition(c.Key, s.IfNoneMatch)
	if s.Keys != "" {
		c.deletes = strings.Split(s.Keys, "|")
	}
	return c
}

// named gives the version that a step names.
func (b *modelBucket) named(key, word string) string {
	switch word {
	case "", "null":
		return word
	case "never":
		return neverVersion
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(word, "#"))
	list := b.keys[key]
	if len(list) == 0 {
		return neverVersion
	}
	if id := list[n%len(list)].id; !isPending(id) {
		return id
	}
	return ""
}

// condition gives the header of a condition.
func (b *modelBucket) condition(key, word string) string {
	switch word {
	case "", "*":
		return word
	case "current":
		if v := b.current(key); v != nil {
			return `"` + v.etag + `"`
		}
	}
	return `"` + md5Hex([]byte("other")) + `"`
}

// resolveUpload finds the upload that a step names; the key is then that of the upload.
func (c *modelCall) resolveUpload(b *modelBucket) {
	switch c.Do {
	case "part", "part-copy", "complete", "abort", "parts":
	default:
		return
	}
	ids := slices.DeleteFunc(append(b.openUploads(), slices.Sorted(maps.Keys(b.joined))...), isPending)
	if len(ids) == 0 {
		c.Key, c.uploadID, c.list = "k", neverUpload, []listedModelPart{{1, md5Hex(nil)}}
		return
	}
	c.uploadID = ids[c.Upload%len(ids)]
	up, open := b.uploads[c.uploadID]
	c.Key = up.key
	if !open {
		j := b.joined[c.uploadID]
		c.Key, up.parts = j.key, nil
		c.list = parseList(j.list)
		return
	}
	c.list = up.listed(c.Parts)
}

// listed gives the parts that a Complete names.
func (up modelUpload) listed(word string) (list []listedModelPart) {
	if word == "all" {
		for _, n := range slices.Sorted(maps.Keys(up.parts)) {
			list = append(list, listedModelPart{n, up.parts[n].etag})
		}
		return list
	}
	for _, w := range strings.FieldsFunc(word, func(r rune) bool { return r == ',' }) {
		number, wrong := strings.CutSuffix(w, "!")
		n, _ := strconv.Atoi(number)
		etag := cmp.Or(up.parts[n].etag, md5Hex([]byte("other")))
		if wrong {
			etag = md5Hex([]byte("other"))
		}
		list = append(list, listedModelPart{n, etag})
	}
	return list
}

// listText identifies a list of parts.
func listText(list []listedModelPart) string {
	var words []string
	for _, p := range list {
		words = append(words, fmt.Sprintf("%d:%s", p.number, p.etag))
	}
	return strings.Join(words, ",")
}

func parseList(text string) (list []listedModelPart) {
	for _, w := range strings.Split(text, ",") {
		number, etag, _ := strings.Cut(w, ":")
		n, _ := strconv.Atoi(number)
		list = append(list, listedModelPart{n, etag})
	}
	return list
}
