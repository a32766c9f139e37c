package backup

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"cofre/keys"
)

// ManifestType is the DSSE payload type of a manifest.
const ManifestType = "application/vnd.cofre.backup.v1+json"

const (
	magic       = "cofre backup 1\n"
	endMagic    = "cofrebak"
	lengthSize  = 4
	tailSize    = lengthSize + len(endMagic)
	maxManifest = 8 << 10 // bytes; one takes about 700
)

var (
	// ErrNotBackup says that a file is no backup of this version, or that its end is missing.
	ErrNotBackup = errors.New("not a backup that this version reads, or cut off")
	// ErrUntrusted says that a backup is not signed by a site that is to be believed.
	ErrUntrusted = errors.New("backup is not signed by a trusted site")
	// ErrAltered says that a backup is not what was signed.
	ErrAltered = errors.New("backup was altered after it was signed")
)

// Manifest is what the site signed of a backup.
type Manifest struct {
	ID      [16]byte
	Site    keys.SiteID
	Created time.Time // in whole milliseconds, UTC
	Rows    int64
	Size    int64 // bytes before the manifest
	SHA256  [sha256.Size]byte
}

type manifestJSON struct {
	Version int         `json:"version"`
	ID      string      `json:"id"`
	Site    keys.SiteID `json:"site"`
	Created time.Time   `json:"created"`
	Rows    int64       `json:"rows"`
	Size    int64       `json:"size"`
	SHA256  string      `json:"sha256"`
}

// NewManifest begins the manifest of a new backup, which has a name then, and nothing of what Write adds.
func NewManifest(site keys.SiteID, at time.Time) Manifest {
	// Finer than seconds, so that the newest of several is the last. Whole ones are told from it by their names (Name).
	m := Manifest{Site: site, Created: at.UTC().Truncate(time.Millisecond)}
	if m.inWholeSeconds() {
		m.Created = m.Created.Add(time.Millisecond)
	}
	rand.Read(m.ID[:]) // never fails
	return m
}

// Suffix ends the name of every backup.
const Suffix = ".cofre-backup"

// Name is what the file is called: of one site, names are in order of time.
func (m Manifest) Name() string {
	layout := "20060102T150405.000Z"
	if m.inWholeSeconds() {
		layout = "20060102T150405Z"
	}
	return fmt.Sprintf("%s%s-%x%s", sitePrefix(m.Site), m.Created.Format(layout), m.ID[:4], Suffix)
}

// inWholeSeconds is a backup of the time when all were.
func (m Manifest) inWholeSeconds() bool { return m.Created.Equal(m.Created.Truncate(time.Second)) }

// sitePrefix begins the names of a site's backups.
func sitePrefix(site keys.SiteID) string { return site.String()[:16] + "-" }

// tail is the end of the file: the signed manifest and what it takes to find it.
func (m Manifest) tail(site *keys.Identity) ([]byte, error) {
	payload, err := json.Marshal(manifestJSON{
		Version: 1, ID: hex.EncodeToString(m.ID[:]), Site: m.Site, Created: m.Created, Rows: m.Rows, Size: m.Size,
		SHA256: hex.EncodeToString(m.SHA256[:]),
	})
	if err != nil {
		return nil, err
	}
	doc := site.Sign(ManifestType, payload).Bytes()
	tail := append(doc, byte(len(doc)>>24), byte(len(doc)>>16), byte(len(doc)>>8), byte(len(doc)))
	return append(tail, endMagic...), nil
}

// Signer gives the card of a site whose backups are believed; false where there is none.
type Signer func(keys.SiteID) (keys.Card, bool)

// parseManifest reads and verifies a manifest document. It is taken in exactly the form in which it was written, so that no two files are
// the same backup.
func parseManifest(doc []byte, believed Signer) (Manifest, error) {
	d, err := keys.ParseDSSE(doc)
	if err != nil || d.PayloadType != ManifestType || !bytes.Equal(d.Bytes(), doc) {
		return Manifest{}, fmt.Errorf("read manifest: %w", ErrNotBackup)
	}
	var hint struct {
		Site keys.SiteID `json:"site"`
	}
	if err := json.Unmarshal(d.Payload, &hint); err != nil {
		return Manifest{}, fmt.Errorf("read manifest: %w", ErrNotBackup)
	}
	card, ok := believed(hint.Site)
	if !ok {
		return Manifest{}, fmt.Errorf("read manifest: %w: it says that site %s made it", ErrUntrusted, hint.Site)
	}
	if d.KeyID != hint.Site.String() || card.ID != hint.Site {
		return Manifest{}, fmt.Errorf("read manifest: %w", ErrUntrusted)
	}
	if err := d.Verify(card); err != nil {
		return Manifest{}, fmt.Errorf("read manifest: %w: %w", ErrUntrusted, err)
	}
	return decodeManifest(d.Payload)
}

// decodeManifest reads what a believed site signed.
func decodeManifest(payload []byte) (Manifest, error) {
	var wire manifestJSON
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&wire); err != nil {
		return Manifest{}, fmt.Errorf("read manifest: %w: %w", ErrNotBackup, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) || wire.Version != 1 {
		return Manifest{}, fmt.Errorf("read manifest: %w: version %d", ErrNotBackup, wire.Version)
	}
	m := Manifest{Site: wire.Site, Created: wire.Created.UTC(), Rows: wire.Rows, Size: wire.Size}
	if !unhex(m.ID[:], wire.ID) || !unhex(m.SHA256[:], wire.SHA256) || m.Size < int64(len(magic)) || m.Rows < 0 {
		return Manifest{}, fmt.Errorf("read manifest: %w", ErrNotBackup)
	}
	return m, nil
}

func unhex(dst []byte, text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && copy(dst, raw) == len(dst) && len(raw) == len(dst)
}
