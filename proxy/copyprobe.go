package proxy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"

	"go.uber.org/zap"

	"cofre/access"
)

// copyProbe finds out, once, whether the backend honours a pin on copies. Where it does not, every copy is streamed.
type copyProbe struct{ once[bool] }

func (p *copyProbe) holds(ctx context.Context, h *Handler) (bool, error) {
	return p.get(func() (bool, error) { return h.probeCopyPin(ctx) })
}

// probePrefix is where documents lie in the system bucket by which the storage is tried out, here and by `cofre doctor`.
const probePrefix = "probe/"

// probeCopyPin copies a document of the system bucket under a pin that cannot match.
func (h *Handler) probeCopyPin(ctx context.Context) (bool, error) {
	var nonce [8]byte
	rand.Read(nonce[:])
	name := probePrefix + hex.EncodeToString(nonce[:])
	sys := h.system()
	if err := sys.Put(ctx, name, []byte("copy pin probe")); err != nil {
		return false, err
	}
	defer func() { _ = sys.Delete(context.WithoutCancel(ctx), name) }() // what stays of a probe is swept
	header := http.Header{}
	setCopySource(header, target{Bucket: h.cfg.SystemBucket, Key: name}, "00000000000000000000000000000000")
	resp, err := h.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodPut, Bucket: h.cfg.SystemBucket, Key: name, Header: header})
	if err == nil {
		resp.Body.Close()
	}
	switch {
	case hasStatus(err, http.StatusPreconditionFailed):
		return true, nil
	case err == nil, hasStatus(err, http.StatusNotImplemented), hasStatus(err, http.StatusBadRequest):
		h.log.Info("the backend does not pin copies: copies are streamed", zap.String("system_bucket", h.cfg.SystemBucket))
		return false, nil
	default:
		return false, err
	}
}
