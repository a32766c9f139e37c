package s3api

import "io"

// UploadPage is one page of a backend's ListMultipartUploads. Names are raw bytes.
type UploadPage struct {
	Uploads   []BackendUpload
	Truncated bool
	// The markers say where the next page begins, when Truncated; from the last upload where the backend says nothing.
	NextKeyMarker, NextUploadIDMarker string
}

// BackendUpload is an upload that the backend knows.
type BackendUpload struct {
	Key, UploadID string
	// Initiated is as the backend sent it.
	Initiated string
}

// ScanUploads reads a backend's page of ListMultipartUploads that was asked for without encoding-type: with it, Ceph RGW 16 encodes
// keys and not the markers, and names no EncodingType. As in ScanListing, control characters may be references or raw.
func ScanUploads(r io.Reader) (*UploadPage, error) {
	var page UploadPage
	err := decodeBackend(r, maxBackendDocument, func(s *scanner) error {
		return s.children(func(name []byte) (err error) {
			switch string(name) {
			case "Upload":
				var up BackendUpload
				if up, err = scanUpload(s); err == nil {
					page.Uploads = append(page.Uploads, up)
				}
			case "IsTruncated":
				page.Truncated, err = s.bool()
			case "NextKeyMarker":
				page.NextKeyMarker, err = s.text()
			case "NextUploadIdMarker":
				page.NextUploadIDMarker, err = s.text()
			}
			return err
		})
	}, "ListMultipartUploadsResult")
	if err != nil {
		return nil, err
	}
	n := len(page.Uploads)
	switch {
	case !page.Truncated:
		page.NextKeyMarker, page.NextUploadIDMarker = "", ""
	case n > 0 && page.NextKeyMarker == "":
		page.NextKeyMarker, page.NextUploadIDMarker = page.Uploads[n-1].Key, page.Uploads[n-1].UploadID
	}
	return &page, nil
}

func scanUpload(s *scanner) (up BackendUpload, err error) {
	err = s.children(func(name []byte) (err error) {
		switch string(name) {
		case "Key":
			up.Key, err = s.text()
		case "UploadId":
			up.UploadID, err = s.text()
		case "Initiated":
			up.Initiated, err = s.text()
		}
		return err
	})
	return up, err
}
