package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"

	"cofre/checksum"
	"cofre/proxy"
	"cofre/seal"
	"cofre/sigv4/sigv4test"
)

// checked is a payload that carries its checksum.
func checked(text string) sigv4test.Payload {
	return sigv4test.Payload{Data: []byte(text), Checksum: checksum.CRC32}
}

// bodyRows are bodies that are not as long as they should be, or not there.
func bodyRows(w *errorWorld) []errorRow {
	put := request{method: "PUT", bucket: w.b, key: "new"}
	withoutLength := func(r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		sigv4test.SetBody(r, text, true)
	}
	framed := func(pairs ...string) func(*testing.T, *errorWorld) reply {
		pairs = append(pairs, "X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
		return elsewhere(anyoneWrites(w), request{method: "PUT", bucket: w.b, key: "new", unsigned: true, header: headers(pairs...), payload: body("0\r\n\r\n")})
	}
	const short = "You did not provide the number of bytes specified by the Content-Length HTTP header"
	return []errorRow{
		{name: "more than 5 GiB", code: "EntityTooLarge", fields: [][2]string{{"ProposedSize", "5368709121"}, {"MaxSizeAllowed", "5368709120"}}, send: headAlone(put, 5<<30+1)},
		{name: "more than the storage takes", code: "EntityTooLarge", fields: [][2]string{{"ProposedSize", "1001"}, {"MaxSizeAllowed", "1000"}},
			send: elsewhere(siteConfig{limits: proxy.Limits{MaxPutSize: seal.StoredSize(1000)}}, request{method: "PUT", bucket: w.b, key: "new", payload: body(repeat("x", 1001))})},
		{name: "cut off", code: "IncompleteBody", message: short, send: func(t *testing.T, w *errorWorld) reply { return w.cutOff(t, []byte("0123456789"), 20) }},
		{name: "no length", code: "MissingContentLength", rq: request{method: "PUT", bucket: w.b, key: "new", payload: body("x"), spoil: withoutLength}},
		{name: "framed without the payload's length", code: "MissingContentLength", send: framed()},
		{name: "framed with a length that is none", code: "MissingContentLength", send: framed("X-Amz-Decoded-Content-Length", "5x")},
		{name: "standing still", code: "RequestTimeout", send: func(t *testing.T, w *errorWorld) reply {
			s := newSite(t, w.storage, siteConfig{identity: w.identity, store: w.store, limits: shortPatience()})
			r := s.build(t, request{method: "PUT", bucket: w.b, key: "new", payload: sigv4test.Payload{Mode: sigv4test.Unsigned, Data: []byte("x")}})
			conn := s.dial(t, r, 10)
			defer conn.Close()
			resp, err := http.ReadResponse(bufio.NewReader(conn), r)
			if err != nil {
				t.Fatal(err)
			}
			return read(resp)
		}},
		{name: "longer than a document may be", code: "MaxMessageLengthExceeded", fields: [][2]string{{"MaxMessageLengthBytes", "1048576"}},
			rq: request{method: "PUT", bucket: w.b, query: "cors", payload: body("<CORSConfiguration>" + repeat(" ", 1<<20) + "</CORSConfiguration>")}},
		{name: "document beside an ACL header", code: "UnexpectedContent", rq: request{method: "PUT", bucket: w.b, query: "acl", header: headers("X-Amz-Acl", "private"), payload: body("<AccessControlPolicy/>")}},
	}
}

// cutOff sends fewer bytes than it claims and closes its side.
func (w *errorWorld) cutOff(t *testing.T, text []byte, claimed int) reply {
	t.Helper()
	r := w.build(t, request{method: "PUT", bucket: w.b, key: "new", payload: sigv4test.Payload{Mode: sigv4test.Unsigned, Data: text}})
	conn := w.dial(t, r, claimed)
	defer conn.Close()
	if _, err := conn.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		t.Fatal(err)
	}
	return read(resp)
}

// checksumRows are bodies that are not what their sender says.
func checksumRows(w *errorWorld) []errorRow {
	put := func(pairs ...string) request {
		return request{method: "PUT", bucket: w.b, key: "new", header: headers(pairs...), payload: body("0123456789")}
	}
	spoiled := put()
	spoiled.spoil = spoiledBody(flipAt(3))
	const (
		md5OfNothing, md5OfThis = "1B2M2Y8AsgTpgAmY7PhCfg==", "eB5eJF1ptWaXm4bijSPyxw=="
		types                   = "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
	)
	rows := []errorRow{
		{name: "Content-MD5", code: "BadDigest", fields: [][2]string{{"ExpectedDigest", md5OfNothing}, {"CalculatedDigest", md5OfThis}}, rq: put("Content-Md5", md5OfNothing)},
		{name: "CRC32", code: "BadDigest", message: "The CRC32 you specified did not match the calculated checksum.", rq: put("X-Amz-Checksum-Crc32", "AAAAAA==")},
		{name: "of a document", code: "BadDigest", message: "The CRC32 you specified did not match the calculated checksum.", rq: request{method: "POST", bucket: w.b, query: "delete", payload: body("<Delete/>"), header: headers("X-Amz-Checksum-Crc32", "AAAAAA==")}},
		{name: "SHA-256 of the signature", code: "XAmzContentSHA256Mismatch", fields: [][2]string{{"ClientComputedContentSHA256", "*"}, {"S3ComputedContentSHA256", "*"}}, rq: spoiled},
		{name: "value that is none", code: "InvalidRequest", message: "Value for x-amz-checksum-crc32c header is invalid.", rq: put("X-Amz-Checksum-Crc32c", "AAAA")},
		{name: "algorithm that is none", code: "InvalidRequest", message: "The algorithm type you specified in x-amz-checksum- header is invalid.", rq: put("X-Amz-Checksum-Md4", "AAAA")},
		{name: "two", code: "InvalidRequest", message: "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.", rq: put("X-Amz-Checksum-Crc32", "AAAAAA==", "X-Amz-Checksum-Crc32c", "AAAAAA==")},
		{name: "SDK's algorithm", code: "InvalidRequest", message: types, rq: put("X-Amz-Sdk-Checksum-Algorithm", "MD4")},
		{name: "SDK's algorithm without a checksum", code: "InvalidRequest", rq: put("X-Amz-Sdk-Checksum-Algorithm", "SHA1"),
			message: "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."},
		{name: "none where there must be one", code: "InvalidRequest", message: "Missing required header for this request: Content-MD5 OR x-amz-checksum-*", rq: request{method: "POST", bucket: w.b, query: "delete", payload: body("<Delete/>")}},
	}
	for _, v := range []string{"000", "__invalid__", "not base64 encoded checksum", "MTIz", "dGVzdC1zdHJpbmc=", ""} {
		rows = append(rows, errorRow{name: "Content-MD5 " + v, code: "InvalidDigest", fields: [][2]string{{"Content-MD5", v}}, rq: put("Content-Md5", v)})
	}
	return rows
}

// chunkRows are bodies whose aws-chunked framing is broken.
func chunkRows(w *errorWorld) []errorRow {
	unsigned := func(spoil func(*http.Request)) request {
		return request{method: "PUT", bucket: w.b, key: "new", spoil: spoil, payload: sigv4test.Payload{Mode: sigv4test.UnsignedTrailer, Data: []byte("0123456789"), Checksum: checksum.CRC32}}
	}
	signed := func(mode sigv4test.Mode, spoil func(*http.Request)) request {
		return request{method: "PUT", bucket: w.b, key: "new", spoil: spoil, payload: sigv4test.Payload{Mode: mode, Data: []byte("0123456789"), Checksum: checksum.CRC32}}
	}
	trailer := "x-amz-checksum-crc32:poTHxg==\r\n" // CRC32 of the ten digits
	announced := func(v string) request {
		return request{method: "PUT", bucket: w.b, key: "new", header: headers("X-Amz-Trailer", v), payload: sigv4test.Payload{Mode: sigv4test.UnsignedTrailer, Data: []byte("x")}}
	}
	forged := [][2]string{{"AWSAccessKeyId", accessKey}, {"SignatureProvided", "*"}}
	const ended = "The request body terminated unexpectedly"
	return []errorRow{
		{name: "chunk of more than 5 GiB", code: "InvalidChunkSizeError", message: "The size of a chunk is not valid", fields: [][2]string{{"Chunk", "1"}, {"BadChunkSize", "140000001"}}, rq: unsigned(replaced("a\r\n", "140000001\r\n"))},
		{name: "more than the payload's length", code: "IncompleteBody", message: ended, rq: unsigned(replaced("a\r\n0123456789\r\n", "b\r\n0123456789x\r\n"))},
		{name: "less than the payload's length", code: "IncompleteBody", message: ended, rq: unsigned(replaced("a\r\n0123456789\r\n", "9\r\n012345678\r\n"))},
		{name: "size that is no number", code: "IncompleteBody", message: ended, rq: unsigned(replaced("a\r\n", "ten\r\n"))},
		{name: "no end of a chunk", code: "IncompleteBody", message: ended, rq: unsigned(replaced("9\r\n0", "9xx0"))},
		{name: "no last chunk", code: "IncompleteBody", message: ended, rq: unsigned(replaced("0\r\n"+trailer+"\r\n", ""))},
		{name: "chunk's signature", code: "SignatureDoesNotMatch", fields: forged, rq: signed(sigv4test.Signed, spoiledBody(flipAt(30)))},
		{name: "chunk's data", code: "SignatureDoesNotMatch", fields: forged, rq: signed(sigv4test.Signed, replaced("0123456789", "0123456788"))},
		{name: "no chunk signature", code: "IncompleteBody", message: ended, rq: signed(sigv4test.Signed, replaced(";chunk-signature=", ";x="))},
		{name: "trailer's signature", code: "SignatureDoesNotMatch", fields: forged, rq: signed(sigv4test.SignedTrailer, spoiledBody(flipAt(-6)))},
		{name: "no trailer signature", code: "MalformedTrailerError", rq: signed(sigv4test.SignedTrailer, replaced("x-amz-trailer-signature", "x-amz-another"))},

		{name: "announced and missing", code: "MalformedTrailerError", rq: unsigned(replaced(trailer, ""))},
		{name: "twice", code: "MalformedTrailerError", rq: unsigned(replaced(trailer, trailer+trailer))},
		{name: "another than announced", code: "MalformedTrailerError", rq: unsigned(replaced("crc32:", "crc32c:"))},
		{name: "one more than announced", code: "MalformedTrailerError", rq: unsigned(replaced(trailer, trailer+"x-amz-checksum-sha1:AAAA\r\n"))},
		{name: "no colon", code: "MalformedTrailerError", rq: unsigned(replaced(trailer, "x-amz-checksum-crc32\r\n"))},
		{name: "too long", code: "MalformedTrailerError", rq: unsigned(replaced(trailer, "x-amz-checksum-crc32:"+repeat("A", 3000)+"\r\n"))},
		{name: "announced where no trailer can be", code: "MalformedTrailerError", rq: request{method: "PUT", bucket: w.b, key: "new", header: headers("X-Amz-Trailer", "x-amz-checksum-crc32"), payload: body("x")}},
		{name: "announced header that is no checksum", code: "InvalidRequest", message: "The value specified in the x-amz-trailer header is not supported", rq: announced("x-amz-meta-a")},
		{name: "value that is none", code: "InvalidRequest", message: "Value for x-amz-checksum-crc32 trailing header is invalid.", rq: unsigned(replaced("poTHxg==", "poTH"))},
		{name: "CRC32 in a trailer", code: "BadDigest", message: "The CRC32 you specified did not match the calculated checksum.", rq: unsigned(replaced("poTHxg==", "AAAAAA=="))},
	}
}

// documentRows put a document that is none into every place that takes one.
func documentRows(w *errorWorld) []errorRow {
	var rows []errorRow
	add := func(method, key, query, root string) {
		rq := request{method: method, bucket: w.b, key: key, query: query}
		for name, text := range map[string]string{"no XML": "{}", "cut short": "<" + root + "><", "another root": "<Other/>", "with a DTD": "<!DOCTYPE a [<!ENTITY b 'c'>]><" + root + "/>"} {
			code := "MalformedXML"
			if query == "acl" {
				code = "MalformedACLError"
			}
			rq.payload = checked(text)
			rows = append(rows, errorRow{name: query + " " + key + " " + name, code: code, rq: rq})
		}
	}
	for query, root := range map[string]string{
		"acl": "AccessControlPolicy", "cors": "CORSConfiguration", "lifecycle": "LifecycleConfiguration", "notification": "NotificationConfiguration",
		"object-lock": "ObjectLockConfiguration", "publicAccessBlock": "PublicAccessBlockConfiguration", "requestPayment": "RequestPaymentConfiguration",
		"tagging": "Tagging", "versioning": "VersioningConfiguration",
	} {
		add("PUT", "", query, root)
		if query != "acl" { // which may be said in headers
			rows = append(rows, errorRow{name: query + " without a body", code: "MissingRequestBodyError", rq: request{method: "PUT", bucket: w.b, query: query}})
		}
	}
	for query, root := range map[string]string{"acl": "AccessControlPolicy", "legal-hold": "LegalHold", "retention": "Retention", "tagging": "Tagging"} {
		add("PUT", "k", query, root)
	}
	add("POST", "", "delete", "Delete")
	add("POST", "mpu", "uploadId="+w.id, "CompleteMultipartUpload")
	document := func(query, text string) request {
		return request{method: "PUT", bucket: w.b, query: query, payload: body(text)}
	}
	acl := func(grant string) request {
		return document("acl", "<AccessControlPolicy><Owner><ID>a</ID></Owner><AccessControlList><Grant>"+grant+"</Grant></AccessControlList></AccessControlPolicy>")
	}
	const manyObjects = "<Object><Key>k</Key></Object>"
	return append(rows, []errorRow{
		{name: "document of a new bucket", code: "MalformedXML", rq: request{method: "PUT", bucket: w.b + "-new", payload: body("<x")}},
		{name: "1001 keys", code: "MalformedXML", rq: request{method: "POST", bucket: w.b, query: "delete", payload: checked("<Delete>" + repeat(manyObjects, 1001) + "</Delete>")}},
		{name: "versioning that says nothing", code: "IllegalVersioningConfigurationException", message: "The Versioning element must be specified", rq: document("versioning", "<VersioningConfiguration/>")},
		{name: "status of versioning", code: "MalformedXML", rq: document("versioning", "<VersioningConfiguration><Status>On</Status></VersioningConfiguration>")},
		{name: "payer", code: "MalformedXML", rq: document("requestPayment", "<RequestPaymentConfiguration><Payer>Nobody</Payer></RequestPaymentConfiguration>")},
		{name: "permission", code: "MalformedACLError", rq: acl("<Grantee><ID>a</ID></Grantee><Permission>ALL</Permission>")},
		{name: "group", code: "InvalidArgument", message: "Invalid group uri", fields: argument("Group/URI", "http://x"), rq: acl("<Grantee><URI>http://x</URI></Grantee><Permission>READ</Permission>")},
		{name: "method of CORS", code: "InvalidRequest", message: "Found unsupported HTTP method in CORS config. Unsupported method is MYMETHOD",
			rq: document("cors", "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>MYMETHOD</AllowedMethod></CORSRule></CORSConfiguration>")},
		{name: "rules of one name", code: "InvalidArgument", message: "Rule ID must be unique. Found same ID for more than one rule",
			rq: document("lifecycle", "<LifecycleConfiguration>"+repeat("<Rule><ID>a</ID><Status>Enabled</Status></Rule>", 2)+"</LifecycleConfiguration>")},
		{name: "rule by size", code: "NotImplemented", message: "Lifecycle rules that select objects by size are not implemented.",
			rq: document("lifecycle", "<LifecycleConfiguration><Rule><Filter><ObjectSizeLessThan>1</ObjectSizeLessThan></Filter><Status>Enabled</Status></Rule></LifecycleConfiguration>")},
		{name: "period of a lock", code: "InvalidRetentionPeriod", message: "Default retention period must be a positive integer value.",
			rq: document("object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>0</Days></DefaultRetention></Rule></ObjectLockConfiguration>")},
		{name: "queue", code: "NotImplemented", message: "Notifications to queues, functions and EventBridge are not implemented.", rq: document("notification", "<NotificationConfiguration><QueueConfiguration/></NotificationConfiguration>")},
		{name: "no JSON", code: "MalformedPolicy", rq: document("policy", "<Policy/>")},
		{name: "empty", code: "MalformedPolicy", rq: request{method: "PUT", bucket: w.b, query: "policy"}},
	}...)
}
