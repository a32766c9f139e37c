package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cofre/access"
)

var update = flag.Bool("update", false, "write example.yaml anew")

// exampleHead stands before the first key.
const exampleHead = `# cofre.yaml: every key that there is, with its default. Lines that begin with "#" and a key can be taken in by removing
# the "#"; what is not commented out has to be set.
`

// readManual gives the comments of the configuration's fields, as "BucketConfig.Name", and of Config itself, as "Config".
func readManual(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	manual := map[string]string{}
	for _, decl := range file.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range general.Specs {
			typ, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			manual[typ.Name.Name] = general.Doc.Text()
			for _, f := range typ.Type.(*ast.StructType).Fields.List {
				for _, name := range f.Names {
					manual[typ.Name.Name+"."+name.Name] = f.Doc.Text()
				}
			}
		}
	}
	return manual
}

// example writes the file from the struct: comment, then key and default.
type example struct {
	t      *testing.T
	fields map[string]string
	b      strings.Builder
}

func (e *example) comment(indent, text string) {
	for line := range strings.Lines(text) {
		e.b.WriteString(strings.TrimRight(indent+"# "+line, " \n") + "\n")
	}
}

// keys writes the keys of a struct. In a commented-out list all are commented out, and dash marks the first.
func (e *example) keys(v reflect.Value, indent string, out bool, dash string) {
	for i := range v.NumField() {
		f, value := v.Type().Field(i), v.Field(i)
		name := f.Tag.Get("yaml")
		mark := ""
		if out || f.Tag.Get("required") == "" {
			mark = "#"
		}
		lead := indent
		if dash != "" && i > 0 {
			lead = indent + strings.Repeat(" ", len(dash))
		}
		key := lead + mark
		if dash != "" && i == 0 {
			key = indent + mark + dash
		}
		doc := e.fields[v.Type().Name()+"."+f.Name]
		if doc == "" {
			e.t.Errorf("%s.%s has no comment, so the manual is silent about %s", v.Type().Name(), f.Name, name)
		}
		switch {
		case f.Type.Kind() == reflect.Struct:
			e.b.WriteString("\n")
			e.comment(lead, doc)
			fmt.Fprintf(&e.b, "%s%s:\n", lead, name)
			e.keys(value, lead+"  ", out, "")
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			e.b.WriteString("\n")
			e.comment(lead, doc)
			fmt.Fprintf(&e.b, "%s#%s:\n", lead, name)
			element := reflect.New(f.Type.Elem())
			if d, ok := element.Interface().(interface{ setDefaults() }); ok {
				d.setDefaults()
			}
			e.keys(element.Elem(), lead+"  ", true, "- ")
		default:
			e.comment(lead, doc)
			fmt.Fprintf(&e.b, "%s%s: %s\n", key, name, exampleValue(f, value))
		}
	}
}

var plainText = regexp.MustCompile(`^[A-Za-z0-9./_-]+$`)

func exampleValue(f reflect.StructField, v reflect.Value) string {
	if ex := f.Tag.Get("example"); ex != "" {
		return ex
	}
	switch value := v.Interface().(type) {
	case access.Secret:
		return `"(a secret)"`
	case time.Duration:
		return shortDuration(value)
	case string:
		if !plainText.MatchString(value) {
			return fmt.Sprintf("%q", value)
		}
		return value
	case []string, Words:
		return "[]"
	default:
		return fmt.Sprint(value)
	}
}

// shortDuration writes 2m for 2m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func TestExampleIsWhatTheFieldsCommentsSay(t *testing.T) {
	e := &example{t: t, fields: readManual(t)}
	_, rules, ok := strings.Cut(e.fields["Config"], "\n\n")
	if !ok {
		t.Fatal("the comment of Config does not say how values are given")
	}
	e.b.WriteString(exampleHead)
	e.comment("", "\n"+rules)
	e.b.WriteString("\n")
	e.keys(reflect.ValueOf(defaultConfig()), "", false, "")
	if *update {
		if err := os.WriteFile("example.yaml", []byte(e.b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(exampleConfig, e.b.String()); d != "" {
		t.Fatalf("example.yaml is not what config.go says; run: go test ./cmd/cofre -run Example -update\n%s", d)
	}
}

var commentedKey = regexp.MustCompile(`(?m)^(\s*)#(\S)`)

func TestExampleHoldsKnownKeysAndItsDefaultsAreTheDefaults(t *testing.T) {
	l := &loader{file: "example.yaml", config: defaultConfig(), origin: map[string]string{}}
	l.readYAML([]byte(exampleConfig))
	full := &loader{file: "example.yaml", config: defaultConfig(), origin: map[string]string{}}
	full.readYAML([]byte(commentedKey.ReplaceAllString(exampleConfig, "$1$2")))
	for _, p := range append(l.problems, full.problems...) {
		t.Error(p)
	}
	if d := cmp.Diff(defaultConfig().Limits, full.config.Limits); d != "" {
		t.Error(d)
	}
	if len(full.config.Buckets) != 1 || len(full.config.Credentials) != 1 || len(full.config.Credentials[0].Grants) != 1 || len(full.config.Backend.Users) != 1 {
		t.Error("the example shows no entry of some list")
	}
	for name, key := range environmentKeys() {
		if full.origin[key] == "" {
			t.Errorf("the example does not show %s (%s)", key, name)
		}
	}
}
