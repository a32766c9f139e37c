//go:build !race

package storetest

// partStep is the distance between part numbers of the largest upload: every number there is.
const partStep = 1
