package main

import (
	_ "embed"
	"fmt"

	"github.com/spf13/cobra"
)

// exampleConfig is generated from the comments of Config; a test keeps it so.
//
//go:embed example.yaml
var exampleConfig string

func configCommand(a app) *cobra.Command {
	return group("config", "Check a configuration, or print one with all keys explained", configCheckCommand(a), configExampleCommand(a))
}

func configCheckCommand(a app) *cobra.Command {
	var src source
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say everything that is wrong with the configuration, and exit 2 if anything is",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := src.load(a)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "configuration is good: S3 on %s, backend %s, %d buckets entries, %d credentials\n",
				c.Listen, c.Backend.Endpoint, len(c.Buckets), len(c.Credentials))
			return err
		},
	}
	src.configFlag(cmd, a)
	return cmd
}

func configExampleCommand(a app) *cobra.Command {
	return &cobra.Command{
		Use:   "example",
		Short: "Print a configuration file with every key, its default and what it is for",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(a.stdout, exampleConfig)
			return err
		},
	}
}
