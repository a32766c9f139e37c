package keys_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"cofre/keys"
)

func (c *cast) trustRefusals(t testing.TB) map[string]refusal {
	all := make(map[string]refusal)
	s := c.newScene()
	add := func(class, about, want, doc string, known uint64) {
		all["trust-list-"+class] = refusal{About: about, Want: want, Parse: "trust", Doc: doc, Known: known}
	}
	const kind = "application/vnd.cofre.trust.v1+json"
	d, err := keys.ParseTrustList([]byte(s.trust), s.reader.Card(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var wire struct{ Payload []byte }
	if err := json.Unmarshal([]byte(s.trust), &wire); err != nil {
		t.Fatal(err)
	}
	payload := string(wire.Payload)
	change := func(old, with string) string {
		if !strings.Contains(payload, old) {
			t.Fatalf("the trust list has no %s", old)
		}
		return sign(s.reader, kind, strings.Replace(payload, old, with, 1))
	}

	add("accepted", "the list of the number that is known", "", s.trust, d.Number())
	add("lower-number", "an older list than is known", "ErrTrustListOld", s.trust, d.Number()+1)
	add("wrong-signer", "signed by a trusted member", "ErrSignature", sign(s.writer, kind, payload), 0)
	add("bad-signature", "one bit of its signature flipped", "ErrSignature", flip(s.trust), 0)
	add("of-another-site", "the site signed a list of another site", "ErrUntrusted",
		change(`"site":"`+s.reader.ID().String(), `"site":"`+s.writer.ID().String()), 0)
	add("number-zero", "number 0", "ErrMalformed", change(fmt.Sprintf(`"number":%d`, d.Number()), `"number":0`), 0)
	add("unknown-role", "a role that is none", "ErrMalformed", change(`"role":"deposit"`, `"role":"owner"`), 0)
	add("unknown-version", "version 2", "ErrMalformed", change(`"version":1,"site"`, `"version":2,"site"`), 0)
	add("card-of-other-keys", "a card whose id is not that of its keys", "ErrMalformed",
		change(`"id":"`+s.writer.ID().String(), `"id":"`+s.other.ID().String()), 0)
	add("prefixes-for-a-member", "prefixes where they mean nothing", "ErrMalformed",
		change(`"role":"member"`, `"role":"member","prefixes":["x"]`), 0)
	add("empty-prefix", "a prefix that allows everything", "ErrMalformed",
		change(`"role":"deposit"`, `"role":"deposit","prefixes":[""]`), 0)
	add("wrong-type", "signed as a KEK record", "ErrMalformed",
		sign(s.reader, "application/vnd.cofre.kek.v1+json", payload), 0)
	for class, fault := range jsonFaults("number") {
		add(class, "signed with ambiguous JSON", "ErrMalformed", sign(s.reader, kind, fault(payload)), 0)
	}
	add("duplicate-name-inside", "a name twice inside an entry", "ErrMalformed",
		change(`"role":"deposit"`, `"role":"deposit","role":"member"`), 0)
	add("miscased-name-inside", "a differently cased name inside an entry", "ErrMalformed",
		change(`"role":"deposit"`, `"Role":"deposit"`), 0)
	return all
}

// plainRefusals is cards, identities and the signed envelope itself.
func (c *cast) plainRefusals(t testing.TB) map[string]refusal {
	all := make(map[string]refusal)
	s := c.newScene()
	secret, err := s.reader.MarshalSecret()
	if err != nil {
		t.Fatal(err)
	}
	add := func(kind, class, about, want, doc string) {
		all[kind+"-"+class] = refusal{About: about, Want: want, Parse: kind, Doc: doc}
	}
	card, err := json.Marshal(s.writer.Card())
	if err != nil {
		t.Fatal(err)
	}
	envelope := s.system[s.recordName()]
	add("card", "accepted", "an honest card", "", string(card))
	add("identity", "accepted", "an honest identity", "", string(secret))
	add("dsse", "accepted", "an honest envelope", "", envelope)
	for class, fault := range jsonFaults("version") {
		add("card", class, "ambiguous JSON", "ErrMalformed", fault(string(card)))
		add("identity", class, "ambiguous JSON", "ErrMalformed", fault(string(secret)))
	}
	for class, fault := range jsonFaults("payload") {
		add("dsse", class, "ambiguous JSON", "ErrMalformed", fault(envelope))
	}

	zeros := base64.StdEncoding.EncodeToString(make([]byte, 32))
	halfZero := s.writer.Card().HPKE
	clear(halfZero[len(halfZero)-32:])
	replace := func(doc []byte, name, with string) string {
		return strings.Replace(string(doc), memberOf(string(doc), name), `"`+name+`":"`+with+`"`, 1)
	}
	add("card", "zero-signing-key", "an Ed25519 key of zeros", "ErrZeroKey", replace(card, "ed25519", zeros))
	add("card", "zero-hpke-key", "an HPKE key of zeros", "ErrZeroKey",
		replace(card, "hpke", base64.StdEncoding.EncodeToString(make([]byte, 1216))))
	add("card", "zero-x25519-half", "an HPKE key whose X25519 half is zeros", "ErrZeroKey",
		replace(card, "hpke", base64.StdEncoding.EncodeToString(halfZero[:])))
	add("card", "id-of-other-keys", "the id of another site", "ErrMalformed", replace(card, "id", s.other.ID().String()))
	add("card", "unprintable-name", "a name that would move the cursor", "ErrMalformed", replace(card, "name", `a\u001b[2J`))
	add("card", "empty-name", "no name", "ErrMalformed", replace(card, "name", ""))
	add("identity", "zero-hpke-seed", "an HPKE seed of zeros", "ErrZeroKey", replace(secret, "hpke", zeros))
	add("identity", "zero-signing-seed", "an Ed25519 seed of zeros", "ErrZeroKey", replace(secret, "ed25519", zeros))
	add("identity", "short-seed", "a seed of 31 bytes", "ErrKeyLength",
		replace(secret, "hpke", base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 31)))))

	sig := memberOf(envelope, "sig")
	first := strings.Index(envelope, `{"keyid"`)
	signature := envelope[first : strings.Index(envelope, "}]")+1]
	add("dsse", "two-signatures", "two signatures", "ErrMalformed",
		strings.Replace(envelope, signature, signature+","+signature, 1))
	add("dsse", "no-signature", "none", "ErrMalformed", strings.Replace(envelope, signature, "", 1))
	add("dsse", "short-signature", "a signature of 3 bytes", "ErrMalformed", strings.Replace(envelope, sig, `"sig":"AAAA"`, 1))
	add("dsse", "stray-bits", "base64 with stray bits at its end", "ErrMalformed",
		strings.Replace(envelope, memberOf(envelope, "payload"), `"payload":"AB=="`, 1))
	add("dsse", "line-break-in-base64", "base64 with a line break", "ErrMalformed",
		strings.Replace(envelope, `"payload":"`, `"payload":"\n`, 1))
	add("dsse", "url-base64", "base64 of the URL alphabet", "ErrMalformed",
		strings.Replace(envelope, memberOf(envelope, "payload"), `"payload":"__-_"`, 1))
	return all
}
