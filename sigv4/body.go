package sigv4

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"

	"cofre/checksum"
)

// BodyOptions says what is wanted of a body beyond what the client asked for.
type BodyOptions struct {
	MD5       bool               // compute the MD5, for the ETag
	Checksum  checksum.Algorithm // compute this one too, even if the client sent none; None for no more
	Default   checksum.Algorithm // compute this one where neither the client nor Checksum names any; None for none
	MaxLength int64              // longest decoded length in bytes, else ErrEntityTooLarge; 0 for no limit
	// OtherChecksum says that x-amz-checksum-* headers do not speak of this body, as those of CompleteMultipartUpload speak of the object. A
	// trailer always speaks of the body.
	OtherChecksum bool
}

// Body is the decoded payload of one request. It uses the caller's buffers and a fixed amount of memory, whatever the size of the chunks that
// the payload came in, and allocates nothing while data flows. Bytes are given out before the signature over them is known to be right: only
// io.EOF says that all of them are good.
type Body struct {
	source  io.Reader // decodes the framing; io.EOF means that the framing was right to the end
	length  int64
	digests digests
	err     error // what every further Read gives

	payload    payload
	contentMD5 []byte // nil for none
	client     clientChecksum
	extra      checksum.Algorithm // that nobody but the BodyOptions asks for
	trailer    *trailer           // nil but for the trailer modes
}

// Body prepares the body of the request that a was verified for. It reads nothing yet, so a client that waits for "100 Continue" is not asked
// for a body that is refused here: one without length, too long, or with checksums that cannot be right.
func (a *Auth) Body(r *http.Request, o BodyOptions) (*Body, error) {
	switch {
	case !a.payload.mode.signed() || a.seed != nil:
	case a.Anonymous():
		return nil, errAnonymousChunks
	default: // Version 2 has nothing to continue from
		return nil, errUnsupportedMechanism
	}
	b := &Body{payload: a.payload, extra: o.Checksum}
	var err error
	if b.length, err = declaredLength(r, a.payload.mode); err != nil {
		return nil, err
	}
	if o.MaxLength > 0 && b.length > o.MaxLength {
		return nil, ErrEntityTooLarge.with("ProposedSize", strconv.FormatInt(b.length, 10)).
			with("MaxSizeAllowed", strconv.FormatInt(o.MaxLength, 10))
	}
	if b.contentMD5, err = parseContentMD5(r.Header); err != nil {
		return nil, err
	}
	if b.client, err = parseChecksum(r.Header, a.payload.mode, o.OtherChecksum); err != nil {
		return nil, err
	}
	if b.client.algorithm == checksum.None && b.extra == checksum.None {
		b.extra = o.Default
	}
	b.startDigests(o.MD5)
	b.startSource(a, r)
	return b, nil
}

func (b *Body) startDigests(md5 bool) {
	if md5 || b.contentMD5 != nil {
		b.digests.addMD5(b.length)
	}
	if b.payload.mode == payloadSHA256 {
		b.digests.add(checksum.SHA256)
	}
	b.digests.add(b.client.algorithm)
	b.digests.add(b.extra)
}

func (b *Body) startSource(a *Auth, r *http.Request) {
	var body io.Reader = r.Body
	if r.Body == nil {
		body = http.NoBody
	}
	if !a.payload.mode.chunked() {
		b.source = &plainReader{source: body, left: b.length}
		return
	}
	chunks := newChunkReader(body, b.length)
	if a.payload.mode.signed() {
		chunks.sign(a.seed.chain(), a.accessKeyID)
	}
	if a.payload.mode.trailer() {
		b.trailer = &trailer{announced: b.client.trailerName(), signed: a.payload.mode.signed()}
		chunks.trailer = b.trailer
	}
	b.source = chunks
}

// declaredLength gives the decoded length in bytes that the head promises.
func declaredLength(r *http.Request, mode payloadMode) (int64, error) {
	if !mode.chunked() {
		if r.ContentLength < 0 {
			return 0, ErrMissingContentLength
		}
		return r.ContentLength, nil
	}
	value, given, err := oneHeader(r.Header, "X-Amz-Decoded-Content-Length")
	if err != nil {
		return 0, err
	}
	length, err := strconv.ParseUint(value, 10, 63)
	if !given || err != nil { // what is no length is none to S3
		return 0, ErrMissingContentLength
	}
	return int64(length), nil
}

// Read gives the next bytes of the payload. Its error is io.EOF after all checks passed, else an *Error, and stays the same from then on.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	n, err := b.source.Read(p)
	b.digests.write(p[:n])
	switch {
	case err == io.EOF:
		if b.err = b.verify(); b.err == nil {
			b.err = io.EOF
		}
	case err != nil:
		b.err = bodyError(err)
		b.digests.close()
	}
	return n, b.err
}

// Close ends the reading of a body, before its end too: reading on gives http.ErrBodyReadAfterClose. It does not close the request's
// own body. It always gives nil.
func (b *Body) Close() error {
	b.digests.close()
	if b.err == nil {
		b.err = http.ErrBodyReadAfterClose
	}
	return nil
}

// bodyError puts what stopped a body into S3's terms: the client's fault, its network's, or its slowness.
func bodyError(err error) error {
	var own *Error
	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &own):
		return err
	case errors.As(err, &tooLarge):
		return ErrEntityTooLarge.because(err)
	case errors.As(err, &network) && network.Timeout():
		return ErrRequestTimeout.because(err)
	default:
		return ErrIncompleteBody.because(err)
	}
}

// verify judges the whole body. The framing, with all signatures in it, has been found right before.
func (b *Body) verify() error {
	b.digests.finish()
	if b.payload.mode == payloadSHA256 {
		if sum := b.digests.sum(checksum.SHA256); subtle.ConstantTimeCompare(sum, b.payload.sum[:]) != 1 {
			return ErrContentSHA256Mismatch.with("ClientComputedContentSHA256", hex.EncodeToString(b.payload.sum[:])).
				with("S3ComputedContentSHA256", hex.EncodeToString(sum))
		}
	}
	if b.contentMD5 != nil && subtle.ConstantTimeCompare(b.digests.md5Sum, b.contentMD5) != 1 {
		return ErrBadDigest.with("ExpectedDigest", base64.StdEncoding.EncodeToString(b.contentMD5)).
			with("CalculatedDigest", base64.StdEncoding.EncodeToString(b.digests.md5Sum))
	}
	if b.client.algorithm == checksum.None {
		return nil
	}
	if b.client.inTrailer {
		if err := b.client.setTrailer(b.trailer.value); err != nil {
			return err
		}
	}
	if subtle.ConstantTimeCompare(b.digests.sum(b.client.algorithm), b.client.value) != 1 {
		return ErrBadDigest.say("The " + b.client.algorithm.String() + " you specified did not match the calculated checksum.")
	}
	return nil
}

// Length gives the decoded length in bytes, as declared; io.EOF says that it was so.
func (b *Body) Length() int64 { return b.length }

// MD5 gives the MD5 of the payload after io.EOF; nil if neither BodyOptions nor the client asked for it.
func (b *Body) MD5() []byte { return b.digests.md5Sum }

// ClientChecksum gives the algorithm that the client announced, in a header or for the trailer; None if none. It may be called at any time.
func (b *Body) ClientChecksum() checksum.Algorithm { return b.client.algorithm }

// Checksum gives, after io.EOF, the checksum that the client sent, else that of BodyOptions, else None.
func (b *Body) Checksum() (checksum.Algorithm, []byte) {
	algorithm := b.client.algorithm
	if algorithm == checksum.None {
		algorithm = b.extra
	}
	if sum := b.digests.sum(algorithm); sum != nil {
		return algorithm, sum
	}
	return checksum.None, nil
}

// Sum gives, after io.EOF, the checksum by a if it was computed, else nil.
func (b *Body) Sum(a checksum.Algorithm) []byte { return b.digests.sum(a) }
