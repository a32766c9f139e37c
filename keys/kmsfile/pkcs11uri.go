//go:build pkcs11

package kmsfile

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// pkcs11URI is what cofre understands of RFC 7512.
type pkcs11URI struct {
	token, serial string // of the token; one of them is given
	object, id    string // of the key; one of them is given
	module        string // path of the HSM's library
	pinFile       string
}

// parseURI reads pkcs11:token=LABEL;object=LABEL?module-path=/LIBRARY&pin-source=file:/FILE. An attribute that it does not
// know is refused, since leaving one out could mean another key.
func parseURI(u *url.URL) (pkcs11URI, error) {
	var uri pkcs11URI
	where := map[string]*string{
		"token": &uri.token, "serial": &uri.serial, "object": &uri.object, "id": &uri.id,
		"module-path": &uri.module, "pin-source": &uri.pinFile, "type": new(string),
	}
	attributes := strings.Split(u.Opaque, ";")
	if u.RawQuery != "" {
		attributes = append(attributes, strings.Split(u.RawQuery, "&")...)
	}
	for _, attribute := range attributes {
		name, escaped, _ := strings.Cut(attribute, "=")
		if name == "pin-value" {
			return pkcs11URI{}, errors.New("holds the PIN: put it in a file and name that with pin-source=file:/path")
		}
		value, err := url.PathUnescape(escaped) // "+" is itself there
		field, known := where[name]
		if !known || err != nil || value == "" || *field != "" {
			return pkcs11URI{}, fmt.Errorf("attribute %.40q is unknown, repeated or empty", name)
		}
		*field = value
	}
	uri.pinFile = strings.TrimPrefix(uri.pinFile, "file:")
	uri.pinFile = strings.TrimPrefix(uri.pinFile, "//")
	switch {
	case uri.token == "" && uri.serial == "" || uri.object == "" && uri.id == "":
		return pkcs11URI{}, errors.New("names no key: write pkcs11:token=LABEL;object=LABEL?module-path=/LIBRARY&pin-source=file:/FILE")
	case !filepath.IsAbs(uri.module):
		return pkcs11URI{}, errors.New("module-path must be the absolute path of the HSM's library")
	case !filepath.IsAbs(uri.pinFile):
		return pkcs11URI{}, errors.New("pin-source must be file:/absolute/path")
	case *where["type"] != "" && *where["type"] != "secret-key":
		return pkcs11URI{}, errors.New("type must be secret-key: an AES key is what is used")
	}
	return uri, nil
}

// names says whether a token is the one that is meant.
func (uri pkcs11URI) names(label, serial string) bool {
	return (uri.token == "" || uri.token == label) && (uri.serial == "" || uri.serial == serial)
}
