package proxy

import (
	"crypto/md5"
	"hash"
	"io"

	"cofre/checksum"
	"cofre/seal"
)

// digestingReader computes what a footer says of a body that cofre itself reads.
type digestingReader struct {
	src  io.Reader
	md5  hash.Hash // nil where the bucket does without
	sum  hash.Hash // nil for none
	kind checksum.Algorithm
}

func (h *Handler) digesting(bucket string, src io.Reader, alg checksum.Algorithm) *digestingReader {
	d := &digestingReader{src: src, kind: alg}
	if h.cfg.Bucket(bucket).ETag == ETagMD5 {
		d.md5 = md5.New()
	}
	if alg != checksum.None {
		d.sum = alg.New()
	}
	return d
}

func (d *digestingReader) Read(p []byte) (int, error) {
	n, err := d.src.Read(p)
	if d.md5 != nil {
		d.md5.Write(p[:n])
	}
	if d.sum != nil {
		d.sum.Write(p[:n])
	}
	return n, err
}

func (d *digestingReader) footer() seal.Footer {
	f := seal.Footer{}
	if d.md5 != nil {
		f.MD5 = d.md5.Sum(nil)
	}
	if d.sum != nil {
		f.Checksum, f.Sum = d.kind, d.sum.Sum(nil)
	}
	return f
}
