package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"cofre/access"
	"cofre/backend/disk"
)

func devCommand(a app) *cobra.Command {
	data := devDirectory(".cofre")
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Try cofre out on this machine: storage on disk, no service needed",
		Long: "Serve S3 from a directory of this machine, with an identity and credentials made at the first start.\n" +
			"State is kept. This is for trying cofre out and for tests: the passphrase lies beside the identity that it guards.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDev(cmd.Context(), a, data, o) },
	}
	cmd.Flags().StringVar((*string)(&data), "data", string(data), "directory for everything")
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:9000", "address for S3 clients")
	cmd.Flags().StringVar(&o.adminListen, "admin-listen", "127.0.0.1:9001", "address for /healthz, /readyz and /metrics")
	cmd.Flags().StringVar(&o.accessKey, "access-key", a.getenv("COFRE_ACCESS_KEY"), "access key id instead of the generated one (COFRE_ACCESS_KEY)")
	cmd.Flags().StringVar((*string)(&o.secretKey), "secret-key", "", "secret key instead of the generated one; better given as COFRE_SECRET_KEY")
	cmd.Flags().StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	cmd.PreRun = func(*cobra.Command, []string) {
		if o.secretKey == "" { // not the flag's default, which the help would print
			o.secretKey = access.Secret(a.getenv("COFRE_SECRET_KEY"))
		}
	}
	return cmd
}

// devOptions are what the flags of `cofre dev` say.
type devOptions struct {
	listen, adminListen string
	accessKey           string // with secretKey, or both empty
	secretKey           access.Secret
	logLevel            string
}

// devDrain is short, and there is no delay before it: a developer who presses ctrl-C wants the prompt back.
const devDrain = 5 * time.Second

func runDev(ctx context.Context, a app, dir devDirectory, o devOptions) (err error) {
	if (o.accessKey == "") != (o.secretKey == "") {
		return usagef("give both --access-key and --secret-key, or neither")
	}
	unlock, err := dir.prepare()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	cfg, err := dir.config()
	if err != nil {
		return err
	}
	if o.accessKey != "" {
		cfg.Credentials = []CredentialConfig{everything(o.accessKey, o.secretKey)}
	}
	cfg.Listen, cfg.AdminListen, cfg.Log.Level = o.listen, o.adminListen, o.logLevel
	cfg.Limits.Drain, cfg.Limits.DrainDelay = devDrain, 0
	if err := (&loader{config: cfg}).check(); err != nil {
		return err
	}
	storage, err := disk.Open(dir.file("backend"))
	if err != nil {
		return fmt.Errorf("open storage: %w", err)
	}
	defer func() { err = errors.Join(err, storage.Close()) }()
	pipe := newPipeListener()
	server := &http.Server{Handler: storage.Handler(), ReadHeaderTimeout: time.Minute}
	defer server.Close()
	go func() { _ = server.Serve(pipe) }() // it ends with Close, and its error says just that
	return run(ctx, cfg, outside{
		actor: a.actor(),
		log:   a.stderr,
		dial:  pipe.dial,
		ready: func(s3, admin net.Addr) error {
			return printBanner(a.stdout, banner{
				Endpoint: "http://" + clientAddress(s3), Admin: "http://" + clientAddress(admin), Data: string(dir),
				AccessKey: cfg.Credentials[0].AccessKey, SecretKey: cfg.Credentials[0].SecretKey.Reveal(), Region: cfg.Region,
			})
		},
	})
}

// clientAddress is the address by which a client on this machine reaches a listener.
func clientAddress(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return addr.String()
}

// everything is a credential that may do all there is.
func everything(accessKey string, secret access.Secret) CredentialConfig {
	var all Words
	for _, action := range access.AllActions() {
		all = append(all, action.String())
	}
	return CredentialConfig{AccessKey: accessKey, SecretKey: secret, Grants: []GrantConfig{{Bucket: "*", Actions: all}}}
}

// exists says whether there is a file of that name.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
