package keys_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"cofre/keys"
	"cofre/keys/keystest"
)

// addRefused seeds a fuzz target with every document of testdata/refused that pick finds in a file.
func addRefused(f *testing.F, pick func(v refusal) []string) {
	f.Helper()
	files, err := filepath.Glob("testdata/refused/*.json")
	if err != nil {
		f.Fatal(err)
	}
	seeds := 0
	for _, file := range files {
		var v refusal
		readJSON(f, file, &v)
		for _, doc := range pick(v) {
			f.Add([]byte(doc))
			seeds++
		}
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
}

func parsed(kind string) func(v refusal) []string {
	return func(v refusal) []string {
		if v.Parse == kind {
			return []string{v.Doc}
		}
		return nil
	}
}

func named(pattern string) func(v refusal) []string {
	return func(v refusal) (docs []string) {
		for name, doc := range v.System {
			if ok, _ := filepath.Match("buckets/*/keks/*/"+pattern, name); ok {
				docs = append(docs, doc)
			}
		}
		return docs
	}
}

// payloads takes the signed payloads out of documents, so that fuzzing gets past the signature.
func payloads(pick func(v refusal) []string) func(v refusal) []string {
	return func(v refusal) (found []string) {
		for _, doc := range pick(v) {
			if d, err := keys.ParseDSSE([]byte(doc)); err == nil {
				found = append(found, string(d.Payload))
			}
		}
		return found
	}
}

func FuzzParseCard(f *testing.F) {
	addRefused(f, parsed("card"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		card, err := keys.ParseCard(doc)
		if err != nil {
			return
		}
		if err := card.Check(); err != nil {
			t.Fatalf("accepted a card that is not whole: %v", err)
		}
		again, err := json.Marshal(card)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := keys.ParseCard(again); err != nil || back != card {
			t.Fatalf("came back as %v, %v", back, err)
		}
	})
}

func FuzzParseIdentity(f *testing.F) {
	addRefused(f, parsed("identity"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		id, err := keys.ParseIdentity(doc)
		if err != nil {
			return
		}
		again, err := id.MarshalSecret()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := keys.ParseIdentity(again); err != nil || back.Card() != id.Card() {
			t.Fatalf("came back otherwise: %v", err)
		}
	})
}

func FuzzParseDSSE(f *testing.F) {
	addRefused(f, parsed("dsse"))
	addRefused(f, named("record.json"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		d, err := keys.ParseDSSE(doc)
		if err != nil {
			return
		}
		back, err := keys.ParseDSSE(d.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if back.PayloadType != d.PayloadType || back.KeyID != d.KeyID || !bytes.Equal(back.Payload, d.Payload) ||
			!bytes.Equal(back.Signature, d.Signature) {
			t.Fatalf("came back as %+v", back)
		}
	})
}

// sameJSON says whether the payload means exactly the wanted members, whatever their order and white space.
func sameJSON(t *testing.T, payload []byte, want map[string]any) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatalf("accepted what is no JSON: %v", err)
	}
	created, err := time.Parse(time.RFC3339, got["created"].(string))
	if err != nil || !created.Equal(want["created"].(time.Time)) {
		t.Fatalf("created %v read as %v", got["created"], want["created"])
	}
	delete(got, "created")
	delete(want, "created")
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if !bytes.Equal(a, b) {
		t.Fatalf("%s read as %s", a, b)
	}
}

func FuzzParseRecord(f *testing.F) {
	addRefused(f, payloads(named("record.json")))
	id := newIdentity(f, "fuzz")
	f.Fuzz(func(t *testing.T, payload []byte) {
		doc := id.Sign(keys.RecordType, payload).Bytes()
		r, err := keys.ParseRecord(doc)
		if err != nil {
			return
		}
		if !bytes.Equal(r.Bytes(), doc) {
			t.Fatal("its bytes changed")
		}
		sameJSON(t, payload, map[string]any{
			"version": 1, "id": r.ID, "bucket": r.Bucket, "creator": r.Creator, "created": r.Created, "commit": r.Commit[:],
		})
	})
}

func FuzzParseGrant(f *testing.F) {
	addRefused(f, payloads(named("grants/*.json")))
	id := newIdentity(f, "fuzz")
	f.Fuzz(func(t *testing.T, payload []byte) {
		doc := id.Sign(keys.GrantType, payload).Bytes()
		g, err := keys.ParseGrant(doc)
		if err != nil {
			return
		}
		if !bytes.Equal(g.Bytes(), doc) {
			t.Fatal("its bytes changed")
		}
		sameJSON(t, payload, map[string]any{
			"version": 1, "kek": g.KEK, "bucket": g.Bucket, "recipient": g.Recipient, "granter": g.Granter,
			"created": g.Created, "sealed": g.Sealed[:],
		})
		record, err := keys.NewRecord(id, keys.NewKEK("b", id.ID()), keystest.Epoch)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := id.OpenGrant(g, record); err == nil {
			t.Fatal("opened a grant of a KEK that nobody granted")
		}
	})
}

func FuzzParseEndorsement(f *testing.F) {
	addRefused(f, named("endorsements/*.json"))
	id := newIdentity(f, "fuzz")
	f.Fuzz(func(t *testing.T, doc []byte) {
		e, err := keys.ParseEndorsement(doc)
		if err != nil {
			return
		}
		record, err := keys.NewRecord(id, keys.NewKEK("b", id.ID()), keystest.Epoch)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Verify(id.Card(), record); err == nil {
			t.Fatal("endorsed a record that nobody has seen")
		}
	})
}

func FuzzParseTrustList(f *testing.F) {
	addRefused(f, payloads(parsed("trust")))
	var reader readerFile
	readJSON(f, filepath.Join("testdata", "reader.json"), &reader)
	id, err := keys.ParseIdentity([]byte(reader.Identity))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		list, err := keys.ParseTrustList(id.Sign(keys.TrustListType, payload).Bytes(), id.Card(), 0)
		if err != nil {
			return
		}
		doc := mustSign(t, list, id)
		back, err := keys.ParseTrustList(doc, id.Card(), list.Number())
		if err != nil {
			t.Fatal(err)
		}
		if again := mustSign(t, back, id); !bytes.Equal(again, doc) {
			t.Fatal("signed again it differs")
		}
	})
}
