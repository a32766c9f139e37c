package s3api

import (
	"io"
	"strconv"
	"strings"
)

// maxCORSRules is S3's limit of rules in one configuration ("Elements of a CORS configuration", Amazon S3 User Guide).
const maxCORSRules = 100

// CheckCORS judges the CORSConfiguration document of PutBucketCors.
func CheckCORS(r io.Reader) *Error {
	rules := 0
	err := decodeClient(r, maxDocument, "CORSConfiguration", func(s *scanner) error {
		return s.children(func(name []byte) error {
			if string(name) != "CORSRule" {
				return nil
			}
			rules++
			return scanCORSRule(s)
		})
	})
	if err == nil && (rules == 0 || rules > maxCORSRules) {
		return ErrMalformedXML
	}
	return err
}

func scanCORSRule(s *scanner) error {
	methods, origins := 0, 0
	err := s.children(func(name []byte) error {
		var (
			text string
			err  error
		)
		switch string(name) {
		case "AllowedMethod":
			methods++
			if text, err = s.text(); err == nil && !isCORSMethod(text) {
				err = ErrInvalidRequest.With("Found unsupported HTTP method in CORS config. Unsupported method is " + text)
			}
		case "AllowedOrigin":
			origins++
			if text, err = s.text(); err == nil && strings.Count(text, "*") > 1 {
				err = ErrInvalidRequest.With("AllowedOrigin \"" + text + "\" can not have more than one wildcard.")
			}
		case "AllowedHeader":
			if text, err = s.text(); err == nil && strings.Count(text, "*") > 1 {
				err = ErrInvalidRequest.With("AllowedHeader \"" + text + "\" can not have more than one wildcard.")
			}
		case "ExposeHeader":
			if text, err = s.text(); err == nil && strings.Contains(text, "*") {
				err = ErrInvalidRequest.With("ExposeHeader \"" + text + "\" contains wildcard. We currently do not support wildcard for ExposeHeader.")
			}
		case "MaxAgeSeconds":
			if text, err = s.text(); err == nil {
				if n, perr := strconv.ParseInt(strings.TrimSpace(text), 10, 32); perr != nil || n < 0 {
					err = errXML
				}
			}
		}
		return err
	})
	if err == nil && (methods == 0 || origins == 0) {
		err = errXML
	}
	return err
}

func isCORSMethod(name string) bool {
	switch name {
	case "GET", "PUT", "POST", "DELETE", "HEAD":
		return true
	}
	return false
}
