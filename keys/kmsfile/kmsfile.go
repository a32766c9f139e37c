// Package kmsfile keeps a site identity in a file sealed by a key that is not in the file: one of a KMS, of an HSM, or of a
// key file. The identity is sealed by a random data key, and the data key by the KMS, so that the KMS sees 32 random bytes
// and never the identity.
package kmsfile

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"cofre/internal/durable"
	"cofre/keys"
)

// MaxSize bounds what is read of a file, in bytes. An identity takes about one KiB.
const MaxSize = 64 << 10

// ErrExists says that there is a file already. An identity is never overwritten: it may be the only one that opens what was
// sealed.
var ErrExists = errors.New("identity file exists already")

// document is the file. It holds no secret in clear: the URL names a key, and what opens it comes from the environment.
type document struct {
	Version int         `json:"version"`
	Site    keys.SiteID `json:"site"`
	KMS     string      `json:"kms"`
	Key     []byte      `json:"key"`      // the data key, sealed by the KMS
	Sealed  []byte      `json:"identity"` // the identity, sealed by the data key
}

func (d document) marshal() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // URLs are for people to read and to correct
	enc.SetIndent("", "  ")
	err := enc.Encode(d)
	return b.Bytes(), err
}

// File is an identity file that was read and not opened yet.
type File struct {
	Key  Key         // what guards it
	Site keys.SiteID // whose it says it is, which is proved by opening it
	doc  document
}

// Is says whether a file's contents may be those of a file of this package.
func Is(contents []byte) bool { return bytes.HasPrefix(contents, []byte("{")) }

// Parse reads the contents of a file. It takes exactly what Seal wrote, where only values may be other ones: whatever two
// parsers could understand in two ways (a name that is repeated, unknown or in other case, base64 with line breaks) is
// written differently by cofre itself, and so refused.
func Parse(contents []byte) (*File, error) {
	f, err := parse(contents)
	if err != nil {
		return nil, fmt.Errorf("read identity file: %w", err)
	}
	return f, nil
}

func parse(contents []byte) (*File, error) {
	if len(contents) > MaxSize {
		return nil, fmt.Errorf("%w: longer than %d bytes", keys.ErrMalformed, MaxSize)
	}
	f := &File{}
	if err := json.Unmarshal(contents, &f.doc); err != nil {
		return nil, fmt.Errorf("%w: %w", keys.ErrMalformed, err)
	}
	if f.doc.Version != 1 {
		return nil, fmt.Errorf("%w: version %d; this cofre knows version 1", keys.ErrMalformed, f.doc.Version)
	}
	canonical, err := f.doc.marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", keys.ErrMalformed, err)
	}
	if !bytes.Equal(canonical, contents) {
		return nil, fmt.Errorf("%w: not in the form that cofre writes", keys.ErrMalformed)
	}
	if f.Key, err = ParseKey(f.doc.KMS); err != nil {
		return nil, fmt.Errorf("kms: %w", err)
	}
	f.Site = f.doc.Site
	return f, nil
}

// Open asks the KMS for the data key and opens the identity. Errors are ErrUnavailable, ErrDenied, ErrNoKey, ErrWrongKey or
// ErrAltered, or say what is missing here.
func (f *File) Open(ctx context.Context) (*keys.Identity, error) {
	id, err := f.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("read identity file: %w", err)
	}
	return id, nil
}

func (f *File) open(ctx context.Context) (*keys.Identity, error) {
	dataKey, err := f.Key.unwrap(ctx, f.Site, f.doc.Key)
	if err != nil {
		return nil, err
	}
	defer clear(dataKey)
	secret, err := openGCM(dataKey, identityLabel, f.Site, f.doc.Sealed)
	if err != nil {
		return nil, ErrAltered
	}
	defer clear(secret)
	id, err := keys.ParseIdentity(secret)
	if err != nil {
		return nil, err
	}
	if id.ID() != f.Site {
		return nil, ErrAltered
	}
	return id, nil
}

// Seal gives the contents of a file that holds the identity, sealed by the key. It opens it once more before it is believed:
// who may encrypt with a key and not decrypt would otherwise learn it at the next start.
func Seal(ctx context.Context, key Key, id *keys.Identity) ([]byte, error) {
	contents, err := seal(ctx, key, id)
	if err != nil {
		return nil, fmt.Errorf("seal identity: %w", err)
	}
	return contents, nil
}

func seal(ctx context.Context, key Key, id *keys.Identity) ([]byte, error) {
	doc, err := sealed(ctx, key, id)
	if err != nil {
		return nil, err
	}
	contents, err := doc.marshal()
	if err != nil {
		return nil, err
	}
	f, err := parse(contents)
	if err != nil {
		return nil, err
	}
	f.Key = key // the same URL, and the same client
	if _, err := f.open(ctx); err != nil {
		return nil, fmt.Errorf("open again what was sealed: %w", err)
	}
	return contents, nil
}

// sealed seals the identity under a new data key.
func sealed(ctx context.Context, key Key, id *keys.Identity) (document, error) {
	secret, err := id.MarshalSecret()
	if err != nil {
		return document{}, err
	}
	defer clear(secret)
	dataKey := make([]byte, keySize)
	defer clear(dataKey)
	rand.Read(dataKey) // never returns an error: the runtime ends the process instead
	doc := document{Version: 1, Site: id.ID(), KMS: key.String()}
	if doc.Key, err = key.wrap(ctx, id.ID(), dataKey); err != nil {
		return document{}, err
	}
	doc.Sealed, err = sealGCM(dataKey, identityLabel, id.ID(), secret)
	return doc, err
}

// Write seals the identity and writes it as a new file of mode 0600. Either the whole file is there, and survives a power
// failure, or none is. A file that is there already is left as it is: ErrExists.
func Write(ctx context.Context, path string, key Key, id *keys.Identity) error {
	contents, err := Seal(ctx, key, id)
	if err != nil {
		return err
	}
	err = durable.CreateNew(path, contents)
	if errors.Is(err, durable.ErrExists) {
		err = ErrExists
	}
	if err != nil {
		return fmt.Errorf("write identity file: %w", err)
	}
	return nil
}
