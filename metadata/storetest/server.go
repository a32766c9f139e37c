package storetest

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Server gives the URL of a server to test against, which the environment variable env holds (deploy/testenv sets it).
// Without one the test is skipped, or fails where COFRE_TEST_REQUIRE, a list with commas between, names the service.
func Server(tb testing.TB, service, env string) string {
	tb.Helper()
	if url := os.Getenv(env); url != "" {
		return url
	}
	if slices.Contains(strings.Split(os.Getenv("COFRE_TEST_REQUIRE"), ","), service) {
		tb.Fatalf("%s is not set, and COFRE_TEST_REQUIRE names %s", env, service)
	}
	tb.Skipf("%s is not set: no %s to test against", env, service)
	return ""
}
