package sigv4

import (
	"crypto/hmac"
	"crypto/sha1" // #nosec G505 -- Version 2 is HMAC-SHA1; HMAC does not rest on SHA-1 being free of collisions
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// subresourcesV2 are the parameters that Version 2 signs. Everything that turns a request into another operation, or picks a version or part,
// has to be among them: what is not signed here could be added to a presigned URL by whoever holds it.
// Never written to.
var subresourcesV2 = []string{
	"abac", "accelerate", "acl", "analytics", "attributes", "cors", "defaultObjectAcl", "delete", "encryption", "intelligent-tiering",
	"inventory", "legal-hold", "lifecycle", "location", "logging", "metadataConfiguration", "metadataInventoryTable", "metadataJournalTable",
	"metadataTable", "metrics", "notification", "object-lock", "ownershipControls", "partNumber", "policy", "policyStatus",
	"publicAccessBlock", "renameObject", "replication", "requestPayment", "response-cache-control", "response-content-disposition",
	"response-content-encoding", "response-content-language", "response-content-type", "response-expires", "restore", "retention", "select",
	"select-type", "session", "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
}

// verifyHeaderV2 judges "Authorization: AWS AccessKeyID:Signature".
func (v *Verifier) verifyHeaderV2(r *http.Request, path string, query []parameter) (*Auth, error) {
	_, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	colon := strings.LastIndexByte(value, ':')
	if colon <= 0 {
		return nil, ErrInvalidArgument.say("AWS authorization header is invalid.  Expected AwsAccessKeyId:signature").
			with("ArgumentName", "Authorization")
	}
	signed, err := signingTime(r.Header)
	if err != nil {
		return nil, err
	}
	if signed.Unix() < 0 {
		return nil, errNoDate // no clock says so; as on Ceph RGW
	}
	if err := checkSkew(v.clock(), signed); err != nil {
		return nil, err
	}
	date := r.Header.Get("Date")
	if r.Header.Get(headerDate) != "" { // then it is signed as one of the x-amz- headers
		date = ""
	}
	for _, p := range query {
		// S3 takes them for headers, and Version 2 signs of the query the sub-resources alone: anyone on the way could add one.
		if strings.HasPrefix(strings.ToLower(p.name), "x-amz-") {
			return nil, errHeadersNotSigned.with("HeadersNotSigned", strings.ToLower(p.name))
		}
	}
	c := claimV2{HeaderV2, value[:colon], value[colon+1:], date}
	return v.verifyV2(r, c, path, query, nil)
}

// verifyPresignedV2 judges ?AWSAccessKeyId=...&Expires=...&Signature=...
func (v *Verifier) verifyPresignedV2(r *http.Request, path string, query []parameter) (*Auth, error) {
	var values [3]string
	for i, name := range []string{"AWSAccessKeyId", "Signature", "Expires"} {
		value, count := lookup(query, name)
		if count != 1 || value == "" {
			return nil, ErrAccessDenied.say("Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
		}
		values[i] = value
	}
	seconds, err := strconv.ParseInt(values[2], 10, 64)
	if err != nil {
		return nil, ErrAccessDenied.say("Invalid date (should be seconds since epoch): " + values[2])
	}
	if now := v.clock(); now.Unix() >= seconds {
		return nil, errExpired.with("Expires", time.Unix(seconds, 0).UTC().Format(time.RFC3339)).
			with("ServerTime", now.UTC().Format(time.RFC3339))
	}
	c := claimV2{QueryV2, values[0], values[1], values[2]}
	auth, err := v.verifyV2(r, c, path, query, hoistedV2(query))
	if err != nil {
		return nil, err
	}
	auth.hoisted = hoistedHeaders(query)
	for _, name := range []string{"content-type", "content-md5"} {
		if value, count := lookup(query, name); count > 0 {
			auth.hoisted.Set(name, value)
		}
	}
	return auth, nil
}

// claimV2 is what a Version 2 request says about its signature.
type claimV2 struct {
	scheme      Scheme
	accessKeyID string
	signature   string // base64, as sent
	date        string // the Date line of the string to sign: a date, the end of a URL's life, or nothing
}

// hoistedV2 collects the headers that botocore moves into a presigned URL after it has signed them as headers.
func hoistedV2(query []parameter) map[string]string {
	lists := make(map[string][]string)
	for _, p := range query {
		if name := strings.ToLower(p.name); strings.HasPrefix(name, "x-amz-") || name == "content-type" || name == "content-md5" {
			lists[name] = append(lists[name], p.value)
		}
	}
	hoisted := make(map[string]string, len(lists))
	for name, list := range lists {
		hoisted[name] = strings.Join(list, ",")
	}
	return hoisted
}

func (v *Verifier) verifyV2(r *http.Request, c claimV2, path string, query []parameter, hoisted map[string]string) (*Auth, error) {
	if err := refuseToken(hoisted["x-amz-security-token"] + strings.Join(r.Header[headerToken], "")); err != nil {
		return nil, err
	}
	secret, err := v.secret(r.Context(), c.accessKeyID)
	if err != nil {
		return nil, err
	}
	head := strings.Join([]string{
		r.Method,
		headerOr(r.Header, "Content-Md5", hoisted),
		headerOr(r.Header, "Content-Type", hoisted),
		c.date,
		amzHeadersV2(r.Header, hoisted),
	}, "\n")
	text, matches := "", false
	for _, resource := range v.resourcesV2(r.Host, path, query) {
		if text == "" {
			text = head + resource
		}
		matches = matches || equalV2(secret, head+resource, c.signature)
	}
	if !matches {
		return nil, mismatch(c.accessKeyID, text, c.signature, "", r.Header)
	}
	return unsignedAuth(r, c.scheme, c.accessKeyID)
}

func equalV2(secret, text, signature string) bool {
	h := hmac.New(sha1.New, []byte(secret))
	_, _ = h.Write([]byte(text)) // a hash.Hash never fails
	return hmac.Equal([]byte(base64.StdEncoding.EncodeToString(h.Sum(nil))), []byte(signature))
}

func headerOr(h http.Header, name string, hoisted map[string]string) string {
	if values, ok := h[name]; ok {
		return strings.TrimSpace(strings.Join(values, ","))
	}
	return hoisted[strings.ToLower(name)]
}

// amzHeadersV2 is CanonicalizedAmzHeaders: every x-amz- header, sorted, one a line.
func amzHeadersV2(h http.Header, hoisted map[string]string) string {
	values := make(map[string]string)
	for name, value := range hoisted {
		if strings.HasPrefix(name, "x-amz-") {
			values[name] = value
		}
	}
	for name, list := range h {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") {
			trimmed := make([]string, len(list))
			for i := range list {
				trimmed[i] = strings.TrimSpace(list[i])
			}
			values[lower] = strings.Join(trimmed, ",")
		}
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		b.WriteString(name + ":" + values[name] + "\n")
	}
	return b.String()
}

// resourcesV2 gives the forms of CanonicalizedResource that mean this request, the documented one first: the bucket, if the Host named it, the
// path as it was sent, and the signed parameters. Clients differ in two things that make no other request of it: "?uploads=" is signed as
// "uploads=" by some and as "uploads" by others, and botocore asks for "/bucket" and signs "/bucket/".
func (v *Verifier) resourcesV2(host, path string, query []parameter) []string {
	if bucket := v.bucket(host); bucket != "" {
		path = "/" + bucket + path
	}
	paths := []string{path}
	if len(path) > 1 && strings.LastIndexByte(path, '/') == 0 {
		paths = append(paths, path+"/")
	}
	var resources []string
	for _, path := range paths {
		for _, empty := range []bool{emptyValueKept, emptyValueDropped} {
			resources = append(resources, path+subresourceStringV2(query, empty))
		}
	}
	return resources
}

// Named arguments of subresourceStringV2.
const (
	emptyValueKept    = false
	emptyValueDropped = true
)

// subresourceStringV2 is the second half of CanonicalizedResource: the signed parameters, sorted, with their values decoded.
func subresourceStringV2(query []parameter, dropEmpty bool) string {
	var signed []parameter
	for _, p := range query {
		if slices.Contains(subresourcesV2, p.name) {
			signed = append(signed, p)
		}
	}
	slices.SortStableFunc(signed, func(a, b parameter) int { return strings.Compare(a.name, b.name) })
	var b strings.Builder
	separator := "?"
	for _, p := range signed {
		b.WriteString(separator + p.name)
		separator = "&"
		if !p.bare && (p.value != "" || !dropEmpty) {
			b.WriteString("=" + p.value)
		}
	}
	return b.String()
}
