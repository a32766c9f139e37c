package s3api

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func listCall(op Operation, query string) Call {
	q, err := ParseQuery(query)
	if err != nil {
		panic(err)
	}
	return Call{Op: op, Bucket: "bucket", Query: q}
}

func TestParseListRequest(t *testing.T) {
	for _, c := range []struct {
		op    Operation
		query string
		want  ListRequest
	}{
		{ListObjects, "", ListRequest{MaxKeys: 1000}},
		{ListObjects, "prefix=a/&delimiter=/&marker=a/b%01&max-keys=7&encoding-type=url&fetch-owner=true&start-after=x&continuation-token=junk", ListRequest{Prefix: "a/", Delimiter: "/", Marker: "a/b\x01", MaxKeys: 7, URLEncode: true}},
		{ListObjects, "max-keys=1001", ListRequest{MaxKeys: 1000}},
		{ListObjects, "max-keys=2147483647", ListRequest{MaxKeys: 1000}},
		{ListObjects, "max-keys=0", ListRequest{}},
		{ListObjects, "max-keys=", ListRequest{MaxKeys: 1000}},
		{ListObjects, "encoding-type=&allow-unordered=true", ListRequest{MaxKeys: 1000, AllowUnordered: true}},
		{ListObjectsV2, "list-type=2&start-after=s&fetch-owner=true&marker=m", ListRequest{V2: true, MaxKeys: 1000, StartAfter: "s", FetchOwner: true}},
		{ListObjectsV2, "start-after=s&continuation-token=" + encodeToken("k\x01"), ListRequest{V2: true, MaxKeys: 1000, StartAfter: "s", ContinuationToken: encodeToken("k\x01"), HasContinuationToken: true, ContinuationMarker: "k\x01"}},
		{ListObjectsV2, "start-after=s&continuation-token=", ListRequest{V2: true, MaxKeys: 1000, StartAfter: "s", HasContinuationToken: true}},
		{ListObjectVersions, "versions&key-marker=k&version-id-marker=v", ListRequest{Versions: true, MaxKeys: 1000, KeyMarker: "k", VersionIDMarker: "v"}},
		{ListObjectVersions, "key-marker=&version-id-marker=v", ListRequest{Versions: true, MaxKeys: 1000, VersionIDMarker: "v"}},
	} {
		if got, err := ParseListRequest(listCall(c.op, c.query)); err != nil || got != c.want {
			t.Errorf("%v %s: got %+v, %v", c.op, c.query, got, err)
		}
	}
}

func TestParseListRequestRefusesInTheWordsOfAWS(t *testing.T) {
	const (
		notInteger = "Provided max-keys not an integer or within integer range"
		negative   = "Argument maxKeys must be an integer between 0 and 2147483647"
		encoding   = "Invalid Encoding Method specified in Request"
		token      = "The continuation token provided is incorrect"
		noKey      = "A version-id marker cannot be specified without a key marker."
		emptyID    = "A version-id marker cannot be empty."
		unordered  = "An unordered listing cannot have a delimiter."
	)
	for _, c := range []struct {
		op                              Operation
		query, message, argument, value string
	}{
		{ListObjects, "max-keys=blah", notInteger, "max-keys", "blah"},
		{ListObjects, "max-keys=%0A", notInteger, "max-keys", "\n"},
		{ListObjects, "max-keys=2147483648", notInteger, "max-keys", "2147483648"},
		{ListObjects, "max-keys=99999999999999999999", notInteger, "max-keys", "99999999999999999999"},
		{ListObjects, "max-keys=-1", negative, "maxKeys", "-1"},
		{ListObjects, "encoding-type=base64", encoding, "encoding-type", "base64"},
		{ListObjects, "encoding-type=URL", encoding, "encoding-type", "URL"},
		{ListObjects, "allow-unordered=true&delimiter=/", unordered, "allow-unordered", "true"},
		{ListObjectsV2, "continuation-token=junk", token, "continuation-token", ""},
		{ListObjectsV2, "continuation-token=AQ", token, "continuation-token", ""},
		{ListObjectsV2, "continuation-token=" + encodeToken(""), token, "continuation-token", ""},
		{ListObjectsV2, "continuation-token=" + encodeToken("a\x00"), token, "continuation-token", ""},
		{ListObjectsV2, "continuation-token=" + encodeToken(strings.Repeat("k", 1025)), token, "continuation-token", ""},
		{ListObjectVersions, "version-id-marker=bad-vid", noKey, "version-id-marker", "bad-vid"},
		{ListObjectVersions, "version-id-marker=", noKey, "version-id-marker", ""},
		{ListObjectVersions, "key-marker=k&version-id-marker=", emptyID, "version-id-marker", ""},
		{ListObjectVersions, "encoding-type=invalid&version-id-marker=bad-vid", noKey, "version-id-marker", "bad-vid"},
		{ListObjectVersions, "encoding-type=invalid&max-keys=abc&version-id-marker=bad-vid", notInteger, "max-keys", "abc"},
	} {
		got, err := ParseListRequest(listCall(c.op, c.query))
		if err == nil || err.Code != "InvalidArgument" || err.Message != c.message || err.Fields[0][1] != c.argument || len(err.Fields) > 1 && err.Fields[1][1] != c.value {
			t.Errorf("%v %s: got %+v, %+v", c.op, c.query, got, err)
		}
	}
}

func keysOf(l *Listing) []string {
	keys := []string{}
	for _, e := range l.Entries {
		keys = append(keys, e.Key)
	}
	return keys
}

func TestScanListingsOfCephRGW(t *testing.T) {
	all := []string{"a//b", "amp&<>\"'", "caf\u00e9", "cr\rlf\n", "ctl\x01x", "p q/a", "p q/d/x", "pct%zz", "plus+sign", "zz"}
	for name, want := range map[string]struct {
		keys, prefixes   []string
		marker, idMarker string
	}{
		"v1-url.xml":                   {keys: all},
		"v1-raw.xml":                   {keys: all},
		"v1-url-delimiter.xml":         {keys: []string{"amp&<>\"'", "caf\u00e9", "cr\rlf\n", "ctl\x01x", "pct%zz", "plus+sign", "zz"}, prefixes: []string{"a/", "p q/"}},
		"v1-url-truncated.xml":         {keys: all[:3], marker: "caf\u00e9"},
		"v1-url-truncated-percent.xml": {keys: []string{"pct%zz"}, marker: "pct%zz"},
		"v1-url-truncated-prefix.xml":  {keys: []string{}, prefixes: []string{"p q/"}, marker: "p q/"},
		"v2-url-truncated.xml":         {keys: all[:3], marker: "caf\u00e9"},
		"versions-url.xml":             {keys: []string{"c%d", "c%d", "old one", "old one"}},
		"versions-url-truncated.xml":   {keys: []string{"c%d", "c%d"}, marker: "c%d", idMarker: "-.fmGX0ItOHExS5asDZ7e4lSRDT26rA"},
	} {
		got, err := ScanListing(open(t, name), true)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(keysOf(got), want.keys) || !reflect.DeepEqual(got.CommonPrefixes, want.prefixes) || got.Truncated != (want.marker != "") {
			t.Errorf("%s: got %q, %q, %v", name, keysOf(got), got.CommonPrefixes, got.Truncated)
		}
		if got.NextMarker != want.marker || got.NextKeyMarker != want.marker || want.idMarker != "" && got.NextVersionIDMarker != want.idMarker {
			t.Errorf("%s: markers %q, %q, %q", name, got.NextMarker, got.NextKeyMarker, got.NextVersionIDMarker)
		}
	}
	versions, err := ScanListing(open(t, "versions-url.xml"), true)
	if err != nil {
		t.Fatal(err)
	}
	want := []ListEntry{
		{Key: "c%d", VersionID: "OyqjS4JzpxxcV6p7NDhFonfkYq3kV4t", Latest: true, DeleteMarker: true, LastModified: "2026-11-22T16:40:30.404Z", OwnerID: "u1", OwnerName: "u1"},
		{Key: "old one", VersionID: "null", ETag: "a9a4a173de26c7ac0e2f173b693093bd", Size: 12, StorageClass: "STANDARD", LastModified: "2026-11-22T16:40:30.390Z", OwnerID: "u1", OwnerName: "u1"},
	}
	if got := []ListEntry{versions.Entries[0], versions.Entries[3]}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	v2, err := ScanListing(open(t, "v2-url-truncated.xml"), true)
	if err != nil || v2.NextContinuationToken != "caf\u00e9" {
		t.Errorf("the backend's own token: %q, %v", v2.NextContinuationToken, err)
	}
}

func TestEveryDocumentOfCephRGWIsRead(t *testing.T) {
	entries, err := os.ReadDir("testdata/rgw16")
	if err != nil || len(entries) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	for _, e := range entries {
		data, err := os.ReadFile("testdata/rgw16/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		s := newScanner(data, backendXML)
		if _, err = s.root(); err == nil {
			err = s.skip()
		}
		if err == nil {
			err = s.end()
		}
		if err != nil {
			t.Errorf("%s: %v", e.Name(), err)
		}
	}
}

func TestScanListingsOfOtherStores(t *testing.T) {
	for _, c := range []struct {
		name, doc  string
		urlEncoded bool
		want       Listing
	}{
		{"gofakes3: no encoding, no marker", `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><IsTruncated>true</IsTruncated><Contents><Key>a%20b+c</Key><LastModified>2026-11-22T16:00:00Z</LastModified><ETag>&#34;e&#34;</ETag><Size>3</Size><Owner><ID>o</ID><DisplayName>n</DisplayName></Owner></Contents></ListBucketResult>`, true,
			Listing{Truncated: true, NextMarker: "a%20b+c", NextKeyMarker: "a%20b+c", Entries: []ListEntry{{Key: "a%20b+c", LastModified: "2026-11-22T16:00:00Z", ETag: "e", Size: 3, OwnerID: "o", OwnerName: "n"}}}},
		{"gofakes3: versions", `<ListBucketVersionsResult><IsTruncated>false</IsTruncated><Version><Key>a</Key><VersionId>3/X</VersionId><IsLatest>true</IsLatest></Version><DeleteMarker><Key>b</Key><VersionId>3/Y</VersionId></DeleteMarker></ListBucketVersionsResult>`, true,
			Listing{Entries: []ListEntry{{Key: "a", VersionID: "3/X", Latest: true}, {Key: "b", VersionID: "3/Y", DeleteMarker: true}}}},
		{"AWS: '+' for a space, markers encoded", `<ListBucketResult><Contents><Key>a+b%2Bc/%E2%82%AC</Key></Contents><CommonPrefixes><Prefix>a+/</Prefix></CommonPrefixes><NextMarker>a+b%2Bc/%E2%82%AC</NextMarker><IsTruncated>true</IsTruncated><EncodingType>url</EncodingType></ListBucketResult>`, true,
			Listing{Truncated: true, NextMarker: "a b+c/\u20ac", NextKeyMarker: "a b+c/\u20ac", CommonPrefixes: []string{"a /"}, Entries: []ListEntry{{Key: "a b+c/\u20ac"}}}},
		{"last prefix behind last key", `<ListVersionsResult><IsTruncated>true</IsTruncated><Version><Key>a</Key><VersionId>v</VersionId></Version><CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes></ListVersionsResult>`, false,
			Listing{Truncated: true, NextMarker: "b/", NextKeyMarker: "b/", CommonPrefixes: []string{"b/"}, Entries: []ListEntry{{Key: "a", VersionID: "v"}}}},
		{"marker of a filtered page stays raw", `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextMarker>a%41</NextMarker></ListBucketResult>`, true,
			Listing{Truncated: true, NextMarker: "a%41"}},
		{"control characters, raw and referred to", "<ListBucketResult><Contents><Key>a\x01&#x02;&amp;\r</Key></Contents></ListBucketResult>", true,
			Listing{Entries: []ListEntry{{Key: "a\x01\x02&\r"}}}},
		{"not truncated, markers of no use", `<ListBucketResult><IsTruncated>false</IsTruncated><NextMarker>x</NextMarker><NextContinuationToken>y</NextContinuationToken><Contents><Key>x</Key></Contents></ListBucketResult>`, false,
			Listing{Entries: []ListEntry{{Key: "x"}}}},
		{"what no encoder wrote", `<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>100%</Key></Contents></ListBucketResult>`, true,
			Listing{Entries: []ListEntry{{Key: "100%"}}}},
		{"checksums", `<ListBucketResult><Contents><Key>k</Key><ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType></Contents></ListBucketResult>`, false,
			Listing{Entries: []ListEntry{{Key: "k", ChecksumAlgorithm: "CRC32", ChecksumType: "FULL_OBJECT"}}}},
	} {
		got, err := ScanListing(strings.NewReader(c.doc), c.urlEncoded)
		if err != nil || !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s: got %+v, %v", c.name, got, err)
		}
	}
	for _, doc := range []string{
		"", "<html></html>", "<Error><Code>x</Code></Error>", "<ListBucketResult>", "<ListBucketResult><Contents><Key>a</Key></ListBucketResult>",
		"<ListBucketResult><Contents><Size>x</Size></Contents></ListBucketResult>", "<ListBucketResult><Contents><Key>&#0;</Key></Contents></ListBucketResult>",
		"<ListBucketResult><Contents><Key>a\x00</Key></Contents></ListBucketResult>", "<ListBucketResult/>more",
	} {
		if got, err := ScanListing(strings.NewReader(doc), false); err == nil {
			t.Errorf("%q: got %+v", doc, got)
		}
	}
	if _, err := ScanListing(io.LimitReader(endless{}, 17<<20), false); !errors.Is(err, errXML) {
		t.Errorf("17 MiB: %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

var samplePage = Listing{
	Entries: []ListEntry{
		{Key: "p q/a&b", ETag: "e1", Size: 5 << 40, StorageClass: "STANDARD", OwnerID: "o", OwnerName: "n", LastModified: "2026-11-22T16:00:00Z", ChecksumAlgorithm: "CRC32", ChecksumType: "FULL_OBJECT"},
	},
	CommonPrefixes: []string{"p q/d/"}, Truncated: true, NextMarker: "p q/d/", NextKeyMarker: "p q/d/",
}

func write(t testing.TB, req ListRequest, l *Listing) string {
	t.Helper()
	var b strings.Builder
	if err := WriteListing(&b, req, "bucket", l); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteListingInEachForm(t *testing.T) {
	const ns = ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`
	const body = `<LastModified>2026-11-22T16:00:00.000Z</LastModified><ETag>&quot;e1&quot;</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>5497558138880</Size>`
	const owner = `<Owner><ID>o</ID><DisplayName>n</DisplayName></Owner>`
	for _, c := range []struct {
		req  ListRequest
		want string
	}{
		{ListRequest{Prefix: "p q/", Delimiter: "/", MaxKeys: 2},
			`<ListBucketResult` + ns + `><Name>bucket</Name><Prefix>p q/</Prefix><Marker></Marker><NextMarker>p q/d/</NextMarker><MaxKeys>2</MaxKeys><Delimiter>/</Delimiter><IsTruncated>true</IsTruncated><Contents><Key>p q/a&amp;b</Key>` + body + owner + `<StorageClass>STANDARD</StorageClass></Contents><CommonPrefixes><Prefix>p q/d/</Prefix></CommonPrefixes></ListBucketResult>`},
		{ListRequest{Prefix: "p q/", MaxKeys: 2, Marker: "m&"},
			`<ListBucketResult` + ns + `><Name>bucket</Name><Prefix>p q/</Prefix><Marker>m&amp;</Marker><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated><Contents><Key>p q/a&amp;b</Key>` + body + owner + `<StorageClass>STANDARD</StorageClass></Contents><CommonPrefixes><Prefix>p q/d/</Prefix></CommonPrefixes></ListBucketResult>`},
		{ListRequest{V2: true, Prefix: "p q/", Delimiter: "/", MaxKeys: 2, URLEncode: true, StartAfter: "s+", ContinuationToken: "tok", HasContinuationToken: true},
			`<ListBucketResult` + ns + `><Name>bucket</Name><Prefix>p%20q/</Prefix><StartAfter>s%2B</StartAfter><ContinuationToken>tok</ContinuationToken><NextContinuationToken>` + encodeToken("p q/d/") + `</NextContinuationToken><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys><Delimiter>/</Delimiter><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><Contents><Key>p%20q/a%26b</Key>` + body + `<StorageClass>STANDARD</StorageClass></Contents><CommonPrefixes><Prefix>p%20q/d/</Prefix></CommonPrefixes></ListBucketResult>`},
		{ListRequest{V2: true, FetchOwner: true, MaxKeys: 2},
			`<ListBucketResult` + ns + `><Name>bucket</Name><Prefix></Prefix><NextContinuationToken>` + encodeToken("p q/d/") + `</NextContinuationToken><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated><Contents><Key>p q/a&amp;b</Key>` + body + owner + `<StorageClass>STANDARD</StorageClass></Contents><CommonPrefixes><Prefix>p q/d/</Prefix></CommonPrefixes></ListBucketResult>`},
	} {
		if got := write(t, c.req, &samplePage); got != xmlHeader+c.want {
			t.Errorf("%+v:\ngot  %s\nwant %s", c.req, got, xmlHeader+c.want)
		}
	}
	versions := Listing{Truncated: true, NextKeyMarker: "k~", NextVersionIDMarker: "v2", Entries: []ListEntry{
		{Key: "k~", VersionID: "v1", Latest: true, DeleteMarker: true, LastModified: "2026-11-22T16:00:00.123Z", OwnerID: "o", ETag: "not shown", StorageClass: "nor this"},
		{Key: "k~", VersionID: "v2", ETag: "e", Size: 0, LastModified: "odd"},
	}}
	want := `<ListVersionsResult` + ns + `><Name>bucket</Name><Prefix></Prefix><KeyMarker>j</KeyMarker><VersionIdMarker>v0</VersionIdMarker><NextKeyMarker>k%7E</NextKeyMarker><NextVersionIdMarker>v2</NextVersionIdMarker><MaxKeys>2</MaxKeys><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><DeleteMarker><Key>k%7E</Key><VersionId>v1</VersionId><IsLatest>true</IsLatest><LastModified>2026-11-22T16:00:00.123Z</LastModified><Owner><ID>o</ID></Owner></DeleteMarker><Version><Key>k%7E</Key><VersionId>v2</VersionId><IsLatest>false</IsLatest><LastModified>odd</LastModified><ETag>&quot;e&quot;</ETag><Size>0</Size></Version></ListVersionsResult>`
	if got := write(t, ListRequest{Versions: true, URLEncode: true, MaxKeys: 2, KeyMarker: "j", VersionIDMarker: "v0"}, &versions); got != xmlHeader+want {
		t.Errorf("got  %s\nwant %s", got, xmlHeader+want)
	}
	if err := WriteListing(failingWriter{}, ListRequest{}, "bucket", &samplePage); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("broken connection: %v", err)
	}
}

func TestURLEncodedNamesAreReadByEveryDecoder(t *testing.T) {
	name := "a b+c/d*e~f%\x01\n\u00e9&"
	got := write(t, ListRequest{URLEncode: true}, &Listing{Entries: []ListEntry{{Key: name}}})
	if want := "<Key>a%20b%2Bc/d*e%7Ef%25%01%0A%C3%A9%26</Key>"; !strings.Contains(got, want) {
		t.Errorf("got %s", got)
	}
	for _, plus := range []plusMode{plusIsPlus, plusIsSpace} {
		_, rest, _ := strings.Cut(got, "<Key>")
		encoded, _, _ := strings.Cut(rest, "</Key>")
		if decoded, ok := unescape(encoded, plus); !ok || decoded != name {
			t.Errorf("got %q", decoded)
		}
	}
}

func TestTokensLeadToTheNextPage(t *testing.T) {
	page := write(t, ListRequest{V2: true}, &Listing{Truncated: true, NextMarker: "last\x01&+"})
	_, rest, _ := strings.Cut(page, "<NextContinuationToken>")
	token, _, _ := strings.Cut(rest, "</")
	req, err := ParseListRequest(listCall(ListObjectsV2, "continuation-token="+escape(token, slashEscaped)))
	if err != nil || req.ContinuationMarker != "last\x01&+" {
		t.Errorf("got %+v, %v", req, err)
	}
}

// A token with any letter changed, left out or added is refused: it would list from somewhere else.
func TestTamperedTokensAreRefused(t *testing.T) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, name := range []string{"k", "photos/2026/a", "\u00e9/b"} {
		token := encodeToken(name)
		if got, ok := decodeToken(token); !ok || got != name {
			t.Errorf("%q came back as %q, %v", name, got, ok)
		}
		tampered := []string{token + "A", token + "AAAA", token[1:], "AQ" + token}
		for i := range token {
			tampered = append(tampered, token[:i], token[:i]+token[i+1:])
			for _, c := range letters {
				if other := token[:i] + string(c) + token[i+1:]; other != token {
					tampered = append(tampered, other)
				}
			}
		}
		for _, other := range tampered {
			if got, ok := decodeToken(other); ok {
				t.Errorf("token of %q tampered with: %s leads to %q", name, other, got)
			}
		}
	}
}

// listingOf draws a page as a backend could send it, in a form that a listing of req can carry.
func listingOf(t *rapid.T, req ListRequest) Listing {
	var name *rapid.Generator[string]
	if req.URLEncode {
		name = rapid.StringN(1, 20, -1)
	} else {
		name = rapid.StringOfN(rapid.RuneFrom([]rune("ab&<>\"'\r\n\t %+/\u00e9\u20ac\U0001F600\x01\x1f\x7f")), 1, 20, -1)
	}
	name = name.Filter(func(s string) bool { return checkKey(s) == nil })
	l := Listing{Truncated: rapid.Bool().Draw(t, "truncated")}
	for range rapid.IntRange(0, 5).Draw(t, "entries") {
		e := ListEntry{Key: name.Draw(t, "key"), LastModified: "2026-11-22T16:00:00.000Z", OwnerID: "o", OwnerName: name.Draw(t, "owner")}
		if req.Versions {
			e.VersionID, e.Latest, e.DeleteMarker = rapid.SampledFrom([]string{"null", "v&1"}).Draw(t, "version"), rapid.Bool().Draw(t, "latest"), rapid.Bool().Draw(t, "marker")
		}
		if !e.DeleteMarker {
			e.ETag, e.Size, e.StorageClass = "e-1", rapid.Int64Min(0).Draw(t, "size"), rapid.SampledFrom([]string{"", "STANDARD", "COLD&"}).Draw(t, "class")
			e.ChecksumAlgorithm = rapid.SampledFrom([]string{"", "CRC32"}).Draw(t, "checksum")
		}
		if req.V2 && !req.FetchOwner {
			e.OwnerID, e.OwnerName = "", ""
		}
		l.Entries = append(l.Entries, e)
	}
	for range rapid.IntRange(0, 3).Draw(t, "prefixes") {
		l.CommonPrefixes = append(l.CommonPrefixes, name.Draw(t, "prefix"))
	}
	return l
}

func TestWrittenListingsAreScannedBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		req := ListRequest{URLEncode: rapid.Bool().Draw(t, "url"), MaxKeys: 1000, Delimiter: "/"}
		switch rapid.IntRange(0, 2).Draw(t, "form") {
		case 1:
			req.V2, req.FetchOwner = true, rapid.Bool().Draw(t, "owners")
		case 2:
			req.Versions = true
		}
		l := listingOf(t, req)
		// A backend's markers are the last name; finish gives just these.
		settled := pageScanner{page: Listing{Entries: l.Entries, CommonPrefixes: l.CommonPrefixes, Truncated: l.Truncated}}
		settled.finish(false)
		l = settled.page
		var b strings.Builder
		if err := WriteListing(&b, req, "bucket", &l); err != nil {
			t.Fatal(err)
		}
		got, err := ScanListing(strings.NewReader(b.String()), req.URLEncode)
		if err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
		got.NextContinuationToken = ""
		if !reflect.DeepEqual(*got, l) {
			t.Fatalf("got  %+v\nwant %+v\n%s", *got, l, b.String())
		}
	})
}

func TestWrittenListingsAreXML(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		req := ListRequest{URLEncode: true, Versions: rapid.Bool().Draw(t, "versions")}
		l := listingOf(t, req)
		for i := range l.Entries {
			l.Entries[i].OwnerName = "n"
		}
		var doc struct {
			Contents, Version []struct{ Key string }
		}
		var b strings.Builder
		if err := WriteListing(&b, req, "bucket", &l); err != nil {
			t.Fatal(err)
		}
		if err := xml.Unmarshal([]byte(b.String()), &doc); err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
	})
}

func FuzzScanListing(f *testing.F) {
	entries, err := os.ReadDir("testdata/rgw16")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile("testdata/rgw16/" + e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, true)
	}
	f.Add([]byte("<ListBucketResult><Contents><Key>a\x01&#x02;<![CDATA[<]]></Key><Owner><ID/></Owner></Contents></ListBucketResult>"), false)
	f.Fuzz(func(t *testing.T, doc []byte, urlEncoded bool) {
		l, err := ScanListing(strings.NewReader(string(doc)), urlEncoded)
		if err != nil {
			return
		}
		var b strings.Builder
		if err := WriteListing(&b, ListRequest{Versions: true, URLEncode: true}, "bucket", l); err != nil {
			t.Fatal(err)
		}
		again, err := ScanListing(strings.NewReader(b.String()), true)
		if err != nil || !reflect.DeepEqual(keysOf(again), keysOf(l)) || !reflect.DeepEqual(again.CommonPrefixes, l.CommonPrefixes) {
			t.Fatalf("%q became %q, %v", keysOf(l), keysOf(again), err)
		}
	})
}

// fullPage is a page of 1,000 entries as Ceph RGW sends it and as a client gets it.
func fullPage() *Listing {
	l := &Listing{Truncated: true, NextMarker: "directory/object-0999.parquet"}
	for i := range 1000 {
		l.Entries = append(l.Entries, ListEntry{
			Key: fmt.Sprintf("directory/object-%04d.parquet", i), ETag: "9e107d9d372bb6826bd81d3542a419d6", Size: 123456789, StorageClass: "STANDARD",
			OwnerID: strings.Repeat("0123456789abcdef", 4), OwnerName: "someone", LastModified: "2026-11-22T16:00:00.123Z",
		})
	}
	return l
}

func BenchmarkWriteListing(b *testing.B) {
	l := fullPage()
	b.ReportAllocs()
	for b.Loop() {
		if err := WriteListing(io.Discard, ListRequest{V2: true, URLEncode: true, MaxKeys: 1000}, "bucket", l); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScanListing(b *testing.B) {
	page := write(b, ListRequest{URLEncode: true, MaxKeys: 1000}, fullPage())
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ScanListing(strings.NewReader(page), true); err != nil {
			b.Fatal(err)
		}
	}
}
