package proxy_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"cofre/internal/longtest"
	"cofre/keys"
)

// TestNoLieAboutKeysOrLayoutsIsBelieved has the storage lie about the documents of the system bucket, to sites that have lost their store
// and have nothing else to go by.
func TestNoLieAboutKeysOrLayoutsIsBelieved(t *testing.T) {
	t.Parallel()
	st, l := lying(t, diskStorage(t))
	s := newSite(t, st, siteConfig{client: onceOnly})
	sh := makeShape(t, s, l, "parts")
	stranger := must(keys.GenerateIdentity("stranger"))
	document := func(word, bucket string) []byte {
		return st.stored(t, s.system, s.systemNames(t, "buckets/"+bucket+"/", word)[0]).body
	}
	elsewhere := strings.Replace(sh.bucket, "hostile-", "hostile-other-", 1)
	planted := keys.NewKEK(sh.bucket, stranger.ID())
	kinds := map[string]map[string][]byte{
		"/layouts/":   {"of another object": document("/layouts/", elsewhere), "a KEK record": document("record.json", sh.bucket)},
		"record.json": {"of a stranger": must(keys.NewRecord(stranger, planted, time.Now())).Bytes(), "a grant": document("/grants/", sh.bucket), "of another bucket": document("record.json", elsewhere)},
		"/grants/":    {"a record": document("record.json", sh.bucket), "of another bucket": document("/grants/", elsewhere)},
	}
	tried := 0
	for word, others := range kinds {
		truth := document(word, sh.bucket)
		others["empty"], others["cut"], others["noise"] = nil, truth[:len(truth)/2], randomBytes(len(truth))
		others["longer"] = append(bytes.Clone(truth), truth...)
		for at := range 24 {
			b := bytes.Clone(truth)
			b[at*(len(b)-1)/23] ^= 1
			others["flipped at "+base64.StdEncoding.EncodeToString([]byte{byte(at)})] = b
		}
		for name, doc := range others {
			l.tells(&lie{
				about: func(r *wire) bool {
					return r.Method == "GET" && r.bucket == s.system && strings.Contains(r.key, word)
				},
				tell: func(*wire) *answer {
					return &answer{status: 200, header: map[string][]string{"Etag": {`"0"`}}, body: doc}
				},
			})
			fresh := newSite(t, st, siteConfig{identity: s.identity, client: onceOnly})
			for _, k := range []looker{reading("HEAD", "HEAD", "", nil), ranged("bytes=-5"), {name: "OpenObject", look: lookOpen}} {
				got := k.look(t, fresh, sh)
				if got.failed == "" && !sh.isTrue(got) {
					t.Errorf("%s %s: %s gave %s", word, name, k.name, got)
				}
				// A signed document has places that say nothing: the name of its key is only a hint.
				if got.failed == "" && (word == "/layouts/" || !strings.HasPrefix(name, "flipped")) {
					t.Errorf("%s %s: %s was not told of it", word, name, k.name)
				}
				tried++
			}
		}
	}
	l.tells(nil)
	fresh := newSite(t, st, siteConfig{identity: s.identity})
	if got := lookOpen(t, fresh, sh); !bytes.Equal(got.body, sh.body) {
		t.Errorf("once the storage is honest: %s", got)
	}
	longtest.Figure(t, "reads under a lie about keys or layouts", tried)
}

// isTrue says whether what was read is the object, or its end.
func (sh *shape) isTrue(got told) bool {
	return bytes.HasSuffix(sh.body, got.body) && (len(got.body) == 0 || len(got.body) == 5 || len(got.body) == len(sh.body))
}
