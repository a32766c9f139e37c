package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"cofre/access"
	"cofre/admission"
	"cofre/keys"
	"cofre/s3api"
)

// check finds everything in a configuration that can be known wrong without asking anyone else.
func (l *loader) check() error {
	if l.unreadable {
		return l.err()
	}
	c := &l.config
	l.checkListeners(c)
	l.checkTLS(&c.TLS)
	l.checkSite(&c.Site)
	l.checkBackend(&c.Backend)
	l.checkKeys(&c.Keys)
	l.checkBackup(&c.Backup)
	l.checkMetadata(c)
	l.checkBuckets(c)
	l.checkCredentials(c)
	l.checkAuthentication(&c.Authentication)
	l.checkRates(c.Rates)
	l.checkSweep(&c.Sweep)
	l.checkLimits(&c.Limits)
	if _, err := zapcore.ParseLevel(c.Log.Level); err != nil || !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		l.report("log.level", fmt.Sprintf("%q is no level", c.Log.Level), "use debug, info, warn or error")
	}
	return l.err()
}

// need reports a key that has no value, unless what was given for it has been refused already.
func (l *loader) need(key, value, fix string) bool {
	if value == "" && !slices.ContainsFunc(l.problems, func(p problem) bool { return strings.HasPrefix(p.key, key) }) {
		l.report(key, "is missing", fix)
	}
	return value != ""
}

// orVariable says how to give a value, for keys that have a variable.
func orVariable(key string) string { return "set it in the file or as " + envName(key) }

// orSecretFile says how to give a secret.
func orSecretFile(key string) string {
	return fmt.Sprintf("set it, or %s_file, or one of them as %s or %s_FILE", key, envName(key), envName(key))
}

var (
	hostnamePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	regionPattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)
)

func (l *loader) checkListeners(c *Config) {
	l.checkAddress("listen", c.Listen)
	l.checkAddress("admin_listen", c.AdminListen)
	if c.Listen == c.AdminListen && c.Listen != "" {
		l.report("admin_listen", "is the same as listen", "give it another port")
	}
	for i, d := range c.Domains {
		if !hostnamePattern.MatchString(d) {
			l.report(fmt.Sprintf("domains[%d]", i), fmt.Sprintf("%q is no host name in lower case", d), "write it as s3.example.org, without scheme, port and wildcard")
		}
	}
	if !regionPattern.MatchString(c.Region) {
		l.report("region", fmt.Sprintf("%q is no region name", c.Region), "us-east-1 will do")
	}
}

func (l *loader) checkAddress(key, address string) {
	if !l.need(key, address, "write host:port") {
		return
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		l.report(key, fmt.Sprintf("%q is no address", address), "write host:port, :port, or [address]:port for IPv6")
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		l.report(key, fmt.Sprintf("%q is no port", port), "use a number from 1 to 65535")
	}
}

func (l *loader) checkTLS(c *TLSConfig) {
	switch {
	case c.Cert == "" && c.Key == "":
	case c.Cert == "":
		l.report("tls.cert", "is missing beside tls.key", "set both or neither")
	case c.Key == "":
		l.report("tls.key", "is missing beside tls.cert", "set both or neither")
	default:
		if _, err := tls.LoadX509KeyPair(c.Cert, c.Key); err != nil {
			l.report("tls.cert", fmt.Sprintf("cannot be used with tls.key: %v", err), "")
		}
	}
}

func (l *loader) checkSite(c *SiteConfig) {
	if l.need("site.identity", c.Identity, "make an identity with `cofre site init` and name its file here") {
		l.checkFile("site.identity", c.Identity, missingAdvice(*c))
	}
	l.checkGuard(c)
	for i, path := range c.Recovery {
		if _, err := readCard(path); err != nil {
			l.report(fmt.Sprintf("site.recovery[%d]", i), err.Error(), "")
		}
	}
}

// checkGuard wants a passphrase, unless the identity file says that something else guards it.
func (l *loader) checkGuard(c *SiteConfig) {
	sealed, err := readSealed(c.Identity)
	var unreadable *fs.PathError // which checkFile tells
	switch {
	case err != nil && c.Identity != "" && !errors.As(err, &unreadable):
		l.report("site.identity", err.Error(), "")
	case err == nil && sealed.kms != nil:
	default:
		l.need("site.passphrase", c.Passphrase.Reveal(), orSecretFile("site.passphrase"))
	}
}

func (l *loader) checkFile(key, path, fix string) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		l.report(key, err.Error(), fix)
	case info.IsDir():
		l.report(key, path+" is a directory", "name a file")
	}
}

// readCard reads the public card of a site from a file.
func readCard(path string) (keys.Card, error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		return keys.Card{}, fmt.Errorf("read card: %w", err)
	}
	card, err := keys.ParseCard(doc)
	if err != nil {
		return keys.Card{}, fmt.Errorf("read card: %s: %w", path, err)
	}
	return card, nil
}

func (l *loader) checkBackend(c *BackendConfig) {
	if l.need("backend.endpoint", c.Endpoint, orVariable("backend.endpoint")) && !isOrigin(c.Endpoint) {
		// The value is not repeated: it may hold a password by mistake.
		l.report("backend.endpoint", "is not a plain URL", "write http://host:port or https://host, without user, path and query")
	}
	if !regionPattern.MatchString(c.Region) {
		l.report("backend.region", fmt.Sprintf("%q is no region name", c.Region), "us-east-1 will do for Ceph RGW")
	}
	l.need("backend.access_key", c.AccessKey, orVariable("backend.access_key"))
	l.need("backend.secret_key", c.SecretKey.Reveal(), orSecretFile("backend.secret_key"))
	if l.need("backend.system_bucket", c.SystemBucket, "name the bucket for keys and layouts") && !s3api.ValidBucketName(c.SystemBucket) {
		l.report("backend.system_bucket", fmt.Sprintf("%q is no bucket name", c.SystemBucket), "use 3 to 63 lower-case letters, digits and dashes")
	}
	if c.CAFile != "" {
		l.checkCAFile("backend.ca_file", c.CAFile)
	}
	if c.MaxPutSize < minPutSize {
		l.report("backend.max_put_size", fmt.Sprintf("%v is less than a part of an upload takes", c.MaxPutSize), "use at least 8MiB; Ceph RGW's own default is 5GiB")
	}
	l.checkDurations("backend", map[string]time.Duration{
		"connect_timeout": c.ConnectTimeout, "stall_timeout": c.StallTimeout, "answer_timeout": c.AnswerTimeout,
	})
	seen := map[string]bool{}
	for i, u := range c.Users {
		key := fmt.Sprintf("backend.users[%d]", i)
		if l.need(key+".name", u.Name, "name the user") && (strings.ContainsFunc(u.Name, isControl) || seen[u.Name]) {
			l.report(key+".name", fmt.Sprintf("%q is given twice or holds control characters", u.Name), "")
		}
		seen[u.Name] = true
		l.need(key+".access_key", u.AccessKey, "set it")
		l.need(key+".secret_key", u.SecretKey.Reveal(), "set it, or "+key+".secret_key_file")
	}
}

// minPutSize leaves room for the smallest part that S3 allows, sealed.
const minPutSize = 8 << 20

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// isOrigin says whether a URL is a scheme and a host and nothing else.
func isOrigin(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil &&
		(u.Path == "" || u.Path == "/") && u.RawQuery == "" && u.Fragment == ""
}

func (l *loader) checkCAFile(key, path string) {
	pem, err := os.ReadFile(path)
	if err != nil {
		l.report(key, err.Error(), "")
		return
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		l.report(key, path+" holds no certificate", "it must be in PEM form")
	}
}

// The least that makes sense of a KEK before it is replaced: each new one leaves its record and its grants on the backend for good.
const (
	minRotateAfter   = time.Hour
	minRotateObjects = 1000
)

func (l *loader) checkKeys(c *KeysConfig) {
	if c.RotateAfter != 0 && c.RotateAfter < minRotateAfter {
		l.report("keys.rotate_after", fmt.Sprintf("%v is less than an hour", c.RotateAfter), "write it as 2160h, or 0 for never")
	}
	if c.RotateObjects != 0 && c.RotateObjects < minRotateObjects {
		l.report("keys.rotate_objects", fmt.Sprintf("%d is less than %d", c.RotateObjects, minRotateObjects), "write a larger number, or 0 for never")
	}
}

// minBackupEvery keeps a slip of the unit from filling a disk.
const minBackupEvery = time.Minute

func (l *loader) checkBackup(c *BackupConfig) {
	if c.Every != 0 && c.Every < minBackupEvery {
		l.report("backup.every", fmt.Sprintf("%v is less than a minute", c.Every), "write it as 24h, or 0 for never")
	}
	if c.Keep < 0 || c.KeepFor < 0 {
		l.report("backup.keep", "is less than 0, or keep_for is", "write 0 for all, or for ever")
	}
	if c.To != "" {
		if t, err := parseTarget(c.To); err != nil {
			l.report("backup.to", err.Error(), "")
		} else if t.file != "" {
			l.report("backup.to", "names a file, and not where files go", "make the directory first, or write s3://bucket/prefix/")
		}
	}
	if c.Endpoint == "" {
		return
	}
	if !isOrigin(c.Endpoint) {
		l.report("backup.endpoint", "is not a plain URL", "write http://host:port or https://host, without user, path and query")
	}
	l.need("backup.access_key", c.AccessKey, orVariable("backup.access_key"))
	l.need("backup.secret_key", c.SecretKey.Reveal(), orSecretFile("backup.secret_key"))
	if c.CAFile != "" {
		l.checkCAFile("backup.ca_file", c.CAFile)
	}
}

func (l *loader) checkMetadata(c *Config) {
	if l.need("metadata.url", c.Metadata.URL.Reveal(), orSecretFile("metadata.url")) {
		if _, _, err := splitStoreURL(c.Metadata.URL); err != nil {
			l.report("metadata.url", err.Error(), "write postgres://user:password@host/database or sqlite:///path/to/file")
		}
	}
	l.checkDurations("metadata", map[string]time.Duration{"timeout": c.Metadata.Timeout})
	l.checkDurations("cache", map[string]time.Duration{"timeout": c.Cache.Timeout})
	if redis := c.Cache.Redis.Reveal(); redis != "" {
		u, err := url.Parse(redis)
		if err != nil || !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme) {
			l.report("cache.redis", "is no URL of a Redis server", "write redis://host:6379/0, or rediss:// for TLS")
		}
	}
}

var (
	unsealedWords  = []string{"refuse", "pass"}
	etagWords      = []string{"md5", "opaque"}
	anonymousWords = []string{"read", "list", "write", "delete"}
)

func (l *loader) checkBuckets(c *Config) {
	for i, b := range c.Buckets {
		key := fmt.Sprintf("buckets[%d]", i)
		if err := access.ValidateBucketPattern(b.Name); err != nil {
			l.report(key+".name", err.Error(), "")
		}
		for j, earlier := range c.Buckets[:i] {
			if earlier.Name == b.Name || earlier.Name == "*" {
				l.report(key+".name", fmt.Sprintf("%q is never reached: buckets[%d] matches it first", b.Name, j), "put it before that one")
				break
			}
		}
		l.oneOf(key+".unsealed", b.Unsealed, unsealedWords)
		l.oneOf(key+".etag", b.ETag, etagWords)
		if b.IndexMetadata {
			l.report(key+".index_metadata", "is not in this version", "leave it out")
		}
		for _, word := range b.Anonymous {
			l.oneOf(key+".anonymous", word, anonymousWords)
		}
		if len(b.AnonymousPrefixes) > 0 && len(b.Anonymous) == 0 {
			l.report(key+".anonymous_prefixes", "is set without anonymous", "say what is allowed there, as anonymous: read")
		}
		if len(b.Anonymous) > 0 {
			g := access.Grant{Bucket: "*", Prefixes: b.AnonymousPrefixes, Actions: parseActions(b.Anonymous)}
			if err := g.Validate(); err != nil {
				l.report(key+".anonymous_prefixes", err.Error(), "")
			}
		}
	}
}

func (l *loader) oneOf(key, word string, words []string) {
	if !slices.Contains(words, word) {
		l.report(key, fmt.Sprintf("%q is not known here", word), "use "+strings.Join(words, " or "))
	}
}

func (l *loader) checkCredentials(c *Config) {
	users := map[string]bool{}
	for _, u := range c.Backend.Users {
		users[u.Name] = true
	}
	seen := map[string]bool{}
	for i, cred := range c.Credentials {
		key := fmt.Sprintf("credentials[%d]", i)
		if err := access.ValidateAccessKeyID(cred.AccessKey); err != nil {
			l.report(key+".access_key", err.Error(), "")
		} else if seen[cred.AccessKey] {
			l.report(key+".access_key", fmt.Sprintf("%q is given twice", cred.AccessKey), "keep one")
		}
		seen[cred.AccessKey] = true
		if l.need(key+".secret_key", cred.SecretKey.Reveal(), "set it, or "+key+".secret_key_file") {
			if err := access.ValidateSecret(cred.SecretKey); err != nil {
				l.report(key+".secret_key", err.Error(), "")
			}
		}
		if cred.User != "" && !users[cred.User] {
			l.report(key+".user", fmt.Sprintf("%q is none of backend.users", cred.User), "add it there or leave user out")
		}
		for j, g := range cred.Grants {
			l.checkGrant(fmt.Sprintf("%s.grants[%d]", key, j), g)
		}
		if len(cred.Grants) > access.MaxGrants {
			l.report(key+".grants", fmt.Sprintf("are more than %d", access.MaxGrants), "use patterns")
		}
	}
}

func (l *loader) checkGrant(key string, g GrantConfig) {
	for _, word := range g.Actions {
		if _, err := access.ParseAction(word); err != nil {
			l.report(key+".actions", err.Error(), "")
			return
		}
	}
	if err := g.grant().Validate(); err != nil {
		l.report(key, err.Error(), "")
	}
}

// checkDurations wants deadlines to be above zero: without one, a neighbour that went silent would be waited for without end.
func (l *loader) checkDurations(section string, all map[string]time.Duration) {
	for key, d := range all {
		if d <= 0 {
			l.report(section+"."+key, fmt.Sprintf("%v is not above zero", d), "write it as 30s")
		}
	}
}

func (l *loader) checkAuthentication(c *AuthenticationConfig) {
	for i, text := range c.TrustedProxies {
		if _, err := parseNetwork(text); err != nil {
			l.report(fmt.Sprintf("authentication.trusted_proxies[%d]", i), fmt.Sprintf("%q is neither an address nor a network", text), "write it as 10.0.0.7 or 10.0.0.0/8")
		}
	}
	for key, n := range map[string]int{"key_failures": c.KeyFailures, "source_failures": c.SourceFailures} {
		if n < 0 || n > 1<<20 {
			l.report("authentication."+key, fmt.Sprintf("%d is not between 0 and %d", n, 1<<20), "")
		}
	}
	if c.LongestWait < time.Second || c.LongestWait > 24*time.Hour {
		l.report("authentication.longest_wait", fmt.Sprintf("%v is not between a second and a day", c.LongestWait), "write it as 1m")
	}
	if (c.KeyFailures == 0) != (c.SourceFailures == 0) {
		l.report("authentication.key_failures", "and source_failures must both be 0, or neither", "")
	}
}

// minConnections leaves room for an operator beside a few clients.
const minConnections = 16

// minByteRate is the least that a limit of bytes may be: as many streams as one credential can have in flight then still move
// often enough for the backend, which drops one that stands still for a minute.
const minByteRate = 1 << 20

func (l *loader) checkRates(list []RateConfig) {
	for i, r := range list {
		key := fmt.Sprintf("rates[%d]", i)
		if (r.AccessKey == "") != r.Anonymous {
			l.report(key+".access_key", "is needed, or anonymous: true instead", `"*" is every credential that no earlier entry matches`)
		}
		if r.Requests < 0 || r.RequestBurst < 0 {
			l.report(key+".requests", "is below zero", "")
		}
		if r.RequestBurst > r.Requests*int(admission.MaxRefill/time.Second) {
			l.report(key+".request_burst", fmt.Sprintf("%d is more than come in a minute", r.RequestBurst), "")
		}
		for name, size := range map[string]Size{"read": r.Read, "write": r.Write} {
			if size != 0 && size < minByteRate {
				l.report(key+"."+name, fmt.Sprintf("%v is less than %v", size, Size(minByteRate)), "")
			}
		}
	}
}

// The least that makes sense of what is swept. An upload must be older than its beginning takes, by far; a tombstone than any copy of the
// storage that might be put in its place by mistake.
const (
	minUploadAge    = time.Hour
	minTombstoneAge = 24 * time.Hour
)

func (l *loader) checkSweep(c *SweepConfig) {
	if c.UploadAge != 0 && c.UploadAge < minUploadAge {
		l.report("sweep.upload_age", fmt.Sprintf("%v is less than an hour", c.UploadAge), "write it as 168h, or 0 for never")
	}
	if c.TombstoneAge != 0 && c.TombstoneAge < minTombstoneAge {
		l.report("sweep.tombstone_age", fmt.Sprintf("%v is less than a day", c.TombstoneAge), "write it as 8760h, or 0 for ever")
	}
}

func (l *loader) checkLimits(c *LimitsConfig) {
	for key, n := range map[string]int{"requests": c.Requests, "heal_parallel": c.HealParallel} {
		if n < 1 {
			l.report("limits."+key, fmt.Sprintf("%d is less than 1", n), "")
		}
	}
	l.checkDurations("limits", map[string]time.Duration{
		"queue_wait": c.QueueWait, "lock_wait": c.LockWait, "drain": c.Drain, "startup": c.Startup, "header_timeout": c.HeaderTimeout,
		"idle_timeout": c.IdleTimeout, "credential_ttl": c.CredentialTTL, "credential_grace": c.CredentialGrace,
		"upload_stall": c.UploadStall, "download_stall": c.DownloadStall,
	})
	if c.Memory != 0 && c.Memory < minMemory {
		l.report("limits.memory", fmt.Sprintf("%v is less than %v", c.Memory, Size(minMemory)), "give it more, or leave it out")
	}
	if c.MinRate < 1 || c.MinRate > 1<<20 {
		l.report("limits.min_rate", fmt.Sprintf("%v is not between 1 and 1MiB", c.MinRate), "")
	}
	if c.Connections < minConnections {
		l.report("limits.connections", fmt.Sprintf("%d is less than %d", c.Connections, minConnections), "")
	}
	if c.ConnectionsPerSource < 0 || c.ConnectionsPerSource > c.Connections {
		l.report("limits.connections_per_source", fmt.Sprintf("%d is not between 0 and limits.connections", c.ConnectionsPerSource), "")
	}
	if c.DrainDelay < 0 {
		l.report("limits.drain_delay", fmt.Sprintf("%v is below zero", c.DrainDelay), "")
	}
	if c.HeaderBytes < 16<<10 || c.HeaderBytes > 1<<20 {
		l.report("limits.header_bytes", fmt.Sprintf("%v is not between 16KiB and 1MiB", c.HeaderBytes), "")
	}
}
