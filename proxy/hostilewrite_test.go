package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/internal/longtest"
)

// writeLie is what the storage answers to a write. does says whether it does what it was asked all the same.
type writeLie struct {
	name string
	does bool
	say  func(a *answer) *answer
}

func writeLies() []writeLie {
	head := func(name, value string) func(*answer) *answer {
		return func(a *answer) *answer {
			a.header.Set(name, value)
			return a
		}
	}
	say := func(status int, code string) func(*answer) *answer {
		return func(*answer) *answer {
			a := failed(status, code)
			a.header.Set("Location", "/elsewhere")
			return a
		}
	}
	lies := []writeLie{
		{"another ETag", true, head("Etag", `"0123456789abcdef0123456789abcdef"`)}, {"no ETag", true, head("Etag", "")},
		{"another ETag in the document", true, func(a *answer) *answer {
			a.body = []byte(etagIn.ReplaceAllString(string(a.body), "<ETag>0123456789abcdef0123456789abcdef</ETag>"))
			a.header.Del("Content-Length")
			return a
		}},
		{"not a word", true, func(*answer) *answer {
			return &answer{status: 200, cut: true, header: http.Header{"Content-Length": {"1"}}}
		}},
		{"noise", true, func(a *answer) *answer { a.body = randomBytes(500); a.header.Del("Content-Length"); return a }},
	}
	for _, does := range []bool{true, false} {
		for _, e := range []struct {
			status int
			code   string
		}{{200, ""}, {200, "InternalError"}, {200, "NoSuchUpload"}, {204, ""}, {302, "NotModified"}, {304, ""}, {307, "TemporaryRedirect"}, {403, "AccessDenied"}, {404, "NoSuchKey"}, {404, "NoSuchUpload"},
			{409, "OperationAborted"}, {412, "PreconditionFailed"}, {500, "InternalError"}, {503, "SlowDown"}} {
			name := fmt.Sprintf("%d %s", e.status, e.code)
			if !does {
				name += " for what it did not do"
			}
			lies = append(lies, writeLie{name, does, say(e.status, e.code)})
		}
	}
	return lies
}

// writing is one way to write an object; what the storage lies about is the request that makes it, which decides.
type writing struct {
	name  string
	about func(r *wire) bool
	do    func(ctx context.Context, s *site, bucket, key string, body []byte) error
}

// marked is a body that would be known again wherever it lay in clear.
const mark = "this is the plaintext of a client"

var writings = []writing{
	{"PUT", func(r *wire) bool { return r.Method == "PUT" && r.URL.RawQuery == "" }, func(ctx context.Context, s *site, b, key string, body []byte) error {
		_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b, Key: &key, Body: bytes.NewReader(body)})
		return err
	}},
	{"copy", func(r *wire) bool { return r.Method == "PUT" && r.URL.RawQuery == "" }, func(ctx context.Context, s *site, b, key string, body []byte) error {
		_, err := s.client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &b, Key: &key, CopySource: str(b + "/source " + string(body[:8]))})
		return err
	}},
	{"Complete", func(r *wire) bool { return r.Method == "POST" && r.URL.Query().Has("uploadId") }, upload},
	{"UploadPart", func(r *wire) bool { return r.Method == "PUT" && r.URL.Query().Has("partNumber") }, upload},
	{"Create", func(r *wire) bool { return r.Method == "POST" && r.URL.Query().Has("uploads") }, upload},
}

func upload(ctx context.Context, s *site, b, key string, body []byte) error {
	up, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &b, Key: &key})
	if err != nil {
		return err
	}
	part, err := s.client.UploadPart(ctx, &s3.UploadPartInput{Bucket: &b, Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(body)})
	if err != nil {
		return err
	}
	_, err = s.client.CompleteMultipartUpload(ctx, completeInput(b, key, *up.UploadId, []types.CompletedPart{{ETag: part.ETag, PartNumber: aws.Int32(1)}}))
	return err
}

// TestNoLieAboutAWriteLosesIt has the storage lie in its answers to writes, and be honest afterwards. What was acknowledged is then read, or its loss
// is told: never is the object of before taken for it. A write that was refused has left the old object or made the new one, whole.
// And whatever the storage says, no byte of plaintext is ever sent to it.
func TestNoLieAboutAWriteLosesIt(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, honest *storage) {
		st, l := lying(t, honest)
		var mu sync.Mutex
		sent := 0
		l.watch = func(r *wire, body []byte) {
			mu.Lock()
			defer mu.Unlock()
			sent += len(body)
			if bytes.Contains(body, []byte(mark)) {
				t.Errorf("%s %s sent plaintext", r.Method, r.URL.Path)
			}
		}
		s := newSite(t, st, siteConfig{client: onceOnly})
		b := s.bucket(t, "writes")
		tried, acknowledged := 0, 0
		for i, x := range writeLies() {
			for j, w := range writings {
				if st.bucketTag != "" && (i+j)%3 > 0 {
					continue // the answers are the same ones: on the real RGW a third of them
				}
				key := fmt.Sprintf("%s %d", w.name, i)
				before, after := []byte(randomHex(8)+" before. "+mark), []byte(randomHex(8)+" after. "+strings.Repeat(mark, 3))
				l.tells(nil)
				s.put(t, b, key, before)
				s.put(t, b, "source "+string(after[:8]), after)
				l.tells(&lie{about: func(r *wire) bool { return r.key == key && w.about(r) }, tell: func(r *wire) *answer {
					a := &answer{status: 200, header: http.Header{}}
					if x.does {
						a = r.ask()
					}
					return x.say(a)
				}})
				err := w.do(t.Context(), s, b, key, after)
				if l.told() == 0 {
					t.Fatalf("%s: nothing was asked for %s", w.name, key)
				}
				l.tells(nil)
				tried++
				if err == nil {
					acknowledged++
				}
				for who, reader := range map[string]*site{"the writer": s, "a new process": newSite(t, st, siteConfig{identity: s.identity, store: s.store})} {
					got := reader.try(t, request{method: "GET", bucket: b, key: key})
					isNew, isOld := bytes.Equal(got.body, after), bytes.Equal(got.body, before)
					switch {
					case got.status == 200 && isNew, got.status == 200 && isOld && err != nil:
					case got.status >= 400 && err == nil && !x.does: // it is gone, and that is told
					case got.status == 500 && err != nil && !x.does && w.name != "PUT":
						t.Errorf("%s answered %s: refused, and yet %s cannot read what was there before", w.name, x.name, who)
					case got.status >= 400 && x.does:
						t.Errorf("%s answered %s: %v, then %s is told %d %s of what is there", w.name, x.name, err, who, got.status, got.code)
					case got.status == 200:
						t.Errorf("%s answered %s: %v, then %s reads %.30q", w.name, x.name, err, who, got.body)
					}
				}
			}
		}
		longtest.Figure(t, "lying answers to writes", tried)
		longtest.Figure(t, "of which were acknowledged", acknowledged)
		longtest.Figure(t, "bytes searched for plaintext", sent)
	})
}
