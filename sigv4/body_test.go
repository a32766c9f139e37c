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
		if !errors.Is(err, io.EOF) || !bytes.Equal(got, p.Data) {
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

	for _, value := range []string{"", "-1", "5x", "9223372036854775808"} {
		got := received(t, sigv4test.Payload{Mode: sigv4test.UnsignedTrailer, Data: []byte("hello")})
		auth := verify(t, got)
		got.Header.Set("X-Amz-Decoded-Content-Length", value)
		_, err := auth.Body(got, sigv4.BodyOptions{})
		wantCode(t, err, "MissingContentLength", "")
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
			if _, again := body.Read(make([]byte, 1)); !errors.Is(again, err) {
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
			sigv4test.SetBody(r, encoded, false)
			got := sigv4test.Receive(r)
			buffer := make([]byte, 64<<10)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				got.Body = io.NopCloser(bytes.NewReader(encoded))
				body := open(b, got, sigv4.BodyOptions{MD5: true})
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, buffer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
