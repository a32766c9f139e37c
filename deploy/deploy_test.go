// Package deploy_test holds what is true of the files an operator starts from: they name no secret, pin what they run, and
// speak of metrics, runbook sections and files that exist.
package deploy_test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"cofre/seal"
)

const root = ".."

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func decode(t *testing.T, path string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, path)), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

type composeFile struct {
	Services map[string]struct {
		Image       string            `yaml:"image"`
		Build       any               `yaml:"build"`
		Ports       []string          `yaml:"ports"`
		Networks    []string          `yaml:"networks"`
		NetworkMode string            `yaml:"network_mode"`
		Environment map[string]string `yaml:"environment"`
		Volumes     []string          `yaml:"volumes"`
		Secrets     []string          `yaml:"secrets"`
		Healthcheck *struct {
			Test    []string `yaml:"test"`
			Disable bool     `yaml:"disable"`
		} `yaml:"healthcheck"`
	} `yaml:"services"`
	Networks map[string]struct {
		Internal bool `yaml:"internal"`
	} `yaml:"networks"`
	Volumes map[string]any `yaml:"volumes"`
	Secrets map[string]struct {
		File string `yaml:"file"`
	} `yaml:"secrets"`
}

func compose(t *testing.T) composeFile {
	t.Helper()
	var c composeFile
	decode(t, "docker-compose.yml", &c)
	for _, name := range []string{"cofre", "postgres", "redis", "rgw", "prometheus", "grafana"} {
		if _, ok := c.Services[name]; !ok {
			t.Fatalf("service %s is missing", name)
		}
	}
	return c
}

func TestComposePublishesCofreAlone(t *testing.T) {
	c := compose(t)
	if !c.Networks["storage"].Internal {
		t.Error("network storage is not internal")
	}
	for name, s := range c.Services {
		if published := len(s.Ports) > 0; published != (name == "cofre") {
			t.Errorf("%s: ports %v", name, s.Ports)
		}
		if name != "cofre" && s.NetworkMode != "none" && !slices.Equal(s.Networks, []string{"storage"}) {
			t.Errorf("%s: networks %v", name, s.Networks)
		}
		if s.Healthcheck == nil || (len(s.Healthcheck.Test) == 0 && !s.Healthcheck.Disable) {
			t.Errorf("%s has no health check", name)
		}
	}
}

func TestComposePinsEveryImage(t *testing.T) {
	pinned := regexp.MustCompile(`:v?\d+\.\d+\.?\d*[a-z0-9.-]*$|@sha256:[0-9a-f]{64}$`)
	for name, s := range compose(t).Services {
		if s.Build == nil && !pinned.MatchString(s.Image) {
			t.Errorf("%s: image %q is not pinned", name, s.Image)
		}
	}
	from := regexp.MustCompile(`(?m)^FROM (\S+)`)
	for _, path := range []string{"Dockerfile", "deploy/compose/ceph/Dockerfile"} {
		bases := from.FindAllStringSubmatch(read(t, path), -1)
		if len(bases) == 0 {
			t.Errorf("%s has no FROM", path)
		}
		for _, base := range bases {
			if base[1] != "scratch" && !pinned.MatchString(base[1]) {
				t.Errorf("%s: base %q is not pinned", path, base[1])
			}
		}
	}
}

func TestComposeHoldsNoSecret(t *testing.T) {
	c := compose(t)
	initScript := read(t, "deploy/compose/init")
	for name, s := range c.Secrets {
		if s.File != "deploy/compose/secrets/"+name {
			t.Errorf("secret %s comes from %q", name, s.File)
		}
		if !strings.Contains(initScript, name) {
			t.Errorf("deploy/compose/init does not make %s", name)
		}
	}
	if !strings.Contains(read(t, ".gitignore"), "/deploy/compose/secrets/") {
		t.Error("the secrets are not ignored by git")
	}
	suspicious := regexp.MustCompile(`(?i)pass|secret|token|key`)
	for name, s := range c.Services {
		for _, secret := range s.Secrets {
			if _, ok := c.Secrets[secret]; !ok {
				t.Errorf("%s: secret %s is not declared", name, secret)
			}
		}
		for variable, value := range s.Environment {
			if suspicious.MatchString(variable) && variable != "RGW_ACCESS_KEY" && !strings.HasPrefix(value, "/run/secrets/") {
				t.Errorf("%s: %s is not a secret's file", name, variable)
			}
		}
	}
	uses := regexp.MustCompile(`/run/secrets/(\w+)`).FindAllStringSubmatch(read(t, "deploy/compose/cofre.yaml"), -1)
	if len(uses) == 0 {
		t.Fatal("cofre.yaml uses no secret")
	}
	for _, use := range uses {
		if !slices.Contains(c.Services["cofre"].Secrets, use[1]) {
			t.Errorf("cofre.yaml uses %s, which cofre is not given", use[1])
		}
	}
}

func TestComposeMountsWhatExists(t *testing.T) {
	c := compose(t)
	for name, s := range c.Services {
		for _, volume := range s.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if path, ok := strings.CutPrefix(source, "./"); ok {
				if _, err := os.Stat(filepath.Join(root, path)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			} else if _, ok := c.Volumes[source]; !ok {
				t.Errorf("%s: volume %s is not declared", name, source)
			}
		}
	}
}

// A body of S3's largest size must pass the gateway in its sealed form too.
func TestBackendLimitTakesASealedBodyOf5GiB(t *testing.T) {
	want := strconv.FormatInt(seal.StoredSize(5<<30), 10)
	if !strings.Contains(read(t, "deploy/compose/cofre.yaml"), "max_put_size: "+want) {
		t.Errorf("deploy/compose/cofre.yaml: max_put_size is not %s", want)
	}
	const sum = "5 * 1024 ** 3 + 64 + 16 * 81920 + 80"
	if want != strconv.Itoa(5*1024*1024*1024+64+16*81920+80) {
		t.Errorf("%s is not %s", sum, want)
	}
	for _, path := range []string{"deploy/compose/ceph/start", "deploy/testenv/ceph.sh"} {
		if !strings.Contains(read(t, path), "$(("+sum+"))") {
			t.Errorf("%s does not raise rgw_max_put_size to %s", path, sum)
		}
	}
}

func TestKubernetesDocumentsParse(t *testing.T) {
	d := yaml.NewDecoder(strings.NewReader(read(t, "deploy/kubernetes/cofre.yaml")))
	var kinds []string
	for {
		var doc struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string `yaml:"kind"`
		}
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if doc.APIVersion == "" {
			t.Errorf("%s has no apiVersion", doc.Kind)
		}
		kinds = append(kinds, doc.Kind)
	}
	want := []string{"ConfigMap", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"}
	if !slices.Equal(kinds, want) {
		t.Errorf("kinds %v, want %v", kinds, want)
	}
}

type alertFile struct {
	Groups []struct {
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

var metricName = regexp.MustCompile(`\bcofre_[a-z_]+`)

// declaredMetrics are the names that the code gives to metrics.
func declaredMetrics(t *testing.T) map[string]bool {
	t.Helper()
	declared := map[string]bool{}
	name := regexp.MustCompile(`Name:\s+"(cofre_[a-z_]+)"`)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, match := range name.FindAllSubmatch(raw, -1) {
			declared[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(declared) == 0 {
		t.Fatal("the code declares no metric")
	}
	return declared
}

func checkMetrics(t *testing.T, where, expr string, declared map[string]bool) {
	t.Helper()
	for _, name := range metricName.FindAllString(expr, -1) {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		if !declared[name] && !declared[base] {
			t.Errorf("%s: the code has no metric %s", where, name)
		}
	}
}

func TestAlertsNameMetricsAndRunbookSectionsThatExist(t *testing.T) {
	var alerts alertFile
	decode(t, "deploy/prometheus/alerts.yml", &alerts)
	if len(alerts.Groups) == 0 || len(alerts.Groups[0].Rules) == 0 {
		t.Fatal("no alerts")
	}
	declared := declaredMetrics(t)
	anchors := map[string]bool{}
	for line := range strings.Lines(read(t, "docs/RUNBOOK.md")) {
		if title, ok := strings.CutPrefix(strings.TrimSpace(line), "## "); ok {
			anchors["docs/RUNBOOK.md#"+anchor(title)] = true
		}
	}
	for _, group := range alerts.Groups {
		for _, rule := range group.Rules {
			checkMetrics(t, rule.Alert, rule.Expr, declared)
			if !anchors[rule.Annotations["runbook"]] {
				t.Errorf("%s: no section %q", rule.Alert, rule.Annotations["runbook"])
			}
			if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" {
				t.Errorf("%s has no severity or summary", rule.Alert)
			}
		}
	}
}

// anchor is how a Markdown viewer names a heading.
func anchor(title string) string {
	kept := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(title), "")
	return strings.ReplaceAll(kept, " ", "-")
}

func TestDashboardShowsMetricsThatExist(t *testing.T) {
	var dashboard struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/dashboards/cofre.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	declared := declaredMetrics(t)
	for _, panel := range dashboard.Panels {
		if len(panel.Targets) == 0 {
			t.Errorf("panel %q shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			checkMetrics(t, panel.Title, target.Expr, declared)
		}
	}
	if len(dashboard.Panels) == 0 {
		t.Error("the dashboard is empty")
	}
}

// A path in backquotes that begins with one of the project's directories must exist.
func TestDocsNamePathsThatExist(t *testing.T) {
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(docs) == 0 {
		t.Fatalf("no docs: %v", err)
	}
	docs = append(docs, filepath.Join(root, "README.md"))
	path := regexp.MustCompile("`((?:access|backend|checksum|cmd|deploy|docs|e2e|keys|metadata|proxy|s3api|seal|sigv4|\\.ci)/[A-Za-z0-9_./-]*)`")
	for _, doc := range docs {
		raw, err := os.ReadFile(doc)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range path.FindAllSubmatch(raw, -1) {
			if _, err := os.Stat(filepath.Join(root, string(match[1]))); err != nil {
				t.Errorf("%s names %s: %v", filepath.Base(doc), match[1], err)
			}
		}
	}
}
