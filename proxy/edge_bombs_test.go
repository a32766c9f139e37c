package proxy_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"cofre/internal/longtest"
	"cofre/sigv4/sigv4test"
)

// xmlRequests are all that take a document, and the root of each.
func xmlRequests(upload string) map[string]request {
	return map[string]request{
		"Delete":                            {method: "POST", query: "delete="},
		"CompleteMultipartUpload":           {method: "POST", key: "u", query: "uploadId=" + escaped(upload)},
		"Tagging":                           {method: "PUT", key: "k", query: "tagging="},
		"Tagging of a bucket":               {method: "PUT", query: "tagging="},
		"AccessControlPolicy":               {method: "PUT", key: "k", query: "acl="},
		"AccessControlPolicy of it":         {method: "PUT", query: "acl="},
		"LifecycleConfiguration":            {method: "PUT", query: "lifecycle="},
		"CORSConfiguration":                 {method: "PUT", query: "cors="},
		"VersioningConfiguration":           {method: "PUT", query: "versioning="},
		"NotificationConfiguration":         {method: "PUT", query: "notification="},
		"ObjectLockConfiguration":           {method: "PUT", query: "object-lock="},
		"Retention":                         {method: "PUT", key: "k", query: "retention="},
		"LegalHold":                         {method: "PUT", key: "k", query: "legal-hold="},
		"RequestPaymentConfiguration":       {method: "PUT", query: "requestPayment="},
		"PublicAccessBlockConfiguration":    {method: "PUT", query: "publicAccessBlock="},
		"ServerSideEncryptionConfiguration": {method: "PUT", query: "encryption="},
		"CreateBucketConfiguration":         {method: "PUT", bucket: "bombed-anew"},
		"policy":                            {method: "PUT", query: "policy="},
	}
}

// bombs are documents that cost their reader more than their sender. root is the element that is expected.
func bombs(root string) map[string]string {
	open, shut := "<"+root+">", "</"+root+">"
	entities := `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaa">`
	for i := range 10 {
		entities += fmt.Sprintf(`<!ENTITY a%d "%s">`, i+1, strings.Repeat(fmt.Sprintf("&a%d;", i), 10))
	}
	attributes := make([]string, 20_000)
	for i := range attributes {
		attributes[i] = fmt.Sprintf(`a%d="b"`, i)
	}
	return map[string]string{
		"entities in entities":   entities + "]>" + open + "&a10;" + shut,
		"an entity from a file":  `<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>` + open + "<Tag>&f;</Tag>" + shut,
		"an entity from the net": `<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">` + open + shut,
		"an unknown entity":      open + "<Object><Key>&boom;</Key></Object><TagSet><Tag><Key>&boom;</Key></Tag></TagSet>" + shut,
		"depth":                  open + strings.Repeat("<a>", 100_000),
		"depth that ends":        open + strings.Repeat("<a>", 20_000) + strings.Repeat("</a>", 20_000) + shut,
		"attributes without end": "<" + root + " " + strings.Join(attributes, " ") + "><" + root + ">",
		"a name without end":     "<" + strings.Repeat("n", 200_000) + ">",
		"a comment without end":  open + "<!--" + strings.Repeat("-", 200_000),
		"CDATA without end":      open + "<![CDATA[" + strings.Repeat("]", 200_000),
		"references":             open + "<Object><Key>" + strings.Repeat("&#x110000;", 20_000) + "</Key></Object><TagSet><Tag><Key>" + strings.Repeat("&#x110000;", 20_000) + "</Key></Tag></TagSet>" + shut,
		"an instruction":         open + strings.Repeat("<?", 100_000),
		"empty elements":         open + strings.Repeat("<z/>", 50_000) + "<" + shut,
		"namespaces":             open + strings.Repeat(`<a:b xmlns:a="x"/>`, 10_000) + "</" + shut,
		"UTF-16":                 "\xff\xfe<\x00x\x00/\x00>\x00",
		"UTF-7":                  `<?xml version="1.0" encoding="UTF-7"?>+ADw-x+AD4-`,
		"JSON in depth":          strings.Repeat("[", 100_000),
		"JSON objects in depth":  strings.Repeat(`{"a":`, 100_000),
		"nothing but angles":     strings.Repeat("<", 200_000),
		"more than may be":       open + strings.Repeat(" ", 9<<20) + shut,
	}
}

// bombMemory bounds what judging one document may allocate: some copies of the longest that is taken, 8 MiB.
const bombMemory = 96 << 20

// TestBombsAreRefusedInBoundedMemory sends each bomb to each operation that takes a document.
func TestBombsAreRefusedInBoundedMemory(t *testing.T) {
	w := watchedStorage(t)
	s := newSite(t, w.storage, siteConfig{})
	b := s.bucket(t, "bombed")
	s.putRaw(t, b, "k", []byte("the object"), nil).want(t, 200, "")
	upload := s.startUpload(t, b, "u")
	tried, most := 0, uint64(0)
	for name, rq := range xmlRequests(upload) {
		if rq.bucket == "" {
			rq.bucket = b
		}
		root, _, _ := strings.Cut(name, " ")
		for bomb, doc := range bombs(root) {
			deep := root == "Delete" || root == "Tagging"
			if !deep && slices.Contains([]string{"an unknown entity", "references", "more than may be"}, bomb) {
				continue // of an element that these do not know and pass over; and one length for all
			}
			rq.payload = sigv4test.Payload{Mode: sigv4test.Unsigned, Data: []byte(doc)}
			rq.header = map[string]string{"Content-Md5": md5Header(doc)}
			w.take()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := s.send(t, rq)
			runtime.ReadMemStats(&after)
			if got.status != 400 && got.status != 413 {
				t.Errorf("%s to %s: %d %s", bomb, name, got.status, got.code)
			}
			if strings.Contains(string(got.body), "root:") {
				t.Errorf("%s to %s: the answer holds a file: %.200s", bomb, name, got.body)
			}
			for _, h := range w.take() {
				if h.method == "PUT" || h.method == "POST" || h.method == "DELETE" {
					t.Errorf("%s to %s reached the storage: %s %s", bomb, name, h.method, h.target)
				}
			}
			used := after.TotalAlloc - before.TotalAlloc
			if most = max(most, used); used > bombMemory {
				t.Errorf("%s to %s: %d bytes allocated", bomb, name, used)
			}
			tried++
		}
	}
	form := s.post(t, b, webForm{fields: signForm(4, b, [][2]string{{"key", "f"}, {"tagging", bombs("Tagging")["entities in entities"]}}), file: []byte("x")})
	if form.status != 400 {
		t.Errorf("a form's tags: %d", form.status)
	}
	longtest.Figure(t, "documents that are bombs refused", tried)
	longtest.Figure(t, "bytes allocated for the worst of them", int(most))
}
