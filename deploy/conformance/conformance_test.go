// Package conformance_test runs the tests of the programs in this directory, which are Python as the suite is that they run.
package conformance_test

import (
	"os/exec"
	"testing"
)

func TestTheMeasure(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "python3", "-B", "-m", "unittest", "-v").CombinedOutput()
	if err != nil {
		t.Fatalf("python3 -m unittest: %v\n%s", err, out)
	}
}
