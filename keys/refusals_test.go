package keys_test

import (
	"crypto/hpke"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"cofre/keys"
	"cofre/keys/keystest"
)

// cast is a site "reader" that trusts "writer" and "other" for bucket "b", "depositor" to deposit there, "recovery" for
// recovery, and no more trusts "left".
type cast struct {
	reader, writer, other, depositor, recovery, left, stranger *keys.Identity

	trust string // the reader's list
}

// scene is the documents of an honest KEK of the writer, granted to the reader. Each refusal changes one thing about it.
// Documents are built by hand here, from docs/FORMAT.md rather than from the package.
type scene struct {
	*cast
	kek    keys.KEK
	system map[string]string
}

const sceneBucket = "b"

func newCast(t testing.TB) *cast {
	t.Helper()
	c := &cast{}
	for name, site := range map[string]**keys.Identity{
		"reader": &c.reader, "writer": &c.writer, "other": &c.other, "depositor": &c.depositor,
		"recovery": &c.recovery, "left": &c.left, "stranger": &c.stranger,
	} {
		id, err := keys.GenerateIdentity(name)
		if err != nil {
			t.Fatal(err)
		}
		*site = id
	}
	list := keys.NewTrustList(c.reader, keystest.Epoch)
	for _, line := range []struct {
		site *keys.Identity
		role keys.Role
	}{
		{c.writer, keys.Member}, {c.other, keys.Member}, {c.depositor, keys.Deposit}, {c.recovery, keys.Recovery},
		{c.left, keys.Member},
	} {
		if err := list.Trust(line.site.Card(), sceneBucket, line.role, keystest.Epoch); err != nil {
			t.Fatal(err)
		}
	}
	if err := list.Distrust(c.left.ID(), sceneBucket, keystest.Epoch.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	doc, err := list.Sign(c.reader)
	if err != nil {
		t.Fatal(err)
	}
	c.trust = string(doc)
	return c
}

func (c *cast) newScene() *scene {
	s := &scene{cast: c, kek: keys.NewKEK(sceneBucket, c.writer.ID())}
	s.system = map[string]string{
		s.recordName(): s.record(s.writer, nil),
		s.grantName():  s.grant(s.writer, nil),
	}
	return s
}

// readerFile is the site that meets all that the other files hold.
func (c *cast) readerFile(t testing.TB) readerFile {
	t.Helper()
	secret, err := c.reader.MarshalSecret()
	if err != nil {
		t.Fatal(err)
	}
	return readerFile{Identity: string(secret), Trust: c.trust}
}

func (s *scene) recordName() string {
	return fmt.Sprintf("buckets/%s/keks/%s/record.json", sceneBucket, s.kek.ID())
}

func (s *scene) grantName() string {
	return fmt.Sprintf("buckets/%s/keks/%s/grants/%s.json", sceneBucket, s.kek.ID(), s.reader.ID())
}

func (s *scene) endorsementName(site *keys.Identity) string {
	return fmt.Sprintf("buckets/%s/keks/%s/endorsements/%s.json", sceneBucket, s.kek.ID(), site.ID())
}

// fields is a JSON document before it is signed; change makes it a wrong one.
type fields map[string]any

func (s *scene) recordPayload(change func(fields)) string {
	commit := s.kek.Commit()
	f := fields{
		"version": 1, "id": s.kek.ID().String(), "bucket": s.kek.Bucket(), "creator": s.kek.Creator().String(),
		"created": "2026-11-01T12:00:00Z", "commit": base64.StdEncoding.EncodeToString(commit[:]),
	}
	return f.json(change)
}

func (s *scene) record(signer *keys.Identity, change func(fields)) string {
	return sign(signer, "application/vnd.cofre.kek.v1+json", s.recordPayload(change))
}

func (s *scene) grantPayload(granter *keys.Identity, change func(fields)) string {
	sealed := s.seal(s.reader.Card(), s.kek.ID(), s.kek.Bucket(), s.kek.Bytes())
	f := fields{
		"version": 1, "kek": s.kek.ID().String(), "bucket": s.kek.Bucket(), "recipient": s.reader.ID().String(),
		"granter": granter.ID().String(), "created": "2026-11-01T12:00:00Z",
		"sealed": base64.StdEncoding.EncodeToString(sealed),
	}
	return f.json(change)
}

func (s *scene) grant(granter *keys.Identity, change func(fields)) string {
	return sign(granter, "application/vnd.cofre.grant.v1+json", s.grantPayload(granter, change))
}

// sealedAs makes the grant carry another key, sealed as it should be.
func (s *scene) sealedAs(raw []byte) func(fields) {
	return func(f fields) {
		f["sealed"] = base64.StdEncoding.EncodeToString(s.seal(s.reader.Card(), s.kek.ID(), s.kek.Bucket(), raw))
	}
}

func (s *scene) seal(to keys.Card, id keys.KEKID, bucket string, raw []byte) []byte {
	info := append([]byte("cofre v1 grant"), id[:]...)
	info = binary.BigEndian.AppendUint32(info, uint32(len(bucket)))
	info = append(info, bucket...)
	creator := s.kek.Creator()
	info = append(append(info, creator[:]...), to.ID[:]...)
	kem := hpke.MLKEM768X25519()
	key, err := kem.NewPublicKey(to.HPKE[:])
	if err != nil {
		panic(err)
	}
	sealed, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, raw)
	if err != nil {
		panic(err)
	}
	return sealed
}

func sign(signer *keys.Identity, payloadType, payload string) string {
	return string(signer.Sign(payloadType, []byte(payload)).Bytes())
}

func (f fields) json(change func(fields)) string {
	if change != nil {
		change(f)
	}
	doc, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	return string(doc)
}

func set(name string, value any) func(fields) { return func(f fields) { f[name] = value } }

// The four ways in which JSON can mean two things, and some more, done to a well-formed object of which name is a member.
func jsonFaults(name string) map[string]func(doc string) string {
	quoted := `"` + name + `"`
	return map[string]func(string) string{
		"duplicate-name": func(doc string) string {
			member := memberOf(doc, name)
			return strings.TrimSuffix(doc, "}") + "," + member + "}"
		},
		"unknown-name":  func(doc string) string { return strings.TrimSuffix(doc, "}") + `,"extra":1}` },
		"miscased-name": func(doc string) string { return strings.Replace(doc, quoted, strings.ToUpper(quoted), 1) },
		"missing-name":  func(doc string) string { return strings.Replace(doc, memberOf(doc, name)+",", "", 1) },
		"null":          func(doc string) string { return strings.Replace(doc, memberOf(doc, name), quoted+":null", 1) },
		"trailing-data": func(doc string) string { return doc + "{}" },
		"escaped-duplicate-name": func(doc string) string {
			escaped := fmt.Sprintf(`"\u%04x%s"`, name[0], name[1:])
			return strings.TrimSuffix(doc, "}") + "," + strings.Replace(memberOf(doc, name), quoted, escaped, 1) + "}"
		},
		"invalid-utf8": func(doc string) string { return strings.Replace(doc, quoted, "\"\xff"+name+`"`, 1) },
	}
}

// memberOf cuts the member of that name, a string or a number, out of an object.
func memberOf(doc, name string) string {
	from := strings.Index(doc, `"`+name+`":`)
	if from < 0 {
		panic("no " + name)
	}
	rest := doc[from:]
	to := strings.IndexAny(rest, ",}")
	return rest[:to]
}

// flip changes one bit of the signature.
func flip(doc string) string {
	var d struct {
		Payload, PayloadType string
		Signatures           []struct{ KeyID, Sig string }
	}
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		panic(err)
	}
	sig, err := base64.StdEncoding.DecodeString(d.Signatures[0].Sig)
	if err != nil {
		panic(err)
	}
	sig[0] ^= 1
	return strings.Replace(doc, d.Signatures[0].Sig, base64.StdEncoding.EncodeToString(sig), 1)
}

// refusals is every class with its file.
func (c *cast) refusals(t testing.TB) map[string]refusal {
	all := make(map[string]refusal)
	for _, some := range []map[string]refusal{
		c.recordRefusals(), c.grantRefusals(), c.endorsementRefusals(), c.trustRefusals(t), c.plainRefusals(t),
	} {
		for class := range some {
			if _, twice := all[class]; twice {
				t.Fatalf("class %s is there twice", class)
			}
		}
		maps.Copy(all, some)
	}
	return all
}

// opens is the file of a reader that meets the scene.
func (s *scene) opens(about, want string) refusal {
	return refusal{About: about, Want: want, Bucket: sceneBucket, KEK: s.kek.ID().String(), System: s.system}
}

func (c *cast) recordRefusals() map[string]refusal {
	all := make(map[string]refusal)
	add := func(class, about, want string, change func(s *scene)) {
		s := c.newScene()
		change(s)
		all["record-"+class] = s.opens(about, want)
	}
	// with puts a record of another signer or content in place of the honest one.
	with := func(signer func(s *scene) *keys.Identity, fault func(fields)) func(*scene) {
		return func(s *scene) { s.system[s.recordName()] = s.record(signer(s), fault) }
	}
	writer := func(s *scene) *keys.Identity { return s.writer }

	add("accepted", "an honest record and grant", "", func(*scene) {})
	add("bad-signature", "one bit of the record's signature flipped", "ErrSignature", func(s *scene) {
		s.system[s.recordName()] = flip(s.system[s.recordName()])
	})
	add("bad-signature-is-untrusted", "the same, as a caller sees it", "ErrUntrusted", func(s *scene) {
		s.system[s.recordName()] = flip(s.system[s.recordName()])
	})
	add("signed-by-another-member", "a trusted member signed it as the writer's", "ErrSignature",
		with(func(s *scene) *keys.Identity { return s.other }, nil))
	for class, site := range map[string]func(s *scene) *keys.Identity{
		"of-a-stranger":           func(s *scene) *keys.Identity { return s.stranger },
		"of-a-recovery-identity":  func(s *scene) *keys.Identity { return s.recovery },
		"of-a-site-that-has-left": func(s *scene) *keys.Identity { return s.left },
	} {
		add(class, "made and signed by a site that may not write there", "ErrUntrusted", func(s *scene) {
			s.kek = keys.NewKEK(sceneBucket, site(s).ID())
			s.system = map[string]string{s.recordName(): s.record(site(s), nil), s.grantName(): s.grant(s.writer, nil)}
		})
	}
	add("of-another-bucket", "an honest record of bucket c under the name of bucket b", "ErrUntrusted",
		with(writer, set("bucket", "c")))
	add("of-another-kek", "an honest record of another KEK under this one's name", "ErrUntrusted",
		with(writer, set("id", strings.Repeat("ab", 16))))
	add("missing", "no record (yet)", "ErrKEKUnavailable", func(s *scene) { delete(s.system, s.recordName()) })
	add("wrong-type", "a record signed as a grant", "ErrMalformed", func(s *scene) {
		s.system[s.recordName()] = sign(s.writer, "application/vnd.cofre.grant.v1+json", s.recordPayload(nil))
	})
	add("unknown-version", "version 2", "ErrMalformed", with(writer, set("version", 2)))
	add("upper-case-id", "an id in upper case", "ErrMalformed", with(writer, set("id", strings.Repeat("AB", 16))))
	add("commit-of-31-bytes", "a commitment cut short", "ErrMalformed",
		with(writer, set("commit", base64.StdEncoding.EncodeToString(make([]byte, 31)))))
	add("bad-time", "a time that is none", "ErrMalformed", with(writer, set("created", "2026-11-01 12:00:00")))
	for class, fault := range jsonFaults("id") {
		add(class, "signed by the writer with ambiguous JSON", "ErrMalformed", func(s *scene) {
			s.system[s.recordName()] = sign(s.writer, "application/vnd.cofre.kek.v1+json", fault(s.recordPayload(nil)))
		})
	}
	add("replaced", "the operator exchanged the record of a known KEK for another one signed by the writer",
		"ErrKEKConflict", func(*scene) {})
	s := c.newScene()
	v := s.opens(all["record-replaced"].About, "ErrKEKConflict")
	v.Stored = []storedRow{{Record: s.system[s.recordName()], Grant: s.system[s.grantName()]}}
	v.System[s.recordName()] = s.record(s.writer, set("created", "2026-11-02T12:00:00Z"))
	all["record-replaced"] = v
	return all
}

func (c *cast) grantRefusals() map[string]refusal {
	all := make(map[string]refusal)
	add := func(class, about, want string, change func(s *scene)) {
		s := c.newScene()
		change(s)
		all[class] = s.opens(about, want)
	}
	grant := func(class, about, want string, granter func(s *scene) *keys.Identity, fault func(s *scene) func(fields)) {
		add(class, about, want, func(s *scene) { s.system[s.grantName()] = s.grant(granter(s), fault(s)) })
	}
	writer := func(s *scene) *keys.Identity { return s.writer }
	as := func(fault func(fields)) func(*scene) func(fields) { return func(*scene) func(fields) { return fault } }

	grant("grant-accepted-by-another-member", "another member granted the KEK", "",
		func(s *scene) *keys.Identity { return s.other }, as(nil))
	add("grant-bad-signature", "one bit of the grant's signature flipped", "ErrSignature", func(s *scene) {
		s.system[s.grantName()] = flip(s.system[s.grantName()])
	})
	for class, site := range map[string]func(s *scene) *keys.Identity{
		"grant-by-a-stranger":                          func(s *scene) *keys.Identity { return s.stranger },
		"grant-by-a-recovery-identity":                 func(s *scene) *keys.Identity { return s.recovery },
		"grant-by-a-site-that-has-left":                func(s *scene) *keys.Identity { return s.left },
		"grant-by-a-deposit-site-of-another-sites-kek": func(s *scene) *keys.Identity { return s.depositor },
	} {
		grant(class, "granted by a site that may not grant it", "ErrUntrusted", site, as(nil))
	}
	add("grant-accepted-by-the-deposit-site", "a deposit site granted the KEK that it made", "", func(s *scene) {
		s.kek = keys.NewKEK(sceneBucket, s.depositor.ID())
		s.system = map[string]string{
			s.recordName(): s.record(s.depositor, nil), s.grantName(): s.grant(s.depositor, nil),
		}
	})
	grant("grant-in-another-name", "a stranger signed as the writer", "ErrSignature",
		func(s *scene) *keys.Identity { return s.stranger },
		func(s *scene) func(fields) { return set("granter", s.writer.ID().String()) })
	grant("grant-of-another-bucket", "a grant for bucket c", "ErrUntrusted", writer, as(set("bucket", "c")))
	grant("grant-of-another-kek", "a grant of another KEK", "ErrUntrusted", writer,
		as(set("kek", strings.Repeat("ab", 16))))
	grant("grant-to-another-site", "a grant to another site under the reader's name", "ErrGrant", writer,
		func(s *scene) func(fields) { return set("recipient", s.other.ID().String()) })
	grant("grant-sealed-to-another-site", "sealed to another site's key", "ErrGrant", writer,
		func(s *scene) func(fields) {
			sealed := s.seal(s.other.Card(), s.kek.ID(), sceneBucket, s.kek.Bytes())
			return set("sealed", base64.StdEncoding.EncodeToString(sealed))
		})
	grant("grant-sealed-for-another-bucket", "sealed for the same KEK in bucket c", "ErrGrant", writer,
		func(s *scene) func(fields) {
			sealed := s.seal(s.reader.Card(), s.kek.ID(), "c", s.kek.Bytes())
			return set("sealed", base64.StdEncoding.EncodeToString(sealed))
		})
	grant("grant-sealed-altered", "one bit of the ciphertext flipped before it was signed", "ErrGrant", writer,
		func(s *scene) func(fields) {
			sealed := s.seal(s.reader.Card(), s.kek.ID(), sceneBucket, s.kek.Bytes())
			sealed[len(sealed)-1] ^= 1
			return set("sealed", base64.StdEncoding.EncodeToString(sealed))
		})
	grant("grant-sealed-too-short", "one byte less", "ErrMalformed", writer,
		as(set("sealed", base64.StdEncoding.EncodeToString(make([]byte, 1167)))))
	grant("grant-sealed-too-long", "one byte more", "ErrMalformed", writer,
		as(set("sealed", base64.StdEncoding.EncodeToString(make([]byte, 1169)))))
	add("grant-missing", "the record is there and no grant is the reader's", "ErrNotRecipient",
		func(s *scene) { delete(s.system, s.grantName()) })
	for class, fault := range jsonFaults("kek") {
		add("grant-"+class, "signed by the writer with ambiguous JSON", "ErrMalformed", func(s *scene) {
			s.system[s.grantName()] = sign(s.writer, "application/vnd.cofre.grant.v1+json", fault(s.grantPayload(s.writer, nil)))
		})
	}
	grant("kek-does-not-give-its-commit", "an honest grant of another key", "ErrCommit", writer,
		func(s *scene) func(fields) { return s.sealedAs([]byte(strings.Repeat("k", 32))) })
	grant("kek-of-zeros", "a grant of 32 zeros", "ErrZeroKey", writer,
		func(s *scene) func(fields) { return s.sealedAs(make([]byte, 32)) })
	return all
}

func (c *cast) endorsementRefusals() map[string]refusal {
	all := make(map[string]refusal)
	// The creator is a stranger in each, so the endorsement alone can bear the record out; the grant is a member's.
	add := func(class, about, want string, change func(s *scene)) {
		s := c.newScene()
		s.kek = keys.NewKEK(sceneBucket, s.stranger.ID())
		s.system = map[string]string{s.recordName(): s.record(s.stranger, nil), s.grantName(): s.grant(s.writer, nil)}
		change(s)
		all["endorsement-"+class] = s.opens(about, want)
	}
	add("accepted", "a member endorsed a stranger's record", "", func(s *scene) {
		s.system[s.endorsementName(s.other)] = s.record(s.other, nil)
	})
	add("accepted-beside-a-bad-one", "one member's endorsement is broken, another's is not", "", func(s *scene) {
		s.system[s.endorsementName(s.writer)] = flip(s.record(s.writer, nil))
		s.system[s.endorsementName(s.other)] = s.record(s.other, nil)
	})
	add("bad-signature", "one bit of its signature flipped", "ErrSignature", func(s *scene) {
		s.system[s.endorsementName(s.other)] = flip(s.record(s.other, nil))
	})
	add("of-another-record", "a member endorsed another record", "ErrSignature", func(s *scene) {
		s.system[s.endorsementName(s.other)] = s.record(s.other, set("created", "2026-11-02T12:00:00Z"))
	})
	add("in-another-name", "a stranger's under a member's name", "ErrSignature", func(s *scene) {
		s.system[s.endorsementName(s.other)] = s.record(s.stranger, nil)
	})
	for class, site := range map[string]func(s *scene) *keys.Identity{
		"by-a-stranger":           func(s *scene) *keys.Identity { return s.stranger },
		"by-a-recovery-identity":  func(s *scene) *keys.Identity { return s.recovery },
		"by-a-deposit-site":       func(s *scene) *keys.Identity { return s.depositor },
		"by-a-site-that-has-left": func(s *scene) *keys.Identity { return s.left },
	} {
		add(class, "endorsed by a site that may not endorse", "ErrUntrusted", func(s *scene) {
			s.system[s.endorsementName(site(s))] = s.record(site(s), nil)
		})
	}
	for class, fault := range jsonFaults("id") {
		add(class, "endorsed with ambiguous JSON", "ErrMalformed", func(s *scene) {
			s.system[s.endorsementName(s.other)] = sign(s.other, "application/vnd.cofre.kek.v1+json", fault(s.recordPayload(nil)))
		})
	}
	return all
}
