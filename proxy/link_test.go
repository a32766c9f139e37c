package proxy_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// link is the way from cofre to one of its neighbours, or from a client to cofre, where a network can fail.
type link struct {
	t        *testing.T
	server   *toxiproxy.ApiServer
	proxy    *toxiproxy.Proxy
	address  string // where it is entered
	upstream string // where it leads to
}

// newLink opens a way to upstream, a host and port. It ends with the test.
func newLink(t *testing.T, upstream string) *link {
	t.Helper()
	l := &link{t: t, server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), address: "127.0.0.1:0", upstream: upstream}
	l.open()
	t.Cleanup(l.close)
	return l
}

// linkTo opens a way to the server of a URL, and gives the URL that leads there by this way.
func linkTo(t *testing.T, target string) (*link, string) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal("the target is no URL") // the error would show a password
	}
	l := newLink(t, u.Host)
	u.Host = l.address
	return l, u.String()
}

func (l *link) open() {
	l.proxy = toxiproxy.NewProxy(l.server, "link", l.address, l.upstream)
	if err := l.proxy.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.address = l.proxy.Listen
}

// close breaks all connections, and refuses new ones.
func (l *link) close() { l.proxy.Stop() }

// heal opens the way again, without faults. Connections of before are broken.
func (l *link) heal() {
	l.close()
	l.open()
}

// suffer brings a fault about, on the connections that there are and on new ones.
func (l *link) suffer(f fault) {
	l.t.Helper()
	for i, toxic := range f.toxics {
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(toxic, i))); err != nil {
			l.t.Fatalf("%s: %v", f.name, err)
		}
	}
	if f.toxics == nil {
		l.close()
	}
}

// fault is one way in which a link fails.
type fault struct {
	name string
	// toxics are toxiproxy's, as JSON with a place for a number; none: the link is down.
	toxics []string
	// mild says that it is only slow: nothing may fail.
	mild bool
}

// down says that nothing at all gets through.
func (f fault) down() bool { return f.toxics == nil || strings.HasPrefix(f.name, "swallows") }

func toxic(kind, direction, attributes string) string {
	return `{"name": "t%d", "type": "` + kind + `", "stream": "` + direction + `", "attributes": {` + attributes + `}}`
}

func bothWays(kind, attributes string) []string {
	return []string{toxic(kind, "upstream", attributes), toxic(kind, "downstream", attributes)}
}

// faults are all those that links suffer here. Amounts of data are chosen to end in the head of a request, in its body, in its
// last bytes, and in the same places of an answer.
func faults() []fault {
	all := []fault{
		{name: "slow and sliced", mild: true, toxics: append(bothWays("latency", `"latency": 5, "jitter": 5`),
			toxic("slicer", "upstream", `"average_size": 1000, "size_variation": 500, "delay": 100`), toxic("slicer", "downstream", `"average_size": 1000, "size_variation": 500, "delay": 100`))},
		{name: "narrow and slow to close", mild: true, toxics: append(bothWays("bandwidth", `"rate": 4000`), bothWays("slow_close", `"delay": 50`)...)},
		{name: "refused"},
		{name: "reset", toxics: []string{toxic("reset_peer", "upstream", `"timeout": 0`)}},
		{name: "reset answers", toxics: []string{toxic("reset_peer", "downstream", `"timeout": 0`)}},
		{name: "swallows requests", toxics: []string{toxic("timeout", "upstream", `"timeout": 0`)}},
		{name: "swallows answers", toxics: []string{toxic("timeout", "downstream", `"timeout": 0`)}},
		{name: "a byte a second out", toxics: []string{toxic("slicer", "upstream", `"average_size": 1, "size_variation": 0, "delay": 1000000`)}},
		{name: "a byte a second back", toxics: []string{toxic("slicer", "downstream", `"average_size": 1, "size_variation": 0, "delay": 1000000`)}},
	}
	for _, n := range []int{300, 1200, 30_000} {
		all = append(all, fault{name: fmt.Sprint("cut after sending ", n), toxics: []string{toxic("limit_data", "upstream", fmt.Sprintf(`"bytes": %d`, n))}})
	}
	for _, n := range []int{0, 250, 900, 70_000} {
		all = append(all, fault{name: fmt.Sprint("cut after receiving ", n), toxics: []string{toxic("limit_data", "downstream", fmt.Sprintf(`"bytes": %d`, n))}})
	}
	return all
}
