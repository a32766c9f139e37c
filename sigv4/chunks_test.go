package sigv4_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"cofre/checksum"
	"cofre/sigv4"
	"cofre/sigv4/sigv4test"
)

// wire gives the bytes of the encoded body of a signed request, and the request to send changed ones with.
func wire(t testing.TB, p sigv4test.Payload) (*http.Request, []byte) {
	t.Helper()
	r := newPut(t)
	sigv4test.New(signedAt).Sign(r, p)
	encoded, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, encoded
}

// readChanged verifies the head again and reads a changed body.
func readChanged(t testing.TB, r *http.Request, encoded []byte, transferEncoding bool) ([]byte, error) {
	t.Helper()
	sigv4test.SetBody(r, encoded, transferEncoding)
	got := sigv4test.Receive(r)
	body, err := verify(t, got).Body(got, sigv4.BodyOptions{})
	if err != nil {
		return nil, err
	}
	return io.ReadAll(body)
}

// sameMeaning says that two bytes differ only in the case of a letter outside the payload: sizes and names may be spelled either way.
func sameMeaning(a, b byte) bool {
	return a != b && strings.EqualFold(string(a), string(b)) && a < 0x80 && b < 0x80
}

// TestEveryFlippedBitOfABodyIsRefused goes over all bits of a body whose payload is protected by a signature or a checksum.
func TestEveryFlippedBitOfABodyIsRefused(t *testing.T) {
	payloads := map[string]sigv4test.Payload{
		"sha256":           {Mode: sigv4test.SHA256},
		"crc header":       {Mode: sigv4test.Unsigned, Checksum: checksum.CRC32C},
		"signed":           {Mode: sigv4test.Signed},
		"signed trailer":   {Mode: sigv4test.SignedTrailer, Checksum: checksum.SHA1},
		"unsigned trailer": {Mode: sigv4test.UnsignedTrailer, Checksum: checksum.CRC32},
		"minio trailer":    {Mode: sigv4test.SignedTrailer, Checksum: checksum.CRC32C, MinioTrailer: true},
	}
	for name, p := range payloads {
		t.Run(name, func(t *testing.T) {
			p.Data, p.Chunk = []byte("forty-one bytes of payload in three chunks"), 16
			r, encoded := wire(t, p)
			if got, err := readChanged(t, r, encoded, false); err != nil || !bytes.Equal(got, p.Data) {
				t.Fatalf("unchanged body: %q, %v", got, err)
			}
			for i := range encoded {
				for bit := range 8 {
					changed := bytes.Clone(encoded)
					changed[i] ^= 1 << bit
					got, err := readChanged(t, r, changed, false)
					harmless := sameMeaning(changed[i], encoded[i]) && bytes.Equal(got, p.Data)
					if err == nil && !harmless {
						t.Fatalf("bit %d of byte %d (%q to %q) went unnoticed", bit, i, encoded[i], changed[i])
					}
				}
			}
		})
	}
}

// TestEveryCutOrGrownBodyIsRefused covers the outer framing that itself agrees with the cut, as a client that signs wrongly could send it.
func TestEveryCutOrGrownBodyIsRefused(t *testing.T) {
	for _, mode := range sigv4test.Modes() {
		if !mode.Chunked() {
			continue
		}
		p := sigv4test.Payload{Mode: mode, Data: []byte("some bytes of payload"), Chunk: 8, Checksum: checksum.CRC32}
		r, encoded := wire(t, p)
		for _, transferEncoding := range []bool{true, false} {
			for n := range encoded {
				if _, err := readChanged(t, r, encoded[:n], transferEncoding); err == nil {
					t.Errorf("%s: the first %d of %d bytes passed", mode, n, len(encoded))
				}
			}
			for _, tail := range []string{"x", "\r\nx:y\r\n\r\n", "0\r\n\r\n", string(encoded), strings.Repeat("\r\n", 4096)} {
				if _, err := readChanged(t, r, append(bytes.Clone(encoded), tail...), transferEncoding); err == nil {
					t.Errorf("%s: %d further bytes passed", mode, len(tail))
				}
			}
		}
	}
}

func TestBodyRefusesReorderedAndRepeatedChunks(t *testing.T) {
	p := sigv4test.Payload{Mode: sigv4test.Signed, Data: []byte("aaaabbbbcccc"), Chunk: 4}
	r, encoded := wire(t, p)
	const size = 1 + 17 + 64 + 2 + 4 + 2 // "4;chunk-signature=" ... CRLF data CRLF
	a, b, rest := encoded[:size], encoded[size:2*size], encoded[2*size:]
	for name, changed := range map[string][]byte{
		"swapped":  bytes.Join([][]byte{b, a, rest}, nil),
		"repeated": bytes.Join([][]byte{a, a, rest}, nil),
	} {
		_, err := readChanged(t, r, changed, false)
		if !errors.Is(err, sigv4.ErrSignatureDoesNotMatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBodyRefusesBadFraming gives each kind of broken body its S3 code.
func TestBodyRefusesBadFraming(t *testing.T) {
	const crc = "x-amz-checksum-crc32:MU7oVg==" // of "hello" it is not, so only framing errors come before BadDigest
	good := "x-amz-checksum-crc32:" + base64.StdEncoding.EncodeToString(sum(checksum.CRC32, []byte("hello")))
	for _, c := range []struct{ name, body, code string }{
		{"good", "5\r\nhello\r\n0\r\n" + good + "\r\n\r\n", ""},
		{"good with spaces around the value", "5\r\nhello\r\n0\r\n" + strings.Replace(good, ":", ": ", 1) + " \r\n\r\n", ""},
		{"good with leading zeros and capitals", "00005\r\nhello\r\n000\r\n" + strings.Replace(good, "x-amz", "X-Amz", 1) + "\r\n\r\n", ""},
		{"wrong checksum", "5\r\nhello\r\n0\r\n" + crc + "\r\n\r\n", "BadDigest"},
		{"empty", "", "IncompleteBody"},
		{"no size", "\r\nhello\r\n0\r\n\r\n", "IncompleteBody"},
		{"size not hex", "g\r\nhello\r\n0\r\n\r\n", "IncompleteBody"},
		{"negative size", "-5\r\nhello\r\n0\r\n\r\n", "IncompleteBody"},
		{"size with space", " 5\r\nhello\r\n0\r\n\r\n", "IncompleteBody"},
		{"0x", "0x5\r\nhello\r\n0\r\n\r\n", "IncompleteBody"},
		{"extension", "5;a=b\r\nhello\r\n0\r\n\r\n", "IncompleteBody"},
		{"LF alone", "5\nhello\r\n0\r\n\r\n", "IncompleteBody"},
		{"size beyond 5 GiB", "140000001\r\nhello\r\n0\r\n\r\n", "InvalidChunkSizeError"},
		{"size beyond 64 bits", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", "InvalidChunkSizeError"},
		{"endless size", strings.Repeat("0", 100000) + "5\r\n", "IncompleteBody"},
		{"size beyond the declared length", "6\r\nhello!\r\n0\r\n\r\n", "IncompleteBody"},
		{"less than the declared length", "4\r\nhell\r\n0\r\n" + good + "\r\n\r\n", "IncompleteBody"},
		{"data longer than its chunk", "4\r\nhello\r\n0\r\n\r\n", "IncompleteBody"},
		{"no last chunk", "5\r\nhello\r\n", "IncompleteBody"},
		{"no blank line at the end", "5\r\nhello\r\n0\r\n" + good + "\r\n", "IncompleteBody"},
		{"announced trailer missing", "5\r\nhello\r\n0\r\n\r\n", "MalformedTrailerError"},
		{"trailer twice", "5\r\nhello\r\n0\r\n" + good + "\r\n" + good + "\r\n\r\n", "MalformedTrailerError"},
		{"trailer not announced", "5\r\nhello\r\n0\r\nx-amz-checksum-sha1:2jmj7l5rSw0yVb/vlWAYkK/YBwk=\r\n\r\n", "MalformedTrailerError"},
		{"further trailer", "5\r\nhello\r\n0\r\n" + good + "\r\nx-amz-meta-a:b\r\n\r\n", "MalformedTrailerError"},
		{"trailer signature in an unsigned body", "5\r\nhello\r\n0\r\n" + good + "\r\nx-amz-trailer-signature:aa\r\n\r\n", "MalformedTrailerError"},
		{"trailer without colon", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32\r\n\r\n", "MalformedTrailerError"},
		{"endless trailer line", "5\r\nhello\r\n0\r\n" + strings.Repeat("a", 100000) + "\r\n\r\n", "MalformedTrailerError"},
		{"trailer value no base64", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:####\r\n\r\n", "InvalidRequest"},
		{"trailer value too short", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n", "InvalidRequest"},
		{"trailer value empty", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:\r\n\r\n", "InvalidRequest"},
		{"trailer value spelled otherwise", "5\r\nhello\r\n0\r\n" + strings.Replace(good, "==", "", 1) + "\r\n\r\n", "InvalidRequest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := wire(t, sigv4test.Payload{Mode: sigv4test.UnsignedTrailer, Data: []byte("hello"), Checksum: checksum.CRC32})
			got, err := readChanged(t, r, []byte(c.body), true)
			if c.code == "" {
				if err != nil || string(got) != "hello" {
					t.Fatalf("%q, %v", got, err)
				}
				return
			}
			wantCode(t, err, c.code, "")
		})
	}
}

func TestBodyRefusesSignedFramingFaults(t *testing.T) {
	p := sigv4test.Payload{Mode: sigv4test.SignedTrailer, Data: []byte("hello"), Checksum: checksum.CRC32}
	r, encoded := wire(t, p)
	for name, c := range map[string]struct{ old, new, code string }{
		"chunk without signature":       {";chunk-signature=", ";chunk-sign=", "IncompleteBody"},
		"trailer without signature":     {"x-amz-trailer-signature", "x-amz-other", "MalformedTrailerError"},
		"trailer with empty signature":  {"x-amz-trailer-signature:", "x-amz-trailer-signature:\r\nx-amz-other:", "MalformedTrailerError"},
		"trailer after the signature":   {"\r\n\r\n", "\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", "MalformedTrailerError"},
		"checksum dropped, rest signed": {"x-amz-checksum-crc32", "\r\nx-amz-checksum-sha1", "MalformedTrailerError"},
	} {
		changed := bytes.Replace(encoded, []byte(c.old), []byte(c.new), 1)
		if bytes.Equal(changed, encoded) {
			t.Fatalf("%s: nothing to change", name)
		}
		_, err := readChanged(t, r, changed, false)
		t.Run(name, func(t *testing.T) { wantCode(t, err, c.code, "") })
	}
}
