package s3api

import (
	"io"
	"strings"
)

// DecodeCreateBucketConfiguration reads the body of CreateBucket and gives the location asked for; "" where there is none, as in an empty
// body. What the document can say besides (directory buckets, tags) is refused: the bucket would not be what was asked for.
func DecodeCreateBucketConfiguration(r io.Reader) (location string, err *Error) {
	empty := &emptiness{r: r, empty: true}
	var o once
	err = decodeClient(empty, maxDocument, "CreateBucketConfiguration", func(s *scanner) error {
		return s.children(func(name []byte) error {
			switch string(name) {
			case "LocationConstraint":
				return o.text(s, name, &location)
			case "Location", "Bucket", "Tags":
				return ErrNotImplemented.With("The bucket configuration you provided implies functionality that is not implemented")
			}
			return nil
		})
	})
	if empty.empty {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(location), nil
}

// emptiness notices whether anything was read.
type emptiness struct {
	r     io.Reader
	empty bool
}

func (e *emptiness) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if n > 0 || err != nil && err != io.EOF {
		e.empty = false
	}
	return n, err
}

// The states of versioning that a bucket can be put in.
const (
	VersioningEnabled   = "Enabled"
	VersioningSuspended = "Suspended"
)

// DecodeVersioning reads the body of PutBucketVersioning and gives the status asked for.
func DecodeVersioning(r io.Reader) (status string, err *Error) {
	var (
		mfa string
		o   once
	)
	err = decodeClient(r, maxDocument, "VersioningConfiguration", func(s *scanner) error {
		return s.children(func(name []byte) error {
			switch string(name) {
			case "Status":
				return o.text(s, name, &status)
			case "MfaDelete":
				return o.text(s, name, &mfa)
			}
			return nil
		})
	})
	switch {
	case err != nil:
		return "", err
	case status == "" && mfa == "":
		return "", ErrIllegalVersioningConfiguration.With("The Versioning element must be specified")
	case status != VersioningEnabled && status != VersioningSuspended:
		return "", ErrMalformedXML
	}
	return status, nil
}

// ScanVersioning reads a backend's answer to GetBucketVersioning: the status, "" where versioning was never enabled.
func ScanVersioning(r io.Reader) (status string, err error) {
	err = decodeBackend(r, maxBackendDocument, func(s *scanner) error {
		return s.children(func(name []byte) (err error) {
			if string(name) == "Status" {
				status, err = s.text()
			}
			return err
		})
	}, "VersioningConfiguration")
	return strings.TrimSpace(status), err
}

// WriteLocation writes the answer to GetBucketLocation. As on AWS us-east-1 is the empty location.
func WriteLocation(w io.Writer, region string) error {
	if region == "us-east-1" {
		region = ""
	}
	d := newDocument()
	d.openRoot("LocationConstraint", namespace)
	d.b = appendText(d.b, region)
	d.close("LocationConstraint")
	return d.writeTo(w)
}

// BucketList is the answer to ListBuckets.
type BucketList struct {
	OwnerID, OwnerName string
	Buckets            []BucketEntry
	// Prefix is that of the request, ContinuationToken that of the next page; "" for none.
	Prefix, ContinuationToken string
}

// BucketEntry is one bucket of a list.
type BucketEntry struct {
	Name string
	// CreationDate is as the backend sent it.
	CreationDate string
	// Region is "" where it is not said.
	Region string
}

// ScanListBuckets reads a backend's answer to ListBuckets.
func ScanListBuckets(r io.Reader) (BucketList, error) {
	var list BucketList
	err := decodeBackend(r, maxBackendDocument, func(s *scanner) error {
		return s.children(func(name []byte) (err error) {
			switch string(name) {
			case "Owner":
				list.OwnerID, list.OwnerName, err = scanOwner(s)
			case "ContinuationToken":
				list.ContinuationToken, err = s.text()
			case "Prefix":
				list.Prefix, err = s.text()
			case "Buckets":
				err = s.children(func(name []byte) error {
					if string(name) != "Bucket" {
						return nil
					}
					b, err := scanBucketEntry(s)
					list.Buckets = append(list.Buckets, b)
					return err
				})
			}
			return err
		})
	}, "ListAllMyBucketsResult")
	return list, err
}

func scanBucketEntry(s *scanner) (BucketEntry, error) {
	var b BucketEntry
	err := s.children(func(name []byte) (err error) {
		switch string(name) {
		case "Name":
			b.Name, err = s.text()
		case "CreationDate":
			b.CreationDate, err = s.text()
		case "BucketRegion":
			b.Region, err = s.text()
		}
		return err
	})
	return b, err
}

func scanOwner(s *scanner) (id, name string, err error) {
	err = s.children(func(element []byte) (err error) {
		switch string(element) {
		case "ID":
			id, err = s.text()
		case "DisplayName":
			name, err = s.text()
		}
		return err
	})
	return id, name, err
}

// WriteListBuckets writes the answer to ListBuckets.
func WriteListBuckets(w io.Writer, list BucketList) error {
	d := newDocument()
	d.openRoot("ListAllMyBucketsResult", namespace)
	d.owner("Owner", list.OwnerID, list.OwnerName)
	d.open("Buckets")
	for _, b := range list.Buckets {
		d.open("Bucket")
		d.text("Name", b.Name)
		d.text("CreationDate", b.CreationDate)
		d.optional("BucketRegion", b.Region)
		d.close("Bucket")
	}
	d.close("Buckets")
	d.optional("Prefix", list.Prefix)
	d.optional("ContinuationToken", list.ContinuationToken)
	d.close("ListAllMyBucketsResult")
	return d.writeTo(w)
}
