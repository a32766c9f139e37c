package proxy_test

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// walk follows the markers of a real listing.
func (s *site) walk(t *testing.T, bucket string, q query) ([]page, error) {
	t.Helper()
	params := url.Values{"prefix": {q.Prefix}, "delimiter": {q.Delimiter}, "max-keys": {strconv.Itoa(q.MaxKeys)}}
	set := func(name, value string) {
		if params.Del(name); value != "" {
			params.Set(name, value)
		}
	}
	if q.URLEncode {
		set("encoding-type", "url")
	}
	switch q.Form {
	case "v1":
		set("marker", q.Marker)
	case "v2":
		set("start-after", q.Marker)
		set("list-type", "2")
	case "versions":
		params["versions"] = []string{""}
		set("key-marker", q.Marker)
		set("version-id-marker", q.VersionMarker)
	}
	var pages []page
	for {
		got := s.send(t, request{method: "GET", bucket: bucket, query: strings.ReplaceAll(params.Encode(), "+", "%20")})
		if got.status != 200 {
			return nil, fmt.Errorf("%d: %s", got.status, got.body)
		}
		var doc listDocument
		if err := xml.Unmarshal(got.body, &doc); err != nil {
			return nil, fmt.Errorf("%d: %w: %s", got.status, err, got.body)
		}
		p := page{Truncated: doc.IsTruncated}
		var err error
		if p.Items, err = doc.items(q); err != nil {
			return nil, fmt.Errorf("%w: %s", err, got.body)
		}
		pages = append(pages, p)
		if !p.Truncated {
			return pages, nil
		}
		switch {
		case len(pages) > 1000:
			return nil, fmt.Errorf("no end")
		case q.Form == "v2":
			set("continuation-token", doc.NextContinuationToken)
		case q.Form == "versions":
			set("key-marker", decoded(doc.NextKeyMarker, q.URLEncode))
			set("version-id-marker", doc.NextVersionIDMarker)
		case q.Delimiter == "": // S3 names no marker then: the client takes the last key
			set("marker", p.Items[len(p.Items)-1].Name)
		default:
			set("marker", decoded(doc.NextMarker, q.URLEncode))
		}
	}
}

func decoded(name string, encoded bool) string {
	if !encoded {
		return name
	}
	name, err := url.PathUnescape(name)
	if err != nil {
		return "undecodable"
	}
	return name
}

// listDocument is any of the three listings.
type listDocument struct {
	XMLName               xml.Name
	Prefix, Delimiter     string
	Marker, KeyMarker     string
	StartAfter            string
	VersionIDMarker       string `xml:"VersionIdMarker"`
	NextMarker            string
	NextContinuationToken string
	NextKeyMarker         string
	NextVersionIDMarker   string `xml:"NextVersionIdMarker"`
	KeyCount              *int
	MaxKeys               int
	IsTruncated           bool
	EncodingType          string
	Lines                 []listLine `xml:",any"`
}

type listLine struct {
	XMLName   xml.Name
	Key       string
	Prefix    string
	VersionID string `xml:"VersionId"`
	ETag      string
	Size      int64
}

// items reads the lines in their order, after it has held what the page repeats of the request against the request.
func (d *listDocument) items(q query) ([]item, error) {
	enc := func(name string) string { return decoded(name, q.URLEncode) }
	if enc(d.Prefix) != q.Prefix || enc(d.Delimiter) != q.Delimiter || d.MaxKeys != min(q.MaxKeys, 1000) || (d.EncodingType == "url") != q.URLEncode {
		return nil, fmt.Errorf("the page repeats the request as %+v", d)
	}
	out := []item{}
	for _, l := range d.Lines {
		i := item{Name: enc(l.Key), Version: l.VersionID, Size: l.Size, ETag: strings.Trim(l.ETag, `"`)}
		switch l.XMLName.Local {
		case "Contents", "Version":
		case "DeleteMarker":
			i.Deleted = true
		case "CommonPrefixes":
			i = item{Name: enc(l.Prefix)}
		default:
			continue
		}
		out = append(out, i)
	}
	if d.KeyCount != nil && *d.KeyCount != len(out) || (d.KeyCount != nil) != (q.Form == "v2") {
		return nil, fmt.Errorf("KeyCount of %d lines", len(out))
	}
	if !d.IsTruncated && d.NextMarker+d.NextKeyMarker+d.NextVersionIDMarker+d.NextContinuationToken != "" {
		return nil, fmt.Errorf("the last page names a marker")
	}
	return out, nil
}
