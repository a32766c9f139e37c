package main

import (
	"strings"
	"testing"
	"time"
)

// FuzzConfigEnvironment reads any text as a variable of each key: what is wrong is told, and never by repeating a secret.
func FuzzConfigEnvironment(f *testing.F) {
	for _, seed := range []string{"", "5GiB", "30s", "true", "a,b", "[{name: x}]", "- name: {", "!!binary x", "&a [*a]", "0x10", "\xff\x00"} {
		f.Add(seed)
	}
	keys := environmentKeys()
	f.Fuzz(func(t *testing.T, value string) {
		var environ []string
		for name := range keys {
			if !strings.HasSuffix(name, "_FILE") {
				environ = append(environ, name+"="+value)
			}
		}
		l := loadConfig("", environ)
		_ = l.check()
		const secret = "marked-secret-4711"
		l = loadConfig("", []string{"COFRE_BACKEND_SECRET_KEY=" + secret + value, "COFRE_SITE_PASSPHRASE=" + secret + value, "COFRE_METADATA_URL=" + secret + value, "COFRE_CACHE_REDIS=" + secret + value})
		if err := l.check(); err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("a message repeats a secret: %v", err)
		}
	})
}

// FuzzBucketPolicy reads any text as a policy that lies on the storage.
func FuzzBucketPolicy(f *testing.F) {
	for _, seed := range []string{`{"Version":"2012-10-17","Statement":[{"Sid":"CofreA","Effect":"Allow","Principal":{"AWS":["arn:aws:iam:::user/a"]},"Action":"s3:*","Resource":"arn:aws:s3:::b/*"}]}`, `{"Statement":{"Sid":1}}`, `{}`, `[]`, `{"Statement":[null]}`, ``} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = parsePolicy([]byte(text))
		_, _ = parseOwn([]byte(text))
	})
}

// FuzzWords reads any text as each kind of word that commands take.
func FuzzWords(f *testing.F) {
	for _, seed := range []string{"24h", "7d", "2026-01-31T08:00:00Z", "65536d", "5MiB", "10.0.0.0/8", "::1", "*:read,list", "00000000000000000000000000000000", ""} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := parseAge(text); err == nil && strings.HasSuffix(text, "d") && d < 0 {
			t.Errorf("%q is %v", text, d)
		}
		_, _ = parseSince(text, now)
		_, _ = parseRate(text)
		_, _ = parseGrantFlag(text)
		_, _ = parseKEKID(text)
		if p, err := parseNetwork(text); err == nil && !p.IsValid() {
			t.Errorf("%q is no network", text)
		}
	})
}
