package proxy_test

import (
	"fmt"
	"net/http"
	"os"
	"testing"

	"go.uber.org/goleak"

	"cofre/proxy"
)

// clientTransport is shared by all clients of these tests, so that its idle connections can be closed before leaks are
// looked for.
var clientTransport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}

// TestMain fails when the tests leave a goroutine behind: a request that never ends, a body that nobody closed.
func TestMain(m *testing.M) {
	proxy.WaitBriefly()
	code := m.Run()
	clientTransport.CloseIdleConnections()
	if code == 0 {
		// A cache cleans up for as long as its handler is reachable, in the binary as long as the process.
		caches := goleak.IgnoreAnyFunction("github.com/maypok86/otter/v2.periodicCleanUp[...]")
		if err := goleak.Find(caches); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
