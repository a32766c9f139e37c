package sigv4_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cofre/sigv4"
	"cofre/sigv4/sigv4test"
)

var unsigned = sigv4test.Payload{Mode: sigv4test.Unsigned}

// request makes a GET for a raw target, with headers in pairs.
func request(t testing.TB, target string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://s3.example.org"+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// signed gives a GET signed in the header, as received.
func signed(t testing.TB, target string, headers ...string) *http.Request {
	t.Helper()
	r := request(t, target, headers...)
	sigv4test.New(signedAt).Sign(r, unsigned)
	return sigv4test.Receive(r)
}

func presigned(t testing.TB, target string, expires time.Duration, headers ...string) *http.Request {
	t.Helper()
	r := request(t, target, headers...)
	sigv4test.New(signedAt).Presign(r, expires, unsigned)
	return sigv4test.Receive(r)
}

func TestOnlyARequestWithoutCredentialsIsAnonymous(t *testing.T) {
	auth := verify(t, sigv4test.Receive(request(t, "/bucket/key?versionId=1&Expires=12")))
	if !auth.Anonymous() || auth.Scheme() != sigv4.Anonymous || auth.AccessKeyID() != "" {
		t.Errorf("%s %q", auth.Scheme(), auth.AccessKeyID())
	}
	for _, c := range []struct{ target, authorization, code string }{
		{"/", "", "InvalidArgument"},
		{"/", "AWS4-HMAC-SHA256", "InvalidArgument"},
		{"/", "Basic dXNlcjpwYXNz", "InvalidArgument"},
		{"/", "Bearer token", "InvalidArgument"},
		{"/", "aws4-hmac-sha256 Credential=a", "InvalidArgument"},
		{"/", "AWS4-ECDSA-P256-SHA256 Credential=a", "InvalidRequest"},
		{"/", "AWS AKIAIOSFODNN7EXAMPLE", "InvalidArgument"},
		{"/?X-Amz-Signature=", "-", "AuthorizationQueryParametersError"},
		{"/?x-amz-signature=ab", "-", "AuthorizationQueryParametersError"},
		{"/?X-Amz-Credential=ab", "-", "AuthorizationQueryParametersError"},
		{"/?X-Amz-Algorithm=AWS4-HMAC-SHA256", "-", "AuthorizationQueryParametersError"},
		{"/?%58-Amz-Algorithm=AWS4-HMAC-SHA256", "-", "AuthorizationQueryParametersError"},
		{"/?Signature", "-", "AccessDenied"},
		{"/?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE", "-", "AccessDenied"},
	} {
		r := request(t, c.target)
		if c.authorization != "-" {
			r.Header["Authorization"] = []string{c.authorization}
		}
		t.Run(c.target+" "+c.authorization, func(t *testing.T) {
			_, err := verifierAt(signedAt).Verify(sigv4test.Receive(r))
			wantCode(t, err, c.code, "")
		})
	}
}

func TestTwoMechanismsAtOnceAreRefused(t *testing.T) {
	twoHeaders := signed(t, "/")
	twoHeaders.Header.Add("Authorization", twoHeaders.Header.Get("Authorization"))
	headerAndQuery := presigned(t, "/", time.Hour)
	headerAndQuery.Header.Set("Authorization", "AWS a:b")
	bearerAndQuery := presigned(t, "/", time.Hour)
	bearerAndQuery.Header.Set("Authorization", "Bearer token")
	twoQueries := presigned(t, "/?AWSAccessKeyId=a&Signature=b&Expires=1", time.Hour)
	for name, r := range map[string]*http.Request{
		"two headers": twoHeaders, "header and query": headerAndQuery, "bearer and query": bearerAndQuery, "two queries": twoQueries,
	} {
		_, err := verifierAt(signedAt).Verify(r)
		t.Run(name, func(t *testing.T) {
			wantCode(t, err, "InvalidArgument", "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified")
		})
	}
}

func TestSkewOfFifteenMinutesIsAllowedInTheHeader(t *testing.T) {
	for late, good := range map[time.Duration]bool{
		0: true, 15 * time.Minute: true, -15 * time.Minute: true, 15*time.Minute + time.Second: false, -15*time.Minute - time.Second: false,
	} {
		_, err := verifierAt(signedAt.Add(late)).Verify(signed(t, "/"))
		if good != (err == nil) || !good && !errors.Is(err, sigv4.ErrRequestTimeTooSkewed) {
			t.Errorf("%s late: %v", late, err)
		}
		r := request(t, "/")
		sigv4test.New(signedAt).SignV2(r, "", "", unsigned)
		_, err = verifierAt(signedAt.Add(late)).Verify(sigv4test.Receive(r))
		if good != (err == nil) || !good && !errors.Is(err, sigv4.ErrRequestTimeTooSkewed) {
			t.Errorf("version 2, %s late: %v", late, err)
		}
	}
}

func TestPresignedURLLivesToTheSecond(t *testing.T) {
	week := 7 * 24 * time.Hour
	for _, c := range []struct {
		expires, late time.Duration
		code, message string
	}{
		{time.Second, 0, "", ""},
		{time.Second, time.Second - 1, "", ""},
		{time.Second, time.Second, "AccessDenied", "Request has expired"},
		{0, 0, "AccessDenied", "Request has expired"},
		{time.Hour, 16 * time.Minute, "", ""},
		{week, week - time.Minute, "", ""},
		{week, week, "AccessDenied", "Request has expired"},
		{time.Hour, -15 * time.Minute, "", ""},
		{time.Hour, -15*time.Minute - time.Second, "AccessDenied", "Request is not valid yet"},
		{week + time.Second, 0, "AuthorizationQueryParametersError", ""},
		{-time.Second, 0, "AuthorizationQueryParametersError", "X-Amz-Expires must be non-negative"},
	} {
		t.Run(c.expires.String()+" after "+c.late.String(), func(t *testing.T) {
			auth, err := verifierAt(signedAt.Add(c.late)).Verify(presigned(t, "/b/k", c.expires))
			if c.code != "" {
				wantCode(t, err, c.code, c.message)
			} else if err != nil || auth.Scheme() != sigv4.QueryV4 {
				t.Fatal(err)
			}
		})
	}
}

func TestMalformedAuthorizationIsRefused(t *testing.T) {
	good := signed(t, "/").Header.Get("Authorization")
	for _, c := range []struct{ old, new, code string }{
		{"Credential=", "Credentials=", "AuthorizationHeaderMalformed"},
		{"Credential=AKIAIOSFODNN7EXAMPLE/", "Credential=/", "AuthorizationHeaderMalformed"},
		{"Credential=AKIAIOSFODNN7EXAMPLE/", "Credential=", "AuthorizationHeaderMalformed"},
		{"/20261122/", "/2026112x/", "AuthorizationHeaderMalformed"},
		{"/20261122/", "/20261121/", "AuthorizationHeaderMalformed"},
		{"/s3/", "/iam/", "AuthorizationHeaderMalformed"},
		{"/aws4_request", "/aws2_request", "AuthorizationHeaderMalformed"},
		{"Signature=", "Sig=", "AuthorizationHeaderMalformed"},
		{"SignedHeaders=", "SignedHeaders=,SignedHeaders=", "AuthorizationHeaderMalformed"},
		{"Signature=", "Signature=ab,Signature=", "AuthorizationHeaderMalformed"},
		{"Signature=", "Foo=bar,Signature=", "AuthorizationHeaderMalformed"},
		{",SignedHeaders=", ",,SignedHeaders=", "AuthorizationHeaderMalformed"},
		{"/us-east-1/", "/eu-west-1/", "SignatureDoesNotMatch"},
		{"AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLF", "InvalidAccessKeyId"},
		{"host;", "host;host;", "AuthorizationHeaderMalformed"},
		{"host;", "host;Host;", "AuthorizationHeaderMalformed"},
		{"host;", "", "AccessDenied"},
		{";x-amz-date", "", "AccessDenied"},
		{",", ", ", ""},
		{",", " , ", ""},
	} {
		t.Run(c.old+" to "+c.new, func(t *testing.T) {
			r := signed(t, "/")
			changed := strings.ReplaceAll(good, c.old, c.new)
			if changed == good {
				t.Fatal("nothing changed")
			}
			r.Header.Set("Authorization", changed)
			_, err := verifierAt(signedAt).Verify(r)
			if c.code == "" && err == nil {
				return
			}
			wantCode(t, err, c.code, "")
		})
	}
}

func TestMalformedPresignedURLIsRefused(t *testing.T) {
	for _, c := range []struct{ old, new, code string }{
		{"X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256", "AuthorizationQueryParametersError"},
		{"X-Amz-Date=20261122T120000Z", "X-Amz-Date=2026-11-22T12:00:00Z", "AuthorizationQueryParametersError"},
		{"X-Amz-Date=20261122", "X-Amz-Date=20261123", "AuthorizationQueryParametersError"},
		{"X-Amz-Expires=3600", "X-Amz-Expires=1h", "AuthorizationQueryParametersError"},
		{"X-Amz-Expires=3600", "X-Amz-Expires=3601", "SignatureDoesNotMatch"},
		{"X-Amz-Expires=3600", "X-Amz-Expires=3600&X-Amz-Expires=3600", "AuthorizationQueryParametersError"},
		{"X-Amz-Expires=3600", "X-Amz-Expires=3600&extra=1", "SignatureDoesNotMatch"},
		{"X-Amz-Expires=3600&", "", "AuthorizationQueryParametersError"},
		{"%2Fs3%2F", "%2Fs4%2F", "AuthorizationQueryParametersError"},
		{"%2Fus-east-1%2F", "%2F", "AuthorizationQueryParametersError"},
		{"X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=", "AuthorizationQueryParametersError"},
		{"X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=range", "AccessDenied"},
		{"X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=host%3Bhost", "AuthorizationQueryParametersError"},
		{"/b/k", "/b/l", "SignatureDoesNotMatch"},
		{"/b/k", "/b/k%zz", "InvalidURI"},
		{"X-Amz-Algorithm", "%", "InvalidURI"},
		{"X-Amz-Algorithm", "X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&X-Amz-Algorithm", "AuthorizationQueryParametersError"},
		{"X-Amz-Algorithm", "X-Amz-Content-Sha256=hash&X-Amz-Algorithm", "InvalidArgument"},
	} {
		t.Run(c.old+" to "+c.new, func(t *testing.T) {
			r := presigned(t, "/b/k", time.Hour)
			changed := strings.Replace(r.RequestURI, c.old, c.new, 1)
			if changed == r.RequestURI {
				t.Fatal("nothing changed in " + changed)
			}
			r.RequestURI = changed
			_, err := verifierAt(signedAt).Verify(r)
			wantCode(t, err, c.code, "")
		})
	}
}

func TestEveryChangeOfTheHeadIsRefused(t *testing.T) {
	target := "/bucket/some/key?uploadId=abc&partNumber=1"
	for name, change := range map[string]func(*http.Request){
		"method":         func(r *http.Request) { r.Method = http.MethodHead },
		"path":           func(r *http.Request) { r.RequestURI = strings.Replace(r.RequestURI, "key", "Key", 1) },
		"escaped slash":  func(r *http.Request) { r.RequestURI = strings.Replace(r.RequestURI, "some/", "some//", 1) },
		"query value":    func(r *http.Request) { r.RequestURI = strings.Replace(r.RequestURI, "abc", "abd", 1) },
		"query added":    func(r *http.Request) { r.RequestURI += "&acl" },
		"query dropped":  func(r *http.Request) { r.RequestURI = strings.Replace(r.RequestURI, "&partNumber=1", "", 1) },
		"semicolon":      func(r *http.Request) { r.RequestURI += ";acl" },
		"host":           func(r *http.Request) { r.Host = "s3.example.net" },
		"header value":   func(r *http.Request) { r.Header.Set("Range", "bytes=0-2") },
		"header dropped": func(r *http.Request) { r.Header.Del("Range") },
		"header added":   func(r *http.Request) { r.Header.Add("Range", "bytes=0-1") },
		"payload hash":   func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", strings.Repeat("0", 64)) },
		"date":           func(r *http.Request) { r.Header.Set("X-Amz-Date", "20261122T120001Z") },
	} {
		for how, r := range map[string]*http.Request{
			"header": signed(t, target, "Range", "bytes=0-1"), "presigned": presigned(t, target, time.Hour, "Range", "bytes=0-1"),
		} {
			if how == "presigned" && (name == "payload hash" || name == "date") {
				continue // an x-amz- header that is not signed, see below
			}
			if _, err := verifierAt(signedAt).Verify(r); err != nil {
				t.Fatalf("%s unchanged: %v", how, err)
			}
			change(r)
			if _, err := verifierAt(signedAt).Verify(r); !errors.Is(err, sigv4.ErrSignatureDoesNotMatch) {
				t.Errorf("%s, %s changed: %v", how, name, err)
			}
		}
	}
}

func TestUnsignedAmzHeadersAreRefused(t *testing.T) {
	for _, r := range []*http.Request{signed(t, "/"), presigned(t, "/", time.Hour)} {
		r.Header.Set("Content-Type", "text/plain") // S3 lets it be
		if _, err := verifierAt(signedAt).Verify(r); err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Acl", "public-read")
		r.Header["x-amz-Tagging"] = []string{"a=b"}
		_, err := verifierAt(signedAt).Verify(r)
		wantCode(t, err, "AccessDenied", "There were headers present in the request which were not signed")
		if fields := fieldsOf(t, err); len(fields) != 1 || fields[0] != [2]string{"HeadersNotSigned", "x-amz-acl, x-amz-tagging"} {
			t.Errorf("fields %q", fields)
		}
	}
	r := presigned(t, "/", time.Hour)
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	_, err := verifierAt(signedAt).Verify(r)
	wantCode(t, err, "AccessDenied", "There were headers present in the request which were not signed")
}

func TestHeaderSignatureNeedsDateAndPayloadHash(t *testing.T) {
	r := signed(t, "/")
	r.Header.Del("X-Amz-Content-Sha256")
	_, err := verifierAt(signedAt).Verify(r)
	wantCode(t, err, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")

	r = signed(t, "/")
	r.Header.Set("X-Amz-Content-Sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")
	_, err = verifierAt(signedAt).Verify(r)
	wantCode(t, err, "InvalidArgument", "")

	for _, date := range []string{"", "yesterday"} {
		r = signed(t, "/")
		if r.Header.Set("X-Amz-Date", date); date == "" {
			r.Header.Del("X-Amz-Date")
		}
		_, err = verifierAt(signedAt).Verify(r)
		wantCode(t, err, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
	}
	for _, name := range []string{"X-Amz-Date", "X-Amz-Content-Sha256"} {
		r = signed(t, "/")
		r.Header.Add(name, r.Header.Get(name))
		_, err = verifierAt(signedAt).Verify(r)
		wantCode(t, err, "InvalidArgument", "")
	}
}

func TestSessionTokensAreRefused(t *testing.T) {
	v2 := request(t, "/", "X-Amz-Security-Token", "t")
	sigv4test.New(signedAt).SignV2(v2, "", "", unsigned)
	v2query := request(t, "/?x-amz-security-token=t")
	sigv4test.New(signedAt).PresignV2(v2query, signedAt.Add(time.Hour), "", "", unsigned)
	for name, r := range map[string]*http.Request{
		"header":       signed(t, "/", "X-Amz-Security-Token", "t"),
		"presigned":    presigned(t, "/?X-Amz-Security-Token=t", time.Hour),
		"version 2":    sigv4test.Receive(v2),
		"presigned v2": sigv4test.Receive(v2query),
	} {
		_, err := verifierAt(signedAt).Verify(r)
		t.Run(name, func(t *testing.T) { wantCode(t, err, "InvalidToken", "") })
	}
}

// TestEverySpellingOfTheTargetVerifies: clients differ in which bytes they escape; the signature is over one canonical form.
func TestEverySpellingOfTheTargetVerifies(t *testing.T) {
	for _, c := range []struct{ signed, sent string }{
		{"/b/a%2Fb%20c%2Bd%7E", "/b/a/b%20c+d~"},
		{"/b/a+b", "/b/a%2Bb"},
		{"/b/%C3%A9", "/b/%c3%a9"},
		{"/b//x/../y/./z/", "/b//x/%2E%2E/y/./z/"},
		{"/b/k=1&x", "/b/k%3d1%26x"},
		{"/b/%25zz", "/b/%25zz"},
		{"/?prefix=a%2Fb&delimiter=%2F", "/?delimiter=/&prefix=a/b"},
		{"/?prefix=a+b", "/?prefix=a%20b"},
		{"/?uploads", "/?uploads="},
		{"/?delete=&x=1", "/?&x=1&&delete&"},
		{"/?a=2&a=1&A=3&b=%7E", "/?b=~&A=3&a=1&a=2"},
		{"/?prefix=a%3Bb", "/?prefix=a;b"},
		{"/?prefix=a%3Db", "/?prefix=a=b"},
		{"/?%C3%A9=%ff", "/?%c3%a9=%FF"},
		{"", "http://s3.example.org"},
		{"/b/k?acl", "http://s3.example.org/b/k?acl"},
	} {
		r := signed(t, c.signed)
		r.RequestURI = c.sent
		if _, err := verifierAt(signedAt).Verify(r); err != nil {
			t.Errorf("signed %q, sent %q: %v", c.signed, c.sent, err)
		}
	}
}

// TestAnyKeyAndQueryVerifies signs random bytes with the test signer, which builds its canonical form in another way.
func TestAnyKeyAndQueryVerifies(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		key := string(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(rt, "key"))
		query := url.Values{}
		for range rapid.IntRange(0, 4).Draw(rt, "parameters") {
			name := rapid.SampledFrom([]string{"prefix", "marker", "a", "A", "a b", "\xff", "a;b"}).Draw(rt, "name")
			query.Add(name, string(rapid.SliceOfN(rapid.Byte(), 0, 10).Draw(rt, "value")))
		}
		r := request(t, "/")
		r.URL = &url.URL{Scheme: "http", Host: "s3.example.org", Path: "/bucket/" + key, RawQuery: query.Encode()}
		presign := rapid.Bool().Draw(rt, "presign")
		if presign {
			sigv4test.New(signedAt).Presign(r, time.Hour, unsigned)
		} else {
			sigv4test.New(signedAt).Sign(r, unsigned)
		}
		if _, err := verifierAt(signedAt).Verify(sigv4test.Receive(r)); err != nil {
			rt.Fatal(err)
		}
	})
}

// TestHeadersThatNetHTTPMovesVerify: some clients sign what a server no longer finds among the headers.
func TestHeadersThatNetHTTPMovesVerify(t *testing.T) {
	for name, c := range map[string]struct {
		value string
		move  func(*http.Request)
	}{
		"Transfer-Encoding": {"chunked", func(r *http.Request) { r.TransferEncoding = []string{"chunked"} }},
		"Expect":            {"100-continue", func(r *http.Request) { r.ProtoMajor = 2 }},
	} {
		r := request(t, "/", name, c.value)
		sigv4test.New(signedAt).Sign(r, unsigned)
		r.Host = r.URL.Host
		r.Header.Del(name)
		if _, err := verifierAt(signedAt).Verify(r); !errors.Is(err, sigv4.ErrSignatureDoesNotMatch) {
			t.Errorf("%s gone: %v", name, err)
		}
		c.move(r)
		if _, err := verifierAt(signedAt).Verify(r); err != nil {
			t.Errorf("%s moved: %v", name, err)
		}
	}
}

func TestHeaderValuesVerifyInCanonicalForm(t *testing.T) {
	for _, headers := range [][]string{
		{"X-Amz-Meta-A", "a   b  c"},
		{"X-Amz-Meta-A", "one", "X-Amz-Meta-A", "  two  "},
		{"X-Amz-Meta-Foo_bar", "x"},
		{"X-Amz-Meta-A", ""},
		{"X-Amz-Meta-A", "caf\xc3\xa9"},
		{"Accept-Encoding", "identity"},
		{"Expect", "100-continue"},
	} {
		if _, err := verifierAt(signedAt).Verify(signed(t, "/", headers...)); err != nil {
			t.Errorf("%q: %v", headers, err)
		}
	}
}

// A client may date its request with Date alone, in any form that HTTP knows.
func TestDateHeaderStandsForAmzDate(t *testing.T) {
	for _, date := range []string{"Sun, 22 Nov 2026 12:00:00 GMT", "Sun, 22 Nov 2026 13:00:00 +0100", "Sun, 22 Nov 2026 12:00:00 UTC", "20261122T120000Z"} {
		r := request(t, "/", "Date", date)
		sigv4test.New(signedAt).SignWithDate(r, unsigned)
		if _, err := verifierAt(signedAt).Verify(sigv4test.Receive(r)); err != nil {
			t.Errorf("%s: %v", date, err)
		}
	}
}

func TestPresignedURLKeepsHoistedHeadersButNoChecksum(t *testing.T) {
	r := presigned(t, "/b/k?x-amz-meta-a=1&x-amz-acl=private&x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32&x-id=PutObject", time.Hour)
	auth := verify(t, r)
	if h := auth.Hoisted(); h.Get("X-Amz-Meta-A") != "1" || h.Get("X-Amz-Acl") != "private" || len(h) != 2 {
		t.Errorf("hoisted %q", h)
	}
	body, err := auth.Body(r, sigv4.BodyOptions{})
	if err != nil || body.ClientChecksum() != 0 {
		t.Errorf("the checksum of an empty body in the URL was taken for that of the object: %v", err)
	}
	if verify(t, signed(t, "/?x-amz-meta-a=1")).Hoisted() != nil {
		t.Error("a parameter beside a signature in the header became a header")
	}
}

// errStore stands for a store that is down.
var errStore = errors.New("store is down")

type failingSecrets struct{ secret string }

func (f failingSecrets) Secret(context.Context, string) (string, error) {
	if f.secret == "" {
		return "", nil
	}
	return f.secret, errStore
}

func TestAnEmptySecretIsNoSecret(t *testing.T) {
	v := sigv4.New(sigv4.Config{Secrets: failingSecrets{}, Clock: func() time.Time { return signedAt }})
	r := request(t, "/")
	s := sigv4test.New(signedAt)
	s.SecretAccessKey = ""
	s.Sign(r, unsigned)
	if _, err := v.Verify(sigv4test.Receive(r)); !errors.Is(err, sigv4.ErrUnknownAccessKey) {
		t.Error(err)
	}
}

func TestAFailingSecretSourceIsNotTheClientsFault(t *testing.T) {
	v := sigv4.New(sigv4.Config{Secrets: failingSecrets{"x"}, Clock: func() time.Time { return signedAt }})
	_, err := v.Verify(signed(t, "/"))
	var e *sigv4.Error
	if !errors.Is(err, errStore) || errors.As(err, &e) {
		t.Error(err)
	}
}

func TestErrorsHoldNoSecret(t *testing.T) {
	secret := example["AKIAIOSFODNN7EXAMPLE"]
	r := signed(t, "/", "X-Amz-Server-Side-Encryption-Customer-Key", "customer key")
	r.Header.Set("Range", "")
	r.Method = http.MethodPost
	_, err := verifierAt(signedAt).Verify(r)
	wantCode(t, err, "SignatureDoesNotMatch", "")
	all := err.Error()
	for _, field := range fieldsOf(t, err) {
		all += field[0] + field[1]
	}
	for _, s := range []string{secret, "customer key"} {
		if strings.Contains(all, s) {
			t.Errorf("%q is in %q", s, all)
		}
	}
	if text := err.Error(); strings.Contains(text, "Signature=") || strings.Contains(text, "StringToSign") {
		t.Errorf("log text %q", text)
	}
}

func TestMismatchShowsWhatWasSigned(t *testing.T) {
	r := signed(t, "/b/k?acl")
	r.Method = http.MethodPut
	_, err := verifierAt(signedAt).Verify(r)
	var names []string
	for _, field := range fieldsOf(t, err) {
		names = append(names, field[0])
		if field[0] == "CanonicalRequest" && !strings.HasPrefix(field[1], "PUT\n/b/k\nacl=\nhost:s3.example.org\n") {
			t.Errorf("canonical request %q", field[1])
		}
	}
	if got := strings.Join(names, " "); got != "AWSAccessKeyId StringToSign SignatureProvided StringToSignBytes CanonicalRequest CanonicalRequestBytes" {
		t.Errorf("fields %s", got)
	}
}
