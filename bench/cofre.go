package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cofreSite is an installation of cofre in a directory: its identity and its configuration.
type cofreSite struct {
	binary, dir, name, config string
	address, admin            string
	access, secret            string
	profiles                  bool
	*process
}

// buckets of the bench. Those of cofre hold sealed objects, the other one plain ones, for whoever goes straight or through nginx.
type buckets struct{ sealed, opaque, plain, system string }

const cofreConfig = `listen: %q
admin_listen: %q
admin_pprof: %[9]t
site:
  identity: %[3]s/site.age
  passphrase_file: %[3]s/passphrase
backend:
  endpoint: http://%[4]s
  access_key: %[5]q
  secret_key_file: %[3]s/backend_secret
  system_bucket: %[6]q
metadata:
  url_file: %[3]s/metadata_url
buckets:
  - name: %[7]q
    etag: opaque
limits:
  drain_delay: 0s
credentials:
  - access_key: %[8]q
    secret_key_file: %[3]s/client_secret
    grants:
      - {bucket: "*", actions: [read, write, list, delete, admin]}
`

// buildCofre builds the binary as `make build` does.
func buildCofre(dir string) (string, error) {
	binary := filepath.Join(dir, "cofre")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "cofre/cmd/cofre")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build cofre/cmd/cofre: %w\n%s", err, out)
	}
	return binary, nil
}

func newCofre(binary, dir, name string, backend Endpoint, database string, b buckets, profiles bool) (*cofreSite, error) {
	c := &cofreSite{binary: binary, profiles: profiles, dir: filepath.Join(dir, name), name: name, access: "BENCH" + rand.Text()[:12], secret: rand.Text()}
	c.config = filepath.Join(c.dir, "cofre.yaml")
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if c.address, err = freeAddress(); err != nil {
		return nil, err
	}
	if c.admin, err = freeAddress(); err != nil {
		return nil, err
	}
	for file, content := range map[string]string{
		"passphrase": rand.Text(), "backend_secret": backend.Secret, "client_secret": c.secret, "metadata_url": database,
	} {
		if err := os.WriteFile(filepath.Join(c.dir, file), []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	if err := c.configure(backend, b); err != nil {
		return nil, err
	}
	if out, err := c.command("site", "init", "--config", c.config).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cofre site init: %w\n%s", err, out)
	}
	return c, nil
}

func (c *cofreSite) configure(backend Endpoint, b buckets) error {
	text := fmt.Appendf(nil, cofreConfig, c.address, c.admin, c.dir, backend.Address, backend.Access, b.system, b.opaque, c.access, c.profiles)
	return os.WriteFile(c.config, text, 0o600)
}

// command is cofre with an environment that says nothing of its configuration.
func (c *cofreSite) command(args ...string) *exec.Cmd {
	cmd := exec.Command(c.binary, args...)
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "COFRE_") {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	return cmd
}

// serve starts it and gives the time until it answered its first request: until then a client is refused its connection.
func (c *cofreSite) serve(ctx context.Context) (took time.Duration, err error) {
	begin := time.Now()
	if c.process, err = start(c.dir, "serve", c.command("serve", "--config", c.config)); err != nil {
		return 0, err
	}
	err = c.ready(ctx, 30*time.Second, time.Millisecond, func() bool {
		resp, err := http.Get("http://" + c.address + "/") //nolint:noctx // the deadline is ready's
		return err == nil && resp.Body.Close() == nil
	})
	took = time.Since(begin)
	if err != nil {
		c.stop()
	}
	return took, err
}

func (c *cofreSite) endpoint() Endpoint {
	return Endpoint{Address: c.address, Host: c.address, Access: c.access, Secret: c.secret}
}

// allocations is what the process has allocated since its start.
type allocations struct{ count, bytes float64 }

// allocated reads it from /metrics.
func (c *cofreSite) allocated(ctx context.Context) (a allocations, err error) {
	text, err := c.adminGet(ctx, "/metrics")
	if err != nil {
		return a, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name {
		case "go_memstats_mallocs_total":
			a.count, err = strconv.ParseFloat(value, 64)
		case "go_memstats_alloc_bytes_total":
			a.bytes, err = strconv.ParseFloat(value, 64)
		}
		if err != nil {
			return a, err
		}
	}
	if a.count == 0 || a.bytes == 0 {
		return a, fmt.Errorf("/metrics does not say what was allocated")
	}
	return a, nil
}

func (c *cofreSite) adminGet(ctx context.Context, path string) ([]byte, error) {
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.admin+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(rq)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %.200s", path, resp.StatusCode, body)
	}
	return body, err
}
