package proxy

import (
	"context"
	"net/http"

	"cofre/access"
	"cofre/s3api"
)

// owner is a user as the backend names it in every listing.
type owner struct{ id, name string }

// initiators says who began an upload, by the access key that did. The credential is cofre's own affair: what a client may
// know, and compares with the owners of its objects, is the backend user behind it. RGW 16 itself names whoever asks. One
// listing asks for each user once; what cannot be learnt is left out of the answer.
func (h *Handler) initiators(ctx context.Context) func(accessKeyID string) owner {
	known := map[access.BackendUser]owner{}
	return func(accessKeyID string) owner {
		if accessKeyID == "" {
			return owner{} // nobody's
		}
		who, err := h.cfg.Access.Identity(ctx, accessKeyID)
		if err != nil {
			return owner{}
		}
		found, ok := known[who.User]
		if !ok {
			found = h.userOwner(ctx, who.User)
			known[who.User] = found
		}
		return found
	}
}

// userOwner asks the backend what it calls a user. The list of its buckets is the one answer that names the user itself.
func (h *Handler) userOwner(ctx context.Context, user access.BackendUser) owner {
	resp, err := h.backend.Do(ctx, user, &BackendRequest{Method: http.MethodGet})
	if err != nil {
		return owner{}
	}
	defer resp.Body.Close()
	list, err := s3api.ScanListBuckets(resp.Body)
	if err != nil {
		return owner{}
	}
	return owner{list.OwnerID, list.OwnerName}
}
