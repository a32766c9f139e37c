package s3api

import (
	"io"
	"net/http"
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

// ObjectLock is the protection that a new object is to have, as its headers ask for it. The zero value asks for none.
type ObjectLock struct {
	// Mode is GOVERNANCE or COMPLIANCE with RetainUntil, a time of RFC 3339 as it was sent; both are empty for no retention.
	Mode        string `json:"mode,omitempty"`
	RetainUntil string `json:"until,omitempty"`
	// LegalHold is ON, OFF or empty.
	LegalHold string `json:"hold,omitempty"`
}

// ObjectLockHeaders are those that ParseObjectLock reads, in net/http's spelling.
var ObjectLockHeaders = []string{"X-Amz-Object-Lock-Mode", "X-Amz-Object-Lock-Retain-Until-Date", "X-Amz-Object-Lock-Legal-Hold"}

// ParseObjectLock reads the headers x-amz-object-lock-... of a PutObject, CopyObject or CreateMultipartUpload.
func ParseObjectLock(h http.Header, now time.Time) (ObjectLock, *Error) {
	l := ObjectLock{Mode: h.Get(ObjectLockHeaders[0]), RetainUntil: h.Get(ObjectLockHeaders[1]), LegalHold: h.Get(ObjectLockHeaders[2])}
	if (l.Mode == "") != (l.RetainUntil == "") {
		return l, ErrInvalidArgument.With("x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied")
	}
	if l.Mode != "" {
		if !isRetentionMode(l.Mode) {
			return l, invalidArgument("Unknown wormMode directive.", "x-amz-object-lock-mode", l.Mode)
		}
		until, err := time.Parse(time.RFC3339, l.RetainUntil)
		if err != nil {
			return l, invalidArgument("The retain until date must be provided in ISO 8601 format", "x-amz-object-lock-retain-until-date", l.RetainUntil)
		}
		if !until.After(now) {
			return l, invalidArgument("The retain until date must be in the future!", "x-amz-object-lock-retain-until-date", l.RetainUntil)
		}
	}
	if l.LegalHold != "" && l.LegalHold != "ON" && l.LegalHold != "OFF" {
		return l, invalidArgument("Legal Hold must be either of 'ON' or 'OFF'", "x-amz-object-lock-legal-hold", l.LegalHold)
	}
	return l, nil
}

// Empty says whether no protection is asked for.
func (l ObjectLock) Empty() bool { return l == ObjectLock{} }

// Retention is the document of PutObjectRetention that asks for the same.
func (l ObjectLock) Retention() []byte {
	d := newDocument()
	d.openRoot("Retention", namespace)
	d.text("Mode", l.Mode)
	d.text("RetainUntilDate", l.RetainUntil)
	d.close("Retention")
	return d.b
}

// Hold is the document of PutObjectLegalHold that asks for the same.
func (l ObjectLock) Hold() []byte {
	d := newDocument()
	d.openRoot("LegalHold", namespace)
	d.text("Status", l.LegalHold)
	d.close("LegalHold")
	return d.b
}
