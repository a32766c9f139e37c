package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// The payload hashes that are words.
const (
	unsignedPayload = "UNSIGNED-PAYLOAD"
	signedChunks    = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	unsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	emptySHA256     = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

const region = "us-east-1"

// signer makes version 4 signatures. Its key and its time are made once for many requests; a signature is good for a quarter of an
// hour, and no job goes on for so long.
type signer struct {
	access string
	key    []byte
	date   string
	scope  string
}

func newSigner(access, secret string, now time.Time) *signer {
	date := now.UTC().Format("20060102T150405Z")
	key := []byte("AWS4" + secret)
	for _, part := range []string{date[:8], region, "s3", "aws4_request"} {
		key = mac(key, part)
	}
	return &signer{access: access, key: key, date: date, scope: date[:8] + "/" + region + "/s3/aws4_request"}
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// pair is a header that is signed, its name in lower case.
type pair struct{ name, value string }

// sign writes a request's head, signed, all but its end. Path and query are as they go on the wire, the query in S3's canonical order.
func (s *signer) sign(b *strings.Builder, method, path, query, host, hash string, extra []pair) (signature string) {
	signed := append([]pair{{"host", host}, {"x-amz-content-sha256", hash}, {"x-amz-date", s.date}}, extra...)
	slices.SortFunc(signed, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	var names, canonical strings.Builder
	canonical.WriteString(method + "\n" + path + "\n" + query + "\n")
	for i, p := range signed {
		canonical.WriteString(p.name + ":" + p.value + "\n")
		if i > 0 {
			names.WriteByte(';')
		}
		names.WriteString(p.name)
	}
	canonical.WriteString("\n" + names.String() + "\n" + hash)
	sum := sha256.Sum256([]byte(canonical.String()))
	signature = hex.EncodeToString(mac(s.key, "AWS4-HMAC-SHA256\n"+s.date+"\n"+s.scope+"\n"+hex.EncodeToString(sum[:])))

	b.WriteString(method + " " + path)
	if query != "" {
		b.WriteString("?" + query)
	}
	b.WriteString(" HTTP/1.1\r\n")
	for _, p := range signed {
		b.WriteString(p.name + ": " + p.value + "\r\n")
	}
	b.WriteString("authorization: AWS4-HMAC-SHA256 Credential=" + s.access + "/" + s.scope + ", SignedHeaders=" + names.String() +
		", Signature=" + signature + "\r\n")
	return signature
}

// chunk gives the signature of a chunk of a signed body, which follows from the one before it.
func (s *signer) chunk(previous, hash string) string {
	return hex.EncodeToString(mac(s.key, "AWS4-HMAC-SHA256-PAYLOAD\n"+s.date+"\n"+s.scope+"\n"+previous+"\n"+emptySHA256+"\n"+hash))
}
