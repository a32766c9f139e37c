// Package shares splits what opens a recovery identity among several people (Shamir), so that any threshold of them can open it
// together and fewer learn nothing. What is split is a random secret, made here, from which the passphrase of the identity's
// file is derived: nobody chooses it and nobody sees it.
package shares

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"

	"cofre/keys"
)

// Bounds of how many shares there are and how many open: an index fits one byte, and one share alone would be a passphrase.
const (
	MinThreshold = 2
	MaxShares    = 255
)

var (
	// ErrDamaged says that a share is not as it was printed: a character is wrong, missing or too many.
	ErrDamaged = errors.New("share is damaged: a character is wrong, missing or too many")
	// ErrMixed says that shares do not belong together: they are of different identities, or an identity was split twice.
	ErrMixed = errors.New("shares do not belong together: they are of different identities or of different splits")
	// ErrTooFew says that there are fewer shares than it takes.
	ErrTooFew = errors.New("too few shares")
)

// The secret is a scalar of ristretto255, some 252 bits, whose arithmetic does not depend on it in time.
var field = group.Ristretto255

const (
	siteSize  = 8 // bytes of the site id that a share carries: enough to tell identities apart
	splitSize = 4 // random, so that two splits of one identity are told apart
	valueSize = 32
)

// Share is what one person keeps. Only Text brings its value out; every other printed form says which share it is and no more.
type Share struct {
	threshold byte
	index     byte // 1 and up: the value's place on the polynomial
	site      [siteSize]byte
	split     [splitSize]byte
	value     *[valueSize]byte // behind a pointer, so that fmt prints an address
}

// Threshold is how many shares it takes.
func (s Share) Threshold() int { return int(s.threshold) }

// Index is the share's number, from 1.
func (s Share) Index() int { return int(s.index) }

// Of says whether the share was made for that identity.
func (s Share) Of(site keys.SiteID) bool { return bytes.Equal(s.site[:], site[:siteSize]) }

// String says which share it is.
func (s Share) String() string {
	return fmt.Sprintf("share %d of identity %s, of which %d open it", s.index, s.SitePrefix(), s.threshold)
}

// GoString is String, so that no way of printing shows the value.
func (s Share) GoString() string { return s.String() }

// SitePrefix is the beginning of the identity's fingerprint, in its groups.
func (s Share) SitePrefix() string {
	digits := hex.EncodeToString(s.site[:])
	return digits[:4] + " " + digits[4:8] + " " + digits[8:12] + " " + digits[12:]
}

func (s Share) sameSplit(other Share) bool {
	return s.threshold == other.threshold && s.site == other.site && s.split == other.split
}

// Split draws a secret and splits it into n shares, of which any threshold give the passphrase for the identity's file.
func Split(site keys.SiteID, threshold, n int) (passphrase string, all []Share, err error) {
	if threshold < MinThreshold || n < threshold || n > MaxShares {
		return "", nil, fmt.Errorf("split secret: threshold %d of %d shares: want %d <= threshold <= shares <= %d", threshold, n, MinThreshold, MaxShares)
	}
	first := Share{threshold: byte(threshold)}
	copy(first.site[:], site[:])
	rand.Read(first.split[:]) // never returns an error: the runtime ends the process instead
	secret := field.RandomNonZeroScalar(rand.Reader)
	if all, err = divide(first, secret, n); err != nil {
		return "", nil, fmt.Errorf("split secret: %w", err)
	}
	passphrase, err = first.passphrase(secret)
	return passphrase, all, err
}

// divide makes n shares of a secret that are otherwise like the first one.
func divide(first Share, secret group.Scalar, n int) (all []Share, err error) {
	// The library counts those who may learn nothing, one fewer than those who open.
	for i, part := range secretsharing.New(rand.Reader, uint(first.threshold-1), secret).Share(uint(n)) {
		s := first
		s.index = byte(i + 1)
		if s.value, err = scalarBytes(part.Value); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Combine gives the passphrase back from at least the threshold of shares, in any order. A share that is given twice counts
// once. Whether it opens the identity's file is not known here.
func Combine(given []Share) (string, error) {
	if len(given) == 0 {
		return "", fmt.Errorf("%w: none is given", ErrTooFew)
	}
	first := given[0]
	var points []secretsharing.Share
	seen := make(map[byte]*[valueSize]byte)
	for _, s := range given {
		if s.value == nil || !s.sameSplit(first) {
			return "", ErrMixed
		}
		if before, twice := seen[s.index]; twice {
			if *before != *s.value {
				return "", ErrMixed
			}
			continue
		}
		seen[s.index] = s.value
		value, err := parseScalar(s.value)
		if err != nil {
			return "", err
		}
		points = append(points, secretsharing.Share{ID: field.NewScalar().SetUint64(uint64(s.index)), Value: value})
	}
	if len(points) < first.Threshold() {
		return "", fmt.Errorf("%w: %d of the %d that it takes", ErrTooFew, len(points), first.threshold)
	}
	secret, err := secretsharing.Recover(uint(first.threshold-1), points)
	if err != nil {
		return "", fmt.Errorf("combine shares: %w", err)
	}
	return first.passphrase(secret)
}

// passphrase derives the passphrase from the secret. Everything that a share says of itself goes in, so that a share whose
// words were changed opens nothing.
func (s Share) passphrase(secret group.Scalar) (string, error) {
	raw, err := scalarBytes(secret)
	if err != nil {
		return "", err
	}
	defer clear(raw[:])
	salt := slices.Concat([]byte{s.threshold}, s.site[:], s.split[:])
	derived, err := hkdf.Key(sha256.New, raw[:], salt, "cofre v1 shares passphrase", sha256.Size)
	if err != nil {
		return "", fmt.Errorf("derive passphrase: %w", err)
	}
	defer clear(derived)
	return hex.EncodeToString(derived), nil
}

func scalarBytes(s group.Scalar) (*[valueSize]byte, error) {
	raw, err := s.MarshalBinary()
	if err != nil || len(raw) != valueSize {
		return nil, fmt.Errorf("encode scalar of %d bytes: %w", len(raw), err)
	}
	return (*[valueSize]byte)(raw), nil
}

// parseScalar takes exactly what scalarBytes wrote: a number that is not reduced would be a second spelling.
func parseScalar(raw *[valueSize]byte) (group.Scalar, error) {
	s := field.NewScalar()
	if err := s.UnmarshalBinary(raw[:]); err != nil {
		return nil, ErrDamaged
	}
	if again, err := scalarBytes(s); err != nil || *again != *raw {
		return nil, ErrDamaged
	}
	return s, nil
}
