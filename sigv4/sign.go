package sigv4

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// Signer signs requests to S3 in their Authorization header, as one identity in one region. It may be used concurrently.
type Signer struct {
	accessKeyID, region string
	secret              hiddenSecret
	today               atomic.Pointer[dayKey]
}

// hiddenSecret keeps a secret from every verb of fmt: a function prints as an address.
type hiddenSecret func() string

// dayKey is the signing key of the day that requests are signed on.
type dayKey struct {
	credential credential
	key        *macKey
}

// NewSigner makes a signer.
func NewSigner(accessKeyID, secretAccessKey, region string) *Signer {
	return &Signer{accessKeyID: accessKeyID, region: region, secret: func() string { return secretAccessKey }}
}

// unsignedHeaders are left out of signatures: what a hop on the way may change, and what net/http sends otherwise than it stands there. The
// SDK's signer leaves out the same.
func unsignedHeader(name string) bool {
	switch name {
	case "Authorization", "User-Agent", "X-Amzn-Trace-Id", "Expect", "Transfer-Encoding", "Content-Length":
		return true
	}
	return false
}

// Sign dates the request and signs Host, Content-Length where there is a body, all headers but those that a hop may change, and the hash of
// the payload or the word that stands for it. The names of headers are canonical. The path is signed as it is sent, so it has to be escaped
// once and by the rules of Version 4 (everything but A-Z a-z 0-9 - . _ ~ and /); the query may be escaped in any way.
func (s *Signer) Sign(r *http.Request, payloadHash string, at time.Time) error {
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	at = at.UTC()
	date := at.Format(timeFormat)
	key := s.keyOf(date[:len(dayFormat)])
	values := new([3]string) // of three headers, in one piece
	values[0], values[1] = date, payloadHash
	r.Header[headerDate], r.Header[headerContentSHA256] = values[0:1:1], values[1:2:2]

	room := scratches.Get().(*scratch)
	defer room.release()
	names := append(room.names[:0], "Host")
	if r.ContentLength > 0 {
		names = append(names, "Content-Length")
	}
	for name := range r.Header {
		if !unsignedHeader(name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, compareLower)

	b := append(append(room.text[:0], r.Method...), '\n')
	b = append(append(b, signedPath(r)...), '\n')
	b = append(append(b, canonicalQuery(query, "")...), '\n')
	for _, name := range names {
		switch name {
		case "Host":
			b = append(append(append(b, "host:"...), hostOf(r)...), '\n')
		case "Content-Length":
			b = append(strconv.AppendInt(append(b, "content-length:"...), r.ContentLength, 10), '\n')
		default:
			b = appendHeader(b, name, r.Header[name])
		}
	}
	b = appendNames(append(b, '\n'), names)
	b = append(append(b, '\n'), payloadHash...)
	room.sum = sha256.Sum256(b)
	b = appendStringToSign(b[:0], at, key.credential, &room.sum)
	key.key.sign(b, room)

	b = append(append(b[:0], algorithmV4+" Credential="...), s.accessKeyID...)
	b = key.credential.appendScope(append(b, '/'))
	b = appendNames(append(b, ", SignedHeaders="...), names)
	b = append(append(b, ", Signature="...), room.mac[:]...)
	values[2] = string(b)
	r.Header["Authorization"] = values[2:3:3]
	room.text, room.names = b, names
	return nil
}

// keyOf gives the key of a day, from memory but for the first request of it.
func (s *Signer) keyOf(day string) *dayKey {
	if k := s.today.Load(); k != nil && k.credential.day == day {
		return k
	}
	c := credential{accessKeyID: s.accessKeyID, day: day, region: s.region, service: serviceS3, terminator: terminator}
	k := &dayKey{credential: c, key: newMACKey(deriveSigningKey(s.secret(), c))}
	s.today.Store(k)
	return k
}

func signedPath(r *http.Request) string {
	path := r.URL.Opaque
	if path == "" {
		path = r.URL.EscapedPath()
	}
	if path == "" {
		path = "/"
	}
	return path
}

func hostOf(r *http.Request) string {
	if r.Host != "" {
		return r.Host
	}
	return r.URL.Host
}

// appendNames is the list of signed headers.
func appendNames(b []byte, names []string) []byte {
	for i, name := range names {
		if i > 0 {
			b = append(b, ';')
		}
		b = appendLower(b, name)
	}
	return b
}
