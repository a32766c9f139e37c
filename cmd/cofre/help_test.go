package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// eachCommand visits a command and all below it.
func eachCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, child := range cmd.Commands() {
		eachCommand(child, visit)
	}
}

// pflag takes the first words in backquotes for the name of a flag's value.
func TestHelpNamesTheValueOfEachFlagByOneWord(t *testing.T) {
	flags := 0
	eachCommand(newRoot(app{}), func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			flags++
			if name, _ := pflag.UnquoteUsage(f); strings.ContainsAny(name, " `") || strings.Contains(f.Usage, "`") {
				t.Errorf("%s --%s has a value named %q", cmd.CommandPath(), f.Name, name)
			}
		})
	})
	if flags < 100 {
		t.Fatalf("only %d flags were looked at", flags)
	}
}
