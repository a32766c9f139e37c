package agefile

import (
	"errors"
	"fmt"
	"io/fs"

	"cofre/internal/durable"
	"cofre/keys"
)

// maxTrustList bounds what is read of a trust list's file, in bytes; what keys.ParseTrustList takes is a little less.
const maxTrustList = 17 << 20

// WriteTrustList writes a signed trust list beside the identity, in place of the one before: after a power failure either
// the old or the new one is there, whole. Which of two is the newer is keys.NewestTrustList's to say.
func WriteTrustList(path string, dsse []byte) error {
	if err := durable.Replace(path, dsse); err != nil {
		return fmt.Errorf("write trust list: %w", err)
	}
	return nil
}

// ReadTrustList reads what WriteTrustList wrote, without judging it. No file is keys.ErrNoTrustList.
func ReadTrustList(path string) ([]byte, error) {
	dsse, err := durable.Read(path, maxTrustList)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read trust list: %w", keys.ErrNoTrustList)
	}
	if err != nil {
		return nil, fmt.Errorf("read trust list: %w", err)
	}
	return dsse, nil
}
