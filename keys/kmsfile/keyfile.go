package kmsfile

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"cofre/keys"
)

var fileProvider = provider{
	scheme: "file", name: "key file", check: checkFile, open: openFile,
	reach:  "check that the key file is where the URL says",
	access: "the key file must be readable by its owner alone, who must be who runs cofre: chmod 600",
}

// checkFile wants file:///absolute/path.
func checkFile(u *url.URL) error {
	if u.Host != "" || !filepath.IsAbs(u.Path) {
		return errors.New("names no file: write file:///absolute/path")
	}
	return onlyParameters(u)
}

// fileKeeper encrypts with the key in a file.
type fileKeeper struct {
	key  []byte
	site keys.SiteID
}

func openFile(_ context.Context, u *url.URL, site keys.SiteID) (keeper, error) {
	key, err := readKeyFile(u.Path)
	if err != nil {
		return nil, err
	}
	return &fileKeeper{key: key, site: site}, nil
}

func (k *fileKeeper) Encrypt(_ context.Context, plaintext []byte) ([]byte, error) {
	return sealGCM(k.key, dataKeyLabel, k.site, plaintext)
}

func (k *fileKeeper) Decrypt(_ context.Context, ciphertext []byte) ([]byte, error) {
	plaintext, err := openGCM(k.key, dataKeyLabel, k.site, ciphertext)
	if err != nil {
		return nil, because(ErrWrongKey, err)
	}
	return plaintext, nil
}

func (k *fileKeeper) Close() error {
	clear(k.key)
	return nil
}

// readKeyFile reads 32 bytes in base64 from a file that nobody but its owner may touch. What is asked is the opened file, so
// that it cannot be exchanged in between.
func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator says where the key is
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read key file: %s is no regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read key file: %s is open to others than its owner (mode %04o)", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	defer clear(text)
	key, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSuffix(string(text), "\n"))
	if err != nil || len(key) != keySize {
		clear(key)
		return nil, fmt.Errorf("read key file: %s does not hold %d bytes in base64", path, keySize)
	}
	return key, nil
}
