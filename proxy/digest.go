package proxy

import (
	"hash"
	"io"

	"cofre/checksum"
	"cofre/seal"
)

// digestingReader computes what a footer says of a body that cofre itself reads.
type digestingReader struct {
	src  io.Reader
	md5  *checksum.MD5 // nil where the bucket does without
	sum  hash.Hash
	kind checksum.Algorithm
}

// digesting reads a body of that many bytes, for an object in this bucket. The caller closes it.
func (h *Handler) digesting(bucket string, src io.Reader, size int64, alg checksum.Algorithm) *digestingReader {
	return newDigestingReader(src, size, alg, h.cfg.Bucket(bucket).ETag == ETagMD5)
}

func newDigestingReader(src io.Reader, size int64, alg checksum.Algorithm, withMD5 bool) *digestingReader {
	if alg == checksum.None {
		alg = defaultChecksum
	}
	d := &digestingReader{src: src, sum: alg.New(), kind: alg}
	if withMD5 {
		d.md5 = checksum.NewMD5(size)
	}
	return d
}

func (d *digestingReader) Read(p []byte) (int, error) {
	n, err := d.src.Read(p)
	if d.md5 != nil {
		_, _ = d.md5.Write(p[:n]) // a hash never fails
	}
	d.sum.Write(p[:n])
	return n, err
}

func (d *digestingReader) footer() seal.Footer {
	f := seal.Footer{Checksum: d.kind, Sum: d.sum.Sum(nil)}
	if d.md5 != nil {
		f.MD5 = d.md5.Sum()
	}
	return f
}

func (d *digestingReader) close() {
	if d.md5 != nil {
		d.md5.Close()
	}
}
