package proxy

import (
	"errors"
	"slices"
	"strings"

	"cofre/s3api"
)

// maxMarkerPages bounds the look-up of a key's last version, 1,000 to a page.
const maxMarkerPages = 1000

// soundPage puts a page of the backend in the order that S3 promises, and refuses one that no honest backend gives. Tools that keep two
// places alike (aws s3 sync, rclone) walk two listings side by side, and delete what they miss: names out of order would have them
// delete what is there, and a page that leads back would keep them going for ever. RGW 16 itself gets names out of order, and
// a name twice, where writers meet on null versions. What a storage hides, it hides.
func soundPage(req s3api.ListRequest, page *s3api.Listing) error {
	if n := len(page.Entries) + len(page.CommonPrefixes); n > req.MaxKeys {
		return badPage("more names than were asked for")
	}
	marker := req.KeyMarker
	if !req.Versions {
		marker = listMarker(req)
	}
	for _, e := range page.Entries {
		if e.Key == "" || !strings.HasPrefix(e.Key, req.Prefix) {
			return badPage("a name that was not asked for")
		}
	}
	for _, p := range page.CommonPrefixes {
		if p == "" || !strings.HasPrefix(p, req.Prefix) {
			return badPage("a prefix that was not asked for")
		}
	}
	if err := checkNext(req, page, marker); err != nil {
		return err
	}
	inOrder(req, page, marker)
	return nil
}

// inOrder sorts the names and leaves out those of earlier pages; of a name that stands there twice it leaves the newer one, but in
// a listing of versions, which has a key as often as there are versions.
func inOrder(req s3api.ListRequest, page *s3api.Listing, marker string) {
	byKey := func(a, b s3api.ListEntry) int { return strings.Compare(a.Key, b.Key) }
	if !slices.IsSortedFunc(page.Entries, byKey) {
		slices.SortStableFunc(page.Entries, byKey)
	}
	page.Entries = slices.DeleteFunc(page.Entries, func(e s3api.ListEntry) bool {
		return e.Key < marker || e.Key == marker && !req.Versions
	})
	if !req.Versions {
		kept := page.Entries[:0]
		for _, e := range page.Entries {
			if n := len(kept); n == 0 || kept[n-1].Key != e.Key {
				kept = append(kept, e)
			} else if kept[n-1].LastModified < e.LastModified {
				kept[n-1] = e
			}
		}
		page.Entries = kept
	}
	slices.Sort(page.CommonPrefixes)
	page.CommonPrefixes = slices.Compact(page.CommonPrefixes)
}

// checkNext refuses a page that does not lead on.
func checkNext(req s3api.ListRequest, page *s3api.Listing, marker string) error {
	if !page.Truncated || req.MaxKeys == 0 {
		return nil
	}
	if !req.Versions {
		if page.NextMarker <= marker {
			return badPage("the next page begins where this one did")
		}
		return nil
	}
	if page.NextKeyMarker < marker || page.NextKeyMarker == marker && page.NextVersionIDMarker == req.VersionIDMarker {
		return badPage("the next page begins where this one did")
	}
	return nil
}

func badPage(why string) error { return &integrityError{"listing", errors.New(why)} }

// progress is a walk over the backend's pages. A backend that leads back would keep it going for ever.
type progress struct {
	key  string
	seen map[string]bool // markers of this key: of versions, or of uploads
}

// advances says whether the next page is a new one: its key never goes back, and of one key no marker comes again.
func (p *progress) advances(key, marker string) bool {
	if key < p.key || key == p.key && p.seen[marker] {
		return false
	}
	if key != p.key || p.seen == nil {
		p.key, p.seen = key, map[string]bool{}
	}
	p.seen[marker] = true
	return true
}
