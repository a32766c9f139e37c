package main

import (
	"github.com/spf13/cobra"
)

func serveCommand(a app) *cobra.Command {
	var src source
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve S3 as the configuration says, until SIGTERM",
		Long: "Serve S3 as the configuration says. On SIGTERM or SIGINT /readyz says no; after limits.drain_delay no more\n" +
			"connections are taken, and requests in flight may end within limits.drain. A second signal ends the process at once.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := src.load(a)
			if err != nil {
				return err
			}
			return run(cmd.Context(), cfg, outside{log: a.stderr, actor: a.actor()})
		},
	}
	src.configFlag(cmd, a)
	return cmd
}
