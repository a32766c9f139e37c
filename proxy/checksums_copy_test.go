package proxy_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"cofre/checksum"
	"cofre/proxy"
	"cofre/sigv4/sigv4test"
)

// copyObject copies within or between buckets and gives the answer.
func (s *site) copyObject(t *testing.T, from, to [2]string, header map[string]string) reply {
	t.Helper()
	all := map[string]string{"X-Amz-Copy-Source": from[0] + "/" + escaped(from[1])}
	for name, v := range header {
		all[name] = v
	}
	return s.send(t, request{method: "PUT", bucket: to[0], key: to[1], header: all})
}

// TestCopiesHaveTheChecksumOfTheWholeObject, of the source's kind or of the one asked for, whether the backend copies the body or
// cofre reads it, and however the source came: S3 makes one object of it.
func TestCopiesHaveTheChecksumOfTheWholeObject(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b, elsewhere := s.bucket(t, "copies"), s.bucket(t, "elsewhere")
		fresh := newSite(t, st, siteConfig{identity: s.identity})
		sources := map[string]copySource{}
		for _, alg := range append(checksum.All(), checksum.None) {
			key, body := "single "+alg.String(), pattern(70_000)
			s.send(t, request{method: "PUT", bucket: b, key: key, payload: sigv4test.Payload{Mode: sigv4test.Unsigned, Data: body, Checksum: alg}}).want(t, 200, "")
			sources[key] = copySource{uploadKind{alg, checksum.FullObject}.kept(), body}
		}
		for _, k := range []uploadKind{{}, {checksum.SHA256, checksum.Composite}, {checksum.CRC32, checksum.Composite}, {checksum.CRC32C, checksum.FullObject}} {
			u := sendParts(t, s, b, "multipart "+k.String(), k)
			u.complete(t, u.list(nothingMore), nil).want(t, 200, "")
			sources[u.key] = copySource{k.kept(), bytes.Join(u.parts, nil)}
		}
		for key, source := range sources {
			other := checksum.SHA1
			if source.alg == other {
				other = checksum.CRC32
			}
			for name, c := range map[string]struct {
				bucket string
				header map[string]string
				want   checksum.Algorithm
				onBack bool // the backend copies the body
			}{
				"as it is":          {b, nil, source.alg, source.kind == checksum.FullObject},
				"to another bucket": {elsewhere, nil, source.alg, false},
				"same algorithm":    {b, map[string]string{"X-Amz-Checksum-Algorithm": source.alg.String()}, source.alg, source.kind == checksum.FullObject},
				"other algorithm":   {b, map[string]string{"X-Amz-Checksum-Algorithm": strings.ToLower(other.String())}, other, false},
			} {
				dest, want := key+" "+name, checksumOf(c.want, source.body)
				s.backend.take()
				got := s.copyObject(t, [2]string{b, key}, [2]string{c.bucket, dest}, c.header).want(t, 200, "")
				want.wantElements(t, dest, got.body)
				if calls := fmt.Sprint(s.backend.take()); strings.Contains(calls, "PUT object x-amz-copy-source-if-match") != c.onBack {
					t.Errorf("%s: copied on the backend is not %v: %s", dest, c.onBack, calls)
				}
				for _, reader := range []*site{s, fresh} {
					want.wantEverywhere(t, reader, c.bucket, dest, source.body, nil)
				}
			}
		}
	})
}

// copySource is an object that is copied: the kind of checksum that it has, and its body.
type copySource struct {
	uploadKind
	body []byte
}

// TestCopiesOntoThemselvesMayChangeTheChecksum, with something else that is changed: on its own S3 does not take it for a change.
func TestCopiesOntoThemselvesMayChangeTheChecksum(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b, body := s.bucket(t, "self"), pattern(70_000)
	s.putRaw(t, b, "k", body, nil).want(t, 200, "")
	self := [2]string{b, "k"}
	s.copyObject(t, self, self, map[string]string{"X-Amz-Checksum-Algorithm": "SHA256"}).want(t, 400, "InvalidRequest")
	for _, unknown := range unknownChecksums {
		s.copyObject(t, self, [2]string{b, "never"}, map[string]string{"X-Amz-Checksum-Algorithm": strings.ToUpper(unknown)}).want(t, 400, "InvalidRequest")
	}
	checksumOf(checksum.CRC64NVME, body).wantEverywhere(t, s, b, "k", body, nil)
	for _, alg := range checksum.All() {
		s.copyObject(t, self, self, map[string]string{"X-Amz-Checksum-Algorithm": alg.String(), "X-Amz-Metadata-Directive": "REPLACE"}).want(t, 200, "")
		checksumOf(alg, body).wantEverywhere(t, s, b, "k", body, nil)
	}
	// What is not asked for stays.
	s.copyObject(t, self, self, map[string]string{"X-Amz-Metadata-Directive": "REPLACE"}).want(t, 200, "")
	checksumOf(checksum.CRC64NVME, body).wantEverywhere(t, s, b, "k", body, nil)
}

// TestCopiesTooLargeForOnePUTKeepTheCompositeChecksum: the backend copies the body, which nobody reads.
func TestCopiesTooLargeForOnePUTKeepTheCompositeChecksum(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{limits: proxy.Limits{MaxPutSize: 8 << 20}})
	b := s.bucket(t, "large")
	u := sendParts(t, s, b, "k", uploadKind{checksum.SHA256, checksum.Composite})
	u.complete(t, u.list(nothingMore), nil).want(t, 200, "")
	whole := u.ofObject(u.parts)
	whole.wantElements(t, "copy", s.copyObject(t, [2]string{b, "k"}, [2]string{b, "copy"}, nil).want(t, 200, "").body)
	whole.wantEverywhere(t, s, b, "copy", bytes.Join(u.parts, nil), nil)
}

// TestObjectsUnderACustomerKeyHaveChecksums as all others have, for those who have the key.
func TestObjectsUnderACustomerKeyHaveChecksums(t *testing.T) {
	st := diskStorage(t)
	s := newSite(t, st, siteConfig{keysOverHTTP: true})
	b, body, mine := s.bucket(t, "ssec"), pattern(70_000), newCustomer()
	key := map[string]string{
		"X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256", "X-Amz-Server-Side-Encryption-Customer-Key": *mine.key,
		"X-Amz-Server-Side-Encryption-Customer-Key-Md5": *mine.sum,
	}
	want := map[string]shownChecksum{"none": checksumOf(checksum.CRC64NVME, body)}
	s.putRaw(t, b, "none", body, key).want(t, 200, "")
	for _, alg := range checksum.All() {
		name := alg.String()
		want[name] = checksumOf(alg, body)
		got := s.send(t, request{method: "PUT", bucket: b, key: name, header: key, payload: sigv4test.Payload{Mode: sigv4test.UnsignedTrailer, Data: body, Checksum: alg}}).want(t, 200, "")
		want[name].wantHeaders(t, name, got.header)
		refused := s.send(t, request{method: "PUT", bucket: b, key: name, header: key, payload: sigv4test.Payload{Mode: sigv4test.UnsignedTrailer, Data: body, Checksum: alg}, spoil: spoiledBody(flipAt(20))})
		refused.want(t, 400, "BadDigest")
	}
	for _, k := range uploadKinds() {
		u := &checkedUpload{uploadKind: k, s: s, b: b, key: "multipart " + k.String(), parts: [][]byte{body}}
		header := map[string]string{}
		for _, from := range []map[string]string{key, k.create()} {
			for name, v := range from {
				header[name] = v
			}
		}
		u.id = s.begin(t, b, u.key, header)
		s.send(t, request{method: "PUT", bucket: b, key: u.key, query: u.part(1), header: key, payload: sigv4test.Payload{Data: body}}).want(t, 200, "")
		want[u.key] = k.ofObject(u.parts)
		want[u.key].wantElements(t, u.key, u.complete(t, u.list(nothingMore), nil).want(t, 200, "").body)
	}
	fresh := newSite(t, st, siteConfig{identity: s.identity, keysOverHTTP: true})
	for name, c := range want {
		for _, reader := range []*site{s, fresh} {
			c.wantEverywhere(t, reader, b, name, body, key)
		}
	}
}
