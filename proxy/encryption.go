package proxy

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"

	"cofre/s3api"
	"cofre/seal"
)

// The headers of server-side encryption
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html).
const (
	headerSSE        = "X-Amz-Server-Side-Encryption"
	headerKMSKey     = "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"
	customerPrefix   = "X-Amz-Server-Side-Encryption-Customer-"
	sourceKeyPrefix  = "X-Amz-Copy-Source-Server-Side-Encryption-Customer-"
	suffixAlgorithm  = "Algorithm"
	suffixKey        = "Key"
	suffixKeyMD5     = "Key-Md5"
	algorithmAES256  = "AES256"
	customerKeyBytes = 32
)

// The three headers of a customer key, of the object and of the source of a copy: algorithm, key and the key's MD5. Never written to.
var (
	customerHeaders  = [3]string{customerPrefix + suffixAlgorithm, customerPrefix + suffixKey, customerPrefix + suffixKeyMD5}
	sourceKeyHeaders = [3]string{sourceKeyPrefix + suffixAlgorithm, sourceKeyPrefix + suffixKey, sourceKeyPrefix + suffixKeyMD5}
)

// kmsHeaders ask the backend to encrypt once more under a key of its own KMS. They are handed on, so that what the answer
// says of them is true; cofre's sealing is underneath in any case.
var kmsHeaders = []string{
	headerSSE, headerKMSKey, "X-Amz-Server-Side-Encryption-Context", "X-Amz-Server-Side-Encryption-Bucket-Key-Enabled",
}

// encryption is what a request says of server-side encryption.
type encryption struct {
	// customerKey is the client's own key for the object (SSE-C), nil for none. It is mixed into the wrap key, kept nowhere.
	customerKey []byte
	keyMD5      string
	// sourceKey is the client's key for the source of a copy.
	sourceKey []byte
	// kms says that the backend's KMS is to encrypt once more.
	kms bool
}

// parseEncryption reads the encryption headers of a request. secure says that the client's connection is encrypted: a
// key must not cross a network in clear.
func (h *Handler) parseEncryption(header http.Header, secure bool) (encryption, error) {
	var (
		e   encryption
		err *s3api.Error
	)
	if e.customerKey, e.keyMD5, err = customerKey(header, customerHeaders); err != nil {
		return e, err
	}
	if e.sourceKey, _, err = customerKey(header, sourceKeyHeaders); err != nil {
		return e, err
	}
	if (e.customerKey != nil || e.sourceKey != nil) && !secure && !h.cfg.CustomerKeysOverHTTP {
		return encryption{}, s3api.ErrInvalidRequest.With("Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.")
	}
	switch sse := header.Get(headerSSE); sse {
	case "", algorithmAES256:
		if header.Get(headerKMSKey) != "" {
			return e, encryptionArgument("Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms")
		}
	case "aws:kms", "aws:kms:dsse":
		e.kms = true
	default:
		return e, encryptionArgument("The encryption method specified is not supported").Field("ArgumentValue", sse)
	}
	if e.customerKey != nil && header.Get(headerSSE) != "" {
		return e, encryptionArgument("Server Side Encryption with Customer provided key is incompatible with the encryption method specified").
			Field("ArgumentValue", header.Get(headerSSE))
	}
	return e, nil
}

// encryptionArgument is what S3 says of headers of encryption that do not go together. It names this one whichever it means.
func encryptionArgument(message string) *s3api.Error {
	return s3api.ErrInvalidArgument.With(message).Field("ArgumentName", strings.ToLower(headerSSE))
}

// customerKey reads the three headers of a customer key, which come together or not at all.
func customerKey(header http.Header, names [3]string) (key []byte, keyMD5 string, err *s3api.Error) {
	if header[names[0]] == nil && header[names[1]] == nil && header[names[2]] == nil {
		return nil, "", nil
	}
	algorithm, text, sum := header.Get(names[0]), header.Get(names[1]), header.Get(names[2])
	if algorithm == "" && text == "" && sum == "" {
		return nil, "", nil
	}
	refuse := func(message string) (_ []byte, _ string, err *s3api.Error) {
		return nil, "", encryptionArgument(message)
	}
	switch {
	case algorithm == "":
		return refuse("Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm.")
	case algorithm != algorithmAES256:
		return nil, "", s3api.ErrInvalidEncryptionAlgorithm.
			Field("ArgumentName", strings.ToLower(headerSSE)).Field("ArgumentValue", algorithm)
	case text == "":
		return refuse("Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key.")
	case sum == "":
		return refuse("Requests specifying Server Side Encryption with Customer provided keys must provide the client calculated MD5 of the secret key.")
	}
	key, decodeErr := base64.StdEncoding.DecodeString(text)
	if decodeErr != nil || len(key) != customerKeyBytes {
		return refuse("The secret key was invalid for the specified algorithm.")
	}
	want := md5.Sum(key)
	if subtle.ConstantTimeCompare([]byte(base64.StdEncoding.EncodeToString(want[:])), []byte(sum)) != 1 {
		return refuse("The calculated MD5 hash of the key did not match the hash that was provided.")
	}
	return key, sum, nil
}

// flags is what an envelope says of the encryption.
func (e encryption) flags() seal.Flags {
	if e.customerKey != nil {
		return seal.CustomerKey
	}
	return 0
}

// setWritten tells a client how what it wrote is encrypted. Without any wish of the client's that is AES-256: every object
// is sealed so, as S3 encrypts every object since 2023.
func (e encryption) setWritten(out, backend http.Header) {
	if e.customerKey != nil {
		out.Set(customerPrefix+suffixAlgorithm, algorithmAES256)
		out.Set(customerPrefix+suffixKeyMD5, e.keyMD5)
		return
	}
	setManaged(out, backend)
}

// setManaged tells of encryption under keys that are not the client's: the backend's KMS where it says so itself.
func setManaged(out, backend http.Header) {
	if sse := backend.Get(headerSSE); strings.HasPrefix(sse, "aws:kms") {
		out.Set(headerSSE, sse)
		if id := backend.Get(headerKMSKey); id != "" {
			out.Set(headerKMSKey, id)
		}
		return
	}
	out[headerSSE] = aes256
}
