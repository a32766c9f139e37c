package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"
)

// Endpoint is where S3 is spoken, and as whom.
type Endpoint struct {
	Address string // where to connect to
	Host    string // what the Host header says, which is signed
	Access  string
	Secret  string
}

// request is one S3 request. Keys of the bench need no escaping.
type request struct {
	method string
	path   string // "/bucket/key"
	query  string // in canonical order, escaped
	header []pair // signed
	more   string // further lines of the head, unsigned
	mode   mode
	length int64 // of the body
}

// answer is what came back. Body is there where it was asked for.
type answer struct {
	status int
	etag   string
	length int64 // of the body
	body   []byte
}

// client sends one request after the other over one connection.
type client struct {
	endpoint Endpoint
	signer   *signer
	body     body
	wire     *wire
}

func newClient(e Endpoint, s *signer, p *payloads) *client {
	return &client{endpoint: e, signer: s, body: body{payloads: p}}
}

func (c *client) close() {
	if c.wire != nil {
		_ = c.wire.conn.Close() // nothing was written that is not answered
		c.wire = nil
	}
}

// requestTimeout ends what hangs. No answer takes so long, copies of a GiB included.
const requestTimeout = 5 * time.Minute

func (c *client) connect() error {
	if c.wire != nil {
		return nil
	}
	conn, err := net.DialTimeout("tcp", c.endpoint.Address, 10*time.Second)
	if err != nil {
		return err
	}
	c.wire, err = newWire(conn)
	return err
}

// do sends a request and takes its answer, with its body where keep says so. Whatever is not 2xx is an error.
func (c *client) do(rq request, keep bool) (answer, error) {
	a, err := c.try(rq, keep)
	if err != nil {
		c.close()
		return a, fmt.Errorf("%s %s?%s: %w", rq.method, rq.path, rq.query, err)
	}
	return a, nil
}

func (c *client) try(rq request, keep bool) (answer, error) {
	if err := c.connect(); err != nil {
		return answer{}, err
	}
	if err := c.wire.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return answer{}, err
	}
	hash, extra, length := c.body.framing(rq.mode, rq.length)
	var head strings.Builder
	head.Grow(1024)
	seed := c.signer.sign(&head, rq.method, rq.path, rq.query, c.endpoint.Host, hash, append(extra, rq.header...))
	head.WriteString(rq.more)
	if rq.method == "PUT" || rq.method == "POST" {
		head.WriteString("content-length: " + strconv.FormatInt(length, 10) + "\r\n")
	}
	head.WriteString("\r\n")
	sendErr := c.body.send(c.wire.conn, head.String(), rq.mode, rq.length, c.signer, seed)
	a, err := c.read(rq.method == "HEAD", keep)
	if err == nil {
		err = sendErr
	}
	return a, errors.Join(err, sendErr)
}

// post sends a small document as it is.
func (c *client) post(rq request, doc string) (answer, error) {
	if err := c.connect(); err != nil {
		return answer{}, err
	}
	var head strings.Builder
	c.signer.sign(&head, "POST", rq.path, rq.query, c.endpoint.Host, unsignedPayload, rq.header)
	head.WriteString("content-type: application/xml\r\ncontent-length: " + strconv.Itoa(len(doc)) + "\r\n\r\n" + doc)
	if _, err := io.WriteString(c.wire.conn, head.String()); err != nil {
		return answer{}, err
	}
	a, err := c.read(false, true)
	if err != nil {
		c.close()
		return a, fmt.Errorf("POST %s?%s: %w", rq.path, rq.query, err)
	}
	return a, nil
}

func (c *client) read(bodiless, keep bool) (a answer, err error) {
	w := c.wire
	if err := w.head.read(w.r); err != nil {
		return a, err
	}
	fields := bytes.Fields(w.head.first)
	if len(fields) < 2 {
		return a, fmt.Errorf("status line %q", w.head.first)
	}
	if a.status, err = strconv.Atoi(string(fields[1])); err != nil {
		return a, fmt.Errorf("status line %q", w.head.first)
	}
	a.etag = strings.Trim(string(w.head.get("etag")), `"`)
	ends := bytes.EqualFold(w.head.get("connection"), []byte("close"))
	chunked := bytes.EqualFold(w.head.get("transfer-encoding"), []byte("chunked"))
	if a.length, err = w.head.length(); err != nil {
		return a, err
	}
	bad := a.status/100 != 2
	switch {
	case bodiless || a.status == 204:
	case chunked:
		a.body, err = readChunked(w.r)
		a.length = int64(len(a.body))
	case a.length < 0:
		err = errors.New("answer without a length")
	case keep || bad:
		a.body = make([]byte, a.length)
		_, err = io.ReadFull(w.r, a.body)
	default:
		err = w.discard(a.length)
	}
	if ends {
		c.close()
	}
	if err == nil && bad {
		err = fmt.Errorf("status %d: %s", a.status, a.body)
	}
	return a, err
}

func readChunked(r *bufio.Reader) ([]byte, error) {
	body, err := io.ReadAll(httputil.NewChunkedReader(r))
	if err != nil {
		return nil, err
	}
	for { // trailers, and the empty line that ends them
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if len(line) <= 2 {
			return body, nil
		}
	}
}
