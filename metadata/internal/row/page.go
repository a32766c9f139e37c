package row

import (
	"cmp"
	"slices"
	"sort"

	"cofre/metadata"
)

// Page answers a listing page from the index of live rows, in which rows stand in order of bucket and key.
//
// A listing page is a run of neighbouring keys, so its rows are too, nearly: one scan from its first key to its last
// reads little else, and costs a tenth of a descent into the index for every key. Where the store has many more rows
// between those keys (a listing by delimiter passes over whole trees, a key may have thousands of versions), the scan ends
// after about twice as many rows as the page has entries, and what lies behind is looked up key by key, in a second
// query. So neither way can cost much more than the page is worth.
type Page struct {
	bucket  string
	entries []metadata.Entry
	order   []int // indexes into entries, by key and ETag
	found   []*metadata.Record
	slab    []metadata.Record // where the next records come from

	next    int    // where the next row's entry is looked for first: rows come in order of key
	scanned int    // rows seen by the scan
	last    string // the greatest key that the scan has seen
}

// NewPage begins a page of at least one entry.
func NewPage(bucket string, entries []metadata.Entry) *Page {
	p := &Page{
		bucket: bucket, entries: entries, order: make([]int, len(entries)),
		found: make([]*metadata.Record, len(entries)), slab: make([]metadata.Record, len(entries)),
	}
	for i := range p.order {
		p.order[i] = i
	}
	byEntry := func(a, b int) int {
		return cmp.Or(cmp.Compare(entries[a].Key, entries[b].Key), cmp.Compare(entries[a].BackendETag, entries[b].BackendETag))
	}
	if !slices.IsSortedFunc(p.order, byEntry) { // as most pages come
		slices.SortFunc(p.order, byEntry)
	}
	return p
}

// Span is what the scan asks for: rows from the first key to the last, both included, in order of key, at most limit.
func (p *Page) Span() (first, last string, limit int) {
	return p.entries[p.order[0]].Key, p.entries[p.order[len(p.order)-1]].Key, 2*len(p.entries) + 64
}

// Scanned takes one row of the scan, as Found does.
func (p *Page) Scanned(key, backendETag []byte, rec metadata.Record) {
	p.scanned++
	if _, _, limit := p.Span(); p.scanned == limit {
		p.last = string(key)
	}
	p.Found(key, backendETag, rec)
}

// Found takes one row; rec's Bucket, Key and BackendETag are filled here. Rows that no entry asked for are dropped; of
// several for one entry the one committed last stays.
func (p *Page) Found(key, backendETag []byte, rec metadata.Record) {
	rec.Bucket = p.bucket
	at := p.place(key, backendETag)
	p.next = at
	for ; at < len(p.order) && p.compare(p.order[at], key, backendETag) == 0; at++ {
		i := p.order[at]
		switch old := p.found[i]; {
		case old == nil:
			p.found[i], p.slab = &p.slab[0], p.slab[1:]
		case !old.Committed.Before(rec.Committed):
			continue
		}
		rec.Key, rec.BackendETag = p.entries[i].Key, p.entries[i].BackendETag
		*p.found[i] = rec
	}
}

// place finds the first entry that is not before a row: at the entry of the row before or the one behind it, else anywhere.
func (p *Page) place(key, backendETag []byte) int {
	before := func(at int) bool { return p.compare(p.order[at], key, backendETag) < 0 }
	for at := p.next; at < min(p.next+2, len(p.order)); at++ {
		if !before(at) && (at == 0 || before(at-1)) {
			return at
		}
	}
	return sort.Search(len(p.order), func(at int) bool { return !before(at) })
}

// compare compares entry i with a row. The conversions make no copies: the compiler knows that they do not outlive it.
func (p *Page) compare(i int, key, backendETag []byte) int {
	e := &p.entries[i]
	switch {
	case e.Key < string(key):
		return -1
	case e.Key > string(key):
		return 1
	case e.BackendETag < string(backendETag):
		return -1
	case e.BackendETag > string(backendETag):
		return 1
	}
	return 0
}

// Lookup is one look-up of a key's rows: those with this ETag or, where Any is set, those with any of the ETags that
// Rest gives beside.
type Lookup struct {
	Key, ETag string
	Any       bool
}

// Rest gives the look-ups for what the scan did not reach; none where it came to its end. A key that stands on the page
// more than once is looked up once, for all its ETags: else a page of a thousand versions of one key would walk all of
// that key's rows a thousand times.
func (p *Page) Rest() (lookups []Lookup, anyETags []string) {
	if _, _, limit := p.Span(); p.scanned < limit {
		return nil, nil
	}
	for _, i := range p.order {
		e := p.entries[i]
		if e.Key < p.last {
			continue
		}
		if n := len(lookups); n == 0 || lookups[n-1].Key != e.Key {
			lookups = append(lookups, Lookup{Key: e.Key, ETag: e.BackendETag})
			continue
		}
		if l := &lookups[len(lookups)-1]; !l.Any {
			anyETags = append(anyETags, l.ETag)
			*l = Lookup{Key: e.Key, Any: true}
		}
		anyETags = append(anyETags, e.BackendETag)
	}
	return lookups, anyETags
}

// Records is the page, aligned with its entries.
func (p *Page) Records() []*metadata.Record { return p.found }

// Version is a version id from a column. Nearly all are the null version's, which needs no string of its own.
func Version(column []byte) string {
	if string(column) == metadata.NullVersion {
		return metadata.NullVersion
	}
	return string(column)
}
