// Package agefile keeps a site identity in a file sealed with a passphrase: an age file with one scrypt recipient
// (C2SP age.md), so that the age program can open it where cofre is not at hand. The site's trust list lies beside it.
package agefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"

	"cofre/internal/durable"
	"cofre/keys"
)

var (
	// ErrWrongPassphrase says that the passphrase does not open the file. It says no more on purpose.
	ErrWrongPassphrase = errors.New("wrong passphrase")
	// ErrExists says that there is a file already. An identity is never overwritten: it may be the only one that opens
	// what was sealed.
	ErrExists = errors.New("identity file exists already")
)

const (
	// DefaultWorkFactor is the base-2 logarithm of scrypt's N: about a quarter of a second and 64 MiB, taken once at start.
	// age's own 18 would take 256 MiB, more than everything that cofre ever does; docs/DECISIONS.md weighs it.
	DefaultWorkFactor = 16
	// maxWorkFactor bounds what a file can ask of a reader: some 15 seconds and 4 GiB.
	maxWorkFactor = 22
	// maxFile bounds what is read of a file, in bytes. An identity takes less than one KiB.
	maxFile = 64 << 10
	// magic begins every age file.
	magic = "age-encryption.org/v1\n"
)

// Is says whether a file's contents are those of an age file.
func Is(contents []byte) bool { return bytes.HasPrefix(contents, []byte(magic)) }

// Config is how identity files are written.
type Config struct {
	WorkFactor int   // base-2 logarithm of scrypt's N, 1 to 22; 0 is DefaultWorkFactor
	Split      Split // what the file says of the shares of its passphrase, in clear
}

// Write writes an identity with the default work factor: see Config.Write.
func Write(path, passphrase string, id *keys.Identity) error {
	return Config{}.Write(path, passphrase, id)
}

// Write seals the identity with the passphrase and writes it as a new file of mode 0600. Either the whole file is there,
// and survives a power failure, or none is. A file that is there already is left as it is: ErrExists.
func (c Config) Write(path, passphrase string, id *keys.Identity) error {
	if _, err := os.Lstat(path); err == nil { // told early, before the work; CreateNew decides
		return fmt.Errorf("write identity file: %w", ErrExists)
	}
	sealed, err := c.Seal(passphrase, id)
	if err != nil {
		return fmt.Errorf("write identity file: %w", err)
	}
	err = durable.CreateNew(path, sealed)
	if errors.Is(err, durable.ErrExists) {
		err = ErrExists
	}
	if err != nil {
		return fmt.Errorf("write identity file: %w", err)
	}
	return nil
}

// Seal gives the contents of an identity file.
func (c Config) Seal(passphrase string, id *keys.Identity) ([]byte, error) {
	if c.WorkFactor == 0 {
		c.WorkFactor = DefaultWorkFactor
	}
	if c.WorkFactor < 1 || c.WorkFactor > maxWorkFactor {
		return nil, fmt.Errorf("work factor %d is not in 1 to %d", c.WorkFactor, maxWorkFactor)
	}
	scrypt, err := age.NewScryptRecipient(passphrase) // refuses an empty passphrase
	if err != nil {
		return nil, err
	}
	scrypt.SetWorkFactor(c.WorkFactor)
	recipient := age.Recipient(scrypt)
	if c.Split != (Split{}) {
		recipient = splitRecipient{scrypt, c.Split}
	}
	secret, err := id.MarshalSecret()
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(secret); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return sealed.Bytes(), nil
}

// Read opens an identity file. A passphrase that does not open it is ErrWrongPassphrase and nothing more; a file that is no
// identity file, or was damaged, is another error.
func Read(path, passphrase string) (*keys.Identity, error) {
	sealed, err := durable.Read(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read identity file: %w", err)
	}
	return Open(sealed, passphrase)
}

// Open opens the contents of an identity file, as Read does.
func Open(sealed []byte, passphrase string) (*keys.Identity, error) {
	id, err := open(sealed, passphrase)
	if errors.Is(err, ErrWrongPassphrase) {
		return nil, ErrWrongPassphrase
	}
	if err != nil {
		return nil, fmt.Errorf("read identity file: %w", err)
	}
	return id, nil
}

func open(sealed []byte, passphrase string) (*keys.Identity, error) {
	if passphrase == "" {
		return nil, ErrWrongPassphrase
	}
	opener, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err
	}
	opener.SetMaxWorkFactor(maxWorkFactor)
	r, err := age.Decrypt(bytes.NewReader(sealed), splitIdentity{opener})
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, ErrWrongPassphrase
	}
	if err != nil {
		return nil, err
	}
	secret, err := io.ReadAll(r) // no longer than the file
	defer clear(secret)
	if err != nil {
		return nil, err
	}
	return keys.ParseIdentity(secret)
}
