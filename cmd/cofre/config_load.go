package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"cofre/access"
)

// problem is one thing that is wrong with a configuration: where, what, and what to do. It never holds a secret.
type problem struct {
	where string // "cofre.yaml:12" or "environment"; empty where nothing was written
	key   string // as buckets[0].name
	what  string
	fix   string
}

func (p problem) String() string {
	var b strings.Builder
	if p.where != "" {
		b.WriteString(p.where + ": ")
	}
	if p.key != "" {
		b.WriteString(p.key + ": ")
	}
	b.WriteString(p.what)
	if p.fix != "" {
		b.WriteString("; " + p.fix)
	}
	return b.String()
}

// configError is all that is wrong with a configuration, so that an operator mends it in one go.
type configError []problem

func (e configError) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return "configuration: " + strings.Join(lines, "\nconfiguration: ")
}

// loader reads a configuration from its sources. It remembers where each key came from, for messages about its value.
type loader struct {
	file     string
	config   Config
	origin   map[string]string // key -> where
	problems configError
	warnings []string
	// unreadable says that there is no configuration to check.
	unreadable bool
}

// loadConfig reads the file (none where path is empty), then the environment, which wins, then the files that secrets
// are in: those of the named sections, or all where none is named. What is wrong is collected; err tells it.
func loadConfig(path string, environ []string, sections ...string) *loader {
	l := &loader{file: path, config: defaultConfig(), origin: map[string]string{}}
	if path != "" {
		doc, err := os.ReadFile(path)
		if err != nil {
			l.giveUp(problem{what: fmt.Sprintf("read configuration: %v", err), fix: "name a file with --config or COFRE_CONFIG"})
			return l
		}
		l.readYAML(doc)
	}
	l.readEnvironment(environ)
	l.readSecretFiles(sections)
	return l
}

// err is everything that was found wrong so far, or nil.
func (l *loader) err() error {
	if len(l.problems) == 0 {
		return nil
	}
	return l.problems
}

// giveUp reports a problem that leaves nothing else to look at.
func (l *loader) giveUp(p problem) {
	l.problems, l.unreadable = append(l.problems, p), true
}

func (l *loader) report(key, what, fix string) {
	l.problems = append(l.problems, problem{where: l.whereIs(key), key: key, what: what, fix: fix})
}

// whereIs says where a key was written, or else the nearest key around it.
func (l *loader) whereIs(key string) string {
	for key != "" {
		if where, ok := l.origin[key]; ok {
			return where
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return ""
}

func (l *loader) readYAML(doc []byte) {
	dec := yaml.NewDecoder(bytes.NewReader(doc))
	var root yaml.Node
	if err := dec.Decode(&root); err != nil {
		if !errors.Is(err, io.EOF) { // an empty file says nothing, which is no mistake
			l.giveUp(problem{where: l.file, what: yamlMessage(err)})
		}
		return
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		l.giveUp(problem{where: l.file, what: "a second document follows the first", fix: "keep one"})
		return
	}
	place := func(n *yaml.Node) string { return fmt.Sprintf("%s:%d", l.file, n.Line) }
	l.decode(root.Content[0], reflect.ValueOf(&l.config).Elem(), "", place)
}

// yamlMessage takes the library's name off its message: which library reads the file is of no use to the operator.
func yamlMessage(err error) string { return strings.TrimPrefix(err.Error(), "yaml: ") }

// decode puts a YAML value into a field. It walks structs and lists itself, so that unknown keys, repeated keys and values
// of a wrong kind are all found at once and each is told with its full key and line.
func (l *loader) decode(node *yaml.Node, field reflect.Value, key string, place func(*yaml.Node) string) {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if key != "" {
		l.origin[key] = place(node)
	}
	if node.Tag == "!!null" {
		return // "key:" without a value says nothing
	}
	_, special := field.Addr().Interface().(yaml.Unmarshaler)
	switch {
	case special:
		l.decodeLeaf(node, field, key)
	case field.Kind() == reflect.Struct:
		l.decodeStruct(node, field, key, place)
	case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct:
		l.decodeList(node, field, key, place)
	default:
		l.decodeLeaf(node, field, key)
	}
}

func (l *loader) decodeStruct(node *yaml.Node, field reflect.Value, key string, place func(*yaml.Node) string) {
	if node.Kind != yaml.MappingNode {
		l.report(key, "is not a mapping", "write keys below it, each on a line of its own")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, full := node.Content[i], join(key, node.Content[i].Value)
		member, ok := fieldNamed(field, name.Value)
		switch {
		case !ok:
			l.problems = append(l.problems, problem{where: place(name), key: full, what: "unknown key", fix: suggest(name.Value, yamlNames(field.Type()))})
		case seen[name.Value]:
			l.problems = append(l.problems, problem{where: place(name), key: full, what: "key is given twice", fix: "keep one"})
		default:
			seen[name.Value] = true
			l.decode(node.Content[i+1], member, full, place)
			l.origin[full] = place(name)
		}
	}
}

func (l *loader) decodeList(node *yaml.Node, field reflect.Value, key string, place func(*yaml.Node) string) {
	if node.Kind != yaml.SequenceNode {
		l.report(key, "is not a list", "begin each entry with a dash")
		return
	}
	list := reflect.MakeSlice(field.Type(), len(node.Content), len(node.Content))
	for i, element := range node.Content {
		if d, ok := list.Index(i).Addr().Interface().(interface{ setDefaults() }); ok {
			d.setDefaults()
		}
		l.decode(element, list.Index(i), fmt.Sprintf("%s[%d]", key, i), place)
	}
	field.Set(list)
}

var (
	typeSecret   = reflect.TypeFor[access.Secret]()
	typeDuration = reflect.TypeFor[time.Duration]()
	typeSize     = reflect.TypeFor[Size]()
)

// decodeLeaf puts a single value, or a list of words, into a field. Messages name the kind that is wanted and never the
// value that was there, which may be a secret in the wrong place.
func (l *loader) decodeLeaf(node *yaml.Node, field reflect.Value, key string) {
	isWord := node.Kind == yaml.ScalarNode
	var ok bool
	var want string
	switch {
	case field.Type() == typeSize:
		want = "is not a size: write bytes, or a whole number with KiB, MiB, GiB or TiB"
		ok = isWord && field.Addr().Interface().(*Size).UnmarshalText([]byte(node.Value)) == nil
	case field.Type() == typeDuration:
		want = "is not a time: write a number with a unit, as 30s, 5m or 1h"
		d, err := time.ParseDuration(node.Value)
		if ok = isWord && err == nil; ok {
			field.SetInt(int64(d))
		}
	case field.Kind() == reflect.String:
		want = "is not a text: put it in quotes"
		if ok = isWord; ok {
			field.SetString(node.Value) // as written: 0123 and yes are texts here
		}
	case field.Kind() == reflect.Bool:
		want, ok = "is not true or false", node.Decode(field.Addr().Interface()) == nil
	case field.Kind() == reflect.Int:
		want, ok = "is not a whole number", node.Decode(field.Addr().Interface()) == nil
	default:
		want, ok = "is not a list of texts", node.Decode(field.Addr().Interface()) == nil
	}
	if !ok {
		l.report(key, want, "")
	}
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func fieldNamed(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func yamlNames(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Tag.Get("yaml")
	}
	return names
}

// suggest names the key that was probably meant, or all that there are.
func suggest(name string, known []string) string {
	best := slices.MinFunc(known, func(a, b string) int { return editDistance(name, a) - editDistance(name, b) })
	if editDistance(name, best) <= 2 {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "known keys here: " + strings.Join(known, ", ")
}

// editDistance is how many letters must be put in, taken out or exchanged to make one word of the other.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
