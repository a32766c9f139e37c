//go:build !pkcs11

package kmsfile

import (
	"errors"
	"net/url"
)

// pkcs11Provider stands for the one that needs cgo, and so is in builds of its own.
var pkcs11Provider = provider{
	scheme: "pkcs11",
	check: func(*url.URL) error {
		return errors.New("this cofre was built without PKCS#11: build it with CGO_ENABLED=1 go build -tags pkcs11 ./cmd/cofre")
	},
}
