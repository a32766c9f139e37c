package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

const healthcheckTimeout = 3 * time.Second

func healthcheckCommand(a app) *cobra.Command {
	var src source
	var url string
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask a running cofre on this machine whether it is ready; exit 1 if it is not",
		Long: "Ask a running cofre whether it is ready. Without --url, admin_listen of the configuration or\n" +
			"COFRE_ADMIN_LISTEN says where it is. Made for container health checks: the image holds no curl.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if url == "" {
				// The rest of the configuration is not looked at: the running process is asked, not its files.
				l := loadConfig(src.config, a.environ, "listen")
				err := l.err()
				if err != nil {
					return err
				}
				if url, err = readyURL(l.config.AdminListen); err != nil {
					return err
				}
			}
			return askReady(cmd.Context(), url, a.stdout)
		},
	}
	src.configFlag(cmd, a)
	cmd.Flags().StringVar(&url, "url", "", "ask this URL, as http://127.0.0.1:9001/readyz")
	return cmd
}

// readyURL turns an address to listen on into one to ask: a listener on every address is asked on loopback.
func readyURL(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", usagef("admin_listen: %q is no address", listen)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port) + "/readyz", nil
}

func askReady(ctx context.Context, url string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usagef("healthcheck: %w", err)
	}
	// No proxy of the environment: what is asked for is on this machine.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask readiness: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("ask readiness: %w", err)
	}
	if _, err := out.Write(body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New("not ready: " + resp.Status)
	}
	return nil
}
