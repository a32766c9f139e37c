//go:build race

package storetest

// partStep is the distance between part numbers of the largest upload. The race detector slows an SQLite that is compiled
// to Go down to a crawl; it needs no ten thousand parts to see what it looks for.
const partStep = 10
