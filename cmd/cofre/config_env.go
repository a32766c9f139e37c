package main

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"cofre/access"
)

const envPrefix = "COFRE_"

// ownVariables are variables that are no keys of the configuration: the commands read them themselves.
var ownVariables = []string{"COFRE_CONFIG", "COFRE_ACCESS_KEY", "COFRE_SECRET_KEY"}

// environmentKeys gives the key that each environment variable stands for.
func environmentKeys() map[string]string {
	keys := map[string]string{}
	walkKeys(reflect.TypeFor[Config](), "", func(key string) {
		keys[envPrefix+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))] = key
	})
	return keys
}

func walkKeys(t reflect.Type, key string, visit func(key string)) {
	for i := range t.NumField() {
		f := t.Field(i)
		full := join(key, f.Tag.Get("yaml"))
		if f.Type.Kind() == reflect.Struct {
			walkKeys(f.Type, full, visit)
			continue
		}
		visit(full)
	}
}

// readEnvironment lets environment variables replace what the file says. A secret given here replaces the file's, by
// whichever of its two keys each of them came.
func (l *loader) readEnvironment(environ []string) {
	keys := environmentKeys()
	values := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, envPrefix) && value != "" {
			values[name] = value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		key, ok := keys[name]
		if !ok {
			l.warnUnknownVariable(name, keys)
			continue
		}
		if twin := twinKey(key); l.origin[twin] != "environment "+envName(twin) {
			if f, ok := l.field(twin); ok {
				f.SetZero()
				delete(l.origin, twin)
			}
		}
		l.readVariable(name, key, values[name])
	}
}

func (l *loader) readVariable(name, key, value string) {
	field, _ := l.field(key)
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
	place := func(*yaml.Node) string { return "environment " + name }
	switch {
	case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct:
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(value), &doc); err != nil || len(doc.Content) == 0 {
			l.origin[key] = place(nil)
			l.report(key, "is not YAML", "write a list, as [{name: photos}]")
			return
		}
		node = doc.Content[0]
	case field.Kind() == reflect.Slice:
		node = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for word := range strings.SplitSeq(value, ",") {
			node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.TrimSpace(word)})
		}
	case field.Kind() == reflect.Bool, field.Kind() == reflect.Int:
		node.Tag = "" // let the value speak for its kind
	}
	l.decode(node, field, key, place)
}

// warnUnknownVariable tells of a variable that is no key. It is not refused: Kubernetes puts COFRE_SERVICE_HOST and the like
// there by itself for a service named cofre.
func (l *loader) warnUnknownVariable(name string, keys map[string]string) {
	if slices.Contains(ownVariables, name) || strings.HasPrefix(name, "COFRE_TEST_") {
		return
	}
	for known := range keys {
		if editDistance(name, known) <= 2 {
			l.warnings = append(l.warnings, fmt.Sprintf("environment %s is no key of the configuration and is ignored; did you mean %s?", name, known))
			return
		}
	}
}

func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// twinKey is the other key of a secret: x for x_file, x_file for x.
func twinKey(key string) string {
	if value, ok := strings.CutSuffix(key, "_file"); ok {
		return value
	}
	return key + "_file"
}

// field finds a key outside of lists.
func (l *loader) field(key string) (reflect.Value, bool) {
	v := reflect.ValueOf(&l.config).Elem()
	for name := range strings.SplitSeq(key, ".") {
		if v.Kind() != reflect.Struct {
			return reflect.Value{}, false
		}
		var ok bool
		if v, ok = fieldNamed(v, name); !ok {
			return reflect.Value{}, false
		}
	}
	return v, true
}

// readSecretFiles puts the contents of each x_file into x, wherever a struct has that pair.
func (l *loader) readSecretFiles(sections []string) {
	l.readSecretFilesOf(reflect.ValueOf(&l.config).Elem(), "", sections)
}

func (l *loader) readSecretFilesOf(v reflect.Value, key string, sections []string) {
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Tag.Get("yaml"), v.Field(i)
		switch {
		case len(sections) > 0 && !slices.Contains(sections, name):
		case f.Type() == typeSecret:
			if file, ok := fieldNamed(v, name+"_file"); ok {
				l.readSecretFile(join(key, name), f, file.String())
			}
		case f.Kind() == reflect.Struct:
			l.readSecretFilesOf(f, join(key, name), nil)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			for j := range f.Len() {
				l.readSecretFilesOf(f.Index(j), fmt.Sprintf("%s[%d]", join(key, name), j), nil)
			}
		}
	}
}

func (l *loader) readSecretFile(key string, secret reflect.Value, path string) {
	if path == "" {
		return
	}
	if secret.String() != "" {
		l.report(key, "is given together with "+key+"_file", "keep one of them")
		return
	}
	value, err := readSecret(path)
	if err != nil {
		l.report(key+"_file", err.Error(), "")
		return
	}
	secret.SetString(value.Reveal())
}

// maxSecretFile is far more than any secret takes, in bytes.
const maxSecretFile = 64 << 10

// readSecret reads a file that holds one secret. One line end after it is not part of it.
func readSecret(path string) (access.Secret, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	if info.Size() > maxSecretFile {
		return "", fmt.Errorf("read secret: %s is larger than %d bytes", path, maxSecretFile)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
	if text == "" {
		return "", fmt.Errorf("read secret: %s is empty", path)
	}
	return access.Secret(text), nil
}
