package sigv4_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"cofre/checksum"
	"cofre/sigv4"
	"cofre/sigv4/sigv4test"
)

var signedAt = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newPut(t testing.TB) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPut, "http://s3.example.org/bucket/some/key", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// received signs a PUT with the payload and gives it as the server sees it.
func received(t testing.TB, p sigv4test.Payload) *http.Request {
	t.Helper()
	r := newPut(t)
	sigv4test.New(signedAt).Sign(r, p)
	return sigv4test.Receive(r)
}

func verify(t testing.TB, r *http.Request) *sigv4.Auth {
	t.Helper()
	auth, err := verifierAt(signedAt).Verify(r)
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	return auth
}

func open(t testing.TB, r *http.Request, o sigv4.BodyOptions) *sigv4.Body {
	t.Helper()
	body, err := verify(t, r).Body(r, o)
	if err != nil {
		t.Fatalf("body: %v", err)
	}
	return body
}

func sum(a checksum.Algorithm, data []byte) []byte {
	h := a.New()
	h.Write(data)
	return h.Sum(nil)
}

// TestBodyGivesThePayloadWhateverTheFraming crosses modes, chunkings, checksums, outer framing and read sizes.
func TestBodyGivesThePayloadWhateverTheFraming(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		data := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(rt, "data")
		p := sigv4test.Payload{
			Mode:              rapid.SampledFrom(sigv4test.Modes()).Draw(rt, "mode"),
			Data:              bytes.Repeat(data, rapid.SampledFrom([]int{1, 1, 40}).Draw(rt, "repeat")),
			Chunks:            rapid.SliceOfN(rapid.IntRange(1, 5000), 0, 5).Draw(rt, "chunks"),
			Chunk:             rapid.SampledFrom([]int{1, 2, 100, 4095, 4096, 4097, 65536}).Draw(rt, "chunk"),
			Checksum:          rapid.SampledFrom(append(checksum.All(), checksum.None)).Draw(rt, "checksum"),
			MinioTrailer:      rapid.Bool().Draw(rt, "minio"),
			NoContentEncoding: rapid.Bool().Draw(rt, "no content-encoding"),
		}
		p.TransferEncoding = p.Mode.Chunked() && rapid.Bool().Draw(rt, "transfer-encoding")
		extra := rapid.SampledFrom(append(checksum.All(), checksum.None)).Draw(rt, "extra")

		r := received(t, p)
		body := open(t, r, sigv4.BodyOptions{MD5: true, Checksum: extra})
		if body.Length() != int64(len(p.Data)) || body.ClientChecksum() != p.Checksum {
			rt.Fatalf("length %d of %d, client checksum %s", body.Length(), len(p.Data), body.ClientChecksum())
		}
		var got []byte
		buffer := make([]byte, 8192)
		var err error
		for err == nil {
			var n int
			n, err = body.Read(buffer[:rapid.SampledFrom([]int{1, 3, 100, 4096, 8192}).Draw(rt, "read")])
			got = append(got, buffer[:n]...)
		}
		if err != io.EOF || !bytes.Equal(got, p.Data) {
			rt.Fatalf("%d of %d bytes, %v", len(got), len(p.Data), err)
		}
		if md := md5.Sum(p.Data); !bytes.Equal(body.MD5(), md[:]) {
			rt.Fatalf("MD5 %x, want %x", body.MD5(), md)
		}
		want := p.Checksum
		if want == checksum.None {
			want = extra
		}
		if a, value := body.Checksum(); a != want || want != checksum.None && !bytes.Equal(value, sum(want, p.Data)) {
			rt.Fatalf("checksum %s %x, want %s", a, value, want)
		}
		if extra != checksum.None && !bytes.Equal(body.Sum(extra), sum(extra, p.Data)) {
			rt.Fatalf("%s %x", extra, body.Sum(extra))
		}
	})
}

func TestBodyObeysIoReader(t *testing.T) {
	for _, mode := range sigv4test.Modes() {
		data := bytes.Repeat([]byte("0123456789"), 1000)
		p := sigv4test.Payload{Mode: mode, Data: data, Chunk: 777, Checksum: checksum.CRC64NVME}
		if err := iotest.TestReader(open(t, received(t, p), sigv4.BodyOptions{MD5: true}), data); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

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
					if err == nil && !(sameMeaning(changed[i], encoded[i]) && bytes.Equal(got, p.Data)) {
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

// TestBodyRefusesUpFront gives what can be refused before a byte is read.
func TestBodyRefusesUpFront(t *testing.T) {
	zeroMD5 := base64.StdEncoding.EncodeToString(make([]byte, md5.Size))
	for _, c := range []struct {
		name   string
		mode   sigv4test.Mode
		header http.Header
		code   string
	}{
		{"short Content-MD5", sigv4test.Unsigned, http.Header{"Content-Md5": {zeroMD5[4:]}}, "InvalidDigest"},
		{"empty Content-MD5", sigv4test.Unsigned, http.Header{"Content-Md5": {""}}, "InvalidDigest"},
		{"unknown checksum", sigv4test.Unsigned, http.Header{"X-Amz-Checksum-Md4": {"AAAA"}}, "InvalidRequest"},
		{"malformed checksum", sigv4test.Unsigned, http.Header{"X-Amz-Checksum-Crc32": {"AAAAAA"}}, "InvalidRequest"},
		{"checksum of another size", sigv4test.Unsigned, http.Header{"X-Amz-Checksum-Sha256": {"AAAAAA=="}}, "InvalidRequest"},
		{"composite checksum", sigv4test.Unsigned, http.Header{"X-Amz-Checksum-Crc32": {"AAAAAA==-2"}}, "InvalidRequest"},
		{"two checksums", sigv4test.Unsigned, http.Header{"X-Amz-Checksum-Crc32": {"AAAAAA=="}, "X-Amz-Checksum-Crc32c": {"AAAAAA=="}}, "InvalidRequest"},
		{"one checksum twice", sigv4test.Unsigned, http.Header{"X-Amz-Checksum-Crc32": {"AAAAAA==", "AAAAAA=="}}, "InvalidRequest"},
		{"checksum in header and trailer", sigv4test.UnsignedTrailer, http.Header{"X-Amz-Checksum-Crc32": {"AAAAAA=="}, "X-Amz-Trailer": {"x-amz-checksum-crc32c"}}, "InvalidRequest"},
		{"trailer that is no checksum", sigv4test.UnsignedTrailer, http.Header{"X-Amz-Trailer": {"x-amz-meta-a"}}, "InvalidRequest"},
		{"trailer in a framing without", sigv4test.Signed, http.Header{"X-Amz-Trailer": {"x-amz-checksum-crc32c"}}, "MalformedTrailerError"},
		{"trailer in an unframed body", sigv4test.SHA256, http.Header{"X-Amz-Trailer": {"x-amz-checksum-crc32c"}}, "MalformedTrailerError"},
		{"SDK names an unknown algorithm", sigv4test.Unsigned, http.Header{"X-Amz-Sdk-Checksum-Algorithm": {"MD5"}}, "InvalidRequest"},
		{"SDK names an algorithm, no checksum", sigv4test.Unsigned, http.Header{"X-Amz-Sdk-Checksum-Algorithm": {"CRC32"}}, "InvalidRequest"},
		{"SDK names another algorithm", sigv4test.Unsigned, http.Header{"X-Amz-Sdk-Checksum-Algorithm": {"CRC32C"}, "X-Amz-Checksum-Crc32": {"AAAAAA=="}}, "InvalidRequest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newPut(t)
			r.Header = c.header
			sigv4test.New(signedAt).Sign(r, sigv4test.Payload{Mode: c.mode})
			got := sigv4test.Receive(r)
			_, err := verify(t, got).Body(got, sigv4.BodyOptions{})
			wantCode(t, err, c.code, "")
		})
	}
}

func TestBodyNeedsALength(t *testing.T) {
	r := newPut(t)
	sigv4test.New(signedAt).Sign(r, sigv4test.Payload{Mode: sigv4test.Unsigned, Data: []byte("hello"), TransferEncoding: true})
	got := sigv4test.Receive(r)
	_, err := verify(t, got).Body(got, sigv4.BodyOptions{})
	wantCode(t, err, "MissingContentLength", "")

	for value, code := range map[string]string{"": "InvalidArgument", "-1": "InvalidArgument", "5x": "InvalidArgument", "9223372036854775808": "InvalidArgument"} {
		got := received(t, sigv4test.Payload{Mode: sigv4test.UnsignedTrailer, Data: []byte("hello")})
		auth := verify(t, got)
		got.Header.Set("X-Amz-Decoded-Content-Length", value)
		_, err := auth.Body(got, sigv4.BodyOptions{})
		wantCode(t, err, code, "")
		got.Header.Del("X-Amz-Decoded-Content-Length")
		_, err = auth.Body(got, sigv4.BodyOptions{})
		wantCode(t, err, "MissingContentLength", "")
	}
}

func TestBodyRefusesWhatIsTooLong(t *testing.T) {
	for _, mode := range sigv4test.Modes() {
		got := received(t, sigv4test.Payload{Mode: mode, Data: []byte("hello")})
		auth := verify(t, got)
		if _, err := auth.Body(got, sigv4.BodyOptions{MaxLength: 5}); err != nil {
			t.Errorf("%s: five bytes of five: %v", mode, err)
		}
		_, err := auth.Body(got, sigv4.BodyOptions{MaxLength: 4})
		wantCode(t, err, "EntityTooLarge", "")
	}
}

func TestBodyVerifiesContentMD5(t *testing.T) {
	for _, mode := range sigv4test.Modes() {
		right, wrong := md5.Sum([]byte("hello")), md5.Sum([]byte("hallo"))
		for _, digest := range [][md5.Size]byte{right, wrong} {
			r := newPut(t)
			r.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(digest[:]))
			sigv4test.New(signedAt).Sign(r, sigv4test.Payload{Mode: mode, Data: []byte("hello")})
			body := open(t, sigv4test.Receive(r), sigv4.BodyOptions{})
			_, err := io.ReadAll(body)
			if digest == wrong {
				wantCode(t, err, "BadDigest", "")
			} else if err != nil || !bytes.Equal(body.MD5(), right[:]) {
				t.Errorf("%s: %x, %v", mode, body.MD5(), err)
			}
		}
	}
}

// CompleteMultipartUpload carries the checksum of the object beside a body of its own.
func TestBodyLeavesTheChecksumOfAnotherBodyAlone(t *testing.T) {
	r := newPut(t)
	r.Header.Set("X-Amz-Checksum-Crc32", "AAAAAA==-2")
	sigv4test.New(signedAt).Sign(r, sigv4test.Payload{Mode: sigv4test.SHA256, Data: []byte("<xml/>")})
	body := open(t, sigv4test.Receive(r), sigv4.BodyOptions{OtherChecksum: true})
	if _, err := io.ReadAll(body); err != nil {
		t.Fatal(err)
	}
	if a, _ := body.Checksum(); a != checksum.None || body.ClientChecksum() != checksum.None {
		t.Errorf("checksum %s, client %s", a, body.ClientChecksum())
	}
}

func TestBodyTellsWhyTheConnectionFailed(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code string
	}{
		"deadline":  {os.ErrDeadlineExceeded, "RequestTimeout"},
		"timeout":   {&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "RequestTimeout"},
		"reset":     {&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}, "IncompleteBody"},
		"short":     {io.ErrUnexpectedEOF, "IncompleteBody"},
		"too large": {&http.MaxBytesError{Limit: 1}, "EntityTooLarge"},
	} {
		for _, mode := range sigv4test.Modes() {
			got := received(t, sigv4test.Payload{Mode: mode, Data: bytes.Repeat([]byte("x"), 1000)})
			whole, _ := io.ReadAll(got.Body)
			got.Body = io.NopCloser(io.MultiReader(bytes.NewReader(whole[:len(whole)-1]), iotest.ErrReader(c.err)))
			body := open(t, got, sigv4.BodyOptions{})
			_, err := io.ReadAll(body)
			t.Run(name, func(t *testing.T) { wantCode(t, err, c.code, "") })
			if !errors.Is(err, c.err) {
				t.Errorf("%s, %s: %v does not wrap %v", name, mode, err, c.err)
			}
			if _, again := body.Read(make([]byte, 1)); again != err {
				t.Errorf("%s, %s: after %v came %v", name, mode, err, again)
			}
		}
	}
}

func TestSignedChunksNeedAVersion4Signature(t *testing.T) {
	r := newPut(t)
	r.Header.Set("X-Amz-Content-Sha256", string(sigv4test.Signed))
	r.Header.Set("X-Amz-Decoded-Content-Length", "0")
	got := sigv4test.Receive(r)
	_, err := verify(t, got).Body(got, sigv4.BodyOptions{})
	wantCode(t, err, "InvalidRequest", "")

	sigv4test.New(signedAt).SignV2(r, "", "", sigv4test.Payload{})
	got = sigv4test.Receive(r)
	_, err = verify(t, got).Body(got, sigv4.BodyOptions{})
	wantCode(t, err, "InvalidRequest", "")
}

func TestAnonymousAndVersion2BodiesAreVerifiedToo(t *testing.T) {
	for _, sign := range []func(*http.Request){
		func(*http.Request) {},
		func(r *http.Request) { sigv4test.New(signedAt).SignV2(r, "", "", sigv4test.Payload{}) },
	} {
		for data, good := range map[string]bool{"hello": true, "hallo": false} {
			r := newPut(t)
			r.Header.Set("X-Amz-Content-Sha256", fmt.Sprintf("%x", sum(checksum.SHA256, []byte("hello"))))
			sign(r)
			sigv4test.SetBody(r, []byte(data), false)
			_, err := io.ReadAll(open(t, sigv4test.Receive(r), sigv4.BodyOptions{}))
			if good != (err == nil) || !good && !errors.Is(err, sigv4.ErrContentSHA256Mismatch) {
				t.Errorf("%s: %v", data, err)
			}
		}
	}
}

// TestReadAllocatesNothing keeps the cost of a body independent of its size and of the size of its chunks.
func TestReadAllocatesNothing(t *testing.T) {
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	for _, mode := range sigv4test.Modes() {
		body := open(t, received(t, sigv4test.Payload{Mode: mode, Data: data, Chunk: 1000, Checksum: checksum.CRC32C}), sigv4.BodyOptions{MD5: true})
		buffer := make([]byte, 4096)
		reads := func() {
			if _, err := body.Read(buffer); err != nil {
				t.Fatal(err)
			}
		}
		if allocs := testing.AllocsPerRun(200, reads); allocs > 0 {
			t.Errorf("%s: %v allocations a read", mode, allocs)
		}
	}
}

// TestAChunkMayBeTheWholeOfFiveGiB reads the head of such a chunk; the rest would only take time.
func TestAChunkMayBeTheWholeOfFiveGiB(t *testing.T) {
	got := received(t, sigv4test.Payload{Mode: sigv4test.UnsignedTrailer})
	auth := verify(t, got)
	got.Header.Set("X-Amz-Decoded-Content-Length", "5368709120")
	got.Body = io.NopCloser(io.MultiReader(strings.NewReader("140000000\r\n"), neverEnding('x')))
	body, err := auth.Body(got, sigv4.BodyOptions{MaxLength: 5 << 30})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyN(io.Discard, body, 10<<20); err != nil {
		t.Fatalf("after %d bytes: %v", n, err)
	}
}

type neverEnding byte

func (b neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

func BenchmarkBody(b *testing.B) {
	data := make([]byte, 8<<20)
	for _, mode := range sigv4test.Modes() {
		b.Run(string(mode), func(b *testing.B) {
			r, encoded := wire(b, sigv4test.Payload{Mode: mode, Data: data, Checksum: checksum.CRC32})
			buffer := make([]byte, 64<<10)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				got := sigv4test.Receive(r)
				got.Body, got.ContentLength = io.NopCloser(bytes.NewReader(encoded)), int64(len(encoded))
				body := open(b, got, sigv4.BodyOptions{MD5: true})
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, buffer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
