package proxy_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"cofre/keys"
	"cofre/proxy"
	"cofre/sigv4/sigv4test"
)

// trusts adds a line to the site's trust list; called before its first request.
func (s *site) trusts(t *testing.T, other *site, bucket string, role keys.Role, prefixes ...string) {
	t.Helper()
	if err := s.trust.Trust(other.identity.Card(), bucket, role, time.Now(), prefixes...); err != nil {
		t.Fatal(err)
	}
}

// depositor is a site that deposits in all buckets under "in/", and reads nothing, for one reader; and another replica of it.
func depositor(t *testing.T, reader *site, cfg siteConfig) (d, replica *site) {
	t.Helper()
	cfg.keysOverHTTP = true
	d = newSite(t, reader.storage, cfg)
	cfg.identity, cfg.store = d.identity, d.store
	replica = newSite(t, reader.storage, cfg)
	for _, s := range []*site{d, replica} {
		s.trusts(t, d, "*", keys.Deposit, "in/")
		s.trusts(t, reader, "*", keys.Member)
	}
	reader.trusts(t, d, "*", keys.Deposit, "in/")
	return d, replica
}

func newReader(t *testing.T, st *storage) *site {
	return newSite(t, st, siteConfig{keysOverHTTP: true})
}

// wantClosed fails unless every way to read an object is refused.
func (s *site) wantClosed(t *testing.T, bucket, key string) {
	t.Helper()
	from := map[string]string{"X-Amz-Copy-Source": bucket + "/" + escaped(key)}
	s.send(t, request{method: "HEAD", bucket: bucket, key: key}).want(t, 403, "")
	for what, rq := range map[string]request{
		"GET":                 {method: "GET", key: key},
		"range":               {method: "GET", key: key, header: map[string]string{"Range": "bytes=0-0"}},
		"part":                {method: "GET", key: key, query: "partNumber=1"},
		"GetObjectAttributes": {method: "GET", key: key, query: "attributes=", header: map[string]string{"X-Amz-Object-Attributes": "ETag"}},
		"copy":                {method: "PUT", key: "in/copy", header: from},
		"copy onto itself":    {method: "PUT", key: key, header: map[string]string{"X-Amz-Copy-Source": from["X-Amz-Copy-Source"], "X-Amz-Metadata-Directive": "REPLACE"}},
		"conditional GET":     {method: "GET", key: key, header: map[string]string{"If-None-Match": "*"}},
	} {
		rq.bucket = bucket
		if got := s.send(t, rq); got.status != 403 || got.code != "AccessDenied" {
			t.Errorf("%s of %q: %d %s", what, key, got.status, got.code)
		}
	}
}

func TestADepositSiteWritesAndReadsNothing(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		a := newReader(t, st)
		d, replica := depositor(t, a, siteConfig{})
		b := a.bucket(t, "deposit")
		small, large := pattern(70_000), append(pattern(5<<20), pattern(1000)...)
		a.put(t, b, "in/members", small)
		d.put(t, b, "in/small", small)
		d.uploadTwo(t, b, "in/large", large[:5<<20], large[5<<20:], "")

		d.wantClosed(t, b, "in/members")
		for _, s := range []*site{d, replica} {
			for _, key := range []string{"in/small", "in/large"} {
				s.wantClosed(t, b, key)
			}
		}
		id, _ := d.upload(t, b, "in/joined", nil)
		d.send(t, request{method: "PUT", bucket: b, key: "in/joined", query: "partNumber=1&uploadId=" + escaped(id), header: map[string]string{"X-Amz-Copy-Source": b + "/in/small"}}).want(t, 403, "AccessDenied")

		for key, body := range map[string][]byte{"in/small": small, "in/large": large} {
			mine := d.listed(t, b, "list-type=2", key)
			if other := replica.listed(t, b, "versions=", key); mine != other || mine.Size != int64(len(body)) {
				t.Errorf("%s is listed as %+v, and by the other replica as %+v", key, mine, other)
			}
			if seen := a.wantEverywhere(t, b, key, body); seen != mine {
				t.Errorf("the reader sees %s as %+v, its writer as %+v", key, seen, mine)
			}
		}
		if seen := d.listed(t, b, "list-type=2", "in/members"); seen.Size != int64(len(small)) || !strings.HasSuffix(seen.ETag, `-0"`) {
			t.Errorf("what it cannot open is listed as %+v", seen)
		}

		// S3 lets whoever may write replace what others wrote, and remove it.
		d.put(t, b, "in/members", large[:10])
		if got := a.get(t, b, "in/members"); !bytes.Equal(got, large[:10]) {
			t.Errorf("replaced, it reads as %d bytes", len(got))
		}
		replica.send(t, request{method: "DELETE", bucket: b, key: "in/small"}).want(t, 204, "")
		a.send(t, request{method: "GET", bucket: b, key: "in/small"}).want(t, 404, "NoSuchKey")
	})
}

// TestListingsAtADepositSiteAskOnceForWhatItCannotOpen, which may be a million objects of other depositors.
func TestListingsAtADepositSiteAskOnceForWhatItCannotOpen(t *testing.T) {
	a := newReader(t, diskStorage(t))
	d, _ := depositor(t, a, siteConfig{})
	b := a.bucket(t, "crowd")
	for n := range 5 {
		a.put(t, b, fmt.Sprint("in/", n), pattern(100))
	}
	want := d.listed(t, b, "list-type=2", "in/3")
	d.backend.take()
	if again := d.listed(t, b, "list-type=2", "in/3"); again != want || again.Size != 100 {
		t.Errorf("listed as %+v, then as %+v", want, again)
	}
	if calls := d.backend.take(); len(calls) != 1 {
		t.Errorf("the second listing made %q", calls)
	}
	a.put(t, b, "in/3", pattern(77)) // another object under the name
	if changed := d.listed(t, b, "list-type=2", "in/3"); changed.Size != 77 {
		t.Errorf("listed as %+v", changed)
	}
}

func TestConditionsHoldAtADepositSite(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		a := newReader(t, st)
		d, replica := depositor(t, a, siteConfig{})
		b := a.bucket(t, "deposit-conditions")
		theirs := `"` + unquoted(a.put(t, b, "in/theirs", []byte("theirs")).ETag) + `"`
		own := `"` + unquoted(d.put(t, b, "in/own", []byte("own")).ETag) + `"`
		const none = `"00000000000000000000000000000000"`
		put := func(s *site, key, condition, value string, status int, code string) {
			t.Helper()
			got := s.send(t, request{method: "PUT", bucket: b, key: key, header: map[string]string{condition: value}, payload: sigv4test.Payload{Data: []byte("new")}})
			if got.status != status || got.code != code {
				t.Errorf("PUT %s, %s: %s: %d %s, want %d %s", key, condition, value, got.status, got.code, status, code)
			}
		}
		put(d, "in/theirs", "If-None-Match", "*", 412, "PreconditionFailed")
		put(d, "in/own", "If-None-Match", "*", 412, "PreconditionFailed")
		put(d, "in/theirs", "If-Match", theirs, 403, "AccessDenied")
		put(d, "in/theirs", "If-Match", none, 403, "AccessDenied")
		put(d, "in/own", "If-Match", none, 412, "PreconditionFailed")
		put(d, "in/absent", "If-Match", none, 404, "NoSuchKey")
		if got := a.get(t, b, "in/theirs"); string(got) != "theirs" {
			t.Errorf("a refused write left %q", got)
		}
		put(replica, "in/own", "If-Match", own, 200, "")
		put(d, "in/new", "If-None-Match", "*", 200, "")
		put(d, "in/theirs", "If-Match", "*", 200, "")
		for _, key := range []string{"in/own", "in/new", "in/theirs"} {
			if got := a.get(t, b, key); string(got) != "new" {
				t.Errorf("%s reads %q", key, got)
			}
		}
		// Of a delete, too.
		a.put(t, b, "in/theirs", []byte("again"))
		del := func(value string, status int, code string) {
			t.Helper()
			d.send(t, request{method: "DELETE", bucket: b, key: "in/theirs", header: map[string]string{"If-Match": value}}).want(t, status, code)
		}
		del(none, 403, "AccessDenied")
		del("*", 204, "")
	})
}

func unquoted(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }

// TestWritesOutsideTheDepositAreRefusedBeforeAnythingIsSent, in every way to write.
func TestWritesOutsideTheDepositAreRefusedBeforeAnythingIsSent(t *testing.T) {
	a := newReader(t, diskStorage(t))
	d, _ := depositor(t, a, siteConfig{})
	b := a.bucket(t, "outside")
	d.put(t, b, "in/x", []byte("x"))
	d.backend.take()
	for what, rq := range map[string]request{
		"PUT":    {method: "PUT", payload: sigv4test.Payload{Data: pattern(100)}},
		"Create": {method: "POST", query: "uploads="},
	} {
		rq.bucket, rq.key = b, "out/x"
		got := d.send(t, rq).want(t, 403, "AccessDenied")
		if detail := fmt.Sprint(d.logged(got.header.Get("X-Amz-Request-Id"), "detail")); !strings.Contains(detail, "outside its prefixes") {
			t.Errorf("%s: the log says %q", what, detail)
		}
	}
	form := webForm{fields: signForm(4, b, [][2]string{{"key", "out/x"}}), file: pattern(100)}
	if got := d.post(t, b, form); got.status != 403 || got.code() != "AccessDenied" {
		t.Errorf("form: %d %s", got.status, got.body)
	}
	if calls := slices.DeleteFunc(d.backend.take(), func(call string) bool {
		return strings.HasPrefix(call, "GET bucket") || strings.HasPrefix(call, "HEAD bucket")
	}); len(calls) != 0 {
		t.Errorf("the backend saw %q", calls)
	}
}

// TestReadersRefuseDepositsOutsideThePrefixes holds a depositor that does not keep to them to what the reader's list says.
func TestReadersRefuseDepositsOutsideThePrefixes(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		a := newReader(t, st)
		d, _ := depositor(t, a, siteConfig{})
		d.trusts(t, d, "*", keys.Deposit) // everything, it says
		b := a.bucket(t, "prefixes")
		d.put(t, b, "in/x", []byte("inside"))
		d.put(t, b, "out/x", []byte("outside"))
		a.send(t, request{method: "GET", bucket: b, key: "out/x"}).want(t, 500, "InternalError")
		a.send(t, request{method: "HEAD", bucket: b, key: "out/x"}).want(t, 500, "")
		a.send(t, request{method: "PUT", bucket: b, key: "copy", header: map[string]string{"X-Amz-Copy-Source": b + "/out/x"}}).want(t, 500, "InternalError")
		if seen := a.listed(t, b, "list-type=2", "out/x"); seen.Size != 7 || !strings.HasSuffix(seen.ETag, `-0"`) {
			t.Errorf("listed as %+v", seen)
		}
		var failed []string
		report, err := a.handler.HealBucket(t.Context(), b, proxy.HealConfig{Failed: func(key, _ string, _ error) { failed = append(failed, key) }})
		if err != nil || report.Failed != 1 || !slices.Equal(failed, []string{"out/x"}) {
			t.Errorf("heal: %+v, %q, %v", report, failed, err)
		}
		if got := a.get(t, b, "in/x"); string(got) != "inside" {
			t.Errorf("%q", got)
		}
		// What was taken in is not let out under another name either: a copy is a write of the reader's own.
		a.send(t, request{method: "PUT", bucket: b, key: "kept", header: map[string]string{"X-Amz-Copy-Source": b + "/in/x"}}).want(t, 200, "")
		if st.kekOf(t, b, "kept") == st.kekOf(t, b, "in/x") {
			t.Error("the copy is wrapped by the depositor's KEK")
		}
	})
}

func TestADepositForNobodyIsRefused(t *testing.T) {
	a := newReader(t, diskStorage(t))
	b := a.bucket(t, "nobody")
	d := newSite(t, a.storage, siteConfig{})
	d.trusts(t, d, "*", keys.Deposit)
	got := d.send(t, request{method: "PUT", bucket: b, key: "k", payload: sigv4test.Payload{Data: []byte("lost for ever")}}).want(t, 403, "AccessDenied")
	if detail := fmt.Sprint(d.logged(got.header.Get("X-Amz-Request-Id"), "detail")); !strings.Contains(detail, "names nobody who could open that") {
		t.Errorf("the log says %q", detail)
	}
	a.send(t, request{method: "GET", bucket: b, key: "k"}).want(t, http.StatusNotFound, "NoSuchKey")
}

// kekOf says which KEK the envelope of an object names.
func (s *storage) kekOf(t *testing.T, bucket, key string) keys.KEKID {
	t.Helper()
	envelope, _ := s.sealedUnder(t, bucket, key)
	return envelope.KEKID
}
