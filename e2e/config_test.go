package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The configurations that the project ships are accepted as they are, once their secrets are there.
func TestShippedConfigurationsAreAccepted(t *testing.T) {
	s := newSite(t, "")
	accept := func(name, config string) {
		t.Helper()
		for _, moved := range []struct{ from, to string }{
			{"/run/secrets/", s.dir + "/"}, {"/etc/cofre/secrets/", s.dir + "/"}, {"/var/lib/cofre/", s.dir + "/"},
		} {
			config = strings.ReplaceAll(config, moved.from, moved.to)
		}
		out, err := s.command("config", "check", "--config", s.write(name, config)).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	s.write("site_passphrase", readFile(t, filepath.Join(s.dir, "passphrase")))
	s.write("backend_secret_key", s.rgw.secret)
	s.write("client_secret_key", s.secret)
	s.write("redis_url", s.redis)
	accept("compose.yaml", readFile(t, "../deploy/compose/cofre.yaml"))

	var manifest struct {
		Data map[string]string `yaml:"data"`
	}
	if err := yaml.Unmarshal([]byte(readFile(t, "../deploy/kubernetes/cofre.yaml")), &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Data["cofre.yaml"] == "" {
		t.Fatal("deploy/kubernetes/cofre.yaml begins with no configuration")
	}
	accept("kubernetes.yaml", manifest.Data["cofre.yaml"])
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
