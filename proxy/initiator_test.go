package proxy_test

import (
	"encoding/xml"
	"testing"

	"cofre/sigv4/sigv4test"
)

// TestUploadsNameTheUserWhoBeganThem as the listing of objects names the owner of an object, whoever asks.
func TestUploadsNameTheUserWhoBeganThem(t *testing.T) {
	st := rgwStorage(t)
	ann, bob := people(t, st)
	s := mappedSite(t, st, siteConfig{}, ann, bob)
	b := "initiators" + st.bucketTag
	s.sendAs(t, ann.client(), request{method: "PUT", bucket: b, header: map[string]string{"X-Amz-Acl": "public-read-write"}}).want(t, 200, "")
	uploads := map[string]string{}
	for _, p := range []person{ann, bob} {
		s.sendAs(t, p.client(), request{method: "PUT", bucket: b, key: "of " + p.name, payload: sigv4test.Payload{Data: []byte("x")}}).want(t, 200, "")
		created := s.sendAs(t, p.client(), request{method: "POST", bucket: b, key: "of " + p.name, query: "uploads="}).want(t, 200, "")
		uploads[p.name] = textOf(created.body, "UploadId")
	}
	type user struct{ ID, DisplayName string }
	type entry struct {
		Key              string
		Owner, Initiator user
	}
	for _, asker := range []person{ann, bob} {
		var objects struct{ Contents []entry }
		var open struct{ Upload []entry }
		for query, into := range map[string]any{"": &objects, "uploads=": &open} {
			got := s.sendAs(t, asker.client(), request{method: "GET", bucket: b, query: query}).want(t, 200, "")
			if err := xml.Unmarshal(got.body, into); err != nil {
				t.Fatal(err)
			}
		}
		if len(objects.Contents) != 2 || len(open.Upload) != 2 {
			t.Fatalf("%s sees %d objects and %d uploads", asker.name, len(objects.Contents), len(open.Upload))
		}
		for i, p := range []person{ann, bob} {
			object, upload := objects.Contents[i], open.Upload[i]
			if object.Owner.ID != p.uid || upload.Key != object.Key || upload.Owner != object.Owner || upload.Initiator != object.Owner {
				t.Errorf("%s sees the upload %+v, the object beside it %+v", asker.name, upload, object)
			}
			got := s.sendAs(t, asker.client(), request{method: "GET", bucket: b, key: upload.Key, query: "uploadId=" + escaped(uploads[p.name])}).want(t, 200, "")
			var parts entry
			if err := xml.Unmarshal(got.body, &parts); err != nil || parts.Owner != object.Owner || parts.Initiator != object.Owner {
				t.Errorf("%s sees the parts of %+v, want the user %+v: %v", asker.name, parts, object.Owner, err)
			}
		}
	}
}
