package proxy

import (
	"cofre/checksum"
	"cofre/s3api"
	"cofre/sigv4"
)

// defaultChecksum is what S3 computes of every object whose sender names no checksum
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html).
const defaultChecksum = checksum.CRC64NVME

var errUnsupportedChecksum = s3api.ErrInvalidRequest.With("Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")

// requestBody gives the body of an upload: plaintext that ends in io.EOF only when everything that the client declared of
// it (length, signatures, checksums) has proved true. compute is a checksum that is needed whatever the client sends.
func (h *Handler) requestBody(rq *request, compute checksum.Algorithm) (*sigv4.Body, error) {
	return rq.auth.Body(rq.Request, sigv4.BodyOptions{
		MD5:       h.cfg.Bucket(rq.call.Bucket).ETag == ETagMD5,
		Checksum:  compute,
		Default:   defaultChecksum,
		MaxLength: maxObjectSize,
	})
}
