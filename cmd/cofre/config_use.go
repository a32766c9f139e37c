package main

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"cofre/access"
	"cofre/admission"
	"cofre/backend"
	from "cofre/internal/source"
	"cofre/proxy"
)

// What a checked configuration means to the packages that are made from it.

func (g GrantConfig) grant() access.Grant {
	return access.Grant{Bucket: g.Bucket, Prefixes: g.Prefixes, Actions: parseActions(g.Actions)}
}

// parseActions leaves out words that are no actions: the check of the configuration has refused them by name.
func parseActions(words []string) []access.Action {
	var actions []access.Action
	for _, word := range words {
		if a, err := access.ParseAction(word); err == nil {
			actions = append(actions, a)
		}
	}
	return actions
}

func (c Config) staticCredentials() []access.Credential {
	list := make([]access.Credential, len(c.Credentials))
	for i, cred := range c.Credentials {
		list[i] = access.Credential{AccessKeyID: cred.AccessKey, Secret: cred.SecretKey, User: access.BackendUser(cred.User)}
		for _, g := range cred.Grants {
			list[i].Grants = append(list[i].Grants, g.grant())
		}
	}
	return list
}

func (c Config) anonymousIdentity() access.Identity {
	rules := make([]access.BucketRule, len(c.Buckets))
	for i, b := range c.Buckets {
		rules[i] = access.BucketRule{Bucket: b.Name, Actions: parseActions(b.Anonymous), Prefixes: b.AnonymousPrefixes}
	}
	return access.AnonymousIdentity(rules)
}

// bucketPolicy is what holds for a bucket: the first entry that matches, else the defaults.
func (c Config) bucketPolicy(name string) proxy.BucketPolicy {
	for _, b := range c.Buckets {
		if !access.MatchName(b.Name, name) {
			continue
		}
		p := proxy.BucketPolicy{PassUnsealed: b.Unsealed == "pass", ClearAttributes: !b.SealAttributes}
		if b.ETag == "opaque" {
			p.ETag = proxy.ETagOpaque
		}
		return p
	}
	return proxy.BucketPolicy{}
}

// quota is what an access key may ask for in a second: the first entry that matches, else no limit. Requests without credentials
// have the access key "".
func (c Config) quota(accessKeyID string) admission.Quota {
	for _, r := range c.Rates {
		if r.Anonymous != (accessKeyID == "") || !r.Anonymous && !access.MatchName(r.AccessKey, accessKeyID) {
			continue
		}
		second := func(n, burst float64) admission.Rate {
			if burst == 0 {
				burst = n
			}
			return admission.Rate{PerSecond: n, Burst: burst}
		}
		return admission.Quota{
			Requests: second(float64(r.Requests), float64(r.RequestBurst)),
			Read:     second(float64(r.Read), 0), Write: second(float64(r.Write), 0),
		}
	}
	return admission.Quota{}
}

func (c Config) backendUsers() map[access.BackendUser]backend.Credentials {
	users := map[access.BackendUser]backend.Credentials{
		access.SiteUser: {AccessKeyID: c.Backend.AccessKey, SecretAccessKey: c.Backend.SecretKey.Reveal()},
	}
	for _, u := range c.Backend.Users {
		users[access.BackendUser(u.Name)] = backend.Credentials{AccessKeyID: u.AccessKey, SecretAccessKey: u.SecretKey.Reveal()}
	}
	return users
}

type storeKind uint8

const (
	postgresStore storeKind = iota + 1
	sqliteStore
)

// splitStoreURL says which store a URL is for: PostgreSQL, which takes the whole URL, or SQLite, which takes a path. Its
// errors repeat nothing of the URL, which holds a password.
func splitStoreURL(raw access.Secret) (kind storeKind, where string, err error) {
	if path, ok := strings.CutPrefix(raw.Reveal(), "sqlite://"); ok {
		if path == "" {
			return 0, "", errors.New("names no file")
		}
		return sqliteStore, path, nil // the path as it is: nothing in it is unescaped
	}
	u, err := url.Parse(raw.Reveal())
	if err != nil {
		return 0, "", errors.New("is no URL")
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return 0, "", errors.New("is for no store that there is")
	}
	return postgresStore, raw.Reveal(), nil
}

// attempts gives what counts failed authentications; nil where nobody is to be slowed.
func (c AuthenticationConfig) attempts() *access.Attempts {
	if c.KeyFailures == 0 {
		return nil
	}
	return access.NewAttempts(access.AttemptsConfig{KeyFailures: c.KeyFailures, SourceFailures: c.SourceFailures, LongestWait: c.LongestWait})
}

// proxies leaves out what is no network: the check of the configuration has refused it by name.
func (c AuthenticationConfig) proxies() from.Proxies {
	var p from.Proxies
	for _, text := range c.TrustedProxies {
		if network, err := parseNetwork(text); err == nil {
			p = append(p, network)
		}
	}
	return p
}

// parseNetwork reads an address or a network in CIDR notation.
func parseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}
