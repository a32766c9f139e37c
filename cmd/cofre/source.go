package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// source says where a command finds its configuration: a file, the environment, or the data directory of `cofre dev`.
type source struct {
	config string
	data   string
}

// flags adds the flags by which a source is named.
func (s *source) flags(cmd *cobra.Command, a app) {
	s.configFlag(cmd, a)
	cmd.Flags().StringVar(&s.data, "data", "", "data directory of cofre dev, instead of a configuration")
	cmd.MarkFlagsMutuallyExclusive("config", "data")
}

func (s *source) configFlag(cmd *cobra.Command, a app) {
	cmd.Flags().StringVar(&s.config, "config", a.getenv("COFRE_CONFIG"), "configuration file (COFRE_CONFIG); without one, the environment alone")
}

// load gives the checked configuration. Warnings go to the command's error output.
func (s *source) load(a app) (Config, error) {
	if s.data != "" {
		return devDirectory(s.data).config()
	}
	l := loadConfig(s.config, a.environ)
	for _, w := range l.warnings {
		fmt.Fprintln(a.stderr, "cofre: warning:", w)
	}
	return l.config, l.check()
}
