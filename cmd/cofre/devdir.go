package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"cofre/access"
	"cofre/keys"
	"cofre/keys/agefile"
)

// devDirectory is where `cofre dev` keeps everything:
//
//	identity.age, identity.age.trust.json   the site
//	passphrase                              opens the identity; a convenience that production must not have
//	credentials.json                        the generated credential
//	metadata.db                             the metadata store
//	backend/                                the storage: sealed bytes
//	lock                                    held by the process that serves
//
// Each file is written whole or not at all, in an order in which a process killed in between leaves a state from which the
// next one goes on.
type devDirectory string

// devWorkFactor is scrypt's smallest sensible one: the passphrase is random, so there is nothing to guess slowly.
const devWorkFactor = 10

func (d devDirectory) file(name string) string { return filepath.Join(string(d), name) }

// prepare makes the directory and what is missing in it, and takes its lock until unlock is called.
func (d devDirectory) prepare() (unlock func() error, err error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	lock, err := d.lock()
	if err != nil {
		return nil, err
	}
	if err := d.fill(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock.Close, nil
}

// lock takes a lock that the kernel gives up when the process ends, however it ends.
func (d devDirectory) lock() (*os.File, error) {
	f, err := os.OpenFile(d.file("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("data directory %s is in use by another cofre: stop that one, or name another directory with --data", d)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// fill makes what is missing.
func (d devDirectory) fill() error {
	if err := d.ignore(); err != nil {
		return err
	}
	if !exists(d.file("passphrase")) {
		if exists(d.file("identity.age")) {
			return fmt.Errorf("open data directory %s: there is an identity, but no passphrase for it", d)
		}
		if err := writeNew(d.file("passphrase"), []byte(access.NewSecret().Reveal()+"\n")); err != nil {
			return err
		}
	}
	if !exists(d.file("identity.age")) {
		pass, err := readSecret(d.file("passphrase"))
		if err != nil {
			return err
		}
		id, err := keys.GenerateIdentity("cofre dev")
		if err != nil {
			return err
		}
		if err := (agefile.Config{WorkFactor: devWorkFactor}).Write(d.file("identity.age"), pass.Reveal(), id); err != nil {
			return err
		}
	}
	if !exists(d.file("credentials.json")) {
		doc, err := json.Marshal(devCredential{access.NewAccessKeyID(), access.NewSecret().Reveal()})
		if err != nil {
			return fmt.Errorf("encode credentials: %w", err)
		}
		return writeNew(d.file("credentials.json"), append(doc, '\n'))
	}
	return nil
}

// ignore keeps the directory, keys and all, out of the repository in which it may lie.
func (d devDirectory) ignore() error {
	if exists(d.file(".gitignore")) {
		return nil
	}
	return writeNew(d.file(".gitignore"), []byte("*\n"))
}

type devCredential struct {
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
}

// config is the configuration that the directory stands for.
func (d devDirectory) config() (Config, error) {
	if !exists(d.file("identity.age")) {
		return Config{}, usagef("%s is no data directory of `cofre dev`", d)
	}
	path, err := filepath.Abs(string(d))
	if err != nil {
		return Config{}, fmt.Errorf("find data directory: %w", err)
	}
	cfg := defaultConfig()
	cfg.Domains = []string{"localhost"}
	cfg.Site.Identity = d.file("identity.age")
	if cfg.Site.Passphrase, err = readSecret(d.file("passphrase")); err != nil {
		return Config{}, err
	}
	doc, err := os.ReadFile(d.file("credentials.json"))
	if err != nil {
		return Config{}, fmt.Errorf("read credentials: %w", err)
	}
	var c devCredential
	if err := json.Unmarshal(doc, &c); err != nil {
		return Config{}, fmt.Errorf("read credentials: %w", err)
	}
	cfg.Credentials = []CredentialConfig{everything(c.AccessKey, access.Secret(c.SecretKey))}
	// The storage is reached through a pipe within the process and checks no signature; these only have to be there.
	cfg.Backend.Endpoint, cfg.Backend.AccessKey, cfg.Backend.SecretKey = "http://disk.invalid", "dev", "dev-storage"
	cfg.Metadata.URL = access.Secret("sqlite://" + filepath.Join(path, "metadata.db"))
	return cfg, nil
}

// writeNew writes a file for its owner alone, whole or not at all, also when the process or the machine stops midway.
func writeNew(path string, contents []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
		}
	}()
	if _, err := f.Write(contents); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
