package access

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

const (
	// MaxGrants is how many grants one identity may have.
	MaxGrants = 256
	// maxPrefixes is how many prefix patterns one grant may have.
	maxPrefixes = 256
	// maxBucketPattern is the length in bytes of the longest bucket name that S3 ever allowed.
	maxBucketPattern = 255
	// maxPrefix is the length in bytes of the longest object key (S3 User Guide, "Naming Amazon S3 objects").
	maxPrefix = 1024
)

// Grant allows actions on the objects of some buckets.
type Grant struct {
	// Bucket is a pattern over bucket names, with '*' and '?'.
	Bucket string
	// Prefixes limit the grant to some keys. A pattern without wildcards covers the keys that begin with it, one with '*'
	// or '?' the keys that match it as a whole. No patterns: all keys, and the bucket itself.
	Prefixes []string
	// Actions are what the grant allows.
	Actions []Action

	// except are bucket patterns that the grant does not cover though Bucket does. Only [AnonymousIdentity] fills it.
	except []string
}

// Validate says what is wrong with a grant, or nil.
func (g Grant) Validate() error {
	if err := ValidateBucketPattern(g.Bucket); err != nil {
		return err
	}
	if err := validatePrefixes(g.Prefixes); err != nil {
		return err
	}
	return validateActions(g.Actions)
}

// ValidateGrants says what is wrong with the grants of one identity, or nil.
func ValidateGrants(grants []Grant) error {
	if len(grants) > MaxGrants {
		return fmt.Errorf("%d grants: at most %d are allowed", len(grants), MaxGrants)
	}
	for i, g := range grants {
		if err := g.Validate(); err != nil {
			return fmt.Errorf("grant %d: %w", i+1, err)
		}
	}
	return nil
}

// ValidateBucketPattern says what is wrong with a pattern over bucket names, or nil. A pattern that no bucket name could
// match, such as one with a slash, is refused: it would silently grant nothing.
func ValidateBucketPattern(pattern string) error {
	switch {
	case pattern == "":
		return errors.New("bucket pattern is empty: use \"*\" for every bucket")
	case len(pattern) > maxBucketPattern:
		return fmt.Errorf("bucket pattern is longer than %d bytes", maxBucketPattern)
	}
	for _, c := range []byte(pattern) {
		if !isBucketByte(c) && c != '*' && c != '?' {
			return fmt.Errorf("bucket pattern %q holds %q, which is in no bucket name", pattern, rune(c))
		}
	}
	return nil
}

// isBucketByte says whether a byte may be in a bucket name, old names with capitals and underscores included.
func isBucketByte(c byte) bool {
	return isAlphanumeric(c) || c == '.' || c == '-' || c == '_'
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func validatePrefixes(prefixes []string) error {
	if prefixes != nil && len(prefixes) == 0 {
		return errors.New("prefixes are an empty list: leave them out to cover all keys")
	}
	if len(prefixes) > maxPrefixes {
		return fmt.Errorf("%d prefixes: at most %d are allowed in one grant", len(prefixes), maxPrefixes)
	}
	for _, p := range prefixes {
		switch {
		case p == "":
			return errors.New("prefix is empty: leave prefixes out to cover all keys")
		case len(p) > maxPrefix:
			return fmt.Errorf("prefix is longer than %d bytes", maxPrefix)
		case !utf8.ValidString(p):
			return fmt.Errorf("prefix %q is not UTF-8: use '?' for a byte that cannot be written", p)
		}
	}
	return nil
}

func validateActions(actions []Action) error {
	if len(actions) == 0 {
		return errors.New("actions are empty: name at least one")
	}
	for i, a := range actions {
		if a < Read || a > Admin {
			return fmt.Errorf("%v is no action", a)
		}
		if slices.Contains(actions[:i], a) {
			return fmt.Errorf("action %q is named twice", a)
		}
	}
	return nil
}

func (g Grant) coversBucket(bucket string) bool {
	if !MatchName(g.Bucket, bucket) {
		return false
	}
	return !slices.ContainsFunc(g.except, func(p string) bool { return MatchName(p, bucket) })
}

func (g Grant) coversKey(key string) bool {
	return len(g.Prefixes) == 0 || slices.ContainsFunc(g.Prefixes, func(p string) bool { return matchKey(p, key) })
}

func (g Grant) coversListing(prefix string) bool {
	return len(g.Prefixes) == 0 || slices.ContainsFunc(g.Prefixes, func(p string) bool { return coversPrefix(p, prefix) })
}
