package proxy_test

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"cofre/access"
	"cofre/sigv4/sigv4test"
)

// rewritten changes the Authorization header of a signed request.
func rewritten(old, with string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.ReplaceAll(r.Header.Get("Authorization"), old, with))
	}
}

func setHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set(name, value)
	}
}

func withoutHeader(name string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Del(name) }
}

// mismatch is what S3 gives with a wrong signature, so that whoever signs can compare.
func mismatch(canonical bool) [][2]string {
	fields := [][2]string{{"AWSAccessKeyId", accessKey}, {"StringToSign", "*"}, {"SignatureProvided", "*"}, {"StringToSignBytes", "*"}}
	if canonical {
		fields = append(fields, [2]string{"CanonicalRequest", "*"}, [2]string{"CanonicalRequestBytes", "*"})
	}
	return fields
}

const anotherDay = "20010203T040506Z"

// anyoneWrites lets unsigned requests write to the bucket.
func anyoneWrites(w *errorWorld) siteConfig {
	return siteConfig{anon: access.AnonymousIdentity([]access.BucketRule{{Bucket: w.b, Actions: []access.Action{access.Write}}})}
}

// authorizationRows are what can be wrong with a signature in the header.
func authorizationRows(w *errorWorld) []errorRow {
	today := signer().Time.UTC().Format("20060102")
	get := func(spoil func(*http.Request)) request {
		return request{method: "GET", bucket: w.b, key: "k", spoil: spoil}
	}
	wrongDay := func(r *http.Request) {
		rewritten(today, "20000101")(r)
		r.Header.Set("X-Amz-Date", anotherDay)
	}
	skewed := func(r *http.Request) {
		s := signer()
		s.Time = s.Time.Add(-16 * time.Minute)
		s.Sign(r, sigv4test.Payload{Mode: sigv4test.SHA256})
	}
	v2 := func(r *http.Request) {
		r.Header.Set("Authorization", "AWS "+accessKey+":AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	}
	const code, malformed = "AuthorizationHeaderMalformed", "The authorization header is malformed; "
	return []errorRow{
		{name: "two components", code: code, message: malformed + "the authorization header requires three components: Credential, SignedHeaders, and Signature.", rq: get(rewritten(",Signature=", ";"))},
		{name: "empty component", code: code, message: malformed + `the authorization component "Signature=" is malformed.`, rq: get(func(r *http.Request) {
			head, _, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", head+"Signature=")
		})},
		{name: "a component twice", code: code, message: malformed + `the authorization component "Credential=x" is malformed.`, rq: get(func(r *http.Request) {
			head, _, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", head+"Credential=x")
		})},
		{name: "credential of four parts", code: code, message: malformed + `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`, rq: get(rewritten("/s3/aws4_request", "/aws4_request"))},
		{name: "date of the credential", code: code, message: malformed + `incorrect date format "2026-1-1". This date in the credential must be in the format "yyyyMMdd".`, rq: get(rewritten("/"+today+"/", "/2026-1-1/"))},
		{name: "another service", code: code, message: malformed + `incorrect service "ec2". This endpoint belongs to "s3".`, rq: get(rewritten("/s3/", "/ec2/"))},
		{name: "another terminal", code: code, message: malformed + `incorrect terminal "aws5_request". This endpoint uses "aws4_request".`, rq: get(rewritten("aws4_request", "aws5_request"))},
		{name: "another day", code: code, message: malformed + `Invalid credential date "20000101". This date is not the same as X-Amz-Date: "20010203".`, rq: get(wrongDay)},
		{name: "a header signed twice", code: code, message: malformed + "the header host is listed twice in SignedHeaders.", rq: get(rewritten("SignedHeaders=host;", "SignedHeaders=host;host;"))},

		{name: "one word", code: "InvalidArgument", message: "Authorization header is invalid -- one and only one ' ' (space) required", fields: argument("Authorization", "AWS4-HMAC-SHA256"),
			rq: get(setHeader("Authorization", "AWS4-HMAC-SHA256"))},
		{name: "empty Authorization", code: "InvalidArgument", message: "Authorization header is invalid -- one and only one ' ' (space) required", fields: argument("Authorization", ""),
			rq: get(setHeader("Authorization", ""))},
		{name: "Basic", code: "InvalidArgument", message: "Unsupported Authorization Type", fields: argument("Authorization", "Basic YTpi"), rq: get(setHeader("Authorization", "Basic YTpi"))},
		{name: "two mechanisms", code: "InvalidArgument", fields: argument("Authorization", "*"), rq: request{method: "GET", bucket: w.b, key: "k", query: "Signature=x"},
			message: "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified"},
		{name: "another algorithm", code: "InvalidRequest", message: "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.", rq: get(rewritten("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"))},
		{name: "no payload hash", code: "InvalidRequest", message: "Missing required header for this request: x-amz-content-sha256", rq: get(withoutHeader("X-Amz-Content-Sha256"))},
		{name: "payload hash", code: "InvalidArgument", fields: argument("x-amz-content-sha256", "abc"), rq: get(setHeader("X-Amz-Content-Sha256", "abc")),
			message: "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value."},

		{name: "no date", code: "AccessDenied", message: "AWS authentication requires a valid Date or x-amz-date header", rq: get(withoutHeader("X-Amz-Date"))},
		{name: "no date that is one", code: "AccessDenied", message: "AWS authentication requires a valid Date or x-amz-date header", rq: get(setHeader("X-Amz-Date", "yesterday"))},
		{name: "header not signed", code: "AccessDenied", message: "There were headers present in the request which were not signed", fields: [][2]string{{"HeadersNotSigned", "x-amz-meta-late"}}, rq: get(setHeader("X-Amz-Meta-Late", "1"))},
		{name: "unknown key", code: "InvalidAccessKeyId", fields: [][2]string{{"AWSAccessKeyId", "AKIANOBODY"}}, rq: get(rewritten(accessKey, "AKIANOBODY"))},
		{name: "unknown key, version 2", code: "InvalidAccessKeyId", fields: [][2]string{{"AWSAccessKeyId", "AKIANOBODY"}}, rq: get(func(r *http.Request) { v2(r); rewritten(accessKey, "AKIANOBODY")(r) })},
		{name: "signature", code: "SignatureDoesNotMatch", fields: mismatch(true), rq: get(wrongSignature)},
		{name: "signature, HEAD", code: "SignatureDoesNotMatch", rq: request{method: "HEAD", bucket: w.b, key: "k", spoil: wrongSignature}},
		{name: "signature, version 2", code: "SignatureDoesNotMatch", fields: mismatch(false), rq: get(v2)},
		{name: "clock", code: "RequestTimeTooSkewed", fields: [][2]string{{"RequestTime", "*"}, {"ServerTime", "*"}, {"MaxAllowedSkewMilliseconds", "900000"}}, rq: request{method: "GET", bucket: w.b, key: "k", unsigned: true, spoil: skewed}},
		{name: "session token", code: "InvalidToken", rq: request{method: "GET", bucket: w.b, key: "k", header: headers("X-Amz-Security-Token", "t")}},
		{name: "signed chunks of nobody", code: "InvalidRequest", message: "Anonymous requests don't support this x-amz-content-sha256 value. Please use UNSIGNED-PAYLOAD or STREAMING-UNSIGNED-PAYLOAD-TRAILER.",
			send: elsewhere(anyoneWrites(w), request{method: "PUT", bucket: w.b, key: "k", unsigned: true, header: headers("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "X-Amz-Decoded-Content-Length", "1"), payload: body("x")})},
	}
}

// presignedRows are what can be wrong with a signature in the query.
func presignedRows(w *errorWorld) []errorRow {
	payload := sigv4test.Payload{Mode: sigv4test.Unsigned}
	presigned := func(late time.Duration, change func(url.Values)) request {
		return request{method: "GET", bucket: w.b, key: "k", unsigned: true, spoil: func(r *http.Request) {
			s := signer()
			s.Time = s.Time.Add(-late)
			s.Presign(r, time.Hour, payload)
			q := r.URL.Query()
			change(q)
			r.URL.RawQuery = q.Encode()
		}}
	}
	set := func(name, value string) request {
		return presigned(0, func(q url.Values) { q.Set(name, value) })
	}
	version2 := func(expires time.Time, change func(url.Values)) request {
		return request{method: "GET", bucket: w.b, key: "k", unsigned: true, spoil: func(r *http.Request) {
			signer().PresignV2(r, expires, "", "", payload)
			q := r.URL.Query()
			change(q)
			r.URL.RawQuery = q.Encode()
		}}
	}
	same := func(url.Values) {}
	const code, credential = "AuthorizationQueryParametersError", "Error parsing the X-Amz-Credential parameter; "
	rows := []errorRow{
		{name: "another algorithm", code: code, message: `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`, rq: set("X-Amz-Algorithm", "AWS4-HMAC-SHA1")},
		{name: "credential of one part", code: code, message: credential + `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`, rq: set("X-Amz-Credential", "x")},
		{name: "credential's service", code: code, message: credential + `incorrect service "ec2". This endpoint belongs to "s3".`, rq: set("X-Amz-Credential", "a/20260101/r/ec2/aws4_request")},
		{name: "credential's date", code: code, message: credential + `incorrect date format "x". This date in the credential must be in the format "yyyyMMdd".`, rq: set("X-Amz-Credential", "a/x/r/s3/aws4_request")},
		{name: "date", code: code, message: `X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`, rq: set("X-Amz-Date", "2026-01-01")},
		{name: "another day", code: code, message: `Invalid credential date "20000101". This date is not the same as X-Amz-Date: "20010203".`, rq: presigned(0, func(q url.Values) {
			q.Set("X-Amz-Date", anotherDay)
			q.Set("X-Amz-Credential", "a/20000101/r/s3/aws4_request")
		})},
		{name: "expiry that is no number", code: code, message: "X-Amz-Expires should be a number", rq: set("X-Amz-Expires", "1h")},
		{name: "expiry below zero", code: code, message: "X-Amz-Expires must be non-negative", rq: set("X-Amz-Expires", "-1")},
		{name: "expiry above a week", code: code, message: "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds", rq: set("X-Amz-Expires", "604801")},
		{name: "a parameter twice", code: code, rq: presigned(0, func(q url.Values) { q.Add("X-Amz-Expires", "3600") })},

		{name: "expired URL", code: "AccessDenied", message: "Request has expired", fields: [][2]string{{"X-Amz-Expires", "3600"}, {"Expires", "*"}, {"ServerTime", "*"}}, rq: presigned(2*time.Hour, same)},
		{name: "URL of the future", code: "AccessDenied", message: "Request is not valid yet", fields: [][2]string{{"X-Amz-Date", "*"}, {"ServerTime", "*"}}, rq: presigned(-time.Hour, same)},
		{name: "URL and header not signed", code: "AccessDenied", message: "There were headers present in the request which were not signed", fields: [][2]string{{"HeadersNotSigned", "x-amz-meta-late"}},
			rq: request{method: "GET", bucket: w.b, key: "k", unsigned: true, spoil: func(r *http.Request) {
				signer().Presign(r, time.Hour, payload)
				r.Header.Set("X-Amz-Meta-Late", "1")
			}}},
		{name: "presigned signature", code: "SignatureDoesNotMatch", fields: mismatch(true), rq: set("X-Amz-Signature", repeat("0", 64))},
		{name: "presigned for another method", code: "SignatureDoesNotMatch", fields: mismatch(true), rq: request{method: "DELETE", bucket: w.b, key: "k", unsigned: true, spoil: func(r *http.Request) {
			r.Method = "GET"
			signer().Presign(r, time.Hour, payload)
			r.Method = "DELETE"
		}}},
		{name: "presigned parameter added", code: "SignatureDoesNotMatch", fields: mismatch(true), rq: set("response-content-type", "text/html")},
		{name: "presigned with a token", code: "InvalidToken", rq: set("X-Amz-Security-Token", "t")},

		{name: "expired URL, version 2", code: "AccessDenied", message: "Request has expired", fields: [][2]string{{"Expires", "*"}, {"ServerTime", "*"}}, rq: version2(time.Now().Add(-time.Minute), same)},
		{name: "URL without Expires, version 2", code: "AccessDenied", message: "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters", rq: version2(time.Now().Add(time.Hour), func(q url.Values) { q.Del("Expires") })},
		{name: "presigned signature, version 2", code: "SignatureDoesNotMatch", fields: mismatch(false), rq: version2(time.Now().Add(time.Hour), func(q url.Values) { q.Set("Signature", "x") })},
	}
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires"} {
		rows = append(rows, errorRow{name: "no " + name, code: code, rq: presigned(0, func(q url.Values) { q.Del(name) })},
			errorRow{name: "empty " + name, code: code, rq: set(name, "")})
	}
	return rows
}

// accessRows are refusals of requests that are what they say they are.
func accessRows(w *errorWorld) []errorRow {
	get := request{method: "GET", bucket: w.b, key: "k"}
	return []errorRow{
		{name: "no credentials", code: "AccessDenied", rq: request{method: "GET", bucket: w.b, key: "k", unsigned: true}},
		{name: "no credentials, list of buckets", code: "AccessDenied", rq: request{method: "GET", unsigned: true}},
		{name: "no grant", code: "AccessDenied", send: elsewhere(siteConfig{grants: []access.Grant{{Bucket: "another", Actions: access.AllActions()}}}, get)},
		{name: "no grant for this key", code: "AccessDenied", send: elsewhere(siteConfig{grants: []access.Grant{{Bucket: w.b, Prefixes: []string{"a/"}, Actions: access.AllActions()}}}, get)},
		{name: "system bucket", code: "AccessDenied", rq: request{method: "GET", bucket: w.system, key: "k"}},
		{name: "overrides of nobody", code: "InvalidRequest", message: "Request specific response headers cannot be used for anonymous GET requests.",
			send: elsewhere(siteConfig{anon: anyoneReads(w.b)}, request{method: "GET", bucket: w.b, key: "k", query: "response-content-type=a", unsigned: true})},
		{name: "refused by the storage", code: "AccessDenied", storage: &refusal{403, "AccessDenied"}, rq: request{method: "GET", bucket: w.b}},
	}
}
