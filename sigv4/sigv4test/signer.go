// Package sigv4test makes signed S3 requests for tests: every way to sign a head, every way to frame a body. It shares no code with package
// sigv4, so that the two check each other.
package sigv4test

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha1" // #nosec G505 -- Version 2 is HMAC-SHA1
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"
)

// Signer signs client requests (as http.NewRequest makes them) with one credential at one time.
type Signer struct {
	AccessKeyID, SecretAccessKey string
	Region                       string
	Time                         time.Time
}

// New gives a signer with the credential of the AWS documentation.
func New(t time.Time) Signer {
	const published = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" // #nosec G101 -- the example that AWS prints
	return Signer{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: published, Region: "us-east-1", Time: t}
}

// Sign puts the payload into the request and signs Host and all headers that the request has by then (Version 4, in the header).
func (s Signer) Sign(r *http.Request, p Payload) {
	r.Header.Set("X-Amz-Date", s.amzDate())
	s.SignWithDate(r, p)
}

// SignWithDate is Sign for a request that has a Date header to be dated by.
func (s Signer) SignWithDate(r *http.Request, p Payload) {
	p.setHeaders(r)
	names, canonical := canonicalRequest(r, p.hash())
	signature := s.signature(canonical)
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s", s.AccessKeyID, s.scope(), names, signature))
	p.setBody(r, &chain{signer: s, previous: signature})
}

// Presign turns the request's URL into a presigned one that signs Host and all headers that the request has by then (Version 4). The payload
// stays unsigned, so p has to be of mode Unsigned.
func (s Signer) Presign(r *http.Request, expires time.Duration, p Payload) {
	query := r.URL.Query()
	query.Set("X-Amz-Algorithm", "AWS4-HMAC-SHA256")
	query.Set("X-Amz-Credential", s.AccessKeyID+"/"+s.scope())
	query.Set("X-Amz-Date", s.amzDate())
	query.Set("X-Amz-Expires", fmt.Sprint(int64(expires/time.Second)))
	names, _ := canonicalRequest(r, "")
	query.Set("X-Amz-SignedHeaders", names)
	r.URL.RawQuery = query.Encode()
	_, canonical := canonicalRequest(r, "UNSIGNED-PAYLOAD")
	query.Set("X-Amz-Signature", s.signature(canonical))
	r.URL.RawQuery = query.Encode()
	p.setBody(r, nil)
}

// SignV2 signs by Version 2 in the header. subresource is the part of the query that is signed, such as "?acl"; bucket is that of a
// virtual-hosted Host, or "".
func (s Signer) SignV2(r *http.Request, bucket, subresource string, p Payload) {
	if r.Header.Get("X-Amz-Date") == "" {
		r.Header.Set("Date", s.Time.UTC().Format(http.TimeFormat))
	}
	r.Header.Set("Authorization", "AWS "+s.AccessKeyID+":"+s.signatureV2(r, r.Header.Get("Date"), bucket, subresource))
	p.setBody(r, nil)
}

// PresignV2 turns the request's URL into one presigned by Version 2.
func (s Signer) PresignV2(r *http.Request, expires time.Time, bucket, subresource string, p Payload) {
	end := fmt.Sprint(expires.Unix())
	signature := s.signatureV2(r, end, bucket, subresource)
	separator := "&"
	if r.URL.RawQuery == "" {
		separator = ""
	}
	r.URL.RawQuery += separator + url.Values{"AWSAccessKeyId": {s.AccessKeyID}, "Expires": {end}, "Signature": {signature}}.Encode()
	p.setBody(r, nil)
}

func (s Signer) amzDate() string { return s.Time.UTC().Format("20060102T150405Z") }

func (s Signer) scope() string {
	return s.Time.UTC().Format("20060102") + "/" + s.Region + "/s3/aws4_request"
}

func (s Signer) signature(canonicalRequest string) string {
	return s.sign("AWS4-HMAC-SHA256\n" + s.amzDate() + "\n" + s.scope() + "\n" + hexSHA256([]byte(canonicalRequest)))
}

func (s Signer) sign(stringToSign string) string {
	key := []byte("AWS4" + s.SecretAccessKey)
	for _, word := range strings.Split(s.scope(), "/") {
		key = mac(key, word)
	}
	return hex.EncodeToString(mac(key, stringToSign))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func host(r *http.Request) string {
	if r.Host != "" {
		return r.Host
	}
	return r.URL.Host
}

// canonicalRequest signs all headers but Authorization and Content-Length.
func canonicalRequest(r *http.Request, payloadHash string) (signedHeaders, canonical string) {
	values := map[string]string{"host": host(r)}
	for name, list := range r.Header {
		if name != "Authorization" && name != "Content-Length" {
			trimmed := make([]string, len(list))
			for i, v := range list {
				trimmed[i] = strings.Join(strings.Fields(v), " ")
			}
			values[strings.ToLower(name)] = strings.Join(trimmed, ",")
		}
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	var lines string
	for _, name := range names {
		lines += name + ":" + values[name] + "\n"
	}
	signedHeaders = strings.Join(names, ";")
	path, err := url.PathUnescape(r.URL.EscapedPath())
	if err != nil {
		panic(err)
	}
	if path == "" {
		path = "/"
	}
	return signedHeaders, strings.Join([]string{r.Method, strings.ReplaceAll(encode(path), "%2F", "/"), canonicalQuery(r.URL.RawQuery), lines, signedHeaders, payloadHash}, "\n")
}

func canonicalQuery(raw string) string {
	values, err := url.ParseQuery(raw)
	if err != nil {
		panic(err)
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, encode(name))
	}
	sort.Strings(names)
	var pairs []string
	for _, name := range names {
		plain, err := url.PathUnescape(name)
		if err != nil {
			panic(err)
		}
		list := values[plain]
		encoded := make([]string, len(list))
		for i := range list {
			encoded[i] = name + "=" + encode(list[i])
		}
		sort.Strings(encoded)
		pairs = append(pairs, encoded...)
	}
	return strings.Join(pairs, "&")
}

func encode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func (s Signer) signatureV2(r *http.Request, date, bucket, subresource string) string {
	var amz []string
	for name, list := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") {
			amz = append(amz, lower+":"+strings.Join(list, ",")+"\n")
		}
	}
	sort.Strings(amz)
	resource := r.URL.EscapedPath() + subresource
	if bucket != "" {
		resource = "/" + bucket + resource
	}
	text := r.Method + "\n" + r.Header.Get("Content-MD5") + "\n" + r.Header.Get("Content-Type") + "\n" + date + "\n" + strings.Join(amz, "") + resource
	h := hmac.New(sha1.New, []byte(s.SecretAccessKey))
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// Receive gives the request as a server sees it, by way of the bytes on the wire.
func Receive(r *http.Request) *http.Request {
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		panic(err)
	}
	received, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		panic(err)
	}
	return received.WithContext(r.Context())
}
