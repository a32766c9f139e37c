//go:build race

package longtest

// Raced says that the race detector runs, which makes everything several times slower.
const Raced = true
