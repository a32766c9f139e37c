package proxy_test

import (
	"cmp"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"cofre/checksum"
	"cofre/sigv4/sigv4test"
)

// bucket gives the name of a bucket of this sequence.
func (r *modelRun) bucket(word string) string {
	return r.name + "-" + cmp.Or(word, "none") + r.w.storage.bucketTag
}

// request writes the call down as a client sends it.
func (r *modelRun) request(c *modelCall) request {
	rq := request{bucket: r.bucket(c.Bucket), key: c.Key, header: map[string]string{}, as: modelSigner(c.Who)}
	rq.payload.Mode = sigv4test.Unsigned
	query := func(words ...string) {
		for i := 0; i < len(words); i += 2 {
			if words[i+1] != "" {
				rq.query += "&" + words[i] + "=" + escaped(words[i+1])
			}
		}
		rq.query = strings.TrimPrefix(rq.query, "&")
	}
	set := func(name, v string) {
		if v != "" {
			rq.header[name] = v
		}
	}
	set("If-Match", c.ifMatch)
	set("If-None-Match", c.ifNoneMatch)
	switch c.Do {
	case "put":
		rq.method = http.MethodPut
		c.describe(set)
		c.setBody(&rq)
	case "get", "head":
		rq.method = strings.ToUpper(c.Do)
		query("versionId", c.version)
		set("Range", c.Range)
		if c.Range == "" {
			set("X-Amz-Checksum-Mode", "ENABLED")
		}
	case "attributes":
		rq.method, rq.query = http.MethodGet, "attributes="
		query("versionId", c.version)
		set("X-Amz-Object-Attributes", "ETag,Checksum,ObjectParts,ObjectSize")
	case "delete":
		rq.method = http.MethodDelete
		query("versionId", c.version)
	case "deletes":
		rq.method, rq.key, rq.query = http.MethodPost, "", "delete="
		var doc strings.Builder
		for _, key := range c.deletes {
			fmt.Fprintf(&doc, "<Object><Key>%s</Key></Object>", xmlText(key))
		}
		rq.payload.Data = []byte("<Delete>" + doc.String() + "</Delete>")
		set("Content-MD5", contentMD5(rq.payload.Data, c.Spoil == "md5"))
	case "copy", "part-copy":
		rq.method = http.MethodPut
		source := "/" + r.bucket(c.FromBucket) + "/" + strings.ReplaceAll(escaped(c.From), "%2F", "/")
		if c.fromVersion != "" {
			source += "?versionId=" + c.fromVersion
		}
		set("X-Amz-Copy-Source", source)
		if c.Do == "part-copy" {
			query("uploadId", c.uploadID, "partNumber", fmt.Sprint(c.Part))
			break
		}
		c.directives(set)
	case "tags", "untag", "tag":
		rq.method = map[string]string{"tags": "GET", "tag": "PUT", "untag": "DELETE"}[c.Do]
		rq.query = "tagging="
		query("versionId", c.version)
		if c.Do == "tag" {
			rq.payload.Data = taggingDocument(c.Tags)
		}
	case "versioning":
		rq.method, rq.key, rq.query = http.MethodPut, "", "versioning="
		rq.payload.Data = []byte("<VersioningConfiguration><Status>" + c.Status + "</Status></VersioningConfiguration>")
	case "create", "drop":
		rq.method, rq.key = map[string]string{"create": "PUT", "drop": "DELETE"}[c.Do], ""
	case "v1", "v2", "versions":
		c.listing(&rq, query)
	case "uploads":
		rq.method, rq.key, rq.query = http.MethodGet, "", "uploads="
		query("prefix", c.Prefix)
	default:
		c.requestUpload(&rq, query, set)
	}
	return rq
}

// requestUpload writes down what is done with uploads.
func (c *modelCall) requestUpload(rq *request, query func(...string), set func(name, v string)) {
	switch c.Do {
	case "upload":
		rq.method, rq.query = http.MethodPost, "uploads="
		c.describe(set)
		set("X-Amz-Checksum-Algorithm", c.Algorithm)
		return
	case "part":
		rq.method = http.MethodPut
		query("partNumber", fmt.Sprint(c.Part))
		c.setBody(rq)
	case "complete":
		rq.method = http.MethodPost
		var doc strings.Builder
		for _, p := range c.list {
			fmt.Fprintf(&doc, "<Part><PartNumber>%d</PartNumber><ETag>\"%s\"</ETag></Part>", p.number, p.etag)
		}
		rq.payload.Data = []byte("<CompleteMultipartUpload>" + doc.String() + "</CompleteMultipartUpload>")
	case "abort":
		rq.method = http.MethodDelete
	case "parts":
		rq.method = http.MethodGet
	}
	query("uploadId", c.uploadID)
}

// describe sets what the client says about an object.
func (c *modelCall) describe(set func(name, v string)) {
	if c.Note != "" {
		set("X-Amz-Meta-Note", noteText(c.Note))
		set("Content-Type", contentTypeOf(c.Note))
	}
	set("X-Amz-Tagging", c.Tags)
}

func (c *modelCall) directives(set func(name, v string)) {
	if c.Replace {
		set("X-Amz-Metadata-Directive", "REPLACE")
		if c.Note != "" {
			set("X-Amz-Meta-Note", noteText(c.Note))
			set("Content-Type", contentTypeOf(c.Note))
		}
	}
	if c.ReplaceTags {
		set("X-Amz-Tagging-Directive", "REPLACE")
		set("X-Amz-Tagging", c.Tags)
	}
	set("X-Amz-Checksum-Algorithm", c.Algorithm)
}

// setBody gives the request its body, with what is wrong about it.
func (c *modelCall) setBody(rq *request) {
	rq.payload.Data = c.body
	if c.Algorithm != "" && c.Do == "put" {
		alg, _ := checksum.ParseAlgorithm(c.Algorithm)
		rq.payload.Checksum = alg
	}
	switch c.Spoil {
	case "md5":
		rq.header["Content-MD5"] = contentMD5(c.body, true)
	case "checksum":
		rq.payload.Checksum = checksum.None
		rq.header["X-Amz-Checksum-Crc32"] = base64Text(digest("CRC32", append([]byte("wrong"), c.body...)))
	}
}

func (c *modelCall) listing(rq *request, query func(...string)) {
	rq.method, rq.key = http.MethodGet, ""
	q := c.query()
	query("encoding-type", "url", "max-keys", fmt.Sprint(q.MaxKeys), "prefix", q.Prefix, "delimiter", q.Delimiter)
	switch c.Do {
	case "v1":
		query("marker", q.Marker)
	case "v2":
		query("list-type", "2", "start-after", q.Marker)
	case "versions":
		rq.query = "versions=&" + rq.query
		query("key-marker", q.Marker)
	}
}

func contentMD5(data []byte, wrong bool) string {
	if wrong {
		data = append([]byte("wrong"), data...)
	}
	sum := md5.Sum(data)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func xmlText(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}

func taggingDocument(tags string) []byte {
	var doc strings.Builder
	for _, word := range strings.FieldsFunc(tags, func(r rune) bool { return r == '&' }) {
		name, value, _ := strings.Cut(word, "=")
		fmt.Fprintf(&doc, "<Tag><Key>%s</Key><Value>%s</Value></Tag>", name, value)
	}
	return []byte("<Tagging><TagSet>" + doc.String() + "</TagSet></Tagging>")
}
