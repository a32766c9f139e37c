package longtest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentsNameTestsThatExist: a promise that names a test which is gone is held by nothing.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	var all []string
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(source, -1) {
			all = append(all, string(m[1]))
		}
		return err
	})
	if err != nil || len(all) < 500 {
		t.Fatalf("%d tests found, %v", len(all), err)
	}
	exists := func(name string, begins bool) bool {
		for _, have := range all {
			if have == name || begins && strings.HasPrefix(have, name) {
				return true
			}
		}
		return false
	}
	named := regexp.MustCompile("`(Test\\w+)(\\.\\.\\.)?[`/]")
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(documents) == 0 {
		t.Fatalf("no documents, %v", err)
	}
	found := 0
	for _, path := range append(documents, "../../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllSubmatch(text, -1) {
			if found++; !exists(string(m[1]), len(m[2]) > 0) {
				t.Errorf("%s names %s, which does not exist", filepath.Base(path), m[1])
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d tests are named", found)
	}
}
