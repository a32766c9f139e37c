package main

import (
	"time"

	"cofre/access"
	"cofre/admission"
)

// Config is everything an operator decides. The comment above each field is the manual: `cofre config example` prints it.
//
// Each value has a key in the YAML file and an environment variable, which wins: COFRE_ and the key in capitals, with "_"
// for each dot, as COFRE_BACKEND_ENDPOINT for backend.endpoint. A list of words is separated by commas there, a list of
// entries is written as YAML. Each secret can be given as a value or, by the key that ends in _file, as the path of a file
// that holds it.
type Config struct {
	// Where S3 clients connect: host:port, or :port for every address of this machine.
	Listen string `yaml:"listen"`
	// Where /healthz, /readyz and /metrics are. They ask for no password and tell nothing of buckets or keys; keep them on
	// loopback or on a network that only your monitoring reaches.
	AdminListen string `yaml:"admin_listen"`
	// Serve Go's profiles under /debug/pprof on admin_listen. A heap profile may hold plaintext and keys: switch it on
	// for as long as you look, and only where admin_listen is private.
	AdminPprof bool `yaml:"admin_pprof"`
	// Base domains for virtual-hosted addressing: with s3.example.org a request to photos.s3.example.org is for bucket
	// photos. Path-style addressing always works.
	Domains []string `yaml:"domains" example:"[s3.example.org]"`
	// The region that cofre answers to clients. They may sign for any region.
	Region string `yaml:"region"`
	// Takes a client's own keys (SSE-C) over unencrypted connections too. Only for a site whose balancer ends TLS in front of
	// cofre: such a key must not cross a network in clear.
	SSECOverHTTP bool `yaml:"sse_c_over_http"`

	// Makes cofre itself speak https. Leave it out behind a load balancer that does.
	TLS TLSConfig `yaml:"tls"`
	// Who this site is.
	Site SiteConfig `yaml:"site"`
	// The S3 storage behind cofre.
	Backend BackendConfig `yaml:"backend"`
	// When the key encryption keys of buckets are replaced by themselves, as `cofre key rotate` does it by hand.
	Keys KeysConfig `yaml:"keys"`
	// Where sizes, ETags, uploads and credentials are kept.
	Metadata MetadataConfig `yaml:"metadata"`
	// Backups of the metadata store that serve makes by itself, one replica at a time: each is sealed to this site and to its
	// recovery identities for all buckets, signed, and read back. None are made where nothing is said.
	Backup BackupConfig `yaml:"backup"`
	// An optional cache that replicas share. Losing it costs speed, never truth.
	Cache CacheConfig `yaml:"cache"`
	// What holds for the buckets that a pattern names. The first entry that matches a bucket is the only one that counts; a
	// bucket that none matches has the defaults.
	Buckets []BucketConfig `yaml:"buckets"`
	// Credentials that need no store: the first ones of an installation, and those that must work while the store is down.
	// They win over stored ones with the same access key. `cofre credential add` makes stored ones.
	Credentials []CredentialConfig `yaml:"credentials"`
	// How those who guess credentials are slowed down.
	Authentication AuthenticationConfig `yaml:"authentication"`
	// What each credential may ask for in a second. The first entry that matches an access key is the only one that counts; what
	// none matches has no limit. With cache.redis all replicas count together; without it, and while Redis does not answer, each
	// counts by itself: in the second case against the limit divided by how many there were.
	Rates []RateConfig `yaml:"rates"`
	// What is taken away by itself because nobody owns it: `cofre sweep` shows it.
	Sweep SweepConfig `yaml:"sweep"`
	// What one process takes on.
	Limits LimitsConfig `yaml:"limits"`
	// The log on standard error: JSON, one line per request, without headers, query strings and object keys.
	Log LogConfig `yaml:"log"`
}

// TLSConfig is the key tls.
type TLSConfig struct {
	// PEM file of the certificate, the chain behind it. Both files are read again when they change.
	Cert string `yaml:"cert" example:"/etc/cofre/tls.crt"`
	// PEM file of its private key.
	Key string `yaml:"key" example:"/etc/cofre/tls.key"`
}

// SiteConfig is the key site.
type SiteConfig struct {
	// The identity file that `cofre site init` made. The trust list lies beside it, with .trust.json at the end of its name.
	// Keep a copy of the file and of the passphrase, apart from each other: without both, or a recovery identity, nothing
	// that this site sealed can be opened. Where a KMS guards it (`cofre site init --kms`), the file itself says which key
	// of which KMS, credentials for that come from the environment, and there is no passphrase.
	Identity string `yaml:"identity" required:"true" example:"/etc/cofre/site.age"`
	// The passphrase of the identity file.
	Passphrase access.Secret `yaml:"passphrase"`
	// A file that holds the passphrase.
	PassphraseFile string `yaml:"passphrase_file" required:"true" example:"/run/secrets/cofre-passphrase"`
	// Cards of recovery identities, files as `cofre site show --card` prints them. They are given every key that this site
	// makes from then on. Taking one out of this list does not withdraw it: `cofre site distrust` does.
	Recovery []string `yaml:"recovery" example:"[/etc/cofre/recovery.card.json]"`
}

// BackendConfig is the key backend.
type BackendConfig struct {
	// Its URL: http or https, host, and port where it is another one than usual. Requests are path-style.
	Endpoint string `yaml:"endpoint" required:"true" example:"https://rgw.example.org"`
	// The region that requests to it are signed for. Ceph RGW takes any.
	Region string `yaml:"region"`
	// The access key of the site's own backend user, who must be able to read every served bucket.
	AccessKey string `yaml:"access_key" required:"true" example:"SITEACCESSKEY"`
	// Its secret key.
	SecretKey access.Secret `yaml:"secret_key"`
	// A file that holds the secret key.
	SecretKeyFile string `yaml:"secret_key_file" required:"true" example:"/run/secrets/cofre-backend"`
	// The bucket for signed key records, grants and layouts. One for all sites that share a backend. Clients cannot see
	// it. It is made at the first start; its loss is the loss of every multipart object.
	SystemBucket string `yaml:"system_bucket"`
	// PEM file of certificates to trust for the endpoint, besides the system's.
	CAFile string `yaml:"ca_file" example:"/etc/cofre/backend-ca.pem"`
	// How long connecting to it may take, and the TLS handshake behind it again.
	ConnectTimeout time.Duration `yaml:"connect_timeout"`
	// How long it may make no progress: take or give no further 64 KiB of a body, or give no answer to a GET, HEAD or DELETE.
	// Then the client gets 503 SlowDown, or a broken connection where a part of the answer is out. Time in which the client is
	// slow does not count.
	StallTimeout time.Duration `yaml:"stall_timeout"`
	// How long it may take to answer a PUT or POST of which it has the last byte: joining the parts of a large upload, copying
	// a large object and deleting a thousand keys are slow at some.
	AnswerTimeout time.Duration `yaml:"answer_timeout"`
	// The largest object or part that the backend takes in one PUT, in stored bytes (rgw_max_put_size on Ceph RGW).
	MaxPutSize Size `yaml:"max_put_size"`
	// Further users of the backend. A credential that names one acts as that user, so that its ownership, ACLs, policies
	// and quotas go on working. All must belong to the same RGW tenant.
	Users []BackendUserConfig `yaml:"users"`
}

// BackendUserConfig is an entry of backend.users.
type BackendUserConfig struct {
	// The name that credentials use for it.
	Name string `yaml:"name" example:"ann"`
	// Its access key on the backend.
	AccessKey string `yaml:"access_key" example:"ANNACCESSKEY"`
	// Its secret key on the backend.
	SecretKey access.Secret `yaml:"secret_key"`
	// A file that holds the secret key.
	SecretKeyFile string `yaml:"secret_key_file" example:"/run/secrets/cofre-backend-ann"`
}

// KeysConfig is the key keys.
type KeysConfig struct {
	// How old a KEK may become while new objects are sealed under it; 0 for any age. What lies under it stays as it is and
	// stays readable. Ninety days keep what one captured key opens to a season, at the cost of a few small documents.
	RotateAfter time.Duration `yaml:"rotate_after"`
	// How many objects may be sealed under a KEK, by all replicas; 0 for any number. It is counted now and then while the
	// KEK is in use, so some more may come under it.
	RotateObjects int `yaml:"rotate_objects"`
}

// MetadataConfig is the key metadata.
type MetadataConfig struct {
	// postgres://user:password@host/database for production, or sqlite:///path/to/file for a single process. Tables are
	// made and changed at start.
	URL access.Secret `yaml:"url" required:"true" example:"sqlite:///var/lib/cofre/metadata.db"`
	// A file that holds the URL.
	URLFile string `yaml:"url_file" example:"/run/secrets/cofre-metadata-url"`
	// How long a question to PostgreSQL may take, waiting for a free connection included. Then writes get 503 ServiceUnavailable
	// (what the backend has taken is done all the same), and reads go on without it.
	Timeout time.Duration `yaml:"timeout"`
}

// BackupConfig is the key backup.
type BackupConfig struct {
	// Where backups go: a directory that all replicas share, or s3://bucket/prefix/. Keep it away from what it is a backup of,
	// and at best from the storage too.
	To string `yaml:"to" example:"s3://cofre-backups/hospital-a/"`
	// How often serve makes one; 0 for never, so that only cofre backup does.
	Every time.Duration `yaml:"every"`
	// How many of this site's backups stay there; 0 for all. Older ones are removed once a new one was read back.
	Keep int `yaml:"keep"`
	// How long they stay there, as 720h; 0 for ever. The newest one stays in any case.
	KeepFor time.Duration `yaml:"keep_for"`
	// For s3://, where it is another storage than backend: its URL.
	Endpoint string `yaml:"endpoint" example:"https://s3.elsewhere.example.org"`
	// Its region.
	Region string `yaml:"region"`
	// The access key there. It needs to read, write and list below the prefix, and to delete if keep or keep_for are to do something.
	AccessKey string `yaml:"access_key" example:"BACKUPACCESSKEY"`
	// Its secret key.
	SecretKey access.Secret `yaml:"secret_key"`
	// A file that holds the secret key.
	SecretKeyFile string `yaml:"secret_key_file" example:"/run/secrets/cofre-backup"`
	// PEM file of certificates to trust for the endpoint, besides the system's.
	CAFile string `yaml:"ca_file" example:"/etc/cofre/backup-ca.pem"`
}

// CacheConfig is the key cache.
type CacheConfig struct {
	// redis://user:password@host:port/db, or rediss:// for TLS.
	Redis access.Secret `yaml:"redis" example:"redis://redis.example.org:6379/0"`
	// A file that holds the URL.
	RedisFile string `yaml:"redis_file" example:"/run/secrets/cofre-redis-url"`
	// How long it may take to answer, connecting included; what takes longer is asked of the store. After three answers in a row
	// that did not come, or one invalidation, it is left alone, and tried again after 250 ms to 10 s.
	Timeout time.Duration `yaml:"timeout"`
}

// BucketConfig is an entry of buckets.
type BucketConfig struct {
	// Bucket name, or a pattern in which * is any run of characters and ? any one.
	Name string `yaml:"name" example:"photos-*"`
	// What a read of an object gets that was not sealed by cofre: refuse, or pass (served as it is). With pass, whoever
	// runs the storage can put objects there that cofre serves; writes are sealed all the same.
	Unsealed string `yaml:"unsealed"`
	// Seal content type, user metadata and the like too. Switch it off where the backend must see them, or where its
	// limit on header sizes is too small.
	SealAttributes bool `yaml:"seal_attributes"`
	// Keep user metadata in clear in the metadata store, for search. Not in this version: true is refused.
	IndexMetadata bool `yaml:"index_metadata"`
	// What ETags are: md5 as everywhere in S3, or opaque, which is faster and takes from clients the check that they do
	// with an MD5 (docs/S3-COMPAT.md, Buckets without MD5).
	ETag string `yaml:"etag"`
	// What requests without credentials may do: any of read, list, write, delete; nothing by default. They go to the
	// backend unsigned, so it must allow them too.
	Anonymous Words `yaml:"anonymous" example:"[read]"`
	// The keys for which anonymous holds: prefixes, or patterns with * and ?. All keys where it is left out.
	AnonymousPrefixes []string `yaml:"anonymous_prefixes" example:"[public/]"`
}

// CredentialConfig is an entry of credentials.
type CredentialConfig struct {
	// The access key id that the client uses.
	AccessKey string `yaml:"access_key" example:"CFREEXAMPLE234567ABC"`
	// Its secret key.
	SecretKey access.Secret `yaml:"secret_key"`
	// A file that holds the secret key.
	SecretKeyFile string `yaml:"secret_key_file" example:"/run/secrets/cofre-client"`
	// The name of one of backend.users, as whom it acts on the backend. The site's own user where it is left out.
	User string `yaml:"user" example:"ann"`
	// What it may do. Nothing by default.
	Grants []GrantConfig `yaml:"grants"`
}

// GrantConfig is an entry of a credential's grants.
type GrantConfig struct {
	// Bucket name, or a pattern with * and ?.
	Bucket string `yaml:"bucket" example:"photos-*"`
	// Prefixes of keys, or patterns with * and ? that match whole keys. All keys and the bucket itself where it is left out.
	Prefixes []string `yaml:"prefixes" example:"[2026/, \"*.jpg\"]"`
	// Any of read, write, list, delete, admin. A listing is allowed where every key that it could show is covered.
	Actions Words `yaml:"actions" example:"[read, list]"`
}

// AuthenticationConfig is the key authentication.
type AuthenticationConfig struct {
	// Addresses or networks of the load balancers in front of cofre, whose X-Forwarded-For is believed. Set it wherever there
	// is one: else all clients seem to come from the balancer, and those who guess cannot be told from the others. Nobody is
	// believed where it is left out.
	TrustedProxies []string `yaml:"trusted_proxies" example:"[10.0.0.0/8]"`
	// How often one source (an IPv4 address, or the /64 of an IPv6 one) may send a wrong signature, or an unknown access key,
	// for one access key before its requests are answered 503 SlowDown without a look at them: for a second, and twice as
	// long after each further failure. Failures are forgotten after 15 minutes. A source that has signed rightly with an
	// access key in the last hour is never kept waiting with that one. Each process counts for itself; 0 slows nobody.
	KeyFailures int `yaml:"key_failures"`
	// The same for all access keys of one source together.
	SourceFailures int `yaml:"source_failures"`
	// The longest that a source has to wait.
	LongestWait time.Duration `yaml:"longest_wait"`
}

// RateConfig is an entry of rates.
type RateConfig struct {
	// Access key, or a pattern in which * is any run of characters and ? any one.
	AccessKey string `yaml:"access_key" example:"\"backup-*\""`
	// The entry is for requests without credentials instead, each address (each /64 network of IPv6) by itself. Behind a balancer
	// that authentication.trusted_proxies does not name, all have the balancer's.
	Anonymous bool `yaml:"anonymous"`
	// Requests in a second; more get 503 SlowDown with a Retry-After. 0: no limit.
	Requests int `yaml:"requests"`
	// Requests that may come at once after a while of few: up to a minute's worth. 0: a second's worth.
	RequestBurst int `yaml:"request_burst"`
	// Bytes that it may read in a second; more wait, so that downloads become slower. At least 1MiB; 0: no limit.
	Read Size `yaml:"read"`
	// Bytes that it may write in a second, likewise.
	Write Size `yaml:"write"`
}

// SweepConfig is the key sweep.
type SweepConfig struct {
	// How old an upload is that only the storage or only the metadata store knows before it is aborted or forgotten; 0 for never. What
	// both know is its client's, however old. A process that dies while it begins an upload leaves such a one.
	UploadAge time.Duration `yaml:"upload_age"`
	// How long tombstones are kept, by which an object is known that was replaced or deleted and that the storage puts back; 0 for
	// ever. Each takes about half a kilobyte of the metadata store. What was replaced longer ago can be put back unnoticed.
	TombstoneAge time.Duration `yaml:"tombstone_age"`
}

// LimitsConfig is the key limits.
type LimitsConfig struct {
	// Requests that one process serves at a time, 1 or more. As many again wait for their turn; what does not come to it within
	// queue_wait gets 503 SlowDown with a Retry-After. One credential gets four fifths of them at most, so that there is always
	// room for another, and the last eighth is for small requests alone (HEAD, deletes, bodies of up to 64 KiB).
	Requests int `yaml:"requests"`
	// What the requests being served may hold of memory, all together: half a MiB for an upload or a download whatever its
	// size, one for a copy, four for a listing. Shared out like requests. 0: half of GOMEMLIMIT or, where that is not set, of
	// nine tenths of the container's limit (cgroup); 512MiB where there is no limit. At least 96MiB.
	Memory Size `yaml:"memory"`
	// How long a request waits for its turn before it gets 503 SlowDown, above zero. Clients wait a minute at least for an
	// answer; a balancer in front may wait less.
	QueueWait time.Duration `yaml:"queue_wait"`
	// How long a conditional write waits for its key's lock. Ceph RGW drops an upload that stalls for a minute.
	LockWait time.Duration `yaml:"lock_wait"`
	// How many objects of one listing page are looked up at a time because they have no record yet.
	HealParallel int `yaml:"heal_parallel"`
	// How long requests in flight may go on after SIGTERM and drain_delay. Whoever supervises the process must wait for both.
	Drain time.Duration `yaml:"drain"`
	// How long after SIGTERM requests and new connections are still taken, while /readyz already says no and each answer asks the
	// client to connect anew. Give load balancers the time they need to notice: interval times failures of their checks. 0 where
	// nothing is in front of cofre and nothing else could answer.
	DrainDelay time.Duration `yaml:"drain_delay"`
	// How long serve waits at start for the KMS that guards the identity, and then for the metadata store.
	Startup time.Duration `yaml:"startup"`
	// How long a client may take to send the head of a request.
	HeaderTimeout time.Duration `yaml:"header_timeout"`
	// How long a client may send nothing of a body that it has announced; then it gets 400 RequestTimeout. A body as a whole may take
	// hours.
	UploadStall time.Duration `yaml:"upload_stall"`
	// How long a client may take nothing of an answer; then its connection is broken. Players pause for long.
	DownloadStall time.Duration `yaml:"download_stall"`
	// What a client must send of a body or take of an answer, in bytes for each second in which it is waited for: an upload that
	// stays below it for twice upload_stall of waiting gets 400 RequestTimeout, a download that does so for twice download_stall is
	// broken off.
	MinRate Size `yaml:"min_rate"`
	// Connections that one process takes, 16 or more. Beyond them the connection is closed that has been waiting for its next
	// request for longest; where none is, the new one gets 503 SlowDown.
	Connections int `yaml:"connections"`
	// Connections from one address (one /64 network of IPv6), likewise. A balancer in front is one address. 0: half of connections.
	ConnectionsPerSource int `yaml:"connections_per_source"`
	// How long a connection may be idle between requests. Load balancers should use less.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	// The largest head of a request.
	HeaderBytes Size `yaml:"header_bytes"`
	// How soon a stored credential that was removed is refused. Each process asks the store again after this time.
	CredentialTTL time.Duration `yaml:"credential_ttl"`
	// How long stored credentials that were used lately go on working while the store is down.
	CredentialGrace time.Duration `yaml:"credential_grace"`
}

// LogConfig is the key log.
type LogConfig struct {
	// debug, info, warn or error.
	Level string `yaml:"level"`
}

// defaultConfig is what holds where nothing is said.
func defaultConfig() Config {
	return Config{
		Listen:      ":9000",
		AdminListen: "127.0.0.1:9001",
		Region:      "us-east-1",
		Backend: BackendConfig{
			Region:       "us-east-1",
			SystemBucket: "cofre-system",
			MaxPutSize:   5 << 30,

			ConnectTimeout: 5 * time.Second,
			StallTimeout:   time.Minute,
			AnswerTimeout:  5 * time.Minute,
		},
		Backup:   BackupConfig{Every: 24 * time.Hour, Keep: 14, Region: "us-east-1"},
		Metadata: MetadataConfig{Timeout: 10 * time.Second},
		Cache:    CacheConfig{Timeout: 50 * time.Millisecond},
		Keys:     KeysConfig{RotateAfter: 90 * 24 * time.Hour, RotateObjects: 1 << 24},
		Authentication: AuthenticationConfig{
			KeyFailures:    access.DefaultKeyFailures,
			SourceFailures: access.DefaultSourceFailures,
			LongestWait:    access.DefaultLongestWait,
		},
		Sweep: SweepConfig{UploadAge: 7 * 24 * time.Hour},
		Limits: LimitsConfig{
			Requests:        admission.DefaultRequests,
			QueueWait:       admission.DefaultWait,
			LockWait:        10 * time.Second,
			HealParallel:    64,
			Drain:           30 * time.Second,
			DrainDelay:      5 * time.Second,
			Startup:         30 * time.Second,
			HeaderTimeout:   20 * time.Second,
			UploadStall:     time.Minute,
			DownloadStall:   15 * time.Minute,
			MinRate:         1 << 10,
			Connections:     8192,
			IdleTimeout:     2 * time.Minute,
			HeaderBytes:     64 << 10,
			CredentialTTL:   access.DefaultTTL,
			CredentialGrace: access.DefaultGrace,
		},
		Log: LogConfig{Level: "info"},
	}
}

// setDefaults fills a new entry of buckets.
func (b *BucketConfig) setDefaults() {
	b.Unsealed, b.SealAttributes, b.ETag = "refuse", true, "md5"
}
