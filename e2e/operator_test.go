package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cofre/keys"
	"cofre/keys/agefile"
	"cofre/seal"
)

// operatorFindsNothing looks at everything that the storage keeps of a bucket, in all versions, and of its keys, as whoever runs
// the storage does, and fails where any of it holds a KEK or DEK of these sites, a passphrase, a needle, or the secret note. The KEKs are
// learnt as each site itself learns them: by its identity, from its grants.
func operatorFindsNothing(t *testing.T, bucket string, needles []needle, sites ...*site) {
	t.Helper()
	storage := operator{sites}
	documents := storage.documents(t, sites[0].systemBucket, "buckets/"+bucket+"/")
	secrets := append([]needle{{"the secret note", []byte(secretNote)}}, needles...)
	var keks []keys.KEK
	for _, s := range sites {
		passphrase, err := os.ReadFile(filepath.Join(s.dir, "passphrase"))
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, needle{"a passphrase", passphrase})
		keks = append(keks, s.opens(t, bucket, documents, string(passphrase))...)
	}
	for _, kek := range keks {
		secrets = append(secrets, spellings("KEK "+kek.ID().String(), kek.Bytes())...)
	}
	objects := storage.documents(t, bucket, "")
	sealed := 0
	for name, doc := range objects {
		if dek, ok := doc.dek(t, keks); ok {
			secrets = append(secrets, spellings("the DEK of "+name, dek.Bytes())...)
			sealed++
		}
	}
	if len(keks) == 0 || sealed == 0 || sealed != len(objects) {
		t.Fatalf("%d KEKs and %d of %d objects were opened: this looked for too little", len(keks), sealed, len(objects))
	}
	for _, all := range []map[string]document{documents, objects} {
		for name, doc := range all {
			for _, where := range [][]byte{doc.head, doc.body} {
				if leaks := findLeaks(where, secrets); len(leaks) > 0 {
					t.Errorf("%s on the storage holds %v", name, leaks)
				}
			}
		}
	}
}

// document is an object as the storage has it.
type document struct {
	bucket, key string
	head, body  []byte
}

// operator reads as every backend user of these sites: one of them may read each object.
type operator struct{ sites []*site }

// documents gives everything below a prefix, in all versions.
func (o operator) documents(t *testing.T, bucket, prefix string) map[string]document {
	t.Helper()
	found := make(map[string]document)
	pages := s3.NewListObjectVersionsPaginator(o.sites[0].rgw.client(), &s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatalf("list %s on the storage: %v", bucket, err)
		}
		for _, v := range page.Versions {
			target := "/" + bucket + "/" + escapePath(*v.Key) + "?versionId=" + *v.VersionId
			status := 0
			for _, s := range o.sites {
				var doc document
				if status, doc.head, doc.body = s.rgw.rawRequest(t, http.MethodGet, target); status == http.StatusOK {
					doc.bucket, doc.key = bucket, *v.Key
					found[fmt.Sprintf("%s/%s version %s", bucket, *v.Key, *v.VersionId)] = doc
					break
				}
			}
			if status != http.StatusOK {
				t.Fatalf("%s: status %d", target, status)
			}
		}
	}
	return found
}

// opens gives the KEKs of which the site has a grant.
func (s *site) opens(t *testing.T, bucket string, documents map[string]document, passphrase string) []keys.KEK {
	t.Helper()
	contents, err := os.ReadFile(filepath.Join(s.dir, "site.age"))
	if err != nil {
		t.Fatal(err)
	}
	identity, err := agefile.Open(contents, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	records, grants := make(map[keys.KEKID]keys.Record), make(map[keys.KEKID]keys.Grant)
	for _, doc := range documents {
		name, ok := keys.ParseDocumentName(doc.key)
		if !ok {
			continue
		}
		switch {
		case name.Kind == keys.RecordDocument:
			if records[name.KEK], err = keys.ParseRecord(doc.body); err != nil {
				t.Fatal(err)
			}
		case name.Kind == keys.GrantDocument && name.Site == identity.ID():
			if grants[name.KEK], err = keys.ParseGrant(doc.body); err != nil {
				t.Fatal(err)
			}
		}
	}
	var opened []keys.KEK
	for id, grant := range grants {
		kek, err := identity.OpenGrant(grant, records[id])
		if err != nil {
			t.Fatal(err)
		}
		opened = append(opened, kek)
	}
	return opened
}

// dek opens the document's envelope by whichever KEK it names.
func (d document) dek(t *testing.T, keks []keys.KEK) (keys.DEK, bool) {
	t.Helper()
	const header = "x-amz-meta-cofre-envelope: "
	head := strings.ToLower(string(d.head))
	at := strings.Index(head, header)
	if at < 0 {
		return keys.DEK{}, false
	}
	text, _, _ := bytes.Cut(d.head[at+len(header):], []byte("\r\n"))
	envelope, err := seal.ParseEnvelope(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, kek := range keks {
		if kek.ID() == envelope.KEKID {
			dek, err := envelope.Unseal(kek, d.key, nil)
			if err != nil {
				t.Fatalf("%s: %v", d.key, err)
			}
			return dek, true
		}
	}
	return keys.DEK{}, false
}
