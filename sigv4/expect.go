package sigv4

import (
	"crypto/md5" // #nosec G501 -- for its size
	"encoding/base64"
	"net/http"
	"strings"

	"cofre/checksum"
)

// parseContentMD5 reads Content-MD5: nil if there is none.
func parseContentMD5(h http.Header) ([]byte, error) {
	value, given, err := oneHeader(h, "Content-Md5")
	if err != nil || !given {
		return nil, err
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(value)
	if err != nil || len(sum) != md5.Size {
		return nil, ErrInvalidDigest.with("Content-MD5", value)
	}
	return sum, nil
}

// clientChecksum is the one checksum that a client sends with a body.
type clientChecksum struct {
	algorithm checksum.Algorithm
	inTrailer bool
	value     []byte // raw; of a trailer known only at the end
}

// trailerName gives the name of the announced trailer; "" for none.
func (c *clientChecksum) trailerName() string {
	if !c.inTrailer {
		return ""
	}
	return c.algorithm.Header()
}

// setTrailer takes the base64 value that came in the trailer.
func (c *clientChecksum) setTrailer(value string) error {
	sum, ok := decodeChecksum(c.algorithm, value)
	if !ok {
		return ErrInvalidRequest.say("Value for " + c.algorithm.Header() + " trailing header is invalid.")
	}
	c.value = sum
	return nil
}

// decodeChecksum reads base64 strictly, so that each checksum has but one spelling.
func decodeChecksum(a checksum.Algorithm, value string) ([]byte, bool) {
	sum, err := base64.StdEncoding.Strict().DecodeString(value)
	return sum, err == nil && len(sum) == a.Size()
}

// parseChecksum finds the checksum in the headers or the announcement of one in x-amz-trailer. More than one is an error, as on S3.
func parseChecksum(h http.Header, mode payloadMode, otherChecksum bool) (clientChecksum, error) {
	announced, err := parseTrailerAnnouncement(h, mode)
	if err != nil || otherChecksum {
		return announced, err
	}
	found, err := parseChecksumHeader(h)
	switch {
	case err != nil:
		return clientChecksum{}, err
	case found.algorithm == checksum.None:
		found = announced
	case announced.algorithm != checksum.None:
		return clientChecksum{}, errMultipleChecksums
	}
	return found, checkSDKAlgorithm(h, found.algorithm)
}

var errMultipleChecksums = ErrInvalidRequest.say("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")

func parseChecksumHeader(h http.Header) (clientChecksum, error) {
	var found clientChecksum
	for name, values := range h {
		if !checksum.IsHeader(name) {
			continue
		}
		algorithm, ok := checksum.ParseHeader(name)
		if !ok {
			return clientChecksum{}, ErrInvalidRequest.say("The algorithm type you specified in x-amz-checksum- header is invalid.")
		}
		if found.algorithm != checksum.None || len(values) != 1 {
			return clientChecksum{}, errMultipleChecksums
		}
		value, ok := decodeChecksum(algorithm, strings.TrimSpace(values[0]))
		if !ok {
			return clientChecksum{}, ErrInvalidRequest.say("Value for " + algorithm.Header() + " header is invalid.")
		}
		found = clientChecksum{algorithm: algorithm, value: value}
	}
	return found, nil
}

// parseTrailerAnnouncement reads x-amz-trailer. A trailer announced for a framing that has none can never come.
func parseTrailerAnnouncement(h http.Header, mode payloadMode) (clientChecksum, error) {
	value, given, err := oneHeader(h, "X-Amz-Trailer")
	if err != nil || !given || value == "" {
		return clientChecksum{}, err
	}
	algorithm, ok := checksum.ParseHeader(value)
	if !ok {
		return clientChecksum{}, ErrInvalidRequest.say("The value specified in the x-amz-trailer header is not supported")
	}
	if !mode.trailer() {
		return clientChecksum{}, ErrMalformedTrailer
	}
	return clientChecksum{algorithm: algorithm, inTrailer: true}, nil
}

// checkSDKAlgorithm compares the algorithm that an SDK says it used with the checksum that came.
func checkSDKAlgorithm(h http.Header, came checksum.Algorithm) error {
	value, given, err := oneHeader(h, "X-Amz-Sdk-Checksum-Algorithm")
	if err != nil || !given {
		return err
	}
	algorithm, ok := checksum.ParseAlgorithm(value)
	switch {
	case !ok:
		return ErrInvalidRequest.say("Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
	case came == checksum.None:
		return ErrInvalidRequest.say("x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
	case came != algorithm:
		return ErrInvalidRequest.say("Value for x-amz-sdk-checksum-algorithm header is invalid.")
	}
	return nil
}
