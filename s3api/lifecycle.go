package s3api

import (
	"io"
	"unicode/utf8"
)

// S3's limits of a lifecycle configuration ("PutBucketLifecycleConfiguration", Amazon S3 API Reference).
const (
	maxLifecycleRules  = 1000
	maxLifecycleRuleID = 255
)

// CheckLifecycle judges the document of PutBucketLifecycleConfiguration. sized says that a rule selects objects by their size. What the rules
// do is for the store to judge; what is judged here is what Ceph RGW 16 takes in silence, such as a document with another root element, which
// it reads as "no rules".
func CheckLifecycle(r io.Reader) (sized bool, err *Error) {
	rules := 0
	ids := map[string]bool{}
	err = decodeClient(r, maxDocument, "LifecycleConfiguration", func(s *scanner) error {
		return s.children(func(name []byte) error {
			if string(name) != "Rule" {
				return nil
			}
			rules++
			return scanLifecycleRule(s, ids, &sized)
		})
	})
	if err == nil && (rules == 0 || rules > maxLifecycleRules) {
		err = ErrMalformedXML
	}
	return sized, err
}

func scanLifecycleRule(s *scanner, ids map[string]bool, sized *bool) error {
	var (
		o          once
		id, status string
	)
	err := s.children(func(name []byte) error {
		switch string(name) {
		case "ID":
			return o.text(s, name, &id)
		case "Status":
			return o.text(s, name, &status)
		case "Filter":
			return scanLifecycleFilter(s, sized)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case utf8.RuneCountInString(id) > maxLifecycleRuleID:
		return ErrInvalidArgument.With("ID length should not exceed allowed limit of 255")
	case id != "" && ids[id]:
		return ErrInvalidArgument.With("Rule ID must be unique. Found same ID for more than one rule")
	case status != "Enabled" && status != "Disabled":
		return errXML
	}
	ids[id] = true
	return nil
}

func scanLifecycleFilter(s *scanner, sized *bool) error {
	return s.children(func(name []byte) error {
		switch string(name) {
		case "ObjectSizeGreaterThan", "ObjectSizeLessThan":
			*sized = true
		case "And":
			return scanLifecycleFilter(s, sized)
		}
		return nil
	})
}
