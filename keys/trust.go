package keys

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
)

// TrustListType is the DSSE payload type of a trust list.
const TrustListType = "application/vnd.cofre.trust.v1+json"

// maxTrustList bounds a trust list in bytes: some thousand sites. An entry takes about 3 KiB.
const maxTrustList = 16 << 20

// Role is what a site is trusted as.
type Role string

// The roles (docs/FORMAT.md sections 2 and 7).
const (
	// Member writes, reads, grants and endorses.
	Member Role = "member"
	// Deposit writes and cannot read, not even what it wrote.
	Deposit Role = "deposit"
	// Recovery is an identity kept off line: it is granted every KEK, and neither writes nor grants.
	Recovery Role = "recovery"
)

// TrustEntry is one line of a trust list. Lines are never removed, only withdrawn, so that a card stays known by which old
// documents can be checked.
type TrustEntry struct {
	Bucket    string // a bucket name, in which each "*" stands for any run of characters
	Card      Card
	Role      Role
	Prefixes  []string // Deposit only: the object keys that it may write begin with one of these; none means all
	Added     time.Time
	Withdrawn time.Time // zero while it holds
}

func (e *TrustEntry) live() bool { return e.Withdrawn.IsZero() }

// TrustList says which sites this site trusts, for which buckets and as what. It is signed by the site itself and
// numbered; it never comes from the backend. It is safe for concurrent reading; whoever changes one that others read
// changes a Clone and hands that on.
type TrustList struct {
	site    SiteID
	number  uint64
	entries []TrustEntry
}

type trustJSON struct {
	Version int              `json:"version"`
	Site    SiteID           `json:"site"`
	Number  uint64           `json:"number"`
	Entries []trustEntryJSON `json:"entries"`
}

type trustEntryJSON struct {
	Bucket    string     `json:"bucket"`
	Card      cardJSON   `json:"card"`
	Role      Role       `json:"role"`
	Prefixes  []string   `json:"prefixes,omitempty"`
	Added     timestamp  `json:"added"`
	Withdrawn *timestamp `json:"withdrawn,omitempty"`
}

// NewTrustList makes the list number 1 of a new site: it trusts itself, as a member of every bucket. A recovery identity trusts
// itself to be one.
func NewTrustList(self *Identity, at time.Time) *TrustList {
	t := &TrustList{site: self.ID(), number: 1}
	role := Member
	if self.Recovery() {
		role = Recovery
	}
	t.entries = []TrustEntry{{Bucket: "*", Card: self.Card(), Role: role, Added: time.Time(newTimestamp(at))}}
	return t
}

// ParseTrustList reads a signed list. It must be signed by own, be own's, and have at least the number min (0 for any), else
// the error is ErrSignature, ErrUntrusted or ErrTrustListOld.
func ParseTrustList(doc []byte, own Card, min uint64) (*TrustList, error) {
	t, err := parseTrustList(doc, own)
	if err != nil {
		return nil, fmt.Errorf("parse trust list: %w", err)
	}
	if t.number < min {
		return nil, fmt.Errorf("parse trust list: %w: number %d, known %d", ErrTrustListOld, t.number, min)
	}
	return t, nil
}

func parseTrustList(doc []byte, own Card) (*TrustList, error) {
	d, err := parseDSSE(doc, maxTrustList)
	if err != nil {
		return nil, err
	}
	// Unlike other documents a trust list can have one signer only, so nothing of it is read before that is settled.
	if err := d.Verify(own); err != nil {
		return nil, err
	}
	var wire trustJSON
	if _, err := openAs(doc, TrustListType, maxTrustList, &wire); err != nil {
		return nil, err
	}
	if wire.Version != 1 || wire.Number == 0 {
		return nil, fmt.Errorf("%w: version %d, number %d", ErrMalformed, wire.Version, wire.Number)
	}
	if wire.Site != own.ID {
		return nil, fmt.Errorf("%w: list of site %s", ErrUntrusted, wire.Site)
	}
	t := &TrustList{site: wire.Site, number: wire.Number}
	for n, line := range wire.Entries {
		e, err := line.entry()
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", n, err)
		}
		t.entries = append(t.entries, e)
	}
	return t, nil
}

func (w trustEntryJSON) entry() (TrustEntry, error) {
	card, err := w.Card.card()
	if err != nil {
		return TrustEntry{}, err
	}
	e := TrustEntry{Bucket: w.Bucket, Card: card, Role: w.Role, Prefixes: w.Prefixes, Added: time.Time(w.Added)}
	if w.Withdrawn != nil {
		e.Withdrawn = time.Time(*w.Withdrawn)
	}
	return e, e.check()
}

func (e TrustEntry) check() error {
	if err := checkBucket(strings.ReplaceAll(e.Bucket, "*", "x")); err != nil {
		return err
	}
	switch {
	case e.Role != Member && e.Role != Deposit && e.Role != Recovery:
		return fmt.Errorf("%w: role %.40q", ErrMalformed, string(e.Role))
	case len(e.Prefixes) > 0 && e.Role != Deposit:
		return fmt.Errorf("%w: prefixes for a %s", ErrMalformed, e.Role)
	case slices.Contains(e.Prefixes, ""):
		return fmt.Errorf("%w: empty prefix", ErrMalformed) // it would allow everything, unseen
	}
	return nil
}

// NewestTrustList chooses among the copies of a site's list (the store's, the file's): the one with the highest number. Empty
// ones are passed over; one that is not the site's own is an error, however old, and so are two of one number that differ
// (ErrKEKConflict). With none at all it is ErrNoTrustList.
func NewestTrustList(own Card, docs ...[]byte) (*TrustList, []byte, error) {
	var newest *TrustList
	var newestDoc []byte
	for _, doc := range docs {
		if len(doc) == 0 {
			continue
		}
		t, err := ParseTrustList(doc, own, 0)
		if err != nil {
			return nil, nil, err
		}
		if newest != nil && t.number == newest.number && !bytes.Equal(doc, newestDoc) {
			return nil, nil, fmt.Errorf("choose trust list: %w: two of number %d", ErrKEKConflict, t.number)
		}
		if newest == nil || t.number > newest.number {
			newest, newestDoc = t, doc
		}
	}
	if newest == nil {
		return nil, nil, ErrNoTrustList
	}
	return newest, newestDoc, nil
}

// Sign gives the list as a signed document. Only the site whose list it is can sign it.
func (t *TrustList) Sign(self *Identity) ([]byte, error) {
	if self.ID() != t.site {
		return nil, fmt.Errorf("sign trust list: %w: list of site %s", ErrUntrusted, t.site)
	}
	wire := trustJSON{Version: 1, Site: t.site, Number: t.number, Entries: []trustEntryJSON{}}
	for _, e := range t.entries {
		line := trustEntryJSON{
			Bucket: e.Bucket, Card: e.Card.wire(), Role: e.Role, Prefixes: e.Prefixes, Added: newTimestamp(e.Added),
		}
		if !e.live() {
			withdrawn := newTimestamp(e.Withdrawn)
			line.Withdrawn = &withdrawn
		}
		wire.Entries = append(wire.Entries, line)
	}
	return self.Sign(TrustListType, mustMarshal(wire)).Bytes(), nil
}

// Number is the list's number. Each change raises it by one.
func (t *TrustList) Number() uint64 { return t.number }

// Site is the site whose list it is.
func (t *TrustList) Site() SiteID { return t.site }

// Entries is a copy of all lines, withdrawn ones too, in the order in which they were added.
func (t *TrustList) Entries() []TrustEntry { return slices.Clone(t.entries) }

// Clone is a copy to change.
func (t *TrustList) Clone() *TrustList {
	return &TrustList{site: t.site, number: t.number, entries: slices.Clone(t.entries)}
}

// Trust adds a line: the card's site is trusted for buckets that match the pattern, as role. Prefixes are for Deposit only.
// A line that already says so is no error and changes nothing.
func (t *TrustList) Trust(card Card, bucket string, role Role, at time.Time, prefixes ...string) error {
	e := TrustEntry{
		Bucket: bucket, Card: card, Role: role, Prefixes: slices.Clone(prefixes), Added: time.Time(newTimestamp(at)),
	}
	if err := card.Check(); err != nil {
		return fmt.Errorf("trust site: %w", err)
	}
	if err := e.check(); err != nil {
		return fmt.Errorf("trust site: %w", err)
	}
	for _, old := range t.entries {
		if old.live() && old.Card.ID == card.ID && old.Bucket == bucket && old.Role == role &&
			slices.Equal(old.Prefixes, prefixes) {
			return nil
		}
	}
	t.entries = append(t.entries, e)
	t.number++
	return nil
}

// Distrust withdraws the lines of a site with exactly this bucket pattern. It is ErrUntrusted when there is none, so that
// nobody believes to have withdrawn for one bucket what another pattern still gives. What the site said of itself later can
// be withdrawn, but not the line with which its list began: that is ErrMalformed.
func (t *TrustList) Distrust(site SiteID, bucket string, at time.Time) error {
	found, founding := false, false
	for n := range t.entries {
		e := &t.entries[n]
		switch {
		case !e.live() || e.Card.ID != site || e.Bucket != bucket:
		case t.founding(e):
			founding = true
		default:
			e.Withdrawn = time.Time(newTimestamp(at))
			found = true
		}
	}
	switch {
	case !found && founding:
		return fmt.Errorf("distrust site: %w: it is this site itself", ErrMalformed)
	case !found:
		return fmt.Errorf("distrust site: %w: no entry for %q", ErrUntrusted, bucket)
	}
	t.number++
	return nil
}

// founding says whether this is the line with which every list begins.
func (t *TrustList) founding(e *TrustEntry) bool {
	return e.Card.ID == t.site && e.Bucket == "*" && (e.Role == Member || e.Role == Recovery)
}

// matchBucket says whether a bucket name matches a pattern in which each "*" stands for any run of characters. Stars only
// ever move forward, so it takes at most len(pattern) times len(bucket) steps.
func matchBucket(pattern, bucket string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == bucket
	}
	bucket, ok := strings.CutPrefix(bucket, first)
	if !ok {
		return false
	}
	for {
		next, behind, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(bucket, next)
		}
		at := strings.Index(bucket, next)
		if at < 0 {
			return false
		}
		bucket, rest = bucket[at+len(next):], behind
	}
}
