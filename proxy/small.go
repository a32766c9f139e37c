package proxy

import (
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"

	"cofre/s3api"
)

// readSmall reads a document whose size is bounded, to its verified end.
func readSmall(r io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, s3api.ErrMalformedXML
	}
	return text, nil
}

// contentMD5 is the digest of a document that cofre itself wrote for the backend; never of a client's data.
func contentMD5(doc []byte) string {
	sum := md5.Sum(doc)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func isUnsealed(err error) bool { return errors.Is(err, errUnsealed) }
