package sigv4_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// secretName is what things are called that nobody may find out byte by byte from how long a comparison takes.
var secretName = regexp.MustCompile(`(?i)(signature|secret|hmac|passphrase|password|signingkey|mac)$`)

// comparedPlainly are comparisons of such names that tell nothing, each with its reason.
var comparedPlainly = map[string]string{
	"cmd/cofre/config_env.go: typeSecret":         "a type",
	"metadata/internal/row/same.go: SealedSecret": "ciphertext, of two rows of the same store",
	"sigv4/trailer.go: trailerSignature":          "the name of a trailer",
}

// TestSecretsAreComparedInConstantTime reads the whole program: a signature, a secret or a MAC is never compared by ==, !=, a switch,
// or a function that stops at the first difference, but with nothing ("" or nil).
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	files, compared := 0, 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			what := plainComparison(n, &compared)
			if what == "" {
				return true
			}
			at := filepath.ToSlash(strings.TrimPrefix(path, "../")) + ": " + what
			if comparedPlainly[at] == "" {
				t.Errorf("%s: line %d: use crypto/hmac.Equal or crypto/subtle", at, set.Position(n.Pos()).Line)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 300 || compared < 3 {
		t.Errorf("%d files and %d comparisons in constant time seen: this test looks in the wrong place", files, compared)
	}
}

// plainComparison names what a node compares in variable time; "" for nothing.
func plainComparison(n ast.Node, constant *int) string {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		if (n.Op == token.EQL || n.Op == token.NEQ) && !isNothing(n.X) && !isNothing(n.Y) {
			return firstSecret(n.X, n.Y)
		}
	case *ast.SwitchStmt:
		if n.Tag != nil {
			return firstSecret(n.Tag)
		}
	case *ast.CallExpr:
		f, ok := n.Fun.(*ast.SelectorExpr)
		if !ok {
			return ""
		}
		from, _ := f.X.(*ast.Ident)
		if from == nil {
			return ""
		}
		switch from.Name + "." + f.Sel.Name {
		case "hmac.Equal", "subtle.ConstantTimeCompare":
			*constant++
		case "bytes.Equal", "bytes.Compare", "strings.EqualFold", "strings.Compare", "slices.Equal", "reflect.DeepEqual", "strings.HasPrefix", "bytes.HasPrefix":
			return firstSecret(n.Args...)
		}
	}
	return ""
}

// isNothing says of an expression that it is "", nil, or a constant word of the protocol.
func isNothing(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return e.Name == "nil" || e.Name == "true" || e.Name == "false"
	}
	return false
}

func firstSecret(list ...ast.Expr) string {
	for _, e := range list {
		name := ""
		switch e := e.(type) {
		case *ast.Ident:
			name = e.Name
		case *ast.SelectorExpr:
			name = e.Sel.Name
		case *ast.SliceExpr:
			return firstSecret(e.X)
		case *ast.IndexExpr:
			return firstSecret(e.X)
		case *ast.CallExpr:
			if f, ok := e.Fun.(*ast.SelectorExpr); ok {
				name = f.Sel.Name
				if name == "Reveal" {
					return "Reveal()"
				}
			}
		case *ast.ParenExpr:
			return firstSecret(e.X)
		}
		if secretName.MatchString(name) {
			return name
		}
	}
	return ""
}
