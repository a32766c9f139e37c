package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// daemon is a service of a test's own, which may be ended and started again. Others share the services of the environment.
type daemon struct {
	name    string
	command func() *exec.Cmd
	answers func(ctx context.Context) error
	log     string // file
	running *exec.Cmd
	exited  chan struct{}
}

// start runs it and waits until it answers.
func (d *daemon) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := d.command()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", d.name, err)
	}
	exited := make(chan struct{})
	d.running, d.exited = cmd, exited
	go func() {
		_ = cmd.Wait() // how it ended is of no interest
		close(exited)
	}()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err = d.answers(ctx)
		cancel()
		if err == nil {
			return
		}
	}
	said, _ := os.ReadFile(d.log)
	t.Fatalf("%s does not answer after a minute: %v\n%s", d.name, err, said)
}

// end sends it a signal and waits until it is gone.
func (d *daemon) end(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if d.running == nil {
		return
	}
	if err := d.running.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%s: %v: %v", d.name, signal, err)
	}
	select {
	case <-d.exited:
	case <-time.After(30 * time.Second):
		_ = d.running.Process.Kill()
		<-d.exited
	}
	d.running = nil
}

// ownRedis starts a Redis that sites of this test use from now on.
func ownRedis(t *testing.T) *daemon {
	t.Helper()
	path, dir, address := tool(t, "redis-server"), t.TempDir(), freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	d := &daemon{
		name: "Redis", log: filepath.Join(dir, "log"),
		command: func() *exec.Cmd {
			return exec.Command(path, "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--daemonize", "no", "--save", "", "--appendonly", "no")
		},
		answers: func(ctx context.Context) error {
			client := redis.NewClient(&redis.Options{Addr: address})
			defer client.Close()
			return client.Ping(ctx).Err()
		},
	}
	t.Cleanup(func() { d.end(t, syscall.SIGTERM) })
	d.start(t)
	t.Setenv("COFRE_TEST_REDIS", "redis://"+address+"/0")
	return d
}

// ownPostgres starts a PostgreSQL that sites of this test use from now on. What it has acknowledged survives its end.
func ownPostgres(t *testing.T) *daemon {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		lack(t, "postgres", "initdb is neither below /usr/lib/postgresql nor on PATH")
	}
	bin, dir, address, password := filepath.Dir(found[len(found)-1]), t.TempDir(), freeAddress(t), randomHex(16)
	_, port, _ := net.SplitHostPort(address)
	as := postgresUser(t, dir)
	command := func(program string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, program), args...)
		cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as}
		return cmd
	}
	data, secret := filepath.Join(dir, "data"), filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o644); err != nil { // its own user reads it, in a directory of this test
		t.Fatal(err)
	}
	initialise := command("initdb", "-D", data, "-U", "cofre", "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8", "--no-locale", "--no-sync")
	if out, err := initialise.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	url := fmt.Sprintf("postgres://cofre:%s@%s/postgres?sslmode=disable", password, address)
	d := &daemon{
		name: "PostgreSQL", log: filepath.Join(dir, "log"),
		command: func() *exec.Cmd {
			return command("postgres", "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+dir, "-c", "max_connections=200")
		},
		answers: func(ctx context.Context) error {
			conn, err := pgx.Connect(ctx, url)
			if err != nil {
				return err
			}
			return conn.Close(ctx)
		},
	}
	t.Cleanup(func() { d.end(t, syscall.SIGINT) }) // its fast shutdown: sessions are ended, no waiting for clients
	d.start(t)
	t.Setenv("COFRE_TEST_POSTGRES", url)
	return d
}

// postgresUser gives the user that PostgreSQL runs as, since it refuses to be root, and the directory to that user.
func postgresUser(t *testing.T, dir string) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	var who *user.User
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			who = u
			break
		}
	}
	if who == nil {
		lack(t, "postgres", "there is no user to run it as")
	}
	uid, errUID := strconv.ParseUint(who.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(who.Gid, 10, 32)
	// The directory above is this test's own, and has to be passed through.
	if err := errors.Join(errUID, errGID, os.Chmod(filepath.Dir(dir), 0o711), os.Chown(dir, int(uid), int(gid))); err != nil { // nothing in it is secret
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
