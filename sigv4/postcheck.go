package sigv4

import (
	"strconv"
	"strings"
	"time"
)

// FormField is a field of a browser form as it was sent.
type FormField struct {
	Name, Value string
}

// Check judges a form by its policy: expiration, then each condition in turn, then that no field is without a condition. The fields are those
// before the file, with bucket (of the address that was posted to, whatever the form says) and the expanded key put in by the caller: bucket and
// key are conditions like any other. Sizes are CheckSize's.
func (p *PostPolicy) Check(now time.Time, fields []FormField) error {
	if !now.Before(p.expiration) {
		return errAgainstPolicy("Policy expired.")
	}
	values := make(map[string]string, len(fields))
	for _, f := range fields {
		values[strings.ToLower(f.Name)] = f.Value
	}
	covered := make(map[string]bool, len(p.conditions))
	for _, c := range p.conditions {
		covered[c.field] = true
		if c.never || c.operator != opRange && !c.holds(values) {
			return errAgainstPolicy("Policy Condition failed: " + c.text)
		}
	}
	for _, f := range fields {
		if name := strings.ToLower(f.Name); !covered[name] && !exemptField(name) {
			return errAgainstPolicy("Extra input fields: " + f.Name)
		}
	}
	return nil
}

// CheckSize judges the size of the file in bytes by the policy's content-length-range conditions; without one any size will do.
func (p *PostPolicy) CheckSize(size int64) error {
	for _, c := range p.conditions {
		switch {
		case c.operator != opRange:
		case size > c.max:
			return ErrEntityTooLarge.with("ProposedSize", strconv.FormatInt(size, 10)).with("MaxSizeAllowed", strconv.FormatInt(c.max, 10))
		case size < c.min:
			return ErrEntityTooSmall.with("ProposedSize", strconv.FormatInt(size, 10)).with("MinSizeAllowed", strconv.FormatInt(c.min, 10))
		}
	}
	return nil
}

func errAgainstPolicy(why string) error {
	return ErrAccessDenied.say("Invalid according to Policy: " + why)
}

// holds compares one field. Names are compared whatever their case, values byte by byte.
func (c condition) holds(values map[string]string) bool {
	value, given := values[c.field]
	if !given {
		// The default encryption of a bucket stands in for an encryption that the form does not name, so "any" holds without it. Any other
		// field that has a condition must be in the form.
		return c.operator == opStartsWith && c.value == "" && strings.HasPrefix(c.field, "x-amz-server-side-encryption")
	}
	if c.operator == opEqual {
		return value == c.value
	}
	if c.field != "content-type" {
		return strings.HasPrefix(value, c.value)
	}
	// A Content-Type with commas is a list, all of which must match. Of no other field is that so.
	for one := range strings.SplitSeq(value, ",") {
		if !strings.HasPrefix(strings.TrimLeft(one, " "), c.value) {
			return false
		}
	}
	return true
}

// exemptField says that a field, in lower case, needs no condition: the policy cannot sign its own signature, and x-ignore-* means nothing. The
// checksum of the file is let off too (AWS would have a condition even for it, Ceph RGW has not): it can only make S3 refuse what the policy
// allows, and page and policy are often made before the file is chosen.
func exemptField(name string) bool {
	switch name {
	case "policy", "x-amz-signature", "signature", "awsaccesskeyid", "file":
		return true
	}
	return strings.HasPrefix(name, "x-ignore-") || strings.HasPrefix(name, "x-amz-checksum-")
}
