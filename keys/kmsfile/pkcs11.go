//go:build pkcs11

package kmsfile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/miekg/pkcs11"

	"cofre/keys"
)

// HSMs by PKCS#11: an AES key that never leaves its token, named by a URI of RFC 7512. Needs cgo, and so is in builds of its own.

var pkcs11Provider = provider{
	scheme: "pkcs11", check: checkPKCS11, open: openPKCS11,
	reach:  "check that the HSM is there and that module-path is its library",
	access: "check the PIN (pin-source), and that the key may encrypt and decrypt (CKA_ENCRYPT, CKA_DECRYPT) with AES-GCM",
}

const (
	gcmNonceSize = 12
	gcmTagBits   = 128
)

// hsmKeeper is a session with a token, logged in.
type hsmKeeper struct {
	module  *pkcs11.Ctx
	session pkcs11.SessionHandle
	key     pkcs11.ObjectHandle
	site    keys.SiteID
}

func checkPKCS11(u *url.URL) error {
	_, err := parseURI(u)
	return err
}

func openPKCS11(_ context.Context, u *url.URL, site keys.SiteID) (_ keeper, err error) {
	uri, err := parseURI(u)
	if err != nil {
		return nil, err
	}
	pin, err := os.ReadFile(uri.pinFile)
	if err != nil {
		return nil, fmt.Errorf("read PIN: %w", err)
	}
	defer clear(pin)
	k := &hsmKeeper{module: pkcs11.New(uri.module), site: site}
	if k.module == nil {
		return nil, fmt.Errorf("load module: %s is no PKCS#11 library", uri.module)
	}
	if err := k.module.Initialize(); err != nil {
		k.module.Destroy()
		return nil, fmt.Errorf("initialize module: %w", inOurTerms(err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(inOurTerms(err), k.Close())
		}
	}()
	slot, err := k.findToken(uri)
	if err != nil {
		return nil, err
	}
	if k.session, err = k.module.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION); err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	if err = k.module.Login(k.session, pkcs11.CKU_USER, strings.TrimRight(string(pin), "\r\n")); err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	k.key, err = k.findKey(uri)
	return k, err
}

// findToken gives the slot of the one token that the URI names.
func (k *hsmKeeper) findToken(uri pkcs11URI) (uint, error) {
	slots, err := k.module.GetSlotList(true)
	if err != nil {
		return 0, fmt.Errorf("list tokens: %w", err)
	}
	var found []uint
	for _, slot := range slots {
		info, err := k.module.GetTokenInfo(slot)
		if err != nil {
			return 0, fmt.Errorf("read token: %w", err)
		}
		if uri.names(strings.TrimRight(info.Label, " "), strings.TrimRight(info.SerialNumber, " ")) {
			found = append(found, slot)
		}
	}
	if len(found) != 1 {
		return 0, because(ErrNoKey, fmt.Errorf("%d tokens fit the URI, want one", len(found)))
	}
	return found[0], nil
}

// findKey gives the one AES key that the URI names.
func (k *hsmKeeper) findKey(uri pkcs11URI) (pkcs11.ObjectHandle, error) {
	template := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES),
	}
	if uri.object != "" {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_LABEL, uri.object))
	}
	if uri.id != "" {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_ID, []byte(uri.id)))
	}
	if err := k.module.FindObjectsInit(k.session, template); err != nil {
		return 0, fmt.Errorf("find key: %w", err)
	}
	found, _, err := k.module.FindObjects(k.session, 2)
	if err := errors.Join(err, k.module.FindObjectsFinal(k.session)); err != nil {
		return 0, fmt.Errorf("find key: %w", err)
	}
	if len(found) != 1 {
		return 0, because(ErrNoKey, fmt.Errorf("%d AES keys fit the URI, want one", len(found)))
	}
	return found[0], nil
}

// Encrypt gives nonce, ciphertext and tag. The nonce is read back, since some HSMs take their own.
func (k *hsmKeeper) Encrypt(_ context.Context, plaintext []byte) ([]byte, error) {
	nonce := make([]byte, gcmNonceSize)
	rand.Read(nonce) // never returns an error: the runtime ends the process instead
	params := pkcs11.NewGCMParams(nonce, associated(dataKeyLabel, k.site), gcmTagBits)
	defer params.Free()
	err := k.module.EncryptInit(k.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, k.key)
	if err != nil {
		return nil, fmt.Errorf("begin to encrypt: %w", inOurTerms(err))
	}
	ciphertext, err := k.module.Encrypt(k.session, plaintext)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", inOurTerms(err))
	}
	if nonce = params.IV(); len(nonce) != gcmNonceSize {
		return nil, fmt.Errorf("encrypt: the HSM took a nonce of %d bytes, want %d", len(nonce), gcmNonceSize)
	}
	return append(nonce, ciphertext...), nil
}

func (k *hsmKeeper) Decrypt(_ context.Context, sealed []byte) ([]byte, error) {
	if len(sealed) < gcmNonceSize+gcmTagBits/8 {
		return nil, because(ErrWrongKey, errors.New("too short"))
	}
	params := pkcs11.NewGCMParams(sealed[:gcmNonceSize], associated(dataKeyLabel, k.site), gcmTagBits)
	defer params.Free()
	err := k.module.DecryptInit(k.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, k.key)
	if err != nil {
		return nil, fmt.Errorf("begin to decrypt: %w", inOurTerms(err))
	}
	plaintext, err := k.module.Decrypt(k.session, sealed[gcmNonceSize:])
	if err == nil {
		return plaintext, nil
	}
	// A tag that does not fit has no code of its own: SoftHSM says CKR_GENERAL_ERROR, others CKR_ENCRYPTED_DATA_INVALID.
	if kind := inOurTerms(err); errors.Is(kind, ErrUnavailable) || errors.Is(kind, ErrDenied) {
		return nil, fmt.Errorf("decrypt: %w", kind)
	}
	return nil, because(ErrWrongKey, fmt.Errorf("decrypt: %w", err))
}

// Close ends the session, and with it the login.
func (k *hsmKeeper) Close() error {
	err := k.module.Finalize()
	k.module.Destroy()
	if err != nil {
		return fmt.Errorf("close module: %w", err)
	}
	return nil
}

// inOurTerms names the kind of a module's error, where it has one.
func inOurTerms(err error) error {
	var code pkcs11.Error
	if !errors.As(err, &code) {
		return err
	}
	switch code {
	case pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_LOCKED, pkcs11.CKR_PIN_EXPIRED, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE,
		pkcs11.CKR_USER_NOT_LOGGED_IN, pkcs11.CKR_USER_PIN_NOT_INITIALIZED, pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED:
		return because(ErrDenied, err)
	case pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_HOST_MEMORY, pkcs11.CKR_SESSION_COUNT:
		return because(ErrUnavailable, err)
	}
	return err
}
