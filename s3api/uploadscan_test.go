package s3api_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cofre/s3api"
)

func TestScanUploadsReadsWhatStoresWrite(t *testing.T) {
	const head = `<?xml version="1.0" encoding="UTF-8"?><ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`
	const upload = `<Upload><Key>a &amp; é&#x1;</Key><UploadId>2~x</UploadId><Initiator><ID>i</ID></Initiator><Initiated>2026-11-22T22:42:43.117Z</Initiated></Upload>`
	one := []s3api.BackendUpload{{Key: "a & é\x01", UploadID: "2~x", Initiated: "2026-11-22T22:42:43.117Z"}}
	for _, c := range []struct {
		name, body string
		want       s3api.UploadPage
	}{
		{"none", "<IsTruncated>false</IsTruncated>", s3api.UploadPage{}},
		{"last page with markers all the same", "<NextKeyMarker>z</NextKeyMarker><NextUploadIdMarker>y</NextUploadIdMarker><IsTruncated>false</IsTruncated>" + upload, s3api.UploadPage{Uploads: one}},
		{"markers", "<NextKeyMarker>z</NextKeyMarker><NextUploadIdMarker>y</NextUploadIdMarker><IsTruncated>true</IsTruncated>" + upload,
			s3api.UploadPage{Uploads: one, Truncated: true, NextKeyMarker: "z", NextUploadIDMarker: "y"}},
		{"no markers", "<IsTruncated>true</IsTruncated>" + upload,
			s3api.UploadPage{Uploads: one, Truncated: true, NextKeyMarker: "a & é\x01", NextUploadIDMarker: "2~x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := s3api.ScanUploads(strings.NewReader(head + c.body + `</ListMultipartUploadsResult>`))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := s3api.ScanUploads(strings.NewReader("<Error/>")); err == nil {
		t.Error("another document was read as uploads")
	}
}
