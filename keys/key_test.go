package keys_test

import (
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"cofre/keys"
)

func mustHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCommitGivesTheVectorOfTheSecondImplementation(t *testing.T) {
	doc, err := os.ReadFile("testdata/kek_commit.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		KEK, Bucket, Creator, Commit string
		KEKID                        string `json:"kek_id"`
	}
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	id, err := keys.ParseKEKID(v.KEKID)
	if err != nil {
		t.Fatal(err)
	}
	creator, err := keys.ParseSiteID(v.Creator)
	if err != nil {
		t.Fatal(err)
	}
	kek, err := keys.ParseKEK(id, v.Bucket, creator, mustHex(t, v.KEK))
	if err != nil {
		t.Fatal(err)
	}
	if commit := kek.Commit(); hex.EncodeToString(commit[:]) != v.Commit {
		t.Errorf("commit is %x, want %s", commit, v.Commit)
	}
}

func TestCommitBindsIDBucketAndCreator(t *testing.T) {
	raw := make([]byte, 32)
	raw[0] = 1
	seen := make(map[[32]byte]string)
	for _, id := range []keys.KEKID{{1}, {2}} {
		for _, bucket := range []string{"a", "b", "ab", "a\x00"} {
			for _, creator := range []keys.SiteID{{1}, {2}, {'b'}} {
				kek, err := keys.ParseKEK(id, bucket, creator, raw)
				if err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprintf("%s %q %s", id, bucket, creator)
				if other, dup := seen[kek.Commit()]; dup {
					t.Errorf("%s and %s have one commitment", name, other)
				}
				seen[kek.Commit()] = name
			}
		}
	}
}

func TestParseRefusesZeroKeysAndOtherLengths(t *testing.T) {
	parsers := map[string]func([]byte) error{
		"DEK": func(raw []byte) error { _, err := keys.ParseDEK(raw); return err },
		"KEK": func(raw []byte) error { _, err := keys.ParseKEK(keys.KEKID{1}, "b", keys.SiteID{1}, raw); return err },
	}
	for kind, parse := range parsers {
		if err := parse(make([]byte, 32)); !errors.Is(err, keys.ErrZeroKey) {
			t.Errorf("%s of zeros: got %v, want ErrZeroKey", kind, err)
		}
		for _, length := range []int{0, 1, 16, 31, 33, 64} {
			raw := []byte(strings.Repeat("x", length))
			if err := parse(raw); !errors.Is(err, keys.ErrKeyLength) {
				t.Errorf("%s of %d bytes: got %v, want ErrKeyLength", kind, length, err)
			}
		}
		for n := range 32 { // one bit anywhere makes it a key
			raw := make([]byte, 32)
			raw[n] = 1
			if err := parse(raw); err != nil {
				t.Errorf("%s with bit in byte %d: %v", kind, n, err)
			}
		}
	}
}

func TestZeroValuesAreUnusable(t *testing.T) {
	uses := map[string]func(){
		"DEK.Bytes":          func() { keys.DEK{}.Bytes() },
		"KEK.Bytes":          func() { keys.KEK{}.Bytes() },
		"KEK.ID":             func() { keys.KEK{}.ID() },
		"KEK.Bucket":         func() { keys.KEK{}.Bucket() },
		"KEK.Creator":        func() { keys.KEK{}.Creator() },
		"KEK.Commit":         func() { keys.KEK{}.Commit() },
		"Identity.Sign":      func() { new(keys.Identity).Sign("t", nil) },
		"Identity.DeriveKey": func() { new(keys.Identity).DeriveKey("p") },
	}
	for name, use := range uses {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s of a zero value went through", name)
				}
			}()
			use()
		}()
	}
	if (keys.DEK{}).Equal(keys.DEK{}) || (keys.KEK{}).Equal(keys.KEK{}) {
		t.Error("zero values are equal")
	}
	if !(keys.DEK{}).IsZero() || !(keys.KEK{}).IsZero() || keys.NewDEK().IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestKeysAreCopiedInAndOut(t *testing.T) {
	raw := []byte(strings.Repeat("k", 32))
	dek, err := keys.ParseDEK(raw)
	if err != nil {
		t.Fatal(err)
	}
	clear(raw)
	clear(dek.Bytes())
	if got := string(dek.Bytes()); got != strings.Repeat("k", 32) {
		t.Errorf("key changed to %x", got)
	}
}

func TestNewKeysDiffer(t *testing.T) {
	if keys.NewDEK().Equal(keys.NewDEK()) {
		t.Error("two new DEKs are equal")
	}
	a, b := keys.NewKEK("b", keys.SiteID{1}), keys.NewKEK("b", keys.SiteID{1})
	if a.ID() == b.ID() || string(a.Bytes()) == string(b.Bytes()) {
		t.Error("two new KEKs share id or key")
	}
	if one, two := keys.NewObjectID(), keys.NewObjectID(); one == two {
		t.Error("two new object ids are equal")
	}
}

// holder is what a careless caller might print.
type holder struct {
	dek      keys.DEK
	kek      keys.KEK
	identity *keys.Identity
	inner    struct{ identity keys.Identity }
	Open     keys.DEK
	List     []keys.KEK
	Identity *keys.Identity
}

func TestNoFormOfPrintingShowsASecret(t *testing.T) {
	dek, err := keys.ParseDEK([]byte("DEK-SECRET-DEK-SECRET-DEK-SECRET"))
	if err != nil {
		t.Fatal(err)
	}
	kek, err := keys.ParseKEK(keys.KEKID{1}, "b", keys.SiteID{1}, []byte("KEK-SECRET-KEK-SECRET-KEK-SECRET"))
	if err != nil {
		t.Fatal(err)
	}
	id, err := keys.ParseIdentity([]byte(`{"version":1,"name":"n","hpke":"SFBLRS1TRUNSRVQtSFBLRS1TRUNSRVQtSFBLRS1TRUM=",` +
		`"ed25519":"RUQyNTUxOS1TRUNSRVQtRUQyNTUxOS1TRUNSRVQtRUQ="}`))
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{"DEK-SECRET", "KEK-SECRET", "HPKE-SECRET", "ED25519-SECRET"}
	h := holder{dek: dek, kek: kek, identity: id, Open: dek, List: []keys.KEK{kek}, Identity: id}
	h.inner.identity = *id
	values := []any{dek, &dek, kek, &kek, id, *id, h, &h, []any{dek, kek, id}, map[string]any{"k": kek, "i": id}}
	for _, v := range values {
		forms := []string{fmt.Sprint(v)}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%U", "%o", "%b", "%t", "%p"} {
			forms = append(forms, fmt.Sprintf(verb, v))
		}
		doc, err := json.Marshal(v)
		if err != nil {
			t.Errorf("marshal %T: %v", v, err)
		}
		forms = append(forms, string(doc))
		for _, form := range forms {
			for _, secret := range secrets {
				if shows(form, secret) {
					t.Errorf("%T shows %s: %.200s", v, secret, form)
				}
			}
		}
	}
	for _, v := range []interface {
		fmt.GoStringer
		encoding.TextMarshaler
	}{dek, kek, keys.KEK{}, id} {
		text, err := v.MarshalText()
		if err != nil || !strings.Contains(string(text), "redacted") || !strings.Contains(v.GoString(), "redacted") {
			t.Errorf("%T reads %q and %q, %v", v, text, v.GoString(), err)
		}
	}
}

// shows looks for the beginning of a secret as text, hex, base64 and as printed byte lists.
func shows(form, secret string) bool {
	b := []byte(secret[:8])
	quoted, _ := json.Marshal(b)
	list := strings.Trim(fmt.Sprint(b), "[]")
	hexList := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", b), "[]byte{"), "}")
	for _, look := range []string{secret[:8], hex.EncodeToString(b), string(quoted[1:9]), list, hexList} {
		if strings.Contains(strings.ToLower(form), strings.ToLower(look)) {
			return true
		}
	}
	return false
}

func TestShowsFindsASecret(t *testing.T) {
	type leaky struct{ key [32]byte }
	v := leaky{[32]byte([]byte("DEK-SECRET-DEK-SECRET-DEK-SECRET"))}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s"} {
		if form := fmt.Sprintf(verb, v); !shows(form, "DEK-SECRET") {
			t.Errorf("%s of a leaky type goes unseen: %s", verb, form)
		}
	}
}

func TestIDsHaveOneSpelling(t *testing.T) {
	site := strings.Repeat("0a", 32)
	if id, err := keys.ParseSiteID(site); err != nil || id.String() != site {
		t.Errorf("got %s, %v", id, err)
	}
	if id, err := keys.ParseObjectID(site[:32]); err != nil || id.String() != site[:32] {
		t.Errorf("got %s, %v", id, err)
	}
	type doc struct {
		ID keys.ObjectID `json:"id"`
	}
	in := doc{keys.NewObjectID()}
	text, err := json.Marshal(in)
	if err != nil || string(text) != `{"id":"`+in.ID.String()+`"}` {
		t.Errorf("object id in JSON is %s, %v", text, err)
	}
	var out doc
	if err := json.Unmarshal(text, &out); err != nil || out != in {
		t.Errorf("object id came back as %s, %v", out.ID, err)
	}
	for _, bad := range []string{
		"", site[:30], site[:31], site[:33], strings.Repeat("0A", 16), strings.Repeat("0g", 16), strings.Repeat(" 0", 16),
	} {
		if _, err := keys.ParseKEKID(bad); !errors.Is(err, keys.ErrMalformed) {
			t.Errorf("KEK id %q: got %v, want ErrMalformed", bad, err)
		}
		if _, err := keys.ParseObjectID(bad); !errors.Is(err, keys.ErrMalformed) {
			t.Errorf("object id %q: got %v, want ErrMalformed", bad, err)
		}
		if _, err := keys.ParseSiteID(bad + bad); !errors.Is(err, keys.ErrMalformed) {
			t.Errorf("site id %q: got %v, want ErrMalformed", bad+bad, err)
		}
	}
}

func TestKEKStatesHaveNames(t *testing.T) {
	for state, name := range map[keys.KEKState]string{
		keys.Active: "active", keys.ReadOnly: "read-only", keys.Closed: "closed", 0: "KEKState(0)", 9: "KEKState(9)",
	} {
		if state.String() != name || state.Valid() == strings.Contains(name, "(") {
			t.Errorf("state %d: %s, valid %t", state, state, state.Valid())
		}
	}
}
