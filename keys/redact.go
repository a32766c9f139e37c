package keys

import (
	"fmt"
	"io"
)

// redacted stands wherever a secret would be shown.
const redacted = "[redacted]"

// The four forms below are all the ways in which fmt, encoding/json, encoding/text users and loggers turn a value into
// text. A marshaller gives the word instead of an error, so that a log line with a key in it is still a log line.

// String hides the key.
func (d DEK) String() string { return "DEK " + redacted }

// GoString hides the key.
func (d DEK) GoString() string { return d.String() }

// Format hides the key from every verb.
func (d DEK) Format(f fmt.State, _ rune) { io.WriteString(f, d.String()) }

// MarshalText hides the key.
func (d DEK) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// MarshalJSON hides the key.
func (d DEK) MarshalJSON() ([]byte, error) { return []byte(`"` + d.String() + `"`), nil }

// String hides the key and shows its id.
func (k KEK) String() string {
	if k.k == nil {
		return "KEK " + redacted
	}
	return "KEK " + k.k.id.String() + " " + redacted
}

// GoString hides the key.
func (k KEK) GoString() string { return k.String() }

// Format hides the key from every verb.
func (k KEK) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// MarshalText hides the key.
func (k KEK) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// MarshalJSON hides the key.
func (k KEK) MarshalJSON() ([]byte, error) { return []byte(`"` + k.String() + `"`), nil }

// String shows the site's id and name and hides its keys.
func (i Identity) String() string {
	return fmt.Sprintf("Identity %s %q %s", i.card.ID, i.card.Name, redacted)
}

// GoString hides the keys.
func (i Identity) GoString() string { return i.String() }

// Format hides the keys from every verb.
func (i Identity) Format(f fmt.State, _ rune) { io.WriteString(f, i.String()) }

// MarshalText hides the keys.
func (i Identity) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// MarshalJSON hides the keys.
func (i Identity) MarshalJSON() ([]byte, error) { return mustMarshal(i.String()), nil }
