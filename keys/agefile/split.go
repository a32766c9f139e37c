package agefile

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"filippo.io/age"
)

// splitStanza is the recipient of a file whose passphrase was split into shares. It is age's scrypt stanza with two arguments
// more: a type of its own, so that whoever finds the file is told to look for shares, and never asked for a passphrase that
// nobody knows.
//
//	-> cofre-shares SALT WORK-FACTOR THRESHOLD SHARES
//
// The arguments are in clear and decide nothing; age's MAC over the header is checked once the file opens.
const splitStanza = "cofre-shares"

const scryptStanza = "scrypt"

// Split says into how many shares the passphrase of a file was split, and how many it takes. The zero value: it was not.
type Split struct{ Threshold, Shares int }

// String names it as people do.
func (s Split) String() string { return fmt.Sprintf("%d of %d shares", s.Threshold, s.Shares) }

// SplitOf gives what an identity file says of its shares, without opening it; the zero value where a passphrase opens it.
func SplitOf(sealed []byte) Split {
	rest, _ := bytes.CutPrefix(sealed, []byte(magic))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	words := strings.Fields(string(line[:min(len(line), maxStanza)]))
	if len(words) != 6 || words[0] != "->" || words[1] != splitStanza {
		return Split{}
	}
	s, err := parseSplit(words[4:])
	if err != nil {
		return Split{}
	}
	return s
}

// maxStanza bounds the first line of a stanza, in bytes.
const maxStanza = 256

func parseSplit(words []string) (s Split, err error) {
	for i, n := range []*int{&s.Threshold, &s.Shares} {
		if *n, err = strconv.Atoi(words[i]); err != nil {
			return Split{}, fmt.Errorf("parse %s stanza: %w", splitStanza, err)
		}
	}
	if s.Threshold < 1 || s.Shares < s.Threshold {
		return Split{}, fmt.Errorf("parse %s stanza: %s", splitStanza, s)
	}
	return s, nil
}

// splitRecipient seals as age does for a passphrase, and says of it that it was split.
type splitRecipient struct {
	passphrase *age.ScryptRecipient
	split      Split
}

// Wrap implements age.Recipient.
func (r splitRecipient) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	stanzas, err := r.passphrase.Wrap(fileKey)
	if err != nil {
		return nil, err
	}
	for _, s := range stanzas {
		s.Type = splitStanza
		s.Args = append(s.Args, strconv.Itoa(r.split.Threshold), strconv.Itoa(r.split.Shares))
	}
	return stanzas, nil
}

// splitIdentity opens both forms: the split one is age's own with another name and two words more.
type splitIdentity struct{ passphrase *age.ScryptIdentity }

// Unwrap implements age.Identity.
func (i splitIdentity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != splitStanza || len(stanzas[0].Args) != 4 {
		return i.passphrase.Unwrap(stanzas)
	}
	s := stanzas[0]
	return i.passphrase.Unwrap([]*age.Stanza{{Type: scryptStanza, Args: s.Args[:2], Body: s.Body}})
}
