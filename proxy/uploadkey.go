package proxy

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"

	"cofre/keys"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
)

// Errors of parts whose encryption is not that of their upload.
var (
	errPartWithoutKey = s3api.ErrInvalidRequest.With("The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.")
	errPartOfOtherKey = s3api.ErrInvalidRequest.With("The provided encryption parameters did not match the ones used originally.")
)

// uploadKey opens the DEK of an upload. Parts must bring the customer's key where Create brought one; Complete need not, nor
// an Abort that comes too late.
//
// The envelope opens it where this site can open its KEK and has all that is mixed in. Else it is what the row keeps sealed
// for this site until the upload ends: for a Complete that comes without the customer's key, and for everything at a site
// that deposits (docs/FORMAT.md section 7 rule 5).
func (h *Handler) uploadKey(ctx context.Context, rq *request, up metadata.Upload, env seal.Envelope) (keys.DEK, error) {
	if up.State == metadata.UploadCompleted {
		return keys.DEK{}, nil // nothing more is sealed; only the answer is given once more
	}
	key, mixed := rq.encryption.customerKey, env.Flags.Has(seal.CustomerKey)
	switch {
	case key != nil && !mixed, key == nil && mixed && (rq.call.Op == s3api.UploadPart || rq.call.Op == s3api.UploadPartCopy):
		return keys.DEK{}, errPartWithoutKey
	}
	checked := false
	if key != nil {
		own, err := (&openUpload{Upload: up}).attributes()
		if err != nil {
			return keys.DEK{}, err
		}
		if checked = own.CustomerKey != nil; checked && !own.CustomerKey.matches(key) {
			return keys.DEK{}, errPartOfOtherKey
		}
	}
	if len(up.SealedDEK) > 0 && (key == nil || checked) {
		return h.ring.OpenDEK(up.SealedDEK, up.Envelope[:])
	}
	kek, _, err := h.ring.Open(ctx, up.Bucket, env.KEKID)
	if err != nil {
		return keys.DEK{}, err
	}
	dek, err := unseal(env, kek, up.Key, key)
	if key != nil && hasCode(err, s3api.ErrAccessDenied.Code) {
		err = errPartOfOtherKey
	}
	return dek, err
}

// customerKeyCheck tells whether a customer key is the one that it was made of, and lets nobody know that key.
type customerKeyCheck struct {
	Salt []byte `json:"salt"`
	MAC  []byte `json:"mac"`
}

func newCustomerKeyCheck(key []byte) *customerKeyCheck {
	c := &customerKeyCheck{Salt: make([]byte, sha256.Size)}
	rand.Read(c.Salt) // never returns an error: the runtime ends the process instead
	c.MAC = c.of(key)
	return c
}

func (c *customerKeyCheck) of(key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("cofre upload customer key"))
	mac.Write(c.Salt)
	return mac.Sum(nil)
}

func (c *customerKeyCheck) matches(key []byte) bool { return hmac.Equal(c.MAC, c.of(key)) }
