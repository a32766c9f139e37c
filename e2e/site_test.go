package e2e_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

const region = "us-east-1"

// site is one cofre installation: an identity, a database, a Redis database, a system bucket, a client credential. Its
// replicas share all of these.
type site struct {
	t      *testing.T
	dir    string
	rgw    rgw
	access string
	secret string

	systemBucket string
	moreConfig   string // YAML behind what every site has
	drainDelay   string // limits.drain_delay; 0s where empty: most tests have nobody who would go elsewhere meanwhile
	postgres     string // URL of the server's own database
	database     string // name of this site's
	redis        string // URL
}

// rgw is the backend and a user of it.
type rgw struct {
	endpoint, access, secret string
}

// backendOf gives the real gateway, as the site's own user.
func backendOf(t *testing.T) rgw {
	t.Helper()
	return rgw{
		endpoint: service(t, "rgw", "COFRE_TEST_RGW"),
		access:   service(t, "rgw", "COFRE_TEST_RGW_ACCESS_KEY"),
		secret:   service(t, "rgw", "COFRE_TEST_RGW_SECRET_KEY"),
	}
}

// redisDatabase numbers the Redis databases that sites take in turn; Redis has 16.
var redisDatabase atomic.Int64

// otherUserOf gives the same gateway, as a user who has nothing to do with the site's own.
func otherUserOf(t *testing.T) rgw {
	t.Helper()
	return rgw{
		endpoint: service(t, "rgw", "COFRE_TEST_RGW"),
		access:   service(t, "rgw", "COFRE_TEST_RGW_ALT_ACCESS_KEY"),
		secret:   service(t, "rgw", "COFRE_TEST_RGW_ALT_SECRET_KEY"),
	}
}

// newSite makes a site with an identity of its own. systemBucket is empty for one of its own too.
func newSite(t *testing.T, systemBucket string) *site {
	t.Helper()
	return newSiteAs(t, backendOf(t), systemBucket)
}

// newSiteAs makes a site that is a certain user of the gateway.
func newSiteAs(t *testing.T, backend rgw, systemBucket string) *site {
	t.Helper()
	s := &site{
		t: t, dir: t.TempDir(), rgw: backend,
		access: "E2E" + strings.ToUpper(randomHex(8)), secret: randomHex(20),
		systemBucket: systemBucket,
		postgres:     service(t, "postgres", "COFRE_TEST_POSTGRES"),
		database:     "cofre_e2e_" + randomHex(6),
	}
	if systemBucket == "" {
		s.systemBucket = "cofre-system-" + randomHex(6)
	}
	u, err := url.Parse(service(t, "redis", "COFRE_TEST_REDIS"))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = fmt.Sprintf("/%d", 1+redisDatabase.Add(1)%15)
	s.redis = u.String()
	s.flushRedis()
	s.createDatabase()
	t.Cleanup(s.dropDatabase)

	s.write("passphrase", randomHex(16))
	s.write("backend_secret", s.rgw.secret)
	s.write("client_secret", s.secret)
	s.write("metadata_url", s.metadataURL())
	out, err := s.command("site", "init", "--config", s.writeConfig("init", "127.0.0.1:0", "127.0.0.1:0")).CombinedOutput()
	if err != nil {
		t.Fatalf("cofre site init: %v\n%s", err, out)
	}
	return s
}

func (s *site) write(name, content string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *site) writeConfig(name, listen, admin string) string {
	s.t.Helper()
	return s.write(name+".yaml", fmt.Sprintf(`listen: %q
admin_listen: %q
site:
  identity: %s/site.age
  passphrase_file: %s/passphrase
backend:
  endpoint: %s
  region: %s
  access_key: %s
  secret_key_file: %s/backend_secret
  system_bucket: %s
  max_put_size: 5370019984
metadata:
  url_file: %s/metadata_url
cache:
  redis: %s
credentials:
  - access_key: %s
    secret_key_file: %s/client_secret
    grants:
      - {bucket: "*", actions: [read, write, list, delete, admin]}
%s`, listen, admin, s.dir, s.dir, s.rgw.endpoint, region, s.rgw.access, s.dir, s.systemBucket, s.dir, s.redis, s.access, s.dir, s.moreConfig))
}

// command is cofre with an environment that says nothing of its configuration.
func (s *site) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Dir = s.dir
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "COFRE_") {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	return cmd
}

func (s *site) metadataURL() string {
	u, err := url.Parse(s.postgres)
	if err != nil {
		s.t.Fatal(err)
	}
	u.Path = "/" + s.database
	return u.String()
}

func (s *site) createDatabase() {
	s.t.Helper()
	s.sql("CREATE DATABASE " + s.database)
}

func (s *site) dropDatabase() {
	s.t.Helper()
	s.sql("DROP DATABASE IF EXISTS " + s.database + " WITH (FORCE)")
}

func (s *site) sql(statement string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.postgres)
	if err != nil {
		s.t.Fatalf("connect to PostgreSQL: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		s.t.Fatalf("%s: %v", statement, err)
	}
}

func (s *site) flushRedis() {
	s.t.Helper()
	options, err := redis.ParseURL(s.redis)
	if err != nil {
		s.t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	if err := client.FlushDB(s.t.Context()).Err(); err != nil {
		s.t.Fatalf("flush Redis: %v", err)
	}
}

// replica is one running cofre process of a site.
type replica struct {
	*site
	name     string
	endpoint string // http://127.0.0.1:port
	admin    string
	log      string // file
	cmd      *exec.Cmd
	exited   chan struct{} // closed when the process has ended
}

// start runs a replica and waits until it is ready. A test that fails shows the end of its log.
func (s *site) start(t *testing.T, name string) *replica {
	t.Helper()
	r := &replica{
		site: s, name: name,
		endpoint: "http://" + freeAddress(t), admin: "http://" + freeAddress(t),
		log: filepath.Join(s.dir, name+".log"),
	}
	t.Cleanup(func() {
		r.stop(t)
		if t.Failed() {
			t.Logf("end of the log of %s:\n%s", r.name, r.logTail(40))
		}
	})
	r.restart(t)
	return r
}

// restart starts the process on the addresses it had before.
func (r *replica) restart(t *testing.T) {
	t.Helper()
	listen, admin := strings.TrimPrefix(r.endpoint, "http://"), strings.TrimPrefix(r.admin, "http://")
	log, err := os.OpenFile(r.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r.cmd = r.command("serve", "--config", r.writeConfig(r.name, listen, admin))
	r.cmd.Env = append(r.cmd.Env, "COFRE_LIMITS_DRAIN_DELAY="+cmp.Or(r.drainDelay, "0s"))
	r.cmd.Stdout, r.cmd.Stderr = log, log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	r.exited = exited
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait() // how it ended is in cmd.ProcessState
		close(exited)
	}(r.cmd)
	r.waitReady(t)
}

func (r *replica) waitReady(t *testing.T) {
	t.Helper()
	client := &http.Client{Timeout: 2 * time.Second}
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); {
		select {
		case <-r.exited:
			t.Fatalf("cofre ended before it was ready: %v\n%s", r.cmd.ProcessState, r.logTail(40))
		case <-time.After(20 * time.Millisecond):
		}
		resp, err := client.Get(r.admin + "/readyz")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatalf("cofre is not ready after a minute\n%s", r.logTail(40))
}

// stop ends the process as an operator does.
func (r *replica) stop(t *testing.T) { r.end(t, syscall.SIGTERM) }

// kill ends the process as a crash does.
func (r *replica) kill(t *testing.T) { r.end(t, syscall.SIGKILL) }

func (r *replica) end(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if r.cmd == nil || r.cmd.Process == nil {
		return
	}
	if err := r.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%v: %v", signal, err)
	}
	select {
	case <-r.exited:
	case <-time.After(90 * time.Second):
		t.Errorf("cofre goes on 90 s after %v", signal)
		_ = r.cmd.Process.Kill()
		<-r.exited
	}
}

func (r *replica) logTail(lines int) string {
	raw, err := os.ReadFile(r.log)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}

// client is the AWS SDK pointed at cofre, with default settings but path style.
func (r *replica) client() *s3.Client { return sdkClient(r.endpoint, r.access, r.secret) }

// client is the AWS SDK pointed at the gateway itself: what the storage operator sees.
func (b rgw) client() *s3.Client { return sdkClient(b.endpoint, b.access, b.secret) }

func sdkClient(endpoint, access, secret string, options ...func(*s3.Options)) *s3.Client {
	return s3.New(s3.Options{
		Region: region, BaseEndpoint: aws.String(endpoint), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(access, secret, ""),
	}, options...)
}

// bucket makes a bucket through cofre.
func (r *replica) bucket(t *testing.T, prefix string) string {
	t.Helper()
	name := prefix + "-" + randomHex(6)
	if _, err := r.client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatalf("create bucket: %v", err)
	}
	return name
}

func randomHex(n int) string {
	raw := make([]byte, n)
	rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}

// freeAddress gives a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
