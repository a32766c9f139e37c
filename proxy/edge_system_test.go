package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cofre/access"
	"cofre/internal/longtest"
	"cofre/sigv4/sigv4test"
)

const systemContent = "what only the system bucket holds"

// systemWorld is a site with something in its system bucket, and a client who may do everything everywhere.
type systemWorld struct {
	*site
	b      string
	before []string
	tried  int
}

func newSystemWorld(t *testing.T, st *storage) *systemWorld {
	t.Helper()
	s := newSite(t, st, siteConfig{
		domains: []string{"s3.test"},
		anon:    access.AnonymousIdentity([]access.BucketRule{{Bucket: "*", Actions: access.AllActions()[:4]}}),
	})
	w := &systemWorld{site: s, b: s.bucket(t, "mine")}
	s.put(t, w.b, "k", []byte("an object of mine"))
	w.plant(t)
	w.before = s.systemKeys(t)
	return w
}

func (w *systemWorld) plant(t *testing.T) {
	t.Helper()
	key := "planted"
	_, err := w.raw.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &w.system, Key: &key, Body: strings.NewReader(systemContent)})
	if err != nil {
		t.Fatal(err)
	}
}

// systemKeys lists the system bucket as the storage has it.
func (s *site) systemKeys(t *testing.T) []string {
	t.Helper()
	out, err := s.raw.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &s.system})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, o := range out.Contents {
		keys = append(keys, *o.Key+" "+*o.ETag)
	}
	return keys
}

// shut fails if the answer shows anything of the system bucket, or says yes.
func (w *systemWorld) shut(t *testing.T, what string, got reply) {
	t.Helper()
	w.tried++
	if got.status < 400 || bytes.Contains(got.body, []byte(systemContent)) {
		t.Errorf("%s: answer %d %.200s", what, got.status, got.body)
	}
}

// untouchedSystem fails if anything in the system bucket has changed.
func (w *systemWorld) untouchedSystem(t *testing.T) {
	t.Helper()
	if after := w.systemKeys(t); !slices.Equal(w.before, after) {
		t.Errorf("the system bucket held %v and holds %v", w.before, after)
	}
	longtest.Figure(t, "ways into the system bucket tried", w.tried)
}

// TestNoClientReachesTheSystemBucket tries every operation on it, under every name that could be taken for it, on every road.
func TestNoClientReachesTheSystemBucket(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		w := newSystemWorld(t, st)
		for name, rq := range everyOperation(t, w.system) {
			if rq.bucket == "" {
				continue
			}
			if rq.key != "" {
				rq.key = "planted"
			}
			if rq.header != nil {
				rq.header = map[string]string{"X-Amz-Copy-Source": w.b + "/k"}
			}
			if rq.method == "PUT" || rq.method == "POST" {
				rq.payload = sigv4test.Payload{Data: []byte("<x/>")}
			}
			w.shut(t, name, w.send(t, rq))
			rq.bucket = strings.ToUpper(w.system)
			w.shut(t, name+" in capitals", w.send(t, rq))
			rq.bucket, rq.unsigned = w.system, true
			w.shut(t, name+" of nobody", w.send(t, rq))
		}
		w.untouchedSystem(t)
	})
}

// TestNoSpellingReachesTheSystemBucket sends request targets and hosts as no SDK does.
func TestNoSpellingReachesTheSystemBucket(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		w := newSystemWorld(t, st)
		s := w.system
		escaped := ""
		for i := range len(s) {
			escaped += fmt.Sprintf("%%%02X", s[i])
		}
		hosts := []string{"x", s + ".s3.test", strings.ToUpper(s) + ".S3.TEST", s + ".s3.test.", s + ".s3.test:9000", s + "..s3.test"}
		paths := []string{
			"/" + s + "/planted", "/" + escaped + "/planted", "/" + escaped + "%2Fplanted", "//" + s + "/planted", "/./" + s + "/planted", "/" + w.b + "/../" + s + "/planted",
			"/" + w.b + "/%2e%2e/" + s + "/planted", "/" + w.b + "/..%2f" + s + "%2fplanted", "/" + s + "/", "/" + s, "/" + s + "?list-type=2", "/" + s + "./planted", "/" + s + "%00/planted",
			"/" + s + "%20/planted", "/:" + s + "/planted", "/%3A" + s + "/planted", "/x:" + s + "/planted", "/" + s + "%3Fx/planted", "/" + s + ";x/planted", "http://x/" + s + "/planted",
			"http://" + s + ".s3.test/planted", "/planted", "/?list-type=2", "*", s + "/planted", "\\" + s + "\\planted", "/" + s + "#/planted", "/" + strings.Replace(s, "-", "%2d", 1) + "/planted",
		}
		for _, host := range hosts {
			for _, path := range paths {
				for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
					got, ok := w.rawRequest(t, method, path, host)
					if !ok || host == "x" && (path == "/?list-type=2" || path == "/planted") {
						continue // closed without a word; and ListBuckets, and a bucket called planted
					}
					if bucket := "/" + w.b + "/"; strings.Contains(path, bucket) && method == "PUT" && got.status == 200 {
						continue // an object of mine with dots in its key, as far as S3 goes
					}
					if method == "DELETE" && got.status == 204 && strings.Contains(path, "/"+w.b+"/") {
						continue
					}
					w.shut(t, method+" "+path+" at "+host, got)
				}
			}
		}
		w.untouchedSystem(t)
	})
}

// rawRequest writes a request line as it is given. It is signed for the target as it stands.
func (s *site) rawRequest(t *testing.T, method, target, host string) (reply, bool) {
	t.Helper()
	r := s.build(t, request{method: method, bucket: "x", key: "x", unsigned: true})
	r.Host = host
	path, query, _ := strings.Cut(target, "?")
	if _, rest, ok := strings.Cut(path, "://"); ok {
		r.Host, path, _ = strings.Cut(rest, "/")
		path = "/" + path
	}
	r.URL.Path, r.URL.RawPath, r.URL.RawQuery = unescaped(path), path, query
	signer().Sign(r, sigv4test.Payload{Mode: sigv4test.Unsigned})
	conn := s.connect(t)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\nConnection: close\r\n", method, target, host)
	for name, values := range r.Header {
		fmt.Fprintf(conn, "%s: %s\r\n", name, values[0])
	}
	io.WriteString(conn, "\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		return reply{}, false
	}
	return read(resp), true
}

// unescaped undoes what escapes there are.
func unescaped(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		var c byte
		if s[i] == '%' && i+2 < len(s) {
			if _, err := fmt.Sscanf(s[i+1:i+3], "%02x", &c); err == nil {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// TestNothingElseNamesTheSystemBucket: sources of copies, links, forms, keys to delete, listings, preflights, and policies.
func TestNothingElseNamesTheSystemBucket(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		w := newSystemWorld(t, st)
		s := w.system
		upload := w.startUpload(t, w.b, "copied")
		for _, source := range []string{
			s + "/planted", "/" + s + "/planted", "//" + s + "/planted", strings.ToUpper(s) + "/planted", strings.ReplaceAll(s, "-", "%2D") + "/planted", s + "%2Fplanted",
			s + "/planted?versionId=null", w.b + "/../" + s + "/planted", w.b + "/%2e%2e/" + s + "/planted", "./" + s + "/planted", "http://x/" + s + "/planted",
			"arn:aws:s3:::" + s + "/planted", "arn:aws:s3:us-east-1:1:accesspoint/x/object/planted", ":" + s + "/planted", s + "%00/planted", s + "./planted", s,
		} {
			copying := map[string]string{"X-Amz-Copy-Source": source}
			w.shut(t, "a copy of "+source, w.send(t, request{method: "PUT", bucket: w.b, key: "copied", header: copying}))
			w.shut(t, "a part from "+source, w.send(t, request{method: "PUT", bucket: w.b, key: "copied", query: "partNumber=1&uploadId=" + escaped(upload), header: copying}))
			w.shut(t, "a copy in the query", w.send(t, request{method: "PUT", bucket: w.b, key: "copied", query: "x-amz-copy-source=" + escaped(source)}))
		}
		for _, method := range []string{"GET", "PUT", "DELETE", "HEAD"} {
			link := func(r *http.Request) { signer().Presign(r, time.Hour, sigv4test.Payload{Mode: sigv4test.Unsigned}) }
			w.shut(t, method+" by a link", w.send(t, request{method: method, bucket: s, key: "planted", unsigned: true, spoil: link}))
			link2 := func(r *http.Request) {
				signer().PresignV2(r, time.Now().Add(time.Hour), "", "", sigv4test.Payload{Mode: sigv4test.Unsigned})
			}
			w.shut(t, method+" by a link of version 2", w.send(t, request{method: method, bucket: s, key: "planted", unsigned: true, spoil: link2}))
		}
		for _, to := range []string{s, strings.ToUpper(s), w.b} {
			form := w.post(t, to, webForm{fields: signForm(4, s, [][2]string{{"key", "planted"}, {"bucket", s}}), file: []byte("mine now")})
			w.shut(t, "a form to "+to, reply{status: form.status, body: []byte(form.body)})
		}
		nobody := w.post(t, s, webForm{fields: [][2]string{{"key", "planted"}}, file: []byte("mine now")})
		w.shut(t, "a form of nobody", reply{status: nobody.status, body: []byte(nobody.body)})
		preflight := w.send(t, request{method: "OPTIONS", bucket: s, key: "planted", unsigned: true, header: map[string]string{"Origin": "http://page.test", "Access-Control-Request-Method": "GET"}})
		w.shut(t, "a preflight", preflight)
		w.shut(t, "a bucket of that name", w.send(t, request{method: "PUT", bucket: s}))

		rq := deleting("<Delete><Object><Key>../" + s + "/planted</Key></Object><Object><Key>/" + s + "/planted</Key></Object></Delete>")
		rq.bucket = w.b
		deleted := w.send(t, rq)
		deleted.want(t, 200, "")
		for _, query := range []string{"", "prefix=" + s, "max-buckets=10000", "bucket-region=us-east-1"} {
			got := w.send(t, request{method: "GET", query: query}).want(t, 200, "")
			if !bytes.Contains(got.body, []byte("<ListAllMyBucketsResult")) || strings.Contains(strings.ToLower(string(got.body)), s) {
				t.Errorf("ListBuckets %q: %s", query, got.body)
			}
		}
		if got := w.send(t, request{method: "GET", bucket: w.b, query: "list-type=2&prefix=../" + s}); bytes.Contains(got.body, []byte("planted</Key>")) {
			t.Errorf("a listing shows %s", got.body)
		}
		w.untouchedSystem(t)
	})
}

// startUpload begins an upload in parts.
func (s *site) startUpload(t *testing.T, bucket, key string) string {
	t.Helper()
	out, err := s.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	return *out.UploadId
}

// TestAPolicyOfOnesOwnBucketOpensNoOther: a policy is the storage's own affair, and must not speak of a bucket that it is not on.
func TestAPolicyOfOnesOwnBucketOpensNoOther(t *testing.T) {
	w := newSystemWorld(t, rgwStorage(t))
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::%s","arn:aws:s3:::%s/*","arn:aws:s3:::*"]}]}`, w.system, w.system)
	got := w.send(t, request{method: "PUT", bucket: w.b, query: "policy=", payload: sigv4test.Payload{Data: []byte(policy)}})
	t.Logf("the policy was answered %d %s", got.status, got.code)
	for _, path := range []string{"/" + w.system + "/planted", "/" + w.system} {
		resp, err := http.Get(w.endpoint + path)
		if err != nil {
			t.Fatal(err)
		}
		w.shut(t, "the storage itself, "+path, read(resp))
	}
	w.untouchedSystem(t)
}

// TestMetadataOfCofresOwnIsRefusedFromClients: what begins with cofre- is cofre's, in every kind of bucket.
func TestMetadataOfCofresOwnIsRefusedFromClients(t *testing.T) {
	w := watchedStorage(t)
	s := newSite(t, w.storage, siteConfig{})
	b := s.bucket(t, "names")
	for _, name := range []string{"X-Amz-Meta-Cofre-Envelope", "x-amz-meta-COFRE-attributes", "X-Amz-Meta-Cofre-"} {
		got := s.send(t, request{method: "PUT", bucket: b, key: "k", header: map[string]string{name: "mine"}, payload: sigv4test.Payload{Data: []byte("b")}})
		for _, h := range w.take() {
			for _, v := range h.header {
				if slices.Contains(v, "mine") {
					t.Errorf("%s reached the storage", name)
				}
			}
		}
		if got.status == 200 {
			if back := s.get(t, b, "k"); string(back) != "b" {
				t.Errorf("%s: the object is %q", name, back)
			}
		}
	}
}
