package proxy_test

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"cofre/checksum"
	"cofre/sigv4/sigv4test"
)

// uploadKind is a way to name the checksum of an upload: alg is None where Create is to name none.
type uploadKind struct {
	alg  checksum.Algorithm
	kind checksum.Type
}

func (k uploadKind) String() string { return strings.TrimSpace(k.alg.String() + " " + string(k.kind)) }

// create is what Create is told.
func (k uploadKind) create() map[string]string {
	if k.alg == checksum.None {
		return nil
	}
	return map[string]string{"X-Amz-Checksum-Algorithm": k.alg.String(), "X-Amz-Checksum-Type": string(k.kind)}
}

// kept is the algorithm and type that the object gets.
func (k uploadKind) kept() uploadKind {
	if k.alg == checksum.None {
		return uploadKind{checksum.CRC64NVME, checksum.FullObject}
	}
	return k
}

// ofObject is the checksum of an object that came in these parts.
func (k uploadKind) ofObject(parts [][]byte) shownChecksum {
	k = k.kept()
	var whole []byte
	var sums [][]byte
	for _, p := range parts {
		whole = append(whole, p...)
		sum, _ := base64.StdEncoding.DecodeString(checksumText(k.alg, p))
		sums = append(sums, sum)
	}
	if k.kind == checksum.FullObject {
		return checksumOf(k.alg, whole)
	}
	text := base64.StdEncoding.EncodeToString(checksum.CompositeOf(k.alg, sums))
	return shownChecksum{k.alg, k.kind, fmt.Sprint(text, "-", len(parts))}
}

// shownPart is what answers show of one part of an unfinished upload; nothing where Create named no algorithm.
func (k uploadKind) shownPart(body []byte) shownChecksum {
	if k.alg == checksum.None {
		return shownChecksum{}
	}
	return shownChecksum{alg: k.alg, text: checksumText(k.alg, body)}
}

// uploadKinds are all that S3 has.
func uploadKinds() []uploadKind {
	return []uploadKind{
		{}, {checksum.CRC32, checksum.Composite}, {checksum.CRC32C, checksum.Composite}, {checksum.SHA1, checksum.Composite}, {checksum.SHA256, checksum.Composite},
		{checksum.CRC32, checksum.FullObject}, {checksum.CRC32C, checksum.FullObject}, {checksum.CRC64NVME, checksum.FullObject},
	}
}

// begin creates an upload and gives its id.
func (s *site) begin(t *testing.T, b, key string, header map[string]string) string {
	t.Helper()
	got := s.send(t, request{method: "POST", bucket: b, key: key, query: "uploads=", header: header}).want(t, 200, "")
	var doc struct{ UploadId string }
	if err := xml.Unmarshal(got.body, &doc); err != nil || doc.UploadId == "" {
		t.Fatalf("%v: %s", err, got.body)
	}
	return doc.UploadId
}

// checkedUpload is an upload whose parts have all been sent.
type checkedUpload struct {
	uploadKind
	s      *site
	b, key string
	id     string
	parts  [][]byte
}

// sendParts begins an upload of three parts: one sent with its checksum, one without, one copied.
func sendParts(t *testing.T, s *site, b, key string, k uploadKind) *checkedUpload {
	t.Helper()
	u := &checkedUpload{uploadKind: k, s: s, b: b, key: key, parts: [][]byte{pattern(5 << 20), pattern(5<<20 + 1), pattern(70_000)[:66_000]}}
	u.id = s.begin(t, b, key, k.create())
	s.putRaw(t, b, "source", pattern(70_000), nil).want(t, 200, "")
	sent := k.alg
	if sent == checksum.None {
		sent = checksum.SHA1 // of a kind that the object will not have
	}
	got := s.send(t, request{method: "PUT", bucket: b, key: key, query: u.part(1), payload: sigv4test.Payload{Mode: sigv4test.UnsignedTrailer, Data: u.parts[0], Checksum: sent}}).want(t, 200, "")
	k.shownPart(u.parts[0]).wantHeaders(t, key+": UploadPart with checksum", got.header)
	got = s.send(t, request{method: "PUT", bucket: b, key: key, query: u.part(2), payload: sigv4test.Payload{Mode: sigv4test.Unsigned, Data: u.parts[1]}}).want(t, 200, "")
	k.shownPart(u.parts[1]).wantHeaders(t, key+": UploadPart without checksum", got.header)
	got = s.send(t, request{method: "PUT", bucket: b, key: key, query: u.part(3), header: map[string]string{"X-Amz-Copy-Source": b + "/source", "X-Amz-Copy-Source-Range": "bytes=0-65999"}}).want(t, 200, "")
	k.shownPart(u.parts[2]).wantElements(t, key+": UploadPartCopy", got.body)
	return u
}

func (u *checkedUpload) part(n int) string {
	return fmt.Sprintf("partNumber=%d&uploadId=%s", n, escaped(u.id))
}

// list is the list of a Complete; more gives what it says of a part besides its ETag.
func (u *checkedUpload) list(more func(n int, body []byte) string) string {
	var doc strings.Builder
	doc.WriteString(`<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`)
	for i, p := range u.parts {
		fmt.Fprintf(&doc, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag>%s</Part>", i+1, etagOf(p), more(i+1, p))
	}
	doc.WriteString("</CompleteMultipartUpload>")
	return doc.String()
}

func nothingMore(int, []byte) string { return "" }

// listedSum is a part's checksum as a Complete names it.
func listedSum(alg checksum.Algorithm, body []byte) string {
	return fmt.Sprintf("<Checksum%s>%s</Checksum%[1]s>", alg, checksumText(alg, body))
}

func (u *checkedUpload) complete(t *testing.T, list string, header map[string]string) reply {
	t.Helper()
	return u.s.send(t, request{method: "POST", bucket: u.b, key: u.key, query: "uploadId=" + escaped(u.id), header: header, payload: sigv4test.Payload{Data: []byte(list)}})
}

// TestMultipartChecksumsAreShownEverywhere from Create to the finished object, which keeps its checksum when the record is lost.
func TestMultipartChecksumsAreShownEverywhere(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "multipart")
		fresh := newSite(t, st, siteConfig{identity: s.identity})
		for _, k := range uploadKinds() {
			u := sendParts(t, s, b, "k "+k.String(), k)
			u.wantOpen(t)
			u.wantRefusals(t)
			u.wantOpen(t)
			whole := u.ofObject(u.parts)
			header := map[string]string{whole.alg.Header(): whole.text, "X-Amz-Checksum-Type": string(k.kind), "X-Amz-Mp-Object-Size": fmt.Sprint(10<<20 + 1 + 66_000)}
			sums := func(n int, body []byte) string { return listedSum(k.alg, body) }
			if k.alg == checksum.None {
				delete(header, "X-Amz-Checksum-Type")
				sums = nothingMore
			}
			got := u.complete(t, u.list(sums), header).want(t, 200, "")
			whole.wantElements(t, u.key+": Complete", got.body)
			body := bytes.Join(u.parts, nil)
			whole.wantEverywhere(t, s, b, u.key, body, nil)
			whole.wantEverywhere(t, fresh, b, u.key, body, nil)
			u.wantParts(t, s)
			u.wantParts(t, fresh)
		}
	})
}

// wantOpen fails unless the listings of uploads and of parts show what Create named.
func (u *checkedUpload) wantOpen(t *testing.T) {
	t.Helper()
	want := map[string]string{}
	if u.alg != checksum.None {
		want["ChecksumAlgorithm"], want["ChecksumType"] = u.alg.String(), string(u.kind)
	}
	uploads := u.s.send(t, request{method: "GET", bucket: u.b, query: "uploads=&prefix=" + escaped(u.key) + "&max-uploads=1"}).want(t, 200, "")
	if got := elements(t, uploads.body, "Upload"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: ListMultipartUploads says %v, want %v", u.key, got, want)
	}
	for i, p := range u.parts {
		parts := u.s.send(t, request{method: "GET", bucket: u.b, key: u.key, query: fmt.Sprintf("max-parts=1&part-number-marker=%d&uploadId=%s", i, escaped(u.id))}).want(t, 200, "")
		if got := elements(t, parts.body); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: ListParts says %v, want %v", u.key, got, want)
		}
		u.shownPart(p).wantElements(t, fmt.Sprintf("%s: part %d in ListParts", u.key, i+1), parts.body, "Part")
	}
}

// wantRefusals sends parts and Completes that contradict what there is.
func (u *checkedUpload) wantRefusals(t *testing.T) {
	t.Helper()
	kept, whole := u.kept(), u.ofObject(u.parts)
	other := checksum.SHA1
	if kept.alg == other {
		other = checksum.CRC32
	}
	another := func(alg checksum.Algorithm) string { return checksumText(alg, []byte("another")) }
	refused := func(name string, got reply, code, message string) {
		t.Helper()
		if got.status != 400 || got.code != code || !strings.Contains(string(got.body), message) {
			t.Errorf("%s: %s: %d %s, want 400 %s %q: %.300s", u.key, name, got.status, got.code, code, message, got.body)
		}
	}
	complete := func(name, list string, header map[string]string, code, message string) {
		t.Helper()
		refused(name, u.complete(t, list, header), code, message)
	}
	plain, otherPart := u.list(nothingMore), "BadDigest"
	mode, otherType := string(u.kind), string(checksum.FullObject)
	if u.kind == checksum.FullObject {
		otherType = string(checksum.Composite)
	}
	if u.alg == checksum.None {
		mode, otherPart = "null", "InvalidPart"
	} else {
		got := u.s.send(t, request{method: "PUT", bucket: u.b, key: u.key, query: u.part(3), payload: sigv4test.Payload{Data: u.parts[2], Checksum: other}})
		refused("part of another algorithm", got, "InvalidRequest", "expected checksum Type: "+strings.ToLower(u.alg.String())+", actual checksum Type: "+strings.ToLower(other.String()))
	}
	complete("wrong checksum of a part", u.list(func(n int, body []byte) string {
		if n == 2 {
			body = []byte("another")
		}
		return listedSum(kept.alg, body)
	}), nil, "InvalidPart", "<PartNumber>2</PartNumber>")
	complete("checksum of another algorithm of a part", u.list(func(n int, body []byte) string { return listedSum(other, body) }), nil, otherPart, "")
	word := strings.ToLower(kept.alg.String())
	wrong := "The " + word + " you specified did not match the calculated checksum."
	complete("wrong checksum of the object", plain, map[string]string{kept.alg.Header(): another(kept.alg)}, "BadDigest", wrong)
	complete("no checksum of the object", plain, map[string]string{kept.alg.Header(): "bad"}, "BadDigest", wrong)
	complete("another number of parts", plain, map[string]string{kept.alg.Header(): strings.TrimSuffix(whole.text, "-3") + "-2"}, "BadDigest", wrong)
	if u.alg != checksum.None {
		complete("another algorithm of the object", plain, map[string]string{other.Header(): another(other)}, "BadDigest", wrong)
	}
	complete("another type", plain, map[string]string{"X-Amz-Checksum-Type": otherType}, "InvalidRequest", "The upload was created using the "+mode+" checksum mode.")
	complete("another size", plain, map[string]string{"X-Amz-Mp-Object-Size": "7"}, "InvalidRequest", "header value 7 does not match what was computed: 10551761")
	complete("two checksums", plain, map[string]string{kept.alg.Header(): whole.text, other.Header(): another(other)}, "InvalidRequest", "single x-amz-checksum-")
	for _, unknown := range unknownChecksums {
		complete(unknown, plain, map[string]string{"X-Amz-Checksum-" + unknown: "AAAAAA=="}, "InvalidRequest", "x-amz-checksum- header is invalid")
	}
	got := u.complete(t, u.list(func(int, []byte) string { return "<ChecksumSHA512>AAAA</ChecksumSHA512>" }), nil)
	if got.status != 501 || got.code != "NotImplemented" {
		t.Errorf("%s: ChecksumSHA512 in the list: %d %s", u.key, got.status, got.code)
	}
}

// wantParts fails unless each part of the finished object is read, and shown among its attributes, with its own checksum.
func (u *checkedUpload) wantParts(t *testing.T, s *site) {
	t.Helper()
	kept := u.kept()
	for i, p := range u.parts {
		of := shownChecksum{kept.alg, kept.kind, checksumText(kept.alg, p)}
		for _, method := range []string{"HEAD", "GET"} {
			got := s.send(t, request{method: method, bucket: u.b, key: u.key, query: fmt.Sprint("partNumber=", i+1), header: map[string]string{"X-Amz-Checksum-Mode": "ENABLED"}}).want(t, 206, "")
			of.wantHeaders(t, fmt.Sprintf("%s: %s of part %d", u.key, method, i+1), got.header)
		}
		got := s.send(t, request{method: "GET", bucket: u.b, key: u.key, query: "attributes", header: map[string]string{
			"X-Amz-Object-Attributes": "ObjectParts", "X-Amz-Max-Parts": "1", "X-Amz-Part-Number-Marker": fmt.Sprint(i)}}).want(t, 200, "")
		of.kind = ""
		of.wantElements(t, fmt.Sprintf("%s: attributes of part %d", u.key, i+1), got.body, "ObjectParts", "Part")
	}
}

// TestChecksumsOfUploadsAreJudgedAtCreate: which types go with which algorithms, and what S3 takes where one is left out.
func TestChecksumsOfUploadsAreJudgedAtCreate(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "create")
	create := func(alg, kind string) reply {
		header := map[string]string{}
		for name, v := range map[string]string{"X-Amz-Checksum-Algorithm": alg, "X-Amz-Checksum-Type": kind} {
			if v != "" {
				header[name] = v
			}
		}
		return s.send(t, request{method: "POST", bucket: b, key: "k", query: "uploads=", header: header})
	}
	allowed := map[string]bool{}
	for _, k := range uploadKinds() {
		allowed[k.String()] = true
	}
	for _, alg := range checksum.All() {
		for _, kind := range []checksum.Type{checksum.Composite, checksum.FullObject} {
			got := create(strings.ToLower(alg.String()), string(kind))
			if !allowed[uploadKind{alg, kind}.String()] {
				if got.want(t, 400, "InvalidRequest"); !strings.Contains(string(got.body), fmt.Sprintf("The %s checksum type cannot be used with the %s checksum algorithm.", kind, strings.ToLower(alg.String()))) {
					t.Errorf("%s %s: %s", alg, kind, got.body)
				}
				continue
			}
			if got.want(t, 200, ""); got.header.Get("X-Amz-Checksum-Algorithm") != alg.String() || got.header.Get("X-Amz-Checksum-Type") != string(kind) {
				t.Errorf("%s %s: %v", alg, kind, got.header)
			}
		}
		want := checksum.Composite
		if alg == checksum.CRC64NVME {
			want = checksum.FullObject
		}
		if got := create(alg.String(), "").want(t, 200, ""); got.header.Get("X-Amz-Checksum-Type") != string(want) {
			t.Errorf("%s without type: %v", alg, got.header)
		}
	}
	none := shownChecksum{}
	none.wantHeaders(t, "Create without checksum", create("", "").want(t, 200, "").header)
	create("", "FULL_OBJECT").want(t, 400, "InvalidRequest")
	create("CRC32", "PARTIAL").want(t, 400, "InvalidRequest")
	for _, unknown := range unknownChecksums {
		create(strings.ToUpper(unknown), "").want(t, 400, "InvalidRequest")
	}
}

// TestCompleteNeedNotNameWhatThePartsAre: Ceph RGW takes a list without checksums for any upload, and so does cofre. Of an upload
// without algorithm, the checksum of an object by another than the default is one that neither S3 nor RGW looks at.
func TestCompleteNeedNotNameWhatThePartsAre(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "terse")
	for _, k := range uploadKinds() {
		u := sendParts(t, s, b, "k "+k.String(), k)
		header := map[string]string{}
		if k.alg == checksum.None {
			header["X-Amz-Checksum-Sha256"] = checksumText(checksum.SHA256, []byte("another"))
		}
		got := u.complete(t, u.list(nothingMore), header).want(t, 200, "")
		u.ofObject(u.parts).wantElements(t, u.key, got.body)
	}
}
