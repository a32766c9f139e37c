package row

import "cofre/metadata"

// Page turns the entries of a listing page into look-ups of the index of live rows, and the rows found into the page.
//
// A key that stands on the page once, as all do in a plain listing, is looked up with its ETag. A key that stands there
// more often (a listing of versions) is looked up once for all its ETags: else a page of a thousand versions of one key
// would walk all of that key's rows a thousand times.
type Page struct {
	bucket  string
	entries []metadata.Entry
	wanted  map[metadata.Entry][]int // indexes into entries
	found   []*metadata.Record
}

// Lookup is one range of the index of live rows: the key's rows with this ETag or, where Any is set, those with any of
// the page's ETags (AnyETags).
type Lookup struct {
	Key, ETag string
	Any       bool
}

// NewPage begins a page.
func NewPage(bucket string, entries []metadata.Entry) *Page {
	p := &Page{
		bucket:  bucket,
		entries: entries,
		wanted:  make(map[metadata.Entry][]int, len(entries)),
		found:   make([]*metadata.Record, len(entries)),
	}
	for i, e := range entries {
		p.wanted[e] = append(p.wanted[e], i)
	}
	return p
}

// Lookups gives one look-up for each distinct key, and the ETags that those with Any set are looked up with.
func (p *Page) Lookups() (lookups []Lookup, anyETags []string) {
	at := make(map[string]int, len(p.entries))
	lookups = make([]Lookup, 0, len(p.entries))
	for _, e := range p.entries {
		i, again := at[e.Key]
		if !again {
			at[e.Key] = len(lookups)
			lookups = append(lookups, Lookup{Key: e.Key, ETag: e.BackendETag})
			continue
		}
		if l := &lookups[i]; !l.Any {
			anyETags = append(anyETags, l.ETag)
			*l = Lookup{Key: e.Key, Any: true}
		}
		anyETags = append(anyETags, e.BackendETag)
	}
	return lookups, anyETags
}

// Found takes one row. Rows that no entry asked for are dropped; of several rows for one entry the one committed last stays.
func (p *Page) Found(rec metadata.Record) {
	rec.Bucket = p.bucket
	for _, i := range p.wanted[metadata.Entry{Key: rec.Key, BackendETag: rec.BackendETag}] {
		if old := p.found[i]; old == nil || old.Committed.Before(rec.Committed) {
			mine := rec
			p.found[i] = &mine
		}
	}
}

// Records is the page, aligned with its entries.
func (p *Page) Records() []*metadata.Record { return p.found }
