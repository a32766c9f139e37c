package s3api

import (
	"cmp"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// DeleteRequest is the body of DeleteObjects.
type DeleteRequest struct {
	// Objects are at least one and at most 1,000, in the order sent.
	Objects []ObjectIdentifier
	// Quiet asks for errors only.
	Quiet bool
}

// ObjectIdentifier is one object to delete.
type ObjectIdentifier struct {
	Key string
	// VersionID is "" for none.
	VersionID string
	// ETag, LastModified and Size are conditions; "", zero and -1 for none. ETag is as sent, in whatever form.
	ETag         string
	LastModified time.Time
	Size         int64
}

// Conditions gives what the object must be for the deletion to happen.
func (o ObjectIdentifier) Conditions() DeleteConditions {
	return DeleteConditions{IfMatch: o.ETag, Size: o.Size, LastModified: o.LastModified}
}

// Conditional says whether the deletion has conditions.
func (o ObjectIdentifier) Conditional() bool { return !o.Conditions().Empty() }

// DecodeDelete reads the body of DeleteObjects.
func DecodeDelete(r io.Reader) (DeleteRequest, *Error) {
	var (
		req   DeleteRequest
		quiet string
		o     once
	)
	err := decodeClient(r, maxDeleteDocument, "Delete", func(s *scanner) error {
		return s.children(func(name []byte) error {
			switch string(name) {
			case "Quiet":
				return o.text(s, name, &quiet)
			case "Object":
				if len(req.Objects) == MaxDeleteKeys {
					return ErrMalformedXML
				}
				id, err := scanObjectIdentifier(s)
				req.Objects = append(req.Objects, id)
				return err
			}
			return nil
		})
	})
	if err == nil && len(req.Objects) == 0 {
		err = ErrMalformedXML
	}
	if err == nil && quiet != "" {
		var ok bool
		if req.Quiet, ok = parseBool(quiet); !ok {
			err = ErrMalformedXML
		}
	}
	if err != nil {
		return DeleteRequest{}, err
	}
	return req, nil
}

func scanObjectIdentifier(s *scanner) (ObjectIdentifier, error) {
	var (
		id                 = ObjectIdentifier{Size: -1}
		size, lastModified string
		o                  once
	)
	err := s.children(func(name []byte) error {
		switch string(name) {
		case "Key":
			return o.text(s, name, &id.Key)
		case "VersionId":
			return o.text(s, name, &id.VersionID)
		case "ETag":
			return o.text(s, name, &id.ETag)
		case "Size":
			return o.text(s, name, &size)
		case "LastModifiedTime":
			return o.text(s, name, &lastModified)
		}
		return nil
	})
	if err != nil {
		return id, err
	}
	if id.Key == "" {
		return id, ErrMalformedXML
	}
	if keyErr := checkKey(id.Key); keyErr != nil {
		return id, keyErr
	}
	if size = strings.TrimSpace(size); size != "" {
		if id.Size, err = strconv.ParseInt(size, 10, 64); err != nil || id.Size < 0 {
			return id, ErrMalformedXML
		}
	}
	if lastModified = strings.TrimSpace(lastModified); lastModified != "" {
		// An HTTP date by AWS's model; some SDKs write every time in XML the ISO way.
		if id.LastModified = parseHTTPTime(lastModified); id.LastModified.IsZero() {
			if id.LastModified, err = time.Parse(time.RFC3339, lastModified); err != nil {
				return id, ErrMalformedXML
			}
		}
	}
	return id, nil
}

// ValidXMLText says whether XML 1.0 can carry a text as it is: UTF-8, and none of the characters that section 2.2 leaves out.
func ValidXMLText(s string) bool {
	for i, r := range s {
		switch {
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0xFFFE, r == 0xFFFF:
			return false
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			return false
		}
	}
	return true
}

// EncodeBackendDelete gives the body of a DeleteObjects to the backend: keys and versions, without conditions, asking for every result. The
// keys must be ValidXMLText.
func EncodeBackendDelete(objects []ObjectIdentifier) []byte {
	d := document{b: make([]byte, 0, 128+200*len(objects))}
	d.openRoot("Delete", namespace)
	for _, o := range objects {
		d.open("Object")
		d.text("Key", o.Key)
		d.optional("VersionId", o.VersionID)
		d.close("Object")
	}
	d.bool("Quiet", false)
	d.close("Delete")
	return d.b
}

// DeleteResult is the answer to DeleteObjects.
type DeleteResult struct {
	Deleted []DeletedObject
	Errors  []DeleteError
	// Quiet leaves Deleted out of the answer.
	Quiet bool
}

// Add puts another result of the same request behind this one.
func (r *DeleteResult) Add(other DeleteResult) {
	r.Deleted = append(r.Deleted, other.Deleted...)
	r.Errors = append(r.Errors, other.Errors...)
}

// DeletedObject is one deletion that was done.
type DeletedObject struct {
	// Key and VersionID are those of the request.
	Key, VersionID string
	// DeleteMarker says that a delete marker was made or, with VersionID, removed; DeleteMarkerVersionID is its version.
	DeleteMarker          bool
	DeleteMarkerVersionID string
}

// DeleteError is one deletion that was not done.
type DeleteError struct {
	Key, VersionID string
	Code, Message  string
}

// WriteDeleteResult writes the answer to DeleteObjects.
func WriteDeleteResult(w io.Writer, r DeleteResult) error {
	d := newDocument()
	d.openRoot("DeleteResult", namespace)
	if !r.Quiet {
		for _, o := range r.Deleted {
			d.open("Deleted")
			d.text("Key", o.Key)
			d.optional("VersionId", o.VersionID)
			if o.DeleteMarker {
				d.bool("DeleteMarker", true)
				d.optional("DeleteMarkerVersionId", o.DeleteMarkerVersionID)
			}
			d.close("Deleted")
		}
	}
	for _, e := range r.Errors {
		d.open("Error")
		d.text("Key", e.Key)
		d.optional("VersionId", e.VersionID)
		d.text("Code", e.Code)
		d.text("Message", e.Message)
		d.close("Error")
	}
	d.close("DeleteResult")
	return d.writeTo(w)
}

// ScanDeleteResult reads a backend's answer to DeleteObjects. Messages that the backend left empty are the catalogue's.
func ScanDeleteResult(r io.Reader) (DeleteResult, error) {
	var result DeleteResult
	err := decodeBackend(r, maxBackendDocument, func(s *scanner) error {
		return s.children(func(name []byte) error {
			switch string(name) {
			case "Deleted":
				o, err := scanDeleted(s)
				result.Deleted = append(result.Deleted, o)
				return err
			case "Error":
				e, err := scanDeleteError(s)
				result.Errors = append(result.Errors, e)
				return err
			}
			return nil
		})
	}, "DeleteResult")
	return result, err
}

func scanDeleted(s *scanner) (DeletedObject, error) {
	var o DeletedObject
	err := s.children(func(name []byte) (err error) {
		switch string(name) {
		case "Key":
			o.Key, err = s.text()
		case "VersionId":
			o.VersionID, err = s.text()
		case "DeleteMarkerVersionId":
			o.DeleteMarkerVersionID, err = s.text()
		case "DeleteMarker":
			var marker string
			marker, err = s.text()
			o.DeleteMarker, _ = parseBool(marker)
		}
		return err
	})
	return o, err
}

func scanDeleteError(s *scanner) (DeleteError, error) {
	var e DeleteError
	err := s.children(func(name []byte) (err error) {
		switch string(name) {
		case "Key":
			e.Key, err = s.text()
		case "VersionId":
			e.VersionID, err = s.text()
		case "Code":
			e.Code, err = s.text()
		case "Message":
			e.Message, err = s.text()
		}
		return err
	})
	e.Code = cmp.Or(e.Code, ErrInternalError.Code)
	if known := ErrorByCode(e.Code); known != nil && e.Message == "" {
		e.Message = known.Message
	}
	e.Message = cmp.Or(e.Message, e.Code)
	return e, err
}
