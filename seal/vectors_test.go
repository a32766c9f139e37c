package seal_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"testing"

	"cofre/checksum"
	"cofre/keys"
	"cofre/seal"
)

// formatVectors is testdata/format-v1.json, which another implementation of docs/FORMAT.md wrote. All strings are hex unless
// their name or comment says otherwise.
type formatVectors struct {
	DEK      string `json:"dek"`
	ObjectID string `json:"object_id"`
	KEK      string `json:"kek"`
	KEKID    string `json:"kek_id"`
	Parts    []struct {
		OpaqueETag        string  `json:"opaque_etag"`
		Number            int     `json:"number"`
		Length            int64   `json:"length"`
		Salt              string  `json:"salt"`
		ChecksumAlgorithm string  `json:"checksum_algorithm"`
		Checksum          string  `json:"checksum"`
		PartKey           string  `json:"part_key"`
		Commitment        string  `json:"commitment"`
		StoredLength      int64   `json:"stored_length"`
		SealedSHA256      string  `json:"sealed_sha256"`
		MD5Present        bool    `json:"md5_present"`
		Header            string  `json:"header"`
		FooterPlaintext   string  `json:"footer_plaintext"`
		Footer            string  `json:"footer"`
		Sealed            *string `json:"sealed"`
	} `json:"parts"`
	Envelopes []struct {
		Key         string `json:"key_utf8"`
		Flags       uint8  `json:"flags"`
		CustomerKey string `json:"customer_key"`
		PartSalt    string `json:"part_salt"`
		WrapSalt    string `json:"wrap_salt"`
		Envelope    string `json:"envelope"` // base64url
	} `json:"envelopes"`
	Attributes []struct {
		Key      string `json:"key_utf8"`
		Envelope string `json:"envelope"` // base64url
		Salt     string `json:"salt"`
		JSON     string `json:"json"`
		Sealed   string `json:"sealed"` // base64url
	} `json:"attributes"`
	Layouts []struct {
		Salt   string `json:"salt"`
		JSON   string `json:"json"`
		Sealed string `json:"sealed"`
	} `json:"layouts"`
	KEKCommit struct {
		Bucket  string `json:"bucket"`
		Creator string `json:"creator"`
		Commit  string `json:"commit"`
	} `json:"kek_commit"`
	Sizes [][2]int64 `json:"sizes"`
	About string     `json:"about"`
}

func loadVectors(t testing.TB) *formatVectors {
	t.Helper()
	f := must(os.Open("testdata/format-v1.json"))(t)
	defer f.Close()
	dec := json.NewDecoder(f)
	dec.DisallowUnknownFields() // a kind of vector that no test looks at must not slip in
	v := new(formatVectors)
	if err := dec.Decode(v); err != nil {
		t.Fatal(err)
	}
	if len(v.Parts) == 0 || len(v.Envelopes) == 0 || len(v.Attributes) == 0 || len(v.Layouts) == 0 || len(v.Sizes) == 0 {
		t.Fatal("testdata/format-v1.json has a section without vectors")
	}
	return v
}

func unhex(t testing.TB, s string) []byte { t.Helper(); return must(hex.DecodeString(s))(t) }

func (v *formatVectors) dek(t testing.TB) keys.DEK { return must(keys.ParseDEK(unhex(t, v.DEK)))(t) }

func (v *formatVectors) object(t testing.TB) keys.ObjectID {
	return keys.ObjectID(unhex(t, v.ObjectID))
}

func (v *formatVectors) kek(t testing.TB) keys.KEK {
	t.Helper()
	creator := keys.SiteID(unhex(t, v.KEKCommit.Creator))
	return must(keys.ParseKEK(keys.KEKID(unhex(t, v.KEKID)), v.KEKCommit.Bucket, creator, unhex(t, v.KEK)))(t)
}

func TestVectorsSizes(t *testing.T) {
	for _, pair := range loadVectors(t).Sizes {
		if got := seal.StoredSize(pair[0]); got != pair[1] {
			t.Errorf("StoredSize(%d) = %d, want %d", pair[0], got, pair[1])
		}
		if got, err := seal.PlainSize(pair[1]); got != pair[0] || err != nil {
			t.Errorf("PlainSize(%d) = %d, %v, want %d", pair[1], got, err, pair[0])
		}
	}
}

func TestVectorsParts(t *testing.T) {
	v := loadVectors(t)
	dek, object := v.dek(t), v.object(t)
	for _, p := range v.Parts {
		part := seal.Part{Number: p.Number, Size: p.Length, Salt: seal.Salt(unhex(t, p.Salt))}
		plain := pattern(p.Length)
		footer := seal.Footer{}
		if p.MD5Present {
			footer = md5Footer(plain)
		}
		if p.ChecksumAlgorithm != "" {
			alg, ok := checksum.ParseAlgorithm(p.ChecksumAlgorithm)
			if !ok {
				t.Fatalf("unknown algorithm %q", p.ChecksumAlgorithm)
			}
			footer.Checksum, footer.Sum = alg, unhex(t, p.Checksum)
		}
		e := seal.NewEncrypter(dek, object, part, bytes.NewReader(plain), func() (seal.Footer, error) { return footer, nil })
		sealed := must(io.ReadAll(e))(t)

		sum := sha256.Sum256(sealed)
		equal := func(what string, got []byte, want string) {
			t.Helper()
			if hex.EncodeToString(got) != want {
				t.Errorf("part %d of %d bytes: %s is %x, want %s", p.Number, p.Length, what, got, want)
			}
		}
		equal("SHA-256 of the sealed part", sum[:], p.SealedSHA256)
		equal("header", sealed[:seal.HeaderSize], p.Header)
		equal("footer", sealed[len(sealed)-seal.FooterSize:], p.Footer)
		equal("footer plaintext", must(footer.Encode())(t), p.FooterPlaintext)
		equal("part key", must(seal.PartKey(dek, object, part))(t), p.PartKey)
		if p.Sealed != nil {
			equal("sealed part", sealed, *p.Sealed)
		}
		header := must(seal.ParseHeader(sealed[:seal.HeaderSize]))(t)
		equal("commitment", header.Commitment[:], p.Commitment)
		if int64(len(sealed)) != p.StoredLength || seal.StoredSize(p.Length) != p.StoredLength {
			t.Errorf("part of %d bytes: sealed to %d, want %d", p.Length, len(sealed), p.StoredLength)
		}
		if got := seal.OpaqueETag(dek, object, part); got != p.OpaqueETag {
			t.Errorf("part of %d bytes: opaque ETag %s, want %s", p.Length, got, p.OpaqueETag)
		}
		if err := seal.OpenHeader(dek, object, part, sealed[:seal.HeaderSize]); err != nil {
			t.Errorf("part of %d bytes: %v", p.Length, err)
		}
		g := must(seal.NewGeometry([]seal.Part{part}))(t)
		d := seal.NewDecrypter(dek, object, g, 0, p.Length, bytes.NewReader(sealed))
		if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("part of %d bytes does not open: %v", p.Length, err)
		}
	}
}

func TestVectorsEnvelopes(t *testing.T) {
	v := loadVectors(t)
	dek, kek := v.dek(t), v.kek(t)
	for _, c := range v.Envelopes {
		var customerKey []byte
		if c.CustomerKey != "" {
			customerKey = unhex(t, c.CustomerKey)
		}
		env, err := seal.SealEnvelopeWithSalt(kek, c.Key, customerKey, seal.Flags(c.Flags), v.object(t),
			seal.Salt(unhex(t, c.PartSalt)), dek, [32]byte(unhex(t, c.WrapSalt)))
		if err != nil || env.String() != c.Envelope {
			t.Errorf("envelope of %.20q is %s, %v, want %s", c.Key, env, err, c.Envelope)
		}
		parsed, err := seal.ParseEnvelope(c.Envelope)
		if err != nil || parsed != env {
			t.Errorf("envelope of %.20q parses as %v, %v", c.Key, parsed, err)
		}
		if got, err := parsed.Unseal(kek, c.Key, customerKey); err != nil || !got.Equal(dek) {
			t.Errorf("envelope of %.20q does not unseal: %v", c.Key, err)
		}
	}
}

func TestVectorsAttributes(t *testing.T) {
	v := loadVectors(t)
	for _, c := range v.Attributes {
		env := must(seal.ParseEnvelope(c.Envelope))(t)
		a, err := seal.OpenAttributes(v.dek(t), env, c.Key, c.Sealed)
		if err != nil {
			t.Errorf("attributes do not open: %v", err)
			continue
		}
		if got := string(a.Encode()); got != c.JSON {
			t.Errorf("attributes encode to %q, want %q", got, c.JSON)
		}
		sealed, err := seal.SealAttributesWithSalt(v.dek(t), env, c.Key, a, [32]byte(unhex(t, c.Salt)))
		if err != nil || sealed != c.Sealed {
			t.Errorf("attributes seal to %s, %v, want %s", sealed, err, c.Sealed)
		}
	}
	first := must(seal.OpenAttributes(v.dek(t), must(seal.ParseEnvelope(v.Attributes[0].Envelope))(t), "a", v.Attributes[0].Sealed))(t)
	if got, want := first.Meta["patient"], "\xc5ngstr\xf6m"; got != want {
		t.Errorf("a value that is no UTF-8 comes back as %q, want %q", got, want)
	}
}

func TestVectorsLayouts(t *testing.T) {
	v := loadVectors(t)
	for _, c := range v.Layouts {
		l, err := seal.OpenLayout(v.dek(t), v.object(t), unhex(t, c.Sealed))
		if err != nil {
			t.Errorf("layout does not open: %v", err)
			continue
		}
		if got := string(l.Encode()); got != c.JSON {
			t.Errorf("layout encodes to %q, want %q", got, c.JSON)
		}
		sealed, err := seal.SealLayoutWithSalt(v.dek(t), v.object(t), l, [32]byte(unhex(t, c.Salt)))
		if err != nil || hex.EncodeToString(sealed) != c.Sealed {
			t.Errorf("layout seals to %x, %v, want %s", sealed, err, c.Sealed)
		}
	}
}

func TestVectorsKEKCommit(t *testing.T) {
	v := loadVectors(t)
	commit := v.kek(t).Commit()
	if got := hex.EncodeToString(commit[:]); got != v.KEKCommit.Commit {
		t.Errorf("KEK commits to %s, want %s", got, v.KEKCommit.Commit)
	}
}
