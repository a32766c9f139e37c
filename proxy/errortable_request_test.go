package proxy_test

import "cofre/sigv4/sigv4test"

// headRows are what can be wrong with the headers of a request, those of its signature and its body apart.
func headRows(w *errorWorld) []errorRow {
	put := func(pairs ...string) request {
		return request{method: "PUT", bucket: w.b, key: "new", header: headers(pairs...)}
	}
	create := func(pairs ...string) request {
		return request{method: "PUT", bucket: w.b + "-new", header: headers(pairs...)}
	}
	const (
		both       = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
		customer   = "X-Amz-Server-Side-Encryption-Customer-"
		encryption = "x-amz-server-side-encryption"
		everybody  = "uri=http://acs.amazonaws.com/groups/global/AllUsers"
	)
	noValue := [][2]string{{"ArgumentName", encryption}}
	return []errorRow{
		{name: "canned ACL", code: "InvalidArgument", message: "The canned ACL is not valid.", fields: argument("x-amz-acl", "public"), rq: put("X-Amz-Acl", "public")},
		{name: "canned ACL of a new bucket", code: "InvalidArgument", message: "The canned ACL is not valid.", fields: argument("x-amz-acl", "public"), rq: create("X-Amz-Acl", "public")},
		{name: "canned ACL and grants", code: "InvalidRequest", message: "Specifying both Canned ACLs and Header Grants is not allowed", rq: put("X-Amz-Acl", "private", "X-Amz-Grant-Read", everybody)},
		{name: "grant", code: "InvalidArgument", message: "Argument format not recognized", fields: argument("x-amz-grant-write", `fakekey="1234"`), rq: put("X-Amz-Grant-Write", `fakekey="1234"`)},
		{name: "grant to a group that is none", code: "InvalidArgument", message: "Invalid group uri", fields: argument("uri", "http://acs.amazonaws.com/groups/s3/FakeGroup"),
			rq: put("X-Amz-Grant-Read", `uri="http://acs.amazonaws.com/groups/s3/FakeGroup"`)},
		{name: "no ACL at all", code: "MissingSecurityHeader", fields: [][2]string{{"MissingHeaderName", "x-amz-acl"}}, rq: request{method: "PUT", bucket: w.b, query: "acl"}},
		{name: "ownership", code: "InvalidArgument", message: "Invalid x-amz-object-ownership header: Mine", fields: [][2]string{{"ArgumentName", "x-amz-object-ownership"}}, rq: create("X-Amz-Object-Ownership", "Mine")},

		{name: "lock without a date", code: "InvalidArgument", message: both, fields: [][2]string{{"ArgumentName", "x-amz-object-lock-retain-until-date"}}, rq: put("X-Amz-Object-Lock-Mode", "GOVERNANCE")},
		{name: "lock without a mode", code: "InvalidArgument", message: both, fields: [][2]string{{"ArgumentName", "x-amz-object-lock-mode"}}, rq: put("X-Amz-Object-Lock-Retain-Until-Date", "2030-01-01T00:00:00Z")},
		{name: "lock mode", code: "InvalidArgument", message: "Unknown wormMode directive.", fields: argument("x-amz-object-lock-mode", "BAD"), rq: put("X-Amz-Object-Lock-Mode", "BAD", "X-Amz-Object-Lock-Retain-Until-Date", "2030-01-01T00:00:00Z")},
		{name: "lock date", code: "InvalidArgument", message: "The retain until date must be provided in ISO 8601 format", fields: argument("x-amz-object-lock-retain-until-date", "06/06/2030"),
			rq: put("X-Amz-Object-Lock-Mode", "GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date", "06/06/2030")},
		{name: "legal hold", code: "InvalidArgument", message: "Legal Hold must be either of 'ON' or 'OFF'", fields: argument("x-amz-object-lock-legal-hold", "on"), rq: put("X-Amz-Object-Lock-Legal-Hold", "on")},

		{name: "2 KiB and a byte", code: "MetadataTooLarge", fields: [][2]string{{"Size", "2049"}, {"MaxSizeAllowed", "2048"}}, rq: put("X-Amz-Meta-A", repeat("a", 2048))},
		{name: "reserved metadata", code: "InvalidArgument", message: "The name of the user metadata is empty or reserved.", fields: argument("x-amz-meta-cofre-envelope", "x"), rq: put("X-Amz-Meta-Cofre-Envelope", "x")},
		{name: "list of entity tags", code: "RequestHeaderSectionTooLarge", fields: [][2]string{{"MaxSizeAllowed", "8192"}}, rq: request{method: "GET", bucket: w.b, key: "k", header: headers("If-Match", repeat(`"x",`, 2100))}},
		{name: "list of entity tags on a write", code: "RequestHeaderSectionTooLarge", fields: [][2]string{{"MaxSizeAllowed", "8192"}}, rq: put("If-Match", repeat(`"x",`, 2100))},
		{name: "storage class", code: "InvalidStorageClass", fields: [][2]string{{"StorageClassRequested", "FakeClass"}}, storage: &refusal{400, "InvalidStorageClass"}, rq: put("X-Amz-Storage-Class", "FakeClass")},
		{name: "range and part", code: "InvalidRequest", message: "Cannot specify both Range header and partNumber query parameter", rq: request{method: "GET", bucket: w.b, key: "k", query: "partNumber=1", header: headers("Range", "bytes=0-1")}},
		{name: "a header also in the query", code: "InvalidArgument", message: "A header was given in the query string and again with another value.", fields: argument("x-amz-acl", "private"),
			rq: request{method: "PUT", bucket: w.b, key: "new", query: "x-amz-acl=private", header: headers("X-Amz-Acl", "public-read")}},
		{name: "line break in a header of the query", code: "InvalidArgument", message: "The value of a header in the query string is invalid.", fields: argument("x-amz-acl", "*"), rq: request{method: "PUT", bucket: w.b, key: "new", query: "x-amz-acl=a%0Db"}},
		{name: "copy source where nothing is copied", code: "InvalidArgument", message: "You can only specify a copy source header for copy requests.", fields: argument("x-amz-copy-source", "b/k"),
			rq: request{method: "GET", bucket: w.b, key: "k", header: headers("X-Amz-Copy-Source", "b/k")}},

		{name: "customer key's algorithm", code: "InvalidEncryptionAlgorithmError", fields: argument(encryption, "AES128"), rq: put(customer+"Algorithm", "AES128", customer+"Key", "a", customer+"Key-Md5", "b")},
		{name: "no algorithm of a customer key", code: "InvalidArgument", fields: noValue, rq: put(customer+"Key", "a"),
			message: "Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm."},
		{name: "no customer key", code: "InvalidArgument", fields: noValue, rq: put(customer+"Algorithm", "AES256"),
			message: "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key."},
		{name: "customer key's length", code: "InvalidArgument", message: "The secret key was invalid for the specified algorithm.", fields: noValue, rq: put(customer+"Algorithm", "AES256", customer+"Key", "YQ==", customer+"Key-Md5", "b")},
		{name: "customer key's MD5", code: "InvalidArgument", message: "The calculated MD5 hash of the key did not match the hash that was provided.", fields: noValue,
			rq: put(customer+"Algorithm", "AES256", customer+"Key", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", customer+"Key-Md5", "b")},
		{name: "method of encryption", code: "InvalidArgument", message: "The encryption method specified is not supported", fields: argument(encryption, "aes256"), rq: put("X-Amz-Server-Side-Encryption", "aes256")},
		{name: "KMS key without KMS", code: "InvalidArgument", message: "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms", fields: noValue,
			rq: put("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "k")},
		{name: "customer key over http", code: "InvalidRequest", message: "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.",
			rq: put(customer+"Algorithm", "AES256", customer+"Key", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", customer+"Key-Md5", "KYvwGXoFFJ42a2u2GDWhwQ==")},
		{name: "attributes not named", code: "InvalidRequest", message: "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty", rq: request{method: "GET", bucket: w.b, key: "k", query: "attributes"}},
		{name: "attribute that is none", code: "InvalidArgument", message: "Invalid attribute name specified.", fields: argument("x-amz-object-attributes", "Weight"), rq: request{method: "GET", bucket: w.b, key: "k", query: "attributes", header: headers("X-Amz-Object-Attributes", "Weight")}},
	}
}

// queryRows are what can be wrong with the query, and with the method.
func queryRows(w *errorWorld) []errorRow {
	bucket := func(method, query string) request { return request{method: method, bucket: w.b, query: query} }
	object := func(method, query string) request {
		return request{method: method, bucket: w.b, key: "k", query: query}
	}
	const unknown = "A query parameter you provided implies functionality that is not implemented."
	rows := []errorRow{
		{name: "two sub-resources", code: "InvalidArgument", message: "Conflicting query string parameters: acl, tagging", fields: argument("ResourceType", "acl"), rq: object("GET", "tagging&acl")},
		{name: "a parameter twice", code: "InvalidArgument", message: "A query parameter was given more than once.", fields: argument("prefix", "b"), rq: bucket("GET", "prefix=a&prefix=b")},
		{name: "NUL in a parameter", code: "InvalidArgument", message: "A query parameter holds a NUL byte.", fields: [][2]string{{"ArgumentName", "prefix"}}, rq: bucket("GET", "prefix=a%00")},
		{name: "version of a bucket", code: "InvalidArgument", message: "This operation does not accept a version-id.", fields: argument("versionId", "x"), rq: bucket("GET", "versionId=x")},
		{name: "empty version", code: "InvalidArgument", message: "Version id cannot be the empty string", fields: argument("versionId", ""), rq: object("GET", "versionId=")},
		{name: "part of no upload", code: "InvalidArgument", message: "This operation does not accept partNumber without uploadId", fields: argument("partNumber", "1"), rq: object("PUT", "partNumber=1")},
		{name: "part of a bucket", code: "InvalidRequest", message: "Object must have a valid key name.", rq: bucket("GET", "partNumber=1")},
		{name: "list type", code: "InvalidArgument", message: "Invalid List Type specified in Request", fields: argument("list-type", "3"), rq: bucket("GET", "list-type=3")},
		{name: "encoding type", code: "InvalidArgument", message: "Invalid Encoding Method specified in Request", fields: argument("encoding-type", "base64"), rq: bucket("GET", "encoding-type=base64")},
		{name: "continuation token", code: "InvalidArgument", message: "The continuation token provided is incorrect", fields: [][2]string{{"ArgumentName", "continuation-token"}}, rq: bucket("GET", "list-type=2&continuation-token=%21")},
		{name: "version marker without key marker", code: "InvalidArgument", message: "A version-id marker cannot be specified without a key marker.", fields: argument("version-id-marker", "x"), rq: bucket("GET", "versions&version-id-marker=x")},
		{name: "max-keys that is no number", code: "InvalidArgument", message: "Provided max-keys not an integer or within integer range", fields: argument("max-keys", "many"), rq: bucket("GET", "max-keys=many")},
		{name: "max-keys below zero", code: "InvalidArgument", message: "Argument maxKeys must be an integer between 0 and 2147483647", fields: argument("maxKeys", "-1"), rq: bucket("GET", "list-type=2&max-keys=-1")},
		{name: "max-buckets", code: "InvalidArgument", message: "Argument max-buckets must be an integer between 1 and 10000.", fields: argument("max-buckets", "0"), rq: request{method: "GET", query: "max-buckets=0"}},
		{name: "uploads of a key", code: "InvalidRequest", message: "Key is not expected for the GET method ?uploads subresource", rq: object("GET", "uploads")},
		{name: "versions of a key", code: "InvalidRequest", message: "There is no such thing as the ?versions sub-resource for a key", rq: object("GET", "versions")},
		{name: "broken escape", code: "InvalidURI", send: rawLine("GET /" + w.b + "?prefix=%zz")},

		{name: "unknown sub-resource", code: "NotImplemented", message: unknown, fields: [][2]string{{"Parameter", "usage"}}, rq: bucket("GET", "usage")},
		{name: "append", code: "NotImplemented", message: unknown, fields: [][2]string{{"Parameter", "append"}}, rq: object("PUT", "append&position=0")},
		{name: "sub-resource of buckets", code: "NotImplemented", message: unknown, fields: [][2]string{{"Parameter", "policy"}}, rq: object("DELETE", "policy")},
		{name: "operation that is refused", code: "NotImplemented", message: "PutBucketWebsite is not implemented.", rq: bucket("PUT", "website")},
		{name: "STS", code: "NotImplemented", message: "STS, IAM and SNS requests are not implemented.", rq: request{method: "POST", payload: body("Action=GetCallerIdentity")}},
		{name: "two conditions of a write", code: "NotImplemented", fields: [][2]string{{"Header", "If-Match,If-None-Match"}, {"additionalMessage", "Multiple conditional request headers present in the request"}},
			rq: request{method: "PUT", bucket: w.b, key: "k", header: headers("If-Match", "x", "If-None-Match", "*")}},
		{name: "condition of time on a write", code: "NotImplemented", fields: [][2]string{{"Header", "If-Unmodified-Since"}}, rq: request{method: "PUT", bucket: w.b, key: "k", header: headers("If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT")}},

		{name: "method", code: "MethodNotAllowed", fields: [][2]string{{"Method", "PATCH"}, {"ResourceType", "OBJECT"}}, rq: object("PATCH", "")},
		{name: "method of a sub-resource", code: "MethodNotAllowed", fields: [][2]string{{"Method", "DELETE"}, {"ResourceType", "ACL"}}, rq: object("DELETE", "acl")},
		{name: "upload without part number", code: "MethodNotAllowed", fields: [][2]string{{"Method", "PUT"}, {"ResourceType", "UPLOADID"}}, rq: object("PUT", "uploadId=x")},
		{name: "HEAD of the service", code: "MethodNotAllowed", rq: request{method: "HEAD"}},
	}
	for _, n := range []string{"0", "10001", "abc", "-1", ""} {
		row := errorRow{name: "part number " + n, code: "InvalidArgument", message: "Part number must be an integer between 1 and 10000, inclusive", fields: argument("partNumber", n)}
		row.rq = object("GET", "partNumber="+n)
		rows = append(rows, row)
		row.name, row.rq = "part number "+n+" of an upload", object("PUT", "uploadId="+w.id+"&partNumber="+n)
		rows = append(rows, row)
	}
	return rows
}

// nameRows are names that cannot be.
func nameRows(w *errorWorld) []errorRow {
	rows := []errorRow{
		{name: "1025 bytes", code: "KeyTooLongError", fields: [][2]string{{"Size", "1025"}, {"MaxSizeAllowed", "1024"}}, rq: request{method: "PUT", bucket: w.b, key: repeat("k", 1025)}},
		{name: "1025 bytes in a document", code: "KeyTooLongError", fields: [][2]string{{"Size", "1025"}, {"MaxSizeAllowed", "1024"}},
			rq: request{method: "POST", bucket: w.b, query: "delete", payload: checked("<Delete><Object><Key>" + repeat("k", 1025) + "</Key></Object></Delete>")}},
		{name: "no UTF-8", code: "InvalidURI", send: rawLine("GET /" + w.b + "/%FF")},
		{name: "NUL", code: "InvalidURI", send: rawLine("GET /" + w.b + "/%00")},
	}
	// That a name is one at all is judged here; whether a new bucket may have it (capitals, two dots) by the storage.
	for _, name := range []string{"ab", repeat("a", 256), "192.168.5.4", "...", "a b", "tenant:bucket", "b\u00fccket"} {
		rows = append(rows, errorRow{name: "bucket " + name[:min(len(name), 20)], code: "InvalidBucketName", fields: [][2]string{{"BucketName", name}}, rq: request{method: "PUT", bucket: name}})
	}
	return append(rows, errorRow{name: "source of a copy", code: "InvalidArgument", message: "Invalid copy source bucket name", fields: argument("x-amz-copy-source", "ab/k"),
		rq: request{method: "PUT", bucket: w.b, key: "new", header: headers("X-Amz-Copy-Source", "ab/k")}})
}

// tagRows are tags that cannot be, in a header and in documents.
func tagRows(w *errorWorld) []errorRow {
	tagging := func(bucket, key, tags string) request {
		return request{method: "PUT", bucket: bucket, key: key, query: "tagging", payload: sigv4test.Payload{Data: []byte("<Tagging><TagSet>" + tags + "</TagSet></Tagging>")}}
	}
	tag := func(key, value string) string {
		return "<Tag><Key>" + key + "</Key><Value>" + value + "</Value></Tag>"
	}
	many := func(n int) (tags string) {
		for i := range n {
			tags += tag("t"+repeat("x", i), "")
		}
		return tags
	}
	header := func(v string) request {
		return request{method: "PUT", bucket: w.b, key: "new", header: headers("X-Amz-Tagging", v)}
	}
	const (
		urlEncoded         = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates."
		badKey, badValue   = "The TagKey you have provided is invalid", "The TagValue you have provided is invalid"
		tooMany, multitude = "Object tags cannot be greater than 10", "Bucket tag count cannot be greater than 50"
	)
	return []errorRow{
		{name: "eleven in the header", code: "BadRequest", message: tooMany, rq: header("a&b&c&d&e&f&g&h&i&j&k")},
		{name: "eleven of an object", code: "BadRequest", message: tooMany, rq: tagging(w.b, "k", many(11))},
		{name: "fifty-one of a bucket", code: "BadRequest", message: multitude, rq: tagging(w.b, "", many(51))},
		{name: "header with commas", code: "InvalidArgument", message: urlEncoded, fields: argument("x-amz-tagging", "key1=val1,key2=val2"), rq: header("key1=val1,key2=val2")},
		{name: "header with a tag twice", code: "InvalidArgument", message: urlEncoded, fields: argument("x-amz-tagging", "a=1&a=2"), rq: header("a=1&a=2")},
		{name: "header with a broken escape", code: "InvalidArgument", message: urlEncoded, fields: argument("x-amz-tagging", "a=%"), rq: header("a=%")},
		{name: "character of a key in the header", code: "InvalidTag", message: badKey, fields: [][2]string{{"TagKey", "a<b"}}, rq: header("a%3Cb=1")},
		{name: "length of a key", code: "InvalidTag", message: badKey, fields: [][2]string{{"TagKey", repeat("x", 129)}}, rq: tagging(w.b, "k", tag(repeat("x", 129), ""))},
		{name: "empty key", code: "InvalidTag", message: badKey, fields: [][2]string{{"TagKey", ""}}, rq: tagging(w.b, "k", tag("", "x"))},
		{name: "character of a key", code: "InvalidTag", message: badKey, fields: [][2]string{{"TagKey", "Key1,Key2"}}, rq: tagging(w.b, "k", tag("Key1,Key2", "x"))},
		{name: "character of a value", code: "InvalidTag", message: badValue, fields: [][2]string{{"TagKey", "Key1"}, {"TagValue", "Val1,Val2"}}, rq: tagging(w.b, "", tag("Key1", "Val1,Val2"))},
		{name: "length of a value", code: "InvalidTag", message: badValue, fields: [][2]string{{"TagKey", "a"}, {"TagValue", repeat("x", 257)}}, rq: tagging(w.b, "k", tag("a", repeat("x", 257)))},
		{name: "a key twice", code: "InvalidTag", message: "Cannot provide multiple Tags with the same key", fields: [][2]string{{"TagKey", "a"}}, rq: tagging(w.b, "k", tag("a", "1")+tag("a", "2"))},
		{name: "system tag of an object", code: "InvalidTag", message: "Your TagKey cannot be prefixed with aws:", fields: [][2]string{{"TagKey", "aws:a"}}, rq: tagging(w.b, "k", tag("aws:a", ""))},
		{name: "system tag of a bucket", code: "InvalidTag", message: "System tags cannot be added/updated by requester", fields: [][2]string{{"TagKey", "aws:a"}}, rq: tagging(w.b, "", tag("aws:a", ""))},
		{name: "tag without a value", code: "MalformedXML", rq: tagging(w.b, "k", "<Tag><Key>a</Key></Tag>")},
	}
}
