package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v3"

	"cofre/access"
	"cofre/backend"
	"cofre/keys"
)

const markedSecret = "marked-secret-4711-which-nobody-may-see"

// fillSecrets puts the marked secret into every field of a value that is a secret by its type, and one entry into every list.
func fillSecrets(v reflect.Value, filled *int) {
	switch {
	case v.Type() == typeSecret:
		v.SetString(markedSecret)
		*filled++
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fillSecrets(v.Field(i), filled)
			}
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillSecrets(v.Index(0), filled)
	}
}

// secretWords are words in the names of fields that hold a secret.
var secretWords = []string{"secret", "passphrase", "password", "token"}

// TestEverySecretOfTheConfigurationHasTheTypeThatHidesIt: a new key called so must not be a plain text.
func TestEverySecretOfTheConfigurationHasTheTypeThatHidesIt(t *testing.T) {
	seen := 0
	var walk func(reflect.Type, string)
	walk = func(typ reflect.Type, key string) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			full := join(key, f.Tag.Get("yaml"))
			switch {
			case f.Type.Kind() == reflect.Struct:
				walk(f.Type, full)
			case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
				walk(f.Type.Elem(), full+"[]")
			case f.Type == typeSecret:
				seen++
			default:
				for _, word := range secretWords {
					if strings.Contains(full[strings.LastIndex(full, ".")+1:], word) && !strings.HasSuffix(full, "_file") {
						t.Errorf("%s is a %v", full, f.Type)
					}
				}
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
	if seen < 6 {
		t.Errorf("%d secrets in the configuration", seen)
	}
}

// TestNoWayOfPrintingShowsASecret prints everything that holds one by every verb and encoder that the program could use.
func TestNoWayOfPrintingShowsASecret(t *testing.T) {
	cfg, filled := defaultConfig(), 0
	fillSecrets(reflect.ValueOf(&cfg).Elem(), &filled)
	if filled < 6 {
		t.Fatalf("%d secrets filled", filled)
	}
	id, err := keys.GenerateIdentity("a site")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := id.MarshalSecret()
	if err != nil {
		t.Fatal(err)
	}
	var seeds struct{ HPKE, Ed25519 []byte }
	if err := json.Unmarshal(raw, &seeds); err != nil || len(seeds.HPKE) != 32 {
		t.Fatalf("the identity's document has changed: %v", err)
	}
	dek := keys.NewDEK()
	needles := [][]byte{[]byte(markedSecret)}
	for _, key := range [][]byte{seeds.HPKE, seeds.Ed25519, dek.Bytes()} {
		needles = append(needles, key, fmt.Appendf(nil, "%x", key), fmt.Appendf(nil, "%X", key), []byte(strings.Trim(fmt.Sprint(key), "[]")), []byte(strings.Trim(fmt.Sprintf("%#v", key), "[]byte{}")))
	}
	for name, v := range map[string]any{
		"configuration": cfg, "pointer to it": &cfg, "site": cfg.Site, "secret": access.Secret(markedSecret), "credential": access.Credential{AccessKeyID: "a", Secret: markedSecret},
		"backend credentials": backend.Credentials{AccessKeyID: "a", SecretAccessKey: markedSecret}, "backend configuration": backend.Config{Users: cfg.backendUsers()},
		"map": map[string]any{"x": cfg}, "error": fmt.Errorf("x: %v", cfg.Backend), "identity": id, "identity's value": *id, "DEK": dek, "struct of keys": struct {
			a *keys.Identity
			b keys.DEK
			c access.Secret
		}{id, dek, markedSecret},
	} {
		var said bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} { // of %p fmt asks no method, and vet refuses it
			fmt.Fprintf(&said, verb+"\n", v)
		}
		if doc, err := json.Marshal(v); err == nil {
			said.Write(doc)
		}
		if doc, err := marshalYAML(v); err == nil {
			said.Write(doc)
		}
		log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&said), zap.DebugLevel))
		log.Info("x", zap.Any("v", v), zap.Reflect("r", v))
		if name == "struct of keys" {
			said = *bytes.NewBuffer(bytes.ReplaceAll(said.Bytes(), []byte(markedSecret), nil)) // fmt asks no unexported field for its methods: none of ours is printed so
		}
		for _, n := range needles {
			if bytes.Contains(said.Bytes(), n) {
				t.Errorf("%s shows %.20q...", name, n)
			}
		}
	}
}

// marshalYAML takes a value that YAML cannot write for one that it does not show.
func marshalYAML(v any) (doc []byte, err error) {
	defer func() {
		if recover() != nil {
			doc = nil
		}
	}()
	return yaml.Marshal(v)
}
