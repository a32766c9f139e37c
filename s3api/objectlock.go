package s3api

import (
	"io"
	"strconv"
	"strings"
	"time"
)

// CheckObjectLock judges the document of PutObjectLockConfiguration.
func CheckObjectLock(r io.Reader) *Error {
	var (
		o       once
		enabled string
	)
	err := decodeClient(r, maxDocument, "ObjectLockConfiguration", func(s *scanner) error {
		return s.children(func(name []byte) error {
			switch string(name) {
			case "ObjectLockEnabled":
				return o.text(s, name, &enabled)
			case "Rule":
				return s.children(func(name []byte) error {
					if string(name) != "DefaultRetention" {
						return nil
					}
					return scanDefaultRetention(s)
				})
			}
			return nil
		})
	})
	if err == nil && enabled != "Enabled" {
		return ErrMalformedXML
	}
	return err
}

func scanDefaultRetention(s *scanner) error {
	var (
		o                 once
		mode, days, years string
	)
	err := s.children(func(name []byte) error {
		switch string(name) {
		case "Mode":
			return o.text(s, name, &mode)
		case "Days":
			return o.text(s, name, &days)
		case "Years":
			return o.text(s, name, &years)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !isRetentionMode(mode) || (days == "") == (years == "") {
		return errXML
	}
	n, perr := strconv.Atoi(strings.TrimSpace(days + years))
	switch {
	case perr != nil:
		return errXML
	case n < 1:
		return ErrInvalidRetentionPeriod.With("Default retention period must be a positive integer value.")
	}
	return nil
}

func isRetentionMode(mode string) bool { return mode == "GOVERNANCE" || mode == "COMPLIANCE" }

// CheckRetention judges the document of PutObjectRetention.
func CheckRetention(r io.Reader) *Error {
	var (
		o           once
		mode, until string
	)
	err := decodeClient(r, maxDocument, "Retention", func(s *scanner) error {
		return s.children(func(name []byte) error {
			switch string(name) {
			case "Mode":
				return o.text(s, name, &mode)
			case "RetainUntilDate":
				return o.text(s, name, &until)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	if _, perr := time.Parse(time.RFC3339, strings.TrimSpace(until)); perr != nil || !isRetentionMode(mode) {
		return ErrMalformedXML
	}
	return nil
}

// CheckLegalHold judges the document of PutObjectLegalHold.
func CheckLegalHold(r io.Reader) *Error {
	status, err := oneText(r, "LegalHold", "Status")
	if err == nil && status != "ON" && status != "OFF" {
		return ErrMalformedXML
	}
	return err
}
