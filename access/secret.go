package access

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
)

// Secret is the secret half of a credential. It shows itself as "[redacted]" wherever a value is printed, logged or
// encoded; only Reveal gives it.
type Secret string

const redacted = "[redacted]"

// Reveal gives the secret itself, to compute a signature or to show it once to whoever asked for the credential.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (s Secret) String() string { return redacted }

// GoString hides the secret.
func (s Secret) GoString() string { return redacted }

// Format hides the secret from every verb, %x and %q among them.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalText hides the secret from encoders, JSON and YAML among them.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

const (
	// accessKeyIDPrefix and the 16 characters behind it make an id as long as AWS's, and plainly not one of AWS's.
	accessKeyIDPrefix = "CFRE"
	accessKeyIDLength = 20
	secretLength      = 40

	// Limits of AWS (IAM API Reference, "AccessKey"), but shorter ids are taken too: other S3 servers give them out.
	minAccessKeyID = 3
	maxAccessKeyID = 128
	minSecret      = 8
	maxSecret      = 256
)

// NewAccessKeyID draws an id of 20 characters, 80 bits of them random: capitals and digits, without those that look alike.
func NewAccessKeyID() string {
	return accessKeyIDPrefix + randomString(accessKeyIDLength-len(accessKeyIDPrefix), "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
}

// NewSecret draws a secret of 40 characters, 238 bits. AWS's secrets hold '+' and '/' too; those have to be escaped in
// URLs and in some tools' configuration, so none are drawn here.
func NewSecret() Secret {
	return Secret(randomString(secretLength, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"))
}

// randomString draws n characters of an alphabet of at most 64. Six bits that fall outside are thrown away, so that each
// character is equally likely.
func randomString(n int, alphabet string) string {
	out := make([]byte, 0, n)
	var draw [64]byte
	for {
		rand.Read(draw[:]) // never returns an error: the runtime ends the process instead
		for _, b := range draw {
			if i := int(b & 63); i < len(alphabet) {
				if out = append(out, alphabet[i]); len(out) == n {
					return string(out)
				}
			}
		}
	}
}

// ValidateAccessKeyID says what is wrong with an access key id, or nil. Slashes, commas, colons and blanks would break the
// Authorization header that carries it.
func ValidateAccessKeyID(id string) error {
	if len(id) < minAccessKeyID || len(id) > maxAccessKeyID {
		return fmt.Errorf("access key id has %d characters: %d to %d are allowed", len(id), minAccessKeyID, maxAccessKeyID)
	}
	for _, c := range []byte(id) {
		if !isAlphanumeric(c) && c != '-' && c != '_' && c != '.' && c != '@' {
			return errors.New("access key id may hold letters, digits, '-', '_', '.' and '@' only")
		}
	}
	return nil
}

// ValidateSecret says what is wrong with a secret, or nil. It never repeats any of it. Blanks at its ends and control
// characters are refused because they are the marks of a secret that was pasted or read from a file badly.
func ValidateSecret(s Secret) error {
	if len(s) < minSecret || len(s) > maxSecret {
		return fmt.Errorf("secret key has %d characters: %d to %d are allowed", len(s), minSecret, maxSecret)
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f {
			return errors.New("secret key may hold printable ASCII without blanks only")
		}
	}
	return nil
}
