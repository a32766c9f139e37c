package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // what was asked for did not work
	exitUsage   = 2 // what was asked for, or the configuration, is wrong
)

// app is what a command gets from outside.
type app struct {
	args    []string
	environ []string
	stdout  io.Writer // what was asked for
	stderr  io.Writer // messages and the log
}

// usageError marks an error as the caller's.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// getenv gives an environment variable, the last one where there are several.
func (a app) getenv(name string) string {
	value := ""
	for _, entry := range a.environ {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			value = v
		}
	}
	return value
}

// execute runs the command that the arguments name and gives its exit code.
func execute(ctx context.Context, a app) int {
	begun := false // errors from before a command began are about how it was called
	root := newRoot(a)
	markBegun(root, &begun)
	root.SetArgs(a.args)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(a.stderr, "cofre:", line)
	}
	var usage usageError
	var config configError
	if !begun || errors.As(err, &usage) || errors.As(err, &config) {
		return exitUsage
	}
	return exitFailure
}

func markBegun(cmd *cobra.Command, begun *bool) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(c *cobra.Command, args []string) error {
			*begun = true
			return run(c, args)
		}
	}
	for _, child := range cmd.Commands() {
		markBegun(child, begun)
	}
}

func newRoot(a app) *cobra.Command {
	root := &cobra.Command{
		Use:   "cofre",
		Short: "cofre is an encrypting S3 reverse proxy",
		Long: "cofre speaks S3 to your clients and to your storage, and seals everything in between:\nthe storage never sees a plaintext byte.\n\n" +
			"Exit codes: 0, it was done. 1, it failed, or not all of it was done. 2, it was called wrongly, or the configuration is wrong.",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		devCommand(a), serveCommand(a), configCommand(a), siteCommand(a), credentialCommand(a),
		shareCommand(a), keyCommand(a), reencryptCommand(a), migrateCommand(a), jobCommand(a), healCommand(a), backupCommand(a), restoreCommand(a), rebuildCommand(a), verifyCommand(a), sweepCommand(a), exportCommand(a), decryptCommand(a), auditCommand(a), healthcheckCommand(a), doctorCommand(a), versionCommand(a),
	)
	return root
}

// wants is the check of a command's arguments by their names.
func wants(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef("%s: %s is missing: %s", cmd.CommandPath(), names[len(args)], cmd.UseLine())
		case len(args) > len(names):
			return usagef("%s: %q is one argument too many: %s", cmd.CommandPath(), args[len(names)], cmd.UseLine())
		}
		return nil
	}
}

// group makes a command that only holds others. Without one of them it says what there are, as an error.
func group(use, short string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			names := make([]string, len(children))
			for i, c := range children {
				names[i] = c.Name()
			}
			if len(args) > 0 {
				return usagef("unknown command %q for %q: use %s", args[0], cmd.CommandPath(), strings.Join(names, ", "))
			}
			return usagef("%q needs one of: %s", cmd.CommandPath(), strings.Join(names, ", "))
		},
	}
	cmd.AddCommand(children...)
	return cmd
}
