package proxy_test

import (
	"fmt"
	"net/http"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// clientTransport is shared by all clients of these tests, so that its idle connections can be closed before leaks are
// looked for.
var clientTransport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}

// TestMain fails when the tests leave a goroutine behind: a request that never ends, a body that nobody closed.
func TestMain(m *testing.M) {
	code := m.Run()
	clientTransport.CloseIdleConnections()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
