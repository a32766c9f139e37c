package s3api

import (
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Tag is one tag of an object or a bucket.
type Tag struct {
	Key, Value string
}

// The most tags that something can have ("Categorizing your storage using tags", Amazon S3 User Guide).
const (
	MaxObjectTags = 10
	MaxBucketTags = 50
)

// Tag keys and values are counted in characters.
const (
	maxTagKey   = 128
	maxTagValue = 256
)

// DecodeTagging reads a Tagging document of at most limit tags.
func DecodeTagging(r io.Reader, limit int) ([]Tag, *Error) {
	tags := []Tag{}
	sets := 0
	err := decodeClient(r, maxDocument, "Tagging", func(s *scanner) error {
		return s.children(func(name []byte) error {
			if string(name) != "TagSet" {
				return nil
			}
			if sets++; sets > 1 {
				return errDuplicate
			}
			return s.children(func(name []byte) error {
				if string(name) != "Tag" {
					return nil
				}
				t, err := scanTag(s)
				tags = append(tags, t)
				return err
			})
		})
	})
	if err == nil && sets == 0 {
		err = ErrMalformedXML
	}
	if err == nil {
		err = checkTags(tags, limit)
	}
	if err != nil {
		return nil, err
	}
	return tags, nil
}

func scanTag(s *scanner) (Tag, error) {
	var (
		t Tag
		o once
	)
	err := s.children(func(name []byte) error {
		switch string(name) {
		case "Key":
			return o.text(s, name, &t.Key)
		case "Value":
			return o.text(s, name, &t.Value)
		}
		return nil
	})
	if err == nil && len(o.seen) != 2 {
		err = errXML
	}
	return t, err
}

// ParseTaggingHeader reads x-amz-tagging: tags in the form of a query string.
func ParseTaggingHeader(v string) ([]Tag, *Error) {
	if v == "" {
		return []Tag{}, nil
	}
	malformed := invalidArgument("The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.", "x-amz-tagging", v)
	q, err := ParseQuery(v)
	if err != nil || !utf8.ValidString(v) || strings.Contains(v, ",") { // what is written so was not meant as a query string
		return nil, malformed
	}
	tags := []Tag{}
	seen := map[string]bool{}
	for key, value := range q.All() {
		if seen[key] || !utf8.ValidString(key) || !utf8.ValidString(value) {
			return nil, malformed
		}
		seen[key] = true
		tags = append(tags, Tag{key, value})
	}
	if err := checkTags(tags, MaxObjectTags); err != nil {
		return nil, err
	}
	return tags, nil
}

func checkTags(tags []Tag, limit int) *Error {
	if len(tags) > limit {
		if limit == MaxObjectTags {
			return ErrBadRequest.With("Object tags cannot be greater than " + strconv.Itoa(limit))
		}
		return ErrBadRequest.With("Bucket tag count cannot be greater than " + strconv.Itoa(limit))
	}
	seen := map[string]bool{}
	for _, t := range tags {
		switch {
		case t.Key == "" || utf8.RuneCountInString(t.Key) > maxTagKey || !validTagText(t.Key):
			return ErrInvalidTag.With("The TagKey you have provided is invalid").Field("TagKey", t.Key)
		case utf8.RuneCountInString(t.Value) > maxTagValue || !validTagText(t.Value):
			return ErrInvalidTag.With("The TagValue you have provided is invalid").Field("TagKey", t.Key).Field("TagValue", t.Value)
		case strings.HasPrefix(t.Key, "aws:"):
			if limit == MaxObjectTags {
				return ErrInvalidTag.With("Your TagKey cannot be prefixed with aws:").Field("TagKey", t.Key)
			}
			return ErrInvalidTag.With("System tags cannot be added/updated by requester").Field("TagKey", t.Key)
		case seen[t.Key]:
			return ErrInvalidTag.With("Cannot provide multiple Tags with the same key").Field("TagKey", t.Key)
		}
		seen[t.Key] = true
	}
	return nil
}

// validTagText says whether a text has only letters, digits, spaces and + - = . _ : / @.
func validTagText(s string) bool {
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.In(r, unicode.Z) && !strings.ContainsRune("+-=._:/@", r) {
			return false
		}
	}
	return true
}

// ScanTagging reads a backend's Tagging document. Other limits than S3's may hold there, so none is checked.
func ScanTagging(r io.Reader) ([]Tag, error) {
	tags := []Tag{}
	err := decodeBackend(r, maxBackendDocument, func(s *scanner) error {
		return s.children(func(name []byte) error {
			if string(name) != "TagSet" {
				return nil
			}
			return s.children(func(name []byte) error {
				if string(name) != "Tag" {
					return nil
				}
				t, err := scanTag(s)
				tags = append(tags, t)
				return err
			})
		})
	}, "Tagging")
	return tags, err
}

// EncodeTagging gives a Tagging document.
func EncodeTagging(tags []Tag) []byte {
	d := newDocument()
	d.openRoot("Tagging", namespace)
	d.open("TagSet")
	for _, t := range tags {
		d.open("Tag")
		d.text("Key", t.Key)
		d.text("Value", t.Value)
		d.close("Tag")
	}
	d.close("TagSet")
	d.close("Tagging")
	return d.b
}

// WriteTagging writes a Tagging document.
func WriteTagging(w io.Writer, tags []Tag) error {
	d := document{b: EncodeTagging(tags)}
	return d.writeTo(w)
}

// EncodeTaggingHeader gives tags in the form of x-amz-tagging, in their order.
func EncodeTaggingHeader(tags []Tag) string {
	var b strings.Builder
	for i, t := range tags {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(escape(t.Key, slashEscaped))
		b.WriteByte('=')
		b.WriteString(escape(t.Value, slashEscaped))
	}
	return b.String()
}
