// Command cofre is an encrypting S3 reverse proxy, and the tools by which it is run. `cofre help` lists them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(mainExit()) }

// mainExit runs the command and gives the exit code. SIGINT and SIGTERM ask it to end; the second one ends it at once.
func mainExit() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return execute(ctx, app{args: os.Args[1:], environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr})
}
