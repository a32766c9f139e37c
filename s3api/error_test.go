package s3api

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

// everyError is the catalogue as clients see it. A change here is a change of the protocol.
var everyError = map[string]int{
	"AccessControlListNotSupported": 400, "AccessDenied": 403, "AccessForbidden": 403, "AuthorizationHeaderMalformed": 400,
	"AuthorizationQueryParametersError": 400, "BadDigest": 400, "BadRequest": 400, "BucketAlreadyExists": 409, "BucketAlreadyOwnedByYou": 409,
	"BucketNotEmpty": 409, "ConditionalRequestConflict": 409, "EntityTooLarge": 400, "EntityTooSmall": 400,
	"IllegalVersioningConfigurationException": 400, "IncompleteBody": 400,
	"IncorrectNumberOfFilesInPostRequest": 400, "InternalError": 500, "InvalidAccessKeyId": 403, "InvalidArgument": 400, "InvalidBucketName": 400,
	"InvalidBucketState": 409, "InvalidChunkSizeError": 400, "InvalidDigest": 400, "InvalidEncryptionAlgorithmError": 400,
	"InvalidLocationConstraint": 400, "InvalidObjectState": 403, "InvalidPart": 400, "InvalidPartNumber": 416, "InvalidPartOrder": 400,
	"InvalidPolicyDocument": 400, "InvalidRange": 416, "InvalidRequest": 400, "InvalidRetentionPeriod": 400,
	"InvalidStorageClass": 400, "InvalidTag": 400, "InvalidToken": 400, "InvalidURI": 400,
	"KeyTooLongError": 400, "MalformedACLError": 400, "MalformedPOSTRequest": 400, "MalformedPolicy": 400, "MalformedTrailerError": 400,
	"MalformedXML": 400, "MaxMessageLengthExceeded": 400, "MaxPostPreDataLengthExceeded": 400, "MetadataTooLarge": 400,
	"MethodNotAllowed": 405, "MissingContentLength": 411, "MissingRequestBodyError": 400, "MissingSecurityHeader": 400, "NoSuchBucket": 404,
	"NoSuchBucketPolicy": 404, "NoSuchCORSConfiguration": 404, "NoSuchKey": 404, "NoSuchLifecycleConfiguration": 404,
	"NoSuchObjectLockConfiguration": 404, "NoSuchPublicAccessBlockConfiguration": 404, "NoSuchTagSet": 404, "NoSuchUpload": 404,
	"NoSuchVersion": 404, "NotImplemented": 501, "NotModified": 304, "ObjectLockConfigurationNotFoundError": 404,
	"OperationAborted": 409, "PreconditionFailed": 412, "QuotaExceeded": 403,
	"ReplicationConfigurationNotFoundError": 404, "RequestHeaderSectionTooLarge": 400, "RequestTimeTooSkewed": 403, "RequestTimeout": 400,
	"ServiceUnavailable":    503,
	"SignatureDoesNotMatch": 403, "SlowDown": 503, "TooManyBuckets": 400, "UnexpectedContent": 400, "UnresolvableGrantByEmailAddress": 400,
	"UserKeyMustBeSpecified": 400, "XAmzContentSHA256Mismatch": 400,
}

func TestCatalogueIsWhatClientsKnow(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range Catalogue() {
		if seen[e.Code] {
			t.Errorf("%s is there twice", e.Code)
		}
		seen[e.Code] = true
		if status, ok := everyError[e.Code]; !ok || status != e.Status {
			t.Errorf("%s: status %d, want %d", e.Code, e.Status, status)
		}
		if e.Message == "" || ErrorByCode(e.Code) != e || !errors.Is(e.With("x"), e) || len(e.Fields) > 0 || len(e.Header) > 0 {
			t.Errorf("%s: %+v", e.Code, e)
		}
	}
	for code := range everyError {
		if !seen[code] {
			t.Errorf("%s is missing", code)
		}
	}
	if ErrorByCode("Nonsense") != nil {
		t.Error("an unknown code was found")
	}
	// Every error that the source declares is in Catalogue.
	source, err := os.ReadFile("catalogue.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(regexp.MustCompile(`= &Error\{Code`).FindAll(source, -1)); n != len(Catalogue()) || n == 0 {
		t.Errorf("%d errors declared, %d in the catalogue", n, len(Catalogue()))
	}
}

// xmlError is an error document as an SDK reads it.
type xmlError struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	Extra     string `xml:"ArgumentName"`
	Resource  string
	RequestID string `xml:"RequestId"`
	HostID    string `xml:"HostId"`
}

func TestWriteErrorIsReadable(t *testing.T) {
	for _, e := range Catalogue() {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Length", "12")
		w.Header().Set("ETag", `"x"`)
		WriteError(w, e.Field("ArgumentName", "a<b>&\"\x01\xff"), "/bucket/<&>\x00", "REQ", "HOST", false)
		if w.Code != e.Status || w.Header().Get("X-Amz-Request-Id") != "REQ" || w.Header().Get("X-Amz-Id-2") != "HOST" || w.Header().Get("ETag") == "" {
			t.Errorf("%s: %d %v", e.Code, w.Code, w.Header())
		}
		if e.Status == http.StatusNotModified {
			if w.Body.Len() != 0 || w.Header().Get("Content-Length") != "" || w.Header().Get("Content-Type") != "" {
				t.Errorf("304 with a body: %v", w.Header())
			}
			continue
		}
		if w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) || w.Header().Get("Content-Type") != "application/xml" {
			t.Errorf("%s: %v", e.Code, w.Header())
		}
		var doc xmlError
		if err := xml.Unmarshal(w.Body.Bytes(), &doc); err != nil {
			t.Errorf("%s: %v", e.Code, err)
		}
		want := xmlError{xml.Name{Local: "Error"}, e.Code, e.Message, "a<b>&\"\uFFFD\uFFFD", "/bucket/<&>\uFFFD", "REQ", "HOST"}
		if doc != want {
			t.Errorf("got %+v, want %+v", doc, want)
		}
		code, message := scanError(w.Body.Bytes())
		if code != e.Code || message != e.Message {
			t.Errorf("scanned %q, %q", code, message)
		}
	}
}

func TestWriteErrorToHeadHasNoBody(t *testing.T) {
	w := httptest.NewRecorder()
	WriteError(w, ErrInvalidRange.WithHeader("Content-Range", "bytes */9"), "/b/k", "REQ", "HOST", true)
	if w.Code != 416 || w.Body.Len() != 0 || w.Header().Get("Content-Range") != "bytes */9" || w.Header().Get("Content-Length") != "" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
}

func TestWriteErrorOfNothingIsInternalError(t *testing.T) {
	w := httptest.NewRecorder()
	WriteError(w, nil, "", "REQ", "HOST", false)
	if w.Code != 500 || !strings.Contains(w.Body.String(), "<Code>InternalError</Code>") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	WriteError(w, &Error{Code: "Odd"}, "", "", "", false)
	if w.Code != 500 || !strings.Contains(w.Body.String(), "<Message>Odd</Message>") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestErrorsAreCopiedWhenChanged(t *testing.T) {
	a := ErrNoSuchKey.Field("Key", "a").WithHeader("X-A", "1")
	b := a.Field("Key", "b").WithHeader("X-A", "2").With("other")
	if len(ErrNoSuchKey.Fields) != 0 || ErrNoSuchKey.Header != nil || len(a.Fields) != 1 || a.Header.Get("X-A") != "1" || a.Message == "other" {
		t.Error("a change reached the original")
	}
	if len(b.Fields) != 2 || b.Header.Get("X-A") != "2" || b.Error() != "NoSuchKey: other" {
		t.Errorf("got %+v", b)
	}
	if errors.Is(a, ErrNoSuchBucket) || errors.Is(a, errXML) || !errors.Is(fmt.Errorf("get: %w", a), ErrNoSuchKey) {
		t.Error("errors are compared by something else than their code")
	}
}

func TestDecodeErrorAlwaysSaysSomething(t *testing.T) {
	rgw, err := os.ReadFile("testdata/rgw16/error-nosuchkey.xml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		status     int
		body       string
		code       string
		wantStatus int
		message    string
	}{
		{"Ceph RGW, empty message", 404, string(rgw), "NoSuchKey", 404, ErrNoSuchKey.Message},
		{"message kept", 403, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", "AccessDenied", 403, "Request has expired"},
		{"unknown code kept", 400, "<Error><Code>Unheard</Code><Message/></Error>", "Unheard", 400, "Bad Request"},
		{"other status than the catalogue's", 409, "<Error><Code>InvalidRequest</Code></Error>", "InvalidRequest", 409, ErrInvalidRequest.Message},
		{"namespace and order", 404, `<?xml version="1.0"?><a:Error xmlns:a="x"><a:RequestId>1</a:RequestId><a:Message>m</a:Message><a:Code>NoSuchBucket</a:Code></a:Error>`, "NoSuchBucket", 404, "m"},
		{"inside a 200", 200, "\n  <Error><Code>InternalError</Code></Error>", "InternalError", 500, ErrInternalError.Message},
		{"inside a 200, unknown", 200, "<Error><Code>Unheard</Code></Error>", "Unheard", 500, "OK"},
		{"cut short", 500, "<Error><Code>SlowDown</Code><Mess", "SlowDown", 500, ErrSlowDown.Message},
		{"empty", 404, "", "NoSuchKey", 404, ErrNoSuchKey.Message},
		{"empty 403", 403, "", "AccessDenied", 403, ErrAccessDenied.Message},
		{"html", 502, "<html><body>Bad Gateway</body></html>", "ServiceUnavailable", 503, ErrServiceUnavailable.Message},
		{"gateway timeout", 504, "", "ServiceUnavailable", 503, ErrServiceUnavailable.Message},
		{"too many", 429, "", "SlowDown", 503, ErrSlowDown.Message},
		{"teapot", 418, "short and stout", "InvalidRequest", 418, ErrInvalidRequest.Message},
		{"strange 5xx", 599, "", "InternalError", 599, ErrInternalError.Message},
		{"success without a word", 200, "", "InternalError", 500, ErrInternalError.Message},
	} {
		got := DecodeError(c.status, []byte(c.body))
		if got.Code != c.code || got.Status != c.wantStatus || got.Message != c.message {
			t.Errorf("%s: got %+v", c.name, got)
		}
		if len(got.Fields) != 0 {
			t.Errorf("%s: a backend's fields were kept", c.name)
		}
	}
	for status := range 600 {
		if e := DecodeError(status, nil); e.Code == "" || e.Message == "" || e.Status == 0 {
			t.Errorf("status %d: %+v", status, e)
		}
	}
}

func FuzzDecodeError(f *testing.F) {
	f.Add(404, []byte("<Error><Code>NoSuchKey</Code><Message></Message></Error>"))
	f.Add(200, []byte("<Error><Code/><Message>&#1;</Message>"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if e := DecodeError(status, body); e.Code == "" || e.Message == "" {
			t.Fatalf("%+v", e)
		}
	})
}
