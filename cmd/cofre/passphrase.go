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

// passphraseWanted says of which file a passphrase is asked, and by what it can be given without a terminal.
type passphraseWanted struct {
	of    string
	flag  string
	env   string // empty where the environment has another file's
	twice bool   // a new passphrase with a slip in it would lock its owner out
}

// oldPassphrase is of the site's own identity file.
var oldPassphrase = passphraseWanted{of: "the identity file", flag: "--passphrase-file", env: "COFRE_SITE_PASSPHRASE"}

func (w passphraseWanted) missing() error {
	give := w.flag
	if w.env != "" {
		give += " or " + w.env
	}
	return usagef("no passphrase of %s: give %s, or run this in a terminal", w.of, give)
}

// passphrase finds the passphrase of an identity file: a file named by flag, then the configuration (COFRE_SITE_PASSPHRASE
// among it), then the terminal.
func (a app) passphrase(file string, configured access.Secret, want passphraseWanted) (access.Secret, error) {
	switch {
	case file != "":
		return readSecret(file)
	case configured != "":
		return configured, nil
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", want.missing()
	}
	defer tty.Close()
	first, err := askPassphrase(tty, "Passphrase of "+want.of+": ")
	if err != nil || !want.twice {
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
func (a app) newPassphrase(file string, configured access.Secret, want passphraseWanted) (access.Secret, error) {
	want.twice = true
	pass, err := a.passphrase(file, configured, want)
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
