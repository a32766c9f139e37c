package s3api

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"cofre/checksum"
)

// notXML are documents that no decoder of client XML may take. %s is the name of the root element.
var notXML = []string{
	"", " ", "x", "<", "<%s", "<%s>", "<%s/", "</%s>", "<%s></x>", "<%s/><%s/>", "<%s/>x", "<%s/>\x00", "<%s>\xff</%s>",
	"<other/>", "<%s><a></%s>", "<%s><a></b></a></%s>", "<%s a=\"></%s>", "<%s a=<></%s>", "<%s / ></%s>", "<1%s></1%s>", "< %s/>",
	"<!DOCTYPE a><%s/>", "<!DOCTYPE a [<!ENTITY b \"c\">]><%s/>", "<%s><!ENTITY b \"c\"></%s>", "<!--<%s/>", "<?xml <%s/>", "<%s><![CDATA[x</%s>",
	"<%s>" + strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100) + "</%s>",
}

func TestDecodersRefuseWhatIsNoXML(t *testing.T) {
	for root, decode := range map[string]func(io.Reader) *Error{
		"CompleteMultipartUpload":   func(r io.Reader) *Error { _, err := DecodeCompleteMultipartUpload(r); return err },
		"Delete":                    func(r io.Reader) *Error { _, err := DecodeDelete(r); return err },
		"Tagging":                   func(r io.Reader) *Error { _, err := DecodeTagging(r, MaxObjectTags); return err },
		"VersioningConfiguration":   func(r io.Reader) *Error { _, err := DecodeVersioning(r); return err },
		"CreateBucketConfiguration": func(r io.Reader) *Error { _, err := DecodeCreateBucketConfiguration(r); return err },
	} {
		for _, text := range notXML {
			doc := strings.ReplaceAll(text, "%s", root)
			if doc == "" && root == "CreateBucketConfiguration" {
				continue // has no body as a rule
			}
			if err := decode(strings.NewReader(doc)); err == nil || err.Code != ErrMalformedXML.Code {
				t.Errorf("%s: %.80q: got %v", root, doc, err)
			}
		}
		if err := decode(strings.NewReader("<" + root + ">" + strings.Repeat(" ", 9<<20) + "</" + root + ">")); err == nil || err.Code != ErrMaxMessageLengthExceeded.Code {
			t.Errorf("%s: 9 MiB: got %v", root, err)
		}
		if err := decode(iotest.ErrReader(errors.New("connection lost"))); err == nil || err.Code != ErrIncompleteBody.Code {
			t.Errorf("%s: broken reader: got %v", root, err)
		}
	}
}

func TestTextOfElements(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "plain": "plain", "a&amp;b&lt;&gt;&quot;&apos;": "a&b<>\"'", "&#65;&#x42;&#x1F600;": "AB\U0001F600", "&#13;&#10;&#x9;": "\r\n\t",
		"a\r\nb\rc\nd": "a\nb\nc\nd", "<![CDATA[<a>&amp;]]>": "<a>&amp;", "a<![CDATA[b]]>c<!-- - -->d<?pi x?>e": "abcde", "&#1;\x02": "\x01\x02", " x ": " x ",
	} {
		s := newScanner([]byte("<Key>"+in+"</Key>"), clientXML)
		if _, err := s.root(); err != nil {
			t.Fatal(err)
		}
		got, err := s.text()
		if err != nil || got != want || s.end() != nil {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"&", "&;", "&nbsp;", "&#;", "&#x;", "&#0;", "&#x0;", "&#xD800;", "&#x110000;", "&#+65;", "&#-1;", "&#99999999999;", "&amp", "<a/>", "&lol;"} {
		s := newScanner([]byte("<Key>"+in+"</Key>"), clientXML)
		if _, err := s.root(); err != nil {
			t.Fatal(err)
		}
		if got, err := s.text(); !errors.Is(err, errXML) {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
}

func TestEscapedTextIsReadBack(t *testing.T) {
	var all strings.Builder
	for r := rune(1); r < 0x300; r++ {
		all.WriteRune(r)
	}
	all.WriteString("\uFFFD\uFFFE\uFFFF\U0001F600")
	d := newDocument()
	d.text("Key", all.String())
	s := newScanner(d.b, clientXML)
	if _, err := s.root(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.text(); err != nil || got != all.String() {
		t.Errorf("got %q, %v", got, err)
	}
	if got := string(appendText(nil, "a\xffb")); got != "a\uFFFDb" {
		t.Errorf("not UTF-8: %q", got)
	}
	// What XML can carry is read by other parsers too.
	for _, text := range []string{"a&<>\"'\r\n\tb \u00e9\U0001F600]]>", all.String()} {
		var doc struct {
			Text string `xml:",chardata"`
		}
		d := newDocument()
		d.text("Key", text)
		err := xml.Unmarshal(d.b, &doc)
		if ValidXMLText(text) != (err == nil) || err == nil && doc.Text != text {
			t.Errorf("%.20q: valid %v, but %v, %q", text, ValidXMLText(text), err, doc.Text)
		}
	}
	if ValidXMLText("a\xff") || ValidXMLText("\xef\xbf") || ValidXMLText("a\x01") || !ValidXMLText("\uFFFD\r\n") {
		t.Error("ValidXMLText")
	}
}

func TestDecodeCompleteTakesEveryForm(t *testing.T) {
	for name, doc := range map[string]string{
		"quoted":  `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Part><ETag>"abc"</ETag><PartNumber>1</PartNumber></Part><Part><PartNumber>2</PartNumber><ETag>"def"</ETag></Part></CompleteMultipartUpload>`,
		"decimal": `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>&#34;abc&#34;</ETag></Part><Part><PartNumber>2</PartNumber><ETag>&#34;def&#34;</ETag></Part></CompleteMultipartUpload>`,
		"entity":  "<?xml version='1.0'?>\n<CompleteMultipartUpload>\n <Part>\n  <PartNumber> 1 </PartNumber>\n  <ETag>&quot;abc&quot;</ETag>\n </Part><!-- c --><Part><PartNumber>2</PartNumber><ETag>\n&quot;def&quot;\n</ETag></Part>\n</CompleteMultipartUpload>\n",
		"bare":    "\xef\xbb\xbf<s3:CompleteMultipartUpload xmlns:s3='x'><s3:Part><s3:PartNumber>1</s3:PartNumber><s3:ETag>abc</s3:ETag></s3:Part><Extra><Part/></Extra><s3:Part><s3:ETag>def</s3:ETag><s3:PartNumber>2</s3:PartNumber></s3:Part></s3:CompleteMultipartUpload>",
	} {
		got, err := DecodeCompleteMultipartUpload(strings.NewReader(doc))
		if want := []CompletePart{{Number: 1, ETag: "abc"}, {Number: 2, ETag: "def"}}; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestDecodeCompleteTakesTheLastOfANumberSentTwice(t *testing.T) {
	doc := "<CompleteMultipartUpload>"
	for _, p := range []string{"1 first", "1 second", "2 only", "1 late"} {
		number, etag, _ := strings.Cut(p, " ")
		doc += "<Part><PartNumber>" + number + "</PartNumber><ETag>" + etag + "</ETag></Part>"
	}
	got, err := DecodeCompleteMultipartUpload(strings.NewReader(doc + "</CompleteMultipartUpload>"))
	if want := []CompletePart{{Number: 1, ETag: "second"}, {Number: 2, ETag: "only"}, {Number: 1, ETag: "late"}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDecodeCompleteReadsChecksums(t *testing.T) {
	for _, a := range checksum.All() {
		sum := base64.StdEncoding.EncodeToString(make([]byte, a.Size()))
		doc := fmt.Sprintf("<CompleteMultipartUpload><Part><Checksum%s>%s</Checksum%s><ETag>e</ETag><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>", a, sum, a)
		got, err := DecodeCompleteMultipartUpload(strings.NewReader(doc))
		if err != nil || got[0].Checksums[a] != sum {
			t.Errorf("%v: got %+v, %v", a, got, err)
		}
	}
	for inner, want := range map[string]*Error{
		"<ChecksumCRC32>AAAAAA==</ChecksumCRC32><ChecksumSHA1>AAAAAAAAAAAAAAAAAAAAAAAAAAA=</ChecksumSHA1>": ErrInvalidArgument,
		"<ChecksumCRC32>AAAA</ChecksumCRC32>":     ErrInvalidArgument,
		"<ChecksumCRC32>!</ChecksumCRC32>":        ErrInvalidArgument,
		"<ChecksumXXHASH3>AAAA</ChecksumXXHASH3>": ErrNotImplemented,
		"<Checksumcrc32>AAAAAA==</Checksumcrc32>": ErrNotImplemented,
		"<ETag>again</ETag>":                      ErrMalformedXML,
		"<PartNumber>1</PartNumber>":              ErrMalformedXML,
		"<ChecksumCRC32><a/></ChecksumCRC32>":     ErrMalformedXML,
	} {
		doc := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag>" + inner + "</Part></CompleteMultipartUpload>"
		if got, err := DecodeCompleteMultipartUpload(strings.NewReader(doc)); err == nil || err.Code != want.Code {
			t.Errorf("%s: got %+v, %v", inner, got, err)
		}
	}
}

func TestDecodeCompleteRefusesBadParts(t *testing.T) {
	for inner, want := range map[string]*Error{
		"":              ErrInvalidRequest,
		"<Part/>":       ErrMalformedXML,
		"<Part></Part>": ErrMalformedXML,
		"<Part><PartNumber>1</PartNumber></Part>":                   ErrMalformedXML,
		"<Part><ETag>e</ETag></Part>":                               ErrMalformedXML,
		"<Part><PartNumber>1</PartNumber><ETag>\"\"</ETag></Part>":  ErrMalformedXML,
		"<Part><PartNumber>x</PartNumber><ETag>e</ETag></Part>":     ErrMalformedXML,
		"<Part><PartNumber>0</PartNumber><ETag>e</ETag></Part>":     ErrInvalidArgument,
		"<Part><PartNumber>-1</PartNumber><ETag>e</ETag></Part>":    ErrInvalidArgument,
		"<Part><PartNumber>10001</PartNumber><ETag>e</ETag></Part>": ErrInvalidArgument,
		strings.Repeat("<Part><PartNumber>1</PartNumber><ETag>e</ETag></Part><Part><PartNumber>2</PartNumber><ETag>e</ETag></Part>", MaxParts/2+1): ErrMalformedXML,
	} {
		if got, err := DecodeCompleteMultipartUpload(strings.NewReader("<CompleteMultipartUpload>" + inner + "</CompleteMultipartUpload>")); err == nil || err.Code != want.Code {
			t.Errorf("%.80s: got %d parts, %v", inner, len(got), err)
		}
	}
}

func TestLongestCompleteFitsTheBackend(t *testing.T) {
	parts := make([]BackendPart, MaxParts)
	for i := range parts {
		parts[i] = BackendPart{Number: i + 1, ETag: strings.Repeat("f", 32)}
	}
	doc := EncodeBackendComplete(parts)
	if len(doc) > 1<<20 {
		t.Errorf("%d bytes", len(doc))
	}
	got, err := DecodeCompleteMultipartUpload(strings.NewReader(string(doc)))
	if err != nil || len(got) != MaxParts || got[9999].Number != 10000 || got[9999].ETag != parts[9999].ETag {
		t.Errorf("read back: %v", err)
	}
}

func TestDecodeDelete(t *testing.T) {
	doc := `<?xml version="1.0" encoding="UTF-8"?><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>
	<Object><Key>a&amp;b</Key></Object><Object><VersionId>v1</VersionId><Key> sp&#13;&#x01;</Key></Object>
	<Object><Key>c</Key><ETag>"e"</ETag><Size>7</Size><LastModifiedTime>Sun, 22 Nov 2026 16:00:00 GMT</LastModifiedTime></Object>
	<Object><Key>d</Key><VersionId></VersionId><LastModifiedTime>2026-11-22T16:00:00Z</LastModifiedTime><New>x</New></Object></Delete>`
	got, err := DecodeDelete(strings.NewReader(doc))
	at := time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)
	want := DeleteRequest{Quiet: true, Objects: []ObjectIdentifier{
		{Key: "a&b", Size: -1}, {Key: " sp\r\x01", VersionID: "v1", Size: -1}, {Key: "c", ETag: `"e"`, Size: 7, LastModified: at}, {Key: "d", Size: -1, LastModified: at},
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for i, conditional := range []bool{false, false, true, true} {
		if got.Objects[i].Conditional() != conditional {
			t.Errorf("object %d: conditional %v", i, !conditional)
		}
	}
	if err := got.Objects[2].Conditions().Check("e", 7, at); err != nil {
		t.Errorf("condition: %v", err)
	}

	object := "<Object><Key>k</Key></Object>"
	if got, err := DecodeDelete(strings.NewReader("<Delete>" + strings.Repeat(object, MaxDeleteKeys) + "</Delete>")); err != nil || len(got.Objects) != MaxDeleteKeys || got.Quiet {
		t.Errorf("1,000 keys: %v", err)
	}
	for inner, want := range map[string]*Error{
		"":                                      ErrMalformedXML,
		strings.Repeat(object, MaxDeleteKeys+1): ErrMalformedXML,
		"<Object/>":                             ErrMalformedXML,
		"<Object><Key></Key></Object>":          ErrMalformedXML,
		"<Object><Key>a</Key><Key>b</Key></Object>":                           ErrMalformedXML,
		"<Object><Key><a/></Key></Object>":                                    ErrMalformedXML,
		"<Object><Key>a</Key><Size>x</Size></Object>":                         ErrMalformedXML,
		"<Object><Key>a</Key><Size>-1</Size></Object>":                        ErrMalformedXML,
		"<Object><Key>a</Key><LastModifiedTime>x</LastModifiedTime></Object>": ErrMalformedXML,
		"<Object><Key>" + strings.Repeat("k", 1025) + "</Key></Object>":       ErrKeyTooLongError,
		object + "<Quiet>maybe</Quiet>":                                       ErrMalformedXML,
		object + "<Quiet>true</Quiet><Quiet>false</Quiet>":                    ErrMalformedXML,
	} {
		if got, err := DecodeDelete(strings.NewReader("<Delete>" + inner + "</Delete>")); err == nil || err.Code != want.Code {
			t.Errorf("%.80s: got %+v, %v", inner, got, err)
		}
	}
}

func TestLongestDeleteIsTaken(t *testing.T) {
	var objects []ObjectIdentifier
	for i := range MaxDeleteKeys {
		key := fmt.Sprintf("%04d", i)
		objects = append(objects, ObjectIdentifier{Key: key + strings.Repeat("&", MaxKeyLength-len(key)), Size: -1})
	}
	got, err := DecodeDelete(strings.NewReader(string(EncodeBackendDelete(objects))))
	if err != nil || !reflect.DeepEqual(got.Objects, objects) || got.Quiet {
		t.Errorf("got %d objects, %v", len(got.Objects), err)
	}
}

func TestDeleteResultRoundTrip(t *testing.T) {
	want := DeleteResult{
		Deleted: []DeletedObject{{Key: "a\x01<"}, {Key: "b", VersionID: "v", DeleteMarker: true, DeleteMarkerVersionID: "v"}, {Key: "c", DeleteMarker: true, DeleteMarkerVersionID: "m"}},
		Errors:  []DeleteError{{Key: "d", VersionID: "w", Code: "AccessDenied", Message: "Access Denied"}},
	}
	var b strings.Builder
	if err := WriteDeleteResult(&b, want); err != nil {
		t.Fatal(err)
	}
	if got, err := ScanDeleteResult(strings.NewReader(b.String())); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	b.Reset()
	want.Quiet = true
	if err := WriteDeleteResult(&b, want); err != nil {
		t.Fatal(err)
	}
	if got, err := ScanDeleteResult(strings.NewReader(b.String())); err != nil || len(got.Deleted) != 0 || len(got.Errors) != 1 {
		t.Errorf("quiet: got %+v, %v", got, err)
	}
	got, err := ScanDeleteResult(strings.NewReader("<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code><Message/></Error><Error><Key>l</Key></Error><Error><Code>Odd</Code></Error></DeleteResult>"))
	if err != nil || got.Errors[0].Message != "Access Denied" || got.Errors[1].Code != "InternalError" || got.Errors[2].Message != "Odd" {
		t.Errorf("empty messages: %+v, %v", got, err)
	}
}

func TestDecodeTagging(t *testing.T) {
	tagXML := func(k, v string) string { return "<Tag><Key>" + k + "</Key><Value>" + v + "</Value></Tag>" }
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(tagXML(fmt.Sprint("k", i), ""))
		}
		return b.String()
	}
	got, err := DecodeTagging(strings.NewReader("<Tagging><TagSet>"+tagXML("a b:/+-@=._\u00e9", "")+tagXML("k2", "v")+"</TagSet></Tagging>"), MaxObjectTags)
	if err != nil || !reflect.DeepEqual(got, []Tag{{"a b:/+-@=._\u00e9", ""}, {"k2", "v"}}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := DecodeTagging(strings.NewReader("<Tagging><TagSet/></Tagging>"), MaxObjectTags); err != nil || len(got) != 0 {
		t.Errorf("no tags: %v", err)
	}
	if got, err := DecodeTagging(strings.NewReader("<Tagging><TagSet>"+many(50)+"</TagSet></Tagging>"), MaxBucketTags); err != nil || len(got) != 50 {
		t.Errorf("50 tags: %v", err)
	}
	if _, err := DecodeTagging(strings.NewReader("<Tagging><TagSet>"+tagXML(strings.Repeat("\u00e9", 128), strings.Repeat("\u00e9", 256))+"</TagSet></Tagging>"), MaxObjectTags); err != nil {
		t.Errorf("longest tag: %v", err)
	}
	for inner, want := range map[string]*Error{
		"":                   ErrMalformedXML,
		"<TagSet/><TagSet/>": ErrMalformedXML,
		"<TagSet><Tag><Key>k</Key></Tag></TagSet>":                       ErrMalformedXML,
		"<TagSet><Tag><Key>k</Key><Key>k</Key></Tag></TagSet>":           ErrMalformedXML,
		"<TagSet>" + tagXML("", "v") + "</TagSet>":                       ErrInvalidTag,
		"<TagSet>" + tagXML(strings.Repeat("k", 129), "v") + "</TagSet>": ErrInvalidTag,
		"<TagSet>" + tagXML("k", strings.Repeat("v", 257)) + "</TagSet>": ErrInvalidTag,
		"<TagSet>" + tagXML("k", "a;b") + "</TagSet>":                    ErrInvalidTag,
		"<TagSet>" + tagXML("aws:x", "v") + "</TagSet>":                  ErrInvalidTag,
		"<TagSet>" + tagXML("k", "v") + tagXML("k", "w") + "</TagSet>":   ErrInvalidTag,
		"<TagSet>" + many(11) + "</TagSet>":                              ErrBadRequest,
	} {
		if got, err := DecodeTagging(strings.NewReader("<Tagging>"+inner+"</Tagging>"), MaxObjectTags); err == nil || err.Code != want.Code {
			t.Errorf("%.80s: got %+v, %v", inner, got, err)
		}
	}
	if _, err := DecodeTagging(strings.NewReader("<Tagging><TagSet>"+many(51)+"</TagSet></Tagging>"), MaxBucketTags); err == nil || !strings.HasSuffix(err.Message, "50") {
		t.Errorf("51 tags: %v", err)
	}
}

func TestTaggingHeader(t *testing.T) {
	tags := []Tag{{"a b", "c+d"}, {"e", ""}, {"\u00e9/", "="}}
	got, err := ParseTaggingHeader(EncodeTaggingHeader(tags))
	if err != nil || !reflect.DeepEqual(got, tags) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := ParseTaggingHeader("k=v+w&l"); err != nil || !reflect.DeepEqual(got, []Tag{{"k", "v w"}, {"l", ""}}) {
		t.Errorf("got %+v, %v", got, err)
	}
	for header, want := range map[string]*Error{"k=%zz": ErrInvalidArgument, "k=1&k=2": ErrInvalidArgument, "k=%FF": ErrInvalidArgument, "=v": ErrInvalidTag, "a&b&c&d&e&f&g&h&i&j&k": ErrBadRequest} {
		if got, err := ParseTaggingHeader(header); err == nil || err.Code != want.Code {
			t.Errorf("%s: got %+v, %v", header, got, err)
		}
	}
	scanned, scanErr := ScanTagging(strings.NewReader(string(EncodeTagging(tags))))
	if scanErr != nil || !reflect.DeepEqual(scanned, tags) {
		t.Errorf("document: got %+v, %v", scanned, scanErr)
	}
	var b strings.Builder
	if err := WriteTagging(&b, tags); err != nil || b.String() != string(EncodeTagging(tags)) {
		t.Errorf("written: %v", err)
	}
}

func TestDecodeBucketDocuments(t *testing.T) {
	for doc, want := range map[string]string{
		"":                             "",
		"<CreateBucketConfiguration/>": "",
		"<CreateBucketConfiguration><LocationConstraint> eu-central-1\n</LocationConstraint></CreateBucketConfiguration>": "eu-central-1",
	} {
		if got, err := DecodeCreateBucketConfiguration(strings.NewReader(doc)); err != nil || got != want {
			t.Errorf("%s: got %q, %v", doc, got, err)
		}
	}
	if _, err := DecodeCreateBucketConfiguration(strings.NewReader("<CreateBucketConfiguration><Bucket><Type>Directory</Type></Bucket></CreateBucketConfiguration>")); err == nil || err.Code != ErrNotImplemented.Code {
		t.Errorf("directory bucket: %v", err)
	}
	for _, status := range []string{VersioningEnabled, VersioningSuspended} {
		if got, err := DecodeVersioning(strings.NewReader("<VersioningConfiguration><Status>" + status + "</Status></VersioningConfiguration>")); err != nil || got != status {
			t.Errorf("got %q, %v", got, err)
		}
	}
	for doc, want := range map[string]*Error{
		"<VersioningConfiguration/>": ErrIllegalVersioningConfiguration,
		"<VersioningConfiguration><Status>enabled</Status></VersioningConfiguration>":       ErrMalformedXML,
		"<VersioningConfiguration><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>": ErrMalformedXML,
	} {
		if got, err := DecodeVersioning(strings.NewReader(doc)); err == nil || err.Code != want.Code {
			t.Errorf("%s: got %q, %v", doc, got, err)
		}
	}
}

func TestParseAttributesRequest(t *testing.T) {
	got, err := ParseAttributesRequest(headers("x-amz-object-attributes", "ETag, ObjectParts", "x-amz-object-attributes", "ObjectSize", "x-amz-max-parts", "5000", "x-amz-part-number-marker", "3"))
	if want := (AttributesRequest{ETag: true, ObjectParts: true, ObjectSize: true, MaxParts: MaxListKeys, PartNumberMarker: 3}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = ParseAttributesRequest(headers("x-amz-object-attributes", "Checksum,StorageClass", "x-amz-max-parts", "0"))
	if want := (AttributesRequest{Checksum: true, StorageClass: true}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, h := range [][]string{{}, {"x-amz-object-attributes", ","}} {
		if _, err := ParseAttributesRequest(headers(h...)); err == nil || err.Code != ErrInvalidRequest.Code {
			t.Errorf("%v: %v", h, err)
		}
	}
	for _, h := range [][]string{
		{"x-amz-object-attributes", "etag"}, {"x-amz-object-attributes", "ETag", "x-amz-max-parts", "-1"}, {"x-amz-object-attributes", "ETag", "x-amz-part-number-marker", "x"},
	} {
		if _, err := ParseAttributesRequest(headers(h...)); err == nil || err.Code != ErrInvalidArgument.Code {
			t.Errorf("%v: %v", h, err)
		}
	}
}

func FuzzDecodeClientXML(f *testing.F) {
	f.Add([]byte("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>&quot;e&quot;</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part></CompleteMultipartUpload>"))
	f.Add([]byte("<Delete><Quiet>1</Quiet><Object><Key><![CDATA[k]]>&#1;</Key><Size>1</Size></Object></Delete>"))
	f.Add([]byte("<Tagging><TagSet><Tag><Key>k</Key><Value/></Tag></TagSet></Tagging>"))
	f.Add([]byte("<CreateBucketConfiguration><LocationConstraint>x</LocationConstraint></CreateBucketConfiguration>"))
	f.Add([]byte("<!-- --><?a?><VersioningConfiguration a='>'><Status>Enabled</Status></VersioningConfiguration>"))
	for _, text := range notXML {
		f.Add([]byte(strings.ReplaceAll(text, "%s", "Delete")))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if parts, err := DecodeCompleteMultipartUpload(strings.NewReader(string(doc))); err == nil {
			for _, p := range parts {
				if p.Number < 1 || p.Number > MaxParts || p.ETag == "" {
					t.Fatalf("%+v", p)
				}
			}
		}
		if req, err := DecodeDelete(strings.NewReader(string(doc))); err == nil {
			plain := []ObjectIdentifier{}
			for _, o := range req.Objects {
				if o.Key == "" || checkKey(o.Key) != nil {
					t.Fatalf("%+v", o)
				}
				plain = append(plain, ObjectIdentifier{Key: o.Key, VersionID: o.VersionID, Size: -1})
			}
			again, err := DecodeDelete(strings.NewReader(string(EncodeBackendDelete(plain))))
			if err != nil || !reflect.DeepEqual(again.Objects, plain) {
				t.Fatalf("%+v became %+v, %v", plain, again.Objects, err)
			}
		}
		if tags, err := DecodeTagging(strings.NewReader(string(doc)), MaxObjectTags); err == nil {
			again, err := DecodeTagging(strings.NewReader(string(EncodeTagging(tags))), MaxObjectTags)
			if err != nil || !reflect.DeepEqual(again, tags) {
				t.Fatalf("%+v became %+v, %v", tags, again, err)
			}
		}
		if status, err := DecodeVersioning(strings.NewReader(string(doc))); err == nil && status == "" {
			t.Fatal("no status")
		}
		_, _ = DecodeCreateBucketConfiguration(strings.NewReader(string(doc)))
	})
}
