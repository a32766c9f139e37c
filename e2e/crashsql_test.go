package e2e_test

import (
	"bufio"
	bigendian "encoding/binary" // this package has a binary of its own
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// steppingDatabase stands between cofre and PostgreSQL. A step is a round trip that runs a statement about objects, uploads, keys
// or locks; what a process asks for by itself every few seconds (is it alive, are there jobs, has trust changed) passes uncounted.
type steppingDatabase struct {
	stops
	url      string
	upstream string
	listener net.Listener
	ended    sync.WaitGroup
}

var countedSQL = regexp.MustCompile(`(?i)\b(objects|object_parts|uploads|upload_parts|keks|next_identity|guarded_buckets|pg_advisory_xact_lock)\b|UPDATE trust_list|INSERT INTO trust_list`)

func newSteppingDatabase(t *testing.T, behind string) *steppingDatabase {
	t.Helper()
	u, err := url.Parse(behind)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &steppingDatabase{stops: stops{passive: readsOnly}, upstream: u.Host, listener: listener}
	u.Host = listener.Addr().String()
	q := u.Query()
	q.Set("sslmode", "disable") // the relay reads along
	u.RawQuery = q.Encode()
	d.url = u.String()
	d.ended.Go(d.accept)
	t.Cleanup(func() { listener.Close(); d.ended.Wait() })
	return d
}

func (d *steppingDatabase) accept() {
	for {
		client, err := d.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", d.upstream)
		if err != nil {
			client.Close()
			continue
		}
		c := &relayed{d: d, client: client, server: server, statements: map[string]string{}}
		d.ended.Go(c.requests)
		d.ended.Go(c.answers)
	}
}

// relayed is one connection. Messages are those of PostgreSQL's protocol, version 3
// (https://www.postgresql.org/docs/current/protocol-message-formats.html).
type relayed struct {
	d              *steppingDatabase
	client, server net.Conn

	// Owned by requests.
	statements map[string]string // SQL by the name that it was prepared under
	batch      []string          // SQL of the statements that run with the next Sync

	mu      sync.Mutex
	open    int    // round trips that the server has not ended
	closing string // the step that is stopped at once the server has ended the last of them
}

func (c *relayed) close() { c.client.Close(); c.server.Close() }

// requests hands on what the client sends, a round trip at a time.
func (c *relayed) requests() {
	defer c.close()
	in := bufio.NewReader(c.client)
	startup, err := readMessage(in, false)
	if err != nil {
		return
	}
	if _, err := c.server.Write(startup); err != nil {
		return
	}
	var trip []byte
	for {
		m, err := readMessage(in, true)
		if err != nil {
			return
		}
		c.understand(m)
		trip = append(trip, m...)
		if kind := m[0]; kind != 'S' && kind != 'Q' && kind != 'p' && kind != 'X' && kind != 'H' {
			continue
		}
		if m[0] == 'S' || m[0] == 'Q' {
			if !c.pass() {
				return
			}
		}
		if _, err := c.server.Write(trip); err != nil {
			return
		}
		trip = trip[:0]
	}
}

// pass counts the round trip that is about to leave, where it is one to count. False means that the process is dead.
func (c *relayed) pass() bool {
	what := strings.Join(c.batch, "; ")
	c.batch = nil
	c.mu.Lock()
	defer c.mu.Unlock()
	if countedSQL.MatchString(what) {
		what = strings.Join(strings.Fields(what), " ")
		stop, when := c.d.arrive(what)
		if stop && when == beforeStep {
			c.d.stop(what)
			return false
		}
		if stop {
			c.closing = what
		}
	}
	c.open++
	return true
}

func readsOnly(sql string) bool { return strings.HasPrefix(sql, "SELECT") }

// understand remembers what statements there are, and which of them run.
func (c *relayed) understand(m []byte) {
	text := func(b []byte) (string, []byte) {
		s, rest, _ := strings.Cut(string(b), "\x00")
		return s, []byte(rest)
	}
	body := m[5:]
	switch m[0] {
	case 'P':
		name, rest := text(body)
		c.statements[name], _ = text(rest)
	case 'B':
		_, rest := text(body)
		name, _ := text(rest)
		c.batch = append(c.batch, c.statements[name])
	case 'Q':
		sql, _ := text(body)
		c.batch = append(c.batch, sql)
	}
}

// answers hands on what the server sends, and stops where a round trip was to be its last.
func (c *relayed) answers() {
	defer c.close()
	in := bufio.NewReader(c.server)
	started := false
	for {
		m, err := readMessage(in, true)
		if err != nil {
			return
		}
		if m[0] == 'Z' {
			c.mu.Lock()
			if started {
				c.open--
			}
			started = true // the first one ends the start of the session
			stop := c.open == 0 && c.closing != ""
			what := c.closing
			c.mu.Unlock()
			if stop {
				c.d.stop(what)
				return
			}
		}
		if _, err := c.client.Write(m); err != nil {
			return
		}
	}
}

// readMessage reads one message, with the byte of its type before its length but for the first of a session.
func readMessage(in *bufio.Reader, typed bool) ([]byte, error) {
	head := 4
	if typed {
		head = 5
	}
	m := make([]byte, head)
	if _, err := io.ReadFull(in, m); err != nil {
		return nil, err
	}
	length := int(bigendian.BigEndian.Uint32(m[head-4:])) - 4
	if length < 0 || length > 64<<20 {
		return nil, fmt.Errorf("message of %d bytes", length)
	}
	m = append(m, make([]byte, length)...)
	_, err := io.ReadFull(in, m[head:])
	return m, err
}
