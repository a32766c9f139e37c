package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cofre/keys"
	"cofre/seal"
)

var update = flag.Bool("update", false, "write testdata/failures anew")

const failuresDir = "testdata/failures"

// failureClasses are the classes of docs/FORMAT.md section 10 that this package can see. The others, about KEK records, closed
// KEKs and tombstones, are those of packages keys and metadata.
var failureClasses = []string{
	"bad magic", "bad version", "bad suite", "reserved byte not zero", "undefined flag not zero",
	"base64url that is not canonical",
	"length that does not fit the stored size", "length beyond the limits",
	"salt other than the record's", "length other than the record's",
	"commitment mismatch", "chunk tag mismatch", "chunk swapped within a part", "chunk from another part",
	"an earlier send of the same part", "part from another object", "parts reordered", "part missing", "part added",
	"bytes behind the last footer", "footer missing", "footer altered", "footer of an unknown algorithm",
	"whole read of a part without footer",
	"envelope of another key", "envelope of another bucket", "envelope of another KEK", "envelope flag flipped",
	"attributes missing though flagged", "attributes of another object", "attributes of an earlier envelope",
	"layout missing", "layout altered", "layout of another object",
	"zero key",
}

// A vector is one text file: lines of "name: value", an empty line, and the stored bytes in base64. Values are hex unless said.
//
//	what      a sentence that says what the storage did
//	class     the class of failure, or "none" for a control that must be accepted
//	error     what the reader says: a Fault, "key is all zeros", or "none"
//	open      what is opened: object, header, footer, envelope, attributes, layout, size, DEK or KEK
//	dek, object, part (number, plaintext length, salt; one line for each part), range (offset, length; without it, everything)
//	released  how many plaintext bytes come out first; byte i of an object is i mod 251
//	kek, kek-id, bucket (text), key (text), customer-key, envelope (base64url), attributes (base64url), stored-size (decimal)
type vector struct {
	name   string // of the file, without .txt
	fields [][2]string
	body   []byte
}

func (v *vector) set(name, format string, args ...any) *vector {
	v.fields = append(v.fields, [2]string{name, fmt.Sprintf(format, args...)})
	return v
}

func (v *vector) get(name string) string {
	for _, f := range v.fields {
		if f[0] == name {
			return f[1]
		}
	}
	return ""
}

func (v *vector) hex(t *testing.T, name string) []byte { t.Helper(); return unhex(t, v.get(name)) }

func (v *vector) text() []byte {
	var b bytes.Buffer
	for _, f := range v.fields {
		b.WriteString(strings.TrimRight(f[0]+": "+f[1], " ") + "\n")
	}
	b.WriteByte('\n')
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(v.body)), 120) {
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func parseVector(name string, text []byte) (*vector, error) {
	head, body, ok := strings.Cut(string(text), "\n\n")
	if !ok {
		return nil, errors.New("no empty line behind the fields")
	}
	v := &vector{name: name}
	for line := range strings.Lines(head + "\n") {
		field, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("line %q is no field", line)
		}
		v.fields = append(v.fields, [2]string{field, strings.TrimSpace(value)})
	}
	var err error
	v.body, err = base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\n", ""))
	return v, err
}

// loadFailures reads every vector there is.
func loadFailures(t *testing.T) []*vector {
	t.Helper()
	names := must(filepath.Glob(filepath.Join(failuresDir, "*.txt")))(t)
	var vectors []*vector
	for _, path := range names {
		v, err := parseVector(strings.TrimSuffix(filepath.Base(path), ".txt"), must(os.ReadFile(path))(t))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		vectors = append(vectors, v)
	}
	if len(vectors) == 0 {
		t.Fatalf("%s holds no vectors", failuresDir)
	}
	return vectors
}

func TestFailureVectorsAreRefused(t *testing.T) {
	if *update {
		writeFailures(t)
	}
	for _, v := range loadFailures(t) {
		t.Run(v.name, func(t *testing.T) {
			released, err := v.open(t)
			if got := errorName(err); got != v.get("error") {
				t.Errorf("%s: error is %q (%v), want %q", v.get("what"), got, err, v.get("error"))
			}
			if want := v.get("released"); want != "" && want != strconv.Itoa(released) {
				t.Errorf("%s: %d bytes came out, want %s", v.get("what"), released, want)
			}
		})
	}
}

func TestEveryFailureClassHasAVector(t *testing.T) {
	have := make(map[string]int)
	for _, v := range loadFailures(t) {
		class := v.get("class")
		if class != "none" && !slices.Contains(failureClasses, class) {
			t.Errorf("%s: unknown class %q", v.name, class)
		}
		if (class == "none") != (v.get("error") == "none") {
			t.Errorf("%s: class %q with error %q", v.name, class, v.get("error"))
		}
		have[class]++
	}
	for _, class := range append([]string{"none"}, failureClasses...) {
		if have[class] == 0 {
			t.Errorf("no vector of class %q", class)
		}
	}
}

// TestFailureVectorsAreWhatTheGeneratorMakes: the committed files come from the sealing code of today. What differs is a change
// of the format.
func TestFailureVectorsAreWhatTheGeneratorMakes(t *testing.T) {
	for _, v := range makeFailures(t) {
		committed, err := os.ReadFile(filepath.Join(failuresDir, v.name+".txt"))
		if err != nil || !bytes.Equal(committed, v.text()) {
			t.Errorf("%s differs from the committed file: %v", v.name, err)
		}
	}
}

// writeFailures replaces the directory by what the generator makes.
func writeFailures(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(failuresDir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(failuresDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, v := range makeFailures(t) {
		if err := os.WriteFile(filepath.Join(failuresDir, v.name+".txt"), v.text(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func errorName(err error) string {
	var ie *seal.IntegrityError
	switch {
	case err == nil:
		return "none"
	case errors.As(err, &ie):
		return string(ie.Fault)
	case errors.Is(err, keys.ErrZeroKey):
		return keys.ErrZeroKey.Error()
	}
	return err.Error()
}

// open does what the vector says and gives how much plaintext came out.
func (v *vector) open(t *testing.T) (released int, err error) {
	t.Helper()
	switch kind := v.get("open"); kind {
	case "object":
		return v.openObject(t)
	case "header":
		return 0, seal.OpenHeader(v.dek(t), v.object(t), v.parts(t)[0], v.body)
	case "footer":
		return 0, second(seal.OpenFooter(v.dek(t), v.object(t), v.parts(t)[0], v.body))
	case "envelope":
		env, err := seal.ParseEnvelope(v.get("envelope"))
		if err == nil {
			_, err = env.Unseal(v.kek(t), v.get("key"), v.hex(t, "customer-key"))
		}
		return 0, err
	case "attributes":
		env := must(seal.ParseEnvelope(v.get("envelope")))(t)
		return 0, second(seal.OpenAttributes(v.dek(t), env, v.get("key"), v.get("attributes")))
	case "layout":
		return 0, second(seal.OpenLayout(v.dek(t), v.object(t), v.body))
	case "size":
		return 0, second(seal.PlainSize(must(strconv.ParseInt(v.get("stored-size"), 10, 64))(t)))
	case "DEK":
		return 0, second(keys.ParseDEK(v.hex(t, "dek")))
	case "KEK":
		return 0, second(keys.ParseKEK(keys.KEKID(v.hex(t, "kek-id")), v.get("bucket"), keys.SiteID{}, v.hex(t, "kek")))
	default:
		t.Fatalf("cannot open %q", kind)
		return 0, nil
	}
}

func (v *vector) openObject(t *testing.T) (released int, err error) {
	t.Helper()
	g := must(seal.NewGeometry(v.parts(t)))(t)
	off, n := int64(0), g.Size()
	if r := v.get("range"); r != "" {
		if _, err := fmt.Sscan(r, &off, &n); err != nil {
			t.Fatal(err)
		}
	}
	stored := v.body[min(g.Span(off, n).StoredOff, int64(len(v.body))):]
	d := seal.NewDecrypter(v.dek(t), v.object(t), g, off, n, bytes.NewReader(stored))
	defer d.Close()
	got, err := io.ReadAll(d)
	if !bytes.HasPrefix(pattern(g.Size())[off:off+n], got) {
		t.Error("wrong plaintext came out")
	}
	return len(got), err
}

func (v *vector) dek(t *testing.T) keys.DEK { return must(keys.ParseDEK(v.hex(t, "dek")))(t) }

func (v *vector) object(t *testing.T) keys.ObjectID { return keys.ObjectID(v.hex(t, "object")) }

func (v *vector) kek(t *testing.T) keys.KEK {
	return must(keys.ParseKEK(keys.KEKID(v.hex(t, "kek-id")), v.get("bucket"), keys.SiteID{}, v.hex(t, "kek")))(t)
}

func (v *vector) parts(t *testing.T) []seal.Part {
	t.Helper()
	var parts []seal.Part
	for _, f := range v.fields {
		if f[0] != "part" {
			continue
		}
		var p seal.Part
		var salt string
		if _, err := fmt.Sscan(f[1], &p.Number, &p.Size, &salt); err != nil {
			t.Fatal(err)
		}
		p.Salt = seal.Salt(must(hex.DecodeString(salt))(t))
		parts = append(parts, p)
	}
	return parts
}
