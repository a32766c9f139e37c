package proxy_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/admission"
	"cofre/proxy"
	"cofre/s3api"
)

// formRows are forms that cannot be taken.
func formRows(w *errorWorld) []errorRow {
	form := func(fields [][2]string, conditions ...any) webForm {
		return webForm{fields: signForm(4, w.b, fields, conditions...), file: []byte("0123456789")}
	}
	key := [][2]string{{"key", "form"}}
	post := func(f webForm) func(*testing.T, *errorWorld) reply { return wireForm(w, f) }
	changed := func(name, value string) webForm {
		f := form(key)
		for i := range f.fields {
			if f.fields[i][0] == name {
				f.fields[i][1] = value
			}
		}
		return f
	}
	missing := func(name string) (string, [][2]string) {
		return "Bucket POST must contain a field named '" + name + "'.  If it is specified, please check the order of the fields.", argument(name, "")
	}
	const second = "--" + formBoundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"b\"\r\n\r\nanother\r\n"
	noKey, noKeyFields := missing("key")
	noSignature, noSignatureFields := missing("X-Amz-Signature")
	const condition = `Invalid according to Policy: Policy Condition failed: ["starts-with", "$key", "a/"]`
	return []errorRow{
		{name: "no form", code: "PreconditionFailed", fields: [][2]string{{"Condition", "Bucket POST must be of the enclosure-type multipart/form-data"}}, rq: request{method: "POST", bucket: w.b, payload: body("a=b")}},
		{name: "no end", code: "MalformedPOSTRequest", send: post(webForm{fields: signForm(4, w.b, key), file: []byte("x"), end: "xx"})},
		{name: "two files", code: "IncorrectNumberOfFilesInPostRequest", send: post(webForm{fields: signForm(4, w.b, key), file: []byte("x"), after: second})},
		{name: "fields of more than 20 KB", code: "MaxPostPreDataLengthExceeded", fields: [][2]string{{"MaxPostPreDataLengthBytes", "20480"}}, send: post(form(append([][2]string{{"x-ignore-a", repeat("a", 21_000)}}, key...)))},
		{name: "empty key", code: "UserKeyMustBeSpecified", send: post(form([][2]string{{"key", ""}}))},
		{name: "no key", code: "InvalidArgument", message: noKey, fields: noKeyFields, send: post(form(nil))},
		{name: "empty signature", code: "InvalidArgument", message: noSignature, fields: noSignatureFields, send: post(changed("X-Amz-Signature", ""))},
		{name: "form's algorithm", code: "InvalidArgument", message: `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`, fields: argument("X-Amz-Algorithm", "x"), send: post(changed("X-Amz-Algorithm", "x"))},
		{name: "form's signature", code: "SignatureDoesNotMatch", fields: mismatch(false), send: post(changed("X-Amz-Signature", repeat("0", 64)))},
		{name: "policy that nobody signed", code: "AccessDenied", send: post(webForm{fields: [][2]string{{"key", "form"}, {"Policy", "e30="}}, file: []byte("x")})},
		{name: "form of nobody", code: "AccessDenied", send: post(webForm{fields: key, file: []byte("x")})},
		{name: "condition", code: "AccessDenied", message: condition, send: post(form(key, []any{"starts-with", "$key", "a/"}))},
		{name: "operator", code: "InvalidPolicyDocument", message: "Invalid Policy: Invalid Condition: unknown operation 'like'.", send: post(form(key, []any{"like", "$key", "a"}))},
		{name: "form too large", code: "EntityTooLarge", fields: [][2]string{{"ProposedSize", "10"}, {"MaxSizeAllowed", "9"}}, send: post(form(key, []any{"content-length-range", 1, 9}))},
		{name: "form too small", code: "EntityTooSmall", fields: [][2]string{{"ProposedSize", "10"}, {"MinSizeAllowed", "11"}}, send: post(form(key, []any{"content-length-range", 11, 12}))},
		{name: "form's ACL", code: "InvalidArgument", message: "The canned ACL is not valid.", fields: argument("x-amz-acl", "public"), send: post(form(append([][2]string{{"acl", "public"}}, key...)))},
		{name: "form's grants", code: "InvalidArgument", message: "Argument format not recognized", fields: argument("x-amz-grant-read", "nobody"), send: post(form(append([][2]string{{"x-amz-grant-read", "nobody"}}, key...)))},
		{name: "form's lock", code: "InvalidArgument", message: "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
			fields: [][2]string{{"ArgumentName", "x-amz-object-lock-retain-until-date"}}, send: post(form(append([][2]string{{"x-amz-object-lock-mode", "GOVERNANCE"}}, key...)))},
		{name: "form's legal hold", code: "InvalidArgument", message: "Legal Hold must be either of 'ON' or 'OFF'", fields: argument("x-amz-object-lock-legal-hold", "on"),
			send: post(form(append([][2]string{{"x-amz-object-lock-legal-hold", "on"}}, key...)))},
		{name: "form's tags in a header", code: "InvalidTag", message: "The TagKey you have provided is invalid", fields: [][2]string{{"TagKey", "a<b"}}, send: post(form(append([][2]string{{"x-amz-tagging", "a%3Cb=1"}}, key...)))},
		{name: "form's tags", code: "MalformedXML", send: post(form(append([][2]string{{"tagging", "not xml"}}, key...)))},
	}
}

// conditionRows are conditions that do not hold, and ranges that are not there.
func conditionRows(w *errorWorld) []errorRow {
	get := func(pairs ...string) request {
		return request{method: "GET", bucket: w.b, key: "k", header: headers(pairs...)}
	}
	put := func(pairs ...string) request {
		return request{method: "PUT", bucket: w.b, key: "k", header: headers(pairs...)}
	}
	failed := func(condition string) [][2]string { return [][2]string{{"Condition", condition}} }
	const old = "Sat, 01 Jan 2000 00:00:00 GMT"
	locked := func(t *testing.T, w *errorWorld) reply {
		w.meddler.before = func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool) {
			return nil, s3api.ErrConditionalRequestConflict, rq.Method == "PUT" && rq.Key == "k"
		}
		defer func() { w.meddler.before = nil }()
		return w.send(t, put("If-Match", etagOf([]byte("0123456789"))))
	}
	behind := [][2]string{{"RangeRequested", "bytes=10-"}, {"ActualObjectSize", "10"}}
	return []errorRow{
		{name: "If-Match", code: "PreconditionFailed", fields: failed("If-Match"), rq: get("If-Match", `"x"`)},
		{name: "If-Unmodified-Since", code: "PreconditionFailed", fields: failed("If-Unmodified-Since"), rq: get("If-Unmodified-Since", old)},
		{name: "If-Match, HEAD", code: "PreconditionFailed", rq: request{method: "HEAD", bucket: w.b, key: "k", header: headers("If-Match", `"x"`)}},
		{name: "If-Match of a write", code: "PreconditionFailed", fields: failed("If-Match"), rq: put("If-Match", `"x"`)},
		{name: "If-None-Match of a write", code: "PreconditionFailed", fields: failed("If-None-Match"), rq: put("If-None-Match", "*")},
		{name: "If-Match of a write over nothing", code: "NoSuchKey", fields: [][2]string{{"Key", "none"}}, rq: request{method: "PUT", bucket: w.b, key: "none", header: headers("If-Match", `"x"`)}},
		{name: "If-None-Match", code: "NotModified", rq: get("If-None-Match", "*")},
		{name: "If-Modified-Since", code: "NotModified", rq: get("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")},
		{name: "another writer", code: "ConditionalRequestConflict", fields: [][2]string{{"Condition", "If-Match"}, {"Key", "k"}}, send: locked},
		{name: "range behind the end", code: "InvalidRange", fields: behind, rq: get("Range", "bytes=10-")},
		{name: "last no bytes", code: "InvalidRange", fields: [][2]string{{"RangeRequested", "bytes=-0"}, {"ActualObjectSize", "10"}}, rq: get("Range", "bytes=-0")},
		{name: "part that there is not", code: "InvalidPartNumber", fields: [][2]string{{"PartNumberRequested", "2"}, {"ActualPartCount", "1"}}, rq: request{method: "GET", bucket: w.b, key: "k", query: "partNumber=2"}},
	}
}

// copyRows are copies that cannot be made.
func copyRows(w *errorWorld) []errorRow {
	source := w.b + "/k"
	copying := func(from string, pairs ...string) request {
		return request{method: "PUT", bucket: w.b, key: "copy", header: headers(append(pairs, "X-Amz-Copy-Source", from)...)}
	}
	part := func(rng string) request {
		rq := copying(source, "X-Amz-Copy-Source-Range", rng)
		rq.key, rq.query = "mpu", "partNumber=2&uploadId="+w.id
		return rq
	}
	itself := copying(source)
	itself.key = "k"
	const (
		mention = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
		format  = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy"
		name    = "x-amz-copy-source"
	)
	rows := []errorRow{
		{name: "empty source", code: "InvalidArgument", message: mention, fields: argument(name, ""), rq: copying("")},
		{name: "source without a key", code: "InvalidArgument", message: mention, fields: argument(name, w.b), rq: copying(w.b)},
		{name: "escape of a source", code: "InvalidArgument", message: "Invalid copy source encoding", fields: argument(name, w.b+"/%zz"), rq: copying(w.b + "/%zz")},
		{name: "key of a source", code: "InvalidArgument", message: "Invalid copy source object key", fields: argument(name, w.b+"/%ff"), rq: copying(w.b + "/%ff")},
		{name: "empty version of a source", code: "InvalidArgument", message: "Version id cannot be the empty string", fields: argument(name, source+"?versionId="), rq: copying(source + "?versionId=")},
		{name: "metadata directive", code: "InvalidArgument", message: "Unknown metadata directive.", fields: argument("x-amz-metadata-directive", "KEEP"), rq: copying(source, "X-Amz-Metadata-Directive", "KEEP")},
		{name: "tagging directive", code: "InvalidArgument", message: "Unknown tagging directive.", fields: argument("x-amz-tagging-directive", "KEEP"), rq: copying(source, "X-Amz-Tagging-Directive", "KEEP")},
		{name: "copy onto itself", code: "InvalidRequest", rq: itself,
			message: "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes."},
		{name: "copy's If-Match", code: "PreconditionFailed", fields: [][2]string{{"Condition", name + "-If-Match"}}, rq: copying(source, name+"-if-match", `"x"`)},
		{name: "copy's If-None-Match", code: "PreconditionFailed", fields: [][2]string{{"Condition", name + "-If-None-Match"}}, rq: copying(source, name+"-if-none-match", "*")},
		{name: "range behind the source", code: "InvalidRequest", message: "The specified copy range is invalid for the source object size", rq: part("bytes=100-200")},
		{name: "range out of the source", code: "InvalidArgument", message: "Range specified is not valid for source object of size: 10", fields: argument(name+"-range", "bytes=0-10"), rq: part("bytes=0-10")},
	}
	for _, rng := range []string{"0-8", "bytes=1-", "bytes=-2", "bytes=1-0", "bytes=0-1,3-4", "bytes=-", "bytes=0--1"} {
		rows = append(rows, errorRow{name: "range " + rng, code: "InvalidArgument", message: format, fields: argument(name+"-range", rng), rq: part(rng)})
	}
	return rows
}

// sourceRows are sources of copies that are not there. Storage tells a delete marker or does not, so these run on either kind.
func sourceRows(w *errorWorld) []errorRow {
	whole := func(from string) request {
		return request{method: "PUT", bucket: w.b, key: "copy", header: headers("X-Amz-Copy-Source", from)}
	}
	part := func(from string) request {
		return request{method: "PUT", bucket: w.b, key: "mpu", query: "partNumber=2&uploadId=" + w.id, header: headers("X-Amz-Copy-Source", from)}
	}
	marked := func(rq request) func(*testing.T, *errorWorld) reply {
		return func(t *testing.T, w *errorWorld) reply {
			got := w.send(t, rq)
			if got.header.Get("X-Amz-Delete-Marker") != "true" || got.header.Get("X-Amz-Version-Id") != w.marker {
				t.Errorf("headers %v", got.header)
			}
			return got
		}
	}
	const byMarker = "The source of a copy request may not specifically refer to a delete marker by version id."
	deleted, unknown := w.versions+"/k", repeat("v", 32)
	key := func(name string) [][2]string { return [][2]string{{"Key", name}} }
	version := [][2]string{{"Key", "k"}, {"VersionId", unknown}}
	return []errorRow{
		{name: "no such source", code: "NoSuchKey", fields: key("none"), rq: whole(w.b + "/none")},
		{name: "no such bucket of a source", code: "NoSuchBucket", fields: [][2]string{{"BucketName", "no-such-bucket"}}, rq: whole("no-such-bucket/k")},
		{name: "deleted source", code: "NoSuchKey", fields: key("k"), send: marked(whole(deleted))},
		{name: "deleted source of a part", code: "NoSuchKey", fields: key("k"), send: marked(part(deleted))},
		{name: "delete marker as a source", code: "InvalidRequest", message: byMarker, rq: whole(deleted + "?versionId=" + w.marker)},
		{name: "delete marker as a part's source", code: "InvalidRequest", message: byMarker, rq: part(deleted + "?versionId=" + w.marker)},
		{name: "version of a source", code: "NoSuchVersion", fields: version, rq: whole(deleted + "?versionId=" + unknown)},
		{name: "version of a part's source", code: "NoSuchVersion", fields: version, rq: part(deleted + "?versionId=" + unknown)},
	}
}

// uploadRows are uploads in parts that cannot go on.
func uploadRows(w *errorWorld) []errorRow {
	complete := func(id, parts string, pairs ...string) request {
		return request{method: "POST", bucket: w.b, key: "mpu", query: "uploadId=" + id, header: headers(pairs...), payload: body("<CompleteMultipartUpload>" + parts + "</CompleteMultipartUpload>")}
	}
	one := func(n, etag string) string {
		return "<Part><PartNumber>" + n + "</PartNumber><ETag>" + etag + "</ETag></Part>"
	}
	none := [][2]string{{"UploadId", "none"}}
	other := "00000000000000000000000000000000"
	rows := []errorRow{
		{name: "part of an unknown upload", code: "NoSuchUpload", fields: none, rq: request{method: "PUT", bucket: w.b, key: "mpu", query: "uploadId=none&partNumber=1", payload: body("x")}},
		{name: "parts of an unknown upload", code: "NoSuchUpload", fields: none, rq: request{method: "GET", bucket: w.b, key: "mpu", query: "uploadId=none"}},
		{name: "abort of an unknown upload", code: "NoSuchUpload", fields: none, rq: request{method: "DELETE", bucket: w.b, key: "mpu", query: "uploadId=none"}},
		{name: "completing an unknown upload", code: "NoSuchUpload", fields: none, rq: complete("none", one("1", other))},
		{name: "upload of another key", code: "NoSuchUpload", fields: [][2]string{{"UploadId", w.id}}, rq: request{method: "GET", bucket: w.b, key: "k", query: "uploadId=" + url.QueryEscape(w.id)}},
		{name: "part that did not come", code: "InvalidPart", fields: [][2]string{{"UploadId", w.id}, {"PartNumber", "2"}, {"ETag", other}}, rq: complete(w.id, one("2", other))},
		{name: "part of another ETag", code: "InvalidPart", fields: [][2]string{{"UploadId", w.id}, {"PartNumber", "1"}, {"ETag", other}}, rq: complete(w.id, one("1", other))},
		{name: "order", code: "InvalidPartOrder", fields: [][2]string{{"UploadId", w.id}}, rq: complete(w.id, one("2", other)+one("1", w.etag))},
		{name: "small part", code: "EntityTooSmall", fields: [][2]string{{"ProposedSize", "4"}, {"MinSizeAllowed", "5242880"}, {"PartNumber", "1"}, {"ETag", "*"}}, send: func(t *testing.T, w *errorWorld) reply {
			w.send(t, request{method: "PUT", bucket: w.b, key: "mpu", query: "partNumber=3&uploadId=" + w.id, payload: body("more")}).want(t, 200, "")
			return w.send(t, complete(w.id, one("1", w.etag)+one("3", etagOf([]byte("more")))))
		}},
		{name: "part number below one", code: "InvalidArgument", message: "PartNumber must be >= 1", fields: argument("PartNumber", "0"), rq: complete(w.id, one("0", other))},
		{name: "part number that is none", code: "MalformedXML", rq: complete(w.id, one("one", other))},
		{name: "no parts", code: "InvalidRequest", message: "You must specify at least one part", rq: complete(w.id, "")},
		{name: "no list of parts", code: "MalformedXML", rq: request{method: "POST", bucket: w.b, key: "mpu", query: "uploadId=" + w.id}},
		{name: "size of the whole", code: "InvalidRequest", message: "The provided 'x-amz-mp-object-size' header value 5 does not match what was computed: 4", rq: complete(w.id, one("1", w.etag), "X-Amz-Mp-Object-Size", "5")},
		{name: "part-number-marker", code: "InvalidArgument", message: "Argument part-number-marker must be an integer between 0 and 2147483647", fields: argument("part-number-marker", "x"),
			rq: request{method: "GET", bucket: w.b, key: "mpu", query: "uploadId=" + w.id + "&part-number-marker=x"}},
		{name: "algorithm of an upload", code: "InvalidRequest", message: "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
			rq: request{method: "POST", bucket: w.b, key: "mpu", query: "uploads", header: headers("X-Amz-Checksum-Algorithm", "MD4")}},
		{name: "type without algorithm", code: "InvalidRequest", message: "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
			rq: request{method: "POST", bucket: w.b, key: "mpu", query: "uploads", header: headers("X-Amz-Checksum-Type", "COMPOSITE")}},
		{name: "part with another checksum", code: "InvalidRequest", message: "Checksum Type mismatch occurred, expected checksum Type: sha256, actual checksum Type: crc32", send: func(t *testing.T, w *errorWorld) reply {
			up, err := w.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &w.b, Key: str("mpu3"), ChecksumAlgorithm: types.ChecksumAlgorithmSha256})
			if err != nil {
				t.Fatal(err)
			}
			return w.send(t, request{method: "PUT", bucket: w.b, key: "mpu3", query: "partNumber=1&uploadId=" + url.QueryEscape(*up.UploadId), payload: checked("x")})
		}},
		{name: "type of SHA-256", code: "InvalidRequest", message: "The FULL_OBJECT checksum type cannot be used with the sha256 checksum algorithm.",
			rq: request{method: "POST", bucket: w.b, key: "mpu", query: "uploads", header: headers("X-Amz-Checksum-Algorithm", "SHA256", "X-Amz-Checksum-Type", "FULL_OBJECT")}},
		{name: "another list while it is open what became of the first", code: "OperationAborted", send: func(t *testing.T, w *errorWorld) reply {
			id, _ := w.upload(t, w.b, "mpu2", []byte("body"))
			w.meddler.before = func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool) {
				return nil, proxy.ErrBackendUnavailable, isComplete(rq)
			}
			rq := complete(id, one("1", etagOf([]byte("body"))))
			rq.key = "mpu2"
			w.send(t, rq).want(t, 503, "SlowDown")
			w.meddler.before = nil
			rq = complete(id, one("1", other))
			rq.key = "mpu2"
			return w.send(t, rq)
		}},
	}
	// Storage that ignores an empty id would act upon the object itself.
	for _, method := range []string{"GET", "DELETE", "POST", "PUT"} {
		rq := request{method: method, bucket: w.b, key: "k", query: "uploadId="}
		switch method {
		case "PUT":
			rq.query += "&partNumber=1"
		case "POST":
			rq.payload = body("<CompleteMultipartUpload>" + one("1", other) + "</CompleteMultipartUpload>")
		}
		rows = append(rows, errorRow{name: "empty upload id, " + method, code: "NoSuchUpload", fields: [][2]string{{"UploadId", ""}}, rq: rq})
	}
	return rows
}

// versionRows are objects, versions and buckets that are not there.
func versionRows(w *errorWorld) []errorRow {
	get := func(bucket, key, query string) request {
		return request{method: "GET", bucket: bucket, key: key, query: query}
	}
	unknown := repeat("v", 32)
	rows := []errorRow{
		{name: "key", code: "NoSuchKey", fields: [][2]string{{"Key", "none/<&>"}}, rq: get(w.b, "none/<&>", "")},
		{name: "key, HEAD", code: "NoSuchKey", rq: request{method: "HEAD", bucket: w.b, key: "none"}},
		{name: "attributes", code: "NoSuchKey", fields: [][2]string{{"Key", "none"}}, rq: request{method: "GET", bucket: w.b, key: "none", query: "attributes", header: headers("X-Amz-Object-Attributes", "ETag")}},
		{name: "delete marker", code: "NoSuchKey", fields: [][2]string{{"Key", "k"}}, rq: get(w.versions, "k", "")},
		{name: "marker by its version", code: "MethodNotAllowed", fields: [][2]string{{"Method", "GET"}, {"ResourceType", "DeleteMarker"}}, rq: get(w.versions, "k", "versionId="+w.marker)},
		{name: "version", code: "NoSuchVersion", fields: [][2]string{{"Key", "k"}, {"VersionId", unknown}}, rq: get(w.versions, "k", "versionId="+unknown)},
		{name: "bucket that is not empty", code: "BucketNotEmpty", fields: [][2]string{{"BucketName", w.b}}, rq: request{method: "DELETE", bucket: w.b}},
	}
	const nobody = "no-such-bucket"
	for _, rq := range []request{
		get(nobody, "", ""), get(nobody, "", "location"), get(nobody, "", "uploads"), get(nobody, "", "versions"), get(nobody, "k", ""), {method: "PUT", bucket: nobody, key: "k"}, {method: "DELETE", bucket: nobody},
		{method: "DELETE", bucket: nobody, key: "k"}, {method: "POST", bucket: nobody, key: "k", query: "uploads"}, {method: "HEAD", bucket: nobody},
	} {
		row := errorRow{name: fmt.Sprintf("%s %s?%s", rq.method, rq.key, rq.query), code: "NoSuchBucket", fields: [][2]string{{"BucketName", nobody}}, rq: rq}
		rows = append(rows, row)
	}
	return rows
}

// storageRows are troubles of the storage, and what is said of things that only other storage than Ceph RGW 16 knows.
func storageRows(w *errorWorld) []errorRow {
	get := request{method: "GET", bucket: w.b, key: "k"}
	list := request{method: "GET", bucket: w.b}
	create := request{method: "PUT", bucket: w.b}
	configuration := func(query string) request { return request{method: "GET", bucket: w.b, query: query} }
	ofBucket := [][2]string{{"BucketName", w.b}}
	broken := func(t *testing.T, w *errorWorld) reply {
		w.rawPut(t, w.b, "tampered", []byte("sealed by nobody"), map[string]string{"cofre-envelope": "x"})
		return w.send(t, request{method: "GET", bucket: w.b, key: "tampered"})
	}
	return []errorRow{
		{name: "tampered object", code: "InternalError", send: broken},
		{name: "storage's internal error", code: "InternalError", storage: &refusal{500, "InternalError"}, rq: list},
		{name: "storage's error that is none of S3's", code: "InternalError", storage: &refusal{500, "UnknownError"}, rq: list},
		{name: "storage's gateway", code: "ServiceUnavailable", storage: &refusal{502, ""}, rq: list},
		{name: "storage's own refusal of cofre", code: "ServiceUnavailable", storage: &refusal{403, "SignatureDoesNotMatch"}, rq: list},
		{name: "storage's overload", code: "SlowDown", storage: &refusal{503, "SlowDown"}, rq: get},
		{name: "database", code: "ServiceUnavailable", send: elsewhere(siteConfig{store: downStore{w.store}}, request{method: "PUT", bucket: w.b, key: "k"})},
		{name: "too many requests", code: "SlowDown", send: elsewhere(siteConfig{gate: admission.NewGate(admission.GateConfig{Requests: -1})}, get)},
		{name: "quota", code: "QuotaExceeded", storage: &refusal{403, "QuotaExceeded"}, rq: list},
		{name: "number of buckets", code: "TooManyBuckets", storage: &refusal{400, "TooManyBuckets"}, rq: create},
		{name: "placement", code: "InvalidLocationConstraint", storage: &refusal{400, "InvalidLocationConstraint"}, rq: create},
		{name: "capitals in a new name", code: "InvalidBucketName", fields: ofBucket, storage: &refusal{400, "InvalidBucketName"}, rq: create},
		{name: "somebody else's", code: "BucketAlreadyExists", fields: ofBucket, storage: &refusal{409, "BucketAlreadyExists"}, rq: create},
		{name: "one's own", code: "BucketAlreadyOwnedByYou", fields: ofBucket, storage: &refusal{409, "BucketAlreadyOwnedByYou"}, rq: create},
		{name: "object that must be restored", code: "InvalidObjectState", storage: &refusal{403, "InvalidObjectState"}, rq: get},
		{name: "bucket without ACLs", code: "AccessControlListNotSupported", storage: &refusal{400, "AccessControlListNotSupported"}, rq: request{method: "PUT", bucket: w.b, query: "acl", header: headers("X-Amz-Acl", "private")}},
		{name: "none set", code: "NoSuchPublicAccessBlockConfiguration", fields: ofBucket, storage: &refusal{404, "NoSuchPublicAccessBlockConfiguration"}, rq: configuration("publicAccessBlock")},
		{name: "of another account", code: "UnresolvableGrantByEmailAddress", storage: &refusal{400, "UnresolvableGrantByEmailAddress"}, rq: request{method: "PUT", bucket: w.b, query: "acl", header: headers("X-Amz-Grant-Read", "emailAddress=a@b")}},
	}
}

// rgwRows are what only a Ceph RGW can be asked for.
func rgwRows(w *errorWorld) []errorRow {
	configuration := func(query string) request { return request{method: "GET", bucket: w.b, query: query} }
	ofBucket := [][2]string{{"BucketName", w.b}}
	forbidden := func(method, resource string) [][2]string {
		return [][2]string{{"Method", method}, {"ResourceType", resource}}
	}
	preflight := func(bucket string, pairs ...string) request {
		return request{method: "OPTIONS", bucket: bucket, key: "k", unsigned: true, header: headers(pairs...)}
	}
	const (
		notAllowed = "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
		notEnabled = "CORSResponse: CORS is not enabled for this bucket."
		notFound   = "CORSResponse: Bucket not found"
		byEmail    = `<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="AmazonCustomerByEmail"><EmailAddress>nobody@example.com</EmailAddress></Grantee><Permission>READ</Permission></Grant>`
		lock       = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"
	)
	return append(sourceRows(w), []errorRow{
		{name: "none set", code: "NoSuchBucketPolicy", fields: ofBucket, rq: configuration("policy")},
		{name: "none set", code: "NoSuchCORSConfiguration", fields: ofBucket, rq: configuration("cors")},
		{name: "none set", code: "NoSuchLifecycleConfiguration", fields: ofBucket, rq: configuration("lifecycle")},
		{name: "none set", code: "NoSuchTagSet", fields: ofBucket, rq: configuration("tagging")},
		{name: "none set", code: "ReplicationConfigurationNotFoundError", fields: ofBucket, rq: configuration("replication")},
		{name: "bucket without a lock", code: "ObjectLockConfigurationNotFoundError", fields: ofBucket, rq: configuration("object-lock")},
		{name: "locking a bucket that is there", code: "InvalidBucketState", message: "*", rq: request{method: "PUT", bucket: w.b, query: "object-lock", payload: body(lock)}},
		{name: "object never held", code: "NoSuchObjectLockConfiguration", send: func(t *testing.T, w *errorWorld) reply {
			b, yes := "errors-locked"+w.bucketTag, true
			if _, err := w.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &b, ObjectLockEnabledForBucket: &yes}); err != nil {
				t.Fatal(err)
			}
			w.put(t, b, "k", nil)
			return w.send(t, request{method: "GET", bucket: b, key: "k", query: "retention"})
		}},
		{name: "storage class", code: "InvalidStorageClass", fields: [][2]string{{"StorageClassRequested", "FakeClass"}}, rq: request{method: "PUT", bucket: w.b, key: "new", header: headers("X-Amz-Storage-Class", "FakeClass")}},
		{name: "date of a lock", code: "InvalidArgument", message: "The retain until date must be in the future!", fields: argument("x-amz-object-lock-retain-until-date", "2001-02-03T04:05:06Z"),
			rq: request{method: "PUT", bucket: w.b, key: "new", header: headers("X-Amz-Object-Lock-Mode", "GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date", "2001-02-03T04:05:06Z")}},
		{name: "grantee", code: "InvalidArgument", message: "Invalid id", fields: argument("id", "nobody"), rq: request{method: "PUT", bucket: w.b, query: "acl", header: headers("X-Amz-Grant-Read", `id="nobody"`)}},
		{name: "one of two grantees", code: "InvalidArgument", message: "Invalid id", fields: argument("id", `id="nobody", id="noone"`), rq: request{method: "PUT", bucket: w.b, query: "acl", header: headers("X-Amz-Grant-Read", `id="nobody", id="noone"`)}},
		{name: "grantee of a new object", code: "InvalidArgument", message: "Invalid id", fields: argument("id", "nobody"), rq: request{method: "PUT", bucket: w.b, key: "new", header: headers("X-Amz-Grant-Read", `id="nobody"`)}},
		{name: "grantee of an upload", code: "InvalidArgument", message: "Invalid id", fields: argument("id", "nobody"), rq: request{method: "POST", bucket: w.b, key: "new", query: "uploads", header: headers("X-Amz-Grant-Read", `id="nobody"`)}},
		{name: "grantee of a copy", code: "InvalidArgument", message: "Invalid id", fields: argument("id", "nobody"), rq: request{method: "PUT", bucket: w.b, key: "new", header: headers("X-Amz-Grant-Read", `id="nobody"`, "X-Amz-Copy-Source", w.b+"/k")}},
		{name: "form's storage class", code: "InvalidStorageClass", fields: [][2]string{{"StorageClassRequested", "FakeClass"}}, send: func(t *testing.T, w *errorWorld) reply {
			return wireForm(w, webForm{fields: signForm(4, w.b, [][2]string{{"key", "form"}, {"x-amz-storage-class", "FakeClass"}}), file: []byte("x")})(t, w)
		}},
		{name: "email address in a document", code: "UnresolvableGrantByEmailAddress", message: "*", send: func(t *testing.T, w *errorWorld) reply {
			acl, err := w.client.GetBucketAcl(t.Context(), &s3.GetBucketAclInput{Bucket: &w.b})
			if err != nil {
				t.Fatal(err)
			}
			return w.send(t, request{method: "PUT", bucket: w.b, query: "acl", payload: body(aclOf(*acl.Owner.ID, byEmail))})
		}},
		{name: "lock in a bucket without one", code: "InvalidRequest", message: "*",
			rq: request{method: "PUT", bucket: w.b, key: "new", header: headers("X-Amz-Object-Lock-Mode", "GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date", "2100-02-03T04:05:06Z")}},
		{name: "email address", code: "UnresolvableGrantByEmailAddress", rq: request{method: "PUT", bucket: w.b, query: "acl", header: headers("X-Amz-Grant-Read", "emailAddress=nobody@example.com")}},
		{name: "capitals", code: "InvalidBucketName", fields: [][2]string{{"BucketName", "Capitals" + w.bucketTag}}, rq: request{method: "PUT", bucket: "Capitals" + w.bucketTag}},
		{name: "two dots", code: "InvalidBucketName", fields: [][2]string{{"BucketName", "two..dots" + w.bucketTag}}, rq: request{method: "PUT", bucket: "two..dots" + w.bucketTag}},
		{name: "64 characters", code: "InvalidBucketName", fields: [][2]string{{"BucketName", repeat("a", 64)}}, rq: request{method: "PUT", bucket: repeat("a", 64)}},
		{name: "hyphen at the end", code: "InvalidBucketName", fields: [][2]string{{"BucketName", "hyphen" + w.bucketTag + "-"}}, rq: request{method: "PUT", bucket: "hyphen" + w.bucketTag + "-"}},
		{name: "version that is none", code: "InvalidArgument", message: "Invalid version id specified", fields: argument("versionId", "1"), rq: request{method: "GET", bucket: w.versions, key: "k", query: "versionId=1"}},
		{name: "version of a source that is none", code: "InvalidRequest", rq: request{method: "PUT", bucket: w.b, key: "copy", header: headers("X-Amz-Copy-Source", w.versions+"/k?versionId=1")}},
		{name: "version of a part's source that is none", code: "InvalidArgument", message: "Invalid version id specified", fields: argument("versionId", "1"),
			rq: request{method: "PUT", bucket: w.b, key: "mpu", query: "partNumber=2&uploadId=" + url.QueryEscape(w.id), header: headers("X-Amz-Copy-Source", w.versions+"/k?versionId=1")}},
		{name: "marker by its version", code: "MethodNotAllowed", fields: [][2]string{{"Method", "GET"}, {"ResourceType", "DeleteMarker"}}, rq: request{method: "GET", bucket: w.versions, key: "k", query: "versionId=" + w.marker}},
		{name: "origin not allowed", code: "AccessForbidden", message: notAllowed, fields: forbidden("GET", "OBJECT"), rq: preflight(w.cors, "Origin", "https://a", "Access-Control-Request-Method", "GET")},
		{name: "method not allowed", code: "AccessForbidden", message: notAllowed, fields: forbidden("PUT", "OBJECT"), rq: preflight(w.cors, "Origin", "https://b", "Access-Control-Request-Method", "PUT")},
		{name: "no method", code: "BadRequest", message: "Invalid Access-Control-Request-Method: null", rq: preflight(w.cors, "Origin", "https://b")},
		{name: "no origin", code: "BadRequest", message: "Insufficient information. Origin request header needed.", rq: preflight(w.cors, "Access-Control-Request-Method", "GET")},
		{name: "bucket without rules", code: "AccessForbidden", message: notEnabled, fields: forbidden("PUT", "BUCKET"), rq: preflight(w.b, "Origin", "https://b", "Access-Control-Request-Method", "PUT")},
		{name: "bucket without rules, no method", code: "AccessForbidden", message: notEnabled, fields: forbidden("OPTIONS", "BUCKET"), rq: preflight(w.b, "Origin", "https://b")},
		{name: "no bucket", code: "AccessForbidden", message: notFound, fields: forbidden("OPTIONS", "BUCKET"), rq: preflight("no-such-bucket", "Origin", "https://b")},
		{name: "system bucket", code: "AccessForbidden", message: notFound, fields: forbidden("GET", "BUCKET"), rq: preflight(w.system, "Origin", "https://b", "Access-Control-Request-Method", "GET")},
	}...)
}
