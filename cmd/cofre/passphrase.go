package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"cofre/access"
)

// minPassphrase is for new identities, in characters. The file that it guards may be copied and tried at leisure.
const minPassphrase = 12

// askOnce and askTwice say how often a terminal is asked: a new passphrase with a slip in it would lock its owner out.
const (
	askOnce  = 1
	askTwice = 2
)

// passphrase finds the passphrase of an identity file: a file named by flag, then the configuration (COFRE_SITE_PASSPHRASE
// among it), then the terminal.
func (a app) passphrase(file string, configured access.Secret, times int) (access.Secret, error) {
	switch {
	case file != "":
		return readSecret(file)
	case configured != "":
		return configured, nil
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", usagef("no passphrase: give --passphrase-file or COFRE_SITE_PASSPHRASE, or run this in a terminal")
	}
	defer tty.Close()
	first, err := askPassphrase(tty, "Passphrase of the identity file: ")
	if err != nil || times == askOnce {
		return first, err
	}
	second, err := askPassphrase(tty, "The same again: ")
	if err != nil {
		return "", err
	}
	if first != second { // both were typed by the same person just now: there is nobody to hide timing from
		return "", errors.New("the two passphrases differ")
	}
	return first, nil
}

// newPassphrase finds the passphrase for a file that is going to be sealed by it.
func (a app) newPassphrase(file string, configured access.Secret) (access.Secret, error) {
	pass, err := a.passphrase(file, configured, askTwice)
	if err != nil {
		return "", err
	}
	if len(pass) < minPassphrase {
		return "", fmt.Errorf("seal identity: the passphrase has %d characters; use at least %d", len(pass), minPassphrase)
	}
	return pass, nil
}

func askPassphrase(tty *os.File, prompt string) (access.Secret, error) {
	if _, err := io.WriteString(tty, prompt); err != nil {
		return "", fmt.Errorf("ask passphrase: %w", err)
	}
	typed, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(tty)
	if err != nil {
		return "", fmt.Errorf("ask passphrase: %w", err)
	}
	if len(typed) == 0 {
		return "", errors.New("no passphrase was typed")
	}
	return access.Secret(typed), nil
}
