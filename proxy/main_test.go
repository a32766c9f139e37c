package proxy_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"testing"

	"go.uber.org/goleak"

	"cofre/checksum"
	"cofre/proxy"
)

// clientTransport is shared by all clients of these tests, so that its idle connections can be closed before leaks are
// looked for.
var clientTransport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}

// TestMain fails when the tests leave a goroutine behind: a request that never ends, a body that nobody closed.
func TestMain(m *testing.M) {
	flag.Parse()
	if seed := flag.Lookup("rapid.seed"); os.Getenv("COFRE_TEST_LONG") == "" && seed.Value.String() == seed.DefValue {
		// The short form is the same each time, so that a change is to blame for what it fails at; the long form looks for more.
		_ = seed.Value.Set("1")
	}
	proxy.WaitBriefly()
	code := m.Run()
	clientTransport.CloseIdleConnections()
	if code == 0 {
		if err := goleak.Find(toolsOwn()...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		if n := checksum.Hashing(); n != 0 {
			fmt.Fprintf(os.Stderr, "%d bodies are being hashed that nobody sends\n", n)
			code = 1
		}
	}
	os.Exit(code)
}

// toolsOwn are goroutines that are nobody's fault here: a cache cleans up for as long as its handler is reachable, in the binary as
// long as the process, as do the servers that hash bodies in lanes, and what brings them pieces; toxiproxy leaves those of a connection
// behind whose other end has gone while there was something to say.
func toolsOwn() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/maypok86/otter/v2.periodicCleanUp[...]"),
		goleak.IgnoreAnyFunction("github.com/minio/md5-simd.(*md5Server).process"),
		goleak.IgnoreAnyFunction("cofre/checksum.(*group).send"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).read"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
	}
}
