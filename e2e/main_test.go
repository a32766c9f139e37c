// Package e2e_test drives the cofre binary as its users do: real clients on one side, real Ceph RGW, PostgreSQL and Redis on
// the other. `deploy/testenv/run DIR -- go test ./e2e/` brings the services; without them the tests are left out, unless
// COFRE_TEST_REQUIRE names what must be there.
package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// binary is the cofre under test, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(runMain(m))
}

func runMain(m *testing.M) int {
	if os.Getenv("COFRE_TEST_RGW") == "" && !required("rgw") {
		return m.Run() // every test says itself what it lacks
	}
	dir, err := os.MkdirTemp("", "cofre-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "cofre")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "../cmd/cofre")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build ./cmd/cofre: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// required says whether COFRE_TEST_REQUIRE names a service or tool: then its absence is a failure.
func required(name string) bool {
	return slices.Contains(strings.Split(os.Getenv("COFRE_TEST_REQUIRE"), ","), name)
}

// lack ends a test for want of a service or tool.
func lack(t *testing.T, name, why string) {
	t.Helper()
	if required(name) {
		t.Fatalf("%s is required but %s", name, why)
	}
	t.Skipf("without %s: %s", name, why)
}

// service gives the value of a variable that names a service.
func service(t *testing.T, name, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		lack(t, name, variable+" is not set")
	}
	return value
}

// tool gives the path of a client program.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		lack(t, name, "is not on PATH")
	}
	return path
}
