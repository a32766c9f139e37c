package proxy_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"cofre/proxy"
	"cofre/seal"
	"cofre/sigv4/sigv4test"
)

// told is what one way of looking at an object gave: everything that a client goes by.
type told struct {
	failed string // why there is nothing: an error, or a connection that broke
	status int
	facts  string // headers, or the entry of a listing
	body   []byte
}

func (x told) same(y told) bool {
	return x.failed == "" && y.failed == "" && x.status == y.status && x.facts == y.facts && bytes.Equal(x.body, y.body)
}

func (x told) String() string {
	if x.failed != "" {
		return x.failed
	}
	return fmt.Sprintf("%d %s, %d bytes", x.status, x.facts, len(x.body))
}

// looker is one way of looking at an object.
type looker struct {
	name string
	look func(t *testing.T, s *site, sh *shape) told
	// latest says that it names no version: where the newest is hidden, the one before is what a truthful storage would show.
	latest bool
	// lists says that it is a listing.
	lists bool
}

// factHeaders are what an answer says of an object. Last-Modified is not among them: times are the storage's to tell.
var factHeaders = []string{
	"Etag", "Content-Length", "Content-Range", "Content-Type", "Content-Encoding", "Cache-Control", "X-Amz-Meta-Of", "X-Amz-Mp-Parts-Count",
	"X-Amz-Version-Id", "X-Amz-Checksum-Crc32", "X-Amz-Checksum-Crc64nvme", "X-Amz-Checksum-Type",
}

// toldBy makes sense of an answer. Anything but an error that a client sees as one, or a body that is whole, counts as told.
func toldBy(got reply) told {
	switch {
	case got.status == 0:
		return told{failed: "no answer"}
	case got.cut != nil:
		return told{failed: fmt.Sprintf("%d, broken off behind %d bytes", got.status, len(got.body))}
	case got.status >= 400 || got.code != "":
		return told{failed: fmt.Sprintf("%d %s", got.status, got.code)}
	}
	var facts []string
	for _, name := range factHeaders {
		// As it came: of metadata in lower case net/http makes this again.
		if v := got.header[name]; len(v) > 0 {
			facts = append(facts, fmt.Sprintf("%s=%q", name, v))
		}
	}
	return told{status: got.status, facts: strings.Join(facts, " "), body: got.body}
}

// try sends one request and takes whatever comes.
func (s *site) try(t *testing.T, rq request) reply {
	t.Helper()
	resp, err := clientTransport.RoundTrip(s.build(t, rq))
	if err != nil {
		return reply{cut: err}
	}
	return read(resp)
}

// customerHeaders name a client's own key, of the object or of the source of a copy.
func (sh *shape) customerHeaders(prefix string, header map[string]string) map[string]string {
	out := maps.Clone(header)
	if out == nil {
		out = map[string]string{}
	}
	if sh.customer != nil {
		out[prefix+"Server-Side-Encryption-Customer-Algorithm"] = "AES256"
		out[prefix+"Server-Side-Encryption-Customer-Key"] = *sh.customer.key
		out[prefix+"Server-Side-Encryption-Customer-Key-Md5"] = *sh.customer.sum
	}
	return out
}

// reading is a GET or HEAD of the object.
func reading(name, method, query string, header map[string]string) looker {
	return looker{name: name, latest: !strings.Contains(query, "versionId"), look: func(t *testing.T, s *site, sh *shape) told {
		h := sh.customerHeaders("X-Amz-", header)
		h["X-Amz-Checksum-Mode"] = "ENABLED"
		return toldBy(s.try(t, request{method: method, bucket: sh.bucket, key: sh.key, query: strings.ReplaceAll(query, "VERSION", sh.version), header: h}))
	}}
}

func ranged(text string) looker {
	return reading("GET "+text, "GET", "", map[string]string{"Range": text})
}

// lookers are all ways of looking at an object; those by version for shapes that have one.
func lookers(sh *shape) []looker {
	size := len(sh.body)
	all := []looker{
		reading("GET", "GET", "", nil), reading("HEAD", "HEAD", "", nil),
		reading("GET part 1", "GET", "partNumber=1", nil), reading("HEAD part 1", "HEAD", "partNumber=1", nil),
		reading("GET unless another", "GET", "", map[string]string{"If-None-Match": `"00000000000000000000000000000000"`}),
		{name: "GetObjectAttributes", latest: true, look: lookAttributes},
		listing("ListObjects", "prefix="+escaped(hostileKey)), listing("ListObjectsV2", "list-type=2&prefix="+escaped(hostileKey)),
		listing("ListObjectVersions", "versions=&prefix="+escaped(hostileKey)),
		copying("CopyObject", nil), copying("CopyObject with new metadata", map[string]string{"X-Amz-Metadata-Directive": "REPLACE", "X-Amz-Meta-Of": "the client"}),
		copyingPart("UploadPartCopy", ""),
		{name: "StatObject", latest: true, look: lookStat}, {name: "OpenObject", latest: true, look: lookOpen},
	}
	if size > 0 {
		all = append(all, ranged("bytes=0-9"), ranged("bytes=-1"), ranged("bytes=-1000000000"), ranged(fmt.Sprintf("bytes=%d-%d", size/2, size/2+9)),
			ranged(fmt.Sprintf("bytes=%d-", size-1)), copyingPart("UploadPartCopy of a range", fmt.Sprintf("bytes=0-%d", size/2)))
	}
	if size > seal.ChunkSize {
		all = append(all, ranged(fmt.Sprintf("bytes=%d-%d", seal.ChunkSize-1, seal.ChunkSize)))
	}
	if sh.parts != nil {
		all = append(all, reading("GET part 2", "GET", "partNumber=2", nil), ranged(fmt.Sprintf("bytes=%d-%d", sh.parts[0]-1, sh.parts[0])))
	}
	if sh.version != "" {
		all = append(all, reading("GET version", "GET", "versionId=VERSION", nil), reading("HEAD version", "HEAD", "versionId=VERSION", nil),
			reading("GET range of version", "GET", "versionId=VERSION", map[string]string{"Range": "bytes=10-19"}))
	}
	return all
}

func lookAttributes(t *testing.T, s *site, sh *shape) told {
	header := sh.customerHeaders("X-Amz-", map[string]string{"X-Amz-Object-Attributes": "ETag,ObjectSize,Checksum,ObjectParts"})
	got := toldBy(s.try(t, request{method: "GET", bucket: sh.bucket, key: sh.key, query: "attributes=", header: header}))
	if got.failed == "" {
		got.facts = "" // the length of the document is no fact
	}
	return got
}

// listing looks at what a listing shows of the object. That it is not there is an answer that no site can see through.
func listing(name, query string) looker {
	return looker{name: name, latest: true, lists: true, look: func(t *testing.T, s *site, sh *shape) told {
		got := s.try(t, request{method: "GET", bucket: sh.bucket, query: query})
		if x := toldBy(got); x.failed != "" {
			return x
		}
		var page listingPage
		if err := xml.Unmarshal(got.body, &page); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var shown []string
		for _, e := range append(page.Contents, page.Version...) {
			if e.Key != sh.key {
				continue
			}
			if strings.HasSuffix(e.ETag, `-0"`) {
				return told{failed: "an entry that says that it could not be read"}
			}
			shown = append(shown, fmt.Sprintf("%s %d", e.ETag, e.Size))
		}
		return told{status: got.status, facts: strings.Join(shown, ", ")}
	}}
}

// copying copies the object, and looks at what came of it once the storage tells the truth again.
func copying(name string, header map[string]string) looker {
	return looker{name: name, latest: true, look: func(t *testing.T, s *site, sh *shape) told {
		h := sh.customerHeaders("X-Amz-Copy-Source-", header)
		h["X-Amz-Copy-Source"] = sh.bucket + "/" + escaped(sh.key)
		dest := "copy of " + name
		got := s.try(t, request{method: "PUT", bucket: sh.bucket, key: dest, header: h})
		if x := toldBy(got); x.failed != "" {
			return x
		}
		var doc struct{ ETag string }
		if err := xml.Unmarshal(got.body, &doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		x := toldBy(s.try(t, request{method: "GET", bucket: sh.bucket, key: dest}))
		x.facts = doc.ETag + " " + strings.ReplaceAll(x.facts, "X-Amz-Version-Id", "\x00")
		x.facts, _, _ = strings.Cut(x.facts, " \x00") // every copy has another
		return x
	}}
}

// copyingPart makes an object of one part that is copied from the object.
func copyingPart(name, rng string) looker {
	return looker{name: name, latest: true, look: func(t *testing.T, s *site, sh *shape) told {
		dest := "part of " + name
		began := s.try(t, request{method: "POST", bucket: sh.bucket, key: dest, query: "uploads="})
		var up struct{ UploadId string }
		if err := xml.Unmarshal(began.body, &up); err != nil || up.UploadId == "" {
			t.Fatalf("%s: %d %v", name, began.status, err)
		}
		h := sh.customerHeaders("X-Amz-Copy-Source-", map[string]string{"X-Amz-Copy-Source": sh.bucket + "/" + escaped(sh.key)})
		if rng != "" {
			h["X-Amz-Copy-Source-Range"] = rng
		}
		query := "uploadId=" + escaped(up.UploadId)
		got := s.try(t, request{method: "PUT", bucket: sh.bucket, key: dest, query: "partNumber=1&" + query, header: h})
		if x := toldBy(got); x.failed != "" {
			s.try(t, request{method: "DELETE", bucket: sh.bucket, key: dest, query: query})
			return x
		}
		var part struct{ ETag string }
		if err := xml.Unmarshal(got.body, &part); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		list := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + part.ETag + "</ETag></Part></CompleteMultipartUpload>"
		if x := toldBy(s.send(t, request{method: "POST", bucket: sh.bucket, key: dest, query: query, payload: sigv4test.Payload{Data: []byte(list)}})); x.failed != "" {
			return told{failed: "Complete: " + x.failed}
		}
		x := toldBy(s.try(t, request{method: "GET", bucket: sh.bucket, key: dest}))
		return told{status: x.status, failed: x.failed, facts: part.ETag, body: x.body}
	}}
}

func (sh *shape) at() proxy.ObjectAt {
	at := proxy.ObjectAt{Bucket: sh.bucket, Key: sh.key}
	if sh.customer != nil {
		at.CustomerKey = must(decodeKey(*sh.customer.key))
	}
	return at
}

func factsOf(o proxy.Object) string {
	return fmt.Sprintf("%d %s %v %v %x %d parts version %s", o.Size, o.ETag, sorted(o.Headers), sorted(o.Meta), o.Checksum.Value, len(o.Parts), o.VersionID)
}

func sorted(m map[string]string) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, name+"="+m[name])
	}
	return out
}

func lookStat(_ *testing.T, s *site, sh *shape) told {
	o, err := s.handler.StatObject(context.Background(), sh.at())
	if err != nil {
		return told{failed: err.Error()}
	}
	return told{status: http.StatusOK, facts: factsOf(o)}
}

// lookOpen reads an object as export and rebuild do.
func lookOpen(_ *testing.T, s *site, sh *shape) told {
	r, err := s.handler.OpenObject(context.Background(), sh.at())
	if err != nil {
		return told{failed: err.Error()}
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil {
		return told{failed: err.Error()}
	}
	return told{status: http.StatusOK, facts: factsOf(r.Object), body: body}
}
