package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a program that the bench has started. What it says goes to a file.
type process struct {
	*exec.Cmd
	log  string
	done chan struct{}
}

// start starts a program with its output in dir.
func start(dir, name string, cmd *exec.Cmd) (*process, error) {
	p := &process{Cmd: cmd, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	cmd.Stderr = out
	// Ctrl-C is for the bench, which then ends everybody in order; where it is killed, they are told by the kernel.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.Process.Pid }

// stop ends it: asked first, made to after five seconds.
func (p *process) stop() {
	_ = p.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		_ = p.Process.Kill()
		<-p.done
	}
}

// ready waits until answers says yes, while the process lives.
func (p *process) ready(ctx context.Context, within, step time.Duration, answers func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for !answers() {
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %s", filepath.Base(p.Path), lastLines(p.log))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %s", filepath.Base(p.Path), ctx.Err(), lastLines(p.log))
		case <-time.After(step):
		}
	}
	return nil
}

func lastLines(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text[max(0, len(text)-1500):]))
}

func listens(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// freeAddress gives an address on loopback that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// loader is the load process.
type loader struct {
	*process
	jobs    *json.Encoder
	results *json.Decoder
	in      io.Closer
}

func startLoader(dir string) (*loader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "load")
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// A pipe of our own: Wait, which runs beside, would close exec's before its last line is read.
	out, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	cmd.Stdout = w
	p, err := start(dir, "load", cmd)
	if err != nil {
		return nil, err
	}
	return &loader{process: p, jobs: json.NewEncoder(in), results: json.NewDecoder(out), in: in}, nil
}

// do has a job done.
func (l *loader) do(ctx context.Context, j Job) (r Result, err error) {
	if err := ctx.Err(); err != nil {
		return r, err
	}
	if err := l.jobs.Encode(j); err != nil {
		return r, fmt.Errorf("load process: %w", err)
	}
	if err := l.results.Decode(&r); err != nil {
		return r, fmt.Errorf("load process: %w: %s", err, lastLines(l.log))
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}
