package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cofre/keys"
	"cofre/metadata"
)

// Retention says which backups of the site stay. The newest one stays whatever it says.
type Retention struct {
	Keep    int           // so many of the newest; 0 for any number
	KeepFor time.Duration // those younger than this; 0 for any age
}

// Made is a backup that was made and read back.
type Made struct {
	Manifest
	File     string // its name
	FileSize int64
	Counts   map[metadata.RowKind]int64
	Removed  []string // older ones that retention has ended
	// Kept says why older ones could not be looked at or removed; the new one is good all the same.
	Kept error
}

// leftOver is how old what an interrupted backup has left must be before it is taken away: no backup takes as long.
const leftOver = 48 * time.Hour

// Make makes a backup of the store, reads it back from end to end, and only then ends older ones. Where anything about the new one is
// wrong it is taken away again, if it can be, and nothing older is touched.
//
// The file is called as the manifest says, unless name is not empty: then retention does not see it.
func Make(ctx context.Context, store Dumper, a Author, to Place, name string, r Retention, progress func(rows int64)) (Made, error) {
	m := NewManifest(a.Site.ID(), a.Now())
	if name == "" {
		name = m.Name()
	}
	made, err := write(ctx, store, a, to, name, m, progress)
	if err != nil {
		return Made{}, err
	}
	made.Removed, made.Kept = r.apply(ctx, to, a.Site, made.Manifest, a.Now())
	made.Kept = errors.Join(made.Kept, to.Tidy(ctx, sitePrefix(a.Site.ID()), a.Now().Add(-leftOver)))
	return made, nil
}

func write(ctx context.Context, store Dumper, a Author, to Place, name string, m Manifest, progress func(rows int64)) (Made, error) {
	draft, err := to.Create(ctx, name)
	if err != nil {
		return Made{}, fmt.Errorf("begin backup: %w", err)
	}
	defer draft.Discard()
	if m, err = Write(ctx, draft, store, a, m, progress); err != nil {
		return Made{}, err
	}
	if err := draft.Keep(); err != nil {
		return Made{}, fmt.Errorf("keep backup: %w", err)
	}
	made := Made{Manifest: m, File: name}
	src, err := to.Open(ctx, name)
	if err == nil {
		made.FileSize = src.Size()
		made.Counts, err = readBack(ctx, src, a.Site, m)
	}
	if err != nil {
		err = fmt.Errorf("read back the backup that was just written: %w", err)
		return Made{}, errors.Join(err, to.Remove(context.WithoutCancel(ctx), name))
	}
	return made, nil
}

func readBack(ctx context.Context, src Source, site *keys.Identity, want Manifest) (map[metadata.RowKind]int64, error) {
	got, counts, err := Check(ctx, src, Only(site.Card()), site)
	if err == nil && got != want {
		err = fmt.Errorf("%w: another one is in its place", ErrAltered)
	}
	return counts, err
}

// Only believes one site.
func Only(card keys.Card) Signer {
	return func(id keys.SiteID) (keys.Card, bool) { return card, id == card.ID }
}

// Listed is a file of a place and what is to be said of it.
type Listed struct {
	File
	Manifest
	Err error // why it is no backup of a believed site, or could not be looked at; the manifest is empty then
}

// List looks at the end of every file of a place: newest last, behind what is no backup of a believed site. A file whose name is not the
// one that was signed is none: else a copy of an old backup could stand in for many.
func List(ctx context.Context, in Place, believed Signer) ([]Listed, error) {
	files, err := in.List(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Listed, 0, len(files))
	for _, f := range files {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		l := Listed{File: f}
		src, err := in.Open(ctx, f.Name)
		if err == nil {
			l.Manifest, err = ReadManifest(ctx, src, believed)
		}
		if err == nil && l.Manifest.Name() != f.Name {
			l.Manifest, err = Manifest{}, fmt.Errorf("%w: it is %s under another name", ErrUntrusted, l.Manifest.Name())
		}
		l.Err = err
		all = append(all, l)
	}
	slices.SortStableFunc(all, func(a, b Listed) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.File.Name, b.File.Name))
	})
	return all, nil
}

// apply ends backups of this site and no other file. The one that was just read back stays, and so does every one that is newer.
func (r Retention) apply(ctx context.Context, in Place, site *keys.Identity, last Manifest, now time.Time) (removed []string, err error) {
	if r == (Retention{}) {
		return nil, nil
	}
	all, err := List(ctx, in, Only(site.Card()))
	if err != nil {
		return nil, err
	}
	var failed error
	for _, l := range r.over(all, last, now) {
		if err := in.Remove(ctx, l.File.Name); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		removed = append(removed, l.File.Name)
	}
	return removed, failed
}

// over gives those whose time is over.
func (r Retention) over(all []Listed, last Manifest, now time.Time) []Listed {
	var older []Listed // and of this site
	for _, l := range all {
		if l.Err == nil && l.ID != last.ID && !l.Created.After(last.Created) {
			older = append(older, l)
		}
	}
	var over []Listed
	for i, l := range older {
		newer := len(older) - i // the last one counts too
		tooMany := r.Keep > 0 && newer >= r.Keep
		tooOld := r.KeepFor > 0 && now.Sub(l.Created) > r.KeepFor
		if tooMany || tooOld {
			over = append(over, l)
		}
	}
	return over
}
