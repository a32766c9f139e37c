package s3api

import "strings"

// Hosts are the names under which this server is reached.
type Hosts struct {
	// Domains are the base domains of virtual-hosted addressing: with "s3.example.com", the host "photos.s3.example.com" is the bucket
	// "photos". Owned by the configuration; empty means path-style only.
	Domains []string
}

// Bucket gives the bucket that a Host header names, "" when the request is path-style: the host is a base domain itself, an IP address or
// anything unknown. Hosts are case-insensitive, so the bucket is lower-case. A bucket may hold dots. Where one base domain lies below another,
// the longest decides.
func (h Hosts) Bucket(host string) string {
	host = strings.TrimSuffix(strings.ToLower(withoutPort(host)), ".")
	bucket, longest := "", -1
	for _, domain := range h.Domains {
		domain = strings.Trim(strings.ToLower(domain), ".")
		if domain == "" || len(domain) <= longest {
			continue
		}
		if host == domain {
			bucket, longest = "", len(domain)
		} else if b, ok := strings.CutSuffix(host, "."+domain); ok && b != "" && b[0] != '.' {
			bucket, longest = b, len(domain)
		}
	}
	return bucket
}

// withoutPort takes the port off a Host header. A bracketed IPv6 address keeps its brackets and so never matches a domain.
func withoutPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		return host[:i]
	}
	return host
}
