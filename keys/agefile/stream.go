package agefile

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"cofre/keys"
)

// stanza is age's own recipient type for the KEM of site identities (C2SP age.md), so that the age program opens such a file too.
const stanza = "mlkem768x25519"

// ErrNotRecipient says that a file is not sealed to this identity.
var ErrNotRecipient = errors.New("not sealed to this identity")

// Encrypt gives a writer that seals what is written to it for all of the cards, at least one. The file is whole once the writer is
// closed without an error; w is not closed.
func Encrypt(w io.Writer, cards ...keys.Card) (io.WriteCloser, error) {
	recipients := make([]age.Recipient, len(cards))
	for i, card := range cards {
		recipients[i] = cardRecipient{card}
	}
	sealed, err := age.Encrypt(w, recipients...)
	if err != nil {
		return nil, fmt.Errorf("seal file: %w", err)
	}
	return sealed, nil
}

// Decrypt gives a reader of what Encrypt sealed: ErrNotRecipient where it was not for this identity. The reader fails where the file was
// altered, cut or extended, before it gives any byte of the chunk where that shows.
func Decrypt(r io.Reader, id *keys.Identity) (io.Reader, error) {
	plain, err := age.Decrypt(r, siteIdentity{id})
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, fmt.Errorf("open file: %w", ErrNotRecipient)
	}
	if err != nil {
		return nil, fmt.Errorf("open file: %w", err)
	}
	return plain, nil
}

// cardRecipient seals file keys to a card.
type cardRecipient struct{ card keys.Card }

// Wrap implements age.Recipient.
func (r cardRecipient) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	encapsulation, sealed, err := r.card.SealFileKey(fileKey)
	if err != nil {
		return nil, err
	}
	return []*age.Stanza{{Type: stanza, Args: []string{base64.RawStdEncoding.EncodeToString(encapsulation)}, Body: sealed}}, nil
}

// WrapWithLabels implements age.RecipientWithLabels: a file is not sealed to weaker recipients beside.
func (r cardRecipient) WrapWithLabels(fileKey []byte) ([]*age.Stanza, []string, error) {
	stanzas, err := r.Wrap(fileKey)
	return stanzas, []string{"postquantum"}, err
}

// siteIdentity opens file keys that were sealed to a site's card.
type siteIdentity struct{ id *keys.Identity }

// Unwrap implements age.Identity.
func (i siteIdentity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	for _, s := range stanzas {
		if s.Type != stanza || len(s.Args) != 1 {
			continue
		}
		encapsulation, err := base64.RawStdEncoding.Strict().DecodeString(s.Args[0])
		if err != nil {
			continue
		}
		const fileKeySize = 16 // bytes; C2SP age.md
		if fileKey, err := i.id.OpenFileKey(encapsulation, s.Body); err == nil && len(fileKey) == fileKeySize {
			return fileKey, nil
		}
	}
	return nil, age.ErrIncorrectIdentity
}
